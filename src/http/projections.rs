//! Projections: how far each is, and stepping over an event that one can't take in.

use super::extract::Body;
use super::problem::{HttpError, invalid};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use super::{Api, convert};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{Page, ProblemType, Projection, SkipEvent, texts};
use ocim_domain::right::Right;
use uuid::Uuid;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_projections),
        method: Verb::Get,
        path: "/api/v1/projections",
        tag: Tag::Projections,
        summary: "Lists the builds of all read models",
        description: "How far they are, and the events that paused ones stand at.",
        access: Access::Granted(Right::ProjectionsRead),
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All builds",
            content: &[Content::page::<Projection>()],
            headers: &[],
            links: &[Link {
                name: "skip",
                to: "skip_event",
                parameter: "name",
                from: "$response.body#/items/0/name",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(skip_event),
        method: Verb::Post,
        path: "/api/v1/projections/{name}/skip",
        tag: Tag::Projections,
        summary: "Tells a paused projection to step over the event that it stands at",
        description: "What the event says is then missing in that read model, also after a rebuild, \
            unless a later version can take it in.",
        access: Access::Granted(Right::ProjectionsSkip),
        takes: Input::NOTHING
            .path(&[PathPart {
                name: "name",
                description: "The read model's name",
                shape: Shape::of::<texts::Word>(),
            }])
            .body::<SkipEvent>(),
        answers: &[Answer {
            status: 204,
            description: "It goes on behind the event",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::CommandRejected],
    },
];

/// Lists the builds of all read models: how far they are, and the events that paused ones stand at.
async fn list_projections(api: Data<Api>, _: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let builds = api.app.read_models().projection_status().await?;
    let items: Vec<_> = builds.into_iter().filter_map(convert::projection).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Tells a paused projection to step over the event that it stands at. What the event says is then
/// missing in that read model, also after a rebuild, unless a later version can take it in.
async fn skip_event(
    api: Data<Api>,
    by: ReqData<Caller>,
    name: Path<String>,
    Body(body): Body<SkipEvent>,
) -> Result<HttpResponse, HttpError> {
    let event: Uuid = body.event.parse().map_err(|_| invalid("event", "must be an event's id"))?;
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.skip_event(&by, &name, event).await?;
    Ok(api.answer_to(&[], done.position, HttpResponse::NoContent()).await.finish())
}
