//! The names of sites whose balancer and machines are simulated.

use crate::cloud::is_simulated;
use crate::dns::{Alias, Dns, HostAddress};
use crate::simulated::SimulatedRegion;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::IpAddr;

impl SimulatedRegion {
    /// What a name leads to, if it was ever written.
    #[must_use]
    pub fn alias(&self, name: &str) -> Option<String> {
        self.lock().aliases.get(name).cloned()
    }

    /// Whether a name leads anywhere: to another name, or to an address.
    #[must_use]
    pub fn has_name(&self, name: &str) -> bool {
        let state = self.lock();
        state.aliases.contains_key(name) || state.addresses.contains_key(name)
    }
}

#[async_trait]
impl Dns for SimulatedRegion {
    fn may_point_at(&self, address: IpAddr) -> bool {
        is_simulated(address)
    }

    async fn set_alias(&self, alias: &Alias) -> Result<(), PortError> {
        let call = self.act(&alias.name, "set_alias").await?;
        self.lock().aliases.insert(alias.name.clone(), alias.target.clone());
        call.end().await
    }

    async fn read_alias(&self, name: &str) -> Result<Option<String>, PortError> {
        self.act(name, "read_alias").await?.end().await?;
        Ok(self.alias(name))
    }

    async fn remove_alias(&self, name: &str) -> Result<(), PortError> {
        let call = self.act(name, "remove_alias").await?;
        self.lock().aliases.remove(name);
        call.end().await
    }

    async fn set_address(&self, address: &HostAddress) -> Result<(), PortError> {
        let call = self.act(&address.name, "set_address").await?;
        self.lock().addresses.insert(address.name.clone(), address.ip);
        call.end().await
    }

    async fn read_address(&self, name: &str) -> Result<Option<IpAddr>, PortError> {
        self.act(name, "read_address").await?.end().await?;
        Ok(self.lock().addresses.get(name).copied())
    }

    async fn remove_address(&self, name: &str) -> Result<(), PortError> {
        let call = self.act(name, "remove_address").await?;
        self.lock().addresses.remove(name);
        call.end().await
    }
}
