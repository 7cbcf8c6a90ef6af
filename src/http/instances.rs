//! Instances: create, list, read, change settings.

use super::extract::{Body, Params, read_if_match, write_etag};
use super::openapi::Problems;
use super::paging::{Choice, PageParams, answer_with_page};
use super::problem::{HttpError, invalid, not_found};
use super::sites::read_site;
use super::{Api, STALE_HEADER, convert};
use crate::app::Caller;
use crate::read_models::InstanceRow;
use actix_web::http::header::{ETAG, LOCATION};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use ocim_api_spec::{
    ChangeSettings, CreateInstance, CreatedInstance, Instance, InstanceDetail, Page,
};
use ocim_domain::ids::InstanceId;
use ocim_domain::text::check_note;
use serde_json::{Map, Value};

/// Makes an instance. Nothing is deployed until an Appserver is launched.
#[utoipa::path(post, path = "/api/v1/instances", tag = "instances", request_body = CreateInstance,
    responses(
        (status = 201, body = CreatedInstance, headers(
            ("Location" = String, description = "Where to read the instance"),
            ("ETag" = String, description = "The settings' version; absent with `X-Stale`"),
            ("X-Stale" = bool, description = "Present when lists may not show it yet"))),
        Problems))]
pub(super) async fn create_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(mut input): Body<Map<String, Value>>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: take_reason(&mut input)?, ..by.into_inner() };
    let done = api.app.create_instance(&by, input).await?;
    let id = done.value.to_string();
    let mut answer = api.answer_to(done.position, HttpResponse::Created()).await;
    answer.insert_header((LOCATION, format!("/api/v1/instances/{id}")));
    if let Some(row) = api.app.read_models().read_instance(&id).await? {
        answer.insert_header((ETAG, write_etag(row.settings_version)));
    }
    Ok(answer.json(CreatedInstance { id }))
}

/// Lists instances, newest first.
#[utoipa::path(get, path = "/api/v1/instances", tag = "instances", params(PageParams),
    responses((status = 200, body = Page<Instance>), Problems))]
pub(super) async fn list_instances(
    api: Data<Api>,
    Params(params): Params<PageParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<InstanceId>(params.limit, params.after.as_deref())?;
    let models = api.app.read_models();
    let rows = models.list_instances(choice.rows_to_read(), choice.after.as_deref()).await?;
    let page = choice.page(rows, |row: &InstanceRow| row.id.clone(), convert::instance)?;
    Ok(answer_with_page(&request, page))
}

/// Reads an instance with its settings.
#[utoipa::path(get, path = "/api/v1/instances/{id}", tag = "instances",
    params(("id" = String, Path, description = "`inst_…`")),
    responses(
        (status = 200, body = InstanceDetail,
            headers(("ETag" = String, description = "The settings' version"))),
        Problems))]
pub(super) async fn read_instance(
    api: Data<Api>,
    id: Path<InstanceId>,
) -> Result<HttpResponse, HttpError> {
    let detail = read_detail(&api, *id).await?;
    let etag = write_etag(detail.settings_version);
    Ok(HttpResponse::Ok().insert_header((ETAG, etag)).json(detail))
}

/// Changes some of the settings. Appservers that exist keep theirs.
#[utoipa::path(patch, path = "/api/v1/instances/{id}", tag = "instances",
    request_body = ChangeSettings,
    params(
        ("id" = String, Path, description = "`inst_…`"),
        ("If-Match" = Option<String>, Header, description = "The ETag that was read; \
            412 if the settings have changed since. Without it, they change whatever they are")),
    responses(
        (status = 200, body = InstanceDetail, headers(
            ("ETag" = String, description = "The settings' version"),
            ("X-Stale" = bool, description = "Present when the body is older than the change, or \
                shows another one that came after it; its ETag is always the body's"))),
        Problems))]
pub(super) async fn change_settings(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    request: HttpRequest,
    Body(mut input): Body<Map<String, Value>>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: take_reason(&mut input)?, ..by.into_inner() };
    let if_match = read_if_match(request.headers())?;
    let done = api.app.change_settings(&by, *id, input, if_match).await?;
    let mut answer = api.answer_to(done.position, HttpResponse::Ok()).await;
    let detail = read_detail(&api, *id).await?;
    if u64::try_from(detail.settings_version) != Ok(done.value) {
        answer.insert_header((STALE_HEADER, "true"));
    }
    answer.insert_header((ETAG, write_etag(detail.settings_version)));
    Ok(answer.json(detail))
}

/// The reason that stands beside the settings.
fn take_reason(input: &mut Map<String, Value>) -> Result<Option<String>, HttpError> {
    match input.remove("reason") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(reason)) => match check_note(&reason) {
            Ok(()) => Ok(Some(reason)),
            Err(rule) => Err(invalid("reason", rule)),
        },
        Some(_) => Err(invalid("reason", "must be a text")),
    }
}

async fn read_detail(api: &Api, id: InstanceId) -> Result<InstanceDetail, HttpError> {
    let row = api.app.read_models().read_instance(&id.to_string()).await?;
    let row = row.ok_or_else(|| not_found("such instance"))?;
    let opened = api.app.open(&row.settings).await?;
    let site = read_site(api, &opened, row.load_balancer.as_deref()).await?;
    convert::instance_detail(row, opened, site)
}
