//! Whether the process is up, and whether it can do its work.

use super::Api;
use super::openapi::Problems;
use super::problem::HttpError;
use actix_web::HttpResponse;
use actix_web::web::Data;
use ocim_api_spec::{Problem, ProblemType};
use serde::Serialize;
use std::time::Duration;
use utoipa::ToSchema;

/// Longest wait for one answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// When to ask again, in seconds.
const RETRY_AFTER_S: u64 = 2;

/// The process is up.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    /// Always `ok`.
    status: &'static str,
    /// The version of the program.
    version: &'static str,
    /// Position of the last event; null where the event store does not answer.
    head: Option<String>,
}

/// Everything works.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    /// Always `ready`.
    status: &'static str,
}

/// Says that the process is up, and how far the event log has come.
#[utoipa::path(get, path = "/health", tag = "health", security(()),
    responses((status = 200, body = Health)))]
pub(super) async fn read_health(api: Data<Api>) -> HttpResponse {
    let head = tokio::time::timeout(CHECK_TIMEOUT, api.events().head()).await;
    let head = head.ok().and_then(Result::ok).map(|position| position.to_string());
    HttpResponse::Ok().json(Health { status: "ok", version: env!("CARGO_PKG_VERSION"), head })
}

/// Says whether the event store answers and every read model follows it; not while draining.
#[utoipa::path(get, path = "/ready", tag = "health", security(()),
    responses((status = 200, body = Readiness), Problems))]
pub(super) async fn read_readiness(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    if *api.stopping.borrow() {
        let problem = Problem::new(ProblemType::Unavailable).retry_after_s(RETRY_AFTER_S);
        return Err(problem.error("node", "is draining: ask another one, or wait").into());
    }
    let problem = Problem::new(ProblemType::Unavailable).retry_after_s(RETRY_AFTER_S);
    let faults = list_faults(&api).await.into_iter();
    let problem = faults.fold(problem, |problem, (part, rule)| problem.error(part, rule));
    if problem.errors.is_empty() {
        return Ok(HttpResponse::Ok().json(Readiness { status: "ready" }));
    }
    Err(problem.into())
}

/// The parts that don't do their work, each with what is wrong with it.
pub(super) async fn list_faults(api: &Api) -> Vec<(String, String)> {
    let (events, models) = tokio::join!(check_events(api), check_read_models(api));
    let answers = [("events", events), ("read_models", models)];
    let fault = |(part, answer): (&str, Result<(), String>)| Some((part.to_owned(), answer.err()?));
    answers.into_iter().filter_map(fault).collect()
}

async fn check_events(api: &Api) -> Result<(), String> {
    let head = tokio::time::timeout(CHECK_TIMEOUT, api.events().head()).await;
    if matches!(head, Ok(Ok(_))) { Ok(()) } else { Err("the event store does not answer".into()) }
}

async fn check_read_models(api: &Api) -> Result<(), String> {
    let status = api.app.read_models().projection_status();
    let Ok(Ok(builds)) = tokio::time::timeout(CHECK_TIMEOUT, status).await else {
        return Err("the database does not answer".into());
    };
    for projection in ocim_projections::ALL {
        let mut own = builds.iter().filter(|it| it.build.name == projection.name && it.serving);
        match own.next() {
            Some(status) => {
                if let Some(failure) = &status.failure {
                    let (name, event, kind) = (projection.name, failure.event, &failure.kind);
                    return Err(format!("`{name}` is paused at the event {event} ({kind})"));
                }
            }
            None => return Err(format!("`{}` is being built", projection.name)),
        }
    }
    Ok(())
}
