//! Steps that this node leaves alone for a while, e.g. because a circuit is open: not events, since they pass.

use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::saga::PutOff;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The steps that this node leaves alone, by run. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct PutOffs(Arc<Mutex<BTreeMap<(RunId, String), PutOff>>>);

impl PutOffs {
    /// The step is left alone; what has passed by now is forgotten.
    pub fn note(&self, run: RunId, step: &str, put_off: PutOff, now: Timestamp) {
        let mut all = self.lock();
        all.retain(|_, it| it.until > now);
        all.insert((run, step.to_owned()), put_off);
    }

    /// The steps of a run that are left alone now.
    #[must_use]
    pub fn of(&self, run: RunId, now: Timestamp) -> BTreeMap<String, PutOff> {
        let all = self.lock();
        let own = all.iter().filter(|((of, _), it)| *of == run && it.until > now);
        own.map(|((_, step), it)| (step.clone(), it.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(RunId, String), PutOff>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
