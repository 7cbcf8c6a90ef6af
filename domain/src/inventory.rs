//! The inventory of one region, as the reconciler finds it: whether it answers, and machines without an owner.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{InventoryId, NAMESPACE, RunId};
use crate::server::Power;
use crate::snapshot::SnapshotFormat;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The id of the inventory of a region: the same for the same name.
#[must_use]
pub fn inventory_id(name: &str) -> InventoryId {
    InventoryId(Uuid::new_v5(&NAMESPACE, format!("inventory/{name}").as_bytes()))
}

/// A machine that bears our mark, but that nothing in the log accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// The cloud's id.
    pub machine: String,
    /// Its name in the cloud.
    pub name: String,
    /// The key that it was made with, if its mark tells.
    pub key: Option<Uuid>,
    /// What it was doing when it was found.
    pub power: Power,
}

/// An orphan that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// The region's name.
    pub region: String,
    /// The machine.
    pub orphan: Orphan,
    /// The run that takes it away.
    pub deletion: Option<RunId>,
}

/// What one may ask of, or observe at, a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// It does not answer, for this `error`.
    LoseSight { region: String, error: String },
    /// It answers.
    RegainSight { region: String },
    /// A machine that nothing accounts for is there.
    ReportOrphan { region: String, orphan: Orphan },
    /// A second machine with the key of one in use is there: it is taken away, in `run`.
    ReportDuplicate { region: String, orphan: Orphan, run: RunId, reason: String },
    /// That machine is gone, or is accounted for by now.
    SettleOrphan { machine: String },
    /// Take that machine away, in `run`.
    RequestOrphanDeletion { machine: String, run: RunId, reason: String },
    /// That `run` does not take it away: it was cancelled, has failed or was given up.
    StopOrphanDeletion { machine: String, run: RunId },
}

/// What the reconciler found in a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It does not answer any more.
    #[serde(rename = "inventory.sight_lost")]
    SightLost { region: String, error: String },
    /// It answers again.
    #[serde(rename = "inventory.sight_regained")]
    SightRegained { region: String },
    /// A machine with our mark that nothing accounts for was found.
    #[serde(rename = "inventory.orphan_found")]
    OrphanFound { region: String, orphan: Orphan },
    /// That machine is gone, or is accounted for by now.
    #[serde(rename = "inventory.orphan_settled")]
    OrphanSettled { machine: String },
    /// Somebody asked to take that machine away.
    #[serde(rename = "inventory.orphan_deletion_requested")]
    OrphanDeletionRequested { region: String, machine: String, run: RunId, reason: String },
    /// The run did not take it away; it may be asked for again.
    #[serde(rename = "inventory.orphan_deletion_stopped")]
    OrphanDeletionStopped { machine: String, run: RunId },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("inventory.sight_lost", 1),
        ("inventory.sight_regained", 1),
        ("inventory.orphan_found", 1),
        ("inventory.orphan_settled", 1),
        ("inventory.orphan_deletion_requested", 1),
        ("inventory.orphan_deletion_stopped", 1),
    ];
}

/// An inventory as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Why it does not answer, if it does not.
    pub error: Option<String>,
    /// Its machines without an owner, by the cloud's id.
    pub orphans: BTreeMap<String, Reported>,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Only what was reported as an orphan is taken away by hand.
    #[error("`{machine}` is not reported as an orphan of this region: see `ocim server orphans`")]
    NotAnOrphan {
        /// The machine's id.
        machine: String,
    },
    /// A run is at it.
    #[error("run {run} takes `{machine}` away already")]
    BeingDeleted {
        /// The machine's id.
        machine: String,
        /// The run.
        run: RunId,
    },
}

/// The rules of an inventory.
#[derive(Debug, Clone, Copy)]
pub struct Inventory;

impl Decider for Inventory {
    const CATEGORY: &'static str = InventoryId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(1));

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match command {
            // Whatever it says next time: it is the same silence.
            Command::LoseSight { .. } if state.error.is_some() => Ok(vec![]),
            Command::LoseSight { region, error } => Ok(vec![Event::SightLost { region, error }]),
            Command::RegainSight { .. } if state.error.is_none() => Ok(vec![]),
            Command::RegainSight { region } => Ok(vec![Event::SightRegained { region }]),
            Command::ReportOrphan { orphan, .. } | Command::ReportDuplicate { orphan, .. }
                if state.orphans.contains_key(&orphan.machine) =>
            {
                Ok(vec![])
            }
            Command::ReportOrphan { region, orphan } => {
                Ok(vec![Event::OrphanFound { region, orphan }])
            }
            Command::ReportDuplicate { region, orphan, run, reason } => {
                let (machine, found_in) = (orphan.machine.clone(), region.clone());
                Ok(vec![
                    Event::OrphanFound { region: found_in, orphan },
                    Event::OrphanDeletionRequested { region, machine, run, reason },
                ])
            }
            Command::SettleOrphan { machine } if state.orphans.contains_key(&machine) => {
                Ok(vec![Event::OrphanSettled { machine }])
            }
            Command::SettleOrphan { .. } => Ok(vec![]),
            Command::RequestOrphanDeletion { machine, run, reason } => {
                let region = match state.orphans.get(&machine) {
                    None => return Err(Rejected::NotAnOrphan { machine }),
                    Some(Reported { deletion: Some(run), .. }) => {
                        return Err(Rejected::BeingDeleted { machine, run: *run });
                    }
                    Some(known) => known.region.clone(),
                };
                Ok(vec![Event::OrphanDeletionRequested { region, machine, run, reason }])
            }
            Command::StopOrphanDeletion { machine, run } => {
                let deletion = state.orphans.get(&machine).and_then(|known| known.deletion);
                let is_at_it = deletion == Some(run);
                let stopped = is_at_it.then_some(Event::OrphanDeletionStopped { machine, run });
                Ok(stopped.into_iter().collect())
            }
        }
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::SightLost { error, .. } => state.error = Some(error.clone()),
            Event::SightRegained { .. } => state.error = None,
            Event::OrphanFound { region, orphan } => {
                let (region, orphan) = (region.clone(), orphan.clone());
                let known = Reported { region, orphan, deletion: None };
                state.orphans.insert(known.orphan.machine.clone(), known);
            }
            Event::OrphanSettled { machine } => drop(state.orphans.remove(machine)),
            Event::OrphanDeletionRequested { machine, run, .. } => {
                if let Some(known) = state.orphans.get_mut(machine) {
                    known.deletion = Some(*run);
                }
            }
            Event::OrphanDeletionStopped { machine, .. } => {
                if let Some(known) = state.orphans.get_mut(machine) {
                    known.deletion = None;
                }
            }
        }
        state
    }
}
