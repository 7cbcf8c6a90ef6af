//! Servers in memory that let everybody do everything.

use super::Provisioning;
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Ran, Script, Service};
use ocim_domain::saga::ErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// What each server has, by what the server is called and what the item is.
pub type Held = BTreeMap<(String, ItemId), Item>;

/// Those of these that a server has.
pub(super) fn among(held: &Held, service: &Service, ids: &[ItemId]) -> Vec<ItemId> {
    let name = service.to_string();
    let is_there = |id: &&ItemId| held.contains_key(&(name.clone(), (*id).clone()));
    ids.iter().filter(is_there).cloned().collect()
}

/// How far a script is that has begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptState {
    /// All of it ran, once.
    Done(Script),
    /// It broke off in the middle.
    BrokenOff,
}

/// The servers.
#[derive(Debug, Default)]
pub struct FakeServers {
    /// What is to fail, by the names of the port's calls, whichever server is asked.
    pub faults: Faults,
    /// What is to fail of those of MySQL alone, and so on.
    pub mysql: Faults,
    pub mongodb: Faults,
    pub rabbitmq: Faults,
    pub swift: Faults,
    held: Mutex<Held>,
    scripts: Mutex<BTreeMap<(String, Uuid), ScriptState>>,
    kept: Mutex<BTreeSet<ItemId>>,
}

impl FakeServers {
    /// What all servers have.
    #[must_use]
    pub fn held(&self) -> Held {
        self.lock().clone()
    }

    /// These are not let go from now on, and all others are.
    pub fn keep(&self, ids: impl IntoIterator<Item = ItemId>) {
        *self.kept() = ids.into_iter().collect();
    }

    /// Changes what they have, as somebody may do there.
    pub fn change(&self, change: impl FnOnce(&mut Held)) {
        change(&mut self.lock());
    }

    /// What they have now, which goes its own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            faults: self.faults.fork(),
            mysql: self.mysql.fork(),
            mongodb: self.mongodb.fork(),
            rabbitmq: self.rabbitmq.fork(),
            swift: self.swift.fork(),
            held: Mutex::new(self.held()),
            scripts: Mutex::new(self.lock_scripts().clone()),
            kept: Mutex::new(self.kept().clone()),
        }
    }

    /// What is to fail of the servers of one kind.
    fn of(&self, service: &Service) -> &Faults {
        match service {
            Service::Mysql(_) => &self.mysql,
            Service::Mongodb(_) => &self.mongodb,
            Service::Rabbitmq(_) => &self.rabbitmq,
            Service::Swift(_) => &self.swift,
        }
    }

    async fn before(&self, service: &Service, operation: &str) -> Result<(), PortError> {
        self.faults.before(operation).await?;
        self.of(service).before(operation).await
    }

    fn after(&self, service: &Service, operation: &str) -> Result<(), PortError> {
        self.faults.after(operation)?;
        self.of(service).after(operation)
    }

    /// The scripts that began, by server and key.
    #[must_use]
    pub fn scripts(&self) -> BTreeMap<(String, Uuid), ScriptState> {
        self.lock_scripts().clone()
    }

    /// As if a try of that script had broken off in the middle.
    pub fn break_script_off(&self, service: &str, key: Uuid) {
        self.lock_scripts().insert((service.to_owned(), key), ScriptState::BrokenOff);
    }

    fn lock_scripts(&self) -> MutexGuard<'_, BTreeMap<(String, Uuid), ScriptState>> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeSet<ItemId>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provisioning for FakeServers {
    /// Each item counts as a call, so that any of them may fail; those before it are there.
    async fn ensure(&self, service: &Service, items: &[Item]) -> Result<(), PortError> {
        for item in items {
            self.before(service, "ensure").await?;
            self.lock().insert((service.to_string(), item.id()), item.clone());
            self.after(service, "ensure")?;
        }
        Ok(())
    }

    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError> {
        self.before(service, "find").await?;
        let is_there = self.lock().contains_key(&(service.to_string(), id.clone()));
        self.after(service, "find")?;
        Ok(is_there)
    }

    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError> {
        self.before(service, "remove").await?;
        if self.kept().contains(id) {
            let message = format!("the {service} keeps the {} {}", id.kind, id.name);
            return Err(PortError::permanent(ErrorCode::SharedServerRefused, message));
        }
        self.lock().remove(&(service.to_string(), id.clone()));
        self.after(service, "remove")
    }

    async fn find_among(
        &self,
        service: &Service,
        ids: &[ItemId],
    ) -> Result<Vec<ItemId>, PortError> {
        self.before(service, "find_among").await?;
        let found = among(&self.lock(), service, ids);
        self.after(service, "find_among")?;
        Ok(found)
    }

    async fn check(&self, service: &Service) -> Result<(), PortError> {
        self.before(service, "check").await?;
        self.after(service, "check")
    }

    async fn run_script(&self, service: &Service, script: &Script) -> Result<Ran, PortError> {
        self.before(service, "run_script").await?;
        let ran = {
            let mut scripts = self.lock_scripts();
            let place = (service.to_string(), script.key);
            match scripts.get(&place) {
                None => {
                    scripts.insert(place, ScriptState::Done(script.clone()));
                    Ran::Now
                }
                Some(ScriptState::Done(_)) => Ran::Before,
                Some(ScriptState::BrokenOff) => {
                    let message = format!("{service}: the script {} broke off", script.key);
                    return Err(PortError::permanent(ErrorCode::SharedServerRefused, message));
                }
            }
        };
        self.after(service, "run_script")?;
        Ok(ran)
    }
}
