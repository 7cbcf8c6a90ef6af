//! Regions: their slots, to look at and to change.

use super::extract::Body;
use super::openapi::Problems;
use super::problem::{HttpError, not_found};
use super::{Api, convert};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{ChangeRegion, Page, Region};

/// Lists all regions by name, with the launches that have a slot and those that wait in line.
#[utoipa::path(get, path = "/api/v1/regions", tag = "servers",
    responses((status = 200, body = Page<Region>), Problems))]
pub(super) async fn list_regions(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let rows = api.app.read_models().list_regions().await?;
    let items: Vec<_> = rows.into_iter().map(convert::region).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Changes how many launches run at a time in a region. Those that have a slot keep it.
#[utoipa::path(patch, path = "/api/v1/regions/{region}", tag = "servers",
    request_body = ChangeRegion,
    params(("region" = String, Path, description = "Its name in `OCIM_CLOUDS`")),
    responses((status = 200, body = Region, description = "The region as it is now"), Problems))]
pub(super) async fn change_region(
    api: Data<Api>,
    by: ReqData<Caller>,
    region: Path<String>,
    Body(body): Body<ChangeRegion>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let done = api.app.set_launches_max(&by, &region, body.launches_max).await?;
    let mut answer = api.answer_to(done.position, HttpResponse::Ok()).await;
    let rows = api.app.read_models().list_regions().await?;
    let row = rows.into_iter().find(|row| row.name == *region);
    let row = row.ok_or_else(|| not_found(&format!("region {region}")))?;
    Ok(answer.json(convert::region(row)))
}
