//! What operators do to runs, and where a run stands.

use super::Api;
use super::extract::Body;
use super::problem::{HttpError, internal};
use super::routes::{Access, Answer, Content, Input, Route, Verb, handler};
use super::runs::RUNS;
use super::runs::{OPERATED, RUN_ID};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{OperateRun, ProblemType, RunExplanation, RunOperation, RunVerb};
use ocim_domain::ids::RunId;
use ocim_domain::right::Right;
use ocim_domain::saga;
use ocim_projections::runs;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(operate_run),
        method: Verb::Post,
        path: "/api/v1/runs/{id}/operate",
        tag: RUNS,
        summary: "Does something to a run that can't go on by itself, or goes the wrong way",
        description: "`dry_run` only tells what would happen. Everything done stands in the run's \
            timeline with who did it and why.",
        access: Access::Granted(Right::RunsOperate),
        takes: Input::NOTHING.path(&[RUN_ID]).body::<OperateRun>(),
        answers: &[OPERATED],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(explain_run),
        method: Verb::Get,
        path: "/api/v1/runs/{id}/explain",
        tag: RUNS,
        summary: "Says where a run stands",
        description: "What it waits for, since when, until when, and what comes next.",
        access: Access::Granted(Right::RunsRead),
        takes: Input::NOTHING.path(&[RUN_ID]),
        answers: &[Answer {
            status: 200,
            description: "Where it stands",
            content: &[Content::json::<RunExplanation>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
];

/// Does something to a run that can't go on by itself, or goes the wrong way.
///
/// `dry_run` only tells what would happen. Everything done stands in the run's timeline with who
/// did it and why.
async fn operate_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    Body(body): Body<OperateRun>,
) -> Result<HttpResponse, HttpError> {
    let OperateRun { operation, reason, dry_run } = body;
    let verb = match operation {
        RunVerb::RetryStep { step } => saga::Verb::RetryStep { step },
        RunVerb::SkipStep { step, output } => saga::Verb::SkipStep { step, output },
        RunVerb::MarkUndone { step } => saga::Verb::MarkUndone { step },
        RunVerb::ForceUnwind {} => saga::Verb::ForceUnwind,
        RunVerb::ResumeForward {} => saga::Verb::ResumeForward,
        RunVerb::Abandon {} => saga::Verb::Abandon,
    };
    let done = api.app.operate_run(&by, *id, verb, reason, dry_run).await?;
    let told = RunOperation { done: !dry_run, sentences: done.value };
    Ok(api.answer_to(&[runs::PROJECTOR.name], done.position, HttpResponse::Ok()).await.json(told))
}

/// Says where a run stands: what it waits for, since when, until when, and what comes next.
async fn explain_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
) -> Result<HttpResponse, HttpError> {
    let told = api.app.explain_run(&by, *id).await?;
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
