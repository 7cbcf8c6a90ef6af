//! A zone in memory that takes every name.

use crate::dns::{Alias, Dns, HostAddress};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names and what they stand for.
#[derive(Debug, Default)]
pub struct FakeDns {
    /// What is to fail, by the names of the port's calls.
    pub faults: Faults,
    aliases: Mutex<BTreeMap<String, String>>,
    addresses: Mutex<BTreeMap<String, IpAddr>>,
}

impl FakeDns {
    /// All names, with their targets.
    #[must_use]
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// All names that lead to machines, with their addresses.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<String, IpAddr> {
        self.lock_addresses().clone()
    }

    /// The names as they are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        let addresses = Mutex::new(self.addresses());
        Self { faults: self.faults.fork(), aliases: Mutex::new(self.aliases()), addresses }
    }

    fn lock_addresses(&self) -> MutexGuard<'_, BTreeMap<String, IpAddr>> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.aliases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Dns for FakeDns {
    fn may_point_at(&self, _: IpAddr) -> bool {
        true
    }

    async fn set_alias(&self, alias: &Alias) -> Result<(), PortError> {
        self.faults.before("set_alias")?;
        self.lock().insert(alias.name.clone(), alias.target.clone());
        self.faults.after("set_alias")
    }

    async fn read_alias(&self, name: &str) -> Result<Option<String>, PortError> {
        self.faults.before("read_alias")?;
        let target = self.lock().get(name).cloned();
        self.faults.after("read_alias")?;
        Ok(target)
    }

    async fn remove_alias(&self, name: &str) -> Result<(), PortError> {
        self.faults.before("remove_alias")?;
        self.lock().remove(name);
        self.faults.after("remove_alias")
    }

    async fn set_address(&self, address: &HostAddress) -> Result<(), PortError> {
        self.faults.before("set_address")?;
        self.lock_addresses().insert(address.name.clone(), address.ip);
        self.faults.after("set_address")
    }

    async fn read_address(&self, name: &str) -> Result<Option<IpAddr>, PortError> {
        self.faults.before("read_address")?;
        let ip = self.lock_addresses().get(name).copied();
        self.faults.after("read_address")?;
        Ok(ip)
    }

    async fn remove_address(&self, name: &str) -> Result<(), PortError> {
        self.faults.before("remove_address")?;
        self.lock_addresses().remove(name);
        self.faults.after("remove_address")
    }
}
