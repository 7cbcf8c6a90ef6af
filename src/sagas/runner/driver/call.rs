//! One call of a step: fenced, in time, and with its doubt looked at first.

use super::super::fence::Fence;
use crate::sagas::step::{Found, Progress, Step, StepContext, StepError, done};
use ocim_domain::Timestamp;
use ocim_domain::saga::{ErrorClass, PlantedBug};
use std::sync::Arc;
use std::time::Duration;

/// What is called, for which attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) row: &'static Step,
    pub(super) attempt: u32,
    pub(super) deadline: Timestamp,
    /// Whether the step is being undone.
    pub(super) is_undo: bool,
    /// Whether an earlier call may have had its effect.
    pub(super) in_doubt: bool,
}

/// A call that has come to its end.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) call: Call,
    pub(super) outcome: Result<Progress, Halt>,
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Halt {
    /// It failed.
    Failed(StepError),
    /// Somebody else may act for the run: nothing was called.
    FenceLost,
}

impl From<StepError> for Halt {
    fn from(error: StepError) -> Self {
        Self::Failed(error)
    }
}

/// Performs a call within its time; one that takes longer leaves doubt.
pub(super) async fn perform(
    call: Call,
    context: StepContext,
    fence: Arc<dyn Fence>,
    limit: Duration,
) -> Ended {
    let outcome = tokio::time::timeout(limit, perform_fenced(call, context, fence)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(timed_out().into()));
    Ended { call, outcome }
}

async fn perform_fenced(
    call: Call,
    context: StepContext,
    fence: Arc<dyn Fence>,
) -> Result<Progress, Halt> {
    let planted = context.world.limits.planted;
    let guard = async || {
        let holds = fence.holds(context.run).await || planted.has(PlantedBug::LeaseNotAsked);
        if holds { Ok(()) } else { Err(Halt::FenceLost) }
    };
    if call.is_undo {
        guard().await?;
        if planted.has(PlantedBug::NoUndo) {
            return Ok(done("not undone")?);
        }
        let Some(undo) = call.row.kind.undo() else {
            return Err(StepError::permanent("a step without an undo was undone").into());
        };
        return Ok(undo(context).await?);
    }
    if call.in_doubt
        && !planted.has(PlantedBug::NoProbe)
        && let Some(probe) = call.row.probe
    {
        guard().await?;
        if let Found::Done(output) = probe(context.clone()).await.map_err(keep_doubt)? {
            return Ok(Progress::Done(output));
        }
    }
    guard().await?;
    Ok((call.row.run)(context).await?)
}

/// A look that failed for now tells nothing: the effect may still be there, so that the next
/// attempt looks before it acts.
fn keep_doubt(error: StepError) -> StepError {
    match error.class {
        ErrorClass::Permanent => error,
        _ => StepError { class: ErrorClass::Ambiguous, ..error },
    }
}

/// The failure of what is not there in time.
pub(super) fn timed_out() -> StepError {
    StepError::new(ErrorClass::Timeout, "its time was up")
}
