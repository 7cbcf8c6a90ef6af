//! Regions: how many launches at a time, and the line of those that wait.

use crate::examples::{Example, reason, second};
use crate::texts::{Name, Reason, RegionId, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One region of a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Region {
    /// `regn_…`.
    #[schema(value_type = RegionId)]
    pub id: String,
    /// Its name in `OCIM_CLOUDS`.
    #[schema(value_type = Name)]
    pub name: String,
    /// Launches at a time.
    #[schema(minimum = 1, maximum = 1000)]
    pub launches_max: i64,
    /// `run_…` of the launches that have a slot.
    #[schema(value_type = Vec<RunId>)]
    pub running: Vec<String>,
    /// The launches that wait, the next one first.
    pub queued: Vec<QueuedRun>,
    /// When its limit was first set.
    pub created: DateTime<Utc>,
    /// When its limit was last set.
    pub modified: DateTime<Utc>,
}

/// What is to be changed of a region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRegion {
    /// Launches at a time from now on, 1 to 1000; the configuration no longer counts then.
    #[schema(minimum = 1, maximum = 1000)]
    pub launches_max: u32,
    /// Why; it stands beside the change in the log.
    #[serde(default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// One launch that waits for a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct QueuedRun {
    /// `run_…`.
    #[schema(value_type = RunId)]
    pub run: String,
    /// Its place in line; 1 is next.
    #[schema(minimum = 1)]
    pub position: usize,
    /// Since when it waits.
    pub since: DateTime<Utc>,
}

impl Example for Region {
    fn example() -> Self {
        let queued = QueuedRun {
            run: "run_01985f70-91b8-7a54-9e0d-2b1c7f6e5d48".to_owned(),
            position: 1,
            since: second(200),
        };
        Self {
            id: RegionId::EXAMPLE.to_owned(),
            name: "local".to_owned(),
            launches_max: 2,
            running: vec![RunId::EXAMPLE.to_owned()],
            queued: vec![queued],
            created: second(-86_400),
            modified: second(-86_400),
        }
    }
}

impl Example for ChangeRegion {
    fn example() -> Self {
        Self { launches_max: 4, reason: reason() }
    }
}
