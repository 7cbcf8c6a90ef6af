//! Failed Appservers: how long their machines are kept, and taking them away.

use super::Api;
use super::appservers::{APPSERVER_ID, APPSERVERS, SHOWN_BY, answer_with_run};
use super::extract::Body;
use super::problem::HttpError;
use super::routes::{Access, Answer, AnswerHeader, Input, Route, STARTED_RUN, Verb, handler};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{CleanUpAppserver, KeepServer, ProblemType};
use ocim_domain::ids::AppserverId;
use ocim_domain::right::Right;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(keep_server),
        method: Verb::Post,
        path: "/api/v1/appservers/{id}/keep",
        tag: APPSERVERS,
        summary: "Keeps a failed Appserver's machine until another date",
        description: "Longer or shorter than it would be; the date must lie ahead.",
        access: Access::Granted(Right::AppserversKeep),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<KeepServer>(),
        answers: &[Answer {
            status: 204,
            description: "Its machine stays until then",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(clean_up_appserver),
        method: Verb::Post,
        path: "/api/v1/appservers/{id}/clean_up",
        tag: APPSERVERS,
        summary: "Takes a failed Appserver's machine away now",
        description: "Without waiting for its date.",
        access: Access::Granted(Right::AppserversCleanUp),
        takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<CleanUpAppserver>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// Keeps a failed Appserver's machine until another date.
async fn keep_server(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<KeepServer>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.keep_server(&by, *id, body.until).await?;
    Ok(api.answer_to(SHOWN_BY, done.position, HttpResponse::NoContent()).await.finish())
}

/// Takes a failed Appserver's machine away now, without waiting for its date.
async fn clean_up_appserver(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<CleanUpAppserver>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    answer_with_run(&api, &by, SHOWN_BY, api.app.clean_up_appserver(&by, *id).await?).await
}
