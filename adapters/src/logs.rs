//! Log lines of runs: data beside the events. Real: [`postgres`]. Tests: [`memory`].

pub mod memory;
pub mod postgres;

pub use ocim_domain::log_level::Level;

use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use serde::{Deserialize, Serialize};

/// A line on its way into the log, already masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewLine {
    /// When a tool wrote it, where that is known; else when it was read.
    pub at: Timestamp,
    /// How grave it is.
    pub level: Level,
    /// The step's path.
    pub step: String,
    /// The text, without line ends.
    pub text: String,
}

/// A line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// From 1, without gaps; never changes.
    pub number: u64,
    /// The line.
    #[serde(flatten)]
    pub line: NewLine,
}

/// Where the lines came from, so that a source is read on from where it was left after a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOffset {
    /// E.g. the step's key.
    pub source: String,
    /// Bytes of it that the log holds before these lines.
    pub from: u64,
    /// Bytes of it that the log holds after these lines.
    pub to: u64,
    /// Where the lines begin, at `to` or before it, that tell whether what follows is the rest of
    /// a secret.
    pub context: u64,
}

/// How far a source is in the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourcePlace {
    /// Bytes of it that the log holds.
    pub bytes: u64,
    /// Where the lines before that begin that tell whether what follows is the rest of a secret.
    pub context: u64,
}

/// About how many bytes of text one read of lines gives at most.
pub const READ_BYTES: usize = 8 * 1024 * 1024;

/// Numbered lines, one log a run.
#[async_trait]
pub trait LogStore: Send + Sync + std::fmt::Debug {
    /// Appends lines; returns the number of the last line of the log. With an offset whose `from`
    /// is not where the source stands, nothing is written (it was a repetition). All or nothing:
    /// the lines and the offset are stored together. [`Class::Conflict`](super::Class::Conflict)
    /// when the log is finished.
    async fn append_lines(
        &self,
        run: RunId,
        lines: Vec<NewLine>,
        offset: Option<SourceOffset>,
    ) -> Result<u64, PortError>;

    /// How far the source is in the log.
    async fn read_source(&self, run: RunId, source: &str) -> Result<SourcePlace, PortError>;

    /// At most `limit` lines, and about [`READ_BYTES`], from number `from` on, in order; at least
    /// one where there is one.
    async fn read_lines(
        &self,
        run: RunId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, PortError>;

    /// The number of the last line, 0 when there is none.
    async fn count_lines(&self, run: RunId) -> Result<u64, PortError>;

    /// Says that no line will follow. A log may be finished again: the first time counts.
    async fn finish_log(&self, run: RunId, at: Timestamp) -> Result<(), PortError>;

    /// At most `limit` logs that were finished before that time and not replaced, the oldest first.
    async fn list_old_logs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, u64)>, PortError>;

    /// Deletes all lines of a log, in the name of that run, and puts this one in their place; none where
    /// it had none. A log that was replaced before stays as it is.
    async fn replace_log(&self, run: RunId, line: NewLine, by: RunId) -> Result<(), PortError>;

    /// How many logs were replaced in the name of that run, and how many lines they had.
    async fn count_replaced(&self, by: RunId) -> Result<(u64, u64), PortError>;

    /// Whether no line will follow.
    async fn is_finished(&self, run: RunId) -> Result<bool, PortError>;
}
