//! Regions, to look at.

use super::openapi::Problems;
use super::problem::HttpError;
use super::{Api, convert};
use actix_web::HttpResponse;
use actix_web::web::Data;
use ocim_api_spec::{Page, Region};

/// Lists all regions by name, with the launches that have a slot and those that wait in line.
#[utoipa::path(get, path = "/api/v1/regions", tag = "servers",
    responses((status = 200, body = Page<Region>), Problems))]
pub(super) async fn list_regions(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let rows = api.app.read_models().list_regions().await?;
    let items: Vec<_> = rows.into_iter().map(convert::region).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}
