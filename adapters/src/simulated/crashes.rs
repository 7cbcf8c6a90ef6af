//! Deaths of the process, by seed: before and after effects and appends.

use super::dice::Dice;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// Decides where the process "dies": the call never returns, and who waits for it is told.
#[derive(Debug)]
pub struct Crashes {
    dice: Dice,
    probability: f64,
    visits: Mutex<BTreeMap<(String, &'static str), u32>>,
    count: AtomicU64,
    crashed: Notify,
}

impl Crashes {
    /// Deaths with this probability at every point.
    #[must_use]
    pub fn new(seed: u64, probability: f64) -> Self {
        Self {
            dice: Dice::new(seed),
            probability,
            visits: Mutex::default(),
            count: AtomicU64::new(0),
            crashed: Notify::new(),
        }
    }

    /// No death at all.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0, 0.0)
    }

    /// A point where the process may die: then this never returns.
    pub async fn pass(&self, key: &str, point: &'static str) {
        if self.probability <= 0.0 {
            return;
        }
        let nth = {
            let mut visits = self.visits.lock().unwrap_or_else(PoisonError::into_inner);
            let visits = visits.entry((key.to_owned(), point)).or_default();
            *visits += 1;
            *visits
        };
        if self.dice.happens(self.probability, key, point, nth) {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.crashed.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the process "died".
    pub async fn crash(&self) {
        self.crashed.notified().await;
    }

    /// How often it died.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}
