//! Machines, regions and balancers to look at, and machines that nobody accounts for.

use super::appservers::answer_with_run;
use super::extract::{Body, Params};
use super::openapi::Problems;
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::{HttpError, not_found};
use super::{Api, convert};
use crate::app::Caller;
use crate::read_models::{LoadBalancerRow, ServerRow};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{
    DeleteOrphan, LoadBalancer, Orphan, OrphanDeletionPlan, Page, PreparationPlan,
    PrepareLoadBalancer, RegionLook, Server, StartedRun,
};
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

/// Reads a machine.
#[utoipa::path(get, path = "/api/v1/servers/{id}", tag = "servers",
    params(("id" = String, Path, description = "`serv_…`")),
    responses((status = 200, body = Server), Problems))]
pub(super) async fn read_server(
    api: Data<Api>,
    id: Path<ServerId>,
) -> Result<HttpResponse, HttpError> {
    let row = api.app.read_models().read_server(&id.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such server"))?;
    Ok(HttpResponse::Ok().json(convert::server(row)?))
}

/// Lists the machines that bear our mark, but that nothing accounts for.
#[utoipa::path(get, path = "/api/v1/servers/orphans", tag = "servers",
    responses((status = 200, body = Page<Orphan>), Problems))]
pub(super) async fn list_orphans(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let rows = api.app.read_models().list_orphans().await?;
    let items = rows.into_iter().map(convert::orphan).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Takes away a machine that nothing accounts for.
#[utoipa::path(post, path = "/api/v1/servers/orphans/{region}/{machine}/delete", tag = "servers",
    request_body = DeleteOrphan,
    params(("region" = String, Path, description = "The region's name"),
        ("machine" = String, Path, description = "The cloud's id of the machine")),
    responses(
        (status = 200, body = OrphanDeletionPlan, description = "What would be done (`dry_run`)"),
        (status = 202, body = StartedRun), Problems))]
pub(super) async fn delete_orphan(
    api: Data<Api>,
    by: ReqData<Caller>,
    path: Path<(String, String)>,
    Body(body): Body<DeleteOrphan>,
) -> Result<HttpResponse, HttpError> {
    let (region, machine) = path.into_inner();
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    if body.dry_run {
        let orphan = api.app.plan_orphan_deletion(&by, &region, &machine).await?;
        let would = format!(
            "a run would delete machine {machine} (`{}`) of region {region} with its disk",
            orphan.name
        );
        return Ok(HttpResponse::Ok().json(OrphanDeletionPlan { would }));
    }
    answer_with_run(&api, api.app.delete_orphan(&by, &region, &machine).await?).await
}

/// Lists the configured regions, with what this node last saw of them.
#[utoipa::path(get, path = "/api/v1/servers/looks", tag = "servers",
    responses((status = 200, body = Page<RegionLook>), Problems))]
pub(super) async fn list_looks(api: Data<Api>) -> Result<HttpResponse, HttpError> {
    let show = |name: &String| {
        let look = api.app.looks().of(name);
        RegionLook {
            name: name.clone(),
            last_seen_at: look.last_seen_at,
            error: look.error,
            machines: look.machines,
        }
    };
    let items: Vec<RegionLook> = api.app.regions().iter().map(show).collect();
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
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
    let page = choice.page(rows, id, convert::load_balancer)?;
    Ok(answer_with_page(&request, page))
}

/// Has everything at a balancer as it should be: HAProxy, our program, and what the sites need.
#[utoipa::path(post, path = "/api/v1/load_balancers/{id}/prepare", tag = "servers",
    request_body = PrepareLoadBalancer,
    params(("id" = String, Path, description = "`lbal_…`")),
    responses(
        (status = 200, body = PreparationPlan, description = "What would be done (`dry_run`)"),
        (status = 202, body = StartedRun), Problems))]
pub(super) async fn prepare_load_balancer(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<LoadBalancerId>,
    Body(body): Body<PrepareLoadBalancer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    if body.dry_run {
        let domain = api.app.plan_preparation(&by, *id).await?.domain;
        let would = format!(
            "a run would install what is missing on {domain}, start HAProxy if it does not run, and \
             put its fragments right"
        );
        return Ok(HttpResponse::Ok().json(PreparationPlan { would }));
    }
    answer_with_run(&api, api.app.prepare_load_balancer(&by, *id).await?).await
}
