//! `unarchive_instance`: gives a site its names and its part of a balancer again, and an Appserver.

use super::balancers::{Site, apply_recorded_lineup, assign_load_balancer};
use super::lifecycle::{CONFIRM, give_up, record, recording};
use super::resource::dns_name::DnsName;
use super::resource::ensure;
use super::resource::removal::{remove_fragments, remove_names};
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use crate::app::{AppError, ExecuteError};
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::instance::lifecycle::Command;
use ocim_domain::instance::{self, Attempts, Instance, OnSuccess};
use ocim_domain::run_record::LifecycleInput;
use ocim_domain::saga::step_key;
use ocim_engine::call;
use std::time::Duration;

/// What the launch that follows an un-archiving is made from.
const LAUNCH: &str = "launch";
const APPSERVER: &str = "appserver";

/// The process.
///
/// Failure policy: until the instance is live, a failure or a cancel takes away again what was made,
/// unless somebody is served by it. One that is abandoned leaves the instance half un-archived: it can
/// be un-archived again, archived or deleted. The launch is a run of its own.
pub static UNARCHIVE_INSTANCE: Definition = Definition {
    name: "unarchive_instance",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(give_up)),
    settles_on_undo: false,
    steps: &[
        CONFIRM,
        Step::new(
            "assign_load_balancer",
            call!(assign),
            Kind::NoUndo("an archived instance has none, whichever it was"),
            5,
            |_| Duration::from_secs(600),
        ),
        Step::new(
            "restore_fragment",
            call!(restore_fragment),
            Kind::Compensable(call!(undo_restore_fragment)),
            3,
            |_| Duration::from_secs(300),
        ),
        Step::new(
            "write_dns_records",
            call!(write_names),
            Kind::Compensable(call!(undo_write_names)),
            4,
            |_| Duration::from_secs(300),
        ),
        Step::new(
            "record_unarchived",
            call!(record_unarchived),
            Kind::Pivot("the instance is live: from here it is launched, or archived again"),
            20,
            |_| Duration::from_secs(60),
        ),
        recording("request_launch", call!(request_launch), "the launch is a run of its own"),
    ],
};

/// Never launched, it had nothing: its first launch makes it.
async fn had_nothing(context: &StepContext) -> Result<bool, StepError> {
    let input: LifecycleInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    Ok(instance.appservers.is_empty() && instance.load_balancer.is_none())
}

fn skip() -> Progress {
    Progress::Skipped("it was never launched: its first launch makes it".to_owned())
}

async fn assign(context: StepContext) -> Result<Progress, StepError> {
    if had_nothing(&context).await? {
        return Ok(skip());
    }
    assign_load_balancer(context).await
}

/// Gives the balancer what a live instance has there: the preliminary page, and whoever still serves.
async fn restore_fragment(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let Some(site) = Site::load(&context, input.instance).await? else { return Ok(skip()) };
    apply_recorded_lineup(&context, &site).await?;
    done(())
}

async fn write_names(context: StepContext) -> Result<Progress, StepError> {
    if had_nothing(&context).await? {
        return Ok(skip());
    }
    ensure::<DnsName>(context).await
}

/// Whether visitors are served by what an earlier archiving left.
async fn serves(context: &StepContext) -> Result<bool, StepError> {
    let input: LifecycleInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    Ok(!instance.active.is_empty())
}

async fn undo_restore_fragment(context: StepContext) -> Result<Progress, StepError> {
    if serves(&context).await? {
        return undone("the site is served");
    }
    remove_fragments(context).await
}

async fn undo_write_names(context: StepContext) -> Result<Progress, StepError> {
    if serves(&context).await? {
        return undone("the site is served");
    }
    remove_names(context).await
}

async fn record_unarchived(context: StepContext) -> Result<Progress, StepError> {
    record(&context, Command::RecordUnarchived { run: context.run }).await?;
    context.say("the instance is live").await;
    done(())
}

/// The run that launches an Appserver once this one has made the instance live.
#[must_use]
pub fn launch_after(run: RunId) -> RunId {
    RunId(step_key(run, LAUNCH))
}

/// Hands over to a launch, whose ids follow from this run: asked for once.
async fn request_launch(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    if !input.launch {
        return Ok(Progress::Skipped("no launch was asked for".to_owned()));
    }
    let run = launch_after(context.run);
    let command = instance::Command::RequestLaunch {
        appserver: AppserverId(step_key(context.run, APPSERVER)),
        run,
        may_queue: true,
        then: OnSuccess { activate: true, deactivate_others: true },
        attempts: Attempts::ONE,
    };
    let journal = context.world.app.journal();
    let stream = input.instance.stream();
    match journal.execute::<Instance>(&stream, &context.metadata(), command).await {
        Ok(_) => {
            context.say(format!("{run} launches an appserver, and activates it")).await;
            done(run)
        }
        // E.g. somebody archives it again: it was live all the same.
        Err(ExecuteError::Rejected(why)) => Ok(Progress::Skipped(why.to_string())),
        Err(error) => Err(AppError::from(error).into()),
    }
}
