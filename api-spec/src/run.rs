//! Runs: long work, its steps, and how it ended.

use crate::examples::{Example, second};
use crate::texts::{Actor, AppserverId, Name, NeededReason, Prose, RunId, StepPath, Word};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which way a run goes. `completed`, `unwound` and `abandoned` are final; `stuck` lasts until a person
/// helps.
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
    /// Given up by a person; what it made stays.
    Abandoned,
}

impl RunPhase {
    /// As it stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Unwinding => "unwinding",
            Self::Stuck => "stuck",
            Self::Completed => "completed",
            Self::Unwound => "unwound",
            Self::Abandoned => "abandoned",
        }
    }

    /// True where nothing more ever happens.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Unwound | Self::Abandoned)
    }

    /// True where nothing more happens by itself.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        self == Self::Stuck || self.is_final()
    }
}

/// How far a step is. In a run that goes forward `done` and `skipped` are final, in one that turns back
/// `skipped`, `undone` and `kept`; `failed` and `undo_failed` last until a person helps.
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Run {
    /// `run_…`.
    #[schema(value_type = RunId)]
    pub id: String,
    /// What it does, e.g. `launch_appserver`.
    #[schema(value_type = Word)]
    pub definition: String,
    /// The version of what it does.
    #[schema(minimum = 0)]
    pub version: i32,
    /// The id of what it is about, or its name where it has no id yet.
    #[schema(value_type = Name)]
    pub subject: String,
    /// What people call that, e.g. `alpha.example.com/2`; absent where it has no name.
    #[schema(value_type = Option<Name>)]
    pub subject_name: Option<String>,
    /// Which way it goes.
    pub phase: RunPhase,
    /// What it depends on outside of Ocim, e.g. `region local`, `playbooks https://…` or `balancer …`.
    #[schema(value_type = Vec<Prose>)]
    pub providers: Vec<String>,
    /// The phase for people, with why: e.g. `failed at run_main_playbook: no hosts matched`.
    #[schema(value_type = Prose)]
    pub outcome: String,
    /// Why it turned back or is stuck.
    #[schema(value_type = Option<Prose>)]
    pub cause: Option<String>,
    /// Which kind of trouble a stuck run has, for programs, e.g. `undo_failed`.
    #[schema(value_type = Option<Word>)]
    pub stuck_code: Option<String>,
    /// Why a step, or its undo, failed for good, e.g. `playbook_failed`: `/problems/` has a page
    /// for each.
    #[schema(value_type = Option<Word>)]
    pub error_code: Option<String>,
    /// The step under way or tried last.
    #[schema(value_type = Option<StepPath>)]
    pub current_step: Option<String>,
    /// Whether a cancel waits to be obeyed.
    pub cancel_requested: bool,
    /// Who started it.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// `run_…` that started it, where it was not a person.
    #[schema(value_type = Option<RunId>)]
    pub started_by: Option<String>,
    /// When it started.
    pub created: DateTime<Utc>,
    /// When it last moved.
    pub modified: DateTime<Utc>,
    /// When it ended.
    pub ended: Option<DateTime<Utc>>,
    /// How long it took, in seconds; so far, where it has not ended.
    #[schema(minimum = 0)]
    pub duration_s: f64,
}

/// One run with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunDetail {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// `run_…` of those that it started, e.g. the activation after a launch, oldest first.
    #[schema(value_type = Vec<RunId>)]
    pub started_runs: Vec<String>,
    /// The steps that have begun, in their order.
    pub steps: Vec<RunStep>,
}

/// One step of a run that has begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunStep {
    /// Its path.
    #[schema(value_type = StepPath)]
    pub step: String,
    /// How far it is.
    pub state: StepState,
    /// The number of its latest attempt.
    #[schema(minimum = 0)]
    pub attempt: i32,
    /// What it said: error, reason for skipping, note.
    #[schema(value_type = Option<Prose>)]
    pub note: Option<String>,
    /// When it is tried again.
    pub retry_at: Option<DateTime<Utc>>,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it last moved.
    pub modified: DateTime<Utc>,
    /// Its attempts and those to undo it, in their order.
    pub attempts: Vec<RunAttempt>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// It did what it should.
    Done,
    /// It failed.
    Failed,
    /// The run did something else with the step before the outcome was known.
    Superseded,
}

/// One attempt at a step, or at its undo.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunAttempt {
    /// From 1; undo counts for itself.
    #[schema(minimum = 0)]
    pub attempt: i32,
    /// Whether it was to undo the step.
    pub is_undo: bool,
    /// When it began.
    pub started: DateTime<Utc>,
    /// When it ended; absent while it is under way.
    pub ended: Option<DateTime<Utc>>,
    /// How long it took, in seconds.
    #[schema(minimum = 0)]
    pub duration_s: Option<f64>,
    /// How it ended; absent while it is under way.
    pub outcome: Option<AttemptOutcome>,
    /// What kind of failure: `transient`, `rate_limited`, `conflict`, `permanent`, `ambiguous`,
    /// `timeout`.
    #[schema(value_type = Option<Word>)]
    pub class: Option<String>,
    /// Why it failed for good, e.g. `playbook_failed`; absent where it was tried again.
    #[schema(value_type = Option<Word>)]
    pub code: Option<String>,
    /// What it said.
    #[schema(value_type = Option<Prose>)]
    pub error: Option<String>,
}

/// How long things took, in seconds; absent where nothing was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Durations {
    /// Half of them took no longer.
    #[schema(minimum = 0)]
    pub p50_s: Option<f64>,
    /// Nine in ten took no longer.
    #[schema(minimum = 0)]
    pub p90_s: Option<f64>,
    /// Ninety-nine in a hundred took no longer.
    #[schema(minimum = 0)]
    pub p99_s: Option<f64>,
    /// None took longer.
    #[schema(minimum = 0)]
    pub max_s: Option<f64>,
}

/// How runs went that started since then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunStatistics {
    /// Runs that started earlier are left out.
    pub since: DateTime<Utc>,
    /// By what they do.
    pub definitions: Vec<DefinitionStatistics>,
}

/// How the runs went that do the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DefinitionStatistics {
    /// What they do, e.g. `launch_appserver`.
    #[schema(value_type = Word)]
    pub definition: String,
    /// How many started.
    #[schema(minimum = 0)]
    pub runs: i64,
    /// How many go forward or back.
    #[schema(minimum = 0)]
    pub open: i64,
    /// How many are stuck.
    #[schema(minimum = 0)]
    pub stuck: i64,
    /// How many completed.
    #[schema(minimum = 0)]
    pub completed: i64,
    /// How many turned back to the end.
    #[schema(minimum = 0)]
    pub unwound: i64,
    /// How long those took that completed.
    #[serde(flatten)]
    pub durations: Durations,
    /// Their steps, in their usual order.
    pub steps: Vec<StepStatistics>,
}

/// How a step went in these runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StepStatistics {
    /// Its path.
    #[schema(value_type = StepPath)]
    pub step: String,
    /// How often it was done.
    #[schema(minimum = 0)]
    pub done: i64,
    /// How often it was not needed.
    #[schema(minimum = 0)]
    pub skipped: i64,
    /// Attempts.
    #[schema(minimum = 0)]
    pub attempts: i64,
    /// Attempts after a run's first one.
    #[schema(minimum = 0)]
    pub retries: i64,
    /// Attempts that failed.
    #[schema(minimum = 0)]
    pub failures: i64,
    /// How often it was undone.
    #[schema(minimum = 0)]
    pub undos: i64,
    /// Attempts to undo it that failed.
    #[schema(minimum = 0)]
    pub undo_failures: i64,
    /// How long it took where it was done, with all its attempts and the waits between them.
    #[serde(flatten)]
    pub durations: Durations,
}

/// The answer to a command that takes a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedRun {
    /// `run_…` that does it.
    #[schema(value_type = RunId)]
    pub run: String,
}

/// Asks a run to stop and turn back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CancelRun {
    /// Why; it stands in the run's timeline.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

impl Example for Run {
    fn example() -> Self {
        Self {
            id: RunId::EXAMPLE.to_owned(),
            definition: "launch_appserver".to_owned(),
            version: 2,
            subject: AppserverId::EXAMPLE.to_owned(),
            subject_name: Some("alpha.example.com/2".to_owned()),
            phase: RunPhase::Forward,
            providers: vec!["region local".to_owned()],
            outcome: "under way at run_main_playbook".to_owned(),
            cause: None,
            stuck_code: None,
            error_code: None,
            current_step: Some("run_main_playbook".to_owned()),
            cancel_requested: false,
            actor: Actor::EXAMPLE.to_owned(),
            started_by: None,
            created: second(120),
            modified: second(300),
            ended: None,
            duration_s: 612.4,
        }
    }
}

impl Example for RunDetail {
    fn example() -> Self {
        let attempt = RunAttempt {
            attempt: 1,
            is_undo: false,
            started: second(121),
            ended: Some(second(163)),
            duration_s: Some(42.0),
            outcome: Some(AttemptOutcome::Failed),
            class: Some("transient".to_owned()),
            code: None,
            error: Some("the cloud does not answer".to_owned()),
        };
        let step = RunStep {
            step: "create_server".to_owned(),
            state: StepState::Waiting,
            attempt: 1,
            note: Some("the cloud does not answer".to_owned()),
            retry_at: Some(second(170)),
            started: second(121),
            modified: second(163),
            attempts: vec![attempt],
        };
        Self { run: Run::example(), started_runs: vec![], steps: vec![step] }
    }
}

impl Example for StartedRun {
    fn example() -> Self {
        Self { run: RunId::EXAMPLE.to_owned() }
    }
}

impl Example for CancelRun {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for RunStatistics {
    fn example() -> Self {
        let durations = Durations {
            p50_s: Some(2_410.0),
            p90_s: Some(3_020.5),
            p99_s: Some(3_600.0),
            max_s: Some(3_600.0),
        };
        let step = StepStatistics {
            step: "run_main_playbook".to_owned(),
            done: 11,
            skipped: 0,
            attempts: 12,
            retries: 1,
            failures: 1,
            undos: 0,
            undo_failures: 0,
            durations,
        };
        let definition = DefinitionStatistics {
            definition: "launch_appserver".to_owned(),
            runs: 12,
            open: 1,
            stuck: 0,
            completed: 10,
            unwound: 1,
            durations,
            steps: vec![step],
        };
        Self { since: second(-2_592_000), definitions: vec![definition] }
    }
}
