//! What one instance has outside of Ocim: each resource wanted, present, of unknown state, or gone.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{InstanceId, LedgerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// The ledger of an instance; it has the same UUID.
#[must_use]
pub fn ledger_id(instance: InstanceId) -> LedgerId {
    LedgerId(instance.0)
}

/// When a resource leaves its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leaves {
    /// At the latest when the instance is archived: the site serves by it.
    WithArchive,
    /// When the instance is deleted: it has the site's data, or leads to it.
    WithDeletion,
    /// Never: others have it, too.
    Never,
}

/// Declares the kinds of resources: each with its word in events, on the wire and in filters, what a
/// sentence about one begins with, before and after its key, and when one leaves.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $word:literal, $noun:literal, $verb:literal, $leaves:ident;)*) => {
        /// What a resource is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// As in events, on the wire and in filters.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }

            /// What a sentence about one begins with: `The machine … is`.
            #[must_use]
            pub fn subject(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$kind => ($noun, $verb),)*
                }
            }

            /// When one leaves its instance.
            #[must_use]
            pub fn leaves(self) -> Leaves {
                match self {
                    $(Self::$kind => Leaves::$leaves,)*
                }
            }
        }
    };
}

kinds! {
    /// A virtual machine.
    Machine: "machine", "The machine", "is", WithArchive;
    /// The security groups of a region; shared by all machines there.
    SecurityGroups: "security_groups", "The security groups of", "are", Never;
    /// A balancer's part for the instance.
    Fragment: "fragment", "The load balancer's part", "is", WithArchive;
    /// An address that a cloud lends to a machine. It goes with that: no ledger has one.
    FloatingAddress: "floating_address", "The floating address", "is", WithArchive;
    /// A name in the DNS.
    DnsName: "dns_name", "The DNS name", "is", WithArchive;
    /// What asks a page of a site from outside, and writes to people when it does not answer.
    Monitor: "monitor", "The monitor of", "is", WithArchive;
    /// An account on a MySQL server. Accounts leave before what they lead to.
    MysqlAccount: "mysql_account", "The MySQL account", "is", WithDeletion;
    /// A database on a MySQL server.
    MysqlDatabase: "mysql_database", "The MySQL database", "is", WithDeletion;
    /// An account on a MongoDB server.
    MongodbAccount: "mongodb_account", "The MongoDB account", "is", WithDeletion;
    /// A database on a MongoDB server.
    MongodbDatabase: "mongodb_database", "The MongoDB database", "is", WithDeletion;
    /// A user on a RabbitMQ server.
    RabbitmqUser: "rabbitmq_user", "The RabbitMQ user", "is", WithDeletion;
    /// A virtual host on a RabbitMQ server.
    RabbitmqVhost: "rabbitmq_vhost", "The RabbitMQ virtual host", "is", WithDeletion;
    /// A container of Swift.
    SwiftContainer: "swift_container", "The Swift container", "is", WithDeletion;
}

/// Whether this version knows the kinds in a list of kinds, or of resources' keys.
#[must_use]
pub fn are_known(list: &Value) -> bool {
    let is_known = |kind: &str| Kind::ALL.iter().any(|it| it.as_str() == kind);
    let kind = |item: &Value| item.as_str().or_else(|| item["kind"].as_str()).is_none_or(is_known);
    list.as_array().is_none_or(|items| items.iter().all(kind))
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().replace('_', " "))
    }
}

/// Which resource: its kind, and a key that is unique within it and never changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceKey {
    /// What it is.
    pub kind: Kind,
    /// E.g. the id of the Server, or the name of the fragment.
    pub key: String,
}

impl ResourceKey {
    /// A key of this kind.
    #[must_use]
    pub fn new(kind: Kind, key: impl fmt::Display) -> Self {
        Self { kind, key: key.to_string() }
    }
}

impl fmt::Display for ResourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.key)
    }
}

/// A resource as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// Which one.
    #[serde(flatten)]
    pub id: ResourceKey,
    /// What people call it.
    pub name: String,
    /// Where it is: a region, a balancer.
    pub place: String,
    /// Whose it is, as people see ids: the instance's own, or an appserver's.
    pub owner: String,
}

/// What one may ask of, or observe at, a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// The resource is about to be made.
    Want(Resource),
    /// All of these are.
    WantAll(Vec<Resource>),
    /// It is there; what its provider calls it.
    FindPresent { id: ResourceKey, provider_id: String },
    /// All of these are, each with what its provider calls it.
    FindAllPresent(Vec<(ResourceKey, String)>),
    /// It was looked for, and is not there any more.
    FindAbsent { id: ResourceKey },
    /// Whether it is there can't be told, for this `reason`.
    LoseSight { id: ResourceKey, reason: String },
    /// It is the instance's no more, whether it is there or not, for this `reason`.
    Resolve { id: ResourceKey, reason: String },
    /// It is there, was nobody's, and is the instance's from now on, for this `reason`.
    Adopt { resource: Resource, provider_id: String, reason: String },
}

/// What happened to a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It is about to be made: from here on it may be there.
    #[serde(rename = "ledger.resource_wanted")]
    Wanted { resource: Resource },
    /// It is there.
    #[serde(rename = "ledger.resource_present")]
    Present { id: ResourceKey, provider_id: String },
    /// It is gone.
    #[serde(rename = "ledger.resource_absent")]
    Absent { id: ResourceKey },
    /// Whether it is there can't be told.
    #[serde(rename = "ledger.resource_unknown")]
    Unknown { id: ResourceKey, reason: String },
    /// Nobody looks after it here any more: somebody has decided so, or others have it, too.
    #[serde(rename = "ledger.resource_resolved")]
    Resolved { id: ResourceKey, reason: String },
    /// It is there and was nobody's: somebody has decided that it is the instance's.
    #[serde(rename = "ledger.resource_adopted")]
    Adopted { resource: Resource, provider_id: String, reason: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("ledger.resource_wanted", 1),
        ("ledger.resource_present", 1),
        ("ledger.resource_absent", 1),
        ("ledger.resource_unknown", 1),
        ("ledger.resource_resolved", 1),
        ("ledger.resource_adopted", 1),
    ];

    /// A newer Ocim has kinds of resources that this one does not know.
    fn is_known(_: &str, data: &Value) -> bool {
        let kind = data.pointer("/resource/kind").or_else(|| data.pointer("/id/kind"));
        kind.and_then(Value::as_str)
            .is_none_or(|kind| Kind::ALL.iter().any(|it| it.as_str() == kind))
    }
}

/// Whether a resource is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// It is being made.
    Wanted,
    /// It is there.
    Present,
    /// It can't be told.
    Unknown,
}

/// A resource that is, or may be, there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As it is wanted.
    pub resource: Resource,
    /// Whether it is there.
    pub sight: Sight,
    /// What its provider calls it, once known.
    pub provider_id: Option<String>,
}

/// A ledger as its events tell. What is gone is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// What is, or may be, there.
    pub entries: BTreeMap<ResourceKey, Entry>,
}

impl State {
    /// What is told where a resource is wanted; nothing where it is so already.
    fn want(&self, resource: Resource) -> Option<Event> {
        let known = self.entries.get(&resource.id);
        let is_wanted = known.is_some_and(|entry| entry.resource == resource);
        (!is_wanted).then_some(Event::Wanted { resource })
    }

    /// What is told where one is there; nothing where it is known to be.
    fn find_present(
        &self,
        id: ResourceKey,
        provider_id: String,
    ) -> Result<Option<Event>, Rejected> {
        match self.entries.get(&id) {
            None => Err(Rejected::NeverWanted { id }),
            Some(Entry { sight: Sight::Present, provider_id: Some(known), .. })
                if *known == provider_id =>
            {
                Ok(None)
            }
            Some(_) => Ok(Some(Event::Present { id, provider_id })),
        }
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Nothing is made that was not wanted first.
    #[error("{} `{}` was found, but never wanted", .id.kind, .id.key)]
    NeverWanted {
        /// Which one.
        id: ResourceKey,
    },
    /// There is nothing to be resolved.
    #[error("the instance has no {} `{}`: see `ocim resources list`", .id.kind, .id.key)]
    Unheard {
        /// Which one.
        id: ResourceKey,
    },
    /// It is no orphan.
    #[error("the instance has the {} `{}` already", .id.kind, .id.key)]
    HasIt {
        /// Which one.
        id: ResourceKey,
    },
}

/// The rules of one instance's ledger.
#[derive(Debug, Clone, Copy)]
pub struct Ledger;

impl Decider for Ledger {
    const CATEGORY: &'static str = LedgerId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let known = |id: &ResourceKey| state.entries.get(id);
        Ok(match command {
            Command::Want(resource) => state.want(resource).into_iter().collect(),
            Command::WantAll(wanted) => {
                wanted.into_iter().filter_map(|resource| state.want(resource)).collect()
            }
            Command::FindPresent { id, provider_id } => {
                state.find_present(id, provider_id)?.into_iter().collect()
            }
            Command::FindAllPresent(found) => {
                let found = found.into_iter().map(|(id, name)| state.find_present(id, name));
                found.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()
            }
            Command::FindAbsent { id } if known(&id).is_some() => vec![Event::Absent { id }],
            // Whatever is said of it next: it is the same silence.
            Command::LoseSight { id, reason }
                if known(&id).is_some_and(|entry| entry.sight != Sight::Unknown) =>
            {
                vec![Event::Unknown { id, reason }]
            }
            Command::Resolve { id, reason } if known(&id).is_some() => {
                vec![Event::Resolved { id, reason }]
            }
            Command::Resolve { id, .. } => return Err(Rejected::Unheard { id }),
            Command::Adopt { resource, .. } if known(&resource.id).is_some() => {
                return Err(Rejected::HasIt { id: resource.id });
            }
            Command::Adopt { resource, provider_id, reason } => {
                vec![Event::Adopted { resource, provider_id, reason }]
            }
            Command::FindAbsent { .. } | Command::LoseSight { .. } => vec![],
        })
    }

    fn evolve(mut state: State, event: &Event) -> State {
        let mut change = |id: &ResourceKey, change: &dyn Fn(&mut Entry)| {
            if let Some(entry) = state.entries.get_mut(id) {
                change(entry);
            }
        };
        match event {
            Event::Wanted { resource } => {
                let id = resource.id.clone();
                let fresh = || Entry {
                    resource: resource.clone(),
                    sight: Sight::Wanted,
                    provider_id: None,
                };
                let entry = state.entries.entry(id).or_insert_with(fresh);
                entry.resource = resource.clone();
                // Wanted otherwise than it is: it is there once that is seen.
                entry.sight = Sight::Wanted;
            }
            Event::Present { id, provider_id } => change(id, &|entry| {
                entry.sight = Sight::Present;
                entry.provider_id = Some(provider_id.clone());
            }),
            Event::Adopted { resource, provider_id, .. } => {
                let entry = Entry {
                    resource: resource.clone(),
                    sight: Sight::Present,
                    provider_id: Some(provider_id.clone()),
                };
                state.entries.insert(resource.id.clone(), entry);
            }
            Event::Unknown { id, .. } => change(id, &|entry| entry.sight = Sight::Unknown),
            Event::Absent { id } | Event::Resolved { id, .. } => drop(state.entries.remove(id)),
        }
        state
    }
}
