//! Obsolete Appservers: which of them go by themselves, and until when and why the others stay.

use crate::examples::{Example, second};
use crate::texts::{AppserverId, HostName, InstanceId, Name, NeededReason, Prose};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why an Appserver that has a machine stays or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CleanUpReason {
    /// It receives traffic.
    Serves,
    /// What serves has not done so for long.
    Fallback,
    /// It runs, and is newer than what serves.
    ReleaseCandidate,
    /// It was made a short time ago.
    Young,
    /// Its configuration failed, and people may look at its machine until its date.
    Debugging,
    /// That date is over, and its clean-up is on its way or was called off.
    DateOver,
    /// Its launch has not ended.
    Launching,
    /// It would go, but a run is at work on it.
    AtWork,
    /// It would go, but somebody holds the instance.
    Held,
    /// It would go, but the instance is not in service.
    NotLive,
    /// Nothing of this instance goes by itself.
    Off,
    /// It goes.
    Obsolete,
}

/// What is to become of an Appserver that has a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanUpVerdict {
    /// Whether the next daily clean-up takes it away.
    pub goes: bool,
    /// Why it stays or goes.
    pub why: CleanUpReason,
    /// Until when it stays, where that is known; then it is looked at anew.
    pub until: Option<DateTime<Utc>>,
    /// All of it in one sentence.
    #[schema(value_type = Prose)]
    pub told: String,
}

/// When an instance's obsolete Appservers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanUpRule {
    /// After so many whole days; none where nothing goes by itself.
    #[schema(minimum = 1, maximum = 365)]
    pub days: Option<u16>,
    /// Whether the instance has this rule of its own, and not that of all.
    pub is_own: bool,
}

/// Which rule an instance is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CleanUpMode {
    /// After `days` days.
    Days,
    /// Nothing goes by itself.
    Off,
    /// That of all instances.
    Default,
}

/// Has an instance's obsolete Appservers go by another rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeCleanUp {
    /// Which.
    pub mode: CleanUpMode,
    /// After how many days, 1 to 365; with the mode `days`, and with no other.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 365)]
    pub days: Option<u16>,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

/// An Appserver that has a machine, and what is to become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlannedAppserver {
    /// `apps_…`.
    #[schema(value_type = AppserverId)]
    pub id: String,
    /// "AppServer <number>".
    #[schema(value_type = Name)]
    pub name: String,
    /// What is to become of it.
    #[serde(flatten)]
    pub verdict: CleanUpVerdict,
}

/// What the next clean-up does to an instance that has machines which serve nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CleanUpPlan {
    /// `inst_…`.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// What people call it.
    #[schema(value_type = HostName)]
    pub instance_name: String,
    /// After how many whole days; none where nothing goes by itself, or where it can't be told.
    #[schema(minimum = 1, maximum = 365)]
    pub days: Option<u16>,
    /// Its Appservers that have machines, the oldest first.
    pub appservers: Vec<PlannedAppserver>,
    /// Why it can't be told; that keeps no other instance from its clean-up.
    #[schema(value_type = Option<Prose>)]
    pub failure: Option<String>,
}

impl Example for CleanUpVerdict {
    fn example() -> Self {
        Self {
            goes: false,
            why: CleanUpReason::Fallback,
            until: Some(second(2 * 86_400)),
            told: "kept as fallback until Wednesday 2026-03-04 09:15 UTC, because AppServer 2 serves only \
                   since Monday 2026-03-02 09:15 UTC"
                .to_owned(),
        }
    }
}

impl Example for ChangeCleanUp {
    fn example() -> Self {
        let reason = NeededReason::EXAMPLE.to_owned();
        Self { mode: CleanUpMode::Days, days: Some(7), reason }
    }
}

impl Example for CleanUpPlan {
    fn example() -> Self {
        Self {
            instance: InstanceId::EXAMPLE.to_owned(),
            instance_name: "learn.alpha.example".to_owned(),
            days: Some(2),
            appservers: vec![PlannedAppserver {
                id: AppserverId::EXAMPLE.to_owned(),
                name: "AppServer 1".to_owned(),
                verdict: CleanUpVerdict::example(),
            }],
            failure: None,
        }
    }
}
