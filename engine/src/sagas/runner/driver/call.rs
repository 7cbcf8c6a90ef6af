//! One call of a step: fenced, in time, and with its doubt looked at first.

use super::super::fence::Fence;
use crate::sagas::definition::{Found, Progress, Step, StepContext, StepError, undone};
use crate::sagas::host::Host;
use derive_where::derive_where;
use ocim_domain::Timestamp;
use ocim_domain::event::{APPEND_BYTES_MAX, PAYLOAD_DEPTH_MAX};
use ocim_domain::saga::{ErrorClass, ErrorCode, PlantedBug};
use ocim_domain::text::{make_recordable, make_value_storable, nests_within};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// The most that a step may give, as JSON: it goes into an event beside other things.
const OUTPUT_BYTES_MAX: usize = APPEND_BYTES_MAX / 2;
/// How deep it may nest within the event.
const OUTPUT_DEPTH_MAX: usize = PAYLOAD_DEPTH_MAX / 2;

/// What is called, for which attempt.
#[derive_where(Debug, Clone, Copy)]
pub(super) struct Call<H: Host> {
    pub(super) row: &'static Step<H>,
    pub(super) attempt: u32,
    pub(super) deadline: Timestamp,
    /// Whether the step is being undone.
    pub(super) is_undo: bool,
    /// Whether an earlier call may have had its effect.
    pub(super) in_doubt: bool,
}

/// A call that has come to its end.
#[derive_where(Debug)]
pub(super) struct Ended<H: Host> {
    pub(super) call: Call<H>,
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
pub(super) async fn perform<H: Host>(
    call: Call<H>,
    context: StepContext<H>,
    fence: Arc<dyn Fence>,
    limit: Duration,
) -> Ended<H> {
    let (run, planted) = (context.run, H::runner_limits(context.world.limits()).planted);
    let is_held = || fence.holds(run) || planted.has(PlantedBug::LeaseNotAsked);
    let work = while_held(&is_held, perform_fenced(call, context, &is_held));
    let outcome = tokio::time::timeout(limit, work).await;
    let outcome = outcome.unwrap_or_else(|_| Err(timed_out().into()));
    Ended { call, outcome: make_outcome_recordable(outcome) }
}

/// What a step gave or said, as the run's log can take it: whatever a provider said, the run must
/// be able to record how its call ended.
fn make_outcome_recordable(outcome: Result<Progress, Halt>) -> Result<Progress, Halt> {
    match outcome {
        Ok(Progress::Done(output)) => {
            let output = make_value_storable(output);
            if output.to_string().len() > OUTPUT_BYTES_MAX
                || !nests_within(&output, OUTPUT_DEPTH_MAX)
            {
                let limit = OUTPUT_BYTES_MAX / 1024;
                let why =
                    format!("it gave more than {limit} KiB, or nested too deep to be recorded");
                return Err(StepError::permanent(ErrorCode::Defect, why).into());
            }
            Ok(Progress::Done(output))
        }
        Ok(Progress::Skipped(reason)) => Ok(Progress::Skipped(make_recordable(&reason))),
        Err(Halt::Failed(error)) => {
            let message = make_recordable(&error.message);
            Err(Halt::Failed(StepError { message, ..error }))
        }
        other => other,
    }
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

async fn perform_fenced<H: Host>(
    call: Call<H>,
    context: StepContext<H>,
    is_held: &impl Fn() -> bool,
) -> Result<Progress, Halt> {
    let planted = H::runner_limits(context.world.limits()).planted;
    let guard = || if is_held() { Ok(()) } else { Err(Halt::FenceLost) };
    if call.is_undo {
        guard()?;
        if planted.has(PlantedBug::NoUndo) {
            return Ok(undone("not undone")?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::text::{TOOL_TEXT_BYTES_MAX, find_unstorable};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    /// Texts as tools may say them: of any characters, some of them endless.
    fn told() -> impl Strategy<Value = String> {
        let endless =
            (1_usize..3).prop_map(|times| "\0\u{1b}é".repeat(times * TOOL_TEXT_BYTES_MAX));
        prop_oneof![4 => any::<String>(), 4 => "[\0a]{0,8}", 1 => endless]
    }

    fn given() -> impl Strategy<Value = Value> {
        told().prop_map(Value::from).prop_recursive(3, 16, 4, |inner| {
            let fields = proptest::collection::vec((told(), inner.clone()), 0..4);
            let object = |fields: Vec<(String, Value)>| Value::Object(fields.into_iter().collect());
            prop_oneof![
                proptest::collection::vec(inner, 0..4).prop_map(Value::from),
                fields.prop_map(object),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_step_says_can_be_recorded(text in told(), output in given()) {
            let failed = || Halt::Failed(StepError::transient(text.clone()));
            for outcome in [
                Ok(Progress::Done(output)),
                Ok(Progress::Skipped(text.clone())),
                Err(failed()),
            ] {
                let recorded = match make_outcome_recordable(outcome) {
                    Ok(Progress::Done(output)) => output,
                    Ok(Progress::Skipped(text)) => json!(text),
                    Err(Halt::Failed(error)) => json!(error.message),
                    other => panic!("{other:?}"),
                };
                prop_assert_eq!(find_unstorable(&recorded), None);
                prop_assert!(recorded.to_string().len() <= OUTPUT_BYTES_MAX);
            }
        }
    }

    #[test]
    fn what_is_too_large_or_too_deep_fails_the_step_for_good() {
        let deep = (0..=OUTPUT_DEPTH_MAX).fold(json!(1), |inner, _| json!([inner]));
        for output in [json!("x".repeat(OUTPUT_BYTES_MAX)), deep] {
            let Err(Halt::Failed(error)) = make_outcome_recordable(Ok(Progress::Done(output)))
            else {
                panic!("it can't be recorded");
            };
            assert_eq!(error.class, ErrorClass::Permanent);
        }
    }
}
