//! Appservers: launch, list, read, activate, deactivate, terminate.

use super::clean_ups::judge_rows;
use super::convert::{text_of, word};
use super::extract::{Body, Params, read_choice, read_flag, read_search_text};
use super::instances::{INSTANCE_ID, show_settings};
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::{HttpError, invalid, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, STARTED_RUN, Shape, Tag,
    Verb, handler,
};
use super::sites::{Listens, machine_url, site};
use super::{Api, STALE_HEADER};
use crate::app::{ActivateAsk, Caller, Done, ForceAsk, LaunchAsk};
use crate::read_models::{AppserverFilter, AppserverRow, FRESHNESS_WAIT, Reads};
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use ocim_api_spec::{
    ActivateAppserver, Appserver, AppserverDetail, AppserverStatus, DeactivateAppserver,
    LaunchAppserver, LaunchedAppserver, ProblemType, RestartAppserver, Site, StartedRun,
    TerminateAppserver, texts,
};
use ocim_domain::event::Position;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::attempts::ATTEMPTS_MAX;
use ocim_domain::instance::{self, Attempts, OnSuccess};
use ocim_domain::right::Right;
use ocim_projections::{appservers, instances};
use serde::Deserialize;
use serde_json::Value;
use std::num::NonZeroU32;
use tokio::time::{Instant, timeout_at};
use utoipa::IntoParams;

/// The id of an Appserver in a path.
pub(super) const APPSERVER_ID: PathPart = PathPart {
    name: "id",
    description: "Which Appserver, `apps_…`",
    shape: Shape::of::<texts::AppserverId>(),
};

/// The read models that show what became of a command on an Appserver, and of a launch.
pub(super) const SHOWN_BY: &[&str] = &[appservers::PROJECTOR.name];
const LAUNCH_SHOWN_BY: [&str; 2] = [instances::PROJECTOR.name, appservers::PROJECTOR.name];

/// What one may do with the id of an Appserver.
const APPSERVER_LINKS: &[Link] = &[Link {
    name: "appserver",
    to: "read_appserver",
    parameter: "id",
    from: "$response.body#/items/0/id",
}];

pub(super) const APPSERVERS: Tag = Tag { name: "appservers", description: "Deployments of a site" };

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(launch_appserver),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/appservers",
        tag: APPSERVERS,
        summary: "Launches an Appserver with the instance's settings of now",
        description: "One launch of an instance runs at a time: a second one is refused with the run \
            that is under way, unless it may queue. The run ends `completed` when the Appserver runs.",
        access: Access::Granted(Right::AppserversLaunch),
        takes: Input::NOTHING
            .path(&[INSTANCE_ID])
            .query::<LaunchParams>()
            .body::<LaunchAppserver>(),
        answers: &[Answer {
            status: 202,
            description: "It has begun: the run does it",
            content: &[Content::json::<LaunchedAppserver>()],
            headers: &[AnswerHeader::Location, AnswerHeader::Stale],
            links: &[
                Link::RUN,
                Link::RUN_LOG,
                Link {
                    name: "appserver",
                    to: "read_appserver",
                    parameter: "id",
                    from: "$response.body#/appserver",
                },
            ],
        }],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(list_appservers),
        method: Verb::Get,
        path: "/api/v1/appservers",
        tag: APPSERVERS,
        summary: "Lists the Appservers of all instances, newest first",
        description: "From the moment they are asked for, and for ever. All filters must hold.",
        access: Access::Granted(Right::AppserversRead),
        takes: Input::NOTHING.query::<AppserverParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of Appservers",
            content: &[Content::page::<Appserver>()],
            headers: &[AnswerHeader::Link],
            links: APPSERVER_LINKS,
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(list_instance_appservers),
        method: Verb::Get,
        path: "/api/v1/instances/{id}/appservers",
        tag: APPSERVERS,
        summary: "Lists the Appservers of an instance, newest first",
        description: "From the moment they are asked for, and for ever.",
        access: Access::Granted(Right::AppserversRead),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).page_after::<texts::AppserverId>(),
        answers: &[Answer {
            status: 200,
            description: "A page of Appservers",
            content: &[Content::page::<Appserver>()],
            headers: &[AnswerHeader::Link],
            links: APPSERVER_LINKS,
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_appserver),
        method: Verb::Get,
        path: "/api/v1/appservers/{id}",
        tag: APPSERVERS,
        summary: "Reads an Appserver with the settings it was made from",
        description: "`settings`, `site` and `variables` are null until its run has frozen them.",
        access: Access::Granted(Right::AppserversRead),
        takes: Input::NOTHING.path(&[APPSERVER_ID]),
        answers: &[Answer {
            status: 200,
            description: "The Appserver",
            content: &[Content::json::<AppserverDetail>()],
            headers: &[],
            links: &[
                Link {
                    name: "launch",
                    to: "read_run",
                    parameter: "id",
                    from: "$response.body#/launch_run",
                },
                Link {
                    name: "instance",
                    to: "read_instance",
                    parameter: "id",
                    from: "$response.body#/instance",
                },
                Link {
                    name: "timeline",
                    to: "read_appserver_timeline",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "logs",
                    to: "read_appserver_logs",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "raw_logs",
                    to: "download_appserver_logs",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "activate",
                    to: "activate_appserver",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "deactivate",
                    to: "deactivate_appserver",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "restart",
                    to: "restart_appserver",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "terminate",
                    to: "terminate_appserver",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "keep",
                    to: "keep_server",
                    parameter: "id",
                    from: "$response.body#/id",
                },
                Link {
                    name: "clean_up",
                    to: "clean_up_appserver",
                    parameter: "id",
                    from: "$response.body#/id",
                },
            ],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(activate_appserver),
        method: Verb::Post,
        path: "/api/v1/appservers/{id}/activate",
        tag: APPSERVERS,
        summary: "Brings an Appserver into traffic",
        description: "It must prove first that it serves the site. The others stay in traffic unless \
            `deactivate_others` is set.",
        access: Access::Granted(Right::AppserversActivate),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<ActivateAppserver>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(deactivate_appserver),
        method: Verb::Post,
        path: "/api/v1/appservers/{id}/deactivate",
        tag: APPSERVERS,
        summary: "Takes an Appserver out of traffic",
        description: "Its machine stays. The last one in traffic is taken out with `force` only.",
        access: Access::Granted(Right::AppserversDeactivate),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<DeactivateAppserver>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(restart_appserver),
        method: Verb::Post,
        path: "/api/v1/appservers/{id}/restart",
        tag: APPSERVERS,
        summary: "Restarts an Appserver's machine",
        description: "And waits until its site answers again; its traffic stays as it is. Only one that runs \
            is restarted; the last one in traffic with `force` only, for the site is away meanwhile.",
        access: Access::Granted(Right::AppserversRestart),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<RestartAppserver>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(terminate_appserver),
        method: Verb::Post,
        path: "/api/v1/appservers/{id}/terminate",
        tag: APPSERVERS,
        summary: "Takes an Appserver out of traffic and its machine away",
        description: "This can't be undone. The last one in traffic goes with `force` only.",
        access: Access::Granted(Right::AppserversTerminate),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<TerminateAppserver>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// Which Appservers are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AppserverParams {
    /// Only those of this instance.
    #[param(value_type = Option<texts::InstanceId>)]
    instance: Option<InstanceId>,
    /// Only those that came so far.
    status: Option<AppserverStatus>,
    /// Only those that receive traffic (`true`), or that do not (`false`).
    #[serde(default, deserialize_with = "read_choice")]
    is_active: Option<bool>,
    /// Only those with which nothing went wrong (`true`), or with which something did (`false`).
    #[serde(default, deserialize_with = "read_choice")]
    is_healthy: Option<bool>,
    /// Only those that were made from this release.
    #[param(value_type = Option<texts::SearchText>)]
    #[serde(default, deserialize_with = "read_search_text")]
    release: Option<String>,
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::AppserverId>)]
    after: Option<String>,
}

/// How a launch may be asked for in the query.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct LaunchParams {
    /// The same as `queue` in the body.
    #[serde(default, deserialize_with = "read_flag")]
    queue: bool,
}

/// Launches an Appserver with the instance's settings of now.
async fn launch_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Params(params): Params<LaunchParams>,
    Body(body): Body<LaunchAppserver>,
) -> Result<HttpResponse, HttpError> {
    let ask = LaunchAsk {
        queue: body.queue || params.queue,
        then: OnSuccess {
            activate: body.activate_on_success,
            deactivate_others: body.deactivate_others,
        },
        attempts: read_attempts(body.attempts, body.success_tag, body.failure_tag)?,
    };
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let done = api.app.launch_appserver(&by, *id, ask).await?;
    let launched = done.value;
    let mut answer = accept_run(&api, &by, &LAUNCH_SHOWN_BY, done.position, launched.run).await?;
    Ok(answer.json(LaunchedAppserver {
        run: launched.run.to_string(),
        appserver: launched.appserver.to_string(),
        number: launched.number,
        queued: launched.queued,
        activation_run: launched.activation_run.map(|run| run.to_string()),
    }))
}

/// How often a launch is attempted, and its tags.
fn read_attempts(
    attempts: u32,
    success_tag: Option<String>,
    failure_tag: Option<String>,
) -> Result<Attempts, HttpError> {
    let attempts = NonZeroU32::new(attempts)
        .ok_or_else(|| invalid("attempts", format!("must be a number from 1 to {ATTEMPTS_MAX}")))?;
    let success_tag = read_tag("success_tag", success_tag)?;
    let failure_tag = read_tag("failure_tag", failure_tag)?;
    Ok(Attempts { attempts, success_tag, failure_tag, ..Attempts::ONE })
}

fn read_tag(field: &str, text: Option<String>) -> Result<Option<instance::Tag>, HttpError> {
    let tag = text.map(instance::Tag::try_from).transpose();
    tag.map_err(|rule| invalid(field, rule.to_string()))
}

/// Lists the Appservers of all instances, newest first.
async fn list_appservers(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<AppserverParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let filter = AppserverFilter {
        instance: params.instance.map(|id| id.to_string()),
        status: params.status.and_then(text_of),
        active: params.is_active,
        healthy: params.is_healthy,
        release: params.release,
    };
    let choice = Choice::new::<AppserverId>(params.limit, params.after.as_deref())?;
    answer_with_appservers(&api, &api.app.reads(&by), &filter, &choice, &request).await
}

async fn answer_with_appservers(
    api: &Api,
    reads: &Reads<'_>,
    filter: &AppserverFilter,
    choice: &Choice,
    request: &HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = reads.list_appservers(filter, limit, after).await?;
    let verdicts = judge_rows(api, reads, &rows).await?;
    let show = |row: AppserverRow| {
        let clean_up = verdicts.get(&row.id).cloned();
        Ok(Appserver { clean_up, ..show_appserver(row)? })
    };
    let page = choice.page(rows, |row: &AppserverRow| row.id.clone(), show)?;
    answer_with_page(request, &page)
}

/// Lists the Appservers of an instance, newest first.
async fn list_instance_appservers(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Params(params): Params<PageParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<AppserverId>(params.limit, params.after.as_deref())?;
    let reads = api.app.reads(&by);
    let id = id.to_string();
    if reads.read_instance(&id).await?.is_none() {
        return Err(not_found("such instance"));
    }
    let filter = AppserverFilter { instance: Some(id), ..AppserverFilter::default() };
    answer_with_appservers(&api, &reads, &filter, &choice, &request).await
}

/// Reads an Appserver with the settings it was made from.
async fn read_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
) -> Result<HttpResponse, HttpError> {
    let reads = api.app.reads(&by);
    let row = reads.read_appserver_detail(&id.to_string()).await?;
    let (row, detail) = row.ok_or_else(|| not_found("such appserver"))?;
    let (settings, site) = match detail.settings {
        Some(sealed) => {
            let opened = api.app.open(&sealed).await?;
            let site = read_own_site(&reads, &row, &opened).await?;
            (Some(show_settings(opened)?), Some(site))
        }
        None => (None, None),
    };
    let variables = api.app.read_variables(&by, *id).await?;
    let clean_up = judge_rows(&api, &reads, std::slice::from_ref(&row)).await?.remove(&row.id);
    let appserver = Appserver { clean_up, ..show_appserver(row)? };
    Ok(HttpResponse::Ok().json(AppserverDetail { appserver, settings, site, variables }))
}

/// The site of an Appserver, with the Appserver's own address.
async fn read_own_site(
    reads: &Reads<'_>,
    row: &AppserverRow,
    opened: &Value,
) -> Result<Site, HttpError> {
    let instance = reads.read_instance(&row.instance).await?;
    let listens = instance.as_ref().map(Listens::of).unwrap_or_default();
    let machine_url = machine_url(row.public_ip.as_deref(), row.http_port);
    Ok(Site { machine_url, ..site(opened, listens)? })
}

/// Brings an Appserver into traffic, once it has proved that it serves the site.
async fn activate_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<ActivateAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ActivateAsk { deactivate_others: body.deactivate_others, force: body.force };
    answer_with_run(&api, &by, SHOWN_BY, api.app.activate_appserver(&by, *id, ask).await?).await
}

/// Takes an Appserver out of traffic; its machine stays.
async fn deactivate_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<DeactivateAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ForceAsk { force: body.force };
    answer_with_run(&api, &by, SHOWN_BY, api.app.deactivate_appserver(&by, *id, ask).await?).await
}

/// Restarts an Appserver's machine; its traffic stays as it is.
async fn restart_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<RestartAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ForceAsk { force: body.force };
    answer_with_run(&api, &by, SHOWN_BY, api.app.restart_appserver(&by, *id, ask).await?).await
}

/// Takes an Appserver out of traffic and its machine away.
async fn terminate_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<TerminateAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ForceAsk { force: body.force };
    answer_with_run(&api, &by, SHOWN_BY, api.app.terminate_appserver(&by, *id, ask).await?).await
}

/// Answers a command that only starts a run.
pub(super) async fn answer_with_run(
    api: &Api,
    by: &Caller,
    shown_by: &[&str],
    done: Done<RunId>,
) -> Result<HttpResponse, HttpError> {
    let mut answer = accept_run(api, by, shown_by, done.position, done.value).await?;
    Ok(answer.json(StartedRun { run: done.value.to_string() }))
}

/// The head of an answer whose work is done in a run, which can be read by then, or `X-Stale`.
pub(super) async fn accept_run(
    api: &Api,
    by: &Caller,
    shown_by: &[&str],
    position: Position,
    run: RunId,
) -> Result<HttpResponseBuilder, HttpError> {
    let mut answer = api.answer_to(shown_by, position, HttpResponse::Accepted()).await;
    let run = run.to_string();
    let reads = api.app.reads(by);
    let mut changes = api.app.read_models().changes();
    // The run starts because of the command's event, so it comes a moment later.
    let deadline = Instant::now() + FRESHNESS_WAIT;
    while !reads.has_run(&run).await? {
        if !matches!(timeout_at(deadline, changes.changed()).await, Ok(Ok(()))) {
            answer.insert_header((STALE_HEADER, "true"));
            break;
        }
    }
    answer.insert_header((LOCATION, format!("/api/v1/runs/{run}")));
    Ok(answer)
}

/// The list's form of an Appserver, but for what is to become of it.
pub(super) fn show_appserver(row: AppserverRow) -> Result<Appserver, HttpError> {
    let status: AppserverStatus = word(row.status)?;
    Ok(Appserver {
        id: row.id,
        instance: row.instance,
        instance_name: row.domain,
        name: format!("AppServer {}", row.number),
        machine_url: machine_url(row.public_ip.as_deref(), row.http_port),
        release: row.release,
        number: row.number,
        attempt: row.attempt,
        attempts: row.attempts,
        first_run: row.first_run,
        is_active: row.active,
        is_asked_active: row.asked_active,
        status,
        status_name: status.name().to_owned(),
        status_description: status.description().to_owned(),
        is_steady: status.is_steady(),
        is_healthy: row.healthy,
        failure: row.failure,
        server: row.server,
        launch_run: row.launch_run,
        latest_run: row.latest_run,
        configuration_commit: row.configuration_commit,
        last_activated: row.last_activated,
        keeps_server_until: row.keeps_server_until,
        clean_up: None,
        machine_trouble: row.trouble,
        created: row.created_at,
        modified: row.updated_at,
        terminated: row.terminated_at,
    })
}
