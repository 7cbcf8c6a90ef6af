//! Log lines of runs.

use crate::examples::{Example, second};
use crate::texts::{Prose, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Ordinary progress, and standard output.
    Info,
    /// Worth a look, and standard error.
    Warning,
    /// Something failed.
    Error,
}

/// One line, secrets masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// From 1, without gaps; never changes.
    #[schema(minimum = 1)]
    pub number: u64,
    /// When the tool wrote it, for lines of playbooks; else when Ocim noted it.
    pub at: DateTime<Utc>,
    /// How grave it is.
    pub level: LogLevel,
    /// The step that wrote it.
    #[schema(value_type = Prose)]
    pub step: String,
    /// The text, without line ends; of a line over 16 KiB its first 16 KiB.
    #[schema(value_type = Prose)]
    pub text: String,
    /// How many bytes of the text are not shown here; the raw download has the whole line.
    #[serde(default)]
    pub more_bytes: u64,
}

/// A range of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogPage {
    /// `run_…` whose log it is.
    #[schema(value_type = RunId)]
    pub run: String,
    /// The lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Pass it as `from` to read on; where there is no line yet, there will be.
    #[schema(minimum = 1)]
    pub next: u64,
}

impl Example for LogLine {
    fn example() -> Self {
        Self {
            number: 128,
            at: second(900),
            level: LogLevel::Info,
            step: "run_main_playbook".to_owned(),
            text: "TASK [nginx : install] ok: [alpha-2]".to_owned(),
            more_bytes: 0,
        }
    }
}

impl Example for LogPage {
    fn example() -> Self {
        Self { run: RunId::EXAMPLE.to_owned(), lines: vec![LogLine::example()], next: 129 }
    }
}
