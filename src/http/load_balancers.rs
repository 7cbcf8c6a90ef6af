//! Load balancers: add, list, read, edit, retire, and have them put right.

use super::Api;
use super::appservers::answer_with_run;
use super::extract::{Body, Params};
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::{HttpError, internal, invalid, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, STARTED_RUN, Shape, Verb,
    handler,
};
use super::servers::SERVERS;
use super::shared_servers::replace;
use crate::app::{Caller, Done};
use crate::read_models::LoadBalancerRow;
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{
    AddLoadBalancer, AddedServer, EditLoadBalancer, LoadBalancer, PreparationPlan,
    PrepareLoadBalancer, ProblemType, RetireServer, texts,
};
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::load_balancer::{Registration, Trouble};
use ocim_domain::right::Right;
use ocim_domain::server::ServerAddress;
use ocim_projections::load_balancers;
use std::net::IpAddr;

/// The id of a balancer in a path.
const LOAD_BALANCER_ID: PathPart = PathPart {
    name: "id",
    description: "Which balancer, `lbal_…`",
    shape: Shape::of::<texts::LoadBalancerId>(),
};

/// What is answered by what changes one.
const NOW: Answer = Answer {
    status: 200,
    description: "The balancer as it is now",
    content: &[Content::json::<LoadBalancer>()],
    headers: &[AnswerHeader::Stale],
    links: &[],
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_load_balancers),
        method: Verb::Get,
        path: "/api/v1/load_balancers",
        tag: SERVERS,
        summary: "Lists balancers, newest first",
        description: "Each with what is not as it should be there.",
        access: Access::Granted(Right::LoadBalancersRead),
        takes: Input::NOTHING.page_after::<texts::LoadBalancerId>(),
        answers: &[Answer {
            status: 200,
            description: "A page of balancers",
            content: &[Content::page::<LoadBalancer>()],
            headers: &[AnswerHeader::Link],
            links: &[Link {
                name: "load_balancer",
                to: "read_load_balancer",
                parameter: "id",
                from: "$response.body#/items/0/id",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_load_balancer),
        method: Verb::Get,
        path: "/api/v1/load_balancers/{id}",
        tag: SERVERS,
        summary: "Reads a balancer",
        description: "With what is not as it should be there.",
        access: Access::Granted(Right::LoadBalancersRead),
        takes: Input::NOTHING.path(&[LOAD_BALANCER_ID]),
        answers: &[Answer {
            status: 200,
            description: "The balancer",
            content: &[Content::json::<LoadBalancer>()],
            headers: &[],
            links: &[Link {
                name: "prepare",
                to: "prepare_load_balancer",
                parameter: "id",
                from: "$response.body#/id",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(prepare_load_balancer),
        method: Verb::Post,
        path: "/api/v1/load_balancers/{id}/prepare",
        tag: SERVERS,
        summary: "Has everything at a balancer as it should be",
        description: "HAProxy, our program, and what the sites need. `dry_run` only tells what would be \
            done.",
        access: Access::Granted(Right::LoadBalancersPrepare),
        takes: Input::NOTHING.path(&[LOAD_BALANCER_ID]).body::<PrepareLoadBalancer>(),
        answers: &[
            Answer {
                status: 200,
                description: "What would be done (`dry_run`)",
                content: &[Content::json::<PreparationPlan>()],
                headers: &[],
                links: &[],
            },
            STARTED_RUN,
        ],
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(add_load_balancer),
        method: Verb::Post,
        path: "/api/v1/load_balancers",
        tag: SERVERS,
        summary: "Adds a balancer that people have set up",
        description: "A host with SSH, whose keys are told here. Nothing is asked of it yet: what is \
            missing there is put there by the run that finds it missing. Its id follows from its domain.",
        access: Access::Granted(Right::LoadBalancersAdd),
        takes: Input::NOTHING.body::<AddLoadBalancer>(),
        answers: &[Answer {
            status: 201,
            description: "It is added",
            content: &[Content::json::<AddedServer>()],
            headers: &[AnswerHeader::Location, AnswerHeader::Stale],
            links: &[Link {
                name: "load_balancer",
                to: "read_load_balancer",
                parameter: "id",
                from: "$response.body#/id",
            }],
        }],
        refuses: &[ProblemType::NameTaken, ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(edit_load_balancer),
        method: Verb::Patch,
        path: "/api/v1/load_balancers/{id}",
        tag: SERVERS,
        summary: "Changes what is known of a balancer",
        description: "Also whether it takes new instances. Instances that are given to it stay there.",
        access: Access::Granted(Right::LoadBalancersChange),
        takes: Input::NOTHING.path(&[LOAD_BALANCER_ID]).body::<EditLoadBalancer>(),
        answers: &[NOW],
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(retire_load_balancer),
        method: Verb::Post,
        path: "/api/v1/load_balancers/{id}/retire",
        tag: SERVERS,
        summary: "Has nobody use a balancer any more",
        description: "Refused while instances are given to it. Nothing is asked of it; who wants it back \
            adds it again.",
        access: Access::Granted(Right::LoadBalancersRetire),
        takes: Input::NOTHING.path(&[LOAD_BALANCER_ID]).body::<RetireServer>(),
        answers: &[NOW],
        refuses: &[ProblemType::CommandRejected],
    },
];

/// Lists balancers, newest first.
async fn list_load_balancers(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<PageParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<LoadBalancerId>(params.limit, params.after.as_deref())?;
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.reads(&by).list_load_balancers(limit, after).await?;
    let id = |row: &LoadBalancerRow| row.id.clone();
    let page = choice.page(rows, id, show_load_balancer)?;
    answer_with_page(&request, &page)
}

/// Reads a balancer.
async fn read_load_balancer(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<LoadBalancerId>,
) -> Result<HttpResponse, HttpError> {
    let row = api.app.reads(&by).read_load_balancer(&id.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such load balancer"))?;
    Ok(HttpResponse::Ok().json(show_load_balancer(row)?))
}

/// Has everything at a balancer as it should be: HAProxy, our program, and what the sites need.
async fn prepare_load_balancer(
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
    answer_with_run(
        &api,
        &by,
        &[load_balancers::PROJECTOR.name],
        api.app.prepare_load_balancer(&by, *id).await?,
    )
    .await
}

/// Adds a balancer that people have set up.
async fn add_load_balancer(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<AddLoadBalancer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let address = ServerAddress {
        ip: read_ip(&body.public_ip)?,
        ssh_port: body.ssh_port.unwrap_or(22),
        http_port: body.http_port.unwrap_or(80),
        ssh_user: body.ssh_username,
        may_become_root: true,
    };
    let registration = Registration {
        domain: body.domain,
        address,
        also_listens: None,
        host_keys: body.host_keys,
        // Ocim's own to choose.
        fragment_name_prefix: String::new(),
        fragment_name_postfix: String::new(),
        accepts_new_backends: body.accepts_new_backends,
    };
    let done = api.app.add_load_balancer(&by, registration).await?;
    let id = done.value.to_string();
    let names = &[load_balancers::PROJECTOR.name];
    let mut answer = api.answer_to(names, done.position, HttpResponse::Created()).await;
    answer.insert_header((LOCATION, format!("/api/v1/load_balancers/{id}")));
    Ok(answer.json(AddedServer { id }))
}

/// Changes what is known of a balancer.
async fn edit_load_balancer(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<LoadBalancerId>,
    Body(body): Body<EditLoadBalancer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason.clone(), ..by.into_inner() }.with_checked_reason()?;
    let ip = body.public_ip.as_deref().map(read_ip).transpose()?;
    let edit = |known: &mut Registration| {
        let address = &mut known.address;
        replace(&mut address.ip, ip.as_ref());
        replace(&mut address.ssh_user, body.ssh_username.as_ref());
        replace(&mut address.ssh_port, body.ssh_port.as_ref());
        replace(&mut address.http_port, body.http_port.as_ref());
        replace(&mut known.host_keys, body.host_keys.as_ref());
        replace(&mut known.accepts_new_backends, body.accepts_new_backends.as_ref());
    };
    let done = api.app.edit_load_balancer(&by, *id, edit).await?;
    answer_with_balancer(&api, &by, *id, done).await
}

/// Has nobody use a balancer any more.
async fn retire_load_balancer(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<LoadBalancerId>,
    Body(body): Body<RetireServer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.retire_load_balancer(&by, *id).await?;
    answer_with_balancer(&api, &by, *id, done).await
}

fn read_ip(text: &str) -> Result<IpAddr, HttpError> {
    text.trim().parse().map_err(|_| invalid("public_ip", "must be an IP address"))
}

/// The balancer as it is after a command.
async fn answer_with_balancer(
    api: &Api,
    by: &Caller,
    id: LoadBalancerId,
    done: Done<()>,
) -> Result<HttpResponse, HttpError> {
    let names = &[load_balancers::PROJECTOR.name];
    let mut answer = api.answer_to(names, done.position, HttpResponse::Ok()).await;
    let row = api.app.reads(by).read_load_balancer(&id.to_string()).await?;
    Ok(answer.json(show_load_balancer(row.ok_or_else(|| not_found("such load balancer"))?)?))
}

/// A balancer.
pub(super) fn show_load_balancer(row: LoadBalancerRow) -> Result<LoadBalancer, HttpError> {
    let troubles: Vec<Trouble> =
        serde_json::from_value(row.troubles).map_err(|error| internal(&error))?;
    Ok(LoadBalancer {
        id: row.id,
        domain: row.domain,
        public_ip: row.public_ip,
        ssh_username: row.ssh_username,
        ssh_port: row.ssh_port,
        host_keys: row.host_keys,
        http_port: row.http_port,
        also_listens: row.also_listens,
        accepts_new_backends: row.accepts_new_backends,
        troubles: troubles.iter().map(ToString::to_string).collect(),
        preparation_run: row.preparation_run,
        instance_count: row.instance_count,
        instances: row.instances,
        retired: row.retired_at,
        created: row.created_at,
        modified: row.updated_at,
    })
}
