//! What sites have on servers that they share. Real: [`servers`]. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod servers;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Ran, Script, Service};
use ocim_domain::text::make_recordable;

/// Makes, finds and removes what sites have on servers of all kinds.
#[async_trait]
pub trait Provisioning: Send + Sync + std::fmt::Debug {
    /// Makes the items in their order, or brings those that are there in line: their passwords, and what they
    /// may do. All of them are one call, and over one connection: a site has two dozen on one server. Where
    /// it fails, any of them may be as they are to be; asking again is safe.
    async fn ensure(&self, service: &Service, items: &[Item]) -> Result<(), PortError>;

    /// Whether it is there: only what the server itself says is an answer.
    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError>;

    /// Removes it with all that it has. Absent is success.
    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError>;

    /// Those of these that are there, in their order.
    async fn find_among(&self, service: &Service, ids: &[ItemId])
    -> Result<Vec<ItemId>, PortError>;

    /// Whether the account that administers the server may do all of this; the error says what is wrong.
    async fn check(&self, service: &Service) -> Result<(), PortError>;

    /// Runs SQL in a database of a MySQL server: all of it and once, however often it is asked for. What
    /// an earlier try has left half done is an error that no further try mends.
    async fn run_script(&self, service: &Service, script: &Script) -> Result<Ran, PortError>;
}

impl Answer for ItemId {
    fn made_storable(self) -> Self {
        Self { name: make_recordable(&self.name), ..self }
    }
}

guarded! { Provisioning {} {
    ensure(service: &Service, items: &[Item]) -> (), orders asked(service);
    find(service: &Service, id: &ItemId) -> bool, asks asked(service);
    remove(service: &Service, id: &ItemId) -> (), orders asked(service);
    find_among(service: &Service, ids: &[ItemId]) -> Vec<ItemId>, asks asked(service);
    check(service: &Service) -> (), asks asked(service);
    run_script(service: &Service, script: &Script) -> Ran, orders asked(service);
}}

/// Each server is a provider of its own.
fn asked(service: &Service) -> Asked {
    Asked::Provider(service.to_string())
}
