//! Timelines: what happened to an instance, appserver or run, told for people.

use super::Api;
use super::appservers::APPSERVER_ID;
use super::extract::Params;
use super::instances::INSTANCE_ID;
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, bad_request, not_found};
use super::routes::{Access, Answer, AnswerHeader, Content, Input, Route, Tag, Verb, handler};
use super::runs::RUN_ID;
use crate::app::{Caller, Told};
use crate::read_models::Order;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{TimelineItem, texts};
use ocim_domain::event::Position;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::right::Right;
use serde::Deserialize;
use utoipa::IntoParams;

/// The answer of each timeline.
const TOLD: Answer = Answer {
    status: 200,
    description: "A page of what happened",
    content: &[Content::page::<TimelineItem>()],
    headers: &[AnswerHeader::Link],
    links: &[],
};

const TIMELINE: Tag = Tag { name: "timeline", description: "What happened, in sentences" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(read_instance_timeline),
        method: Verb::Get,
        path: "/api/v1/instances/{id}/timeline",
        tag: TIMELINE,
        summary: "Tells what happened to an instance, its appservers, their machines and runs",
        description: "In sentences, newest first unless `order` says otherwise.",
        access: Access::Granted(Right::EventsRead),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).query::<TimelineParams>(),
        answers: &[TOLD],
        refuses: &[],
    },
    Route {
        handler: handler!(read_appserver_timeline),
        method: Verb::Get,
        path: "/api/v1/appservers/{id}/timeline",
        tag: TIMELINE,
        summary: "Tells what happened to an Appserver, its machine and its runs",
        description: "In sentences, newest first unless `order` says otherwise.",
        access: Access::Granted(Right::EventsRead),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).query::<TimelineParams>(),
        answers: &[TOLD],
        refuses: &[],
    },
    Route {
        handler: handler!(read_run_timeline),
        method: Verb::Get,
        path: "/api/v1/runs/{id}/timeline",
        tag: TIMELINE,
        summary: "Tells what happened in a run",
        description: "In sentences, newest first unless `order` says otherwise.",
        access: Access::Granted(Right::EventsRead),
        takes: Input::NOTHING.path(&[RUN_ID]).query::<TimelineParams>(),
        answers: &[TOLD],
        refuses: &[],
    },
];

/// Which part of a timeline is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TimelineParams {
    /// `newest` first, as when left out, or `oldest` first.
    #[param(pattern = "^(newest|oldest)$")]
    order: Option<String>,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::LogPosition>)]
    after: Option<String>,
}

/// Tells what happened to an instance, its appservers, their machines and runs.
async fn read_instance_timeline(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    params: Params<TimelineParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let id = id.to_string();
    let row = api.app.reads(&by).read_instance(&id).await?;
    row.ok_or_else(|| not_found("such instance"))?;
    answer_with_timeline(&api, &by, &id, params.0, &request).await
}

/// Tells what happened to an Appserver, its machine and its runs.
async fn read_appserver_timeline(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    params: Params<TimelineParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let id = id.to_string();
    let row = api.app.reads(&by).read_appserver(&id).await?;
    row.ok_or_else(|| not_found("such appserver"))?;
    answer_with_timeline(&api, &by, &id, params.0, &request).await
}

/// Tells what happened in a run.
async fn read_run_timeline(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<RunId>,
    params: Params<TimelineParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let id = id.to_string();
    let row = api.app.reads(&by).read_run(&id).await?;
    row.ok_or_else(|| not_found("such run"))?;
    answer_with_timeline(&api, &by, &id, params.0, &request).await
}

async fn answer_with_timeline(
    api: &Api,
    by: &Caller,
    subject: &str,
    params: TimelineParams,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let order = read_order(params.order.as_deref())?;
    let choice = Choice::new::<Position>(params.limit, params.after.as_deref())?;
    let after = choice.after_as();
    let told = api.app.read_timeline(by, subject, order, choice.rows_to_read(), after).await?;
    let position = |item: &TimelineItem| item.position.clone();
    let items = told.into_iter().map(show_timeline_item).collect();
    answer_with_page(request, &choice.page(items, position, Ok)?)
}

/// Reads which end comes first.
///
/// # Errors
/// For anything but `newest` and `oldest`.
pub(super) fn read_order(order: Option<&str>) -> Result<Order, HttpError> {
    match order {
        None | Some("newest") => Ok(Order::NewestFirst),
        Some("oldest") => Ok(Order::OldestFirst),
        Some(_) => Err(bad_request("order", "must be `newest` or `oldest`")),
    }
}

/// An event told for people.
fn show_timeline_item(told: Told) -> TimelineItem {
    TimelineItem {
        position: told.event.position.to_string(),
        at: told.event.recorded_at,
        actor: told.event.meta.actor,
        kind: told.event.kind,
        subject: told.subject,
        sentence: told.sentence,
    }
}
