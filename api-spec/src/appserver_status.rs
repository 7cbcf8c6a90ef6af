//! How far an Appserver came, and what that means.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far an Appserver came. `error`, `terminated` and `cancelled` are final, and so is `failed` but for
/// its machine, which goes later; `running` lasts until somebody ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppserverStatus {
    /// Made, nothing begun.
    New,
    /// Its machine can't be reached yet.
    Waiting,
    /// Playbooks are running.
    Configuring,
    /// Up.
    Running,
    /// Not configured successfully; may be partly up.
    Failed,
    /// The machine never came up.
    Error,
    /// Ran, then was shut down.
    Terminated,
    /// Somebody cancelled its launch.
    Cancelled,
}

impl AppserverStatus {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::New => "New",
            Self::Waiting => "Waiting for VM",
            Self::Configuring => "Configuring VM",
            Self::Running => "Running",
            Self::Failed => "Configuration failed",
            Self::Error => "Error",
            Self::Terminated => "Terminated",
            Self::Cancelled => "Cancelled",
        }
    }

    /// What it means.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::New => "Just made; nothing has begun",
            Self::Waiting => "Its machine can't be reached yet",
            Self::Configuring => "Playbooks are running on its machine",
            Self::Running => "Up and running",
            Self::Failed => "It was not configured successfully; it may be partly up",
            Self::Error => "Its machine went wrong and never came up",
            Self::Terminated => "It ran, and was shut down",
            Self::Cancelled => "Somebody cancelled its launch",
        }
    }

    /// True where nothing is under way.
    #[must_use]
    pub fn is_steady(self) -> bool {
        !matches!(self, Self::Waiting | Self::Configuring)
    }

    /// True where nothing went wrong.
    #[must_use]
    pub fn is_healthy(self) -> bool {
        !matches!(self, Self::Failed | Self::Error)
    }
}
