//! Whether Ocim is up, and whether it can do its work.

use crate::examples::Example;
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

impl Example for Health {
    fn example() -> Self {
        Self {
            status: "ok".to_owned(),
            version: "0.1.0".to_owned(),
            head: Some(LogPosition::EXAMPLE.to_owned()),
        }
    }
}

impl Example for Readiness {
    fn example() -> Self {
        Self { status: "ready".to_owned() }
    }
}
