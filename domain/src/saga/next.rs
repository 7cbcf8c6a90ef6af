//! What a run does next: a pure function of its plan, its fold and the time.

use super::{Cause, Phase, Run, Step};
use crate::Timestamp;

/// What the choice needs to know of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The steps in their order.
    pub steps: Vec<StepPlan>,
    /// From the intent of that step on, the run only goes forward: no cancel, no deadline, and a
    /// step that fails for good leaves it stuck.
    pub pivot: Option<String>,
}

/// What the choice needs to know of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlan {
    /// Its path, e.g. `create_server`.
    pub path: String,
    /// Attempts before it has failed for good.
    pub attempts_max: u32,
    /// Whether doubt about it can be probed.
    pub has_probe: bool,
    /// What becomes of it when the run turns back.
    pub undo: UndoPlan,
}

/// What becomes of a step when the run turns back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoPlan {
    /// It is undone.
    Undo {
        /// Kept instead, for the reason given, when the run failed at or after that step.
        keep_after: Option<(String, String)>,
    },
    /// It has nothing to undo, for this reason.
    Nothing(String),
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Record the intent of this attempt, then perform it. In `doubt`, probe first: an earlier
    /// attempt may have had its effect.
    Run { step: usize, attempt: u32, doubt: bool },
    /// The attempt's outcome is unknown: look, then perform it only if it did not happen.
    Resume { step: usize, attempt: u32, deadline: Timestamp },
    /// Nothing before then.
    Wait { until: Timestamp },
    /// Record that the run turns back.
    Unwind(Cause),
    /// Record the intent of this undo, then perform it.
    Undo { step: usize, attempt: u32 },
    /// The undo's outcome is unknown: perform it again.
    ResumeUndo { step: usize, attempt: u32, deadline: Timestamp },
    /// Record that the step stays as it is.
    SkipUndo { step: usize, reason: String },
    /// Record that the run can't go on.
    DeclareStuck { step: usize, why: String },
    /// Record that all steps are done.
    Complete,
    /// Record that all is undone.
    FinishUnwind,
    /// The run is at rest.
    Nothing,
}

/// The one thing to do next.
///
/// A cancel or a passed deadline wins over whatever the current step is doing; what it may have
/// done by then is undone like everything else that has an intent.
#[must_use]
pub fn next(plan: &Plan, run: &Run, now: Timestamp) -> Directive {
    match &run.phase {
        Phase::Completed | Phase::Unwound(_) | Phase::Stuck { .. } => Directive::Nothing,
        Phase::Forward => next_forward(plan, run, now),
        Phase::Unwinding(cause) => next_unwinding(plan, run, cause, now),
    }
}

fn next_forward(plan: &Plan, run: &Run, now: Timestamp) -> Directive {
    let Some((index, step)) = plan.steps.iter().enumerate().find(|(_, step)| {
        !matches!(run.steps.get(&step.path), Some(Step::Done { .. } | Step::Skipped))
    }) else {
        return Directive::Complete;
    };
    let past_pivot = plan.pivot.as_ref().is_some_and(|pivot| run.steps.contains_key(pivot));
    // A run answers a request that stands in its subject's own log, and the first step's undo
    // settles that: so the first step begins, even if it is only to be undone.
    if !past_pivot && !run.steps.is_empty() {
        if let Some(reason) = &run.cancel {
            return Directive::Unwind(Cause::Cancelled { reason: reason.clone() });
        }
        if run.deadline.is_some_and(|deadline| deadline <= now) {
            return Directive::Unwind(Cause::Deadline);
        }
    }
    match run.steps.get(&step.path) {
        None => Directive::Run { step: index, attempt: 1, doubt: false },
        Some(Step::Intended { attempt, deadline }) => {
            Directive::Resume { step: index, attempt: *attempt, deadline: *deadline }
        }
        Some(Step::Waiting { retry_at, .. }) if *retry_at > now => {
            Directive::Wait { until: *retry_at }
        }
        Some(Step::Waiting { attempt, doubt, .. }) => {
            Directive::Run { step: index, attempt: attempt.saturating_add(1), doubt: *doubt }
        }
        Some(Step::Failed { error, .. }) if past_pivot => {
            Directive::DeclareStuck { step: index, why: error.clone() }
        }
        Some(Step::Failed { error, .. }) => {
            Directive::Unwind(Cause::StepFailed { step: step.path.clone(), error: error.clone() })
        }
        // Done and skipped steps were passed over; the rest belongs to a run that has turned back.
        Some(_) => Directive::Nothing,
    }
}

fn next_unwinding(plan: &Plan, run: &Run, cause: &Cause, now: Timestamp) -> Directive {
    for (index, step) in plan.steps.iter().enumerate().rev() {
        match run.steps.get(&step.path) {
            None | Some(Step::Skipped | Step::Undone) => {}
            Some(Step::UndoIntended { attempt, deadline }) => {
                return Directive::ResumeUndo {
                    step: index,
                    attempt: *attempt,
                    deadline: *deadline,
                };
            }
            Some(Step::UndoWaiting { retry_at, .. }) if *retry_at > now => {
                return Directive::Wait { until: *retry_at };
            }
            Some(Step::UndoWaiting { attempt, .. }) => {
                return Directive::Undo { step: index, attempt: attempt.saturating_add(1) };
            }
            Some(Step::UndoFailed { error }) => {
                return Directive::DeclareStuck { step: index, why: error.clone() };
            }
            Some(
                Step::Intended { .. }
                | Step::Waiting { .. }
                | Step::Failed { .. }
                | Step::Done { .. },
            ) => {
                return match why_kept(plan, step, cause) {
                    Some(reason) => Directive::SkipUndo { step: index, reason },
                    None => Directive::Undo { step: index, attempt: 1 },
                };
            }
        }
    }
    Directive::FinishUnwind
}

/// The reason why a step that has begun is not undone.
fn why_kept(plan: &Plan, step: &StepPlan, cause: &Cause) -> Option<String> {
    match (&step.undo, cause) {
        (UndoPlan::Nothing(reason), _) => Some(reason.clone()),
        (
            UndoPlan::Undo { keep_after: Some((from, reason)) },
            Cause::StepFailed { step: failed, .. },
        ) => {
            let place = |path: &str| plan.steps.iter().position(|step| step.path == path);
            (place(failed)? >= place(from)?).then(|| reason.clone())
        }
        (UndoPlan::Undo { .. }, _) => None,
    }
}
