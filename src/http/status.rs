//! The state of affairs in one answer: what needs a person, what runs, what people have put in force.

use super::Api;
use super::appservers::show_appserver;
use super::health::{HEALTH, list_faults};
use super::holds::show_hold;
use super::instances::show_instance;
use super::load_balancers::show_load_balancer;
use super::problem::HttpError;
use super::routes::{Access, Answer, Content, Input, Link, Route, Verb, handler};
use super::runs::show_run;
use crate::app::Caller;
use crate::read_models::{InstanceRow, Reads, RunFilter, RunRow};
use actix_web::HttpResponse;
use actix_web::web::{Data, ReqData};
use chrono::{DateTime, TimeDelta, Utc};
use ocim_api_spec::{
    AppserverStatus, Need, NeedCode, Notice, NoticeCode, RunPhase, Running, Status,
};
use ocim_domain::ids::IncidentId;
use ocim_domain::incident::{Kind, Open};
use ocim_domain::right::{ReadScope, Right};

/// Most things of a kind that need a person.
const NEEDS_MAX: usize = 100;
/// The longest that the mail server may take without anybody being told.
const MAIL_LATE: TimeDelta = TimeDelta::minutes(10);
/// Most runs.
const RUNS_MAX: usize = 200;

pub(super) const ROUTES: &[Route] = &[Route {
    handler: handler!(read_status),
    method: Verb::Get,
    path: "/api/v1/status",
    tag: HEALTH,
    summary: "Tells what needs a person, and what runs",
    description: "The state of affairs in one answer: at most 100 needs and notices of a kind, and 200 runs.",
    access: Access::Granted(Right::StatusRead),
    takes: Input::NOTHING,
    answers: &[Answer {
        status: 200,
        description: "The state of affairs now",
        content: &[Content::json::<Status>()],
        headers: &[],
        links: &[Link {
            name: "run",
            to: "read_run",
            parameter: "id",
            from: "$response.body#/running/0/run",
        }],
    }],
    refuses: &[],
}];

/// Tells what needs a person, and what runs.
async fn read_status(api: Data<Api>, by: ReqData<Caller>) -> Result<HttpResponse, HttpError> {
    let now = api.app.journal().now();
    let reads = api.app.reads(&by);
    let mut needs = find_faults(&api).await;
    let (runs, troubled, misled) =
        tokio::join!(list_open_runs(&reads, now), find_troubled(&reads), find_misled(&reads, now));
    let (stuck, running): (Vec<_>, Vec<_>) = runs?.into_iter().partition(|(is_stuck, _)| *is_stuck);
    needs.extend(stuck.into_iter().take(NEEDS_MAX).map(|(_, run)| stuck_run(run)));
    needs.extend(troubled?);
    needs.extend(misled?);
    let mut notices = find_held(&reads, now).await?;
    notices.extend(find_maintained(&reads, now).await?);
    needs.extend(find_troubled_balancers(&reads).await?);
    needs.extend(find_late_mails(&reads, now).await?);
    needs.extend(find_pauses(&api));
    needs.extend(find_circuits(&api));
    needs.extend(find_silent_regions(&api, by.sees));
    needs.extend(find_orphans(&reads).await?);
    let running = running.into_iter().take(RUNS_MAX).map(|(_, run)| run).collect();
    Ok(HttpResponse::Ok().json(Status { needs, running, notices }))
}

/// Parts that are not ready.
async fn find_faults(api: &Api) -> Vec<Need> {
    let faults = list_faults(api).await;
    let need = |(part, rule): (String, String)| {
        let is_paused = part == "read_models" && rule.contains("is paused");
        let code = if is_paused { NeedCode::ProjectionPaused } else { NeedCode::NotReady };
        let advice = if is_paused { "ocim projections status" } else { "ocim doctor" };
        let sentence = format!("not ready: {rule}");
        Need { code, id: part.clone(), name: part, sentence, since: None, advice: advice.into() }
    };
    faults.into_iter().map(need).collect()
}

/// Runs that have not ended, each with whether it is stuck.
async fn list_open_runs(
    reads: &Reads<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<(bool, Running)>, HttpError> {
    let filter = RunFilter { open_only: true, ..RunFilter::default() };
    let rows = reads.list_runs(&filter, RUNS_MAX + NEEDS_MAX, None).await?;
    let show = |row: RunRow| {
        let run = show_run(row, now)?;
        let running = Running {
            name: run.subject_name.unwrap_or(run.subject),
            run: run.id,
            definition: run.definition,
            sentence: run.outcome,
            started: run.created,
            duration_s: run.duration_s,
        };
        Ok((run.phase == RunPhase::Stuck, running))
    };
    rows.into_iter().map(show).collect()
}

fn stuck_run(run: Running) -> Need {
    Need {
        code: NeedCode::RunStuck,
        sentence: format!("{} is {}", run.definition, run.sentence),
        since: None,
        advice: format!("ocim run explain {}", run.run),
        name: run.name,
        id: run.run,
    }
}

/// Appservers that get traffic and are not well, and failed ones whose machines are kept.
async fn find_troubled(reads: &Reads<'_>) -> Result<Vec<Need>, HttpError> {
    let rows = reads.list_troubled_appservers(NEEDS_MAX).await?;
    let show = |row: crate::read_models::AppserverRow| {
        let name = format!("{}/{}", row.domain, row.number);
        let shown = show_appserver(row)?;
        let why = shown.machine_trouble.as_ref().or(shown.failure.as_ref());
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let is_kept = shown.keeps_server_until.filter(|_| !shown.is_active);
        let (code, sentence, advice) = match is_kept {
            Some(until) if shown.status == AppserverStatus::Failed => {
                let until = until.format("%F %TZ");
                let sentence = format!("failed{why}; its machine is kept until {until}");
                (NeedCode::FailedLaunchKept, sentence, format!("ocim appserver logs {name}"))
            }
            _ => {
                let sentence = format!("gets traffic, but is not well{why}");
                (NeedCode::SiteInTrouble, sentence, format!("ocim appserver show {name}"))
            }
        };
        Ok(Need { code, id: shown.id, name, sentence, since: Some(shown.modified), advice })
    };
    rows.into_iter().map(show).collect()
}

/// Instances that visitors do not reach under all of their names.
async fn find_misled(reads: &Reads<'_>, now: DateTime<Utc>) -> Result<Vec<Need>, HttpError> {
    let rows = reads.list_misled_instances(NEEDS_MAX).await?;
    let show = |row| {
        let site = show_instance(row, now)?;
        let troubles: Vec<_> =
            site.name_troubles.iter().map(|it| format!("{} ({})", it.name, it.trouble)).collect();
        Ok(Need {
            code: NeedCode::SiteInTrouble,
            sentence: format!("visitors do not reach it as {}", troubles.join(", ")),
            since: Some(site.modified),
            advice: format!("ocim instance show {}", site.domain),
            name: site.domain,
            id: site.id,
        })
    };
    rows.into_iter().map(show).collect()
}

/// Instances that somebody keeps to himself.
async fn find_held(reads: &Reads<'_>, now: DateTime<Utc>) -> Result<Vec<Notice>, HttpError> {
    let rows = reads.list_held_instances(now, NEEDS_MAX).await?;
    let show = |row: InstanceRow| {
        let hold = show_hold(&row, now)?;
        Some(Notice {
            code: NoticeCode::InstanceHeld,
            sentence: format!("is held by {}: {}", hold.holder, hold.reason),
            until: hold.until,
            advice: format!("ocim instance release {}", row.domain),
            id: row.id,
            name: row.domain,
        })
    };
    Ok(rows.into_iter().filter_map(show).collect())
}

/// Instances whose visitors get a page.
async fn find_maintained(reads: &Reads<'_>, now: DateTime<Utc>) -> Result<Vec<Notice>, HttpError> {
    let rows = reads.list_maintained_instances(NEEDS_MAX).await?;
    let mut notices = vec![];
    for row in rows {
        let site = show_instance(row, now)?;
        let Some(page) = site.maintenance else { continue };
        let late = if page.until < now { ", which is over" } else { "" };
        notices.push(Notice {
            code: NoticeCode::InstanceUnderMaintenance,
            sentence: format!("is under maintenance{late}: {}", page.message),
            until: page.until,
            advice: format!("ocim instance maintenance {} off", site.domain),
            id: site.id,
            name: site.domain,
        });
    }
    Ok(notices)
}

/// Balancers that are not as they should be.
async fn find_troubled_balancers(reads: &Reads<'_>) -> Result<Vec<Need>, HttpError> {
    let rows = reads.list_troubled_balancers(NEEDS_MAX).await?;
    let show = |row| {
        let shown = show_load_balancer(row)?;
        let advice = match &shown.preparation_run {
            Some(run) => format!("ocim run explain {run}"),
            None => format!("ocim balancer prepare {} --dry-run", shown.domain),
        };
        Ok(Need {
            code: NeedCode::BalancerInTrouble,
            sentence: format!("is not as it should be: {}", shown.troubles.join("; ")),
            since: Some(shown.modified),
            id: shown.id,
            name: shown.domain,
            advice,
        })
    };
    rows.into_iter().map(show).collect()
}

/// Mails that the mail server should have taken by now.
async fn find_late_mails(reads: &Reads<'_>, now: DateTime<Utc>) -> Result<Vec<Need>, HttpError> {
    let rows = reads.list_late_mails(now - MAIL_LATE, NEEDS_MAX).await?;
    let need = |row: crate::read_models::MailRow| Need {
        code: NeedCode::MailNotTaken,
        name: format!("mail about {}", row.appserver.as_ref().unwrap_or(&row.instance)),
        sentence: "was not taken by the mail server yet".to_owned(),
        since: Some(row.created_at),
        advice: format!("ocim run explain {}", row.run),
        id: row.id,
    };
    Ok(rows.into_iter().map(need).collect())
}

/// What people have paused.
fn find_pauses(api: &Api) -> Vec<Need> {
    let need = |(id, open): (IncidentId, Open)| {
        let sentence = match (open.flow, open.until) {
            (Some(flow), _) => format!("was paused, and goes on, {} runs a minute", flow.rate),
            (None, Some(until)) => {
                format!("is paused until {}: {}", until.format("%F %TZ"), open.reason)
            }
            (None, None) => format!("is paused: {}", open.reason),
        };
        Need {
            code: NeedCode::WorkPaused,
            id: id.to_string(),
            name: open.subject.to_string(),
            sentence,
            since: None,
            advice: "ocim incidents --open".to_owned(),
        }
    };
    let open = api.app.incidents().open().into_iter();
    open.filter(|(_, open)| open.kind == Kind::Pause).map(need).collect()
}

fn find_circuits(api: &Api) -> Vec<Need> {
    let need = |circuit: ocim_adapters::breaker::circuits::OpenCircuit| {
        let until = match circuit.until {
            Some(until) => format!("left alone until {}", until.format("%F %TZ")),
            None => "being tried again".to_owned(),
        };
        Need {
            code: NeedCode::CircuitOpen,
            id: circuit.provider.clone(),
            name: circuit.provider,
            sentence: format!("has failed {} times in a row: {until}", circuit.failures),
            since: None,
            advice: "ocim incidents --open".to_owned(),
        }
    };
    api.app.open_circuits().into_iter().map(need).collect()
}

fn find_silent_regions(api: &Api, scope: ReadScope) -> Vec<Need> {
    let need = |region: &String| {
        let look = api.app.looks().of(region, scope);
        Some(Need {
            code: NeedCode::RegionSilent,
            id: region.clone(),
            name: format!("region {region}"),
            sentence: format!("did not answer: {}", look.error?),
            since: look.last_seen_at,
            advice: "ocim server looks".to_owned(),
        })
    };
    api.app.regions().iter().filter_map(need).collect()
}

async fn find_orphans(reads: &Reads<'_>) -> Result<Vec<Need>, HttpError> {
    let rows = reads.list_orphans(None).await?;
    let need = |row: crate::read_models::OrphanRow| Need {
        code: NeedCode::Orphan,
        sentence: match row.kind.as_str() {
            "machine" => format!("nothing accounts for this machine of region {}", row.place),
            kind => {
                format!("nothing accounts for this {} at {}", kind.replace('_', " "), row.place)
            }
        },
        since: Some(row.found_at),
        advice: match row.kind.as_str() {
            "machine" => format!("ocim server delete-orphan {} {} --dry-run", row.place, row.key),
            kind => format!("ocim resources delete '{kind}/{}/{}' --dry-run", row.place, row.key),
        },
        id: row.key,
        name: row.name,
    };
    let waiting = rows.into_iter().filter(|row| row.deletion_run.is_none());
    Ok(waiting.take(NEEDS_MAX).map(need).collect())
}
