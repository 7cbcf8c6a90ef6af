//! What Prometheus reads.

use super::Api;
use super::health::HEALTH;
use super::problem::HttpError;
use super::routes::{Access, Answer, Content, Input, Route, Verb, handler};
use crate::metrics::Lag;
use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::Data;
use ocim_api_spec::{Problem, ProblemType};
use ocim_domain::right::Right;
use ocim_engine::store::Filter;
use std::time::Duration;

/// The text format's media type.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Most events that are counted of what a read model has not taken in.
const LAG_EVENTS_MAX: usize = 1_000;
/// Longest wait for the database; without it, the last known lag is shown.
const LAG_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(read_metrics),
    method: Verb::Get,
    path: "/metrics",
    tag: HEALTH,
    summary: "Reads the metrics",
    description: "In the text format of Prometheus.",
    access: Access::GrantedUnlessPublic(Right::MetricsRead),
    takes: Input::NOTHING,
    answers: &[Answer {
        status: 200,
        description: "All metrics as they are now",
        content: &[Content::Text {
            media_type: "text/plain",
            example: "# TYPE ocim_runs_started_total counter\nocim_runs_started_total 12\n",
        }],
        headers: &[],
        links: &[],
    }],
    refuses: &[],
}];

/// Shows all metrics, to whoever bears a token, or to all where the configuration says so.
async fn read_metrics(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    if tokio::time::timeout(LAG_TIMEOUT, show_lags(&api)).await.is_err() {
        tracing::warn!("the database does not answer: the lag of projections is an old one");
    }
    let text = api.observing.metrics.render(api.app.journal().now()).map_err(|error| {
        tracing::error!(%error, "metrics have no text form");
        HttpError::from(Problem::new(ProblemType::Internal))
    })?;
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, TEXT_FORMAT)).body(text))
}

async fn show_lags(api: &Api) {
    let all = Filter::default();
    let Ok(builds) = api.app.read_models().projection_status().await else { return };
    for status in builds.iter().filter(|status| status.serving) {
        let waiting = api.app.store().raw().read_all(status.position, &all, LAG_EVENTS_MAX);
        let Ok((waiting, _)) = waiting.await else { return };
        let age = waiting.first().map(|event| api.app.journal().now() - event.recorded_at);
        let lag = Lag {
            events: i64::try_from(waiting.len()).unwrap_or(i64::MAX),
            seconds: age.map_or(0, |age| age.num_seconds().max(0)),
            paused: status.failure.is_some(),
        };
        api.observing.metrics.show_lag(&status.build.name, lag);
    }
}
