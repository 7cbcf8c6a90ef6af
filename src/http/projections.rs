//! Projections: how far each is, and stepping over an event that one can't take in.

use super::Api;
use super::extract::Body;
use super::problem::{HttpError, invalid};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{
    Page, ProblemType, Projection, ProjectionFailure, ProjectionState, SkipEvent, texts,
};
use ocim_domain::right::Right;
use ocim_engine::projector::{BuildState, ProjectionStatus};
use uuid::Uuid;

const PROJECTIONS: Tag =
    Tag { name: "projections", description: "Read models, and the events they stand at" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_projections),
        method: Verb::Get,
        path: "/api/v1/projections",
        tag: PROJECTIONS,
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
        tag: PROJECTIONS,
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
async fn list_projections(api: Data<Api>, by: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let builds = api.app.reads(&by).list_projections().await?;
    let items: Vec<_> = builds.into_iter().filter_map(show_projection).collect();
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

/// A build of a read model; none for one that is given up.
fn show_projection(status: ProjectionStatus) -> Option<Projection> {
    let state = match status.state {
        BuildState::Running => ProjectionState::Running,
        BuildState::Paused => ProjectionState::Paused,
        BuildState::Rebuilding => ProjectionState::Rebuilding,
        BuildState::Retired => return None,
    };
    let failure = status.failure.map(|it| ProjectionFailure {
        event: it.event.to_string(),
        kind: it.kind,
        stream: it.stream,
        position: it.position,
        error: it.error,
    });
    Some(Projection {
        name: status.build.name,
        version: status.build.version,
        generation: status.build.generation,
        state,
        is_serving: status.serving,
        position: status.position.to_string(),
        failure,
        modified: status.updated_at,
    })
}
