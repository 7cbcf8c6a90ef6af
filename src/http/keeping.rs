//! Failed Appservers: how long their machines are kept, and taking them away.

use super::Api;
use super::appservers::answer_with_run;
use super::extract::Body;
use super::openapi::Problems;
use super::problem::HttpError;
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{CleanUpAppserver, KeepServer, StartedRun};
use ocim_domain::ids::AppserverId;

/// Keeps a failed Appserver's machine until another date.
#[utoipa::path(post, path = "/api/v1/appservers/{id}/keep", tag = "appservers",
    request_body = KeepServer,
    params(("id" = String, Path, description = "`apps_…`")),
    responses((status = 204, description = "Its machine stays until then"), Problems))]
pub(super) async fn keep_server(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<KeepServer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.keep_server(&by, *id, body.until).await?;
    Ok(api.answer_to(done.position, HttpResponse::NoContent()).await.finish())
}

/// Takes a failed Appserver's machine away now, without waiting for its date.
#[utoipa::path(post, path = "/api/v1/appservers/{id}/clean_up", tag = "appservers",
    request_body = CleanUpAppserver,
    params(("id" = String, Path, description = "`apps_…`")),
    responses((status = 202, body = StartedRun), Problems))]
pub(super) async fn clean_up_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<CleanUpAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    answer_with_run(&api, api.app.clean_up_appserver(&by, *id).await?).await
}
