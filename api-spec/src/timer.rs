//! Work that comes again and again by itself: every day at a time, or at short intervals.

use crate::examples::{Example, reason, second};
use crate::texts::{Name, Prose, Reason, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One kind of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timer {
    /// Its name.
    #[schema(value_type = Name)]
    pub name: String,
    /// What it does.
    #[schema(value_type = Prose)]
    pub description: String,
    /// How often.
    #[schema(value_type = Prose)]
    pub schedule: String,
    /// When it comes next; for what is done at intervals, about then.
    pub next: Option<DateTime<Utc>>,
    /// When it was begun last; what is done at intervals, on this node.
    pub last: Option<DateTime<Utc>>,
    /// The time that it was begun for then; none where somebody had it done.
    pub last_due: Option<DateTime<Utc>>,
    /// `run_…` that did it then.
    #[schema(value_type = Option<RunId>)]
    pub run: Option<String>,
    /// How that went, in one sentence.
    #[schema(value_type = Prose)]
    pub outcome: String,
    /// Whether somebody may have it done now.
    pub is_runnable: bool,
}

/// What goes with an order to do it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunTimer {
    /// Why; it stands beside the order in the log.
    #[serde(default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

impl Example for Timer {
    fn example() -> Self {
        Self {
            name: "delete_old_logs".to_owned(),
            description: "deletes logs of runs that ended `LOG_DELETION_DAYS` ago".to_owned(),
            schedule: "every day at 00:00 UTC".to_owned(),
            next: Some(second(53_100)),
            last: Some(second(-33_298)),
            last_due: Some(second(-33_300)),
            run: Some("run_7c2f1b8e-5a0d-5e63-9b4f-1d8a6c3e7f20".to_owned()),
            outcome: "deleted 2 logs with 7124 lines".to_owned(),
            is_runnable: true,
        }
    }
}

impl Example for RunTimer {
    fn example() -> Self {
        Self { reason: reason() }
    }
}
