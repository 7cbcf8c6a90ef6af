//! What happened to a run: the events of its log.

use super::code::{ErrorCode, StuckCode};
use crate::Timestamp;
use crate::event::DomainEvent;
use crate::ids::IncidentId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// What a failed attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// May work when tried again.
    Transient,
    /// The other side asked to wait.
    RateLimited,
    /// The other side is in a state that forbids it now.
    Conflict,
    /// Will not work however often it is tried.
    Permanent,
    /// It may have happened: probe first.
    Ambiguous,
    /// Its time was up.
    Timeout,
}

/// Why a run turned back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A step failed for good.
    StepFailed {
        /// The step's path.
        step: String,
        /// What it said last.
        error: String,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// What they said.
        reason: String,
    },
    /// The run's time was up.
    Deadline,
}

impl Cause {
    /// In one sentence.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::StepFailed { step, error } => format!("{step}: {error}"),
            Self::Cancelled { reason } => format!("cancelled: {reason}"),
            Self::Deadline => "its time was up".to_owned(),
        }
    }
}

/// What a person did to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Had a step, or its undo, tried at once.
    RetryStep,
    /// Declared a step done, with an output.
    SkipStep,
    /// Declared a step undone.
    MarkUndone,
    /// Turned the run back, from wherever it was.
    ForceUnwind,
    /// Turned a run that went back, or was stuck, forward.
    ResumeForward,
    /// Gave it up as it is.
    Abandon,
}

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards its goal.
    Forward,
    /// Back.
    Unwinding,
}

/// What an abandoned run leaves: the effect of a step that is not undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftBehind {
    /// The step's path.
    pub step: String,
    /// The key that its effect bears.
    pub key: Option<Uuid>,
    /// What it gave, as JSON, shortened.
    pub output: Option<String>,
}

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It was started.
    #[serde(rename = "saga.started")]
    Started {
        /// Name of the definition, e.g. `launch_appserver`.
        definition: String,
        /// Version of the definition; pinned.
        version: u16,
        /// What it works on.
        input: Value,
        /// The text form of the object it is about (an Appserver, a balancer).
        subject: String,
        /// When it must have ended, if ever.
        deadline: Option<Timestamp>,
    },
    /// A node took it over. `orderly`: the node before had let it go.
    #[serde(rename = "saga.lease_taken")]
    LeaseTaken { node: Uuid, epoch: u64, orderly: bool },
    /// A step is about to have its effect.
    #[serde(rename = "saga.step_intended")]
    StepIntended {
        step: String,
        attempt: u32,
        key: Uuid,
        deadline: Timestamp,
        /// When.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// A node that took the run over is about to go on with a call that was under way: forward with
    /// a step, or back with its undo.
    #[serde(rename = "saga.step_resumed")]
    StepResumed { step: String },
    /// A call of a step that nodes had died at, or of its undo, came back and asked to be made again:
    /// whatever they died of, this was not it.
    #[serde(rename = "saga.step_outlived")]
    StepOutlived { step: String },
    /// It stands still: what it is about to do is paused.
    #[serde(rename = "saga.held_up")]
    HeldUp {
        /// The incident that it waits for.
        incident: IncidentId,
        why: String,
        at: Timestamp,
    },
    /// It goes on; the time that it stood still counts for nothing.
    #[serde(rename = "saga.let_go")]
    LetGo { at: Timestamp },
    /// A step had its effect.
    #[serde(rename = "saga.step_done")]
    StepDone { step: String, output: Value },
    /// A step is not needed here.
    #[serde(rename = "saga.step_skipped")]
    StepSkipped { step: String, reason: String },
    /// An attempt failed; without `retry_at`, it was the last.
    #[serde(rename = "saga.step_failed")]
    StepFailed {
        step: String,
        attempt: u32,
        class: ErrorClass,
        /// Why it failed for good; absent while it is tried again.
        code: Option<ErrorCode>,
        error: String,
        retry_at: Option<Timestamp>,
        /// When: how long the pause until `retry_at` is, whatever is done to the clock meanwhile.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// A step is to be asked again at that time; nothing is called until then.
    #[serde(rename = "saga.timer_set")]
    TimerSet {
        step: String,
        due: Timestamp,
        /// When: how long the pause until `due` is.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// That time has come.
    #[serde(rename = "saga.timer_fired")]
    TimerFired { step: String },
    /// Somebody asked it to stop and turn back.
    #[serde(rename = "saga.cancel_requested")]
    CancelRequested { reason: String },
    /// It turned back.
    #[serde(rename = "saga.unwind_began")]
    UnwindBegan(Cause),
    /// A step is about to be undone.
    #[serde(rename = "saga.undo_intended")]
    UndoIntended {
        step: String,
        attempt: u32,
        deadline: Timestamp,
        /// When.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// A step is undone.
    #[serde(rename = "saga.undo_done")]
    UndoDone { step: String, note: Option<String> },
    /// A step stays as it is, for this reason.
    #[serde(rename = "saga.undo_skipped")]
    UndoSkipped { step: String, reason: String },
    /// An undo failed; without `retry_at`, it was the last.
    #[serde(rename = "saga.undo_failed")]
    UndoFailed {
        step: String,
        attempt: u32,
        class: ErrorClass,
        /// Why it failed for good; absent while it is tried again.
        code: Option<ErrorCode>,
        error: String,
        retry_at: Option<Timestamp>,
        /// When: how long the pause until `retry_at` is, whatever is done to the clock meanwhile.
        #[serde(default)]
        at: Option<Timestamp>,
    },
    /// It can't go on by itself. `step` is empty where no step is to blame.
    #[serde(rename = "saga.stuck")]
    Stuck {
        step: String,
        why: String,
        /// What kind of trouble.
        #[serde(default)]
        code: Option<StuckCode>,
    },
    /// A person took a hand in it.
    #[serde(rename = "saga.operator_acted")]
    OperatorActed {
        /// Who.
        actor: String,
        action: Action,
        /// Which way the run goes from here.
        direction: Direction,
        step: Option<String>,
        reason: String,
        /// What a skipped step counts as having given.
        output: Option<Value>,
    },
    /// All steps are done.
    #[serde(rename = "saga.completed")]
    Completed {},
    /// All that had begun is undone, or kept for a stated reason.
    #[serde(rename = "saga.unwound")]
    Unwound {},
    /// A person gave it up; what it made stays.
    #[serde(rename = "saga.abandoned")]
    Abandoned { reason: String, left_behind: Vec<LeftBehind> },
}

impl Event {
    /// Whether it tells what a call came to. That has happened, whatever people say; other events
    /// are choices.
    #[must_use]
    pub fn tells_an_outcome(&self) -> bool {
        self.outcome_of().is_some()
    }

    /// The step whose call has come to this.
    pub(super) fn outcome_of(&self) -> Option<&str> {
        match self {
            Self::StepDone { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::StepFailed { step, .. }
            | Self::TimerSet { step, .. }
            | Self::UndoDone { step, .. }
            | Self::UndoSkipped { step, .. }
            | Self::UndoFailed { step, .. } => Some(step),
            _ => None,
        }
    }
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("saga.started", 1),
        ("saga.lease_taken", 1),
        ("saga.step_intended", 1),
        ("saga.step_resumed", 1),
        ("saga.step_outlived", 1),
        ("saga.held_up", 1),
        ("saga.let_go", 1),
        ("saga.step_done", 1),
        ("saga.step_skipped", 1),
        ("saga.step_failed", 1),
        ("saga.timer_set", 1),
        ("saga.timer_fired", 1),
        ("saga.cancel_requested", 1),
        ("saga.unwind_began", 1),
        ("saga.undo_intended", 1),
        ("saga.undo_done", 1),
        ("saga.undo_skipped", 1),
        ("saga.undo_failed", 1),
        ("saga.stuck", 1),
        ("saga.operator_acted", 1),
        ("saga.completed", 1),
        ("saga.unwound", 1),
        ("saga.abandoned", 1),
    ];
}
