//! What all ledgers have, and what they once had: folded from the log.

use super::App;
use super::error::AppError;
use ocim_domain::Timestamp;
use ocim_domain::error_chain::chain;
use ocim_domain::event::{DecodeError, DomainEvent, Recorded};
use ocim_domain::ids::{InstanceId, LedgerId, ServerId};
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Entry, Event, Kind, Resource, ResourceKey, Sight};
use ocim_engine::journal::Journal;
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked, Tracker};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Follows all ledgers. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct LedgerWatch(Arc<tokio::sync::Mutex<Tracker<Ledgers>>>);

impl LedgerWatch {
    pub(super) fn new(journal: &Journal) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Tracker::new(journal, Ledgers))))
    }
}

#[derive(Debug)]
struct Ledgers;

/// What is known by a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Known {
    Holding(Box<Holding>),
    /// An event of that ledger can't be read, for this reason: nobody can say what nothing accounts for.
    Unread {
        is_newer: bool,
        why: String,
    },
}

/// Something that an instance has outside, or once had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Whose it is, or was.
    pub instance: InstanceId,
    /// As it was wanted last.
    pub resource: Resource,
    /// What its provider calls it, once known.
    pub provider_id: Option<String>,
    /// What is known of it.
    pub standing: Standing,
}

/// What a ledger says of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is being made.
    Wanted,
    /// It is there.
    Present,
    /// It can't be told.
    Unknown,
    /// The ledger has it no more.
    Gone {
        /// Since when.
        at: Timestamp,
        /// Why nobody looks after it, where somebody has decided so; else it was seen to be gone.
        reason: Option<String>,
    },
}

impl Holding {
    /// What its provider calls it, and where.
    #[must_use]
    pub fn id(&self) -> OrphanId {
        OrphanId::of(&self.resource)
    }

    /// Whether the ledger has it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !matches!(self.standing, Standing::Gone { .. })
    }

    /// Whether the ledger says that it is there.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.standing == Standing::Present
    }

    /// Since when the ledger has it no more, if that is so, and why if somebody has decided it.
    #[must_use]
    pub fn left(&self) -> (Option<Timestamp>, Option<&str>) {
        match &self.standing {
            Standing::Gone { at, reason } => (Some(*at), reason.as_deref()),
            Standing::Wanted | Standing::Present | Standing::Unknown => (None, None),
        }
    }

    /// As its ledger has it, or would if it were there.
    #[must_use]
    pub fn entry(&self) -> Entry {
        let sight = match self.standing {
            Standing::Wanted => Sight::Wanted,
            Standing::Present => Sight::Present,
            Standing::Unknown | Standing::Gone { .. } => Sight::Unknown,
        };
        let (resource, provider_id) = (self.resource.clone(), self.provider_id.clone());
        Entry { resource, sight, provider_id }
    }
}

/// What is still told of after it is gone: a provider can be asked for it by its name. Machines bear a mark
/// of their own, and others share security groups.
fn is_remembered(kind: Kind) -> bool {
    !matches!(kind, Kind::Machine | Kind::SecurityGroups | Kind::Monitor)
}

impl Tracked for Ledgers {
    const SCHEMA: u16 = 1;
    type Item = Known;
    type Told = ();

    fn name(&self) -> String {
        "ledgers".to_owned()
    }

    fn filter(&self) -> Filter {
        Filter { categories: vec![LedgerId::CATEGORY.to_owned()], kinds: vec![] }
    }

    /// A program that knows more events has another [`Tracked::SCHEMA`], and reads them all anew.
    fn apply(&self, items: &mut Items<Known>, recorded: &Recorded) {
        let instance = InstanceId(recorded.stream.id());
        match Event::decode(&recorded.kind, recorded.schema, &recorded.data) {
            Ok(event) => note(items, instance, event, recorded.recorded_at),
            Err(error) => {
                let is_newer = matches!(error, DecodeError::Unknown { .. });
                let why = format!("{}: {}", recorded.stream, chain(&error));
                items.put(instance.to_string(), Known::Unread { is_newer, why });
            }
        }
    }
}

fn note(items: &mut Items<Known>, instance: InstanceId, event: Event, at: Timestamp) {
    let place = |id: &ResourceKey| format!("{instance}/{id}");
    let mut change = |id: &ResourceKey, change: &dyn Fn(&mut Holding)| {
        if let Some(Known::Holding(holding)) = items.get_mut(&place(id)) {
            change(holding);
        }
    };
    match event {
        Event::Wanted { resource } => {
            let key = place(&resource.id);
            let provider_id = match items.get(&key) {
                Some(Known::Holding(known)) => known.provider_id.clone(),
                Some(Known::Unread { .. }) | None => None,
            };
            let standing = Standing::Wanted;
            let holding = Holding { instance, resource, provider_id, standing };
            items.put(key, Known::Holding(Box::new(holding)));
        }
        Event::Adopted { resource, provider_id, .. } => {
            let (key, provider_id) = (place(&resource.id), Some(provider_id));
            let standing = Standing::Present;
            let holding = Holding { instance, resource, provider_id, standing };
            items.put(key, Known::Holding(Box::new(holding)));
        }
        Event::Present { id, provider_id } => change(&id, &|known| {
            known.provider_id = Some(provider_id.clone());
            known.standing = Standing::Present;
        }),
        Event::Unknown { id, .. } => change(&id, &|known| known.standing = Standing::Unknown),
        Event::Absent { id } | Event::Resolved { id, .. } if !is_remembered(id.kind) => {
            items.remove(&place(&id));
        }
        Event::Absent { id } => {
            change(&id, &|known| known.standing = Standing::Gone { at, reason: None });
        }
        Event::Resolved { id, reason } => change(&id, &|known| {
            known.standing = Standing::Gone { at, reason: Some(reason.clone()) };
        }),
    }
}

/// What all ledgers have, and what they once had and none has now.
#[derive(Debug, Default)]
pub struct Holdings {
    machines: BTreeMap<ServerId, Holding>,
    held: BTreeMap<OrphanId, Holding>,
    former: BTreeMap<OrphanId, Holding>,
}

impl Holdings {
    fn new(all: impl Iterator<Item = Holding>) -> Self {
        let mut holdings = Self::default();
        for holding in all {
            if holding.resource.id.kind == Kind::Machine {
                if let Ok(server) = holding.resource.id.key.parse() {
                    holdings.machines.insert(server, holding);
                }
                continue;
            }
            let id = holding.id();
            if holding.is_held() {
                holdings.held.insert(id, holding);
            } else if holdings.former.get(&id).is_none_or(|known| known.left().0 < holding.left().0)
            {
                holdings.former.insert(id, holding);
            }
        }
        holdings.former.retain(|id, _| !holdings.held.contains_key(id));
        holdings
    }

    /// Who has it.
    #[must_use]
    pub fn holder_of(&self, id: &OrphanId) -> Option<&Holding> {
        self.held.get(id)
    }

    /// Who had it last, where nobody has it.
    #[must_use]
    pub fn former(&self, id: &OrphanId) -> Option<&Holding> {
        self.former.get(id)
    }

    /// All that some ledger has but machines.
    pub fn held(&self) -> impl Iterator<Item = (&OrphanId, &Holding)> {
        self.held.iter()
    }

    /// All that ledgers once had, and none has now.
    pub fn formers(&self) -> impl Iterator<Item = (&OrphanId, &Holding)> {
        self.former.iter()
    }

    /// The machine of a Server.
    #[must_use]
    pub fn machine(&self, server: ServerId) -> Option<&Holding> {
        self.machines.get(&server)
    }
}

impl App {
    /// What all ledgers have and once had, as the log says now.
    ///
    /// # Errors
    /// When the store does not answer; [`AppError::Newer`] or [`AppError::Internal`] where an event of a
    /// ledger can't be read: what that says of may be in use.
    pub async fn read_holdings(&self) -> Result<Holdings, AppError> {
        let mut tracker = self.ledgers.0.lock().await;
        tracker.catch_up(drop).await?;
        let holdings = tracker.items().iter().map(|(_, known)| match known {
            Known::Holding(holding) => Ok(Holding::clone(holding)),
            Known::Unread { is_newer: true, why } => Err(AppError::Newer(why.clone().into())),
            Known::Unread { is_newer: false, why } => Err(AppError::internal(why.clone())),
        });
        Ok(Holdings::new(holdings.collect::<Result<Vec<_>, _>>()?.into_iter()))
    }
}
