//! Machines and balancers, to look at.

use super::extract::Params;
use super::openapi::Problems;
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::HttpError;
use super::{Api, convert};
use crate::read_models::{LoadBalancerRow, ServerRow};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{LoadBalancer, Page, Server};
use ocim_domain::ids::{LoadBalancerId, ServerId};

/// Lists machines, newest first.
#[utoipa::path(get, path = "/api/v1/servers", tag = "servers", params(PageParams),
    responses((status = 200, body = Page<Server>), Problems))]
pub(super) async fn list_servers(
    api: Data<Api>,
    Params(params): Params<PageParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<ServerId>(params.limit, params.after.as_deref())?;
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.read_models().list_servers(limit, after).await?;
    let page = choice.page(rows, |row: &ServerRow| row.id.clone(), convert::server)?;
    Ok(answer_with_page(&request, page))
}

/// Lists balancers, newest first.
#[utoipa::path(get, path = "/api/v1/load_balancers", tag = "servers", params(PageParams),
    responses((status = 200, body = Page<LoadBalancer>), Problems))]
pub(super) async fn list_load_balancers(
    api: Data<Api>,
    Params(params): Params<PageParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<LoadBalancerId>(params.limit, params.after.as_deref())?;
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.read_models().list_load_balancers(limit, after).await?;
    let id = |row: &LoadBalancerRow| row.id.clone();
    let page = choice.page(rows, id, |row| Ok(convert::load_balancer(row)))?;
    Ok(answer_with_page(&request, page))
}
