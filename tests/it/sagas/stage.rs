//! A world in memory, on virtual time, and runs that are driven in it.

use super::crash_store::CrashStore;
use ocim::adapters::fake_cloud::FakeCloud;
use ocim::adapters::fake_dns::FakeDns;
use ocim::adapters::fake_load_balancer::FakeLoadBalancer;
use ocim::adapters::fake_playbooks::FakePlaybooks;
use ocim::adapters::fake_shell::FakeShell;
use ocim::adapters::fake_site::FakeSite;
use ocim::adapters::memory_leases::MemoryLeases;
use ocim::adapters::memory_logs::MemoryLogs;
use ocim::adapters::system::CountingIds;
use ocim::app::{ActivateAsk, App, Caller, ForceAsk, LaunchAsk, Launched};
use ocim::logs::Logs;
use ocim::ports::cloud::Cloud;
use ocim::ports::load_balancer::SiteAnswer;
use ocim::ports::system::{Clock, Ids};
use ocim::sagas::leases::NodeLeases;
use ocim::sagas::runner::{DriveError, Driver, Pace, Registry, Runner};
use ocim::sagas::slots::Slots;
use ocim::sagas::step::Definition;
use ocim::sagas::world::{Limits, World};
use ocim::sagas::{Holds, definitions, started_by};
pub(crate) use ocim::simulation::stage::VirtualClock;
use ocim::simulation::stage::{deployment, unconnected};
use ocim::store::memory::MemoryStore;
use ocim::store::sealed::{MemoryKeys, SealedStore};
use ocim::store::{EventStore, Filter};
use ocim_domain::Timestamp;
use ocim_domain::event::{Position, Recorded};
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::load_balancer::Registration;
use ocim_domain::saga::{self, Planted, Run, Saga};
use ocim_domain::server::ServerAddress;
use ocim_domain::settings::Defaults;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

pub(crate) const REGION: &str = "RegionOne";
pub(crate) const BALANCER: &str = "haproxy.example.com";
pub(crate) const SITE: &str = "alpha.example.com";
/// More advances than any run of these tests needs.
const ADVANCES_MAX: usize = 5_000;

thread_local! {
    /// The bug in all worlds that this thread's test builds: only `mutation` plants any.
    pub(crate) static PLANTED: Cell<Planted> = Cell::default();
}

/// Everything that a run touches, within the test's reach.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) store: Arc<CrashStore>,
    pub(crate) cloud: Arc<FakeCloud>,
    pub(crate) shell: Arc<FakeShell>,
    pub(crate) playbooks: Arc<FakePlaybooks>,
    pub(crate) balancer: Arc<FakeLoadBalancer>,
    pub(crate) dns: Arc<FakeDns>,
    pub(crate) site: Arc<FakeSite>,
    pub(crate) world: Arc<World>,
    pub(crate) instance: InstanceId,
    pub(crate) leases: MemoryLeases,
    /// What is known to whoever starts runs: each begins in the newest version of its definition.
    pub(crate) definitions: Vec<&'static Definition>,
}

impl Stage {
    /// A world with one balancer and one instance, whose site answers whenever it is asked.
    pub(crate) async fn new() -> Self {
        Self::build(|_| {}).await
    }

    /// As [`Stage::new`], in a world that is changed beforehand.
    pub(crate) async fn build(change: impl FnOnce(&mut World)) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(VirtualClock::start());
        let ids: Arc<dyn Ids> = Arc::new(CountingIds::default());
        let store = Arc::new(CrashStore::new(MemoryStore::new(clock.clone())));
        let keys = Arc::new(MemoryKeys::new(ids.clone()));
        let raw = Arc::clone(&store) as Arc<dyn EventStore>;
        let sealed = Arc::new(SealedStore::new(raw, keys, ids.clone()));
        let logs = Arc::new(Logs::new(Arc::new(MemoryLogs::default()), clock.clone()));
        let regions = vec![REGION.to_owned()];
        let defaults = Defaults::new("example.com", REGION);
        let reads = unconnected().unwrap();
        let leases = MemoryLeases::new(clock.clone());
        let app = App::new(sealed, reads, Arc::clone(&logs), clock, ids, defaults, regions)
            .with_leases(Arc::new(leases.clone()));
        let cloud = Arc::new(FakeCloud::default());
        let shell = Arc::new(FakeShell::new(Arc::clone(&cloud)));
        let playbooks = Arc::new(FakePlaybooks::default());
        let balancer = Arc::new(FakeLoadBalancer::default());
        let dns = Arc::new(FakeDns::default());
        let site = Arc::new(FakeSite::default());
        let mut world = World {
            app: app.clone(),
            clouds: BTreeMap::from([(REGION.to_owned(), Arc::clone(&cloud) as Arc<dyn Cloud>)]),
            shell: shell.clone(),
            playbooks: playbooks.clone(),
            load_balancer: balancer.clone(),
            dns: Some(dns.clone()),
            site_probe: site.clone(),
            logs,
            limits: Limits { planted: PLANTED.get(), ..Limits::default() },
            deployment: deployment(),
            holds: Holds::default(),
            balancer_locks: Mutex::default(),
            slots: Slots::default(),
        };
        change(&mut world);
        let world = Arc::new(world);
        app.register_load_balancer(&somebody(), registration()).await.unwrap();
        let instance = create_instance(&app, "alpha").await;
        let definitions = definitions();
        let stage = Self {
            store,
            cloud,
            shell,
            playbooks,
            balancer,
            dns,
            site,
            world,
            instance,
            leases,
            definitions,
        };
        stage.answer(SITE, None);
        for number in 1..=4 {
            stage.answer(&format!("ocim-probe-{number}.{SITE}"), None);
        }
        stage
    }

    /// The leases of the node of that number.
    pub(crate) fn node(&self, number: u128) -> Arc<NodeLeases> {
        let (leases, node) = (Arc::new(self.leases.clone()), Uuid::from_u128(number));
        Arc::new(NodeLeases::new(leases, node, &self.world.limits))
    }

    /// A runner of the one node that there usually is.
    pub(crate) fn start_runner(&self) -> Runner {
        Runner::start(self.world.clone(), &definitions(), self.node(1))
    }

    /// Asks for a launch of each of so many new instances.
    pub(crate) async fn ask_many(&self, count: usize) -> Vec<Launched> {
        let mut asked = vec![];
        for number in 0..count {
            let instance = create_instance(self.app(), &format!("site-{number}")).await;
            self.answer(&format!("site-{number}.example.com"), None);
            let ask = LaunchAsk::default();
            let launched = self.app().launch_appserver(&somebody(), instance, ask).await;
            asked.push(launched.unwrap().value);
        }
        asked
    }

    /// A run as its log tells.
    pub(crate) async fn run(&self, id: RunId) -> Run {
        self.app().journal().load::<Saga>(&id.stream()).await.unwrap().state.unwrap()
    }

    /// What a host answers from now on, in whose name.
    pub(crate) fn answer(&self, host: &str, appserver: Option<String>) {
        let answer = SiteAnswer { status: 200, body: String::new(), appserver };
        self.site.set_answer(host, Some(answer));
    }

    pub(crate) fn app(&self) -> &App {
        &self.world.app
    }

    /// Asks for an Appserver and starts its run.
    pub(crate) async fn begin_launch(&self, ask: LaunchAsk) -> Launched {
        let asked = self.app().launch_appserver(&somebody(), self.instance, ask).await;
        let launched = asked.unwrap().value;
        self.start(launched.run).await;
        launched
    }

    /// An Appserver that runs.
    pub(crate) async fn launch(&self) -> Launched {
        let launched = self.begin_launch(LaunchAsk::default()).await;
        let run = self.drive(launched.run).await;
        assert_eq!(run.phase, saga::Phase::Completed);
        launched
    }

    /// Asks for traffic and starts the run.
    pub(crate) async fn begin_activation(&self, id: AppserverId, deactivate_others: bool) -> RunId {
        let ask = ActivateAsk { deactivate_others, force: false };
        let run = self.app().activate_appserver(&somebody(), id, ask).await.unwrap().value;
        self.start(run).await;
        run
    }

    /// An Appserver that runs and receives traffic beside those that do.
    pub(crate) async fn launch_active(&self) -> Launched {
        let launched = self.launch().await;
        let run = self.begin_activation(launched.appserver, false).await;
        assert_eq!(self.drive(run).await.phase, saga::Phase::Completed);
        launched
    }

    pub(crate) async fn begin_deactivation(&self, id: AppserverId) -> RunId {
        let asked = self.app().deactivate_appserver(&somebody(), id, ForceAsk::default()).await;
        let run = asked.unwrap().value;
        self.start(run).await;
        run
    }

    pub(crate) async fn begin_termination(&self, id: AppserverId) -> RunId {
        let asked = self.app().terminate_appserver(&somebody(), id, ForceAsk::default()).await;
        let run = asked.unwrap().value;
        self.start(run).await;
        run
    }

    /// Starts the run that some recorded event asks for.
    pub(crate) async fn start(&self, run: RunId) {
        let events = self.events(&[]).await;
        let request = events.iter().filter_map(started_by).find(|asked| asked.run == run).unwrap();
        self.start_run(run, request.definition, request.input, request.subject).await;
    }

    pub(crate) async fn start_run(&self, run: RunId, name: &str, input: Value, subject: String) {
        let versions = self.definitions.iter().filter(|known| known.name == name);
        let command = saga::Command::Start {
            definition: name.to_owned(),
            version: versions.map(|known| known.version).max().unwrap_or(1),
            input,
            subject,
            deadline: None,
        };
        let meta = somebody().metadata();
        self.app().journal().execute::<Saga>(&run.stream(), &meta, command).await.unwrap();
    }

    pub(crate) async fn cancel(&self, run: RunId) {
        self.app().cancel_run(&somebody(), run, "changed my mind".to_owned()).await.unwrap();
    }

    /// A driver that takes the run up where its log ends.
    pub(crate) async fn open(&self, run: RunId) -> Result<Driver, DriveError> {
        Driver::open(Arc::clone(&self.world), &registry(), run).await
    }

    /// Drives a run until it is at rest, with a new driver after each crash and each outage.
    pub(crate) async fn drive(&self, run: RunId) -> Run {
        self.drive_until(run, |_| false).await
    }

    /// As [`Stage::drive`], but stops early once the run is as wanted.
    pub(crate) async fn drive_until(&self, id: RunId, wanted: impl Fn(&Run) -> bool) -> Run {
        let mut driver = None;
        for _ in 0..ADVANCES_MAX {
            let paced = tokio::select! {
                biased;
                () = self.store.crash() => None,
                paced = self.advance(&mut driver, id) => Some(paced),
            };
            if let Some(driver) = driver.as_ref().filter(|driver| wanted(driver.run())) {
                return driver.run().clone();
            }
            match paced {
                None => driver = None,
                Some(Ok(Pace::Again)) => {}
                Some(Ok(Pace::At(time))) => self.sleep_until(time).await,
                Some(Ok(Pace::AtRest)) => return driver.unwrap().run().clone(),
                Some(Err(DriveError::Unavailable(_))) => driver = None,
                Some(Err(error)) => panic!("{error:?}"),
            }
        }
        panic!("the run is never at rest: {:?}", driver.map(|driver| driver.run().clone()))
    }

    /// Drives until the process "dies" as ordered, or the run is at rest; true if it died.
    pub(crate) async fn drive_to_crash(&self, id: RunId) -> bool {
        let mut driver = None;
        loop {
            let paced = tokio::select! {
                biased;
                () = self.store.crash() => return true,
                paced = self.advance(&mut driver, id) => paced.unwrap(),
            };
            match paced {
                Pace::Again => {}
                Pace::At(time) => self.sleep_until(time).await,
                Pace::AtRest => return false,
            }
        }
    }

    /// Drives with a new driver for every single thing: as if the process died all the time.
    pub(crate) async fn drive_by_many(&self, id: RunId) -> Run {
        for _ in 0..ADVANCES_MAX {
            let mut driver = None;
            match self.advance(&mut driver, id).await.unwrap() {
                Pace::Again => {}
                Pace::At(time) => self.sleep_until(time).await,
                Pace::AtRest => return driver.unwrap().run().clone(),
            }
        }
        panic!("the run is never at rest")
    }

    async fn advance(&self, driver: &mut Option<Driver>, id: RunId) -> Result<Pace, DriveError> {
        if driver.is_none() {
            *driver = Some(self.open(id).await?);
        }
        driver.as_mut().unwrap().advance().await
    }

    pub(crate) async fn sleep_until(&self, time: Timestamp) {
        let pause = (time - self.app().journal().now()).to_std().unwrap_or_default();
        tokio::time::sleep(pause).await;
    }

    /// Everything recorded so far, of these kinds.
    pub(crate) async fn events(&self, kinds: &[&str]) -> Vec<Recorded> {
        let kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        let filter = Filter { kinds, ..Filter::default() };
        let log = self.app().journal().store();
        log.read_all(Position::START, &filter, usize::MAX).await.unwrap().0
    }

    /// Kind and step of each of a run's events, in order.
    pub(crate) async fn history(&self, run: RunId) -> Vec<(String, String)> {
        let events = self.app().journal().store().read_stream(&run.stream(), 0).await.unwrap();
        let step = |data: &Value| data["step"].as_str().unwrap_or_default().to_owned();
        events.into_iter().map(|event| (event.kind, step(&event.data))).collect()
    }
}

pub(crate) fn somebody() -> Caller {
    Caller::new("token:tests")
}

pub(crate) fn registry() -> Registry {
    definitions().into_iter().map(|d| ((d.name.to_owned(), d.version), d)).collect()
}

async fn create_instance(app: &App, name: &str) -> InstanceId {
    let Value::Object(settings) = json!({ "name": name, "sub_domain": name }) else { panic!() };
    app.create_instance(&somebody(), settings).await.unwrap().value
}

pub(crate) fn registration() -> Registration {
    Registration {
        domain: BALANCER.to_owned(),
        address: ServerAddress {
            ip: "192.0.2.1".parse().unwrap(),
            ssh_port: 22,
            http_port: 80,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: true,
        },
        also_listens: None,
        host_keys: vec!["ssh-ed25519 BALANCER".to_owned()],
        fragment_name_postfix: "-main".to_owned(),
        accepts_new_backends: true,
    }
}
