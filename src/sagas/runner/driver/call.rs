//! One call of a step: fenced, in time, and with its doubt looked at first.

use super::super::fence::Fence;
use crate::sagas::step::{Found, Progress, Step, StepContext, StepError, done};
use ocim_domain::Timestamp;
use ocim_domain::saga::{ErrorClass, ErrorCode, PlantedBug};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
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
    /// A look could not tell whether it happened; nothing was run.
    Unknown {
        /// When to look again.
        again_in: Duration,
    },
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
    let (run, planted) = (context.run, context.world.limits.planted);
    let is_held = || fence.holds(run) || planted.has(PlantedBug::LeaseNotAsked);
    let work = while_held(&is_held, perform_fenced(call, context, &is_held));
    let outcome = tokio::time::timeout(limit, work).await;
    let outcome = outcome.unwrap_or_else(|_| Err(timed_out().into()));
    Ended { call, outcome }
}

/// Goes on with the work as long as the run is this node's. A process that stood still for long, and
/// lost the run to another one meanwhile, does not go on where it was.
async fn while_held(
    is_held: &impl Fn() -> bool,
    work: impl Future<Output = Result<Progress, Halt>>,
) -> Result<Progress, Halt> {
    let mut work = pin!(work);
    poll_fn(|context| match is_held() {
        true => work.as_mut().poll(context),
        false => Poll::Ready(Err(Halt::FenceLost)),
    })
    .await
}

async fn perform_fenced(
    call: Call,
    context: StepContext,
    is_held: &impl Fn() -> bool,
) -> Result<Progress, Halt> {
    let planted = context.world.limits.planted;
    let guard = || if is_held() { Ok(()) } else { Err(Halt::FenceLost) };
    if call.is_undo {
        guard()?;
        if planted.has(PlantedBug::NoUndo) {
            return Ok(done("not undone")?);
        }
        let Some(undo) = call.row.kind.undo() else {
            return Err(StepError::permanent(
                ErrorCode::Defect,
                "a step without an undo was undone",
            )
            .into());
        };
        return Ok(undo(context).await?);
    }
    if call.in_doubt
        && !planted.has(PlantedBug::NoProbe)
        && let Some(probe) = call.row.probe
    {
        guard()?;
        match probe(context.clone()).await.map_err(keep_doubt)? {
            Found::Done(output) => return Ok(Progress::Done(output)),
            Found::Unknown { again_in } => return Err(Halt::Unknown { again_in }),
            Found::Absent => {}
        }
    }
    guard()?;
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
