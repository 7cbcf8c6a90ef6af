//! An API token: who may do what until when. Its secret is nobody's but its holder's, and never here.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::TokenId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a token's holder may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look at everything, and change nothing.
    Read,
    /// Everything.
    All,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::All => "all",
        })
    }
}

/// What one may ask of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Note that it was made.
    Create { name: String, scope: Scope, expires_at: Timestamp },
    /// Note that it is valid no more; silent when it is so already.
    Revoke { name: String },
}

/// What happened to a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It was made.
    #[serde(rename = "token.created")]
    Created { name: String, scope: Scope, expires_at: Timestamp },
    /// It is valid no more.
    #[serde(rename = "token.revoked")]
    Revoked { name: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[("token.created", 1), ("token.revoked", 1)];
}

/// A token as its events tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// No event tells of it: the one of local commands, or one whose making a crash cut short.
    #[default]
    Untold,
    /// It was made.
    Created,
    /// It is valid no more.
    Revoked,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is one with this id.
    #[error("the token was made before")]
    Known,
}

/// The rules of a token.
#[derive(Debug, Clone, Copy)]
pub struct Token;

impl Decider for Token {
    const CATEGORY: &'static str = TokenId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match (state, command) {
            (State::Untold, Command::Create { name, scope, expires_at }) => {
                Ok(vec![Event::Created { name, scope, expires_at }])
            }
            (State::Created | State::Revoked, Command::Create { .. }) => Err(Rejected::Known),
            (State::Untold | State::Created, Command::Revoke { name }) => {
                Ok(vec![Event::Revoked { name }])
            }
            (State::Revoked, Command::Revoke { .. }) => Ok(vec![]),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::Untold, Event::Created { .. }) => State::Created,
            (State::Created | State::Revoked, Event::Created { .. }) => state,
            (_, Event::Revoked { .. }) => State::Revoked,
        }
    }
}
