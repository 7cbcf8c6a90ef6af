//! What each event means for a run.

use super::code::StuckCode;
use super::event::{Action, Cause, ErrorClass, Event};
use super::run::{Effort, Held, Lease, Phase, Run, Step};
use crate::Timestamp;
use chrono::TimeDelta;
use serde_json::Value;

/// A retry that is due at once, whatever time it is.
const AT_ONCE: Timestamp = Timestamp::UNIX_EPOCH;

/// The run after one event; an impossible one changes nothing.
pub(super) fn evolve_run(mut run: Run, event: &Event) -> Run {
    note_work(&mut run, event);
    match event {
        Event::LeaseTaken { node, epoch, orderly } => {
            run.lease = Some(Lease { node: *node, epoch: *epoch });
            for step in std::mem::take(&mut run.at_work).into_iter().filter(|_| !orderly) {
                let effort = run.efforts.entry(step).or_default();
                effort.deaths = effort.deaths.saturating_add(1);
            }
        }
        Event::HeldUp { incident, why, at } => {
            run.held = Some(Held { incident: *incident, why: why.clone(), since: *at });
            // What was under way has ended; whoever dies from here on died of nothing of it.
            run.at_work.clear();
        }
        Event::LetGo { at } => {
            if let Some(held) = run.held.take() {
                run.shift_times((*at - held.since).max(TimeDelta::zero()));
            }
            run.let_go = Some(*at);
        }
        Event::CancelRequested { reason } => run.cancel = Some(reason.clone()),
        Event::UnwindBegan(cause) => run.phase = Phase::Unwinding(cause.clone()),
        Event::Stuck { step, why, code } => run.phase = stuck(&run.phase, step, why, *code),
        Event::OperatorActed { action, step, output, .. } => {
            act(&mut run, *action, step.as_deref(), output.as_ref());
        }
        Event::Completed {} => run.phase = Phase::Completed,
        Event::Unwound {} => {
            if let Phase::Unwinding(cause) = &run.phase {
                run.phase = Phase::Unwound(cause.clone());
            }
        }
        Event::Abandoned { reason, left_behind } => {
            let (reason, left_behind) = (reason.clone(), left_behind.clone());
            run.phase = Phase::Abandoned { reason, left_behind };
        }
        _ => evolve_step(&mut run, event),
    }
    run
}

/// Which calls the present node has begun, and which steps a node has outlived: those are in no
/// crash loop. Once somebody took a hand in the run, or it turned, all are counted anew.
fn note_work(run: &mut Run, event: &Event) {
    match event {
        Event::StepIntended { step, .. }
        | Event::UndoIntended { step, .. }
        | Event::StepResumed { step } => {
            run.at_work.insert(step.clone());
        }
        // It may be called again by the same node, which may still die of that.
        Event::StepOutlived { step } => {
            if let Some(effort) = run.efforts.get_mut(step) {
                effort.deaths = 0;
            }
        }
        Event::UnwindBegan(_) | Event::OperatorActed { .. } => {
            run.efforts.values_mut().for_each(|effort| effort.deaths = 0);
        }
        _ => {
            let Some(step) = event.outcome_of() else { return };
            run.at_work.remove(step);
            if let Some(effort) = run.efforts.get_mut(step) {
                effort.deaths = 0;
            }
        }
    }
}

fn stuck(before: &Phase, step: &str, why: &str, code: Option<StuckCode>) -> Phase {
    let cause = match before {
        Phase::Unwinding(cause) => Some(cause.clone()),
        _ => None,
    };
    let by_direction = if cause.is_some() { StuckCode::UndoFailed } else { StuckCode::StepFailed };
    Phase::Stuck {
        step: step.to_owned(),
        why: why.to_owned(),
        code: code.unwrap_or(by_direction),
        cause,
    }
}

fn evolve_step(run: &mut Run, event: &Event) {
    let (path, next) = match event {
        Event::StepIntended { step, attempt, key, deadline, at } => {
            let effort = run.efforts.entry(step.clone()).or_default();
            effort.key = Some(*key);
            effort.attempt = *attempt;
            effort.declared_done = false;
            effort.began_at = *at;
            effort.since.get_or_insert(at.unwrap_or(*deadline));
            (step, Step::Intended { attempt: *attempt, deadline: *deadline })
        }
        Event::StepDone { step, output } => {
            run.outputs.insert(step.clone(), output.clone());
            (step, Step::Done { output: output.clone() })
        }
        Event::StepSkipped { step, .. } => (step, Step::Skipped),
        Event::StepFailed { step, attempt, class, error, retry_at, at, .. } => {
            let effort = run.efforts.entry(step.clone()).or_default();
            effort.began_at = *at;
            // Once in doubt, always in doubt: what a look did not find may still come.
            effort.doubt |= matches!(class, ErrorClass::Ambiguous | ErrorClass::Timeout);
            (step, failed(*attempt, *class, error, *retry_at, effort.doubt))
        }
        Event::TimerSet { step, due, at } => {
            let effort = run.efforts.entry(step.clone()).or_default();
            effort.began_at = *at;
            (step, Step::TimerSet { attempt: effort.attempt, due: *due })
        }
        Event::TimerFired { step } => {
            (step, Step::TimerFired { attempt: run.effort(step).attempt })
        }
        Event::UndoIntended { step, attempt, deadline, at } => {
            let effort = run.efforts.entry(step.clone()).or_default();
            effort.undo_attempt = *attempt;
            effort.began_at = *at;
            effort.undo_since.get_or_insert(at.unwrap_or(*deadline));
            (step, Step::UndoIntended { attempt: *attempt, deadline: *deadline })
        }
        Event::UndoDone { step, .. } => (step, Step::Undone),
        Event::UndoSkipped { step, .. } => (step, Step::Kept),
        Event::UndoFailed { step, attempt, error, retry_at, at, .. } => {
            run.efforts.entry(step.clone()).or_default().began_at = *at;
            let error = error.clone();
            let waiting = |at: &Timestamp| Step::UndoWaiting {
                attempt: *attempt,
                retry_at: *at,
                error: error.clone(),
            };
            (step, retry_at.as_ref().map_or(Step::UndoFailed { error: error.clone() }, waiting))
        }
        _ => return,
    };
    run.steps.insert(path.clone(), next);
}

fn failed(
    attempt: u32,
    class: ErrorClass,
    error: &str,
    retry_at: Option<Timestamp>,
    doubt: bool,
) -> Step {
    let error = error.to_owned();
    match retry_at {
        Some(retry_at) => Step::Waiting { attempt, retry_at, doubt, error },
        None => Step::Failed { error, class },
    }
}

fn act(run: &mut Run, action: Action, step: Option<&str>, output: Option<&Value>) {
    match (action, step) {
        (Action::RetryStep, Some(step)) => retry(run, step),
        (Action::SkipStep, Some(step)) => {
            let output = output.cloned().unwrap_or_default();
            run.outputs.insert(step.to_owned(), output.clone());
            run.steps.insert(step.to_owned(), Step::Done { output });
            run.efforts.entry(step.to_owned()).or_default().declared_done = true;
        }
        (Action::MarkUndone, Some(step)) => {
            run.steps.insert(step.to_owned(), Step::Undone);
        }
        (Action::ResumeForward, _) => return resume(run),
        // An event of its own follows; the rest has no meaning without a step.
        _ => return,
    }
    if let Phase::Stuck { cause, .. } = &run.phase {
        run.phase = cause.clone().map_or(Phase::Forward, Phase::Unwinding);
    }
}

/// The step, or its undo, is due at once, with all its attempts and all its time.
fn retry(run: &mut Run, path: &str) {
    let Some(step) = run.steps.get(path) else { return };
    let mut effort = run.effort(path);
    let next = match step {
        Step::Waiting { error, .. } | Step::Failed { error, .. } => look_again(&effort, error),
        Step::TimerSet { attempt, .. } => Step::TimerFired { attempt: *attempt },
        Step::UndoWaiting { error, .. } | Step::UndoFailed { error } => {
            let (attempt, error) = (effort.undo_attempt, error.clone());
            Step::UndoWaiting { attempt, retry_at: AT_ONCE, error }
        }
        other => other.clone(),
    };
    renew(&mut effort);
    run.steps.insert(path.to_owned(), next);
    run.efforts.insert(path.to_owned(), effort);
}

/// Forward again: what was not reached by the undoing stays, what is undone runs again, and what was
/// kept, or is in between, is looked at.
///
/// The run's own time no longer counts: whoever turns it round does not want it to turn back at once.
fn resume(run: &mut Run) {
    run.phase = Phase::Forward;
    run.cancel = None;
    run.deadline = None;
    for (path, step) in std::mem::take(&mut run.steps) {
        let mut effort = run.effort(&path);
        let next = match step {
            Step::Undone => {
                run.outputs.remove(&path);
                run.efforts.remove(&path);
                continue;
            }
            // It came after something that is undone by now, and may be there no more.
            Step::Kept => look_again(&effort, "the run had turned back"),
            Step::UndoIntended { .. } | Step::UndoWaiting { .. } | Step::UndoFailed { .. } => {
                look_again(&effort, "its undo had begun")
            }
            Step::Waiting { error, .. } | Step::Failed { error, .. } => look_again(&effort, &error),
            other => other,
        };
        renew(&mut effort);
        run.efforts.insert(path.clone(), effort);
        run.steps.insert(path, next);
    }
}

/// Somebody may have mended things by hand: the next attempt looks before it acts.
fn look_again(effort: &Effort, error: &str) -> Step {
    let (attempt, error) = (effort.attempt, error.to_owned());
    Step::Waiting { attempt, retry_at: AT_ONCE, doubt: true, error }
}

fn renew(effort: &mut Effort) {
    effort.spent = effort.attempt;
    effort.since = None;
    effort.undo_since = None;
}

/// Why the run is turning back, or was when it got stuck.
pub(super) fn cause_of(phase: &Phase) -> Option<&Cause> {
    match phase {
        Phase::Unwinding(cause) | Phase::Unwound(cause) => Some(cause),
        Phase::Stuck { cause, .. } => cause.as_ref(),
        Phase::Forward | Phase::Completed | Phase::Abandoned { .. } => None,
    }
}
