//! What the live stream tells of an event: that it happened, never what it holds.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An event that was appended to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppendedEvent {
    /// Where it stands in the log. Opaque; sorts as text.
    pub position: String,
    /// What happened, e.g. `appserver.running_started`.
    pub kind: String,
    /// To what: `category-<uuid>`.
    pub stream: String,
    /// When.
    pub at: DateTime<Utc>,
}
