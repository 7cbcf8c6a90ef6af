//! `change_maintenance`: gives a site's visitors a page instead of the site, or the site again.

use super::balancers::{Lineup, Site, apply_lineup, apply_recorded_lineup};
use super::check_names::check_names_of_site;
use super::deactivate_appserver::{CLAIM, RELEASE};
use super::lifecycle::recording;
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::traffic::release_traffic;
use crate::app::AppError;
use ocim_domain::instance::maintenance::{Change, Command, Refused};
use ocim_domain::instance::{self, Instance};
use ocim_domain::run_record::LifecycleInput;
use ocim_domain::saga::ErrorCode;
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: until the change is recorded, a failure or a cancel gives visitors what they got
/// before. From `record_maintenance` on it only goes forward.
pub static CHANGE_MAINTENANCE: Definition = Definition {
    name: "change_maintenance",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(give_up)),
    settles_on_undo: false,
    steps: &[
        Step::new(
            "confirm_request",
            call!(confirm_request),
            Kind::Compensable(call!(turn_back)),
            5,
            |_| Duration::from_secs(60),
        ),
        CLAIM,
        Step::new(
            "change_page",
            call!(change_page),
            Kind::Compensable(call!(undo_change_page)),
            3,
            |_| Duration::from_secs(300),
        ),
        Step::new(
            "record_maintenance",
            call!(record_maintenance),
            Kind::Pivot("visitors get what was asked for: from here the run only goes forward"),
            20,
            |_| Duration::from_secs(60),
        ),
        recording("check_names", call!(check_names_of_site), "it only asks"),
        RELEASE,
    ],
};

/// What the run is asked for, while that stands.
async fn find_change(context: &StepContext) -> Result<Change, StepError> {
    let input: LifecycleInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    let is_live = instance.check_live();
    is_live.map_err(|why| StepError::permanent(ErrorCode::InstanceNotLive, why.to_string()))?;
    instance.maintenance_change.filter(|change| change.run == context.run).ok_or_else(|| {
        let why = Refused::Overtaken { run: context.run };
        StepError::permanent(ErrorCode::StateForbids, why.to_string())
    })
}

async fn confirm_request(context: StepContext) -> Result<Progress, StepError> {
    find_change(&context).await?;
    done(())
}

/// The request stands no more: another one may come.
async fn turn_back(context: StepContext) -> Result<Progress, StepError> {
    record(&context, Command::Stop { run: context.run }).await?;
    undone("visitors get what they got before")
}

async fn give_up(context: StepContext) -> Result<Progress, StepError> {
    record(&context, Command::Stop { run: context.run }).await?;
    release_traffic(context).await
}

async fn need_site(context: &StepContext) -> Result<Site, StepError> {
    let input: LifecycleInput = context.input()?;
    Site::load(context, input.instance).await?.ok_or_else(|| {
        StepError::permanent(ErrorCode::NoLoadBalancer, Refused::NoBalancer.to_string())
    })
}

/// Has the balancer answer as asked. Who serves, and under which names, stays.
async fn change_page(context: StepContext) -> Result<Progress, StepError> {
    let change = find_change(&context).await?;
    let site = need_site(&context).await?;
    let lineup = Lineup { maintenance: change.page, ..Lineup::recorded(&site.instance) };
    apply_lineup(&context, &site, &lineup).await?;
    done(())
}

/// Has the balancer answer as it is recorded: as before, unless the run was forced back after that.
async fn undo_change_page(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let Some(site) = Site::load(&context, input.instance).await? else {
        return undone("there is no balancer");
    };
    apply_recorded_lineup(&context, &site).await?;
    undone("visitors get what is recorded")
}

async fn record_maintenance(context: StepContext) -> Result<Progress, StepError> {
    record(&context, Command::Record { run: context.run }).await?;
    done(())
}

async fn record(context: &StepContext, command: Command) -> Result<(), StepError> {
    let input: LifecycleInput = context.input()?;
    let journal = context.world.app.journal();
    let command = instance::Command::Maintenance(command);
    let stream = input.instance.stream();
    let recorded = journal.execute::<Instance>(&stream, &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}
