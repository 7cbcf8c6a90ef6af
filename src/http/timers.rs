//! Timers: when what comes by itself comes next, how it went last, and having it done now.

use super::Api;
use super::appservers::answer_with_run;
use super::extract::Body;
use super::health::HEALTH;
use super::problem::{HttpError, not_found};
use super::routes::{
    Access, Answer, Content, Input, Link, PathPart, Route, STARTED_RUN, Shape, Verb, handler,
};
use crate::app::{Caller, Round};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use chrono::{DateTime, TimeDelta, Utc};
use ocim_api_spec::{Page, RunTimer, Timer, texts};
use ocim_domain::right::Right;
use ocim_domain::timer::{Job, LastRun, Outcome, State};
use ocim_projections::runs;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_timers),
        method: Verb::Get,
        path: "/api/v1/timers",
        tag: HEALTH,
        summary: "Lists what comes again and again by itself",
        description: "What comes every day, and what this node does at short intervals.",
        access: Access::Granted(Right::TimersRead),
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All of it",
            content: &[Content::page::<Timer>()],
            headers: &[],
            links: &[Link {
                name: "run",
                to: "run_timer",
                parameter: "name",
                from: "$response.body#/items/0/name",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(run_timer),
        method: Verb::Post,
        path: "/api/v1/timers/{name}/run",
        tag: HEALTH,
        summary: "Has something done now that comes every day",
        description: "Its next time comes all the same.",
        access: Access::Granted(Right::TimersRun),
        takes: Input::NOTHING
            .path(&[PathPart {
                name: "name",
                description: "Its name, e.g. `delete_old_logs`",
                shape: Shape::of::<texts::Name>(),
            }])
            .body::<RunTimer>(),
        answers: &[STARTED_RUN],
        refuses: &[],
    },
];

/// Lists what comes again and again by itself.
async fn list_timers(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let now = api.app.journal().now();
    let mut items = vec![];
    for job in api.app.jobs().iter().copied() {
        items.push(show_timer(job, api.app.read_timer(job).await?, now));
    }
    items.extend(api.app.rounds().all().into_iter().map(show_round));
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Has something done now that comes every day.
async fn run_timer(
    api: Data<Api>,
    by: ReqData<Caller>,
    name: Path<String>,
    Body(body): Body<RunTimer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    let job: Job = name.parse().map_err(|_| not_found(&format!("timer {name}")))?;
    answer_with_run(&api, &by, &[runs::PROJECTOR.name], api.app.run_timer(&by, job).await?).await
}

fn show_timer(job: Job, state: State, now: DateTime<Utc>) -> Timer {
    let last = state.last;
    Timer {
        name: job.word().to_owned(),
        description: job.describe().to_owned(),
        schedule: format!("every day at {:02}:00 UTC", job.hour()),
        next: Some(job.next_due(now)),
        last: last.as_ref().map(|last| last.began),
        last_due: last.as_ref().and_then(|last| last.due),
        run: last.as_ref().map(|last| last.run.to_string()),
        outcome: last.as_ref().map_or_else(|| "not done yet".to_owned(), tell),
        is_runnable: true,
    }
}

fn tell(last: &LastRun) -> String {
    match (&last.outcome, &last.failure) {
        (Some(Outcome::LogsDeleted { runs, lines, .. }), _) => {
            format!("deleted {runs} logs with {lines} lines")
        }
        (Some(Outcome::AppserversCleanedUp { instances, requested, refused, failed }), _) => {
            let kept: u64 = refused.values().sum();
            let mut told = format!("of {instances} instances, {requested} appservers go");
            for (count, what) in [(kept, "would and stay for now"), (*failed, "instances failed")] {
                if count > 0 {
                    told.push_str(&format!(", {count} {what}"));
                }
            }
            told
        }
        (Some(Outcome::MetadataUpdated { instances, changed, removed, failed }), _) => format!(
            "of {instances} sites, {changed} told anew, {removed} gone removed, {failed} refused"
        ),
        (None, Some(failure)) => format!("not done: {failure}"),
        (None, None) => "under way".to_owned(),
    }
}

fn show_round((name, round): (String, Round)) -> Timer {
    let every = TimeDelta::from_std(round.every).unwrap_or_default();
    let outcome = match (&round.error, round.last) {
        (Some(error), _) => format!("failed: {error}"),
        (None, Some(_)) => "done".to_owned(),
        (None, None) => "not done yet".to_owned(),
    };
    Timer {
        description: format!("{name}, on this node"),
        schedule: format!("about every {} s", round.every.as_secs()),
        next: round.last.map(|last| last + every),
        last: round.last,
        last_due: None,
        run: None,
        outcome,
        is_runnable: false,
        name,
    }
}
