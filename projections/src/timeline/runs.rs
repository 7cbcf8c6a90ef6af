//! Sentences about runs and their steps.

use super::{Teller, because};
use ocim_domain::Timestamp;
use ocim_domain::saga::{Cause, Event};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let (who, run, took) = (teller.who(), teller.own_name(), teller.attempt());
    match event {
        Event::Started { definition, subject, .. } => {
            format!("{who} began {definition} for {}", teller.name(subject))
        }
        Event::StepIntended { step, attempt, .. } => {
            format!("{who} began {}{}", words(step), again(*attempt))
        }
        Event::StepDone { step, .. } => format!("{who} finished {}{took}", words(step)),
        Event::StepSkipped { step, reason } => format!("{who} skipped {}: {reason}", words(step)),
        Event::StepFailed { step, error, retry_at, .. } => {
            format!("{} failed{took}: {error}{}", words(step), next_try(*retry_at))
        }
        Event::CancelRequested { reason } => format!("{who} asked to cancel {run}: {reason}"),
        Event::UnwindBegan(cause) => format!("{run} turned back, because {}", tell_cause(cause)),
        Event::UndoIntended { step, attempt, .. } => {
            format!("{who} began to undo {}{}", words(step), again(*attempt))
        }
        Event::UndoDone { step, note } => {
            format!("{who} undid {}{took}{}", words(step), because(note.as_deref()))
        }
        Event::UndoSkipped { step, reason } => {
            format!("{who} left {} as it is: {reason}", words(step))
        }
        Event::UndoFailed { step, error, retry_at, .. } => {
            format!("The undo of {} failed{took}: {error}{}", words(step), next_try(*retry_at))
        }
        Event::Stuck { step, why } => {
            format!("{run} is stuck at {} and needs somebody: {why}", words(step))
        }
        Event::Completed {} => format!("{run} is completed"),
        Event::Unwound {} => format!("{run} is undone, as far as it can be"),
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
