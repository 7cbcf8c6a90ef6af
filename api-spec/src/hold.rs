//! Holds: somebody keeps an instance to himself for a time.

use crate::examples::{Example, reason, second};
use crate::texts::{Actor, NeededReason, Reason};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Who keeps everybody else from changing an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hold {
    /// Who: `token:<name>` or `local:<user>`.
    #[schema(value_type = Actor)]
    pub holder: String,
    /// Why.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Until when; it ends by itself then.
    pub until: DateTime<Utc>,
}

/// Keeps everybody else from changing an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldInstance {
    /// Until when; at most 92 days ahead.
    pub until: DateTime<Utc>,
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

/// Lets everybody change an instance again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReleaseHold {
    /// Although it is somebody else's hold. Needs a reason.
    pub force: bool,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

impl Example for HoldInstance {
    fn example() -> Self {
        Self { until: second(86_400), reason: NeededReason::EXAMPLE.to_owned() }
    }
}

impl Example for ReleaseHold {
    fn example() -> Self {
        Self { force: true, reason: reason() }
    }
}
