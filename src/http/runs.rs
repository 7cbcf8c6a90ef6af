//! Runs: list, read with their steps, cancel.

use super::extract::{Body, Params, read_flag};
use super::openapi::Problems;
use super::paging::Choice;
use super::problem::{HttpError, not_found};
use super::{Api, convert};
use crate::app::Caller;
use crate::read_models::RunFilter;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{CancelRun, Page, Run, RunDetail};
use ocim_domain::ids::RunId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which runs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunParams {
    /// Only those about the thing with this id.
    subject: Option<String>,
    /// Only those that do this, e.g. `launch_appserver`.
    definition: Option<String>,
    /// Only those that have not ended.
    #[serde(default, deserialize_with = "read_flag")]
    open: bool,
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
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<RunId>(params.limit, params.after.as_deref())?;
    let filter = RunFilter {
        subject: params.subject,
        definition: params.definition,
        open_only: params.open,
    };
    let models = api.app.read_models();
    let rows = models.list_runs(&filter, choice.rows_to_read(), choice.after.as_deref()).await?;
    let page = choice.page(rows, |row| row.id.as_str(), convert::run)?;
    Ok(HttpResponse::Ok().json(page))
}

/// Reads a run with its steps.
#[utoipa::path(get, path = "/api/v1/runs/{id}", tag = "runs",
    params(("id" = String, Path, description = "`run_…`")),
    responses((status = 200, body = RunDetail), Problems))]
pub(super) async fn read_run(api: Data<Api>, id: Path<RunId>) -> Result<HttpResponse, HttpError> {
    let models = api.app.read_models();
    let id = id.to_string();
    let row = models.read_run(&id).await?.ok_or_else(|| not_found("such run"))?;
    let steps = models.list_run_steps(&id).await?;
    let steps = steps.into_iter().map(convert::run_step).collect::<Result<_, _>>()?;
    Ok(HttpResponse::Ok().json(RunDetail { run: convert::run(row)?, steps }))
}

/// Asks a run to stop and undo what it did.
#[utoipa::path(post, path = "/api/v1/runs/{id}/cancel", tag = "runs", request_body = CancelRun,
    params(("id" = String, Path, description = "`run_…`")),
    responses((status = 204, description = "It will turn back, unless it has passed its point of no return"), Problems))]
pub(super) async fn cancel_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    Body(body): Body<CancelRun>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason.clone()), ..by.into_inner() };
    let done = api.app.cancel_run(&by, *id, body.reason).await?;
    Ok(api.answer_to(done.position, HttpResponse::NoContent()).await.finish())
}
