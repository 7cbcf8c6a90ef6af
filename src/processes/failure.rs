//! What becomes of an Appserver whose launch turns back.

use super::step::{Progress, StepContext, StepError, undone};
use crate::app::ExecuteError;
use ocim_domain::appserver::{self, Appserver, Status};
use ocim_domain::ids::RunId;
use ocim_domain::run_record::LaunchInput;
use ocim_domain::saga::{Cause, step_key};

/// Records how the launch ended on the Appserver, once: cancelled, never came up, or not configured.
///
/// The first undo of a launch calls it, so that people see the outcome before the clean-up ends.
pub async fn settle_appserver(context: &StepContext) -> Result<(), StepError> {
    let input: LaunchInput = context.input()?;
    let loaded = context.world.app.journal().load::<Appserver>(&input.appserver.stream()).await?;
    let Some(present) = loaded.state.present() else { return Ok(()) };
    if present.active {
        withdraw_traffic(context, &input).await?;
    }
    settle_status(context).await
}

/// As [`settle_appserver`], but leaves the traffic where it is.
pub async fn settle_status(context: &StepContext) -> Result<(), StepError> {
    let input: LaunchInput = context.input()?;
    let loaded = context.world.app.journal().load::<Appserver>(&input.appserver.stream()).await?;
    let Some(present) = loaded.state.present() else { return Ok(()) };
    let reason = describe(context.cause.as_ref());
    let command = match (present.status, &context.cause) {
        (Status::New | Status::Waiting | Status::Configuring, Some(Cause::Cancelled { .. })) => {
            appserver::Command::Cancel { reason }
        }
        (Status::New | Status::Waiting, _) => appserver::Command::FailLaunch { reason },
        (Status::Configuring, _) => {
            let kept = context.world.limits.failed_server_kept;
            let keeps_server_until = Some(context.world.app.journal().now() + kept);
            appserver::Command::FailConfiguration { reason, keeps_server_until }
        }
        _ => return Ok(()),
    };
    execute(context, &input, command).await
}

/// Asks for a run that takes the Appserver out of traffic, into which somebody forced it while it
/// was being launched.
async fn withdraw_traffic(context: &StepContext, input: &LaunchInput) -> Result<(), StepError> {
    // The same run for each undo that asks.
    let run = RunId(step_key(context.run, "withdraw_traffic"));
    let reason = Some("its launch turned back".to_owned());
    let command = appserver::Command::RequestDeactivation { run, force: true, reason };
    execute(context, input, command).await
}

/// Records that the Appserver's machine is gone. An Appserver that never came to be is left alone.
pub async fn record_server_gone(context: &StepContext) -> Result<(), StepError> {
    let input: LaunchInput = context.input()?;
    execute(context, &input, appserver::Command::Terminate).await
}

async fn execute(
    context: &StepContext,
    input: &LaunchInput,
    command: appserver::Command,
) -> Result<(), StepError> {
    let journal = context.world.app.journal();
    let stream = input.appserver.stream();
    match journal.execute::<Appserver>(&stream, &context.metadata(), command).await {
        Ok(_) | Err(ExecuteError::Rejected(appserver::Rejected::Absent)) => Ok(()),
        Err(error) => Err(crate::app::AppError::from(error).into()),
    }
}

/// As an undo of its own: for steps that only moved the Appserver on.
pub async fn undo_by_settling(context: StepContext) -> Result<Progress, StepError> {
    settle_appserver(&context).await?;
    undone("the appserver shows how its launch ended")
}

/// Why a run turned back, in one sentence.
#[must_use]
pub fn describe(cause: Option<&Cause>) -> String {
    cause.map_or_else(|| "it turned back".to_owned(), Cause::describe)
}
