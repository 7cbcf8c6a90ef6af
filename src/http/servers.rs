//! Machines and regions to look at, and machines that nobody accounts for.

use super::Api;
use super::appservers::answer_with_run;
use super::convert::{text_of, word};
use super::extract::{Body, Params, read_search_text};
use super::orphans::DELETION_ANSWERS;
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::app::Caller;
use crate::read_models::{OrphanRow, ServerFilter, ServerRow};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{
    DeleteOrphan, Orphan, OrphanDeletionPlan, Page, ProblemType, RegionLook, Server, ServerStatus,
    texts,
};
use ocim_domain::ids::ServerId;
use ocim_domain::right::Right;
use ocim_projections::inventories;
use serde::Deserialize;
use utoipa::IntoParams;

pub(super) const SERVERS: Tag = Tag { name: "servers", description: "Machines and balancers" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_servers),
        method: Verb::Get,
        path: "/api/v1/servers",
        tag: SERVERS,
        summary: "Lists machines, newest first",
        description: "From the moment they are asked for, and those that are gone, too. All filters must \
            hold.",
        access: Access::Granted(Right::ServersRead),
        takes: Input::NOTHING.query::<ServerParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of machines",
            content: &[Content::page::<Server>()],
            headers: &[AnswerHeader::Link],
            links: &[Link {
                name: "server",
                to: "read_server",
                parameter: "id",
                from: "$response.body#/items/0/id",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_server),
        method: Verb::Get,
        path: "/api/v1/servers/{id}",
        tag: SERVERS,
        summary: "Reads a machine",
        description: "As its cloud last told of it.",
        access: Access::Granted(Right::ServersRead),
        takes: Input::NOTHING.path(&[PathPart {
            name: "id",
            description: "Which machine, `serv_…`",
            shape: Shape::of::<texts::ServerId>(),
        }]),
        answers: &[Answer {
            status: 200,
            description: "The machine",
            content: &[Content::json::<Server>()],
            headers: &[],
            links: &[Link {
                name: "appserver",
                to: "read_appserver",
                parameter: "id",
                from: "$response.body#/appserver",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(list_orphans),
        method: Verb::Get,
        path: "/api/v1/servers/orphans",
        tag: SERVERS,
        summary: "Lists the machines that bear our mark, but that nothing accounts for",
        description: "All of them, by region.",
        access: Access::Granted(Right::ServersRead),
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All such machines",
            content: &[Content::page::<Orphan>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(delete_orphan),
        method: Verb::Post,
        path: "/api/v1/servers/orphans/{region}/{machine}/delete",
        tag: SERVERS,
        summary: "Takes away a machine that nothing accounts for",
        description: "With its disk. `dry_run` only tells what would be done.",
        access: Access::Granted(Right::ServersDelete),
        takes: Input::NOTHING
            .path(&[
                PathPart {
                    name: "region",
                    description: "The region's name",
                    shape: Shape::of::<texts::Name>(),
                },
                PathPart {
                    name: "machine",
                    description: "The cloud's id of the machine",
                    shape: Shape::of::<texts::Name>(),
                },
            ])
            .body::<DeleteOrphan>(),
        answers: DELETION_ANSWERS,
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(list_looks),
        method: Verb::Get,
        path: "/api/v1/servers/looks",
        tag: SERVERS,
        summary: "Lists the configured regions, with what this node last saw of them",
        description: "All of them. A region that did not answer says why.",
        access: Access::Granted(Right::ServersRead),
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All regions",
            content: &[Content::page::<RegionLook>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[],
    },
];

/// Which machines are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ServerParams {
    /// Only those that are doing so.
    status: Option<ServerStatus>,
    /// Only those of this region.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    region: Option<String>,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::ServerId>)]
    after: Option<String>,
}

/// Lists machines, newest first.
async fn list_servers(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<ServerParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let filter = ServerFilter { status: params.status.and_then(text_of), region: params.region };
    let choice = Choice::new::<ServerId>(params.limit, params.after.as_deref())?;
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.reads(&by).list_servers(&filter, limit, after).await?;
    let page = choice.page(rows, |row: &ServerRow| row.id.clone(), show_server)?;
    answer_with_page(&request, &page)
}

/// Reads a machine.
async fn read_server(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<ServerId>,
) -> Result<HttpResponse, HttpError> {
    let row = api.app.reads(&by).read_server(&id.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such server"))?;
    Ok(HttpResponse::Ok().json(show_server(row)?))
}

/// Lists the machines that bear our mark, but that nothing accounts for.
async fn list_orphans(api: Data<Api>, by: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let rows = api.app.reads(&by).list_orphans(Some("machine")).await?;
    let items = rows.into_iter().map(show_orphan).collect::<Result<Vec<_>, _>>()?;
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Takes away a machine that nothing accounts for.
async fn delete_orphan(
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
    answer_with_run(
        &api,
        &by,
        &[inventories::PROJECTOR.name],
        api.app.delete_orphan(&by, &region, &machine).await?,
    )
    .await
}

/// Lists the configured regions, with what this node last saw of them.
async fn list_looks(api: Data<Api>, by: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let show = |name: &String| {
        let look = api.app.looks().of(name, by.sees);
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

/// A machine.
fn show_server(row: ServerRow) -> Result<Server, HttpError> {
    let status: ServerStatus = word(row.status)?;
    Ok(Server {
        id: row.id,
        appserver: row.appserver,
        name: row.name,
        openstack_id: row.machine,
        openstack_region: row.region,
        status,
        status_name: status.name().to_owned(),
        status_description: status.description().to_owned(),
        reason: row.reason,
        power: row.power.map(word).transpose()?,
        public_ip: row.public_ip,
        ssh_port: row.ssh_port,
        http_port: row.http_port,
        ssh_user: row.ssh_user,
        host_keys: row.host_keys.unwrap_or_default(),
        created: row.created_at,
        modified: row.updated_at,
    })
}

/// A machine that nobody accounts for.
fn show_orphan(row: OrphanRow) -> Result<Orphan, HttpError> {
    Ok(Orphan {
        region: row.place,
        machine: row.key,
        name: row.name,
        key: row.made_with_key,
        power: word(row.power.unwrap_or_default())?,
        deletion_run: row.deletion_run,
        found: row.found_at,
    })
}
