//! The log of events as such: what people decided about it.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::{DomainEvent, Position};
use crate::ids::{EventLogId, NAMESPACE};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The log's own id: there is one log.
#[must_use]
pub fn event_log_id() -> EventLogId {
    EventLogId(Uuid::new_v5(&NAMESPACE, b"event_log"))
}

/// Where a log ends: the last event's position, and its hash in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last event's position.
    #[serde(with = "as_text")]
    pub position: Position,
    /// Its hash, 64 hexadecimal digits.
    pub hash: String,
}

/// A position as the text that people see.
mod as_text {
    use crate::event::Position;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        position: &Position,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(position)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Position, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What one may ask of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Go on from where the log ends, though more, or something else, was seen of it before.
    AcceptHead { known: Option<Head>, found: Head, reason: String },
}

/// What happened to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// A person took the log as it is for the right one.
    #[serde(rename = "event_log.head_accepted")]
    HeadAccepted {
        /// What the data folder had seen of it, if anything.
        known: Option<Head>,
        /// Where it ended when it was accepted.
        found: Head,
        /// Why.
        reason: String,
    },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[("event_log.head_accepted", 1)];
}

/// The log as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// How often a person had to accept its head.
    pub acceptances: u64,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Whoever accepts lost events must say why.
    #[error("give a reason: it stands in the log")]
    NoReason,
}

/// The rules of the log.
#[derive(Debug, Clone, Copy)]
pub struct EventLog;

impl Decider for EventLog {
    const CATEGORY: &'static str = EventLogId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(_: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match command {
            Command::AcceptHead { reason, .. } if reason.trim().is_empty() => {
                Err(Rejected::NoReason)
            }
            Command::AcceptHead { known, found, reason } => {
                Ok(vec![Event::HeadAccepted { known, found, reason }])
            }
        }
    }

    fn evolve(mut state: State, event: &Event) -> State {
        let Event::HeadAccepted { .. } = event;
        state.acceptances += 1;
        state
    }
}
