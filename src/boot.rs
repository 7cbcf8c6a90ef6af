//! Puts the parts together in order, and stops them in order: the one place that names adapters.

mod background;
mod balancer;
mod clouds;
mod error;
mod parts;
mod settings;

pub(crate) use clouds::open_openstack;
pub use error::BootError;
pub(crate) use parts::dns_service;

use crate::app::idempotency::IdempotencyKeys;
use crate::app::tokens::Tokens;
use crate::app::{App, AppSetting};
use crate::config::{Config, Secret};
use crate::data_folder::{DataFolder, HeadFile};
use crate::default_servers::register_default_servers;
use crate::dns_records::RecordLister;
use crate::embedded_postgres::EmbeddedPostgres;
use crate::http::{self, Api, RunningServer};
use crate::launch_plan::LaunchPlanner;
use crate::log_head::{HeadKeeper, check_head};
use crate::logs::Logs;
use crate::metrics::{MeteredLogs, MeteredStore};
use crate::nodes::{self, Presence};
use crate::observer::follow_runs;
use crate::processes;
use crate::processes::slots::{self, Slots};
use crate::processes::world::World;
use crate::read_models::ReadModels;
use crate::resource_scan::ResourceScanner;
use crate::telemetry::traces::Exporter;
use background::Background;
use ocim_adapters::hosts::finder::HostFinder;
use ocim_adapters::logs::postgres::PostgresLogs;
use ocim_adapters::system::{SystemClock, SystemIds};
use ocim_domain::instance::clean_up::Rule;
use ocim_engine::database::DatabaseAddress;
use ocim_engine::derived::Derived;
use ocim_engine::derived::postgres::PostgresDerived;
use ocim_engine::leases::postgres::PostgresLeases;
use ocim_engine::projector::{ProjectorHandle, ProjectorRuntime};
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::node_leases::NodeLeases;
use ocim_engine::sagas::runner::Runner;
use ocim_engine::store::{Engine, EventStore};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running Ocim.
#[derive(Debug)]
pub struct Node {
    services: Services,
    postgres: Option<EmbeddedPostgres>,
    folder: DataFolder,
}

/// What runs on the database.
#[derive(Debug)]
struct Services {
    app: App,
    tokens: Tokens,
    presence: Presence,
    store: Arc<dyn Engine>,
    head: HeadKeeper,
    projector: ProjectorHandle,
    runner: Runner,
    background: Background,
    server: RunningServer,
    stopping: watch::Sender<bool>,
    observer: JoinHandle<()>,
    exporter: Option<Exporter>,
}

impl Node {
    /// Starts everything; when a part fails, those before it are stopped again.
    ///
    /// # Errors
    /// [`BootError`] names the part and says what to do.
    pub async fn start(config: &Config) -> Result<Self, BootError> {
        for definition in processes::definitions() {
            definition.check().map_err(BootError::Definitions)?;
        }
        let folder = DataFolder::open(&config.data_dir).map_err(BootError::Folder)?;
        let address = SocketAddr::new(config.http_address, config.http_port);
        let listener = http::bind(address).map_err(BootError::Http)?;
        // The key comes first: a database without its key is refused, not made anew.
        let given_key = config.secret_key.as_ref();
        let secret_key = folder.secret_key(given_key, &SystemIds).map_err(BootError::Folder)?;
        let (postgres, database) = parts::open_database(config, &folder).await?;
        match Services::start(config, &folder, secret_key, listener, &database).await {
            Ok(services) => Ok(Self { services, postgres, folder }),
            Err(error) => {
                if let Some(postgres) = postgres {
                    postgres.stop().await;
                }
                Err(error)
            }
        }
    }

    /// Its commands and read models.
    #[must_use]
    pub fn app(&self) -> &App {
        &self.services.app
    }

    /// Who may come in.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.services.tokens
    }

    /// Where its API answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.services.server.address
    }

    /// Stops in order: runs at their boundaries, while `/ready` says so; then visitors; then what
    /// they stand on.
    /// Machines and playbooks go on, and are found again. Returns the folder, still locked.
    pub async fn stop(self) -> DataFolder {
        self.services.stop().await;
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
        self.folder
    }
}

impl Services {
    async fn start(
        config: &Config,
        folder: &DataFolder,
        secret_key: Secret,
        listener: TcpListener,
        database: &DatabaseAddress,
    ) -> Result<Self, BootError> {
        let clock = Arc::new(SystemClock);
        let ids = Arc::new(SystemIds);
        let own_secrets = settings::own_secrets(config, &secret_key);
        crate::telemetry::mask_secrets(own_secrets.iter().cloned());
        let (observing, exporter) = parts::observe(config)?;
        let metrics = &observing.metrics;
        // What the ports lack is said before anything stands on the database.
        let key = folder.ensure_ssh_key().await.map_err(BootError::Folder)?;
        let (ports, circuits) = parts::open_ports(config, folder, &key).await?;
        let pool = parts::migrate(database).await?;
        // Before anything is changed that belongs to another node.
        let node = parts::describe_node(config, folder, &key, &*ids)?;
        let presence = nodes::register(&pool, &node).await.map_err(BootError::Node)?;
        let node = node.node;
        let store = parts::open_store(config, database, &pool).await?;
        let metered = MeteredStore::new(Arc::clone(&store) as _, Arc::clone(metrics));
        let metered: Arc<dyn EventStore> = Arc::new(metered);
        let sealed = parts::seal(metered, &pool, &secret_key, ids.clone()).await?;
        let head_file = HeadFile::of(folder.root());
        let known = head_file.read().map_err(BootError::Folder)?;
        let found = check_head(known.as_ref(), &*store, &pool).await.map_err(BootError::Head)?;
        let head = HeadKeeper::start(Arc::clone(&store), head_file, found);
        let raw: Arc<dyn EventStore> = Arc::clone(&store) as _;
        let projector = ProjectorRuntime::start(raw, pool.clone(), ocim_projections::ALL);
        let read_models = ReadModels::new(pool.clone(), projector.freshness());
        let log_store = Arc::new(PostgresLogs::new(pool.clone()));
        let log_store = MeteredLogs::new(log_store, Arc::clone(metrics));
        let logs = Arc::new(Logs::new(Arc::new(log_store), clock.clone()));
        let app = App::new(
            Arc::clone(&sealed),
            read_models,
            Arc::clone(&logs),
            clock.clone(),
            ids.clone(),
            AppSetting {
                defaults: settings::instance_defaults(config),
                regions: config.clouds.keys().cloned().collect(),
                fragment_name_prefix: config.load_balancer_fragment_name_prefix.clone(),
                has_aws_account: config.sites.aws_access_key_id.is_some()
                    && config.sites.aws_secret_access_key.is_some(),
                clean_up: Rule::Days(config.clean_up_days),
                jobs: settings::jobs(config),
                plan_of: processes::plan_of,
            },
        );
        let derived: Arc<dyn Derived> = Arc::new(PostgresDerived::new(pool.clone()));
        let leases = Arc::new(PostgresLeases::new(pool.clone()));
        let app = app.with_derived(Arc::clone(&derived)).with_leases(leases.clone());
        let app = app.with_circuits(circuits);
        let world = Arc::new(World {
            app: app.clone(),
            ports,
            logs,
            limits: settings::limits(config),
            deployment: settings::deployment(config, own_secrets),
            holds: Holds::new(config.test_hold_dir.clone()),
            locks: std::sync::Mutex::default(),
            slots: Slots::default(),
        });
        slots::set_limits(&world).await.map_err(BootError::Regions)?;
        app.refresh_incidents().await.map_err(BootError::Incidents)?;
        if let Some(reason) = &config.start_paused {
            app.pause_start(reason).await.map_err(BootError::Incidents)?;
        }
        register_default_servers(&app, &config.default_servers)
            .await
            .map_err(BootError::SharedServers)?;
        let leases = Arc::new(NodeLeases::new(leases, node, world.limits.runner()));
        let (stopping, stops) = watch::channel(false);
        let idempotency = IdempotencyKeys::new(pool.clone(), clock.clone());
        let tokens = Tokens::new(pool, clock, ids.clone());
        let api = Arc::new(Api {
            app: Arc::new(app.clone()),
            tokens: tokens.clone(),
            idempotency,
            ids,
            stopping: stops,
            planner: LaunchPlanner::new(Arc::clone(&world)),
            records: RecordLister::new(Arc::clone(&world), Arc::new(HostFinder)),
            scanner: ResourceScanner::new(Arc::clone(&world)),
            provisioning: Arc::clone(&world.ports.provisioning),
            database: database.clone(),
            observing: observing.clone(),
        });
        let made = http::ensure_local_token(&tokens, folder.root(), node).await;
        made.map_err(BootError::LocalToken)?;
        let server = http::start(api, listener).map_err(BootError::Http)?;
        folder.write_server(server.address).map_err(BootError::Folder)?;
        let observer =
            follow_runs(app.store().raw(), &derived, Arc::clone(metrics), observing.tracer.clone());
        // Last, when nothing can fail any more: from here on there are effects.
        let runner = Runner::start(Arc::clone(&world), &processes::definitions(), leases);
        let background = Background::start(config, &world);
        Ok(Self {
            app,
            tokens,
            presence,
            store,
            head,
            projector,
            runner,
            background,
            server,
            stopping,
            observer,
            exporter,
        })
    }

    async fn stop(self) {
        // While the runs come to their boundaries, the server tells everybody to go elsewhere.
        self.stopping.send_replace(true);
        self.background.stop().await;
        self.runner.stop().await;
        if let Err(error) = self.server.stop().await {
            tracing::warn!(
                error = ocim_domain::error_chain::chain(&error),
                "the HTTP server had failed"
            );
        }
        self.observer.abort();
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
        self.projector.stop().await;
        self.head.stop().await;
        self.store.shutdown().await;
        self.presence.end().await;
    }
}
