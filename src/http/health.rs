//! Whether the process is up, and whether it can do its work.

use super::Api;
use super::problem::HttpError;
use super::routes::{Access, Answer, Content, Input, Route, Tag, Verb, handler};
use actix_web::HttpResponse;
use actix_web::web::Data;
use ocim_api_spec::{Health, Problem, ProblemType, Readiness};
use std::time::Duration;

/// Longest wait for one answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// When to ask again, in seconds.
const RETRY_AFTER_S: u64 = 2;

pub(super) const HEALTH: Tag = Tag { name: "health", description: "Whether Ocim is well" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(read_health),
        method: Verb::Get,
        path: "/health",
        tag: HEALTH,
        summary: "Says that the process is up",
        description: "And how far the event log has come.",
        access: Access::Anybody { because: "it tells no more than that Ocim is here" },
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "The process is up",
            content: &[Content::json::<Health>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_readiness),
        method: Verb::Get,
        path: "/ready",
        tag: HEALTH,
        summary: "Says whether Ocim can do its work",
        description: "Whether the event store answers and every read model follows it; not while the \
            node drains. Else `errors` names each part that does not do its work.",
        access: Access::Anybody { because: "those who route requests ask without a token" },
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "Everything works",
            content: &[Content::json::<Readiness>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[ProblemType::Unavailable],
    },
];

/// Says that the process is up, and how far the event log has come.
async fn read_health(api: Data<Api>) -> HttpResponse {
    let head = tokio::time::timeout(CHECK_TIMEOUT, api.app.store().raw().head()).await;
    let head = head.ok().and_then(Result::ok).map(|position| position.to_string());
    let version = env!("CARGO_PKG_VERSION").to_owned();
    HttpResponse::Ok().json(Health { status: "ok".to_owned(), version, head })
}

/// Says whether the event store answers and every read model follows it; not while draining.
async fn read_readiness(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    if *api.stopping.borrow() {
        let problem = Problem::new(ProblemType::Unavailable).retry_after_s(RETRY_AFTER_S);
        return Err(problem.error("node", "is draining: ask another one, or wait").into());
    }
    let problem = Problem::new(ProblemType::Unavailable).retry_after_s(RETRY_AFTER_S);
    let faults = list_faults(&api).await.into_iter();
    let problem = faults.fold(problem, |problem, (part, rule)| problem.error(part, rule));
    if problem.errors.is_empty() {
        return Ok(HttpResponse::Ok().json(Readiness { status: "ready".to_owned() }));
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
    let head = tokio::time::timeout(CHECK_TIMEOUT, api.app.store().raw().head()).await;
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
