//! Test links: who comes by one is sent to one Appserver under the site's own name.

use super::Api;
use super::appservers::{APPSERVER_ID, APPSERVERS, accept_run};
use super::extract::Body;
use super::idempotency::ShownOnce;
use super::problem::HttpError;
use super::routes::{Access, Answer, AnswerHeader, Content, Input, Link, Route, Verb, handler};
use super::sites::Listens;
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{MakeTestLink, ProblemType, TestLink};
use ocim_domain::fragment::TEST_PATH;
use ocim_domain::ids::AppserverId;
use ocim_domain::right::Right;
use ocim_projections::instances;

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(make_test_link),
    method: Verb::Post,
    path: "/api/v1/appservers/{id}/link",
    tag: APPSERVERS,
    summary: "Makes links that lead one browser to an Appserver under the site's own names",
    description: "One for the LMS and one for Studio, for so many minutes, once its run has published \
        them. The site asks for its test login, which nothing injects. Nobody else is led there. Only \
        to one that runs, in traffic or not, under maintenance or not.",
    access: Access::Granted(Right::AppserversLink),
    takes: Input::NOTHING.path(&[APPSERVER_ID]).body::<MakeTestLink>(),
    answers: &[Answer {
        status: 202,
        description: "The links, which lead there once the run has ended",
        content: &[Content::json::<TestLink>()],
        headers: &[AnswerHeader::Location, AnswerHeader::Stale],
        links: &[Link {
            name: "run",
            to: "read_run",
            parameter: "id",
            from: "$response.body#/run",
        }],
    }],
    refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
}];

/// Makes links that lead one browser to an Appserver.
async fn make_test_link(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<AppserverId>,
    Body(body): Body<MakeTestLink>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    let done = api.app.make_test_link(&by, *id, body.minutes).await?;
    let made = done.value;
    let shown_by = [instances::PROJECTOR.name];
    let mut answer = accept_run(&api, &by, &shown_by, done.position, made.run).await?;
    let row = api.app.reads(&by).read_instance(&made.instance.to_string()).await?;
    let listens = row.as_ref().map(Listens::of).unwrap_or_default();
    let path = format!("{}{}", TEST_PATH.trim_start_matches('/'), made.secret);
    let [lms_url, studio_url] =
        made.hosts.map(|host| format!("{}{path}", listens.visitor_url(&host)));
    let until = made.link.until;
    let made = TestLink { run: made.run.to_string(), until, lms_url, studio_url };
    let mut answer = answer.json(made);
    // Whoever has it is led there: it is kept for no repetition.
    answer.extensions_mut().insert(ShownOnce);
    Ok(answer)
}
