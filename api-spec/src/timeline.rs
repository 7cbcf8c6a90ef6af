//! Timelines: what happened to a thing, in sentences for people.

use crate::examples::{Example, second};
use crate::texts::{Actor, AppserverId, EventKind, LogPosition, Prose, RunId, ThingId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One event, told for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TimelineItem {
    /// Where it stands in the log. Opaque; sorts as text.
    #[schema(value_type = LogPosition)]
    pub position: String,
    /// When.
    pub at: DateTime<Utc>,
    /// Who did it, e.g. `token:alice` or `saga:run_…`.
    #[schema(value_type = Actor)]
    pub actor: String,
    /// What happened, for programs, e.g. `appserver.running_started`.
    #[schema(value_type = EventKind)]
    pub kind: String,
    /// The id of the thing to which it happened, e.g. `apps_…`.
    #[schema(value_type = ThingId)]
    pub subject: String,
    /// What happened, as one sentence without a full stop.
    #[schema(value_type = Prose)]
    pub sentence: String,
}

impl Example for TimelineItem {
    fn example() -> Self {
        Self {
            position: LogPosition::EXAMPLE.to_owned(),
            at: second(3_000),
            actor: format!("saga:{}", RunId::EXAMPLE),
            kind: EventKind::EXAMPLE.to_owned(),
            subject: AppserverId::EXAMPLE.to_owned(),
            sentence: "AppServer 2 is running".to_owned(),
        }
    }
}
