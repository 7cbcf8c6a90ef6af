//! The reservation of a name that must be unique, on every engine: free, or held by one owner.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::hosts::host_key;
use crate::ids::{NAMESPACE, NameId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The kind of names within which one must be unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A host that leads to an instance; compared as lower-case A-labels.
    Domain,
    /// A database, the forum's included; compared in lower case, as `MongoDB` does.
    Database,
    /// A container of object storage; compared in lower case.
    Container,
    /// An S3 bucket; compared in lower case.
    Bucket,
    /// An AWS account; compared in lower case, as AWS does.
    IamUser,
}

impl Kind {
    /// What people call it.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Database => "database",
            Self::Container => "container",
            Self::Bucket => "bucket",
            Self::IamUser => "AWS account",
        }
    }

    /// What two spellings of one name have in common.
    #[must_use]
    pub fn key(self, name: &str) -> String {
        match self {
            Self::Domain => host_key(name),
            Self::Database | Self::Container | Self::Bucket | Self::IamUser => name.to_lowercase(),
        }
    }
}

/// The reservation's id: the same for the same name, whoever asks.
#[must_use]
pub fn name_id(kind: Kind, name: &str) -> NameId {
    NameId(Uuid::new_v5(&NAMESPACE, format!("{kind:?}/{}", kind.key(name)).as_bytes()))
}

/// What one may ask of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Hold it for `owner` (the text form of its id). Who holds it already says so anew: whoever
    /// meant to take it away on what they read before comes too late.
    Reserve { kind: Kind, name: String, owner: String },
    /// Take it `from` an owner that never came to want it, for `owner`.
    Reclaim { from: String, owner: String },
    /// Give it back; silent when somebody else holds it.
    Release { owner: String },
}

/// What happened to a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It is held.
    #[serde(rename = "name.reserved")]
    Reserved { kind: Kind, name: String, owner: String },
    /// Its owner holds on to it.
    #[serde(rename = "name.renewed")]
    Renewed { owner: String },
    /// It went `from` an owner that never came to want it to `owner`.
    #[serde(rename = "name.reclaimed")]
    Reclaimed { from: String, owner: String },
    /// It is free.
    #[serde(rename = "name.released")]
    Released { owner: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] =
        &[("name.reserved", 1), ("name.renewed", 1), ("name.reclaimed", 1), ("name.released", 1)];
}

/// A name as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Nobody holds it.
    #[default]
    Free,
    /// `owner`, the text form of an id, holds it.
    Held { owner: String },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Somebody else has it.
    #[error("the name is held by {owner}")]
    Taken {
        /// Who holds it.
        owner: String,
    },
    /// Nobody has it.
    #[error("the name is free")]
    Free,
}

/// The rules of a name.
#[derive(Debug, Clone, Copy)]
pub struct Name;

impl Decider for Name {
    const CATEGORY: &'static str = NameId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match (state, command) {
            (State::Free, Command::Reserve { kind, name, owner }) => {
                Ok(vec![Event::Reserved { kind, name, owner }])
            }
            (State::Held { owner: holder }, Command::Reserve { owner, .. }) if *holder == owner => {
                Ok(vec![Event::Renewed { owner }])
            }
            (State::Held { owner }, Command::Reserve { .. }) => {
                Err(Rejected::Taken { owner: owner.clone() })
            }
            (State::Free, Command::Reclaim { .. }) => Err(Rejected::Free),
            (State::Held { owner: holder }, Command::Reclaim { from, owner })
                if *holder == from =>
            {
                Ok(vec![Event::Reclaimed { from, owner }])
            }
            (State::Held { owner: holder }, Command::Reclaim { .. }) => {
                Err(Rejected::Taken { owner: holder.clone() })
            }
            (State::Held { owner: holder }, Command::Release { owner }) if *holder == owner => {
                Ok(vec![Event::Released { owner }])
            }
            (State::Free | State::Held { .. }, Command::Release { .. }) => Ok(vec![]),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::Free, Event::Reserved { owner, .. })
            | (State::Held { .. }, Event::Reclaimed { owner, .. }) => {
                State::Held { owner: owner.clone() }
            }
            (State::Held { .. }, Event::Released { .. }) => State::Free,
            (state @ State::Held { .. }, Event::Reserved { .. } | Event::Renewed { .. })
            | (
                state @ State::Free,
                Event::Renewed { .. } | Event::Reclaimed { .. } | Event::Released { .. },
            ) => state,
        }
    }
}
