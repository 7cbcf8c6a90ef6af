//! One read model, as operators dealt with it: the events that it was told to step over.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{NAMESPACE, ProjectionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The projection's id: the same for the same name, whoever asks.
#[must_use]
pub fn projection_id(name: &str) -> ProjectionId {
    ProjectionId(Uuid::new_v5(&NAMESPACE, format!("projection/{name}").as_bytes()))
}

/// What one may ask of a projection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Step over an event that it can't take in, for this `reason`, wherever a build of it meets
    /// the event and still can't; silent when it was told so before.
    SkipEvent { projection: String, event: Uuid, event_kind: String, reason: String },
}

/// What happened to a projection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// Its builds step over this event, of that kind, where they can't take it in.
    #[serde(rename = "projection.event_skipped")]
    EventSkipped { projection: String, event: Uuid, event_kind: String, reason: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[("projection.event_skipped", 1)];
}

/// A projection as its events tell: what it steps over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The ids of the events.
    pub skipped: BTreeSet<Uuid>,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// What is missing in a read model needs a reason that people can read later.
    #[error("a reason is needed")]
    NoReason,
}

/// The rules of a projection.
#[derive(Debug, Clone, Copy)]
pub struct Projection;

impl Decider for Projection {
    const CATEGORY: &'static str = ProjectionId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let Command::SkipEvent { projection, event, event_kind, reason } = command;
        if state.skipped.contains(&event) {
            return Ok(vec![]);
        }
        if reason.trim().is_empty() {
            return Err(Rejected::NoReason);
        }
        Ok(vec![Event::EventSkipped { projection, event, event_kind, reason }])
    }

    fn evolve(mut state: State, event: &Event) -> State {
        let Event::EventSkipped { event, .. } = event;
        state.skipped.insert(*event);
        state
    }
}
