//! The slots of one region: so many runs at a time, the others in a queue, first come, first served.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{NAMESPACE, RegionId, RunId};
use crate::snapshot::SnapshotFormat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use uuid::Uuid;

/// Most launches at a time in a region.
pub const LAUNCHES_MAX: u32 = 1_000;

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
    /// A slot, or else a place in the queue. `limit` counts where none was set yet. One of many that
    /// nobody waits for says how many of those may run at a time: they come after all others, and
    /// leave them the last slot.
    Enter { region: String, run: RunId, limit: u32, bulk_max: Option<u32> },
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
    /// A run stands at the end of the queue; with `bulk_max`, behind all that have none.
    #[serde(rename = "region.run_queued")]
    RunQueued {
        run: RunId,
        #[serde(skip_serializing_if = "Option::is_none", default)]
        bulk_max: Option<u32>,
    },
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
    /// Those of both that nobody waits for, with how many of those may run at a time.
    pub bulk: BTreeMap<RunId, u32>,
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

    /// Those of whom one must leave before anybody who waits gets a slot: of bulk work where the first in line
    /// is of that, and no more may run.
    #[must_use]
    pub fn holders(&self) -> Vec<RunId> {
        let in_bulk = self.running_in_bulk();
        match self.queue.front().and_then(|first| self.bulk.get(first)) {
            Some(most) if in_bulk.len() >= to_size(*most).max(1) => in_bulk,
            _ => self.running.iter().copied().collect(),
        }
    }

    fn running_in_bulk(&self) -> Vec<RunId> {
        self.running.iter().copied().filter(|run| self.bulk.contains_key(run)).collect()
    }

    /// Who gets a slot now: the first of the queue, if there is room for it. Behind one of bulk work
    /// stands nobody else.
    fn next_admitted(&self) -> Option<RunId> {
        let (count, next) = (self.running.len(), *self.queue.front()?);
        let limit = to_size(self.limit?);
        let has_room = match self.bulk.get(&next) {
            None => count < limit,
            Some(most) => {
                let in_bulk = self.running_in_bulk().len();
                // Where there is one slot only, bulk work has it, or would never run.
                count < limit.saturating_sub(1).max(1) && in_bulk < to_size(*most).max(1)
            }
        };
        has_room.then_some(next)
    }
}

fn to_size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
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
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(2));

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
            Command::Enter { run, bulk_max, .. } if state.limit.is_some() => {
                vec![Event::RunQueued { run, bulk_max }]
            }
            Command::Enter { region, run, limit, bulk_max } => {
                let limited = Event::LimitSet { region, limit, configured: true };
                vec![limited, Event::RunQueued { run, bulk_max }]
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
            Event::RunQueued { run, bulk_max } => {
                if state.place(*run).is_none() {
                    let first_in_bulk =
                        state.queue.iter().position(|it| state.bulk.contains_key(it));
                    let end = state.queue.len();
                    let place = if bulk_max.is_some() { end } else { first_in_bulk.unwrap_or(end) };
                    state.queue.insert(place, *run);
                    state.bulk.extend(bulk_max.map(|most| (*run, most)));
                }
            }
            Event::RunAdmitted { run } => {
                state.queue.retain(|it| it != run);
                state.running.insert(*run);
            }
            Event::RunLeft { run } => {
                state.queue.retain(|it| it != run);
                state.running.remove(run);
                state.bulk.remove(run);
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
