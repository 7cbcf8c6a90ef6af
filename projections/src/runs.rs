//! Runs of processes, their steps that have begun, and every move of those.

use crate::change::{Columns, NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Action, Cause, Direction, Event};
use serde_json::json;

table! {
    /// Runs of processes.
    RUNS, columns = "runs", key [id],
    // A run that another one started has that as its actor.
    indexes [
        Index::on("subject"),
        Index::on("created_at"),
        Index::on("actor"),
        Index::on("definition, id"),
        Index::on("id").only("ended_at is null"),
        Index::on("phase, id"),
    ]
    {
        /// `run_…`.
        id: String,
        /// `launch_appserver`, ….
        definition: String,
        /// Its version.
        version: i32,
        /// Text id of what it is about.
        subject: String,
        /// `forward`, `unwinding`, `stuck`, `completed`, `unwound`, `abandoned`.
        phase: String,
        /// Why it turns back; what keeps it from going on stands beside it.
        cause: Option<String>,
        /// What keeps it from going on, while it is stuck.
        trouble: Option<String>,
        /// Which kind of trouble a stuck run has.
        stuck_code: Option<String>,
        /// Why a step, or its undo, failed for good.
        error_code: Option<String>,
        /// The step under way or tried last.
        current_step: Option<String>,
        /// Whether a cancel waits to be obeyed.
        cancel_requested: bool,
        /// Who started it.
        actor: String,
        /// When it started.
        created_at: DateTime<Utc>,
        /// When it last moved.
        updated_at: DateTime<Utc>,
        /// When it ended.
        ended_at: Option<DateTime<Utc>>,
    }
}

table! {
    /// Steps of runs that have begun.
    STEPS, step_columns = "run_steps", key [run, step], indexes []
    {
        /// `run_…`.
        run: String,
        /// Its path.
        step: String,
        /// The version of the event it began with: steps stand in this order.
        began: i64,
        /// `intended`, `waiting`, `failed`, `done`, `skipped`, `undoing`, `undo_waiting`,
        /// `undo_failed`, `undone`, `kept`.
        state: String,
        /// The number of its latest attempt.
        attempt: i32,
        /// What it said: error, reason for skipping, note.
        note: Option<String>,
        /// When it is tried again.
        retry_at: Option<DateTime<Utc>>,
        /// When it began.
        started_at: DateTime<Utc>,
        /// When it last moved.
        updated_at: DateTime<Utc>,
    }
}

table! {
    /// What steps did, one row an event. An attempt begins with `intended` or `undo_intended`, and
    /// ends with the step's next move.
    MOVES, move_columns = "run_moves", key [run, version], indexes []
    {
        /// `run_…`.
        run: String,
        /// The version of the event.
        version: i64,
        /// The step's path.
        step: String,
        /// What it did.
        what: String,
        /// The number of the attempt.
        attempt: Option<i32>,
        /// What kind of failure.
        class: Option<String>,
        /// Why it failed for good.
        code: Option<String>,
        /// What it said.
        note: Option<String>,
        /// When.
        at: DateTime<Utc>,
    }
}

/// The read model of runs.
pub const PROJECTOR: Projector = Projector {
    name: "runs",
    version: 1,
    categories: &[RunId::CATEGORY],
    tables: &[RUNS, STEPS, MOVES],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let mut changes = vec![project_run(recorded, &event)];
    changes.extend(project_step(recorded, &event));
    changes.extend(project_move(recorded, &event));
    Ok(changes)
}

fn project_run(recorded: &Recorded, event: &Event) -> RowChange {
    let key = columns! { id: RunId(recorded.stream.id()) };
    let at = recorded.recorded_at;
    let mut set = match event {
        Event::Started { definition, version, subject, .. } => {
            let set = columns! {
                definition: definition,
                version: version,
                subject: subject,
                phase: "forward",
                cancel_requested: false,
                actor: recorded.meta.actor,
                created_at: at,
                updated_at: at,
            };
            return RowChange::put(RUNS.name, key, set);
        }
        Event::StepIntended { step, .. }
        | Event::StepResumed { step }
        | Event::StepOutlived { step }
        | Event::StepDone { step, .. }
        | Event::StepSkipped { step, .. }
        | Event::TimerSet { step, .. }
        | Event::TimerFired { step }
        | Event::UndoIntended { step, .. }
        | Event::UndoDone { step, .. }
        | Event::UndoSkipped { step, .. } => columns! { current_step: step },
        Event::StepFailed { step, code, .. } | Event::UndoFailed { step, code, .. } => match code {
            Some(code) => columns! { current_step: step, error_code: code },
            None => columns! { current_step: step },
        },
        Event::CancelRequested { .. } => columns! { cancel_requested: true },
        Event::UnwindBegan(cause) => {
            let cause = describe(cause);
            columns! {
                phase: "unwinding", cause: cause, trouble: NULL, stuck_code: NULL,
                cancel_requested: false,
            }
        }
        Event::Stuck { step, why, code } => columns! {
            phase: "stuck", trouble: blame(step, why), stuck_code: code, current_step: step,
        },
        Event::OperatorActed { action: Action::ForceUnwind | Action::Abandon, .. }
        | Event::HeldUp { .. }
        | Event::LetGo { .. }
        | Event::LeaseTaken { .. } => columns! {},
        Event::OperatorActed { direction: Direction::Forward, .. } => {
            columns! {
                phase: "forward", cause: NULL, trouble: NULL, stuck_code: NULL, error_code: NULL,
            }
        }
        Event::OperatorActed { direction: Direction::Unwinding, .. } => {
            columns! { phase: "unwinding", trouble: NULL, stuck_code: NULL }
        }
        Event::Abandoned { reason, .. } => columns! {
            phase: "abandoned", cause: reason, trouble: NULL, ended_at: at,
            cancel_requested: false,
        },
        Event::Completed {} => {
            columns! { phase: "completed", ended_at: at, cancel_requested: false }
        }
        Event::Unwound {} => columns! { phase: "unwound", ended_at: at, cancel_requested: false },
    };
    set.insert("updated_at", json!(at));
    RowChange::update(RUNS.name, key, set)
}

fn project_step(recorded: &Recorded, event: &Event) -> Option<RowChange> {
    let (step, set) = match event {
        Event::StepIntended { step, attempt, .. } => {
            (step, columns! { state: "intended", attempt: attempt, note: NULL, retry_at: NULL })
        }
        Event::StepDone { step, .. } => (step, columns! { state: "done", note: NULL }),
        Event::StepSkipped { step, reason } => (step, columns! { state: "skipped", note: reason }),
        Event::StepFailed { step, attempt, error, retry_at, .. } => {
            let state = if retry_at.is_some() { "waiting" } else { "failed" };
            (step, columns! { state: state, attempt: attempt, note: error, retry_at: retry_at })
        }
        Event::TimerSet { step, due, .. } => (step, columns! { state: "waiting", retry_at: due }),
        Event::TimerFired { step } => (step, columns! { state: "waiting", retry_at: NULL }),
        Event::OperatorActed { action: Action::SkipStep, step: Some(step), reason, .. } => {
            (step, columns! { state: "done", note: reason, retry_at: NULL })
        }
        Event::OperatorActed { action: Action::MarkUndone, step: Some(step), reason, .. } => {
            (step, columns! { state: "undone", note: reason, retry_at: NULL })
        }
        Event::UndoIntended { step, attempt, .. } => {
            (step, columns! { state: "undoing", attempt: attempt, note: NULL, retry_at: NULL })
        }
        Event::UndoDone { step, note } => {
            (step, columns! { state: "undone", note: note, retry_at: NULL })
        }
        Event::UndoSkipped { step, reason } => {
            (step, columns! { state: "kept", note: reason, retry_at: NULL })
        }
        Event::UndoFailed { step, attempt, error, retry_at, .. } => {
            let state = if retry_at.is_some() { "undo_waiting" } else { "undo_failed" };
            (step, columns! { state: state, attempt: attempt, note: error, retry_at: retry_at })
        }
        Event::Started { .. }
        | Event::StepResumed { .. }
        | Event::StepOutlived { .. }
        | Event::HeldUp { .. }
        | Event::LetGo { .. }
        | Event::CancelRequested { .. }
        | Event::UnwindBegan(_)
        | Event::Stuck { .. }
        | Event::LeaseTaken { .. }
        | Event::OperatorActed { .. }
        | Event::Abandoned { .. }
        | Event::Completed {}
        | Event::Unwound {} => return None,
    };
    Some(change_step(recorded, step, set))
}

/// What a step did with this event; attempts, and how long they took, are read from such rows.
fn project_move(recorded: &Recorded, event: &Event) -> Option<RowChange> {
    let (step, mut set) = match event {
        Event::StepIntended { step, attempt, .. } => {
            (step, columns! { what: "intended", attempt: attempt })
        }
        Event::StepDone { step, .. } => (step, columns! { what: "done" }),
        Event::StepSkipped { step, reason } => (step, columns! { what: "skipped", note: reason }),
        Event::StepFailed { step, attempt, class, code, error, .. } => (
            step,
            columns! { what: "failed", attempt: attempt, class: class, code: code, note: error },
        ),
        Event::UndoIntended { step, attempt, .. } => {
            (step, columns! { what: "undo_intended", attempt: attempt })
        }
        Event::UndoDone { step, note } => (step, columns! { what: "undone", note: note }),
        Event::UndoSkipped { step, reason } => (step, columns! { what: "kept", note: reason }),
        Event::UndoFailed { step, attempt, class, code, error, .. } => {
            let set = columns! { what: "undo_failed", attempt: attempt, class: class, code: code };
            (step, set.into_iter().chain(columns! { note: error }).collect())
        }
        Event::OperatorActed { action, step: Some(step), reason, .. } => {
            (step, columns! { what: action, note: reason })
        }
        // A step that waits for its timer is asked again within the same attempt.
        Event::TimerSet { .. }
        | Event::TimerFired { .. }
        | Event::StepResumed { .. }
        | Event::StepOutlived { .. }
        | Event::HeldUp { .. }
        | Event::LetGo { .. }
        | Event::Started { .. }
        | Event::CancelRequested { .. }
        | Event::UnwindBegan(_)
        | Event::Stuck { .. }
        | Event::LeaseTaken { .. }
        | Event::OperatorActed { .. }
        | Event::Abandoned { .. }
        | Event::Completed {}
        | Event::Unwound {} => return None,
    };
    set.extend(columns! { step: step, at: recorded.recorded_at });
    let key = columns! { run: RunId(recorded.stream.id()), version: recorded.version };
    Some(RowChange::put(MOVES.name, key, set))
}

/// The first event of a step makes its row, whichever it is: a skipped step has no intent.
fn change_step(recorded: &Recorded, step: &str, mut set: Columns) -> RowChange {
    let mut initial = columns! { began: recorded.version, started_at: recorded.recorded_at };
    if !set.contains_key("attempt") {
        initial.extend(columns! { attempt: 0 });
    }
    set.extend(columns! { updated_at: recorded.recorded_at });
    RowChange::Upsert {
        table: STEPS.name,
        key: columns! { run: RunId(recorded.stream.id()), step: step },
        initial,
        set,
    }
}

/// What keeps a run from going on, for people.
fn blame(step: &str, why: &str) -> String {
    if step.is_empty() { format!("stuck: {why}") } else { format!("stuck at {step}: {why}") }
}

/// Why a run turned back, for people.
fn describe(cause: &Cause) -> String {
    match cause {
        Cause::StepFailed { step, error } => format!("failed at {step}: {error}"),
        Cause::Cancelled { reason } => format!("cancelled: {reason}"),
        Cause::Deadline => "failed: its time was up".to_owned(),
    }
}
