//! Timelines: what happened to an instance, appserver or run, told for people.

use super::extract::Params;
use super::openapi::Problems;
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, bad_request, not_found};
use super::{Api, convert};
use crate::read_models::Order;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{Page, TimelineItem};
use ocim_domain::event::Position;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use serde::Deserialize;
use utoipa::IntoParams;

/// Which part of a timeline is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TimelineParams {
    /// `newest` first, as when left out, or `oldest` first.
    order: Option<String>,
    /// Most items on the page, 1 to 200; 50 when left out.
    limit: Option<usize>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Tells what happened to an instance, its appservers, their machines and runs.
#[utoipa::path(get, path = "/api/v1/instances/{id}/timeline", tag = "timeline",
    params(("id" = String, Path, description = "`inst_…`"), TimelineParams),
    responses((status = 200, body = Page<TimelineItem>), Problems))]
pub(super) async fn read_instance_timeline(
    api: Data<Api>,
    id: Path<InstanceId>,
    params: Params<TimelineParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let id = id.to_string();
    let row = api.app.read_models().read_instance(&id).await?;
    row.ok_or_else(|| not_found("such instance"))?;
    answer_with_timeline(&api, &id, params.0, &request).await
}

/// Tells what happened to an Appserver, its machine and its runs.
#[utoipa::path(get, path = "/api/v1/appservers/{id}/timeline", tag = "timeline",
    params(("id" = String, Path, description = "`apps_…`"), TimelineParams),
    responses((status = 200, body = Page<TimelineItem>), Problems))]
pub(super) async fn read_appserver_timeline(
    api: Data<Api>,
    id: Path<AppserverId>,
    params: Params<TimelineParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let id = id.to_string();
    let row = api.app.read_models().read_appserver(&id).await?;
    row.ok_or_else(|| not_found("such appserver"))?;
    answer_with_timeline(&api, &id, params.0, &request).await
}

/// Tells what happened in a run.
#[utoipa::path(get, path = "/api/v1/runs/{id}/timeline", tag = "timeline",
    params(("id" = String, Path, description = "`run_…`"), TimelineParams),
    responses((status = 200, body = Page<TimelineItem>), Problems))]
pub(super) async fn read_run_timeline(
    api: Data<Api>,
    id: Path<RunId>,
    params: Params<TimelineParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let id = id.to_string();
    let row = api.app.read_models().read_run(&id).await?;
    row.ok_or_else(|| not_found("such run"))?;
    answer_with_timeline(&api, &id, params.0, &request).await
}

async fn answer_with_timeline(
    api: &Api,
    subject: &str,
    params: TimelineParams,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let order = read_order(params.order.as_deref())?;
    let choice = Choice::new::<Position>(params.limit, params.after.as_deref())?;
    let after = choice.after_as();
    let told = api.app.read_timeline(subject, order, choice.rows_to_read(), after).await?;
    let position = |item: &TimelineItem| item.position.clone();
    let items = told.into_iter().map(convert::timeline_item).collect();
    Ok(answer_with_page(request, choice.page(items, position, Ok)?))
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
