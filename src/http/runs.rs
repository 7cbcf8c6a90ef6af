//! Runs: list, read with their steps and attempts, cancel, and how they went.

use super::Api;
use super::convert::word;
use super::extract::{Body, Params, read_flag, read_search_text, read_time};
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, bad_request, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::app::Caller;
use crate::read_models::{
    DefinitionFigures, RunAttemptRow, RunFilter, RunRow, RunStepRow, StepFigures,
};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, TimeDelta, Utc};
use ocim_api_spec::{
    AttemptOutcome, CancelRun, DefinitionStatistics, Durations, ProblemType, Run, RunAttempt,
    RunDetail, RunOperation, RunPhase, RunStatistics, RunStep, StepStatistics, texts,
};
use ocim_domain::ids::RunId;
use ocim_domain::right::Right;
use ocim_projections::runs;
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::IntoParams;

/// Days that statistics look back when nothing else is asked for.
const STATISTICS_DAYS: i64 = 30;

/// The id of a run in a path.
pub(super) const RUN_ID: PathPart =
    PathPart {
        name: "id", description: "Which run, `run_…`", shape: Shape::of::<texts::RunId>()
    };

pub(super) const RUNS: Tag = Tag { name: "runs", description: "Long work and its steps" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_runs),
        method: Verb::Get,
        path: "/api/v1/runs",
        tag: RUNS,
        summary: "Lists runs, newest first",
        description: "All filters must hold.",
        access: Access::Granted(Right::RunsRead),
        takes: Input::NOTHING.query::<RunParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of runs",
            content: &[Content::page::<Run>()],
            headers: &[AnswerHeader::Link],
            links: &[Link {
                name: "run",
                to: "read_run",
                parameter: "id",
                from: "$response.body#/items/0/id",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_run),
        method: Verb::Get,
        path: "/api/v1/runs/{id}",
        tag: RUNS,
        summary: "Reads a run with its steps and their attempts",
        description: "`phase` says whether more is to come: `completed`, `unwound` and `abandoned` are \
            final.",
        access: Access::Granted(Right::RunsRead),
        takes: Input::NOTHING.path(&[RUN_ID]),
        answers: &[Answer {
            status: 200,
            description: "The run",
            content: &[Content::json::<RunDetail>()],
            headers: &[],
            links: &[
                Link {
                    name: "explanation",
                    to: "explain_run",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "log",
                    to: "read_run_logs",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "timeline",
                    to: "read_run_timeline",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "cancel",
                    to: "cancel_run",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "operate",
                    to: "operate_run",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "raw_log",
                    to: "download_run_logs",
                    parameter: "id",
                    from: "$response.body#/id",
                },
            ],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_run_statistics),
        method: Verb::Get,
        path: "/api/v1/runs/statistics",
        tag: RUNS,
        summary: "Tells how runs went, and how long they and their steps took",
        description: "Of runs that started in the last 30 days, unless `since` says otherwise.",
        access: Access::Granted(Right::RunsRead),
        takes: Input::NOTHING.query::<StatisticsParams>(),
        answers: &[Answer {
            status: 200,
            description: "The figures, by what runs do",
            content: &[Content::json::<RunStatistics>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(cancel_run),
        method: Verb::Post,
        path: "/api/v1/runs/{id}/cancel",
        tag: RUNS,
        summary: "Asks a run to stop and undo what it did",
        description: "Before its point of no return only. `dry_run` only tells what would happen.",
        access: Access::Granted(Right::RunsCancel),
        takes: Input::NOTHING.path(&[RUN_ID]).body::<CancelRun>(),
        answers: &[OPERATED],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// The answer of what is done to a run.
pub(super) const OPERATED: Answer = Answer {
    status: 200,
    description: "What was done, or would be (`dry_run`), in sentences",
    content: &[Content::json::<RunOperation>()],
    headers: &[AnswerHeader::Stale],
    links: &[],
};

/// Which runs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunParams {
    /// Only those about the thing with this id.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    subject: Option<String>,
    /// Only those that do this, e.g. `launch_appserver`.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
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
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::RunId>)]
    after: Option<String>,
}

/// Lists runs, newest first.
async fn list_runs(
    api: Data<Api>,
    by: ReqData<Caller>,
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
    let models = api.app.reads(&by);
    let rows = models.list_runs(&filter, choice.rows_to_read(), choice.after.as_deref()).await?;
    let page = choice.page(rows, |row: &RunRow| row.id.clone(), |row| show_run(row, now))?;
    answer_with_page(&request, &page)
}

/// Reads a run with its steps and their attempts.
async fn read_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
) -> Result<HttpResponse, HttpError> {
    let models = api.app.reads(&by);
    let id = id.to_string();
    let row = models.read_run(&id).await?.ok_or_else(|| not_found("such run"))?;
    let steps = models.list_run_steps(&id).await?;
    let started_runs = models.list_started_runs(&id).await?;
    let attempts = models.list_run_attempts(&[id]).await?;
    let steps = show_run_steps(steps, attempts)?;
    let run = show_run(row, api.app.journal().now())?;
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
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    definition: Option<String>,
}

/// Tells how runs went, and how long they and their steps took.
async fn read_run_statistics(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<StatisticsParams>,
) -> Result<HttpResponse, HttpError> {
    let default = || api.app.journal().now() - TimeDelta::days(STATISTICS_DAYS);
    let since = params.since.unwrap_or_else(default);
    let models = api.app.reads(&by);
    let definition = params.definition.as_deref();
    let (definitions, steps) = tokio::try_join!(
        models.read_definition_figures(definition, since),
        models.read_step_figures(definition, since)
    )?;
    Ok(HttpResponse::Ok().json(show_run_statistics(since, definitions, &steps)))
}

/// Asks a run to stop and undo what it did, before its point of no return.
///
/// `dry_run` only tells what would happen.
async fn cancel_run(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    Body(body): Body<CancelRun>,
) -> Result<HttpResponse, HttpError> {
    let CancelRun { reason, dry_run } = body;
    let done = api.app.cancel_run(&by, *id, reason, dry_run).await?;
    let told = RunOperation { done: !dry_run, sentences: done.value };
    Ok(api.answer_to(&[runs::PROJECTOR.name], done.position, HttpResponse::Ok()).await.json(told))
}

/// How the actor of what a run does begins, before the run's id.
const RUN_ACTOR: &str = "saga:";

/// A run, as it is now.
pub(super) fn show_run(row: RunRow, now: DateTime<Utc>) -> Result<Run, HttpError> {
    let duration = row.ended_at.unwrap_or(now) - row.created_at;
    let phase = word(row.phase)?;
    let cause = row.trouble.or(row.cause);
    Ok(Run {
        outcome: outcome(phase, row.current_step.as_deref(), cause.as_deref()),
        subject_name: row.subject_name,
        providers: row.providers,
        duration_s: duration.as_seconds_f64().max(0.0),
        id: row.id,
        definition: row.definition,
        version: row.version,
        subject: row.subject,
        phase,
        cause,
        stuck_code: row.stuck_code,
        error_code: row.error_code,
        current_step: row.current_step,
        cancel_requested: row.cancel_requested,
        started_by: row.actor.strip_prefix(RUN_ACTOR).map(str::to_owned),
        actor: row.actor,
        created: row.created_at,
        modified: row.updated_at,
        ended: row.ended_at,
    })
}

/// Which way a run goes, or how it ended, in the words of people.
fn outcome(phase: RunPhase, step: Option<&str>, cause: Option<&str>) -> String {
    let cause = cause.unwrap_or("it did not say why");
    match phase {
        RunPhase::Forward => match step {
            Some(step) => format!("under way at {step}"),
            None => "about to begin".to_owned(),
        },
        RunPhase::Unwinding => format!("turning back, {cause}"),
        RunPhase::Completed => "completed".to_owned(),
        RunPhase::Abandoned => format!("given up: {cause}"),
        RunPhase::Stuck | RunPhase::Unwound => cause.to_owned(),
    }
}

/// The steps of a run, each with its attempts.
fn show_run_steps(
    steps: Vec<RunStepRow>,
    attempts: Vec<RunAttemptRow>,
) -> Result<Vec<RunStep>, HttpError> {
    let mut by_step = BTreeMap::<String, Vec<RunAttempt>>::new();
    for row in attempts {
        by_step.entry(row.step.clone()).or_default().push(show_run_attempt(row));
    }
    let with_attempts = |row: RunStepRow| {
        let attempts = by_step.remove(&row.step).unwrap_or_default();
        show_run_step(row, attempts)
    };
    steps.into_iter().map(with_attempts).collect()
}

fn show_run_attempt(row: RunAttemptRow) -> RunAttempt {
    let outcome = row.outcome.map(|outcome| match outcome.as_str() {
        "done" => AttemptOutcome::Done,
        "failed" => AttemptOutcome::Failed,
        _ => AttemptOutcome::Superseded,
    });
    let failed = outcome == Some(AttemptOutcome::Failed);
    RunAttempt {
        attempt: row.attempt,
        is_undo: row.is_undo,
        started: row.started_at,
        ended: row.ended_at,
        duration_s: row.ended_at.map(|end| (end - row.started_at).as_seconds_f64()),
        outcome,
        class: row.class.filter(|_| failed),
        code: row.code.filter(|_| failed),
        error: row.note.filter(|_| failed),
    }
}

/// How runs went.
fn show_run_statistics(
    since: DateTime<Utc>,
    definitions: Vec<DefinitionFigures>,
    steps: &[StepFigures],
) -> RunStatistics {
    let with_steps = |it: DefinitionFigures| {
        let own = steps.iter().filter(|step| step.definition == it.definition);
        DefinitionStatistics {
            steps: own.map(show_step_statistics).collect(),
            durations: show_durations(it.p50, it.p90, it.p99, it.max),
            definition: it.definition,
            runs: it.runs,
            open: it.open,
            stuck: it.stuck,
            completed: it.completed,
            unwound: it.unwound,
        }
    };
    RunStatistics { since, definitions: definitions.into_iter().map(with_steps).collect() }
}

fn show_step_statistics(it: &StepFigures) -> StepStatistics {
    StepStatistics {
        step: it.step.clone(),
        done: it.done,
        skipped: it.skipped,
        attempts: it.attempts,
        retries: it.retries,
        failures: it.failures,
        undos: it.undos,
        undo_failures: it.undo_failures,
        durations: show_durations(it.p50, it.p90, it.p99, it.max),
    }
}

fn show_durations(
    p50_s: Option<f64>,
    p90_s: Option<f64>,
    p99_s: Option<f64>,
    max_s: Option<f64>,
) -> Durations {
    Durations { p50_s, p90_s, p99_s, max_s }
}

fn show_run_step(row: RunStepRow, attempts: Vec<RunAttempt>) -> Result<RunStep, HttpError> {
    Ok(RunStep {
        step: row.step,
        state: word(row.state)?,
        attempt: row.attempt,
        note: row.note,
        retry_at: row.retry_at,
        started: row.started_at,
        modified: row.updated_at,
        attempts,
    })
}
