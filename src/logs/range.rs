//! Any range of a log, of all its steps or of one.

use super::Logs;
use ocim_adapters::logs::{LogLine, READ_BYTES};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;

/// Lines read from the store at once.
const PAGE: usize = 1000;
/// Lines that are looked at before a range is answered with what was found so far.
const LOOKED_AT_MAX: u64 = 50_000;

/// Which lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineRange {
    /// Number of the first line, from 1.
    pub from: u64,
    /// Number of the last line.
    pub to: u64,
    /// Only lines of this step, and of steps below it.
    pub step: Option<String>,
}

impl LineRange {
    /// Whether a line is one of them.
    #[must_use]
    pub fn admits(&self, line: &LogLine) -> bool {
        let is_below = |step: &str| {
            let rest = line.line.step.strip_prefix(step);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        (self.from..=self.to).contains(&line.number) && self.step.as_deref().is_none_or(is_below)
    }
}

impl Logs {
    /// At most `limit` lines of the range, in order, and the number of the line to go on with. It
    /// may be fewer, or none, where the step wrote little: go on until there is no further line.
    ///
    /// # Errors
    /// When the store can't be reached, or the log is damaged.
    pub async fn read_range(
        &self,
        run: RunId,
        range: &LineRange,
        limit: usize,
    ) -> Result<(Vec<LogLine>, u64), PortError> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut next = range.from.max(1);
        let end = next.saturating_add(LOOKED_AT_MAX).min(range.to.saturating_add(1));
        while next < end && found.len() < limit && bytes < READ_BYTES {
            let at_once = usize::try_from(end - next).unwrap_or(PAGE).min(PAGE);
            let lines = self.read_lines(run, next, at_once).await?;
            if lines.is_empty() {
                break;
            }
            for line in lines {
                if found.len() == limit {
                    break;
                }
                next = line.number.saturating_add(1);
                if range.admits(&line) {
                    bytes += line.line.text.len();
                    found.push(line);
                }
            }
        }
        Ok((found, next))
    }
}
