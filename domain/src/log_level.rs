//! How grave a line of a run's log is.

use serde::{Deserialize, Serialize};

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Ordinary progress, and standard output.
    Info,
    /// Worth a look, and standard error.
    Warning,
    /// Something failed.
    Error,
}
