//! Regions: their slots, to look at and to change.

use super::Api;
use super::extract::Body;
use super::problem::{HttpError, not_found};
use super::routes::{
    Access, Answer, AnswerHeader, Content, Input, Link, PathPart, Route, Shape, Verb, handler,
};
use super::servers::SERVERS;
use crate::app::Caller;
use crate::read_models::{RegionRow, RegionRunRow};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path, ReqData};
use ocim_api_spec::{ChangeRegion, Page, ProblemType, QueuedRun, Region, texts};
use ocim_domain::right::Right;
use ocim_projections::regions;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(list_regions),
        method: Verb::Get,
        path: "/api/v1/regions",
        tag: SERVERS,
        summary: "Lists all regions by name",
        description: "With the launches that have a slot and those that wait in line.",
        access: Access::Granted(Right::RegionsRead),
        takes: Input::NOTHING,
        answers: &[Answer {
            status: 200,
            description: "All regions",
            content: &[Content::page::<Region>()],
            headers: &[],
            links: &[Link {
                name: "change",
                to: "change_region",
                parameter: "region",
                from: "$response.body#/items/0/name",
            }],
        }],
        refuses: &[],
    },
    Route {
        handler: handler!(change_region),
        method: Verb::Patch,
        path: "/api/v1/regions/{region}",
        tag: SERVERS,
        summary: "Changes how many launches run at a time in a region",
        description: "Those that have a slot keep it.",
        access: Access::Granted(Right::RegionsChange),
        takes: Input::NOTHING
            .path(&[PathPart {
                name: "region",
                description: "Its name in `OCIM_CLOUDS`",
                shape: Shape::of::<texts::Name>(),
            }])
            .body::<ChangeRegion>(),
        answers: &[Answer {
            status: 200,
            description: "The region as it is now",
            content: &[Content::json::<Region>()],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::CommandRejected],
    },
];

/// Lists all regions by name, with the launches that have a slot and those that wait in line.
async fn list_regions(api: Data<Api>, by: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let items = read_regions(&api, &by).await?;
    Ok(HttpResponse::Ok().json(Page { items, next: None }))
}

/// Changes how many launches run at a time in a region. Those that have a slot keep it.
async fn change_region(
    api: Data<Api>,
    by: ReqData<Caller>,
    region: Path<String>,
    Body(body): Body<ChangeRegion>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: body.reason, ..by.into_inner() };
    let done = api.app.set_launches_max(&by, &region, body.launches_max).await?;
    let mut answer =
        api.answer_to(&[regions::PROJECTOR.name], done.position, HttpResponse::Ok()).await;
    let shown = read_regions(&api, &by).await?.into_iter().find(|it| it.name == *region);
    Ok(answer.json(shown.ok_or_else(|| not_found(&format!("region {region}")))?))
}

async fn read_regions(api: &Api, by: &Caller) -> Result<Vec<Region>, HttpError> {
    let reads = api.app.reads(by);
    let (rows, runs) = tokio::try_join!(reads.list_regions(), reads.list_region_runs())?;
    Ok(show_regions(rows, &runs))
}

/// The regions, each with its runs of all, which come in their order.
fn show_regions(rows: Vec<RegionRow>, runs: &[RegionRunRow]) -> Vec<Region> {
    let with_runs = |row: RegionRow| {
        let id = row.id.as_str();
        let own = |state| runs.iter().filter(move |it| it.region == id && it.state == state);
        let queued = own("queued").zip(1..);
        let queued = queued.map(|(it, position)| QueuedRun {
            run: it.run.clone(),
            position,
            since: it.since,
        });
        Region {
            running: own("running").map(|it| it.run.clone()).collect(),
            queued: queued.collect(),
            id: row.id.clone(),
            name: row.name.clone(),
            launches_max: row.launches_max,
            created: row.created_at,
            modified: row.updated_at,
        }
    };
    rows.into_iter().map(with_runs).collect()
}
