//! Test links: who comes by one is sent to one Appserver under the site's own name.

use crate::examples::{Example, reason, second};
use crate::texts::{Reason, RunId, Url};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for links to an Appserver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MakeTestLink {
    /// How long they lead there; at most seven days, two hours when left out.
    #[schema(minimum = 1, maximum = 10_080)]
    pub minutes: u32,
    /// Why.
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

impl Default for MakeTestLink {
    fn default() -> Self {
        Self { minutes: 120, reason: None }
    }
}

/// Links to an Appserver. Whoever has one is led there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestLink {
    /// `run_…` that publishes them.
    #[schema(value_type = RunId)]
    pub run: String,
    /// Until when they lead there.
    pub until: DateTime<Utc>,
    /// To its LMS.
    #[schema(value_type = Url)]
    pub lms_url: String,
    /// To its Studio.
    #[schema(value_type = Url)]
    pub studio_url: String,
}

impl Example for MakeTestLink {
    fn example() -> Self {
        Self { minutes: 60, reason: reason() }
    }
}

impl Example for TestLink {
    fn example() -> Self {
        let url = |host: &str| format!("http://{host}/.ocim-test-link/hardly-a-secret");
        Self {
            run: RunId::EXAMPLE.to_owned(),
            until: second(7_200),
            lms_url: url("learn.alpha.example"),
            studio_url: url("studio.alpha.example.com"),
        }
    }
}
