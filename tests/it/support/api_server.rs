//! The HTTP server with real commands, event store and read models, but nobody who drives runs.

use super::ocim::POLL;
use super::postgres::Database;
use ocim::app::idempotency::IdempotencyKeys;
use ocim::app::tokens::Tokens;
use ocim::app::{App, AppSetting, Caller};
use ocim::data_folder::DataFolder;
use ocim::dns_records::RecordLister;
use ocim::http::{self, Api, RunningServer};
use ocim::launch_plan::LaunchPlanner;
use ocim::logs::Logs;
use ocim::metrics::{MeteredLogs, MeteredStore, Metrics};
use ocim::observer::follow_runs;
use ocim::processes::slots::Slots;
use ocim::processes::world::{Limits, World};
use ocim::read_models::ReadModels;
use ocim::resource_scan::ResourceScanner;
use ocim::simulation::stage::deployment;
use ocim::telemetry::Observing;
use ocim::telemetry::traces::{Exporter, Tracer};
use ocim_adapters::Ports;
use ocim_adapters::balancer::fake::FakeLoadBalancer;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::cloud::fake::FakeCloud;
use ocim_adapters::hosts::finder::HostFinder;
use ocim_adapters::logs::postgres::PostgresLogs;
use ocim_adapters::mail::unsent::UnsentMailer;
use ocim_adapters::playbooks::fake::FakePlaybooks;
use ocim_adapters::provisioning::fake::FakeServers;
use ocim_adapters::shell::fake::FakeShell;
use ocim_adapters::sites::fake::FakeSite;
use ocim_adapters::system::{SystemClock, SystemIds};
use ocim_domain::ids::RunId;
use ocim_domain::instance::clean_up::{DAYS_DEFAULT, Rule};
use ocim_domain::saga::{Command, Event, Saga};
use ocim_domain::settings::Defaults;
use ocim_domain::system::Ids;
use ocim_domain::timer::Job;
use ocim_engine::derived::Derived;
use ocim_engine::derived::postgres::PostgresDerived;
use ocim_engine::leases::postgres::PostgresLeases;
use ocim_engine::projector::{ProjectorHandle, ProjectorRuntime};
use ocim_engine::sagas::holds::Holds;
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::sealed::{MemoryKeys, SealedStore};
use ocim_engine::store::{Engine, EventStore};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server of one test's own.
pub(crate) struct ApiServer {
    pub(crate) url: String,
    pub(crate) token: String,
    pub(crate) tokens: Tokens,
    pub(crate) app: App,
    /// What launches are rehearsed on.
    pub(crate) cloud: Arc<FakeCloud>,
    /// The same.
    pub(crate) playbooks: Arc<FakePlaybooks>,
    /// Those that sites share.
    pub(crate) servers: Arc<FakeServers>,
    pub(crate) database: Database,
    stopping: watch::Sender<bool>,
    running: RunningServer,
    store: PostgresStore,
    projector: ProjectorHandle,
    folder: DataFolder,
    _kept: TempDir,
    http: reqwest::Client,
    observer: JoinHandle<()>,
    exporter: Option<Exporter>,
}

impl ApiServer {
    /// Starts one on a free port, with a data folder through which commands find it.
    pub(crate) async fn start() -> Self {
        Self::start_with(None, false).await
    }

    /// As [`ApiServer::start`], with a trace collector, or with metrics that anybody may read.
    pub(crate) async fn start_with(collector: Option<&str>, metrics_public: bool) -> Self {
        let metrics = Arc::new(Metrics::new().unwrap());
        let (tracer, exporter) = collector
            .map(|url| Tracer::start(url, Arc::clone(&metrics)).unwrap())
            .map_or((Tracer::default(), None), |(tracer, it)| (tracer, Some(it)));
        let observing = Observing { metrics, tracer, metrics_public };
        let database = Database::migrated().await;
        let (clock, ids) = (Arc::new(SystemClock), Arc::new(SystemIds));
        let pool = database.pool();
        let store = PostgresStore::connect(database.address(), pool.clone()).await.unwrap();
        let raw: Arc<dyn EventStore> = Arc::new(store.clone());
        let metered = MeteredStore::new(raw.clone(), Arc::clone(&observing.metrics));
        let metered: Arc<dyn EventStore> = Arc::new(metered);
        let keys = Arc::new(MemoryKeys::new(ids.clone()));
        let sealed = Arc::new(SealedStore::new(metered.clone(), keys, ids.clone()));
        let tracer = observing.tracer.clone();
        let derived: Arc<dyn Derived> = Arc::new(PostgresDerived::new(pool.clone()));
        let observer = follow_runs(&metered, &derived, Arc::clone(&observing.metrics), tracer);
        let projector = ProjectorRuntime::start(raw, pool.clone(), ocim_projections::ALL);
        let read_models = ReadModels::new(pool.clone(), projector.freshness());
        let log_store = Arc::new(PostgresLogs::new(pool.clone()));
        let log_store = MeteredLogs::new(log_store, Arc::clone(&observing.metrics));
        let logs = Arc::new(Logs::new(Arc::new(log_store), clock.clone()));
        let defaults = Defaults::new("example.com".to_owned(), "local".to_owned());
        let regions = vec!["local".to_owned()];
        let (fragment_name_prefix, plan_of) = ("ocim-".to_owned(), ocim::processes::plan_of);
        let setting = AppSetting {
            jobs: Job::ALL.to_vec(),
            defaults,
            regions,
            fragment_name_prefix,
            clean_up: Rule::Days(DAYS_DEFAULT),
            has_aws_account: false,
            plan_of,
        };
        let app = App::new(sealed, read_models, logs, clock.clone(), ids.clone(), setting)
            .with_derived(derived)
            .with_leases(Arc::new(PostgresLeases::new(pool.clone())));
        let idempotency = IdempotencyKeys::new(pool.clone(), clock.clone());
        let tokens = Tokens::new(pool, clock, ids.clone());
        let kept = tempfile::tempdir().unwrap();
        let folder = DataFolder::open(kept.path()).unwrap();
        http::ensure_local_token(&tokens, folder.root(), uuid::Uuid::from_u128(1)).await.unwrap();
        let (stopping, stops) = watch::channel(false);
        let (cloud, playbooks) =
            (Arc::new(FakeCloud::default()), Arc::new(FakePlaybooks::default()));
        let world = Arc::new(rehearsal_world(&app, &cloud, &playbooks));
        let servers = Arc::new(FakeServers::default());
        let api = Api {
            app: Arc::new(app.clone()),
            tokens: tokens.clone(),
            idempotency,
            ids,
            stopping: stops,
            planner: LaunchPlanner::new(Arc::clone(&world)),
            records: RecordLister::new(Arc::clone(&world), Arc::new(HostFinder)),
            scanner: ResourceScanner::new(world),
            provisioning: servers.clone(),
            observing: observing.clone(),
            database: database.address().clone(),
        };
        let listener = http::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let running = http::start(Arc::new(api), listener).unwrap();
        folder.write_server(running.address).unwrap();
        let server = Self {
            url: format!("http://{}", running.address),
            token: http::read_local_token(folder.root()).unwrap(),
            tokens,
            app,
            cloud,
            playbooks,
            servers,
            database,
            stopping,
            running,
            store,
            projector,
            folder,
            _kept: kept,
            http: reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap(),
            observer,
            exporter,
        };
        server.until(|response| response.status() == 200, || server.bare("GET", "/ready")).await;
        server
    }

    /// The data folder that commands are pointed to.
    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.root()
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: &str, path: &str) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request with the token, below `/api/v1`.
    pub(crate) fn ask(&self, method: &str, path: &str) -> RequestBuilder {
        self.bare(method, &format!("/api/v1{path}")).bearer_auth(&self.token)
    }

    /// Waits until all read models, each at its own pace, show what the log holds by now. One that
    /// stands still is not waited for.
    pub(crate) async fn catch_up(&self) {
        let head = self.store.head().await.unwrap();
        self.app.read_models().wait_for(head, DEADLINE).await;
    }

    /// The JSON at this path below `/api/v1`, once it is not behind the log.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.catch_up().await;
        let response = self.ask("GET", path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    /// Sends the request until its answer is as wanted.
    pub(crate) async fn until(
        &self,
        is_wanted: impl Fn(&Response) -> bool,
        request: impl Fn() -> RequestBuilder,
    ) -> Response {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        loop {
            let response = request().send().await.unwrap();
            if is_wanted(&response) {
                return response;
            }
            assert!(tokio::time::Instant::now() < deadline, "{response:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// An instance below `sub_domain`.
    pub(crate) async fn given_instance(&self, sub_domain: &str) -> String {
        let body = json!({ "sub_domain": sub_domain, "name": sub_domain });
        let response = self.ask("POST", "/instances").json(&body).send().await.unwrap();
        assert_eq!(response.status(), 201);
        response.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// A run whose log and steps the test writes itself, shown by the read models.
    pub(crate) async fn given_run(&self) -> RunId {
        let run = RunId(SystemIds.new_id());
        self.start_run(run, "apps_test").await;
        run
    }

    /// The start of a launch, as a runner would record it.
    pub(crate) async fn start_run(&self, run: RunId, subject: &str) {
        self.start_run_of("launch_appserver", 1, run, subject).await;
    }

    /// The start of a run of this process in this version.
    pub(crate) async fn start_run_of(&self, name: &str, version: u16, run: RunId, subject: &str) {
        let (definition, subject) = (name.to_owned(), subject.to_owned());
        let (input, deadline) = (json!({}), None);
        let command = Command::Start { definition, version, input, subject, deadline };
        self.record(run, command).await;
    }

    /// Records what a runner would, and waits until it is shown.
    pub(crate) async fn report(&self, run: RunId, event: Event) {
        self.record(run, Command::Report(event)).await;
    }

    async fn record(&self, run: RunId, command: Command) {
        let meta = Caller::new("system").metadata();
        let executed = self.app.journal().execute::<Saga>(&run.stream(), &meta, command).await;
        let position = executed.unwrap().position;
        assert!(self.app.read_models().wait_for(position, DEADLINE).await);
    }

    /// Stops it as a node does: live streams end first.
    pub(crate) async fn stop(self) {
        self.stopping.send_replace(true);
        self.running.stop().await.unwrap();
        self.observer.abort();
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
        self.projector.stop().await;
        self.store.shutdown().await;
    }
}

/// What launches are rehearsed on: nothing is ever made there.
fn rehearsal_world(app: &App, cloud: &Arc<FakeCloud>, playbooks: &Arc<FakePlaybooks>) -> World {
    World {
        app: app.clone(),
        ports: Ports {
            clouds: BTreeMap::from([("local".to_owned(), Arc::clone(cloud) as Arc<dyn Cloud>)]),
            shell: Arc::new(FakeShell::new(Arc::clone(cloud))),
            playbooks: playbooks.clone(),
            load_balancer: Arc::new(FakeLoadBalancer::default()),
            dns: None,
            monitoring: None,
            metadata: None,
            provisioning: Arc::new(FakeServers::default()),
            mailer: Arc::new(UnsentMailer),
            site_probe: Arc::new(FakeSite::default()),
        },
        logs: Arc::clone(app.logs()),
        limits: Limits::default(),
        deployment: deployment(),
        holds: Holds::default(),
        locks: Mutex::default(),
        slots: Slots::default(),
    }
}
