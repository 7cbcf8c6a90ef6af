//! `run_timer`: the work of one timer, for one of its times or by hand.

use super::clean_up_appservers::clean_up_appservers;
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::update_metadata::update_metadata;
use crate::app::AppError;
use ocim_domain::run_record::TimerInput;
use ocim_domain::timer::{Command, Job, Outcome, Timer};
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: what is done stays done, and doing it again does the rest. A failure leaves the run
/// stuck for people to see; the next time comes all the same, and does what this one has not.
pub static RUN_TIMER: Definition = Definition {
    name: "run_timer",
    version: 1,
    deadline: Some(|limits| limits.traffic_time),
    on_abandoned: Some(call!(stop_timer)),
    settles_on_undo: false,
    steps: &[
        Step::new(
            "announce_work",
            call!(announce_work),
            Kind::Compensable(call!(stop_timer)),
            5,
            |_| Duration::from_secs(60),
        ),
        Step::new(
            "do_work",
            call!(do_work),
            Kind::Pivot("what is deleted does not come back"),
            20,
            |_| Duration::from_secs(900),
        ),
        Step::new(
            "record_outcome",
            call!(record_outcome),
            Kind::Retryable("the work is done"),
            20,
            |_| Duration::from_secs(60),
        ),
    ],
};

async fn announce_work(context: StepContext) -> Result<Progress, StepError> {
    let TimerInput { job } = context.input()?;
    context.say(format!("{job}: {}", job.describe())).await;
    done(())
}

async fn do_work(context: StepContext) -> Result<Progress, StepError> {
    let TimerInput { job } = context.input()?;
    done(match job {
        Job::DeleteOldLogs => delete_old_logs(&context).await?,
        Job::CleanUpAppservers => clean_up_appservers(&context).await?,
        Job::UpdateMetadata => update_metadata(&context).await?,
    })
}

/// Deletes the logs whose runs have ended long ago, each but for a line that says so.
async fn delete_old_logs(context: &StepContext) -> Result<Outcome, StepError> {
    let kept = context.world.limits.logs_kept;
    let before = context.world.app.journal().now() - kept;
    let deleted = context.world.logs.delete_old(before, kept, context.run).await?;
    let (runs, lines) = deleted;
    context.say(format!("{runs} logs with {lines} lines are deleted")).await;
    Ok(Outcome::LogsDeleted { before, runs, lines })
}

async fn record_outcome(context: StepContext) -> Result<Progress, StepError> {
    let TimerInput { job } = context.input()?;
    let outcome: Outcome = context.need("do_work")?;
    execute(&context, Command::Finish { job, run: context.run, outcome }).await?;
    done(())
}

async fn stop_timer(context: StepContext) -> Result<Progress, StepError> {
    let TimerInput { job } = context.input()?;
    let reason = super::failure::describe(context.cause.as_ref());
    execute(&context, Command::Stop { job, run: context.run, reason }).await?;
    undone("its next time does the work")
}

async fn execute(context: &StepContext, command: Command) -> Result<(), StepError> {
    let TimerInput { job } = context.input()?;
    let (stream, journal) = (job.timer_id().stream(), context.world.app.journal());
    let executed = journal.execute::<Timer>(&stream, &context.metadata(), command).await;
    executed.map(|_| ()).map_err(|error| AppError::from(error).into())
}
