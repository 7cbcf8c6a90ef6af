//! How far an Appserver came, and what that means.

use serde::{Deserialize, Serialize};

/// How far it came (core §2.2, and `cancelled`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
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
    /// The machine went wrong and never came up.
    Error,
    /// Ran, then was shut down.
    Terminated,
    /// Somebody cancelled its launch.
    Cancelled,
}

impl Status {
    /// Every status, in the order of a launch.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::Waiting,
        Self::Configuring,
        Self::Running,
        Self::Failed,
        Self::Error,
        Self::Terminated,
        Self::Cancelled,
    ];

    /// True where nothing is under way (core §2.2).
    #[must_use]
    pub fn is_steady(self) -> bool {
        !matches!(self, Self::Waiting | Self::Configuring)
    }

    /// True where nothing went wrong (core §2.2).
    #[must_use]
    pub fn is_healthy(self) -> bool {
        !matches!(self, Self::Failed | Self::Error)
    }
}
