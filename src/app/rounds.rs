//! What this node does again and again at short intervals, and how it went last: not events, since they pass.

use ocim_domain::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Something that is done at intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    /// About how often.
    pub every: Duration,
    /// When it was done last; none before the first time.
    pub last: Option<Timestamp>,
    /// Why that went wrong, if it did.
    pub error: Option<String>,
}

/// The rounds of this node, by name. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Rounds(Arc<Mutex<BTreeMap<String, Round>>>);

impl Rounds {
    /// It will be done about so often.
    pub fn begin(&self, name: &str, every: Duration) {
        let round = Round { every, last: None, error: None };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), round);
    }

    /// It was done, and this went wrong, if anything.
    pub fn note(&self, name: &str, now: Timestamp, error: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(round) = all.get_mut(name) {
            round.last = Some(now);
            round.error = error;
        }
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(String, Round)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(name, round)| (name.clone(), round.clone())).collect()
    }
}
