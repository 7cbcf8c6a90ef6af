//! Holds: somebody keeps an instance to himself for a time.

use super::Api;
use super::extract::Body;
use super::instances::{INSTANCE_ID, INSTANCES};
use super::problem::HttpError;
use super::routes::{Access, Answer, AnswerHeader, Input, Route, Verb, handler};
use crate::app::{Caller, Done};
use crate::read_models::InstanceRow;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use chrono::{DateTime, Utc};
use ocim_api_spec::{Hold, HoldInstance, ProblemType, ReleaseHold};
use ocim_domain::ids::InstanceId;
use ocim_domain::right::Right;
use ocim_projections::instances;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(hold_instance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/hold",
        tag: INSTANCES,
        summary: "Keeps everybody else from changing an instance for a time",
        description: "Until `until`, which is at most 92 days ahead, or until it is released. What was \
            asked for before goes on. The holder may place it anew.",
        access: Access::Granted(Right::InstancesHold),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<HoldInstance>(),
        answers: &[Answer {
            status: 204,
            description: "Nobody else changes it until then",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(release_hold),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/release",
        tag: INSTANCES,
        summary: "Lets everybody change an instance again",
        description: "Before its hold ends by itself. Somebody else's is released with `force` and a \
            reason only.",
        access: Access::Granted(Right::InstancesHold),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<ReleaseHold>(),
        answers: &[Answer {
            status: 204,
            description: "Everybody may change it",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::InstanceHeld, ProblemType::CommandRejected],
    },
];

/// Keeps everybody else from changing an instance for a time.
async fn hold_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<HoldInstance>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.hold_instance(&by, *id, body.until).await?;
    Ok(answer(&api, done).await)
}

/// Lets everybody change an instance again.
async fn release_hold(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<ReleaseHold>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    let done = api.app.release_hold(&by, *id, body.force).await?;
    Ok(answer(&api, done).await)
}

async fn answer(api: &Api, done: Done<()>) -> HttpResponse {
    let shown_by = [instances::PROJECTOR.name];
    api.answer_to(&shown_by, done.position, HttpResponse::NoContent()).await.finish()
}

/// The hold of an instance that counts now.
pub(super) fn show_hold(row: &InstanceRow, now: DateTime<Utc>) -> Option<Hold> {
    let until = row.held_until.filter(|until| now < *until)?;
    let (holder, reason) = (row.held_by.clone()?, row.hold_reason.clone()?);
    Some(Hold { holder, reason, until })
}
