//! Bulk operations: ask for them, look at them, pause, resume and stop them.

use super::Api;
use super::appservers::accept_run;
use super::convert::word;
use super::extract::{Body, Params};
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Tag, Verb, handler,
};
use crate::app::bulk::{BulkAsk, BulkPlan as Plan, PaceAsk, RedeployAsk};
use crate::app::{Caller, Done};
use crate::read_models::{BulkItemRow, BulkRow};
use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chrono::Duration;
use ocim_api_spec::{
    ArchiveInstances, BulkItem, BulkOperation, BulkPlan, ChosenInstance, ProblemType,
    RedeployInstances, StartedBulkOperation, SteerBulkOperation, texts,
};
use ocim_domain::Timestamp;
use ocim_domain::bulk::forecast::{Pacing, forecast_end};
use ocim_domain::ids::BulkId;
use ocim_domain::right::Right;
use ocim_projections::{bulk, runs};
use serde::Deserialize;
use utoipa::IntoParams;

const BULK: Tag =
    Tag { name: "bulk operations", description: "Redeploying and archiving many instances" };

const BULK_ID: PathPart = PathPart {
    name: "id",
    description: "Which bulk operation, `bulk_…`",
    shape: Shape::of::<texts::BulkId>(),
};

const PLANNED: Answer = Answer {
    status: 200,
    description: "Which instances it would be about (`dry_run`)",
    content: &[Content::json::<BulkPlan>()],
    headers: &[],
    links: &[],
};

const STARTED: Answer = Answer {
    status: 202,
    description: "It has begun: the run does it",
    content: &[Content::json::<StartedBulkOperation>()],
    headers: &[AnswerHeader::Location, AnswerHeader::Stale],
    links: &[
        Link {
            name: "operation",
            to: "read_bulk_operation",
            parameter: "id",
            from: "$response.body#/id",
        },
        Link::RUN,
    ],
};

const SHOWN: &[Answer] = &[Answer {
    status: 200,
    description: "The operation as it is now",
    content: &[Content::json::<BulkOperation>()],
    headers: &[AnswerHeader::Stale],
    links: &[Link {
        name: "instances",
        to: "list_bulk_items",
        parameter: "id",
        from: "$response.body#/id",
    }],
}];

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(redeploy_instances),
        method: Verb::Post,
        path: "/api/v1/bulk_operations/redeploy",
        tag: BULK,
        summary: "Launches an Appserver of each of many instances, a few at a time",
        description: "Of live instances that were launched before, and that bear none of the tags. Failures \
            are noted, and stop nothing but as `canary` and `failures_max` say. The launches come after \
            all that somebody waits for, and leave others the last slot of their region. SQL runs on each \
            one's main database before, once and with the account that administers the server.",
        access: Access::Granted(Right::BulkRequest),
        takes: Input::NOTHING.body::<RedeployInstances>(),
        answers: &[PLANNED, STARTED],
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(archive_instances),
        method: Verb::Post,
        path: "/api/v1/bulk_operations/archive",
        tag: BULK,
        summary: "Takes many instances out of service, a few at a time",
        description: "Each by a run of its own, as when it is archived alone. One that fails stops no \
            other.",
        access: Access::Granted(Right::BulkRequest),
        takes: Input::NOTHING.body::<ArchiveInstances>(),
        answers: &[PLANNED, STARTED],
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(list_bulk_operations),
        method: Verb::Get,
        path: "/api/v1/bulk_operations",
        tag: BULK,
        summary: "Lists bulk operations, newest first",
        description: "Each with how far it is, and when it will probably be over.",
        access: Access::Granted(Right::BulkRead),
        takes: Input::NOTHING.query::<OperationParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of bulk operations",
            content: &[Content::page::<BulkOperation>()],
            headers: &[AnswerHeader::Link],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(read_bulk_operation),
        method: Verb::Get,
        path: "/api/v1/bulk_operations/{id}",
        tag: BULK,
        summary: "Reads a bulk operation",
        description: "With how far it is, and when it will probably be over.",
        access: Access::Granted(Right::BulkRead),
        takes: Input::NOTHING.path(&[BULK_ID]),
        answers: SHOWN,
        refuses: &[],
    },
    Route {
        handler: handler!(list_bulk_items),
        method: Verb::Get,
        path: "/api/v1/bulk_operations/{id}/instances",
        tag: BULK,
        summary: "Lists the instances of a bulk operation, in their order",
        description: "Each with how far it is, and why it failed or was left out.",
        access: Access::Granted(Right::BulkRead),
        takes: Input::NOTHING.path(&[BULK_ID]).query::<ItemParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of its instances",
            content: &[Content::page::<BulkItem>()],
            headers: &[AnswerHeader::Link],
            links: &[],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(pause_bulk_operation),
        method: Verb::Post,
        path: "/api/v1/bulk_operations/{id}/pause",
        tag: BULK,
        summary: "Has a bulk operation begin with no more instances for now",
        description: "What it has begun goes on.",
        access: Access::Granted(Right::BulkRequest),
        takes: Input::NOTHING.path(&[BULK_ID]).body::<SteerBulkOperation>(),
        answers: SHOWN,
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(resume_bulk_operation),
        method: Verb::Post,
        path: "/api/v1/bulk_operations/{id}/resume",
        tag: BULK,
        summary: "Has a paused bulk operation go on",
        description: "With the next instances, as its pace allows.",
        access: Access::Granted(Right::BulkRequest),
        takes: Input::NOTHING.path(&[BULK_ID]),
        answers: SHOWN,
        refuses: &[ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(stop_bulk_operation),
        method: Verb::Post,
        path: "/api/v1/bulk_operations/{id}/stop",
        tag: BULK,
        summary: "Has a bulk operation begin with no more instances",
        description: "What it has begun comes to its end. The same request goes on with the rest, later.",
        access: Access::Granted(Right::BulkRequest),
        takes: Input::NOTHING.path(&[BULK_ID]).body::<SteerBulkOperation>(),
        answers: SHOWN,
        refuses: &[ProblemType::CommandRejected],
    },
];

/// Which operations are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct OperationParams {
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::BulkId>)]
    after: Option<String>,
}

/// Which instances of an operation are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ItemParams {
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(minimum = 1, maximum = 10000)]
    after: Option<u16>,
}

/// Launches an Appserver of each of many instances.
async fn redeploy_instances(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<RedeployInstances>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let pace = PaceAsk {
        batch_size: body.batch_size,
        frequency_seconds: body.frequency_seconds,
        canary: body.canary,
        failures_max: body.failures_max,
    };
    let ask = BulkAsk::Redeploy(Box::new(RedeployAsk {
        tag: body.tag,
        filter: body.filter,
        exclude: body.exclude,
        update: body.update,
        sql: body.preupgrade_sql_commands,
        attempts: body.attempts,
        activate: body.activate,
    }));
    answer_to_ask(&api, &by, ask, pace, body.dry_run).await
}

/// Takes many instances out of service.
async fn archive_instances(
    api: Data<Api>,
    by: ReqData<Caller>,
    Body(body): Body<ArchiveInstances>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let batch_size = body.batch_size;
    let pace = PaceAsk { batch_size, frequency_seconds: 0, canary: false, failures_max: None };
    answer_to_ask(&api, &by, BulkAsk::Archive { domains: body.domains }, pace, body.dry_run).await
}

async fn answer_to_ask(
    api: &Api,
    by: &Caller,
    ask: BulkAsk,
    pace: PaceAsk,
    dry_run: bool,
) -> Result<HttpResponse, HttpError> {
    if dry_run {
        let plan = api.app.plan_bulk(by, &ask, pace).await?;
        return Ok(HttpResponse::Ok().json(show_plan(plan)));
    }
    let done = api.app.request_bulk(by, ask, pace).await?;
    let started = done.value;
    let shown_by = [bulk::PROJECTOR.name, runs::PROJECTOR.name];
    let mut answer = accept_run(api, by, &shown_by, done.position, started.run).await?;
    answer.insert_header((LOCATION, format!("/api/v1/bulk_operations/{}", started.id)));
    Ok(answer.json(StartedBulkOperation {
        id: started.id.to_string(),
        run: started.run.to_string(),
        instance_count: started.count,
    }))
}

fn show_plan(plan: Plan) -> BulkPlan {
    let instances: Vec<_> = plan
        .chosen
        .into_iter()
        .map(|it| ChosenInstance {
            id: it.id.to_string(),
            name: it.name,
            domain: it.domain,
            left_out: it.left_out.map(str::to_owned),
        })
        .collect();
    BulkPlan { instance_count: instances.len(), instances, unknown: plan.unknown }
}

/// Lists bulk operations, newest first.
async fn list_bulk_operations(
    api: Data<Api>,
    by: ReqData<Caller>,
    Params(params): Params<OperationParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<BulkId>(params.limit, params.after.as_deref())?;
    let (limit, after) = (choice.rows_to_read(), choice.after.as_deref());
    let rows = api.app.reads(&by).list_bulk_operations(limit, after).await?;
    let now = api.app.journal().now();
    let page = choice.page(rows, |row: &BulkRow| row.id.clone(), |row| show(row, now))?;
    answer_with_page(&request, &page)
}

/// Reads a bulk operation.
async fn read_bulk_operation(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<BulkId>,
) -> Result<HttpResponse, HttpError> {
    Ok(HttpResponse::Ok().json(read(&api, &by, *id).await?))
}

/// Lists the instances of a bulk operation.
async fn list_bulk_items(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<BulkId>,
    Params(params): Params<ItemParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<BulkId>(params.limit, None)?;
    read(&api, &by, *id).await?;
    let (limit, after) = (choice.rows_to_read(), params.after.unwrap_or(0));
    let rows = api.app.reads(&by).list_bulk_items(&id.to_string(), limit, after.into()).await?;
    let page = choice.page(rows, |row: &BulkItemRow| row.place.to_string(), show_item)?;
    answer_with_page(&request, &page)
}

/// Has a bulk operation begin with no more instances for now.
async fn pause_bulk_operation(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<BulkId>,
    Body(body): Body<SteerBulkOperation>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.pause_bulk(&by, *id).await?;
    answer_with_operation(&api, &by, *id, done).await
}

/// Has a paused bulk operation go on.
async fn resume_bulk_operation(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<BulkId>,
) -> Result<HttpResponse, HttpError> {
    let done = api.app.resume_bulk(&by, *id).await?;
    answer_with_operation(&api, &by, *id, done).await
}

/// Has a bulk operation begin with no more instances.
async fn stop_bulk_operation(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<BulkId>,
    Body(body): Body<SteerBulkOperation>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let done = api.app.stop_bulk(&by, *id).await?;
    answer_with_operation(&api, &by, *id, done).await
}

async fn answer_with_operation(
    api: &Api,
    by: &Caller,
    id: BulkId,
    done: Done<()>,
) -> Result<HttpResponse, HttpError> {
    let answer = HttpResponse::Ok();
    let mut answer = api.answer_to(&[bulk::PROJECTOR.name], done.position, answer).await;
    Ok(answer.json(read(api, by, id).await?))
}

async fn read(api: &Api, by: &Caller, id: BulkId) -> Result<BulkOperation, HttpError> {
    let row = api.app.reads(by).read_bulk_operation(&id.to_string()).await?;
    show(row.ok_or_else(|| not_found("such bulk operation"))?, api.app.journal().now())
}

fn show(row: BulkRow, now: Timestamp) -> Result<BulkOperation, HttpError> {
    let forecast = forecast(&row, now);
    Ok(BulkOperation {
        work: word(row.work)?,
        state: word(row.state)?,
        id: row.id,
        run: row.run,
        actor: row.actor,
        reason: row.reason,
        tag: row.tag,
        attempts: row.attempts,
        activate: row.activate,
        preupgrade_sql_count: row.sql_count,
        batch_size: row.batch_size,
        frequency_seconds: row.frequency_seconds,
        canary: row.canary,
        failures_max: row.failures_max,
        because: row.because,
        instance_count: row.instance_count,
        pending: row.pending,
        ongoing: row.ongoing,
        succeeded: row.succeeded,
        failed: row.failed,
        skipped: row.skipped,
        next_batch: row.next_at.filter(|_| row.ended_at.is_none() && row.pending > 0),
        forecast_end: forecast,
        created: row.created_at,
        modified: row.updated_at,
        ended: row.ended_at,
    })
}

/// When it will probably be over; unknown while nothing more is begun.
fn forecast(row: &BulkRow, now: Timestamp) -> Option<Timestamp> {
    let count = |number: i64| usize::try_from(number).unwrap_or(0);
    let pending = match row.state.as_str() {
        "running" => count(row.pending),
        "stopping" => 0,
        _ => return None,
    };
    let average = (row.average_seconds >= 0).then(|| Duration::seconds(row.average_seconds));
    let pacing = Pacing {
        settled: count(row.succeeded + row.failed),
        ongoing: count(row.ongoing),
        pending,
        batch_size: usize::try_from(row.batch_size).unwrap_or(1),
        frequency: Duration::seconds(row.frequency_seconds.into()),
        average,
        next_at: row.next_at,
    };
    forecast_end(&pacing, now)
}

fn show_item(row: BulkItemRow) -> Result<BulkItem, HttpError> {
    Ok(BulkItem {
        place: row.place,
        instance: row.instance,
        domain: row.domain,
        state: word(row.state)?,
        why: row.why,
        begun: row.begun_at,
        settled: row.settled_at,
    })
}
