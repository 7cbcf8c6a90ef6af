//! The time of one drive: it begins with the clock's, and goes on evenly whatever is done to the clock.

use ocim_domain::Timestamp;
use ocim_domain::system::Clock;
use std::time::Duration;
use tokio::time::Instant;

/// A time that is read from the clock once, and goes on from there.
///
/// So a clock that is set back does not make a pause longer than what was asked for, and one that is
/// set forward does not end what has time left.
#[derive(Debug, Clone, Copy)]
pub struct SteadyTime {
    began: Timestamp,
    since: Instant,
}

impl SteadyTime {
    /// Begins at what the clock shows now.
    #[must_use]
    pub fn start(clock: &dyn Clock) -> Self {
        Self { began: clock.now(), since: Instant::now() }
    }

    /// What the clock showed when it was read.
    #[must_use]
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.began + self.since.elapsed()
    }

    /// How long it is until then; nothing where that has passed.
    #[must_use]
    pub fn until(&self, time: Timestamp) -> Duration {
        (time - self.now()).to_std().unwrap_or_default()
    }
}
