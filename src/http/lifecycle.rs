//! The life of instances: archive, un-archive, delete; and what of them is resolved by hand.

use super::Api;
use super::appservers::{APPSERVERS, SHOWN_BY, answer_with_run};
use super::convert::word;
use super::extract::Body;
use super::instances::{INSTANCE_ID, INSTANCES};
use super::problem::{HttpError, invalid};
use super::resources::RESOURCES;
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, Route, STARTED_RUN, Verb, handler,
};
use crate::app::lifecycle::{DeleteAsk, LifecycleAsk};
use crate::app::{Caller, ForceAsk};
use crate::read_models::ResourceKey;
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{
    ArchiveInstance, DeleteInstance, LifecyclePlan, ProblemType, ResolveResource,
    StartedTermination, StartedTerminations, TerminateAppservers, UnarchiveInstance,
};
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger;
use ocim_domain::right::Right;
use ocim_projections::{instances, resources};

const PLANNED: Answer = Answer {
    status: 200,
    description: "What would be done (`dry_run`)",
    content: &[Content::json::<LifecyclePlan>()],
    headers: &[],
    links: &[],
};

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(archive_instance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/archive",
        tag: INSTANCES,
        summary: "Takes an instance out of service",
        description: "Its traffic, DNS names, balancer entry and machines go; its databases, storage, \
            settings, reserved names and history are kept. Refused while a launch is under way.",
        access: Access::Granted(Right::InstancesArchive),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<ArchiveInstance>(),
        answers: &[PLANNED, STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(unarchive_instance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/unarchive",
        tag: INSTANCES,
        summary: "Brings an archived instance back",
        description: "With its DNS names and balancer entry; and, unless `launch` is false, with an \
            Appserver of its settings that serves it. One that is half archived is brought back, too.",
        access: Access::Granted(Right::InstancesUnarchive),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<UnarchiveInstance>(),
        answers: &[PLANNED, STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(delete_instance),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/delete",
        tag: INSTANCES,
        summary: "Takes all away that an instance has, for good",
        description: "It is archived first. Then its names are free, and its secrets unreadable. \
            `confirm` is its domain. What of the kinds in `ignore` can't be removed is left, and \
            stays among the resources: delete again to try again.",
        access: Access::Granted(Right::InstancesDelete),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<DeleteInstance>(),
        answers: &[PLANNED, STARTED_RUN],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(terminate_appservers),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/appservers/terminate",
        tag: APPSERVERS,
        summary: "Takes all Appservers of an instance and their machines away",
        description: "By a run for each. The instance stays live. Those in traffic go with `force` only; \
            refused while a launch is under way.",
        access: Access::Granted(Right::AppserversTerminate),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<TerminateAppservers>(),
        answers: &[Answer {
            status: 202,
            description: "It has begun: the runs do it",
            content: &[Content::json::<StartedTerminations>()],
            headers: &[AnswerHeader::Stale],
            links: &[Link {
                name: "run",
                to: "read_run",
                parameter: "id",
                from: "$response.body#/started/0/run",
            }],
        }],
        refuses: &[ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(resolve_resource),
        method: Verb::Post,
        path: "/api/v1/resources/resolve",
        tag: RESOURCES,
        summary: "Takes a resource out of what an instance has, whether it is there or not",
        description: "For what a deletion left, and for what nobody can tell. Refused for what is there \
            and a live instance's.",
        access: Access::Granted(Right::ResourcesResolve),
        takes: Input::NOTHING.body::<ResolveResource>(),
        answers: &[Answer {
            status: 204,
            description: "Ocim looks after it no more",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::NotFound, ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
];

/// Takes an instance out of service.
async fn archive_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<ArchiveInstance>,
) -> Result<HttpResponse, HttpError> {
    change(&api, &by, *id, body.reason, body.dry_run, LifecycleAsk::Archive).await
}

/// Brings an instance back.
async fn unarchive_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<UnarchiveInstance>,
) -> Result<HttpResponse, HttpError> {
    let ask = LifecycleAsk::Unarchive { launch: body.launch };
    change(&api, &by, *id, body.reason, body.dry_run, ask).await
}

/// Takes all away that an instance has.
async fn delete_instance(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<DeleteInstance>,
) -> Result<HttpResponse, HttpError> {
    let ignore = body.ignore.into_iter().map(|kind| word(kind.word().to_owned()));
    let ignore = ignore.collect::<Result<_, _>>()?;
    let ask = LifecycleAsk::Delete(DeleteAsk { confirmation: body.confirm, ignore });
    change(&api, &by, *id, body.reason, body.dry_run, ask).await
}

async fn change(
    api: &Api,
    by: &Caller,
    id: InstanceId,
    reason: String,
    dry_run: bool,
    ask: LifecycleAsk,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(reason), ..by.clone() };
    if dry_run {
        let would = api.app.plan_lifecycle(&by, id, ask).await?;
        return Ok(HttpResponse::Ok().json(LifecyclePlan { would }));
    }
    let done = api.app.change_lifecycle(&by, id, ask).await?;
    answer_with_run(api, &by, &[instances::PROJECTOR.name], done).await
}

/// Takes all Appservers of an instance and their machines away.
async fn terminate_appservers(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<TerminateAppservers>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let ask = ForceAsk { force: body.force };
    let done = api.app.terminate_appservers(&by, *id, ask).await?;
    let started = done.value.into_iter().map(|(appserver, run)| StartedTermination {
        appserver: appserver.to_string(),
        run: run.to_string(),
    });
    let started = started.collect();
    let mut answer = api.answer_to(SHOWN_BY, done.position, HttpResponse::Accepted()).await;
    Ok(answer.json(StartedTerminations { started }))
}

/// Takes a resource out of what an instance has.
async fn resolve_resource(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<ResolveResource>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let (instance, id) = read_resource(&body.id).ok_or_else(|| {
        invalid("id", "must be INSTANCE/KIND/KEY, as the list of resources has it")
    })?;
    let done = api.app.resolve_resource(&by, instance, id).await?;
    let shown_by = [resources::PROJECTOR.name];
    Ok(api.answer_to(&shown_by, done.position, HttpResponse::NoContent()).await.finish())
}

fn read_resource(text: &str) -> Option<(InstanceId, ledger::ResourceKey)> {
    let ResourceKey { instance, kind, key } = text.parse().ok()?;
    let kind = *ledger::Kind::ALL.iter().find(|known| known.as_str() == kind)?;
    Some((instance.parse().ok()?, ledger::ResourceKey::new(kind, key)))
}
