//! What nothing accounts for and what is missing: looked for, taken away, or given to an instance.

use super::Api;
use super::appservers::answer_with_run;
use super::convert::word;
use super::extract::{Body, Params};
use super::problem::{HttpError, invalid};
use super::resources::RESOURCES;
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Route, STARTED_RUN, Verb, handler,
};
use crate::app::Caller;
use crate::resource_scan::{self, FoundOrphan, Scan, ScanAsk, Unanswered};
use actix_web::HttpResponse;
use actix_web::web::{Data, ReqData};
use ocim_api_spec::{
    AdoptResource, DeleteResource, MissingResource, OrphanDeletionPlan, OrphanedResource,
    ProblemType, ResourceKind, ResourceScan, UnansweredProvider, texts,
};
use ocim_domain::ids::InstanceId;
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger;
use ocim_domain::right::Right;
use ocim_projections::{inventories, resources};
use serde::Deserialize;
use utoipa::IntoParams;

/// What is answered to an order to take an orphan away.
pub(super) const DELETION_ANSWERS: &[Answer] = &[
    Answer {
        status: 200,
        description: "What would be done (`dry_run`)",
        content: &[Content::json::<OrphanDeletionPlan>()],
        headers: &[],
        links: &[],
    },
    STARTED_RUN,
];

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(scan_resources),
        method: Verb::Get,
        path: "/api/v1/resources/scan",
        tag: RESOURCES,
        summary: "Asks all providers what they have of ours, and compares it with what instances have",
        description: "Tells what is there and no instance has, what instances are known to have and is \
            not there, and who did not answer. Takes a minute at most, and changes nothing.",
        access: Access::Granted(Right::ResourcesRead),
        takes: Input::NOTHING.query::<ScanParams>(),
        answers: &[Answer {
            status: 200,
            description: "What was found",
            content: &[Content::json::<ResourceScan>()],
            headers: &[],
            links: &[],
        }],
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(adopt_resource),
        method: Verb::Post,
        path: "/api/v1/resources/adopt",
        tag: RESOURCES,
        summary: "Has an instance look after something that no instance has",
        description: "It is looked for first; from then on it goes with the instance. Refused for what \
            another instance has or had, and for machines, floating addresses and balancers' fragments.",
        access: Access::Granted(Right::ResourcesAdopt),
        takes: Input::NOTHING.body::<AdoptResource>(),
        answers: &[Answer {
            status: 204,
            description: "The instance has it",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::NotFound, ProblemType::CommandRejected, ProblemType::InstanceHeld],
    },
    Route {
        handler: handler!(delete_resource),
        method: Verb::Post,
        path: "/api/v1/resources/delete",
        tag: RESOURCES,
        summary: "Takes away something that no instance has",
        description: "It is looked for first, and again right before it is removed. With all that it \
            has. `dry_run` only tells what would be done.",
        access: Access::Granted(Right::ResourcesDelete),
        takes: Input::NOTHING.body::<DeleteResource>(),
        answers: DELETION_ANSWERS,
        refuses: &[ProblemType::CommandRejected],
    },
];

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ScanParams {
    /// Only what is, was or may have been of the instance with this id.
    #[param(value_type = Option<texts::InstanceId>)]
    instance: Option<InstanceId>,
    /// Only of this kind.
    kind: Option<ResourceKind>,
}

/// Asks all providers.
async fn scan_resources(
    api: Data<Api>,
    Params(params): Params<ScanParams>,
) -> Result<HttpResponse, HttpError> {
    let kind = params.kind.map(|kind| word::<ledger::Kind>(kind.word().to_owned())).transpose()?;
    let scan = api.scanner.scan(ScanAsk { instance: params.instance, kind }).await?;
    Ok(HttpResponse::Ok().json(show_scan(scan)?))
}

/// Has an instance look after an orphan.
async fn adopt_resource(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<AdoptResource>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let instance = body
        .instance
        .parse()
        .map_err(|_| invalid("instance", "must be the id of an instance, `inst_…`"))?;
    let done = api.scanner.adopt(&by, &read_id(&body.id)?, instance).await?;
    let shown_by = [resources::PROJECTOR.name];
    Ok(api.answer_to(&shown_by, done.position, HttpResponse::NoContent()).await.finish())
}

/// Takes an orphan away.
async fn delete_resource(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<DeleteResource>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let id = read_id(&body.id)?;
    if body.dry_run {
        let orphan = api.scanner.plan_deletion(&by, &id).await?;
        let (kind, name, place) = (id.key.kind, &orphan.name, &id.place);
        let would = format!("a run would remove the {kind} {} (`{name}`) at {place}", id.key.key);
        return Ok(HttpResponse::Ok().json(OrphanDeletionPlan { would }));
    }
    let done = api.scanner.delete(&by, &id).await?;
    answer_with_run(&api, &by, &[inventories::PROJECTOR.name], done).await
}

fn read_id(text: &str) -> Result<OrphanId, HttpError> {
    let rule = "must be KIND/PLACE/KEY, as `ocim resources scan` has it";
    text.parse().map_err(|_| invalid("id", rule))
}

fn show_scan(scan: Scan) -> Result<ResourceScan, HttpError> {
    let show = |Unanswered { provider, error }| UnansweredProvider { provider, error };
    Ok(ResourceScan {
        orphans: scan.orphans.into_iter().map(show_orphan).collect::<Result<_, _>>()?,
        missing: scan.missing.into_iter().map(show_missing).collect::<Result<_, _>>()?,
        unanswered: scan.unanswered.into_iter().map(show).collect(),
    })
}

fn show_orphan(orphan: FoundOrphan) -> Result<OrphanedResource, HttpError> {
    Ok(OrphanedResource {
        id: orphan.id.to_string(),
        kind: word(orphan.id.key.kind.as_str().to_owned())?,
        provider: orphan.provider,
        place: orphan.id.place,
        name: orphan.name,
        owner: orphan.owner.map(|owner| owner.to_string()),
        made: orphan.made_at,
        left: orphan.left_at,
        sign: orphan.sign,
        deletion_run: orphan.deletion.map(|run| run.to_string()),
    })
}

fn show_missing(missing: resource_scan::MissingResource) -> Result<MissingResource, HttpError> {
    let resource_scan::MissingResource { instance, resource, provider, instead } = missing;
    Ok(MissingResource {
        id: format!("{instance}/{}", resource.id),
        instance: instance.to_string(),
        kind: word(resource.id.kind.as_str().to_owned())?,
        provider,
        name: resource.name,
        place: resource.place,
        instead,
    })
}
