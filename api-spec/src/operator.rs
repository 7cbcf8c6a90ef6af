//! What operators do to runs, and where a run stands.

use crate::examples::{Example, second};
use crate::texts::{NeededReason, Prose, StepPath, Word};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

/// What is to be done to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum RunVerb {
    /// Try a step, or its undo, at once, with all its attempts and all its time.
    RetryStep {
        /// The step's path.
        #[schema(value_type = StepPath)]
        step: String,
    },
    /// Count the step whose turn it is as done.
    SkipStep {
        /// The step's path.
        #[schema(value_type = StepPath)]
        step: String,
        /// What it counts as having given.
        #[serde(default)]
        output: Value,
    },
    /// Count a step as undone whose undo does not come to an end.
    MarkUndone {
        /// The step's path.
        #[schema(value_type = StepPath)]
        step: String,
    },
    /// Turn back from wherever it is: what can be undone is undone, the rest stays for its reason.
    /// A run that was turning back, and is stuck at no undo, goes on with that.
    ForceUnwind {},
    /// Go forward again; only steps that are undone are run again.
    ResumeForward {},
    /// Give it up as it is; the answer lists what stays behind.
    Abandon {},
}

/// The order to do something to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OperateRun {
    /// What.
    pub operation: RunVerb,
    /// Why; it stands in the run's timeline.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only say what would happen.
    #[serde(default)]
    pub dry_run: bool,
}

/// What an operation does, in sentences: first what it does itself, then what the run does from
/// there if all goes well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunOperation {
    /// Whether it was done, or only looked at.
    pub done: bool,
    /// The sentences.
    #[schema(value_type = Vec<Prose>)]
    pub sentences: Vec<String>,
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunExplanation {
    /// All of it in one sentence.
    #[schema(value_type = Prose)]
    pub sentence: String,
    /// What it waits for; nothing once it is over.
    #[schema(value_type = Option<Prose>)]
    pub waits_for: Option<String>,
    /// The steps that are under way or waited for.
    #[schema(value_type = Vec<Prose>)]
    pub steps: Vec<String>,
    /// Since when.
    pub since: Option<DateTime<Utc>>,
    /// Until when at the longest.
    pub until: Option<DateTime<Utc>>,
    /// The node that holds it.
    pub holder: Option<Uuid>,
    /// Until when, unless the node renews its lease.
    pub held_until: Option<DateTime<Utc>>,
    /// Which kind of trouble it is in, e.g. `undo_failed`.
    #[schema(value_type = Option<Word>)]
    pub code: Option<String>,
    /// Why it is turning back, or has turned back.
    #[schema(value_type = Option<Prose>)]
    pub cause: Option<String>,
    /// What the steps waited for said last.
    #[schema(value_type = Option<Prose>)]
    pub last_error: Option<String>,
    /// What it will do after that if all goes well, in order.
    #[schema(value_type = Vec<Prose>)]
    pub next: Vec<String>,
}

impl Example for OperateRun {
    fn example() -> Self {
        Self {
            operation: RunVerb::RetryStep { step: "delete_server".to_owned() },
            reason: "the cloud answers again".to_owned(),
            dry_run: true,
        }
    }
}

impl Example for RunOperation {
    fn example() -> Self {
        let sentences = [
            "would try the undo of `create_server` at once",
            "if all goes well, the run ends turned back",
        ];
        Self { done: false, sentences: sentences.map(str::to_owned).to_vec() }
    }
}

impl Example for RunExplanation {
    fn example() -> Self {
        Self {
            sentence: "stuck at delete_server: the cloud does not answer".to_owned(),
            waits_for: Some("a person".to_owned()),
            steps: vec!["delete_server".to_owned()],
            since: Some(second(4_200)),
            until: None,
            holder: Some(Uuid::from_u128(0x0198_5f6a_7c3e_7d41_8b2f_6e5d_4c3b_2a19)),
            held_until: Some(second(4_230)),
            code: Some("undo_failed".to_owned()),
            cause: Some("cancelled: agreed with the customer".to_owned()),
            last_error: Some("the cloud does not answer".to_owned()),
            next: vec!["ends turned back".to_owned()],
        }
    }
}
