//! The HTTP server: every route in one list, its limits, and its start and stop.

mod appservers;
mod auth;
mod bodiless;
mod bulk;
mod clean_ups;
mod convert;
mod dns_records;
mod events;
mod extract;
mod health;
mod holds;
mod idempotency;
mod incidents;
mod instances;
mod keeping;
mod launch_plans;
mod lifecycle;
mod load_balancers;
mod local_token;
mod logs;
mod mails;
mod maintenance;
mod metrics;
pub mod openapi;
mod operators;
mod orphans;
mod paging;
mod problem;
mod problems;
mod projections;
mod references;
mod regions;
mod resources;
pub mod routes;
mod runs;
mod servers;
mod settings_history;
mod settings_schema;
mod shared_servers;
mod sites;
mod sse;
mod status;
mod stream;
mod strict_json;
mod test_links;
mod timeline;
mod timers;
mod tokens;
mod trace;
mod variables;

pub use local_token::{
    LOCAL_TOKEN_FILE, LOCAL_USER_HEADER, LocalTokenError, ensure_local_token, local_token_name,
    os_user, read_local_token,
};

use crate::app::idempotency::IdempotencyKeys;
use crate::app::tokens::Tokens;
use crate::app::{App as Commands, Caller};
use crate::dns_records::RecordLister;
use crate::launch_plan::LaunchPlanner;
use crate::read_models::FRESHNESS_WAIT;
use crate::resource_scan::ResourceScanner;
use crate::telemetry::Observing;
use actix_web::dev::{HttpServiceFactory, ServerHandle};
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpResponseBuilder, HttpServer};
use ocim_adapters::provisioning::Provisioning;
use ocim_domain::event::Position;
use ocim_domain::right::ReadScope;
use ocim_domain::system::Ids;
use ocim_engine::database::DatabaseAddress;
use ocim_engine::store::EventStore;
use routes::Route;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Most threads that answer. They wait more than they work.
const WORKERS_MAX: usize = 8;
/// Connections to the database of all of them together: no more than a server usually has left.
const WORKERS_CONNECTIONS: usize = 24;

/// The routes of all modules of handlers; the document has their tags in this order.
const LISTS: &[&[Route]] = &[
    instances::ROUTES,
    settings_history::ROUTES,
    appservers::ROUTES,
    keeping::ROUTES,
    test_links::ROUTES,
    variables::ROUTES,
    launch_plans::ROUTES,
    dns_records::ROUTES,
    servers::ROUTES,
    load_balancers::ROUTES,
    shared_servers::MYSQL_ROUTES,
    shared_servers::MONGODB_ROUTES,
    shared_servers::RABBITMQ_ROUTES,
    regions::ROUTES,
    runs::ROUTES,
    operators::ROUTES,
    timeline::ROUTES,
    logs::ROUTES,
    events::ROUTES,
    stream::ROUTES,
    references::ROUTES,
    resources::ROUTES,
    orphans::ROUTES,
    lifecycle::ROUTES,
    holds::ROUTES,
    clean_ups::ROUTES,
    maintenance::ROUTES,
    projections::ROUTES,
    bulk::ROUTES,
    tokens::ROUTES,
    incidents::ROUTES,
    status::ROUTES,
    health::ROUTES,
    mails::ROUTES,
    timers::ROUTES,
    metrics::ROUTES,
    problems::ROUTES,
];

/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for requests under way when the server stops, in seconds.
const SHUTDOWN_TIMEOUT_S: u64 = 5;
/// Most connections of one worker.
const CONNECTIONS_MAX: usize = 4096;

/// Says that the read models have not caught up with what the answer is about.
pub const STALE_HEADER: &str = "X-Stale";

/// What the handlers may call.
#[derive(Debug, Clone)]
pub struct Api {
    /// The commands.
    pub app: Arc<Commands>,
    /// Who may come in.
    pub tokens: Tokens,
    /// Which commands were sent before, and how they were answered.
    pub idempotency: IdempotencyKeys,
    /// Makes request ids.
    pub ids: Arc<dyn Ids>,
    /// Becomes true when the node drains: it is not ready any more, and live streams end.
    pub stopping: watch::Receiver<bool>,
    /// Rehearses launches.
    pub planner: LaunchPlanner,
    /// Lists what sites need in the DNS.
    pub records: RecordLister,
    /// Looks for what nothing accounts for.
    pub scanner: ResourceScanner,
    /// Asks the servers that sites share.
    pub provisioning: Arc<dyn Provisioning>,
    /// Counts and traces what is answered.
    pub observing: Observing,
    /// Where each worker reads, over connections of its own.
    pub database: DatabaseAddress,
}

impl Api {
    /// The same for one worker: what it reads comes by no other thread, which would have to be woken for each
    /// question and each answer.
    fn for_worker(&self, workers: usize) -> Self {
        match self.database.pool(WORKERS_CONNECTIONS / workers) {
            Ok(pool) => Self {
                app: Arc::new(Commands::clone(&self.app).with_reads_over(pool.clone())),
                tokens: self.tokens.clone().over(pool),
                ..self.clone()
            },
            Err(error) => {
                tracing::error!(%error, "a worker shares the connections of all others");
                self.clone()
            }
        }
    }

    /// The event log as it is kept, protected values sealed: the stream shows none.
    fn events(&self, by: &Caller) -> &Arc<dyn EventStore> {
        let ReadScope::Everything = by.sees;
        self.app.store().raw()
    }

    /// Waits a while for the read models that show what was done, by their names; the answer gets a
    /// header when one of them lags behind.
    async fn answer_to(
        &self,
        shown_by: &[&str],
        position: Position,
        mut answer: HttpResponseBuilder,
    ) -> HttpResponseBuilder {
        if !self.app.read_models().wait_for_some(shown_by, position, FRESHNESS_WAIT).await {
            answer.insert_header((STALE_HEADER, "true"));
        }
        answer
    }
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address can't be listened on.
    #[error("can't listen on {address}: choose another address or port, or end who has it")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The server ended by itself.
    #[error("the HTTP server failed")]
    Failed(#[source] io::Error),
}

/// Takes the address, before anything else is started.
///
/// # Errors
/// [`ServeError::Bind`].
pub fn bind(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).map_err(|source| ServeError::Bind { address, source })
}

/// A server that answers.
#[derive(Debug)]
pub struct RunningServer {
    /// Where it answers.
    pub address: SocketAddr,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
}

impl RunningServer {
    /// Takes no new requests, and gives those under way a few seconds. Set `Api::stopping` first.
    ///
    /// # Errors
    /// [`ServeError::Failed`] when the server had failed before.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.handle.stop(true).await;
        match self.task.await {
            Ok(outcome) => outcome.map_err(ServeError::Failed),
            Err(error) => Err(ServeError::Failed(io::Error::other(error))),
        }
    }
}

/// Starts to answer.
///
/// # Errors
/// [`ServeError::Failed`].
pub fn start(api: Arc<Api>, listener: TcpListener) -> Result<RunningServer, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Failed)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = cores.min(WORKERS_MAX);
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new()
            .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .add((header::CACHE_CONTROL, "no-store"));
        App::new()
            .app_data(Data::new(api.for_worker(workers)))
            .wrap(from_fn(bodiless::leave_out_body))
            .wrap(from_fn(trace::make_problems))
            .wrap(from_fn(trace::trace_request))
            .wrap(headers)
            .configure(add_routes)
    })
    .workers(workers)
    .listen(listener)
    .map_err(ServeError::Failed)?
    .client_request_timeout(HEAD_TIMEOUT)
    .max_connections(CONNECTIONS_MAX)
    .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
    .disable_signals()
    .run();
    Ok(RunningServer { address, handle: server.handle(), task: tokio::spawn(server) })
}

/// Serves every route of the list, the pages about it, and a refusal for all else below `/api/v1`.
fn add_routes(config: &mut ServiceConfig) {
    config
        .app_data(extract::path_config())
        .service(openapi::pages())
        .service(web::redirect("/docs", "/docs/"));
    let mut by_path = BTreeMap::<_, Vec<&'static Route>>::new();
    for route in routes::all() {
        // Fixed parts come before those that vary, which would else take them for theirs.
        let order = route.path().replace('{', "\u{7f}");
        by_path.entry((order, route.path())).or_default().push(route);
    }
    for ((_, path), routes) in by_path {
        config.service(resource(path, routes));
    }
    let unknown = web::scope("/api/v1").wrap(from_fn(auth::admit_to_nothing));
    config.service(unknown.default_service(web::to(HttpResponse::NotFound)));
}

/// The routes of one path. It says which methods it knows when it is asked for another; where it knows
/// GET, it knows HEAD, too.
fn resource(path: &'static str, routes: Vec<&'static Route>) -> impl HttpServiceFactory {
    let mut resource = web::resource(path);
    let mut methods: Vec<_> = routes.iter().map(|route| route.method().to_string()).collect();
    methods.sort();
    let allow = methods.join(", ").replace("GET", "GET, HEAD");
    for route in &routes {
        resource = resource.route((route.handler.make)().method(route.method()));
    }
    let refuse = move || {
        let mut answer = HttpResponse::MethodNotAllowed();
        answer.insert_header((header::ALLOW, allow.clone()));
        async move { answer.finish() }
    };
    let routes: Arc<[&'static Route]> = routes.into();
    resource.default_service(web::to(refuse)).wrap(from_fn(idempotency::answer_once)).wrap(from_fn(
        move |api, request, next| auth::admit(api, Arc::clone(&routes), request, next),
    ))
}
