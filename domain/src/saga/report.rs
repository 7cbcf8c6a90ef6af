//! Which reports of the runner fit a run: a late one changes nothing.

use super::event::Event;
use super::run::{Phase, Run, Step};
use super::{Rejected, Saga};
use crate::decider::Decider;

/// Refuses reports that come too late: of a step once the run has turned back or somebody has
/// decided about it, of anything once over.
pub(super) fn decide_report(run: &Run, event: Event) -> Result<Vec<Event>, Rejected> {
    let fits = match &run.phase {
        Phase::Completed | Phase::Unwound(_) | Phase::Abandoned { .. } => {
            return Err(Rejected::Over);
        }
        Phase::Stuck { .. } => false,
        Phase::Forward => fits_forward(run, &event),
        Phase::Unwinding(_) => fits_unwinding(run, &event),
    };
    if fits { Ok(vec![event]) } else { Err(Rejected::Unfitting) }
}

fn fits_forward(run: &Run, event: &Event) -> bool {
    match event {
        Event::StepIntended { step, .. }
        | Event::StepDone { step, .. }
        | Event::StepSkipped { step, .. }
        | Event::StepFailed { step, .. }
        | Event::TimerSet { step, .. }
        | Event::TimerFired { step } => !run.steps.get(step).is_some_and(Step::is_finished),
        Event::StepResumed { step } | Event::StepOutlived { step } => {
            matches!(run.steps.get(step), Some(Step::Intended { .. }))
        }
        Event::HeldUp { .. } => run.held.is_none(),
        Event::LetGo { .. } => run.held.is_some(),
        Event::UnwindBegan(_) | Event::Stuck { .. } | Event::Completed {} => true,
        _ => false,
    }
}

fn fits_unwinding(run: &Run, event: &Event) -> bool {
    let is_settled = |step: &String| {
        run.steps.get(step).is_some_and(|it| matches!(it, Step::Undone | Step::Kept))
    };
    match event {
        Event::UndoIntended { step, .. }
        | Event::UndoDone { step, .. }
        | Event::UndoSkipped { step, .. }
        | Event::UndoFailed { step, .. } => !is_settled(step),
        Event::StepResumed { step } | Event::StepOutlived { step } => {
            matches!(run.steps.get(step), Some(Step::UndoIntended { .. }))
        }
        Event::HeldUp { .. } => run.held.is_none(),
        Event::LetGo { .. } => run.held.is_some(),
        Event::Stuck { .. } | Event::Unwound {} => true,
        _ => false,
    }
}

/// The run after events that fit it.
pub(super) fn folded(run: &Run, events: &[Event]) -> Run {
    let state = events.iter().fold(Some(run.clone()), Saga::evolve);
    state.unwrap_or_else(|| run.clone())
}
