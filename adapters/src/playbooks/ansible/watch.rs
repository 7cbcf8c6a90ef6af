//! How long runs have gone on and been silent, by a clock that nobody can set.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// What this process has seen of the runs that it looks at. Times of files would not do: set the
/// clock forward, and every run seems to have been silent for long. A run of an earlier process counts
/// from the first look at it.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<BTreeMap<Uuid, Watch>>);

#[derive(Debug)]
struct Watch {
    since: Instant,
    heard_bytes: u64,
    heard_at: Instant,
}

/// How long a run has been what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spans {
    /// Since it began.
    pub(super) running: Duration,
    /// Since it has last printed anything, be it a part of a line.
    pub(super) silent: Duration,
}

impl Watches {
    /// Looks at a run that goes on, and of which so many bytes were heard by now.
    pub(super) fn look(&self, key: Uuid, heard_bytes: u64) -> Spans {
        let now = Instant::now();
        let mut all = self.lock();
        let watch = all.entry(key).or_insert(Watch { since: now, heard_bytes, heard_at: now });
        if watch.heard_bytes != heard_bytes {
            (watch.heard_bytes, watch.heard_at) = (heard_bytes, now);
        }
        Spans { running: now - watch.since, silent: now - watch.heard_at }
    }

    /// It has ended.
    pub(super) fn forget(&self, key: Uuid) {
        self.lock().remove(&key);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Uuid, Watch>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_begins_with_the_last_byte_and_a_run_with_the_first_look() {
        let (watches, run) = (Watches::default(), Uuid::from_u128(1));
        let spans = |running: u32, silent: u32| Spans {
            running: running * SECOND,
            silent: silent * SECOND,
        };
        assert_eq!(watches.look(run, 10), spans(0, 0), "whatever the files say");
        tokio::time::advance(5 * SECOND).await;
        assert_eq!(watches.look(run, 10), spans(5, 5));
        assert_eq!(watches.look(run, 11), spans(5, 0));
        tokio::time::advance(2 * SECOND).await;
        assert_eq!(watches.look(run, 11), spans(7, 2));
        assert_eq!(watches.look(Uuid::from_u128(2), 11), spans(0, 0));
        watches.forget(run);
        assert_eq!(watches.look(run, 11), spans(0, 0));
    }
}
