//! What a simulated Ocim stands on: a store, a clock, ids and a region, all in memory.

use super::crash_store::{CrashStore, OpenedStore};
use super::{Plan, SimulationError};
use crate::app::{App, AppSetting, Caller};
use crate::logs::Logs;
use crate::logs::masking::Masker;
use crate::mails::MailSetting;
use crate::processes::slots::Slots;
use crate::processes::world::{Deployment, Limits, World};
use crate::processes::{definitions, plan_of};
use crate::read_models::ReadModels;
use ocim_adapters::cloud::SIMULATED_PREFIX;
use ocim_adapters::logs::memory::MemoryLogs;
use ocim_adapters::playbooks::Source;
use ocim_adapters::simulated::crashes::Crashes;
use ocim_adapters::simulated::{Nature, SimulatedRegion};
use ocim_adapters::system::SeededIds;
use ocim_domain::Timestamp;
use ocim_domain::configuration::SiteWideSettings;
use ocim_domain::instance::clean_up::{DAYS_DEFAULT, Rule};
use ocim_domain::load_balancer::Registration;
use ocim_domain::resources::ResourcePrefixes;
use ocim_domain::server::ServerAddress;
use ocim_domain::settings::Defaults;
use ocim_domain::shared_server::{Address, Mongodb, Mysql, NewServer, Rabbitmq};
use ocim_domain::system::{Clock, Ids};
use ocim_domain::timer::Job;
use ocim_engine::derived::Derived;
use ocim_engine::derived::memory::MemoryDerived;
use ocim_engine::leases::memory::MemoryLeases;
use ocim_engine::projector::Freshness;
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::node_leases::NodeLeases;
use ocim_engine::sagas::runner::Runner;
use ocim_engine::store::EventStore;
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::sealed::{MemoryKeys, SealedStore};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// The one node.
const NODE: Uuid = Uuid::from_u128(1);
/// The one region.
pub(super) const REGION: &str = "simulated";
/// The balancer that is there from the beginning.
const BALANCER: &str = "balancer.example.com";

/// Shows the time of tokio's own clock, which stands still while anything is to be done.
#[derive(Debug)]
pub struct VirtualClock {
    began: Timestamp,
    since: Instant,
}

impl VirtualClock {
    /// A clock that begins now, at a fixed date.
    #[must_use]
    pub fn start() -> Self {
        Self::starting_at(Timestamp::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
    }

    /// A clock that begins now, and shows that time.
    #[must_use]
    pub fn starting_at(began: Timestamp) -> Self {
        Self { began, since: Instant::now() }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.began + self.since.elapsed()
    }
}

/// What outlives the simulated process.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) store: MemoryStore,
    pub(super) region: Arc<SimulatedRegion>,
    pub(super) crashes: Arc<Crashes>,
    /// Commands of people, whose process never dies.
    pub(super) app: App,
    opened: Arc<OpenedStore>,
    keys: Arc<MemoryKeys>,
    log_lines: Arc<MemoryLogs>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    reads: ReadModels,
    leases: MemoryLeases,
    derived: Arc<dyn Derived>,
}

impl Stage {
    /// A world with one balancer, and a server of each kind that sites share.
    pub(super) async fn new(plan: &Plan) -> Result<Self, SimulationError> {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start());
        let ids: Arc<dyn Ids> = Arc::new(SeededIds::new(plan.seed));
        let store = MemoryStore::with_gaps(Arc::clone(&clock));
        let keys = Arc::new(MemoryKeys::new(Arc::clone(&ids)));
        let crashes = Arc::new(Crashes::new(plan.seed, plan.crashes));
        let nature = Nature { seed: plan.seed, faults: plan.faults, speed: 1.0 };
        let region =
            SimulatedRegion::with_crashes(nature, Arc::clone(&clock), Arc::clone(&crashes));
        let leases = MemoryLeases::new(Arc::clone(&clock));
        let derived = Arc::new(MemoryDerived::default());
        let log_lines = Arc::new(MemoryLogs::default());
        let reads = unconnected()?;
        let logs = Arc::new(Logs::new(log_lines.clone(), Arc::clone(&clock)));
        let raw: Arc<dyn EventStore> = Arc::new(store.clone());
        let sealed = SealedStore::new(Arc::clone(&raw), keys.clone(), Arc::clone(&ids));
        let opened = Arc::new(OpenedStore::new(raw, sealed));
        let sealed = seal(&opened, &Arc::new(Crashes::none()), &keys, &ids);
        let app = new_app(sealed, reads.clone(), logs, Arc::clone(&clock), Arc::clone(&ids));
        let region = Arc::new(region);
        let stage = Self {
            store,
            region,
            crashes,
            app,
            opened,
            keys,
            log_lines,
            clock,
            ids,
            reads,
            leases,
            derived,
        };
        stage.app.register_load_balancer(&somebody(), registration()).await?;
        let mysql = Mysql { host: "mysql.invalid".to_owned(), port: Mysql::PORT, tls: false };
        let (hosts, primary) = (vec!["mongodb.invalid".to_owned()], "mongodb.invalid".to_owned());
        let mongodb =
            Mongodb { hosts, primary, port: Mongodb::PORT, replica_set: None, tls: false };
        let rabbitmq = Rabbitmq {
            api_url: "https://rabbitmq.invalid:15671".to_owned(),
            instance_host: "rabbitmq.invalid".to_owned(),
            instance_port: Rabbitmq::PORT,
        };
        stage.app.add_server(&somebody(), new_server(mysql)).await?;
        stage.app.add_server(&somebody(), new_server(mongodb)).await?;
        stage.app.add_server(&somebody(), new_server(rabbitmq)).await?;
        Ok(stage)
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What a process that starts now works with.
    pub(super) fn open_world(&self) -> Arc<World> {
        let sealed = seal(&self.opened, &self.crashes, &self.keys, &self.ids);
        let logs = Arc::new(Logs::new(self.log_lines.clone(), Arc::clone(&self.clock)));
        let (clock, ids) = (Arc::clone(&self.clock), Arc::clone(&self.ids));
        Arc::new(World {
            app: new_app(sealed, self.reads.clone(), Arc::clone(&logs), clock, ids)
                .with_derived(Arc::clone(&self.derived)),
            ports: self.region.ports(REGION),
            logs,
            limits: limits(),
            deployment: deployment(),
            holds: Holds::default(),
            locks: Mutex::default(),
            slots: Slots::default(),
        })
    }

    /// The process's runner. A new process is the same node: it takes its own leases at once.
    pub(super) fn start_runner(&self) -> Runner {
        let world = self.open_world();
        let leases = NodeLeases::new(Arc::new(self.leases.clone()), NODE, world.limits.runner());
        Runner::start(world, &definitions(), Arc::new(leases))
    }
}

/// A server that takes sites.
fn new_server<A: Address>(address: A) -> NewServer<A> {
    NewServer {
        name: String::new(),
        description: String::new(),
        address,
        username: "root".to_owned(),
        password: "simulated".to_owned(),
        accepts_new_clients: true,
    }
}

/// The store of a process that may die as told.
fn seal(
    opened: &Arc<OpenedStore>,
    crashes: &Arc<Crashes>,
    keys: &Arc<MemoryKeys>,
    ids: &Arc<dyn Ids>,
) -> Arc<SealedStore> {
    let (opened, crashes) = (Arc::clone(opened), Arc::clone(crashes));
    let raw: Arc<dyn EventStore> = Arc::new(CrashStore { opened, crashes });
    Arc::new(SealedStore::new(raw, keys.clone(), Arc::clone(ids)))
}

/// Who asks for everything.
pub(super) fn somebody() -> Caller {
    Caller { reason: Some("simulated".to_owned()), ..Caller::new("local:simulation") }
}

fn new_app(
    sealed: Arc<SealedStore>,
    reads: ReadModels,
    logs: Arc<Logs>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
) -> App {
    let (defaults, regions) = (Defaults::new("example.com", REGION), vec![REGION.to_owned()]);
    let fragment_name_prefix = deployment().fragment_prefix;
    let setting = AppSetting {
        jobs: Job::ALL.to_vec(),
        defaults,
        regions,
        fragment_name_prefix,
        clean_up: Rule::Days(DAYS_DEFAULT),
        has_aws_account: false,
        plan_of,
    };
    App::new(sealed, reads, logs, clock, ids, setting)
}

/// Sagas read no read model: the database behind these is never asked.
///
/// # Errors
/// When the pool can't be made.
pub fn unconnected() -> Result<ReadModels, deadpool_postgres::BuildError> {
    let manager =
        deadpool_postgres::Manager::new(tokio_postgres::Config::new(), tokio_postgres::NoTls);
    let pool = deadpool_postgres::Pool::builder(manager).build()?;
    Ok(ReadModels::new(pool, Freshness::new([])))
}

/// The usual limits, but looks are rarer: nobody waits for their outcome, and each costs real time.
pub(super) fn limits() -> Limits {
    Limits {
        poll_interval: Duration::from_secs(150),
        follow_interval: Duration::from_secs(1200),
        ..Limits::default()
    }
}

/// What deployments in memory are made with.
#[must_use]
pub fn deployment() -> Deployment {
    let source = Source::Bundled("common".to_owned());
    Deployment {
        site_wide: SiteWideSettings::default(),
        security_group: "edxapp-appserver".to_owned(),
        common_playbook: Some((source, "common.yml".to_owned(), "requirements.txt".to_owned())),
        fragment_prefix: "ocim-".to_owned(),
        preliminary_page_ip: Some("192.0.2.9".to_owned()),
        resource_prefixes: ResourcePrefixes::default(),
        alert_addresses: vec![],
        mail: MailSetting::default(),
        own_secrets: vec![],
        own_masker: Arc::new(Masker::new([])),
    }
}

fn registration() -> Registration {
    Registration {
        domain: BALANCER.to_owned(),
        address: ServerAddress {
            ip: IpAddr::V6(Ipv6Addr::from_bits(u128::from(SIMULATED_PREFIX) << 64 | 1)),
            ssh_port: 22,
            http_port: 80,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: true,
        },
        also_listens: None,
        host_keys: vec!["ssh-ed25519 BALANCER".to_owned()],
        fragment_name_prefix: "ocim-".to_owned(),
        fragment_name_postfix: "-main".to_owned(),
        accepts_new_backends: true,
    }
}
