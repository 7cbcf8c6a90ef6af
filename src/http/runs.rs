//! Runs: list, read with their steps and attempts, cancel, and how they went.

use super::extract::{Body, Params, read_flag, read_time};
use super::openapi::Problems;
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, bad_request, not_found};
use super::{Api, convert};
use crate::app::Caller;
use crate::read_models::{RunFilter, RunRow};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, TimeDelta, Utc};
use ocim_api_spec::{CancelRun, Page, Run, RunDetail, RunOperation, RunPhase, RunStatistics};
use ocim_domain::ids::RunId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Days that statistics look back when nothing else is asked for.
const STATISTICS_DAYS: i64 = 30;

/// Which runs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunParams {
    /// Only those about the thing with this id.
    subject: Option<String>,
    /// Only those that do this, e.g. `launch_appserver`.
    definition: Option<String>,
    /// Only those that go this way: `forward`, `unwinding`, `stuck`, `completed`, `unwound`,
    /// `abandoned`.
    phase: Option<RunPhase>,
    /// Only those that have not ended.
    #[serde(default, deserialize_with = "read_flag")]
    open: bool,
    /// Only those that can't go on by themselves; the same as `phase=stuck`.
    #[serde(default, deserialize_with = "read_flag")]
    stuck: bool,
    /// Only those that started more than this many seconds ago.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_u32)]
    older_than_s: Option<u32>,
    /// Most items on the page, 1 to 200; 50 when left out.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Lists runs, newest first.
#[utoipa::path(get, path = "/api/v1/runs", tag = "runs", params(RunParams),
    responses((status = 200, body = Page<Run>), Problems))]
pub(super) async fn list_runs(
    api: Data<Api>,
    Params(params): Params<RunParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<RunId>(params.limit, params.after.as_deref())?;
    if params.stuck && params.phase.is_some_and(|phase| phase != RunPhase::Stuck) {
        return Err(bad_request("phase", "can't be another than `stuck` together with `stuck`"));
    }
    let phase = if params.stuck { Some(RunPhase::Stuck) } else { params.phase };
    let now = api.app.journal().now();
    let filter = RunFilter {
        subject: params.subject,
        definition: params.definition,
        phase: phase.map(|phase| phase.word().to_owned()),
        open_only: params.open,
        started_before: params.older_than_s.map(|age| now - TimeDelta::seconds(age.into())),
    };
    let models = api.app.read_models();
    let rows = models.list_runs(&filter, choice.rows_to_read(), choice.after.as_deref()).await?;
    let page = choice.page(rows, |row: &RunRow| row.id.clone(), |row| convert::run(row, now))?;
    Ok(answer_with_page(&request, page))
}

/// Reads a run with its steps and their attempts.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "`run_…`")),
    responses((status = 200, body = RunDetail), Problems))]
pub(super) async fn read_run(api: Data<Api>, id: Path<RunId>) -> Result<HttpResponse, HttpError> {
    let models = api.app.read_models();
    let id = id.to_string();
    let row = models.read_run(&id).await?.ok_or_else(|| not_found("such run"))?;
    let steps = models.list_run_steps(&id).await?;
    let started_runs = models.list_started_runs(&id).await?;
    let attempts = models.list_run_attempts(&[id]).await?;
    let steps = convert::run_steps(steps, attempts)?;
    let run = convert::run(row, api.app.journal().now())?;
    Ok(HttpResponse::Ok().json(RunDetail { run, started_runs, steps }))
}

/// Which runs statistics are about.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct StatisticsParams {
    /// Only runs that started at or after this time; 30 days back when left out.
    #[serde(default, deserialize_with = "read_time")]
    since: Option<DateTime<Utc>>,
    /// Only runs that do this, e.g. `launch_appserver`.
    definition: Option<String>,
}

/// Tells how runs went, and how long they and their steps took.
#[utoipa::path(get, path = "/api/v1/runs/statistics", tag = "runs", params(StatisticsParams),
    responses((status = 200, body = RunStatistics), Problems))]
pub(super) async fn read_run_statistics(
    api: Data<Api>,
    Params(params): Params<StatisticsParams>,
) -> Result<HttpResponse, HttpError> {
    let default = || api.app.journal().now() - TimeDelta::days(STATISTICS_DAYS);
    let since = params.since.unwrap_or_else(default);
    let models = api.app.read_models();
    let definition = params.definition.as_deref();
    let (definitions, steps) = tokio::try_join!(
        models.read_definition_figures(definition, since),
        models.read_step_figures(definition, since)
    )?;
    Ok(HttpResponse::Ok().json(convert::run_statistics(since, definitions, &steps)))
}

/// Asks a run to stop and undo what it did, before its point of no return.
///
/// `dry_run` only tells what would happen.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", request_body = CancelRun,
    params(("id" = String, Path, description = "`run_…`")),
    responses((status = 200, body = RunOperation), Problems))]
pub(super) async fn cancel_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    Body(body): Body<CancelRun>,
) -> Result<HttpResponse, HttpError> {
    let CancelRun { reason, dry_run } = body;
    let done = api.app.cancel_run(&by, *id, reason, dry_run).await?;
    let told = RunOperation { done: !dry_run, sentences: done.value };
    Ok(api.answer_to(done.position, HttpResponse::Ok()).await.json(told))
}
