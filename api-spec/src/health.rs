//! Whether Ocim is up, and whether it can do its work.

use crate::texts::{LogPosition, Name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The process is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    #[schema(pattern = "^ok$")]
    pub status: String,
    /// The version of the program.
    #[schema(value_type = Name)]
    pub version: String,
    /// Position of the last event; null where the event store does not answer.
    #[schema(value_type = Option<LogPosition>)]
    pub head: Option<String>,
}

/// Everything works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    /// Always `ready`.
    #[schema(pattern = "^ready$")]
    pub status: String,
}
