//! Runs: long work, its steps, and how it ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which way a run goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// Towards its goal.
    Forward,
    /// Back, undoing what it did.
    Unwinding,
    /// At rest until somebody helps.
    Stuck,
    /// Ended well.
    Completed,
    /// Ended turned back.
    Unwound,
}

impl RunPhase {
    /// True where nothing more happens by itself.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        matches!(self, Self::Stuck | Self::Completed | Self::Unwound)
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// An attempt is under way.
    Intended,
    /// It waits for its next attempt.
    Waiting,
    /// It failed for good.
    Failed,
    /// It is done.
    Done,
    /// It was not needed.
    Skipped,
    /// It is being undone.
    Undoing,
    /// Its undo waits for its next attempt.
    UndoWaiting,
    /// Its undo failed for good.
    UndoFailed,
    /// It is undone.
    Undone,
    /// It stays as it is, for the reason in `note`.
    Kept,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// `run_…`.
    pub id: String,
    /// What it does, e.g. `launch_appserver`.
    pub definition: String,
    /// The version of what it does.
    pub version: i32,
    /// The id of what it is about.
    pub subject: String,
    /// Which way it goes.
    pub phase: RunPhase,
    /// Why it turned back or is stuck.
    pub cause: Option<String>,
    /// The step under way or tried last.
    pub current_step: Option<String>,
    /// Whether a cancel waits to be obeyed.
    pub cancel_requested: bool,
    /// Who started it.
    pub actor: String,
    /// When it started.
    pub created: DateTime<Utc>,
    /// When it last moved.
    pub modified: DateTime<Utc>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
}

/// One run with its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The steps that have begun, in their order.
    pub steps: Vec<RunStep>,
}

/// One step of a run that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunStep {
    /// Its path.
    pub step: String,
    /// How far it is.
    pub state: StepState,
    /// The number of its latest attempt.
    pub attempt: i32,
    /// What it said: error, reason for skipping, note.
    pub note: Option<String>,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it last moved.
    pub modified: DateTime<Utc>,
}

/// The answer to a command that takes a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedRun {
    /// `run_…` that does it.
    pub run: String,
}

/// Asks a run to stop and turn back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    /// Why.
    pub reason: String,
}
