//! What operators do to runs, and where a run stands.

use super::Api;
use super::extract::Body;
use super::openapi::Problems;
use super::problem::{HttpError, internal};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{OperateRun, RunExplanation, RunOperation, RunVerb};
use ocim_domain::ids::RunId;
use ocim_domain::saga::Verb;

/// Does something to a run that can't go on by itself, or goes the wrong way.
///
/// `dry_run` only tells what would happen. Everything done stands in the run's timeline with who
/// did it and why.
#[utoipa::path(post, path = "/api/v1/runs/{id}/operate", tag = "runs",
    request_body = OperateRun,
    params(("id" = String, Path, description = "`run_…`")),
    responses((status = 200, body = RunOperation), Problems))]
pub(super) async fn operate_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    Body(body): Body<OperateRun>,
) -> Result<HttpResponse, HttpError> {
    let OperateRun { operation, reason, dry_run } = body;
    let verb = match operation {
        RunVerb::RetryStep { step } => Verb::RetryStep { step },
        RunVerb::SkipStep { step, output } => Verb::SkipStep { step, output },
        RunVerb::MarkUndone { step } => Verb::MarkUndone { step },
        RunVerb::ForceUnwind {} => Verb::ForceUnwind,
        RunVerb::ResumeForward {} => Verb::ResumeForward,
        RunVerb::Abandon {} => Verb::Abandon,
    };
    let done = api.app.operate_run(&by, *id, verb, reason, dry_run).await?;
    let told = RunOperation { done: !dry_run, sentences: done.value };
    Ok(api.answer_to(done.position, HttpResponse::Ok()).await.json(told))
}

/// Says where a run stands: what it waits for, since when, until when, and what comes next.
#[utoipa::path(get, path = "/api/v1/runs/{id}/explain", tag = "runs",
    params(("id" = String, Path, description = "`run_…`")),
    responses((status = 200, body = RunExplanation), Problems))]
pub(super) async fn explain_run(
    api: Data<Api>,
    id: Path<RunId>,
) -> Result<HttpResponse, HttpError> {
    let told = api.app.explain_run(*id).await?;
    // As it stands in the log.
    let code = serde_json::to_value(told.code).map_err(|error| internal(&error))?;
    Ok(HttpResponse::Ok().json(RunExplanation {
        sentence: told.sentence,
        waits_for: told.waits_for,
        steps: told.steps,
        since: told.since,
        until: told.until,
        holder: told.holder,
        held_until: told.held_until,
        code: code.as_str().map(str::to_owned),
        cause: told.cause,
        last_error: told.last_error,
        next: told.next,
    }))
}
