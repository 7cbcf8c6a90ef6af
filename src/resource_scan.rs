//! Asks every provider what it has of ours, and compares that with what the ledgers say.
//!
//! Two lists come of it: orphans, which are there and which no ledger has; and what ledgers believe to be
//! there, and is not. Each provider is asked by itself: one that does not answer hinders no other. A
//! provider lists first and the log is read then, as a wish is in its ledger before anybody hears of it.
//! Nothing is changed.

mod balancers;
mod items;
mod machines;
mod names;
mod orders;

use crate::app::{AppError, Holding, Holdings};
use crate::processes::step::StepError;
use crate::processes::world::World;
use futures_util::stream::{self, StreamExt};
use ocim_domain::Timestamp;
use ocim_domain::ids::{InstanceId, LoadBalancerId, RunId};
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Kind, Resource};
use ocim_domain::load_balancer;
use ocim_domain::provisioning::Service;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// Providers that are asked at a time.
const PROVIDERS_AT_A_TIME: usize = 16;
/// The longest that all of them are asked.
const SCAN_TIME: Duration = Duration::from_secs(60);

/// What is looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScanAsk {
    /// Only what is, was or may have been this instance's.
    pub instance: Option<InstanceId>,
    /// Only this kind.
    pub kind: Option<Kind>,
}

/// Something of ours that no ledger has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOrphan {
    /// Where it is, and what it is.
    pub id: OrphanId,
    /// Who has it, as people know providers.
    pub provider: String,
    /// What people call it.
    pub name: String,
    /// Whose it was, or may have been.
    pub owner: Option<InstanceId>,
    /// When it was made, where its provider tells.
    pub made_at: Option<Timestamp>,
    /// Since when no ledger has it, where one once had.
    pub left_at: Option<Timestamp>,
    /// What says that it is ours.
    pub sign: String,
    /// The run that takes it away.
    pub deletion: Option<RunId>,
}

/// Something that a ledger says is there, and that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingResource {
    /// Whose it is.
    pub instance: InstanceId,
    /// What it is.
    pub resource: Resource,
    /// Who was asked.
    pub provider: String,
    /// What is there in its place, as people read it.
    pub instead: Option<String>,
}

/// Who could not be asked, or not for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Who.
    pub provider: String,
    /// Why.
    pub error: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scan {
    /// By kind, place and key.
    pub orphans: Vec<FoundOrphan>,
    /// By instance, kind and key.
    pub missing: Vec<MissingResource>,
    /// By name.
    pub unanswered: Vec<Unanswered>,
}

/// Looks for what nothing accounts for, and gives the orders about it.
#[derive(Debug, Clone)]
pub struct ResourceScanner {
    world: Arc<World>,
    /// Held by who scans.
    turn: Arc<Mutex<()>>,
}

/// Who is asked.
enum Provider {
    Region(String),
    Balancer(LoadBalancerId, Box<load_balancer::Present>),
    Dns,
    Service { place: String, service: Box<Service> },
}

impl ResourceScanner {
    /// A scanner of these providers.
    #[must_use]
    pub fn new(world: Arc<World>) -> Self {
        Self { world, turn: Arc::default() }
    }

    /// Asks all providers, in a minute at most. One scan runs at a time.
    ///
    /// # Errors
    /// [`AppError::Rejected`] while another one runs; what the store says.
    pub async fn scan(&self, ask: ScanAsk) -> Result<Scan, AppError> {
        let busy = |_| AppError::rejected("a scan is under way: ask again once that has ended");
        let _one_at_a_time = self.turn.try_lock().map_err(busy)?;
        let before = self.world.app.read_holdings().await?;
        let (providers, mut scan) = self.find_providers(ask, &before).await?;
        let begun = Instant::now();
        let looks = providers.iter().map(|provider| self.ask(provider, ask, &before, begun));
        let mut looks = stream::iter(looks).buffer_unordered(PROVIDERS_AT_A_TIME);
        while let Some(Scan { orphans, missing, unanswered }) = looks.next().await {
            scan.orphans.extend(orphans);
            scan.missing.extend(missing);
            scan.unanswered.extend(unanswered);
        }
        scan.narrow(ask);
        for orphan in &mut scan.orphans {
            let reported = self.world.app.reported_orphan(&orphan.id).await?;
            orphan.deletion = reported.and_then(|known| known.deletion);
        }
        Ok(scan)
    }

    /// What one provider has, and has not. That it does not answer is told.
    async fn ask(
        &self,
        provider: &Provider,
        ask: ScanAsk,
        before: &Holdings,
        begun: Instant,
    ) -> Scan {
        let world = &*self.world;
        let look = async {
            match provider {
                Provider::Region(region) => machines::look(world, region).await,
                Provider::Balancer(id, known) => balancers::look(world, *id, known).await,
                Provider::Dns => names::look(world, ask, before, begun).await,
                Provider::Service { place, service } => {
                    items::look(world, before, place, service).await
                }
            }
        };
        let error = match timeout_at(begun + SCAN_TIME, look).await {
            Ok(Ok(found)) => return found,
            Ok(Err(error)) => world.deployment.own_masker.mask(&error.message),
            Err(_) => format!("it has not answered within {} seconds", SCAN_TIME.as_secs()),
        };
        let unanswered = vec![Unanswered { provider: provider.name(), error }];
        Scan { unanswered, ..Scan::default() }
    }

    /// Whom to ask; those that nobody knows how to reach any more are told of.
    async fn find_providers(
        &self,
        ask: ScanAsk,
        holdings: &Holdings,
    ) -> Result<(Vec<Provider>, Scan), AppError> {
        let (world, mut providers) = (&*self.world, vec![]);
        let is_asked = |kinds: &[Kind]| ask.kind.is_none_or(|kind| kinds.contains(&kind));
        if is_asked(&[Kind::Machine, Kind::FloatingAddress]) {
            providers.extend(world.ports.clouds.keys().cloned().map(Provider::Region));
        }
        if is_asked(&[Kind::Fragment]) {
            let all = world.app.list_balancers().await?.into_iter();
            let all = all.filter(|(_, known)| !known.is_retired);
            providers.extend(all.map(|(id, known)| Provider::Balancer(id, Box::new(known))));
        }
        if is_asked(&[Kind::DnsName]) && world.ports.dns.is_some() {
            providers.push(Provider::Dns);
        }
        let (services, unanswered) = items::find_services(world, ask.kind, holdings).await?;
        providers.extend(services);
        Ok((providers, Scan { unanswered, ..Scan::default() }))
    }
}

impl Scan {
    /// Leaves out what was not asked for, and puts the rest in order.
    fn narrow(&mut self, ask: ScanAsk) {
        let is_kind = |kind: Kind| ask.kind.is_none_or(|asked| asked == kind);
        let is_owner = |owner| ask.instance.is_none() || ask.instance == owner;
        self.orphans.retain(|it| is_kind(it.id.key.kind) && is_owner(it.owner));
        self.missing.retain(|it| is_kind(it.resource.id.kind) && is_owner(Some(it.instance)));
        self.orphans.sort_by_cached_key(|it| (it.id.key.kind, it.id.clone()));
        self.missing.sort_by_cached_key(|it| (it.instance.to_string(), it.resource.id.clone()));
        self.unanswered.sort_by_cached_key(|it| it.provider.clone());
    }
}

impl Provider {
    /// As circuits and pauses know it.
    fn name(&self) -> String {
        match self {
            Self::Region(region) => machines::provider(region),
            Self::Balancer(_, known) => balancers::provider(known),
            Self::Dns => names::PROVIDER.to_owned(),
            Self::Service { service, .. } => service.to_string(),
        }
    }
}

/// Something that its provider has, that a ledger once had, and none has now.
fn left(holding: &Holding, provider: &str) -> FoundOrphan {
    let (left_at, reason) = holding.left();
    let owner = holding.instance;
    let sign = match reason {
        Some(reason) => format!("{owner} had it; somebody took it out of the ledger: {reason}"),
        None => format!("{owner} had it, and it was seen to be gone"),
    };
    FoundOrphan {
        id: holding.id(),
        provider: provider.to_owned(),
        name: holding.resource.name.clone(),
        owner: Some(owner),
        made_at: None,
        left_at,
        sign,
        deletion: None,
    }
}

fn missing(holding: &Holding, provider: &str, instead: Option<String>) -> MissingResource {
    MissingResource {
        instance: holding.instance,
        resource: holding.resource.clone(),
        provider: provider.to_owned(),
        instead,
    }
}

/// What a look gives, or why it gives nothing.
type Looked = Result<Scan, StepError>;
