//! Whether this node is about to make another attempt at a balancer: no event, since it passes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether another attempt follows soon. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct BalancerAttempts(Arc<AtomicBool>);

impl BalancerAttempts {
    /// From now on it does, or not.
    pub fn note(&self, another_follows: bool) {
        self.0.store(another_follows, Ordering::Relaxed);
    }

    /// True where whoever needs a balancer should wait for the next attempt.
    #[must_use]
    pub fn another_follows(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
