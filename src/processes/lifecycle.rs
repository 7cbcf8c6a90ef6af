//! Steps by which an instance is archived, un-archived and deleted, beside those that move its traffic.

use super::machines::remove_machine;
use super::resource::removal::Removal;
use super::step::{Kind, Progress, Step, StepContext, StepError, done, undone};
use super::traffic::release_traffic;
use crate::app::AppError;
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::ids::AppserverId;
use ocim_domain::instance::lifecycle::{self, Refused};
use ocim_domain::instance::{self, Instance};
use ocim_domain::ledger;
use ocim_domain::run_record::LifecycleInput;
use ocim_domain::saga::ErrorCode;
use ocim_engine::call;
use std::time::Duration;

/// How long a provider is asked to remove something before somebody has to see to it.
pub(super) const REMOVAL_TIME: Duration = Duration::from_secs(24 * 3600);

/// Sees that the request still stands. From it on nobody launches, serves or changes the instance; a
/// run that turns back leaves it as it was.
pub(super) const CONFIRM: Step = Step::new(
    "confirm_request",
    call!(confirm_request),
    Kind::Compensable(call!(turn_back)),
    5,
    |_| Duration::from_secs(60),
);

/// A row that removes something, and looks until it is gone.
pub(super) const fn removal(path: &'static str, run: super::step::RunFn) -> Step {
    Step {
        max_elapsed: Some(|_| REMOVAL_TIME),
        ..Step::new(
            path,
            run,
            Kind::Retryable("it is made again when it is wanted again"),
            100,
            |limits| limits.shutdown_wait.saturating_add(Duration::from_secs(300)),
        )
    }
}

/// A row that records something once there is no way back.
pub(super) const fn recording(
    path: &'static str,
    run: super::step::RunFn,
    why: &'static str,
) -> Step {
    Step::new(path, run, Kind::Retryable(why), 20, |_| Duration::from_secs(60))
}

async fn confirm_request(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    if instance.lifecycle.run == Some(context.run) {
        return done(());
    }
    let why = Refused::Overtaken { run: context.run };
    Err(StepError::permanent(ErrorCode::StateForbids, why.to_string()))
}

async fn turn_back(context: StepContext) -> Result<Progress, StepError> {
    record(&context, lifecycle::Command::StopRun { run: context.run, turned_back: true }).await?;
    undone("the instance is as it was")
}

/// What an abandoned run releases: another one may go on from where it was, or back.
pub(super) async fn give_up(context: StepContext) -> Result<Progress, StepError> {
    for (id, appserver) in load_appservers(&context).await? {
        if appserver.termination_run == Some(context.run) {
            let command = appserver::Command::StopTermination { run: context.run };
            record_appserver(&context, id, command).await?;
        }
    }
    record(&context, lifecycle::Command::StopRun { run: context.run, turned_back: false }).await?;
    release_traffic(context).await
}

/// Step: takes every machine of the instance away, and looks until all are gone.
pub(super) async fn delete_servers(context: StepContext) -> Result<Progress, StepError> {
    let mut leaving = load_appservers(&context).await?;
    leaving.retain(|(_, appserver)| !appserver.server_gone);
    for (id, _) in &leaving {
        let start = appserver::Command::StartTermination { run: context.run };
        record_appserver(&context, *id, start).await?;
    }
    let mut removal = Removal::default();
    for (id, appserver) in leaving {
        let launched = &appserver.launched;
        if removal.note(remove_machine(&context, launched.instance, launched.server).await) {
            record_appserver(&context, id, appserver::Command::Terminate).await?;
            context.say(format!("AppServer {} and its machine are gone", launched.number)).await;
        }
    }
    removal.end(&context, ledger::Kind::Machine).await
}

/// The instance's Appservers that were frozen, in order of number.
async fn load_appservers(
    context: &StepContext,
) -> Result<Vec<(AppserverId, appserver::Present)>, StepError> {
    let input: LifecycleInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    let mut frozen = vec![];
    for id in instance.appservers {
        let loaded = context.world.app.journal().load::<Appserver>(&id.stream()).await?;
        frozen.extend(loaded.state.present().map(|present| (id, present.clone())));
    }
    Ok(frozen)
}

async fn record_appserver(
    context: &StepContext,
    id: AppserverId,
    command: appserver::Command,
) -> Result<(), StepError> {
    let journal = context.world.app.journal();
    let recorded = journal.execute::<Appserver>(&id.stream(), &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}

/// Records how far the instance is.
pub(super) async fn record(
    context: &StepContext,
    command: lifecycle::Command,
) -> Result<(), StepError> {
    let input: LifecycleInput = context.input()?;
    let journal = context.world.app.journal();
    let command = instance::Command::Lifecycle(command);
    let stream = input.instance.stream();
    let recorded = journal.execute::<Instance>(&stream, &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}
