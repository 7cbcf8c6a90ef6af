//! The inventory of one place, such as a region: whether it answers, and what is there of ours without an owner.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::hosts::host_key;
use crate::ids::{InstanceId, InventoryId, NAMESPACE, RunId};
use crate::ledger::{self, Kind, ResourceKey};
use crate::server::Power;
use crate::snapshot::SnapshotFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Where names in the DNS are: whatever they lead to, one service has them.
pub const DNS: &str = "dns";

/// The id of the inventory of a place: the same for the same name.
#[must_use]
pub fn inventory_id(name: &str) -> InventoryId {
    InventoryId(Uuid::new_v5(&NAMESPACE, format!("inventory/{name}").as_bytes()))
}

/// Where something is without an owner, what it is, and what its provider calls it.
///
/// As text `KIND/PLACE/KEY`. Of containers the place may have slashes, of all others the key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OrphanId {
    /// A region, a balancer's domain, the id of a shared server, where containers are, or [`DNS`].
    pub place: String,
    /// What it is, and what its provider calls it.
    pub key: ResourceKey,
}

impl OrphanId {
    /// What a resource of a ledger is called by its provider.
    #[must_use]
    pub fn of(resource: &ledger::Resource) -> Self {
        let kind = resource.id.kind;
        let (place, key) = match kind {
            Kind::DnsName => (DNS, host_key(&resource.name)),
            _ => (resource.place.as_str(), resource.name.clone()),
        };
        Self { place: place.to_owned(), key: ResourceKey::new(kind, key) }
    }
}

impl fmt::Display for OrphanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.key.kind.as_str(), self.place, self.key.key)
    }
}

/// It is no kind, place and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidOrphanId;

impl FromStr for OrphanId {
    type Err = InvalidOrphanId;

    fn from_str(text: &str) -> Result<Self, InvalidOrphanId> {
        let (kind, rest) = text.split_once('/').ok_or(InvalidOrphanId)?;
        let kind = Kind::ALL.iter().find(|known| known.as_str() == kind).ok_or(InvalidOrphanId)?;
        let parts = match kind {
            Kind::SwiftContainer => rest.rsplit_once('/'),
            _ => rest.split_once('/'),
        };
        let (place, key) = parts.ok_or(InvalidOrphanId)?;
        if place.is_empty() || key.is_empty() {
            return Err(InvalidOrphanId);
        }
        Ok(Self { place: place.to_owned(), key: ResourceKey::new(*kind, key) })
    }
}

/// Something that bears our mark, or that a ledger once had, but that nothing in the log accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// What it is, and what its provider calls it.
    #[serde(flatten)]
    pub id: ResourceKey,
    /// What people call it.
    pub name: String,
    /// The key that a machine was made with, if its mark tells.
    pub made_with: Option<Uuid>,
    /// What a machine was doing when it was found.
    pub power: Option<Power>,
    /// Whose it was, or may have been.
    pub owner: Option<InstanceId>,
}

/// An orphan that was reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Where it is.
    pub place: String,
    /// What it is.
    pub orphan: Orphan,
    /// The run that takes it away.
    pub deletion: Option<RunId>,
}

/// What one may ask of, or observe at, a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The region does not answer, for this `error`.
    LoseSight { region: String, error: String },
    /// It answers.
    RegainSight { region: String },
    /// Something that nothing accounts for is there.
    ReportOrphan { place: String, orphan: Orphan },
    /// A second machine with the key of one in use is there: it is taken away, in `run`.
    ReportDuplicate { place: String, orphan: Orphan, run: RunId, reason: String },
    /// It is gone, or is accounted for by now.
    SettleOrphan { id: ResourceKey },
    /// Take what was reported away, in `run`.
    RequestOrphanDeletion { id: ResourceKey, run: RunId, reason: String },
    /// Take away what was seen there just now, reported or not, in `run`.
    DeleteOrphan { place: String, orphan: Orphan, run: RunId, reason: String },
    /// That `run` does not take it away: it was cancelled, has failed or was given up.
    StopOrphanDeletion { id: ResourceKey, run: RunId },
}

/// What was found in a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// The region does not answer any more.
    #[serde(rename = "inventory.sight_lost")]
    SightLost { region: String, error: String },
    /// It answers again.
    #[serde(rename = "inventory.sight_regained")]
    SightRegained { region: String },
    /// Something of ours that nothing accounts for was found.
    #[serde(rename = "inventory.orphan_found")]
    OrphanFound { place: String, orphan: Orphan },
    /// It is gone, or is accounted for by now.
    #[serde(rename = "inventory.orphan_settled")]
    OrphanSettled { id: ResourceKey },
    /// Somebody asked to take it away.
    #[serde(rename = "inventory.orphan_deletion_requested")]
    OrphanDeletionRequested { place: String, id: ResourceKey, run: RunId, reason: String },
    /// The run did not take it away; it may be asked for again.
    #[serde(rename = "inventory.orphan_deletion_stopped")]
    OrphanDeletionStopped { id: ResourceKey, run: RunId },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("inventory.sight_lost", 1),
        ("inventory.sight_regained", 1),
        ("inventory.orphan_found", 2),
        ("inventory.orphan_settled", 2),
        ("inventory.orphan_deletion_requested", 2),
        ("inventory.orphan_deletion_stopped", 2),
    ];

    /// Of the first schema there were machines alone, and the place was a region.
    fn upcast(kind: &str, schema: u16, mut data: Value) -> Value {
        let is_former = schema == 1 && kind.starts_with("inventory.orphan_");
        let Some(members) = data.as_object_mut().filter(|_| is_former) else { return data };
        let machine = |machine: Value| json!({ "kind": Kind::Machine, "key": machine });
        if let Some(region) = members.remove("region") {
            members.insert("place".to_owned(), region);
        }
        if let Some(id) = members.remove("machine") {
            members.insert("id".to_owned(), machine(id));
        }
        if let Some(orphan) = members.get_mut("orphan").and_then(Value::as_object_mut) {
            let made_with = orphan.remove("key").unwrap_or_default();
            let id = orphan.remove("machine").unwrap_or_default();
            orphan.insert("made_with".to_owned(), made_with);
            orphan.insert("kind".to_owned(), json!(Kind::Machine));
            orphan.insert("key".to_owned(), id);
        }
        data
    }

    /// A newer Ocim has kinds of resources that this one does not know.
    fn is_known(_: &str, data: &Value) -> bool {
        let kind = data.pointer("/orphan/kind").or_else(|| data.pointer("/id/kind"));
        kind.and_then(Value::as_str)
            .is_none_or(|kind| Kind::ALL.iter().any(|known| known.as_str() == kind))
    }
}

/// An inventory as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Why it does not answer, if it does not.
    pub error: Option<String>,
    /// What is there without an owner, by the text of what its provider calls it.
    orphans: BTreeMap<String, Reported>,
}

impl State {
    /// What was reported, by kind and key.
    pub fn orphans(&self) -> impl Iterator<Item = &Reported> {
        self.orphans.values()
    }

    /// What was reported of that one.
    #[must_use]
    pub fn orphan(&self, id: &ResourceKey) -> Option<&Reported> {
        self.orphans.get(&id.to_string())
    }

    /// What a request to take it away is refused for.
    fn check_free(&self, id: &ResourceKey) -> Result<(), Rejected> {
        match self.orphan(id).and_then(|known| known.deletion) {
            Some(run) => Err(Rejected::BeingDeleted { id: id.clone(), run }),
            None => Ok(()),
        }
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Only what was reported as an orphan is taken away by hand.
    #[error("`{}` is not reported as an orphan of this region: see `ocim server orphans`", .id.key)]
    NotAnOrphan {
        /// What it is.
        id: ResourceKey,
    },
    /// A run is at it.
    #[error("run {run} takes `{}` away already", .id.key)]
    BeingDeleted {
        /// What it is.
        id: ResourceKey,
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
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(2));

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let is_known = |id: &ResourceKey| state.orphan(id).is_some();
        match command {
            // Whatever it says next time: it is the same silence.
            Command::LoseSight { .. } if state.error.is_some() => Ok(vec![]),
            Command::LoseSight { region, error } => Ok(vec![Event::SightLost { region, error }]),
            Command::RegainSight { .. } if state.error.is_none() => Ok(vec![]),
            Command::RegainSight { region } => Ok(vec![Event::SightRegained { region }]),
            Command::ReportOrphan { orphan, .. } | Command::ReportDuplicate { orphan, .. }
                if is_known(&orphan.id) =>
            {
                Ok(vec![])
            }
            Command::ReportOrphan { place, orphan } => {
                Ok(vec![Event::OrphanFound { place, orphan }])
            }
            Command::ReportDuplicate { place, orphan, run, reason }
            | Command::DeleteOrphan { place, orphan, run, reason } => {
                let id = orphan.id.clone();
                state.check_free(&id)?;
                let found =
                    (!is_known(&id)).then(|| Event::OrphanFound { place: place.clone(), orphan });
                let requested = Event::OrphanDeletionRequested { place, id, run, reason };
                Ok(found.into_iter().chain([requested]).collect())
            }
            Command::SettleOrphan { id } if is_known(&id) => Ok(vec![Event::OrphanSettled { id }]),
            Command::SettleOrphan { .. } => Ok(vec![]),
            Command::RequestOrphanDeletion { id, run, reason } => {
                state.check_free(&id)?;
                match state.orphan(&id) {
                    None => Err(Rejected::NotAnOrphan { id }),
                    Some(Reported { place, .. }) => {
                        let place = place.clone();
                        Ok(vec![Event::OrphanDeletionRequested { place, id, run, reason }])
                    }
                }
            }
            Command::StopOrphanDeletion { id, run } => {
                let deletion = state.orphan(&id).and_then(|known| known.deletion);
                let is_at_it = deletion == Some(run);
                let stopped = is_at_it.then_some(Event::OrphanDeletionStopped { id, run });
                Ok(stopped.into_iter().collect())
            }
        }
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::SightLost { error, .. } => state.error = Some(error.clone()),
            Event::SightRegained { .. } => state.error = None,
            Event::OrphanFound { place, orphan } => {
                let (place, orphan) = (place.clone(), orphan.clone());
                let known = Reported { place, orphan, deletion: None };
                state.orphans.insert(known.orphan.id.to_string(), known);
            }
            Event::OrphanSettled { id } => drop(state.orphans.remove(&id.to_string())),
            Event::OrphanDeletionRequested { id, run, .. } => {
                if let Some(known) = state.orphans.get_mut(&id.to_string()) {
                    known.deletion = Some(*run);
                }
            }
            Event::OrphanDeletionStopped { id, .. } => {
                if let Some(known) = state.orphans.get_mut(&id.to_string()) {
                    known.deletion = None;
                }
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_is_written() {
        let container = "swift_container/https://auth.example.com/v3 sites /alpha";
        for (text, place, key) in [
            ("machine/north/vm-9", "north", "vm-9"),
            ("dns_name/dns/alpha.example.com", "dns", "alpha.example.com"),
            ("rabbitmq_vhost/rbmq_1//alpha", "rbmq_1", "/alpha"),
            (container, "https://auth.example.com/v3 sites ", "alpha"),
        ] {
            let id: OrphanId = text.parse().unwrap();
            assert_eq!((id.place.as_str(), id.key.key.as_str()), (place, key));
            assert_eq!(id.to_string(), text);
        }
        for wrong in ["", "machine", "machine/north", "machine//a", "machine/north/", "sun/north/a"]
        {
            assert_eq!(wrong.parse::<OrphanId>(), Err(InvalidOrphanId), "{wrong}");
        }
    }
}
