//! A zone in memory that takes every name.

use crate::dns::{Dns, Lead, NameToSet, OwnName, TakenName, Target};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names and what they lead to.
#[derive(Debug, Default)]
pub struct FakeDns {
    /// What is to fail, by the names of the port's calls.
    pub faults: Faults,
    names: Mutex<Names>,
}

/// A zone in memory.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(pub(crate) BTreeMap<String, Target>);

impl Names {
    /// As [`Dns::set_names`].
    pub(crate) fn set(&mut self, names: &[NameToSet]) -> Vec<TakenName> {
        let mut taken = vec![];
        for NameToSet { name, target, formerly, .. } in names {
            match self.0.get(name) {
                Some(is) if is != target && !formerly.contains(is) => {
                    taken.push(TakenName { name: name.clone(), is: tell(is) });
                }
                _ => drop(self.0.insert(name.clone(), target.clone())),
            }
        }
        taken
    }

    /// As [`Dns::find_name`].
    pub(crate) fn find(&self, name: &OwnName) -> Lead {
        match self.0.get(&name.name) {
            None => Lead::Nowhere,
            Some(is) if name.targets.contains(is) => Lead::Ours(is.clone()),
            Some(is) => Lead::Foreign(tell(is)),
        }
    }

    /// As [`Dns::remove_names`].
    pub(crate) fn remove(&mut self, names: &[OwnName]) {
        for name in names {
            if matches!(self.find(name), Lead::Ours(_)) {
                self.0.remove(&name.name);
            }
        }
    }
}

fn tell(target: &Target) -> String {
    format!("{} {target}", target.record_type())
}

impl FakeDns {
    /// All names that are aliases, with what they stand for.
    #[must_use]
    pub fn aliases(&self) -> BTreeMap<String, String> {
        let names = self.lock();
        let aliases = names.0.iter().filter_map(|(name, target)| match target {
            Target::Name(target) => Some((name.clone(), target.clone())),
            Target::Address(_) => None,
        });
        aliases.collect()
    }

    /// All names that lead to machines, with their addresses.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<String, IpAddr> {
        let names = self.lock();
        let addresses = names.0.iter().filter_map(|(name, target)| match target {
            Target::Name(_) => None,
            Target::Address(ip) => Some((name.clone(), *ip)),
        });
        addresses.collect()
    }

    /// Somebody has a name lead elsewhere, or nowhere.
    pub fn change(&self, name: &str, target: Option<Target>) {
        let mut names = self.lock();
        match target {
            Some(target) => drop(names.0.insert(name.to_owned(), target)),
            None => drop(names.0.remove(name)),
        }
    }

    /// The names as they are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), names: Mutex::new(self.lock().clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Dns for FakeDns {
    fn may_point_at(&self, _: IpAddr) -> bool {
        true
    }

    async fn set_names(&self, names: &[NameToSet]) -> Result<Vec<TakenName>, PortError> {
        self.faults.before("set_names").await?;
        let taken = self.lock().set(names);
        self.faults.after("set_names")?;
        Ok(taken)
    }

    async fn find_name(&self, name: &OwnName) -> Result<Lead, PortError> {
        self.faults.before("find_name").await?;
        let lead = self.lock().find(name);
        self.faults.after("find_name")?;
        Ok(lead)
    }

    async fn find_names(&self, names: &[OwnName]) -> Result<Vec<Lead>, PortError> {
        self.faults.before("find_names").await?;
        let zone = self.lock().clone();
        self.faults.after("find_names")?;
        Ok(names.iter().map(|name| zone.find(name)).collect())
    }

    async fn remove_names(&self, names: &[OwnName]) -> Result<(), PortError> {
        self.faults.before("remove_names").await?;
        self.lock().remove(names);
        self.faults.after("remove_names")
    }

    async fn list_zones(&self) -> Result<Vec<String>, PortError> {
        self.faults.before("list_zones").await?;
        self.faults.after("list_zones")?;
        Ok(vec![])
    }
}
