//! Which balancers this node is about to make another attempt at: no events, since they pass.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The balancers that another attempt follows for soon, by domain. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct BalancerAttempts(Arc<Mutex<BTreeSet<String>>>);

impl BalancerAttempts {
    /// From now on another attempt at this balancer follows, or none.
    pub fn note(&self, domain: &str, another_follows: bool) {
        if another_follows {
            self.lock().insert(domain.to_owned());
        } else {
            self.lock().remove(domain);
        }
    }

    /// True where whoever needs a balancer should wait for the next attempt at one.
    #[must_use]
    pub fn another_follows(&self) -> bool {
        !self.lock().is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_there_says_nothing_of_another() {
        let attempts = BalancerAttempts::default();
        attempts.note("one", true);
        attempts.note("other", true);
        attempts.note("one", false);
        assert!(attempts.another_follows());
        attempts.note("other", false);
        assert!(!attempts.another_follows());
    }
}
