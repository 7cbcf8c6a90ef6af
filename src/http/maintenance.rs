//! Maintenance of instances: visitors get a page instead of the site.

use super::Api;
use super::appservers::answer_with_run;
use super::extract::Body;
use super::instances::{INSTANCE_ID, INSTANCES};
use super::problem::HttpError;
use super::routes::{Access, Input, Route, STARTED_RUN, Verb, handler};
use crate::app::Caller;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{EndMaintenance, ProblemType, StartMaintenance};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::maintenance::Maintenance;
use ocim_domain::right::Right;
use ocim_projections::instances;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(start_maintenance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/maintenance/start",
        tag: INSTANCES,
        summary: "Gives an instance's visitors a page instead of the site",
        description: "Under all of its names, with status 503, and `until` as `Retry-After`. Who serves the \
            site stays, and may be changed meanwhile. It lasts until it is ended. Once more, it changes \
            the page.",
        access: Access::Granted(Right::InstancesMaintain),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<StartMaintenance>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(end_maintenance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/maintenance/end",
        tag: INSTANCES,
        summary: "Gives an instance's visitors the site again",
        description: "Served by those who receive its traffic.",
        access: Access::Granted(Right::InstancesMaintain),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<EndMaintenance>(),
        answers: &[STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// Gives an instance's visitors a page instead of the site.
async fn start_maintenance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<StartMaintenance>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    let page = Maintenance { message: body.message, until: body.until };
    change(&api, &by, *id, Some(page)).await
}

/// Gives an instance's visitors the site again.
async fn end_maintenance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<EndMaintenance>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() }.with_checked_reason()?;
    change(&api, &by, *id, None).await
}

async fn change(
    api: &Api,
    by: &Caller,
    id: InstanceId,
    page: Option<Maintenance>,
) -> Result<HttpResponse, HttpError> {
    let done = api.app.change_maintenance(by, id, page).await?;
    answer_with_run(api, by, &[instances::PROJECTOR.name], done).await
}
