//! `terminate_appserver`: out of traffic, then the machine goes; closed on observed absence alone.

use super::check_names::CHECK_NAMES;
use super::deactivate_appserver::{
    CLAIM, DRAIN, PLAN, RECORD, RELEASE, REMOVE_DROPPED_NAMES, UPDATE_MACHINE_NAMES, WITHDRAW,
};
use super::lifecycle::REMOVAL_TIME;
use super::machines::remove_machine;
use super::publish_test_link::close_links;
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::traffic::release_traffic;
use crate::app::AppError;
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::run_record::TrafficInput;
use ocim_engine::call;
use std::time::Duration;

/// Keeps everybody from giving it traffic. Afterwards others may move the traffic, so that what
/// keeps them from it has to be the Appserver's own.
const START: Step = Step::new(
    "start_termination",
    call!(start_termination),
    Kind::Compensable(call!(stop_termination)),
    5,
    |_| Duration::from_secs(60),
);

/// Has no test link lead to the machine any more.
pub(super) const CLOSE_LINKS: Step = Step::new(
    "close_links",
    call!(close_links),
    Kind::Retryable("its machine goes away"),
    20,
    |_| Duration::from_secs(300),
);

/// Deletes the machine, and looks until it is gone.
pub(super) const DELETE: Step = Step {
    max_elapsed: Some(|_| REMOVAL_TIME),
    ..Step::new(
        "delete_server",
        call!(delete_server),
        Kind::Retryable("a deleted machine does not come back"),
        100,
        |limits| limits.shutdown_wait.saturating_add(Duration::from_secs(300)),
    )
};

/// Records that the machine is gone.
pub(super) const RECORD_TERMINATED: Step = Step::new(
    "record_terminated",
    call!(record_terminated),
    Kind::Retryable("the machine is gone"),
    20,
    |_| Duration::from_secs(60),
);

/// The process.
///
/// Failure policy: until the traffic has moved, a failure or a cancel puts the Appserver back into
/// it. From `record_traffic` on it only goes forward: a cloud that does not answer is asked again.
pub static TERMINATE_APPSERVER: Definition = Definition {
    name: "terminate_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(release_abandoned)),
    settles_on_undo: false,
    steps: &[
        CLAIM,
        PLAN,
        START,
        WITHDRAW,
        RECORD,
        CHECK_NAMES,
        CLOSE_LINKS,
        RELEASE,
        UPDATE_MACHINE_NAMES,
        DRAIN,
        DELETE,
        RECORD_TERMINATED,
        REMOVE_DROPPED_NAMES,
    ],
};

/// From here on it can't be given traffic.
async fn start_termination(context: StepContext) -> Result<Progress, StepError> {
    record(&context, appserver::Command::StartTermination { run: context.run }).await?;
    done(())
}

/// It may have traffic again.
async fn stop_termination(context: StepContext) -> Result<Progress, StepError> {
    record(&context, appserver::Command::StopTermination { run: context.run }).await?;
    undone("the appserver stays")
}

/// What an abandoned termination releases: its machine may be gone or not, which whoever
/// activates it finds out.
async fn release_abandoned(context: StepContext) -> Result<Progress, StepError> {
    record(&context, appserver::Command::StopTermination { run: context.run }).await?;
    release_traffic(context).await
}

/// Deletes the Appserver's machine, and looks until it is gone.
async fn delete_server(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    let appserver = context.world.app.load_appserver(input.appserver).await?;
    let launched = &appserver.launched;
    remove_machine(&context, launched.instance, launched.server).await
}

/// Records that the Appserver's machine is gone.
async fn record_terminated(context: StepContext) -> Result<Progress, StepError> {
    record(&context, appserver::Command::Terminate).await?;
    context.say("the appserver and its machine are gone").await;
    done(())
}

/// Records it on the run's Appserver.
pub(super) async fn record(
    context: &StepContext,
    command: appserver::Command,
) -> Result<(), StepError> {
    let input: TrafficInput = context.input()?;
    let journal = context.world.app.journal();
    let stream = input.appserver.stream();
    let recorded = journal.execute::<Appserver>(&stream, &context.metadata(), command).await;
    recorded.map(|_| ()).map_err(|error| AppError::from(error).into())
}
