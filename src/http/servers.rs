//! Machines and balancers, to look at.

use super::openapi::Problems;
use super::problem::HttpError;
use super::{Api, convert};
use actix_web::HttpResponse;
use actix_web::web::Data;
use ocim_api_spec::{LoadBalancer, Page, Server};

/// Lists all machines, newest first.
#[utoipa::path(get, path = "/api/v1/servers", tag = "servers",
    responses((status = 200, body = Page<Server>), Problems))]
pub(super) async fn list_servers(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let rows = api.app.read_models().list_servers().await?;
    let items = rows.into_iter().map(convert::server).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Lists all balancers, newest first.
#[utoipa::path(get, path = "/api/v1/load_balancers", tag = "servers",
    responses((status = 200, body = Page<LoadBalancer>), Problems))]
pub(super) async fn list_load_balancers(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let rows = api.app.read_models().list_load_balancers().await?;
    let items: Vec<_> = rows.into_iter().map(convert::load_balancer).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}
