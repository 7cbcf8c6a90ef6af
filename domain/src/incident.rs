//! Known trouble: what is paused by people, and which provider keeps failing; with its beginning and end.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{IncidentId, NAMESPACE};
use crate::snapshot::SnapshotFormat;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Most runs that may go on in a minute after a pause: what is above is no rate.
pub const RATE_MAX: u32 = 10_000;
/// The longest that runs are let go one by one.
const FLOW_DAYS_MAX: i64 = 30;

/// Which kind of trouble it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Somebody has paused it: no work on it begins.
    Pause,
    /// It keeps failing: its circuit is open.
    Outage,
}

impl Kind {
    /// Its name for programs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Outage => "outage",
        }
    }
}

/// What it is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "about", content = "name", rename_all = "snake_case")]
pub enum Subject {
    /// Everything that Ocim does.
    All,
    /// A region of a cloud, by its name.
    Region(String),
    /// A provider, as circuits call it, e.g. `DNS`.
    Provider(String),
}

impl fmt::Display for Subject {
    /// As people are told of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all work"),
            Self::Region(name) => write!(f, "region {name}"),
            Self::Provider(name) => f.write_str(name),
        }
    }
}

/// The stream of one kind of trouble of one subject: the same for the same, whoever asks.
#[must_use]
pub fn incident_id(kind: Kind, subject: &Subject) -> IncidentId {
    let name = match subject {
        Subject::All => "all".to_owned(),
        Subject::Region(name) => format!("region/{name}"),
        Subject::Provider(name) => format!("provider/{name}"),
    };
    IncidentId(Uuid::new_v5(&NAMESPACE, format!("incident/{}/{name}", kind.name()).as_bytes()))
}

/// What one may say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// It has begun, or its reason or its end is another one now. What was let go one by one stands
    /// still again.
    Begin {
        /// Which kind.
        kind: Kind,
        /// What it is about.
        subject: Subject,
        /// Why, for people.
        reason: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Those that it holds up go on one by one, so many a minute; `held` are known to wait.
    Ease {
        /// So many a minute.
        rate: u32,
        /// How many wait.
        held: u64,
    },
    /// It is over; silent where it is.
    End,
    /// It is over where its time has come; silent otherwise.
    EndWhenDue,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It has begun.
    #[serde(rename = "incident.began")]
    Began {
        /// Its number among those of its kind and subject, from 1.
        number: u32,
        /// Which kind.
        trouble: Kind,
        /// What it is about.
        subject: Subject,
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Its reason or its end is another one, and nothing is let go.
    #[serde(rename = "incident.changed")]
    Changed {
        /// Its number.
        number: u32,
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Those that it holds up go on one by one.
    #[serde(rename = "incident.eased")]
    Eased {
        /// Its number.
        number: u32,
        /// So many a minute.
        rate: u32,
        /// From then on.
        since: Timestamp,
        /// Then all that waited have gone on, and it is over.
        until: Timestamp,
    },
    /// It is over.
    #[serde(rename = "incident.ended")]
    Ended {
        /// Its number.
        number: u32,
    },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("incident.began", 1),
        ("incident.changed", 1),
        ("incident.eased", 1),
        ("incident.ended", 1),
    ];
}

/// How those that were held up go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// So many a minute.
    pub rate: u32,
    /// From then on.
    pub since: Timestamp,
    /// Until then.
    pub until: Timestamp,
}

impl Flow {
    /// The pause between two that go on.
    #[must_use]
    pub fn interval(&self) -> TimeDelta {
        TimeDelta::milliseconds(60_000 / i64::from(self.rate.max(1)))
    }
}

/// One that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its number among those of its kind and subject, from 1.
    pub number: u32,
    /// Which kind.
    pub kind: Kind,
    /// What it is about.
    pub subject: Subject,
    /// Why.
    pub reason: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// How those that it held up go on, where they do.
    pub flow: Option<Flow>,
}

impl Open {
    /// When it ends by itself, if it does.
    #[must_use]
    pub fn due(&self) -> Option<Timestamp> {
        self.flow.map(|flow| flow.until).or(self.until)
    }
}

/// The trouble of one kind and subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How many there were.
    pub count: u32,
    /// The one that is not over.
    pub open: Option<Open>,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is nothing to let go.
    #[error("it is not paused: `ocim incidents --open` shows what is")]
    NotOpen,
    /// A provider is let go by its circuit.
    #[error("a circuit closes by itself, once the provider answers")]
    Outage,
    /// No rate.
    #[error("the rate is a number from 1 to {RATE_MAX} a minute")]
    NoRate,
    /// It would be over before it began.
    #[error("the end lies in the past")]
    Past,
}

/// The rules of incidents.
#[derive(Debug, Clone, Copy)]
pub struct Incident;

impl Decider for Incident {
    const CATEGORY: &'static str = IncidentId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(1));

    fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let open = state.open.as_ref();
        Ok(match (command, open) {
            (Command::Begin { until: Some(until), .. }, _) if until <= now => {
                return Err(Rejected::Past);
            }
            (Command::Begin { kind, subject, reason, until }, None) => {
                let number = state.count.saturating_add(1);
                vec![Event::Began { number, trouble: kind, subject, reason, until }]
            }
            (Command::Begin { reason, until, .. }, Some(open)) => {
                let is_same = open.reason == reason && open.until == until && open.flow.is_none();
                // What an outage said last is no news of it.
                let is_same = is_same || open.kind == Kind::Outage;
                let changed = Event::Changed { number: open.number, reason, until };
                if is_same { vec![] } else { vec![changed] }
            }
            (Command::Ease { .. }, None) => return Err(Rejected::NotOpen),
            (Command::Ease { .. }, Some(open)) if open.kind == Kind::Outage => {
                return Err(Rejected::Outage);
            }
            (Command::Ease { rate, .. }, _) if rate == 0 || rate > RATE_MAX => {
                return Err(Rejected::NoRate);
            }
            (Command::Ease { rate, .. }, Some(Open { flow: Some(flow), .. }))
                if flow.rate == rate =>
            {
                vec![]
            }
            (Command::Ease { rate, held }, Some(open)) => {
                let number = open.number;
                let millis = held.saturating_mul(60_000) / u64::from(rate);
                let longest = TimeDelta::days(FLOW_DAYS_MAX);
                let length = i64::try_from(millis).map_or(longest, TimeDelta::milliseconds);
                let until = now + length.min(longest);
                vec![Event::Eased { number, rate, since: now, until }]
            }
            (Command::End | Command::EndWhenDue, None) => vec![],
            (Command::EndWhenDue, Some(open)) if open.due().is_none_or(|due| due > now) => vec![],
            (Command::End | Command::EndWhenDue, Some(open)) => {
                vec![Event::Ended { number: open.number }]
            }
        })
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event.clone() {
            Event::Began { number, trouble: kind, subject, reason, until } => {
                state.count = number;
                state.open = Some(Open { number, kind, subject, reason, until, flow: None });
            }
            Event::Changed { reason, until, .. } => {
                if let Some(open) = &mut state.open {
                    (open.reason, open.until, open.flow) = (reason, until, None);
                }
            }
            Event::Eased { rate, since, until, .. } => {
                if let Some(open) = &mut state.open {
                    open.flow = Some(Flow { rate, since, until });
                }
            }
            Event::Ended { .. } => state.open = None,
        }
        state
    }
}
