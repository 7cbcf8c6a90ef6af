//! Directives, verbs and causes as sentences for people.

use super::event::{Action, Cause, Event, LeftBehind};
use super::next::Directive;
use super::run::Run;
use crate::Timestamp;

/// What a directive does, e.g. "undo `create_server`".
#[must_use]
pub fn tell_directive(directive: &Directive, now: Timestamp) -> String {
    match directive {
        Directive::Run { step, attempt: 1, .. } => format!("run `{step}`"),
        Directive::Run { step, attempt, doubt: false } => {
            format!("run `{step}`, attempt {attempt}")
        }
        Directive::Run { step, attempt, doubt: true } => {
            format!("look whether `{step}` has happened, and else run it, attempt {attempt}")
        }
        Directive::Resume { step, .. } => {
            format!("look how far `{step}` is, and go on with it")
        }
        Directive::FireTimer { step } => format!("ask `{step}` again"),
        Directive::Wait { step, until } => {
            format!("wait for `{step}` until {} ({})", tell_time(*until), tell_span(*until, now))
        }
        Directive::Unwind(cause) => format!("turn back, because {}", tell_cause(cause)),
        Directive::Undo { step, attempt: 1 } => format!("undo `{step}`"),
        Directive::Undo { step, attempt } => format!("undo `{step}`, attempt {attempt}"),
        Directive::ResumeUndo { step, .. } => format!("go on with the undo of `{step}`"),
        Directive::SkipUndo { step, reason } => format!("keep `{step}`: {reason}"),
        Directive::DeclareStuck { step, why, .. } if step.is_empty() => {
            format!("declare itself stuck: {why}")
        }
        Directive::DeclareStuck { step, why, .. } => {
            format!("declare itself stuck at `{step}`: {why}")
        }
        Directive::Complete => "complete".to_owned(),
        Directive::FinishUnwind => "end, with all undone or kept for its reason".to_owned(),
    }
}

/// Why one can't say what a run will do.
pub(super) fn tell_unknown(run: &Run) -> String {
    let (name, version) = (&run.definition, run.version);
    format!("what follows can't be described: `{name}` version {version} is unknown here")
}

/// What the events of a verb, or of a cancel, do.
pub(super) fn tell_verb(event: &Event) -> Vec<String> {
    match event {
        Event::CancelRequested { .. } => {
            vec!["the run is asked to stop, and to undo what it did".to_owned()]
        }
        Event::OperatorActed { action, step, output, .. } => {
            let step = step.as_deref().unwrap_or_default();
            let what = match action {
                Action::RetryStep => {
                    format!("`{step}` is due at once, with all its attempts and all its time")
                }
                Action::SkipStep => {
                    let output = output.clone().unwrap_or_default();
                    format!("`{step}` counts as done, and as having given {output}")
                }
                Action::MarkUndone => format!("`{step}` counts as undone"),
                Action::ForceUnwind => "the run turns back at once".to_owned(),
                Action::ResumeForward => {
                    "the run goes forward again, without a deadline; what is undone runs again, and what \
                     was kept is looked at again"
                        .to_owned()
                }
                Action::Abandon => {
                    "the run ends at once; nothing is undone, only others' turns come".to_owned()
                },
            };
            vec![what]
        }
        Event::Abandoned { left_behind, .. } if left_behind.is_empty() => {
            vec!["nothing stays behind".to_owned()]
        }
        Event::Abandoned { left_behind, .. } => left_behind.iter().map(tell_left).collect(),
        _ => vec![],
    }
}

fn tell_left(left: &LeftBehind) -> String {
    let mut text = format!("`{}` stays behind", left.step);
    if let Some(key) = left.key {
        text += &format!(", its key is {key}");
    }
    if let Some(output) = &left.output {
        text += &format!(", it gave {output}");
    }
    text
}

/// Why a run turned back, after "because".
#[must_use]
pub fn tell_cause(cause: &Cause) -> String {
    match cause {
        Cause::StepFailed { step, error } => format!("`{step}` failed: {error}"),
        Cause::Cancelled { reason } => format!("somebody cancelled it: {reason}"),
        Cause::Deadline => "its time was up".to_owned(),
    }
}

/// A time to the second, in UTC.
pub(super) fn tell_time(time: Timestamp) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// How far one time is from another, e.g. "in 5 min" or "3 h ago".
pub(super) fn tell_span(time: Timestamp, now: Timestamp) -> String {
    let seconds = (time - now).num_seconds();
    let (number, unit) = match seconds.unsigned_abs() {
        ..120 => (seconds.unsigned_abs(), "s"),
        short @ ..7200 => (short / 60, "min"),
        long @ ..172_800 => (long / 3600, "h"),
        days => (days / 86_400, "days"),
    };
    if seconds < 0 { format!("{number} {unit} ago") } else { format!("in {number} {unit}") }
}
