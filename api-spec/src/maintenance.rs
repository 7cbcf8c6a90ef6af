//! Maintenance of instances: visitors get a page instead of the site.

use crate::examples::{Example, reason, second};
use crate::texts::{Reason, RunId, VisitorsMessage};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What visitors of a site under maintenance are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Maintenance {
    /// Why the site is away.
    #[schema(value_type = VisitorsMessage)]
    pub message: String,
    /// When it is expected back; it stays away until the maintenance is ended.
    pub until: DateTime<Utc>,
}

/// What was asked for, and is not so yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceChange {
    /// `run_…` that does it.
    #[schema(value_type = RunId)]
    pub run: String,
    /// What visitors are to get: that page, or with `null` the site.
    pub page: Option<Maintenance>,
}

/// Gives visitors a page instead of the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartMaintenance {
    /// Why the site is away, for visitors. Plain text, at most 500 characters; ends of lines stay.
    #[schema(value_type = VisitorsMessage)]
    pub message: String,
    /// When it is expected back; at most 92 days ahead. Clients are told by `Retry-After`.
    pub until: DateTime<Utc>,
    /// Why, for the timeline.
    #[serde(default)]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Gives visitors the site again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EndMaintenance {
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

impl Example for StartMaintenance {
    fn example() -> Self {
        let message = VisitorsMessage::EXAMPLE.to_owned();
        Self { message, until: second(7_200), reason: reason() }
    }
}

impl Example for EndMaintenance {
    fn example() -> Self {
        Self { reason: reason() }
    }
}
