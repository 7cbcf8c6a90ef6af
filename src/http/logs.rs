//! Logs of runs: any range, or live until the run has ended.

use super::extract::{Params, read_flag};
use super::openapi::Problems;
use super::problem::{HttpError, bad_request, not_found};
use super::sse::{self, Message};
use super::{Api, convert};
use crate::logs::Logs;
use crate::ports::log_store::LogLine as StoredLine;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::stream::{self, Stream, StreamExt};
use ocim_api_spec::LogPage;
use ocim_domain::ids::{AppserverId, RunId};
use serde::Deserialize;
use serde_json::json;
use std::future::ready;
use utoipa::IntoParams;

/// Lines of a range when nothing else is asked for.
const LIMIT_DEFAULT: usize = 1000;
/// Most lines of a range.
const LIMIT_MAX: usize = 10_000;

/// Which lines are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LogParams {
    /// Number of the first line, from 1.
    from: Option<u64>,
    /// Most lines, 1 to 10,000; 1,000 when left out. Means nothing with `follow`.
    limit: Option<usize>,
    /// Answer with server-sent events: a `log` a line, whose id is its number, and an `end` once
    /// the run has ended.
    #[serde(default, deserialize_with = "read_flag")]
    follow: bool,
}

/// Reads the log of a run.
#[utoipa::path(get, path = "/api/v1/runs/{id}/logs", tag = "logs",
    params(("id" = String, Path, description = "`run_…`"), LogParams),
    responses((status = 200, body = LogPage), Problems))]
pub(super) async fn read_run_logs(
    api: Data<Api>,
    id: Path<RunId>,
    params: Params<LogParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    if api.app.read_models().read_run(&id.to_string()).await?.is_none() {
        return Err(not_found("such run"));
    }
    answer_with_logs(&api, *id, &params.0, &request).await
}

/// Reads the log of the run that launched an Appserver.
#[utoipa::path(get, path = "/api/v1/appservers/{id}/logs", tag = "logs",
    params(("id" = String, Path, description = "`apps_…`"), LogParams),
    responses((status = 200, body = LogPage), Problems))]
pub(super) async fn read_appserver_logs(
    api: Data<Api>,
    id: Path<AppserverId>,
    params: Params<LogParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let row = api.app.read_models().read_appserver(&id.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such appserver"))?;
    let run = row.launch_run.parse().map_err(|error| super::problem::internal(&error))?;
    answer_with_logs(&api, run, &params.0, &request).await
}

async fn answer_with_logs(
    api: &Api,
    run: RunId,
    params: &LogParams,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let from = params.from.unwrap_or(1);
    if from == 0 {
        return Err(bad_request("from", "must be 1 or more"));
    }
    if params.follow {
        let from = resume_after(request)?.map_or(from, |last| last.saturating_add(1));
        let messages = follow_log(api.app.logs(), run, from);
        return Ok(sse::respond(messages, api.stopping.clone()));
    }
    let limit = params.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(bad_request("limit", format!("must be 1 to {LIMIT_MAX}")));
    }
    let lines = api.app.logs().read_lines(run, from, limit).await?;
    let next = lines.last().map_or(from, |line| line.number.saturating_add(1));
    let lines = lines.into_iter().map(convert::log_line).collect();
    Ok(HttpResponse::Ok().json(LogPage { run: run.to_string(), lines, next }))
}

/// The number of the last line that a client has, when it comes back.
fn resume_after(request: &HttpRequest) -> Result<Option<u64>, HttpError> {
    let Some(value) = request.headers().get("Last-Event-ID") else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number.map(Some).ok_or_else(|| bad_request("Last-Event-ID", "must be the number of a line"))
}

/// A line on its way to a live reader.
pub(super) fn log_message(line: StoredLine) -> Message {
    Message::new("log", &convert::log_line(line))
}

/// Lines from `from` on, each with its number as id, then an `end` once the log is finished.
fn follow_log(logs: &Logs, run: RunId, from: u64) -> impl Stream<Item = Message> + 'static {
    let lines = logs.follow(run, from).map(|line| {
        let number = line.number;
        log_message(line).id(number)
    });
    lines.chain(stream::once(ready(Message::new("end", &json!({})))))
}
