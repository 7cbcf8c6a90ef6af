//! Known trouble: listed, and what people pause and resume.

use super::Api;
use super::convert::word;
use super::extract::{Body, Params, read_choice};
use super::health::HEALTH;
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, invalid, not_found};
use super::routes::{Access, Answer, AnswerHeader, Content, Input, Route, Verb, handler};
use crate::app::{Caller, Done};
use crate::read_models::IncidentRow;
use actix_web::web::{Data, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{Incident, IncidentSubject, PauseWork, ProblemType, ResumeWork, texts};
use ocim_domain::event::Position;
use ocim_domain::ids::IncidentId;
use ocim_domain::incident::Subject;
use ocim_domain::right::Right;
use ocim_projections::incidents;
use serde::Deserialize;
use utoipa::IntoParams;

const NOW: &[Answer] = &[Answer {
    status: 200,
    description: "The incident as it is now",
    content: &[Content::json::<Incident>()],
    headers: &[AnswerHeader::Stale],
    links: &[],
}];

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_incidents),
        method: Verb::Get,
        path: "/api/v1/incidents",
        tag: HEALTH,
        summary: "Lists incidents, newest first",
        description: "What was paused by people, and which provider kept failing, with the beginning and \
            the end of each.",
        access: Access::Granted(Right::IncidentsRead),
        takes: Input::NOTHING.query::<IncidentParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of incidents",
            content: &[Content::page::<Incident>()],
            headers: &[AnswerHeader::Link],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(pause_work),
        method: Verb::Post,
        path: "/api/v1/incidents/pause",
        tag: HEALTH,
        summary: "Has no work begin on something",
        description: "On all, on a region or at a provider. Commands are taken, and their runs wait; \
            steps that are under way end. What a run waits so costs it no attempt and no time. Where it \
            is paused already, reason and end are these from now on.",
        access: Access::Granted(Right::IncidentsPause),
        takes: Input::NOTHING.body::<PauseWork>(),
        answers: NOW,
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(resume_work),
        method: Verb::Post,
        path: "/api/v1/incidents/resume",
        tag: HEALTH,
        summary: "Lets paused work go on",
        description: "All at once, or so many runs a minute, the oldest first.",
        access: Access::Granted(Right::IncidentsResume),
        takes: Input::NOTHING.body::<ResumeWork>(),
        answers: NOW,
        refuses: &[ProblemType::CommandRejected],
    },
];

/// Which incidents are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct IncidentParams {
    /// Only those that are open (`true`), or that are over (`false`).
    #[serde(default, deserialize_with = "read_choice")]
    is_open: Option<bool>,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::LogPosition>)]
    after: Option<String>,
}

/// Lists incidents, newest first.
async fn list_incidents(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<IncidentParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<Position>(params.limit, params.after.as_deref())?;
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.reads(&by).list_incidents(params.is_open, limit, after).await?;
    let page = choice.page(rows, |row: &IncidentRow| row.event.clone(), show_incident)?;
    answer_with_page(&request, &page)
}

/// Has no work begin on something.
async fn pause_work(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<PauseWork>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let subject = read_subject(body.about, body.name)?;
    let done = api.app.pause_work(&by, subject, body.until).await?;
    answer_with_incident(&api, &by, done).await
}

/// Lets paused work go on.
async fn resume_work(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<ResumeWork>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    let subject = read_subject(body.about, body.name)?;
    let done = api.app.resume_work(&by, &subject, body.rate_per_minute).await?;
    answer_with_incident(&api, &by, done).await
}

fn read_subject(about: IncidentSubject, name: Option<String>) -> Result<Subject, HttpError> {
    match (about, name) {
        (IncidentSubject::All, None) => Ok(Subject::All),
        (IncidentSubject::All, Some(_)) => {
            Err(invalid("name", "must be left out: all work has no name"))
        }
        (_, None) => Err(invalid("name", "is required: which one?")),
        (IncidentSubject::Region, Some(name)) => Ok(Subject::Region(name)),
        (IncidentSubject::Provider, Some(name)) => Ok(Subject::Provider(name)),
    }
}

async fn answer_with_incident(
    api: &Api,
    by: &Caller,
    done: Done<IncidentId>,
) -> Result<HttpResponse, HttpError> {
    let shown_by = [incidents::PROJECTOR.name];
    let mut answer = api.answer_to(&shown_by, done.position, HttpResponse::Ok()).await;
    let row = api.app.reads(by).read_incident(&done.value.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such incident yet: it is not shown so soon"))?;
    Ok(answer.json(show_incident(row)?))
}

fn show_incident(row: IncidentRow) -> Result<Incident, HttpError> {
    Ok(Incident {
        id: row.incident,
        number: row.number,
        event: row.event,
        trouble: word(row.trouble)?,
        about: word(row.about)?,
        name: row.name,
        reason: row.reason,
        actor: row.actor,
        began: row.began_at,
        until: row.until,
        rate_per_minute: row.rate,
        ended: row.ended_at,
        ended_by: row.ended_by,
    })
}
