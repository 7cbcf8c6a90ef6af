//! The leases of this node: one a run, renewed together, and the fence that they are.

use super::host::RunnerLimits;
use super::runner::Fence;
use crate::leases::{Claim, Leases, Tenure};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::PlantedBug;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;

/// What became of the wish to drive a run.
#[derive(Debug)]
pub enum Take {
    /// It is ours.
    Taken {
        /// The node and its epoch.
        tenure: Tenure,
        /// False where the node before did not release it.
        orderly: bool,
        /// Told once when it is not ours any more.
        lost: Arc<Notify>,
    },
    /// It is another node's, for that long unless it is renewed.
    Held {
        /// How long.
        ends_in: Duration,
    },
}

/// The leases that this node has. How long it has one is reckoned by its own monotonic clock, from
/// before it asked: so it never thinks so longer than the engine of the leases does.
#[derive(Debug)]
pub struct NodeLeases {
    leases: Arc<dyn Leases>,
    node: Uuid,
    ttl: Duration,
    margin: Duration,
    held: Mutex<BTreeMap<RunId, HeldLease>>,
}

#[derive(Debug)]
struct HeldLease {
    tenure: Tenure,
    until: Instant,
    lost: Arc<Notify>,
}

impl NodeLeases {
    /// No leases yet. `node` is this node's id alone, and nobody else is alive with it.
    #[must_use]
    pub fn new(leases: Arc<dyn Leases>, node: Uuid, limits: RunnerLimits) -> Self {
        let (mut ttl, margin) = (limits.lease_ttl, limits.lease_margin);
        if limits.planted.has(PlantedBug::LeaseNeverExpires) {
            ttl *= 1_000_000;
        }
        Self { leases, node, ttl, margin, held: Mutex::default() }
    }

    /// This node's id.
    #[must_use]
    pub fn node(&self) -> Uuid {
        self.node
    }

    /// How many runs this node holds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held().len()
    }

    /// Takes the lease of a run, if it can be had.
    ///
    /// # Errors
    /// When the engine of the leases does not answer.
    pub async fn take(&self, run: RunId) -> Result<Take, PortError> {
        let asked_at = Instant::now();
        match self.leases.acquire(run.0, self.node, self.ttl).await? {
            // Nobody's lease is longer; if it seems so, the engine's clock was set back meanwhile.
            Claim::Held { ends_in, .. } => Ok(Take::Held { ends_in: ends_in.min(self.ttl) }),
            Claim::Taken { tenure, orderly } => {
                let lost = Arc::new(Notify::new());
                let until = asked_at + self.ttl;
                self.held().insert(run, HeldLease { tenure, until, lost: Arc::clone(&lost) });
                Ok(Take::Taken { tenure, orderly, lost })
            }
        }
    }

    /// Lengthens all leases at once, and tells those who lost theirs.
    ///
    /// # Errors
    /// When the engine of the leases does not answer; whose time is up has lost it then.
    pub async fn renew_all(&self) -> Result<(), PortError> {
        let asked: Vec<(RunId, Tenure)> =
            self.held().iter().map(|(run, held)| (*run, held.tenure)).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let pairs: Vec<_> = asked.iter().map(|(run, tenure)| (run.0, tenure.epoch)).collect();
        let asked_at = Instant::now();
        let answer = self.leases.renew(self.node, &pairs, self.ttl).await;
        let mut all = self.held();
        for (run, tenure) in asked {
            let Some(held) = all.get_mut(&run).filter(|held| held.tenure == tenure) else {
                continue; // Released, or taken anew, in the meantime.
            };
            match &answer {
                Ok(renewed) if renewed.contains(&run.0) => held.until = asked_at + self.ttl,
                Err(_) if Instant::now() < held.until => {}
                Ok(_) | Err(_) => {
                    held.lost.notify_one();
                    all.remove(&run);
                }
            }
        }
        answer.map(|_| ())
    }

    /// Releases a lease, so that another node need not wait for its end.
    pub async fn release(&self, run: RunId) {
        let Some(held) = self.held().remove(&run) else { return };
        if let Err(error) = self.leases.release(run.0, held.tenure).await {
            tracing::warn!(%run, %error, "a lease was not released: it ends by itself");
        }
    }

    /// Ends the lease of a run that is over: nobody wants it any more.
    pub async fn end(&self, run: RunId) {
        let Some(held) = self.held().remove(&run) else { return };
        if let Err(error) = self.leases.end(run.0, held.tenure).await {
            tracing::warn!(%run, %error, "the lease of a run that is over stays in its table");
        }
    }

    /// Releases all leases, of whatever is still under way too: its end is looked up by whoever
    /// takes it up.
    pub async fn release_all(&self) {
        let runs: Vec<RunId> = self.held().keys().copied().collect();
        for run in runs {
            self.release(run).await;
        }
    }

    /// In how long the lease of a run ends unless it is renewed; none while nobody has it.
    ///
    /// # Errors
    /// When the engine of the leases does not answer.
    pub async fn held_for(&self, run: RunId) -> Result<Option<Duration>, PortError> {
        Ok(self.leases.holder(run.0).await?.map(|(_, ends_in)| ends_in.min(self.ttl)))
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<RunId, HeldLease>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fence for NodeLeases {
    fn holds(&self, run: RunId) -> bool {
        let until = self.held().get(&run).map(|held| held.until);
        until.is_some_and(|until| Instant::now() + self.margin < until)
    }
}
