//! Appservers: launch, list, read, activate, deactivate, terminate.

use super::extract::{Body, Params, read_flag};
use super::openapi::Problems;
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::{HttpError, not_found};
use super::sites::{machine_url, read_site};
use super::{Api, STALE_HEADER, convert};
use crate::app::{ActivateAsk, Caller, Done, ForceAsk, LaunchAsk};
use crate::read_models::{AppserverRow, FRESHNESS_WAIT};
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use ocim_api_spec::{
    ActivateAppserver, Appserver, AppserverDetail, DeactivateAppserver, LaunchAppserver,
    LaunchedAppserver, Page, Site, StartedRun, TerminateAppserver,
};
use ocim_domain::event::Position;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::OnSuccess;
use serde::Deserialize;
use serde_json::Value;
use std::time::{Duration, Instant};
use utoipa::IntoParams;

/// Pause between two looks for a run that was just asked for.
const RUN_POLL: Duration = Duration::from_millis(20);

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
#[utoipa::path(post, path = "/api/v1/instances/{id}/appservers", tag = "appservers",
    request_body = LaunchAppserver,
    params(("id" = String, Path, description = "`inst_…`"), LaunchParams),
    responses(
        (status = 202, body = LaunchedAppserver, headers(
            ("Location" = String, description = "Where to read the run"),
            ("X-Stale" = bool, description = "Present when lists may not show it yet"))),
        Problems))]
pub(super) async fn launch_appserver(
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
    };
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let done = api.app.launch_appserver(&by, *id, ask).await?;
    let launched = done.value;
    let mut answer = accept_run(&api, done.position, launched.run).await?;
    Ok(answer.json(LaunchedAppserver {
        run: launched.run.to_string(),
        appserver: launched.appserver.to_string(),
        number: launched.number,
        queued: launched.queued,
        activation_run: launched.activation_run.map(|run| run.to_string()),
    }))
}

/// Lists the Appservers of an instance, newest first.
#[utoipa::path(get, path = "/api/v1/instances/{id}/appservers", tag = "appservers",
    params(("id" = String, Path, description = "`inst_…`"), PageParams),
    responses((status = 200, body = Page<Appserver>), Problems))]
pub(super) async fn list_appservers(
    api: Data<Api>,
    id: Path<InstanceId>,
    Params(params): Params<PageParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<AppserverId>(params.limit, params.after.as_deref())?;
    let models = api.app.read_models();
    let id = id.to_string();
    if models.read_instance(&id).await?.is_none() {
        return Err(not_found("such instance"));
    }
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = models.list_appservers(Some(&id), limit, after).await?;
    let page = choice.page(rows, |row: &AppserverRow| row.id.clone(), convert::appserver)?;
    Ok(answer_with_page(&request, page))
}

/// Reads an Appserver with the settings it was made from.
#[utoipa::path(get, path = "/api/v1/appservers/{id}", tag = "appservers",
    params(("id" = String, Path, description = "`apps_…`")),
    responses((status = 200, body = AppserverDetail), Problems))]
pub(super) async fn read_appserver(
    api: Data<Api>,
    id: Path<AppserverId>,
) -> Result<HttpResponse, HttpError> {
    let row = api.app.read_models().read_appserver(&id.to_string()).await?;
    let mut row = row.ok_or_else(|| not_found("such appserver"))?;
    let (settings, site) = match row.settings.take() {
        Some(sealed) => {
            let opened = api.app.open(&sealed).await?;
            let site = read_own_site(&api, &row, &opened).await?;
            (Some(convert::settings(opened)?), Some(site))
        }
        None => (None, None),
    };
    let detail = AppserverDetail { appserver: convert::appserver(row)?, settings, site };
    Ok(HttpResponse::Ok().json(detail))
}

/// The site of an Appserver, with the Appserver's own address.
async fn read_own_site(api: &Api, row: &AppserverRow, opened: &Value) -> Result<Site, HttpError> {
    let models = api.app.read_models();
    let instance = models.read_instance(&row.instance).await?;
    let balancer = instance.and_then(|instance| instance.load_balancer);
    let site = read_site(api, opened, balancer.as_deref()).await?;
    let server = match &row.server {
        Some(id) => models.read_server(id).await?,
        None => None,
    };
    Ok(Site { machine_url: server.as_ref().and_then(machine_url), ..site })
}

/// Brings an Appserver into traffic, once it has proved that it serves the site.
#[utoipa::path(post, path = "/api/v1/appservers/{id}/activate", tag = "appservers",
    request_body = ActivateAppserver,
    params(("id" = String, Path, description = "`apps_…`")),
    responses((status = 202, body = StartedRun), Problems))]
pub(super) async fn activate_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<ActivateAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ActivateAsk { deactivate_others: body.deactivate_others, force: body.force };
    answer_with_run(&api, api.app.activate_appserver(&by, *id, ask).await?).await
}

/// Takes an Appserver out of traffic; its machine stays.
#[utoipa::path(post, path = "/api/v1/appservers/{id}/deactivate", tag = "appservers",
    request_body = DeactivateAppserver,
    params(("id" = String, Path, description = "`apps_…`")),
    responses((status = 202, body = StartedRun), Problems))]
pub(super) async fn deactivate_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<DeactivateAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ForceAsk { force: body.force };
    answer_with_run(&api, api.app.deactivate_appserver(&by, *id, ask).await?).await
}

/// Takes an Appserver out of traffic and its machine away.
#[utoipa::path(post, path = "/api/v1/appservers/{id}/terminate", tag = "appservers",
    request_body = TerminateAppserver,
    params(("id" = String, Path, description = "`apps_…`")),
    responses((status = 202, body = StartedRun), Problems))]
pub(super) async fn terminate_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<TerminateAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ForceAsk { force: body.force };
    answer_with_run(&api, api.app.terminate_appserver(&by, *id, ask).await?).await
}

/// Answers a command that only starts a run.
pub(super) async fn answer_with_run(
    api: &Api,
    done: Done<RunId>,
) -> Result<HttpResponse, HttpError> {
    let mut answer = accept_run(api, done.position, done.value).await?;
    Ok(answer.json(StartedRun { run: done.value.to_string() }))
}

/// The head of an answer whose work is done in a run, which can be read by then, or `X-Stale`.
async fn accept_run(
    api: &Api,
    position: Position,
    run: RunId,
) -> Result<HttpResponseBuilder, HttpError> {
    let mut answer = api.answer_to(position, HttpResponse::Accepted()).await;
    let run = run.to_string();
    // The run starts because of the command's event, so it comes a moment later.
    let deadline = Instant::now() + FRESHNESS_WAIT;
    while api.app.read_models().read_run(&run).await?.is_none() {
        if Instant::now() > deadline {
            answer.insert_header((STALE_HEADER, "true"));
            break;
        }
        tokio::time::sleep(RUN_POLL).await;
    }
    answer.insert_header((LOCATION, format!("/api/v1/runs/{run}")));
    Ok(answer)
}
