//! A world in memory, on virtual time, and runs that are driven in it.

use super::crash_store::CrashStore;
use super::former::{definitions, plan_of};
use super::outside::Outside;
use super::shared_servers::add_servers;
use ocim::app::lifecycle::LifecycleAsk;
use ocim::app::{
    ActivateAsk, App, AppSetting, Caller, DetailsAsk, ForceAsk, LaunchAsk, Launched, MadeLink,
};
use ocim::logs::Logs;
use ocim::mails::MailSetting;
use ocim::processes::slots::Slots;
use ocim::processes::step::{Definition, Driver, Registry};
use ocim::processes::world::{Deployment, Limits, World};
use ocim::processes::{StartRequest, started_by};
pub(crate) use ocim::simulation::stage::VirtualClock;
use ocim::simulation::stage::{deployment, unconnected};
use ocim_domain::Timestamp;
use ocim_domain::event::{Position, Recorded};
use ocim_domain::fragment::probe_host;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::Maintenance;
use ocim_domain::instance::clean_up::{DAYS_DEFAULT, Rule};
use ocim_domain::load_balancer::Registration;
use ocim_domain::saga::{self, Planted, Run, Saga};
use ocim_domain::server::ServerAddress;
use ocim_domain::settings::Defaults;
use ocim_domain::timer::Job;
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::node_leases::NodeLeases;
use ocim_engine::sagas::runner::{DriveError, Pace, Runner};
use ocim_engine::store::sealed::SealedStore;
use ocim_engine::store::{EventStore, Filter};
use serde_json::{Value, json};
use std::cell::Cell;
use std::ops::Deref;
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

/// A process, and everything that its runs touch, within the test's reach.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) store: Arc<CrashStore>,
    pub(crate) outside: Outside,
    pub(crate) world: Arc<World>,
    pub(crate) instance: InstanceId,
    /// What runs are driven by; each begins in the newest version of its process.
    pub(crate) registry: Registry,
}

/// Tests speak of the stage's cloud, not of the cloud outside of it.
impl Deref for Stage {
    type Target = Outside;

    fn deref(&self) -> &Outside {
        &self.outside
    }
}

impl Stage {
    /// A world with one balancer, a shared server of each kind and one instance, whose site answers whenever it is asked.
    pub(crate) async fn new() -> Self {
        Self::build(|_| {}).await
    }

    /// As [`Stage::new`], in a world that is changed beforehand.
    pub(crate) async fn build(change: impl FnOnce(&mut World)) -> Self {
        Self::build_in(Outside::new(), change).await
    }

    /// As [`Stage::new`], where others are told of sites.
    pub(crate) async fn told() -> Self {
        Self::build_in(Outside { is_told: true, ..Outside::new() }, |_| {}).await
    }

    /// Has others be told of sites from now on.
    pub(crate) fn tell_others(&mut self) {
        self.outside.is_told = true;
        let world = Arc::get_mut(&mut self.world).expect("nobody else has it");
        world.ports.metadata = self.outside.ports().metadata;
    }

    async fn build_in(outside: Outside, change: impl FnOnce(&mut World)) -> Self {
        let stage = Self::without_instance_in(outside, change).await;
        add_servers(stage.app()).await;
        let instance = create_instance(stage.app(), "alpha").await;
        stage.answer_as(SITE, None);
        for number in 1..=4 {
            stage.answer(&probe_host(instance, number), None);
        }
        Self { instance, ..stage }
    }

    /// A changed world with one balancer, for a test that makes an instance of its own.
    pub(crate) async fn without_instance(change: impl FnOnce(&mut World)) -> Self {
        Self::without_instance_in(Outside::new(), change).await
    }

    async fn without_instance_in(outside: Outside, change: impl FnOnce(&mut World)) -> Self {
        let (store, mut world) = open_world(&outside);
        change(&mut world);
        world.app.register_load_balancer(&somebody(), registration()).await.unwrap();
        let instance = InstanceId(Uuid::nil());
        Self { store, outside, world: Arc::new(world), instance, registry: registry() }
    }

    /// A process that starts in a world with a past.
    pub(crate) fn resume(outside: Outside, instance: InstanceId) -> Self {
        let (store, world) = open_world(&outside);
        Self { store, outside, world: Arc::new(world), instance, registry: registry() }
    }

    /// The leases of the node of that number.
    pub(crate) fn node(&self, number: u128) -> Arc<NodeLeases> {
        let (leases, node) = (Arc::new(self.leases.clone()), Uuid::from_u128(number));
        Arc::new(NodeLeases::new(leases, node, self.world.limits.runner()))
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

    /// Has the site's deployments make a user of its LMS, by a playbook of their own.
    pub(crate) async fn add_lms_user(&self) {
        let user = json!({ "username": "ada", "email": "ada@example.com", "password_hash": "a$b" });
        let Value::Object(settings) = json!({ "lms_users": [user] }) else { panic!() };
        let changed = self.app().change_settings(&somebody(), self.instance, settings, None).await;
        changed.unwrap();
    }

    /// A run as its log tells.
    pub(crate) async fn run(&self, id: RunId) -> Run {
        self.app().journal().load::<Saga>(&id.stream()).await.unwrap().state.unwrap()
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

    /// As [`Stage::launch`], by the runner that is at work: its run.
    pub(crate) async fn launch_by_runner(&self) -> RunId {
        let ask = LaunchAsk::default();
        let asked = self.app().launch_appserver(&somebody(), self.instance, ask).await;
        let run = asked.unwrap().value.run;
        while !self.world.logs.is_finished(run).await.unwrap() {
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
        }
        run
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

    pub(crate) async fn begin_restart(&self, id: AppserverId) -> RunId {
        let asked = self.app().restart_appserver(&somebody(), id, ForceAsk::default()).await;
        let run = asked.unwrap().value;
        self.start(run).await;
        run
    }

    /// Asks for a test link of two hours, and starts the run that publishes it.
    pub(crate) async fn begin_link(&self, id: AppserverId) -> MadeLink {
        let made = self.app().make_test_link(&somebody(), id, 120).await.unwrap().value;
        self.start(made.run).await;
        made
    }

    /// Asks to archive, un-archive or delete the instance, and starts the run.
    pub(crate) async fn begin_change(&self, ask: LifecycleAsk) -> RunId {
        let asked = self.app().change_lifecycle(&because(), self.instance, ask).await;
        let run = asked.unwrap().value;
        self.start(run).await;
        run
    }

    /// Asks to give visitors a page, or the site again, and starts the run.
    pub(crate) async fn begin_maintenance(&self, on: bool) -> RunId {
        let until = self.app().journal().now() + chrono::TimeDelta::hours(2);
        let message = "We move to faster machines.".to_owned();
        let page = on.then_some(Maintenance { message, until });
        let asked = self.app().change_maintenance(&somebody(), self.instance, page).await;
        let run = asked.unwrap().value;
        self.start(run).await;
        run
    }

    /// Starts the run that some recorded event asks for.
    pub(crate) async fn start(&self, run: RunId) {
        let request = self.find_request(run).await;
        self.start_run(run, request.definition, request.input, request.subject).await;
    }

    /// As [`Stage::start`], by that version of the process.
    pub(crate) async fn start_version(&self, run: RunId, version: u16) {
        let request = self.find_request(run).await;
        let known = &definitions();
        let mut known = known.iter().filter(|known| known.name == request.definition);
        let definition = known.find(|known| known.version == version).unwrap();
        let (now, limits) = (self.app().journal().now(), &self.world.limits);
        self.record_start(run, definition.start(request, now, limits)).await;
    }

    pub(crate) async fn find_request(&self, run: RunId) -> StartRequest {
        let events = self.events(&[]).await;
        events.iter().filter_map(started_by).find(|asked| asked.run == run).unwrap()
    }

    /// Starts a run of the newest version of a process; of an unknown one, too.
    pub(crate) async fn start_run(&self, run: RunId, name: &str, input: Value, subject: String) {
        let versions = self.registry.values().filter(|known| known.name == name);
        let newest = versions.max_by_key(|known| known.version);
        let deadline = newest.and_then(|newest| newest.deadline);
        let now = self.app().journal().now();
        let command = saga::Command::Start {
            definition: name.to_owned(),
            version: newest.map_or(1, |newest| newest.version),
            input,
            subject,
            deadline: deadline.map(|longest| now + longest(&self.world.limits)),
        };
        self.record_start(run, command).await;
    }

    async fn record_start(&self, run: RunId, command: saga::Command) {
        let meta = somebody().metadata();
        self.app().journal().execute::<Saga>(&run.stream(), &meta, command).await.unwrap();
    }

    pub(crate) async fn cancel(&self, run: RunId) {
        self.app().cancel_run(&somebody(), run, "changed my mind".to_owned(), false).await.unwrap();
    }

    /// As a node records a cancel that does not know the process, and so not whether it is in time.
    pub(crate) async fn record_cancel(&self, run: RunId) {
        let journal = self.app().journal();
        let loaded = journal.load::<Saga>(&run.stream()).await.unwrap();
        let cancel = saga::Event::CancelRequested { reason: "changed my mind".to_owned() };
        let meta = somebody().metadata();
        journal.append(&run.stream(), &meta, loaded, vec![cancel]).await.unwrap();
    }

    /// A driver that takes the run up where its log ends.
    pub(crate) async fn open(&self, run: RunId) -> Result<Driver, DriveError> {
        Driver::open(Arc::clone(&self.world), &self.registry, run).await
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

/// As [`somebody`], with a reason.
pub(crate) fn because() -> Caller {
    Caller { reason: Some("a test".to_owned()), ..somebody() }
}

pub(crate) fn registry() -> Registry {
    index(definitions())
}

/// Definitions by name and version, as drivers look for them.
pub(crate) fn index(all: impl IntoIterator<Item = &'static Definition>) -> Registry {
    all.into_iter().map(|d| ((d.name.to_owned(), d.version), d)).collect()
}

/// What a process works with.
fn open_world(outside: &Outside) -> (Arc<CrashStore>, World) {
    let (clock, ids) = (outside.clock.clone(), outside.ids.clone());
    let seal = |raw| SealedStore::new(raw, outside.keys.clone(), ids.clone());
    let opening = seal(Arc::new(outside.log.clone()));
    let store = Arc::new(CrashStore::new(outside.log.clone(), opening));
    let sealed = Arc::new(seal(Arc::clone(&store) as Arc<dyn EventStore>));
    let logs = Arc::new(Logs::new(outside.lines.clone(), clock.clone()));
    let regions = vec![REGION.to_owned()];
    let defaults = Defaults::new("example.com", REGION);
    let reads = unconnected().unwrap();
    let fragment_name_prefix = "ocim-".to_owned();
    let setting = AppSetting {
        jobs: Job::ALL.into_iter().filter(|job| outside.is_told || !job.tells_others()).collect(),
        defaults,
        regions,
        fragment_name_prefix,
        clean_up: Rule::Days(DAYS_DEFAULT),
        has_aws_account: false,
        plan_of,
    };
    let app = App::new(sealed, reads, Arc::clone(&logs), clock, ids, setting)
        .with_derived(Arc::new(outside.derived.clone()))
        .with_leases(Arc::new(outside.leases.clone()));
    let world = World {
        app,
        ports: outside.ports(),
        logs,
        limits: Limits { planted: PLANTED.get(), ..Limits::default() },
        deployment: Deployment { mail: mail_setting(), ..deployment() },
        holds: Holds::default(),
        locks: Mutex::default(),
        slots: Slots::default(),
    };
    (store, world)
}

/// Two hear of trouble.
pub(crate) fn mail_setting() -> MailSetting {
    MailSetting {
        from: "ocim@example.com".to_owned(),
        admins: vec!["Ops <ops@example.com>".to_owned(), "second@example.com".to_owned()],
        subject_prefix: "[Ocim] ".to_owned(),
    }
}

pub(crate) async fn create_instance(app: &App, name: &str) -> InstanceId {
    let Value::Object(settings) = json!({ "name": name, "sub_domain": name }) else { panic!() };
    app.create_instance(&somebody(), settings, DetailsAsk::default()).await.unwrap().value
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
        fragment_name_prefix: "ocim-".to_owned(),
        fragment_name_postfix: "-main".to_owned(),
        accepts_new_backends: true,
    }
}
