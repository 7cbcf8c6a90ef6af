//! When this node last looked at each region, and what came of it: not events, since they pass.

use ocim_domain::Timestamp;
use ocim_domain::right::ReadScope;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The last look at one region.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastLook {
    /// When it last answered.
    pub last_seen_at: Option<Timestamp>,
    /// Why it did not answer when it was last asked.
    pub error: Option<String>,
    /// Machines with our mark, when it last answered.
    pub machines: usize,
}

/// The last looks of this node, by region. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct LastLooks(Arc<Mutex<BTreeMap<String, LastLook>>>);

impl LastLooks {
    /// The region answered: it has so many machines.
    pub fn note_answer(&self, region: &str, machines: usize, now: Timestamp) {
        let look = LastLook { last_seen_at: Some(now), error: None, machines };
        self.lock().insert(region.to_owned(), look);
    }

    /// The region did not answer.
    pub fn note_silence(&self, region: &str, error: &str) {
        self.lock().entry(region.to_owned()).or_default().error = Some(error.to_owned());
    }

    /// What is known of a region to somebody who may read so much; nothing before the first look.
    #[must_use]
    pub fn of(&self, region: &str, scope: ReadScope) -> LastLook {
        let ReadScope::Everything = scope;
        self.lock().get(region).cloned().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, LastLook>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
