//! Sentences about runs and their steps.

use super::{Teller, actor_name, because, list};
use ocim_domain::Timestamp;
use ocim_domain::saga::{Action, Cause, Event};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let (who, run) = (teller.who(), teller.own_name());
    match event {
        Event::Started { definition, subject, .. } => {
            format!("{who} began {definition} for {}", teller.name(subject))
        }
        Event::LeaseTaken { node, orderly: true, .. } => format!("Node {node} took up {run}"),
        Event::LeaseTaken { node, orderly: false, .. } => {
            format!("Node {node} took over {run} from one that had gone silent")
        }
        Event::CancelRequested { reason } => format!("{who} asked to cancel {run}: {reason}"),
        Event::UnwindBegan(cause) => format!("{run} turned back, because {}", tell_cause(cause)),
        Event::Stuck { step, why, .. } => {
            let place =
                if step.is_empty() { String::new() } else { format!(" at {}", words(step)) };
            format!("{run} is stuck{place} and needs somebody: {why}")
        }
        Event::OperatorActed { actor, action, step, reason, .. } => {
            let step = step.as_deref().map(words).unwrap_or_default();
            format!("{} {}: {reason}", actor_name(actor), tell_action(*action, &step, &run))
        }
        Event::HeldUp { why, .. } => format!("{run} stands still: {why}"),
        Event::LetGo { .. } => format!("{run} goes on"),
        Event::Completed {} => format!("{run} is completed"),
        Event::Unwound {} => format!("{run} is undone, as far as it can be"),
        Event::Abandoned { reason, left_behind } => {
            let left: Vec<_> = left_behind.iter().map(|left| words(&left.step)).collect();
            format!("{run} was given up: {reason}; not undone: {}", list(&left))
        }
        Event::StepIntended { step, .. }
        | Event::StepResumed { step }
        | Event::StepOutlived { step }
        | Event::StepDone { step, .. }
        | Event::StepSkipped { step, .. }
        | Event::StepFailed { step, .. }
        | Event::TimerSet { step, .. }
        | Event::TimerFired { step }
        | Event::UndoIntended { step, .. }
        | Event::UndoDone { step, .. }
        | Event::UndoSkipped { step, .. }
        | Event::UndoFailed { step, .. } => tell_step(teller, event, &words(step)),
    }
}

fn tell_action(action: Action, step: &str, run: &str) -> String {
    match action {
        Action::RetryStep => format!("had {step} tried at once in {run}"),
        Action::SkipStep => format!("declared {step} done in {run}"),
        Action::MarkUndone => format!("declared {step} undone in {run}"),
        Action::ForceUnwind => format!("turned {run} back by force"),
        Action::ResumeForward => format!("turned {run} forward again"),
        Action::Abandon => format!("gave {run} up"),
    }
}

/// What happened to the step that is called so.
fn tell_step(teller: &Teller<'_>, event: &Event, step: &str) -> String {
    let (who, took) = (teller.who(), teller.attempt());
    match event {
        Event::TimerSet { due, .. } => format!("{step} waits until {}", due.format("%F %T UTC")),
        Event::TimerFired { .. } => format!("The wait of {step} is over"),
        Event::StepIntended { attempt, .. } => {
            format!("{who} began {step}{}", again(*attempt))
        }
        Event::StepResumed { .. } => format!("{who} went on with {step} where another node was"),
        Event::StepOutlived { .. } => format!("{step} is not what nodes have died of"),
        Event::StepDone { .. } => format!("{who} finished {step}{took}"),
        Event::StepSkipped { reason, .. } => format!("{who} skipped {step}: {reason}"),
        Event::StepFailed { error, retry_at, .. } => {
            format!("{step} failed{took}: {error}{}", next_try(*retry_at))
        }
        Event::UndoIntended { attempt, .. } => {
            format!("{who} began to undo {step}{}", again(*attempt))
        }
        Event::UndoDone { note, .. } => {
            format!("{who} undid {step}{took}{}", because(note.as_deref()))
        }
        Event::UndoSkipped { reason, .. } => {
            format!("{who} left {step} as it is: {reason}")
        }
        Event::UndoFailed { error, retry_at, .. } => {
            format!("The undo of {step} failed{took}: {error}{}", next_try(*retry_at))
        }
        // All others are no steps'.
        _ => teller.own_name(),
    }
}

fn tell_cause(cause: &Cause) -> String {
    match cause {
        Cause::StepFailed { step, error } => format!("{} failed: {error}", words(step)),
        Cause::Cancelled { reason } => format!("it was cancelled: {reason}"),
        Cause::Deadline => "its time was up".to_owned(),
    }
}

/// A step's path as words: `create_server` is “create server”.
fn words(step: &str) -> String {
    format!("“{}”", step.replace('_', " "))
}

fn again(attempt: u32) -> String {
    if attempt > 1 { format!(" (attempt {attempt})") } else { String::new() }
}

fn next_try(at: Option<Timestamp>) -> String {
    at.map_or_else(String::new, |at| format!("; next try at {}", at.format("%T UTC")))
}
