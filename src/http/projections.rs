//! Projections: how far each is, and stepping over an event that one can't take in.

use super::extract::Body;
use super::openapi::Problems;
use super::problem::{HttpError, invalid};
use super::{Api, convert};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{Page, Projection, SkipEvent};
use uuid::Uuid;

/// Lists the builds of all read models: how far they are, and the events that paused ones stand at.
#[utoipa::path(get, path = "/api/v1/projections", tag = "projections",
    responses((status = 200, body = Page<Projection>), Problems))]
pub(super) async fn list_projections(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let builds = api.app.read_models().projection_status().await?;
    let items: Vec<_> = builds.into_iter().filter_map(convert::projection).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Tells a paused projection to step over the event that it stands at. What the event says is then
/// missing in that read model, also after a rebuild, unless a later version can take it in.
#[utoipa::path(post, path = "/api/v1/projections/{name}/skip", tag = "projections",
    request_body = SkipEvent,
    params(("name" = String, Path, description = "The read model's name")),
    responses((status = 204, description = "It goes on behind the event"), Problems))]
pub(super) async fn skip_event(
    api: Data<Api>,
    by: ReqData<Caller>,
    name: Path<String>,
    Body(body): Body<SkipEvent>,
) -> Result<HttpResponse, HttpError> {
    let event: Uuid = body.event.parse().map_err(|_| invalid("event", "must be an event's id"))?;
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.skip_event(&by, &name, event).await?;
    Ok(api.answer_to(done.position, HttpResponse::NoContent()).await.finish())
}
