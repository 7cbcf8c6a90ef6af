//! The times by which this node drives runs: not the clock's, which may have been set since.

use ocim_domain::ids::RunId;
use ocim_engine::sagas::steady::SteadyTime;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The runs that this node drives, each with its time. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Drives(Arc<Mutex<BTreeMap<RunId, SteadyTime>>>);

impl Drives {
    /// From now on the run is driven by this time, or by nobody here.
    pub fn note(&self, run: RunId, time: Option<SteadyTime>) {
        let mut all = self.lock();
        match time {
            Some(time) => drop(all.insert(run, time)),
            None => drop(all.remove(&run)),
        }
    }

    /// The time by which the run is driven here.
    #[must_use]
    pub fn of(&self, run: RunId) -> Option<SteadyTime> {
        self.lock().get(&run).copied()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, SteadyTime>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
