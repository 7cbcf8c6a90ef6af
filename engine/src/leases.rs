//! Who may drive what, and for how long. Real: [`postgres`]. Tests: [`memory`].

pub mod memory;
pub mod postgres;

use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// A lease that somebody took: who, and a number that grows each time that anybody takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenure {
    /// The node.
    pub owner: Uuid,
    /// Grows with each taking, so that an earlier tenure of the same node is not this one.
    pub epoch: u64,
}

/// What became of the wish for a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is the node's, from now on for the time that it asked for.
    Taken {
        /// Its tenure.
        tenure: Tenure,
        /// False where whoever had it before did not release it.
        orderly: bool,
    },
    /// It is another's.
    Held {
        /// Whose.
        by: Tenure,
        /// When it ends unless it is renewed.
        ends_in: Duration,
    },
}

/// Leases on things known by UUID: at most one node has one at a time. The time is the engine's
/// own, so that the nodes' clocks may differ.
#[async_trait]
pub trait Leases: Send + Sync + std::fmt::Debug {
    /// Takes a lease that nobody has, that has ended, or that `owner` itself took: a node is alone
    /// with its id, so its earlier tenure is one of a process that died.
    async fn acquire(&self, resource: Uuid, owner: Uuid, ttl: Duration)
    -> Result<Claim, PortError>;

    /// Lengthens those of the leases that are still the node's, resource and epoch each; returns
    /// which.
    async fn renew(
        &self,
        owner: Uuid,
        leases: &[(Uuid, u64)],
        ttl: Duration,
    ) -> Result<BTreeSet<Uuid>, PortError>;

    /// Ends a lease at once; silent when it is not that tenure's any more.
    async fn release(&self, resource: Uuid, tenure: Tenure) -> Result<(), PortError>;

    /// As [`Leases::release`], of what nobody will want any more: nothing is kept of it.
    async fn end(&self, resource: Uuid, tenure: Tenure) -> Result<(), PortError>;

    /// Who has the lease, and for how long at most; none when it is free or has ended.
    async fn holder(&self, resource: Uuid) -> Result<Option<(Tenure, Duration)>, PortError>;
}
