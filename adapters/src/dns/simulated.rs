//! The names of sites whose balancer and machines are simulated.

use crate::cloud::is_simulated;
use crate::dns::{Dns, Lead, NameToSet, OwnName, TakenName, Target};
use crate::simulated::SimulatedRegion;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::IpAddr;

impl SimulatedRegion {
    /// What a name stands for, if it was ever written.
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<String> {
        match self.lock().names.0.get(name) {
            Some(Target::Name(target)) => Some(target.clone()),
            Some(Target::Address(_)) | None => None,
        }
    }

    /// Whether a name leads anywhere: to another name, or to an address.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        self.lock().names.0.contains_key(name)
    }
}

#[async_trait]
impl Dns for SimulatedRegion {
    fn may_point_at(&self, address: IpAddr) -> bool {
        is_simulated(address)
    }

    async fn set_names(&self, names: &[NameToSet]) -> Result<Vec<TakenName>, PortError> {
        let Some(first) = names.first() else { return Ok(vec![]) };
        let call = self.act(&first.name, "set_names").await?;
        let taken = self.lock().names.set(names);
        call.end().await?;
        Ok(taken)
    }

    async fn find_name(&self, name: &OwnName) -> Result<Lead, PortError> {
        self.act(&name.name, "find_name").await?.end().await?;
        Ok(self.lock().names.find(name))
    }

    async fn find_names(&self, names: &[OwnName]) -> Result<Vec<Lead>, PortError> {
        let Some(first) = names.first() else { return Ok(vec![]) };
        self.act(&first.name, "find_names").await?.end().await?;
        let state = self.lock();
        Ok(names.iter().map(|name| state.names.find(name)).collect())
    }

    async fn remove_names(&self, names: &[OwnName]) -> Result<(), PortError> {
        let Some(first) = names.first() else { return Ok(()) };
        let call = self.act(&first.name, "remove_names").await?;
        self.lock().names.remove(names);
        call.end().await
    }

    async fn list_zones(&self) -> Result<Vec<String>, PortError> {
        Ok(vec![])
    }
}
