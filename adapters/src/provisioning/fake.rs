//! Servers in memory that let everybody do everything.

use super::Provisioning;
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Service};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What each server has, by what the server is called and what the item is.
pub type Held = BTreeMap<(String, ItemId), Item>;

/// The servers.
#[derive(Debug, Default)]
pub struct FakeServers {
    /// What is to fail, by the names of the port's calls.
    pub faults: Faults,
    held: Mutex<Held>,
}

impl FakeServers {
    /// What all servers have.
    #[must_use]
    pub fn held(&self) -> Held {
        self.lock().clone()
    }

    /// Changes what they have, as somebody may do there.
    pub fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.lock());
    }

    /// What they have now, which goes its own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), held: Mutex::new(self.held()) }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provisioning for FakeServers {
    async fn ensure(&self, service: &Service, item: &Item) -> Result<(), PortError> {
        self.faults.before("ensure")?;
        self.lock().insert((service.to_string(), item.id()), item.clone());
        self.faults.after("ensure")
    }

    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError> {
        self.faults.before("find")?;
        let is_there = self.lock().contains_key(&(service.to_string(), id.clone()));
        self.faults.after("find")?;
        Ok(is_there)
    }

    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError> {
        self.faults.before("remove")?;
        self.lock().remove(&(service.to_string(), id.clone()));
        self.faults.after("remove")
    }

    async fn check(&self, _: &Service) -> Result<(), PortError> {
        self.faults.before("check")?;
        self.faults.after("check")
    }
}
