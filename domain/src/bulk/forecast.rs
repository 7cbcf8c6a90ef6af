//! When a bulk operation will probably have come to its end.

use crate::Timestamp;
use chrono::Duration;

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pacing {
    /// How many instances are done.
    pub settled: usize,
    /// How many are under way.
    pub ongoing: usize,
    /// How many are not begun.
    pub pending: usize,
    /// Most at a time, at least one.
    pub batch_size: usize,
    /// Shortest time between the beginnings of two batches.
    pub frequency: Duration,
    /// How long one took on the average; none before the first is done.
    pub average: Option<Duration>,
    /// Nothing is begun before.
    pub next_at: Option<Timestamp>,
}

/// When it will probably have come to its end: as if each that is left took as long as those that are
/// done did, and none failed to begin. None before the first is done, or where nothing is left.
#[must_use]
pub fn forecast_end(pacing: &Pacing, now: Timestamp) -> Option<Timestamp> {
    let average = pacing.average?;
    if pacing.pending == 0 {
        return (pacing.ongoing > 0).then(|| now + average / 2);
    }
    let batches = i32::try_from(pacing.pending.div_ceil(pacing.batch_size.max(1))).ok()?;
    let next = pacing.next_at.map_or(now, |next| next.max(now));
    let between = average.max(pacing.frequency);
    let more = between.checked_mul(batches - 1)?;
    next.checked_add_signed(more)?.checked_add_signed(average)
}
