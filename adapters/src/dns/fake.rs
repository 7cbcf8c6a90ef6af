//! A zone in memory that takes every name.

use crate::dns::{Alias, Dns};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names and what they stand for.
#[derive(Debug, Default)]
pub struct FakeDns {
    /// What is to fail: `set_alias`, `read_alias`, `remove_alias`.
    pub faults: Faults,
    aliases: Mutex<BTreeMap<String, String>>,
}

impl FakeDns {
    /// All names, with their targets.
    #[must_use]
    pub fn aliases(&self) -> BTreeMap<String, String> {
        self.lock().clone()
    }

    /// The names as they are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), aliases: Mutex::new(self.aliases()) }
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
}
