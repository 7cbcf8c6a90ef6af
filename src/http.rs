//! The HTTP server: every route in one list, its limits, and its start and stop.

mod appservers;
mod auth;
mod bodiless;
mod convert;
mod events;
mod extract;
mod health;
mod idempotency;
mod instances;
mod keeping;
mod local_token;
mod logs;
mod metrics;
pub mod openapi;
mod operators;
mod paging;
mod problem;
mod problems;
mod projections;
mod references;
mod regions;
mod runs;
mod servers;
mod sites;
mod sse;
mod status;
mod stream;
mod strict_json;
mod timeline;
mod tokens;
mod trace;

pub use local_token::{
    LOCAL_TOKEN_FILE, LOCAL_USER_HEADER, LocalTokenError, ensure_local_token, os_user,
    read_local_token,
};

use crate::app::App as Commands;
use crate::app::idempotency::IdempotencyKeys;
use crate::app::tokens::Tokens;
use crate::read_models::FRESHNESS_WAIT;
use crate::telemetry::Observing;
use actix_web::dev::{HttpServiceFactory, ServerHandle};
use actix_web::http::header;
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{App, HttpResponse, HttpResponseBuilder, HttpServer, Resource};
use ocim_domain::event::Position;
use ocim_domain::system::Ids;
use ocim_engine::store::EventStore;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Longest wait for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for requests under way when the server stops, in seconds.
const SHUTDOWN_TIMEOUT_S: u64 = 5;
/// Most connections of one worker.
const CONNECTIONS_MAX: usize = 4096;

/// Says that the read models have not caught up with what the answer is about.
pub const STALE_HEADER: &str = "X-Stale";

/// What the handlers may call.
#[derive(Debug)]
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
    /// Counts and traces what is answered.
    pub observing: Observing,
}

impl Api {
    /// The event log as it is kept, protected values sealed: the stream shows none.
    fn events(&self) -> &Arc<dyn EventStore> {
        self.app.store().raw()
    }

    /// Waits a while for the read models; the answer gets a header when they lag behind.
    async fn answer_to(
        &self,
        position: Position,
        mut answer: HttpResponseBuilder,
    ) -> HttpResponseBuilder {
        if !self.app.read_models().wait_for(position, FRESHNESS_WAIT).await {
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
    let data = Data::from(api);
    let server = HttpServer::new(move || {
        let headers = DefaultHeaders::new()
            .add((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
            .add((header::CACHE_CONTROL, "no-store"));
        App::new()
            .app_data(data.clone())
            .wrap(from_fn(bodiless::leave_out_body))
            .wrap(from_fn(trace::make_problems))
            .wrap(from_fn(trace::trace_request))
            .wrap(headers)
            .configure(add_routes)
    })
    .listen(listener)
    .map_err(ServeError::Failed)?
    .client_request_timeout(HEAD_TIMEOUT)
    .max_connections(CONNECTIONS_MAX)
    .shutdown_timeout(SHUTDOWN_TIMEOUT_S)
    .disable_signals()
    .run();
    Ok(RunningServer { address, handle: server.handle(), task: tokio::spawn(server) })
}

/// Every route.
fn add_routes(config: &mut ServiceConfig) {
    config
        .app_data(extract::path_config())
        .service(openapi::pages())
        .service(web::redirect("/docs", "/docs/"))
        .service(resource("/health", "GET").route(web::get().to(health::read_health)))
        .service(resource("/ready", "GET").route(web::get().to(health::read_readiness)))
        .service(resource("/metrics", "GET").route(web::get().to(metrics::read_metrics)))
        .service(resource("/problems", "GET").route(web::get().to(problems::list_problem_pages)))
        .service(
            resource("/problems/{name}", "GET").route(web::get().to(problems::read_problem_page)),
        )
        .service(api_routes());
}

fn api_routes() -> impl HttpServiceFactory {
    web::scope("/api/v1")
        .wrap(from_fn(idempotency::answer_once))
        .wrap(from_fn(auth::require_token))
        .service(
            resource("/instances", "GET, POST")
                .route(web::get().to(instances::list_instances))
                .route(web::post().to(instances::create_instance)),
        )
        .service(
            resource("/instances/{id}", "GET, PATCH")
                .route(web::get().to(instances::read_instance))
                .route(web::patch().to(instances::change_settings)),
        )
        .service(
            resource("/instances/{id}/appservers", "GET, POST")
                .route(web::get().to(appservers::list_appservers))
                .route(web::post().to(appservers::launch_appserver)),
        )
        .service(
            resource("/instances/{id}/timeline", "GET")
                .route(web::get().to(timeline::read_instance_timeline)),
        )
        .service(
            resource("/appservers/{id}/timeline", "GET")
                .route(web::get().to(timeline::read_appserver_timeline)),
        )
        .service(
            resource("/appservers/{id}", "GET").route(web::get().to(appservers::read_appserver)),
        )
        .service(
            resource("/appservers/{id}/logs", "GET")
                .route(web::get().to(logs::read_appserver_logs)),
        )
        .service(
            resource("/appservers/{id}/logs/raw", "GET")
                .route(web::get().to(logs::download_appserver_logs)),
        )
        .service(
            resource("/appservers/{id}/activate", "POST")
                .route(web::post().to(appservers::activate_appserver)),
        )
        .service(
            resource("/appservers/{id}/deactivate", "POST")
                .route(web::post().to(appservers::deactivate_appserver)),
        )
        .service(
            resource("/appservers/{id}/terminate", "POST")
                .route(web::post().to(appservers::terminate_appserver)),
        )
        .service(
            resource("/appservers/{id}/keep", "POST").route(web::post().to(keeping::keep_server)),
        )
        .service(
            resource("/appservers/{id}/clean_up", "POST")
                .route(web::post().to(keeping::clean_up_appserver)),
        )
        .service(resource("/servers", "GET").route(web::get().to(servers::list_servers)))
        .service(resource("/servers/orphans", "GET").route(web::get().to(servers::list_orphans)))
        .service(
            resource("/servers/orphans/{region}/{machine}/delete", "POST")
                .route(web::post().to(servers::delete_orphan)),
        )
        .service(resource("/servers/looks", "GET").route(web::get().to(servers::list_looks)))
        .service(resource("/servers/{id}", "GET").route(web::get().to(servers::read_server)))
        .service(
            resource("/load_balancers", "GET").route(web::get().to(servers::list_load_balancers)),
        )
        .service(
            resource("/load_balancers/{id}/prepare", "POST")
                .route(web::post().to(servers::prepare_load_balancer)),
        )
        .service(resource("/references", "GET").route(web::get().to(references::find_references)))
        .service(resource("/regions", "GET").route(web::get().to(regions::list_regions)))
        .service(
            resource("/regions/{region}", "PATCH").route(web::patch().to(regions::change_region)),
        )
        .service(resource("/runs", "GET").route(web::get().to(runs::list_runs)))
        .service(
            resource("/runs/statistics", "GET").route(web::get().to(runs::read_run_statistics)),
        )
        .service(resource("/runs/{id}", "GET").route(web::get().to(runs::read_run)))
        .service(resource("/runs/{id}/cancel", "POST").route(web::post().to(runs::cancel_run)))
        .service(
            resource("/runs/{id}/operate", "POST").route(web::post().to(operators::operate_run)),
        )
        .service(resource("/runs/{id}/explain", "GET").route(web::get().to(operators::explain_run)))
        .service(
            resource("/runs/{id}/timeline", "GET")
                .route(web::get().to(timeline::read_run_timeline)),
        )
        .service(resource("/runs/{id}/logs", "GET").route(web::get().to(logs::read_run_logs)))
        .service(
            resource("/runs/{id}/logs/raw", "GET").route(web::get().to(logs::download_run_logs)),
        )
        .service(
            resource("/projections", "GET").route(web::get().to(projections::list_projections)),
        )
        .service(
            resource("/projections/{name}/skip", "POST")
                .route(web::post().to(projections::skip_event)),
        )
        .service(resource("/status", "GET").route(web::get().to(status::read_status)))
        .service(
            resource("/tokens", "GET, POST")
                .route(web::get().to(tokens::list_tokens))
                .route(web::post().to(tokens::create_token)),
        )
        .service(
            resource("/tokens/{token}/revoke", "POST").route(web::post().to(tokens::revoke_token)),
        )
        .service(resource("/events", "GET").route(web::get().to(events::list_events)))
        .service(resource("/stream", "GET").route(web::get().to(stream::stream_events)))
}

/// A resource that says which methods it knows when it is asked for another. Where it knows GET, it
/// knows HEAD, too.
fn resource(path: &str, methods: &'static str) -> Resource {
    let allow = methods.replace("GET", "GET, HEAD");
    let refuse = move || {
        let mut answer = HttpResponse::MethodNotAllowed();
        answer.insert_header((header::ALLOW, allow.clone()));
        async move { answer.finish() }
    };
    web::resource(path).default_service(web::to(refuse))
}
