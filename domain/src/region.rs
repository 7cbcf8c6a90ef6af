//! The slots of one region: so many runs at a time, the others in a queue, first come, first served.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{NAMESPACE, RegionId, RunId};
use crate::snapshot::SnapshotFormat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use uuid::Uuid;

/// The region's id: the same for the same name, whoever asks.
#[must_use]
pub fn region_id(name: &str) -> RegionId {
    RegionId(Uuid::new_v5(&NAMESPACE, format!("region/{name}").as_bytes()))
}

/// What one may ask of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// At most so many runs at a time from now on; those that have a slot keep it.
    SetLimit { region: String, limit: u32 },
    /// The same by the configuration, which no longer counts once a person has set a limit.
    Configure { region: String, limit: u32 },
    /// A slot, or else a place at the end of the queue. `limit` counts where none was set yet.
    Enter { region: String, run: RunId, limit: u32 },
    /// Give the slot or the place back; silent when the run has neither.
    Leave { run: RunId },
}

/// What happened in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// At most so many runs at a time.
    #[serde(rename = "region.limit_set")]
    LimitSet {
        region: String,
        limit: u32,
        /// Whether the configuration says so, and no person.
        configured: bool,
    },
    /// A run stands at the end of the queue.
    #[serde(rename = "region.run_queued")]
    RunQueued { run: RunId },
    /// The first of the queue has a slot.
    #[serde(rename = "region.run_admitted")]
    RunAdmitted { run: RunId },
    /// A run has neither slot nor place any more.
    #[serde(rename = "region.run_left")]
    RunLeft { run: RunId },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("region.limit_set", 1),
        ("region.run_queued", 1),
        ("region.run_admitted", 1),
        ("region.run_left", 1),
    ];
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It has a slot.
    Running,
    /// It waits; 1 is next.
    Queued(usize),
}

/// A region as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Most runs at a time; none before it was set.
    pub limit: Option<u32>,
    /// Whether a person has set it: then it is theirs, whatever the configuration says.
    pub is_ordered: bool,
    /// Who has a slot.
    pub running: BTreeSet<RunId>,
    /// Who waits, the next one first.
    pub queue: VecDeque<RunId>,
}

impl State {
    /// Where the run stands, if it is here.
    #[must_use]
    pub fn place(&self, run: RunId) -> Option<Place> {
        if self.running.contains(&run) {
            return Some(Place::Running);
        }
        self.queue.iter().position(|it| *it == run).map(|index| Place::Queued(index + 1))
    }

    /// Who gets a slot now: the first of the queue, if there is room.
    fn next_admitted(&self) -> Option<RunId> {
        let limit = usize::try_from(self.limit?).unwrap_or(usize::MAX);
        (self.running.len() < limit).then(|| self.queue.front().copied()).flatten()
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Nothing would ever run.
    #[error("a region's limit is at least 1")]
    NoRoom,
}

/// The rules of a region.
#[derive(Debug, Clone, Copy)]
pub struct Region;

impl Decider for Region {
    const CATEGORY: &'static str = RegionId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(1));

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let events = match command {
            Command::SetLimit { limit: 0, .. }
            | Command::Configure { limit: 0, .. }
            | Command::Enter { limit: 0, .. } => return Err(Rejected::NoRoom),
            Command::SetLimit { limit, .. } if state.is_ordered && state.limit == Some(limit) => {
                vec![]
            }
            Command::SetLimit { region, limit } => {
                vec![Event::LimitSet { region, limit, configured: false }]
            }
            Command::Configure { limit, .. } if state.is_ordered || state.limit == Some(limit) => {
                vec![]
            }
            Command::Configure { region, limit } => {
                vec![Event::LimitSet { region, limit, configured: true }]
            }
            Command::Enter { run, .. } if state.place(run).is_some() => vec![],
            Command::Enter { run, .. } if state.limit.is_some() => vec![Event::RunQueued { run }],
            Command::Enter { region, run, limit } => {
                vec![Event::LimitSet { region, limit, configured: true }, Event::RunQueued { run }]
            }
            Command::Leave { run } if state.place(run).is_some() => vec![Event::RunLeft { run }],
            Command::Leave { .. } => vec![],
        };
        Ok(admit(state, events))
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::LimitSet { limit, configured, .. } => {
                state.limit = Some(*limit);
                state.is_ordered |= !configured;
            }
            Event::RunQueued { run } => {
                if state.place(*run).is_none() {
                    state.queue.push_back(*run);
                }
            }
            Event::RunAdmitted { run } => {
                state.queue.retain(|it| it != run);
                state.running.insert(*run);
            }
            Event::RunLeft { run } => {
                state.queue.retain(|it| it != run);
                state.running.remove(run);
            }
        }
        state
    }
}

/// The events, and the admissions that they make room for.
fn admit(state: &State, mut events: Vec<Event>) -> Vec<Event> {
    let mut after = events.iter().fold(state.clone(), Region::evolve);
    while let Some(run) = after.next_admitted() {
        let admitted = Event::RunAdmitted { run };
        after = Region::evolve(after, &admitted);
        events.push(admitted);
    }
    events
}
