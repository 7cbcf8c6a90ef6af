//! Obsolete Appservers: what becomes of each, and the rule of one instance.

use super::Api;
use super::convert::word;
use super::extract::{Body, Params};
use super::health::HEALTH;
use super::instances::{INSTANCE_ID, INSTANCES};
use super::paging::{Choice, answer_with_page};
use super::problem::{HttpError, internal, invalid};
use super::routes::{Access, Answer, AnswerHeader, Content, Input, Link, Route, Verb, handler};
use crate::app::{AppError, Caller, CleanUpPlan as Plan};
use crate::read_models::{AppserverRow, CleanUpRow, Reads, StandingRow};
use actix_web::web::{Data, Path, ReqData};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use ocim_api_spec::{
    ChangeCleanUp, CleanUpMode, CleanUpPlan, CleanUpRule, CleanUpVerdict, PlannedAppserver,
    ProblemType, texts,
};
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance::Hold;
use ocim_domain::instance::clean_up::{DAYS_MAX, Rule, Site, Standing, Verdict, judge};
use ocim_domain::right::Right;
use ocim_projections::instances;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::IntoParams;

pub(super) const ROUTES: &[Route] = &[
    Route {
        handler: handler!(change_clean_up),
        method: Verb::Post,
        path: "/api/v1/instances/{id}/clean_up",
        tag: INSTANCES,
        summary: "Says when an instance's obsolete Appservers go",
        description: "After so many days of its own, never by themselves, or as those of all other \
            instances. With `off`, machines of failed ones stay after their dates, too.",
        access: Access::Granted(Right::InstancesCleanUp),
        takes: Input::NOTHING.path(&[INSTANCE_ID]).body::<ChangeCleanUp>(),
        answers: &[Answer {
            status: 204,
            description: "The next clean-up goes by it",
            content: &[],
            headers: &[AnswerHeader::Stale],
            links: &[],
        }],
        refuses: &[ProblemType::InstanceHeld, ProblemType::CommandRejected],
    },
    Route {
        handler: handler!(plan_clean_ups),
        method: Verb::Get,
        path: "/api/v1/clean_up",
        tag: HEALTH,
        summary: "Tells what the daily clean-up would do now",
        description: "Of each instance that has machines which serve nobody: which Appservers go, and until \
            when and why the others stay. Nothing is done: `POST /timers/clean_up_appservers/run` does it.",
        access: Access::Granted(Right::AppserversRead),
        takes: Input::NOTHING.query::<CleanUpParams>(),
        answers: &[Answer {
            status: 200,
            description: "A page of instances",
            content: &[Content::page::<CleanUpPlan>()],
            headers: &[AnswerHeader::Link],
            links: &[Link {
                name: "instance",
                to: "read_instance",
                parameter: "id",
                from: "$response.body#/items/0/instance",
            }],
        }],
        refuses: &[],
    },
];

/// Which instances are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CleanUpParams {
    /// Most items on the page, 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<usize>,
    /// The `next` of the page before.
    #[param(value_type = Option<texts::InstanceId>)]
    after: Option<String>,
}

/// Says when an instance's obsolete Appservers go.
async fn change_clean_up(
    api: Data<Api>,
    by: ReqData<Caller>,
    id: Path<InstanceId>,
    Body(body): Body<ChangeCleanUp>,
) -> Result<HttpResponse, HttpError> {
    let by = Caller { reason: Some(body.reason), ..by.into_inner() };
    let rule = match (body.mode, body.days) {
        (CleanUpMode::Days, Some(days)) => Some(Rule::Days(days)),
        (CleanUpMode::Off, None) => Some(Rule::Off),
        (CleanUpMode::Default, None) => None,
        (CleanUpMode::Days, None) => {
            return Err(invalid("days", format!("must be a number from 1 to {DAYS_MAX}")));
        }
        (_, Some(_)) => return Err(invalid("days", "goes with the mode `days` alone")),
    };
    let done = api.app.change_clean_up(&by, *id, rule).await?;
    let shown_by = [instances::PROJECTOR.name];
    Ok(api.answer_to(&shown_by, done.position, HttpResponse::NoContent()).await.finish())
}

/// Tells what the daily clean-up would do now.
async fn plan_clean_ups(
    api: Data<Api>,
    Params(params): Params<CleanUpParams>,
    request: HttpRequest,
) -> Result<HttpResponse, HttpError> {
    let choice = Choice::new::<InstanceId>(params.limit, params.after.as_deref())?;
    let listed = api.app.list_idle_instances(choice.after_as(), choice.rows_to_read()).await?;
    let mut plans = vec![];
    for id in listed {
        plans.push((id, api.app.plan_clean_up(id, None).await));
    }
    let page = choice.page(plans, |(id, _)| id.to_string(), show_plan)?;
    answer_with_page(&request, &page)
}

fn show_plan((id, plan): (InstanceId, Result<Plan, AppError>)) -> Result<CleanUpPlan, HttpError> {
    let Plan { instance, name, rule, verdicts } = match plan {
        Ok(plan) => plan,
        Err(error @ (AppError::Busy { .. } | AppError::Unavailable { .. })) => {
            return Err(error.into());
        }
        Err(error) => {
            return Ok(CleanUpPlan {
                instance: id.to_string(),
                instance_name: id.to_string(),
                days: None,
                appservers: vec![],
                failure: Some(error.to_string()),
            });
        }
    };
    let show = |(id, number, verdict): (AppserverId, u32, Verdict)| {
        let (id, name) = (id.to_string(), format!("AppServer {number}"));
        Ok(PlannedAppserver { id, name, verdict: show_verdict(&verdict)? })
    };
    Ok(CleanUpPlan {
        instance: instance.to_string(),
        instance_name: name,
        days: days_of(rule),
        appservers: verdicts.into_iter().map(show).collect::<Result<_, HttpError>>()?,
        failure: None,
    })
}

fn days_of(rule: Rule) -> Option<u16> {
    match rule {
        Rule::Days(days) => Some(days),
        Rule::Off => None,
    }
}

/// The rule of an instance, whose column has its own one; `default` is that of those without.
pub(super) fn show_rule(column: Option<Value>, default: Rule) -> Result<CleanUpRule, HttpError> {
    let own = read_rule(column)?;
    Ok(CleanUpRule { days: days_of(own.unwrap_or(default)), is_own: own.is_some() })
}

fn read_rule(column: Option<Value>) -> Result<Option<Rule>, HttpError> {
    column.map(serde_json::from_value).transpose().map_err(|error| internal(&error))
}

fn show_verdict(verdict: &Verdict) -> Result<CleanUpVerdict, HttpError> {
    Ok(CleanUpVerdict {
        goes: verdict.goes(),
        why: word(verdict.word().to_owned())?,
        until: verdict.until(),
        told: verdict.tell(),
    })
}

/// What is to become of each of these Appservers that has a machine, by its id. Who is at work on one is
/// left out: that is a matter of a moment.
pub(super) async fn judge_rows(
    api: &Api,
    reads: &Reads<'_>,
    rows: &[AppserverRow],
) -> Result<BTreeMap<String, CleanUpVerdict>, HttpError> {
    let mut instances: Vec<_> = rows.iter().map(|row| row.instance.clone()).collect();
    instances.sort_unstable();
    instances.dedup();
    if instances.is_empty() {
        return Ok(BTreeMap::new());
    }
    let now = api.app.journal().now();
    let mut standing: BTreeMap<String, Vec<Standing>> = BTreeMap::new();
    for row in reads.list_standing(&instances).await? {
        let instance = row.instance.clone();
        standing.entry(instance).or_default().extend(read_standing(row)?);
    }
    let mut verdicts = BTreeMap::new();
    for row in reads.list_clean_ups(&instances).await? {
        let Some(of_instance) = standing.get(&row.id) else { continue };
        let site = read_site(row, api.app.clean_up_rule(), now)?;
        for (id, verdict) in judge(&site, of_instance, now) {
            verdicts.insert(id.to_string(), show_verdict(&verdict)?);
        }
    }
    Ok(verdicts)
}

fn read_site(row: CleanUpRow, default: Rule, now: DateTime<Utc>) -> Result<Site, HttpError> {
    let until = row.held_until.filter(|until| now < *until);
    let hold = match (row.held_by, row.hold_reason, until) {
        (Some(holder), Some(reason), Some(until)) => Some(Hold { holder, reason, until }),
        _ => None,
    };
    let rule = read_rule(row.clean_up)?.unwrap_or(default);
    Ok(Site { rule, hold, is_live: row.lifecycle == "live" })
}

fn read_standing(row: StandingRow) -> Result<Option<Standing>, HttpError> {
    let (Ok(appserver), Some(made)) = (row.id.parse(), row.made_at) else { return Ok(None) };
    Ok(Some(Standing {
        appserver,
        number: u32::try_from(row.number).unwrap_or_default(),
        made,
        status: word(row.status)?,
        active: row.active,
        last_activated: row.last_activated,
        kept_until: row.keeps_server_until,
        at_work: None,
    }))
}
