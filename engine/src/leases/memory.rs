//! Leases in memory: for runners of one process.

use crate::leases::{Claim, Leases, Tenure};
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::port_error::PortError;
use ocim_domain::system::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The end of a lease that was released.
const GIVEN_BACK: Timestamp = Timestamp::MIN_UTC;

/// Leases by the given clock. Clones are the same leases.
#[derive(Debug, Clone)]
pub struct MemoryLeases {
    clock: Arc<dyn Clock>,
    rows: Arc<Mutex<BTreeMap<Uuid, (Tenure, Timestamp)>>>,
}

impl MemoryLeases {
    /// No leases yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, rows: Arc::default() }
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Uuid, (Tenure, Timestamp)>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left until then; none when it has passed.
    fn left(&self, ends_at: Timestamp) -> Option<Duration> {
        (ends_at - self.clock.now()).to_std().ok().filter(|left| !left.is_zero())
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn acquire(
        &self,
        resource: Uuid,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Claim, PortError> {
        let mut rows = self.rows();
        let former = rows.get(&resource).copied();
        if let Some((by, ends_at)) = former
            && by.owner != owner
            && let Some(ends_in) = self.left(ends_at)
        {
            return Ok(Claim::Held { by, ends_in });
        }
        let epoch = former.map_or(1, |(tenure, _)| tenure.epoch + 1);
        let orderly = former.is_none_or(|(_, ends_at)| ends_at == GIVEN_BACK);
        let tenure = Tenure { owner, epoch };
        rows.insert(resource, (tenure, self.clock.now() + ttl));
        Ok(Claim::Taken { tenure, orderly })
    }

    async fn renew(
        &self,
        owner: Uuid,
        leases: &[(Uuid, u64)],
        ttl: Duration,
    ) -> Result<BTreeSet<Uuid>, PortError> {
        let mut rows = self.rows();
        let mut renewed = BTreeSet::new();
        for (resource, epoch) in leases {
            let tenure = Tenure { owner, epoch: *epoch };
            if let Some((by, ends_at)) = rows.get_mut(resource)
                && *by == tenure
                && self.left(*ends_at).is_some()
            {
                *ends_at = self.clock.now() + ttl;
                renewed.insert(*resource);
            }
        }
        Ok(renewed)
    }

    async fn release(&self, resource: Uuid, tenure: Tenure) -> Result<(), PortError> {
        if let Some((by, ends_at)) = self.rows().get_mut(&resource)
            && *by == tenure
        {
            *ends_at = GIVEN_BACK;
        }
        Ok(())
    }

    async fn end(&self, resource: Uuid, tenure: Tenure) -> Result<(), PortError> {
        let mut rows = self.rows();
        if rows.get(&resource).is_some_and(|(by, _)| *by == tenure) {
            rows.remove(&resource);
        }
        Ok(())
    }

    async fn holder(&self, resource: Uuid) -> Result<Option<(Tenure, Duration)>, PortError> {
        let row = self.rows().get(&resource).copied();
        Ok(row.and_then(|(tenure, ends_at)| Some((tenure, self.left(ends_at)?))))
    }
}
