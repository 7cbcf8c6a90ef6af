//! Monitors in memory.

use super::{Monitor, Monitoring};
use crate::faults::Faults;
use async_trait::async_trait;
use ocim_domain::port_error::{Class, PortError};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeMonitor {
    /// What people call it.
    pub name: String,
    /// The page.
    pub url: String,
    /// Whether it writes to nobody for now.
    pub is_muted: bool,
    /// To whom it writes otherwise.
    pub recipients: BTreeSet<String>,
}

/// All of them, by id. No id comes twice.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeMonitors {
    pub(crate) by_id: BTreeMap<String, FakeMonitor>,
    made: u32,
}

impl FakeMonitors {
    pub(super) fn find(&self, names: &[String]) -> Vec<Monitor> {
        let found = self.by_id.iter().filter(|(_, monitor)| names.contains(&monitor.name));
        found.filter_map(|(id, _)| self.read(id)).collect()
    }

    pub(super) fn create(&mut self, name: &str, url: &str, is_muted: bool) -> String {
        self.made += 1;
        let id = format!("monitor-{}", self.made);
        let (name, url) = (name.to_owned(), url.to_owned());
        let monitor = FakeMonitor { name, url, is_muted, recipients: BTreeSet::new() };
        self.by_id.insert(id.clone(), monitor);
        id
    }

    pub(super) fn read(&self, id: &str) -> Option<Monitor> {
        let FakeMonitor { name, url, is_muted, .. } = self.by_id.get(id)?.clone();
        Some(Monitor { id: id.to_owned(), name, url, is_muted })
    }

    pub(super) fn recipients(&self, id: &str) -> Option<Vec<String>> {
        Some(self.by_id.get(id)?.recipients.iter().cloned().collect())
    }

    pub(super) fn need(&mut self, id: &str) -> Result<&mut FakeMonitor, PortError> {
        let absent = || PortError::new(Class::Conflict, format!("there is no monitor {id}"));
        self.by_id.get_mut(id).ok_or_else(absent)
    }
}

/// The service.
#[derive(Debug, Default)]
pub struct FakeMonitoring {
    /// What is to fail, by the names of the port's calls.
    pub faults: Faults,
    monitors: Mutex<FakeMonitors>,
}

impl FakeMonitoring {
    /// All monitors, by id.
    #[must_use]
    pub fn monitors(&self) -> BTreeMap<String, FakeMonitor> {
        self.lock().by_id.clone()
    }

    /// Changes all monitors, as somebody may do at the service.
    pub fn change(&self, change: impl FnOnce(&mut BTreeMap<String, FakeMonitor>)) {
        change(&mut self.lock().by_id);
    }

    /// The monitors as they are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), monitors: Mutex::new(self.lock().clone()) }
    }

    fn lock(&self) -> MutexGuard<'_, FakeMonitors> {
        self.monitors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Monitoring for FakeMonitoring {
    fn place(&self) -> String {
        "monitoring.example.net".to_owned()
    }

    fn may_watch(&self, _: IpAddr) -> bool {
        true
    }

    async fn find_monitors(&self, names: &[String]) -> Result<Vec<Monitor>, PortError> {
        self.faults.before("find_monitors").await?;
        let found = self.lock().find(names);
        self.faults.after("find_monitors")?;
        Ok(found)
    }

    async fn create_monitor(
        &self,
        name: &str,
        url: &str,
        is_muted: bool,
    ) -> Result<String, PortError> {
        self.faults.before("create_monitor").await?;
        let id = self.lock().create(name, url, is_muted);
        self.faults.after("create_monitor")?;
        Ok(id)
    }

    async fn read_monitor(&self, id: &str) -> Result<Option<Monitor>, PortError> {
        self.faults.before("read_monitor").await?;
        let found = self.lock().read(id);
        self.faults.after("read_monitor")?;
        Ok(found)
    }

    async fn mute_monitor(&self, id: &str, is_muted: bool) -> Result<(), PortError> {
        self.faults.before("mute_monitor").await?;
        self.lock().need(id)?.is_muted = is_muted;
        self.faults.after("mute_monitor")
    }

    async fn remove_monitor(&self, id: &str) -> Result<(), PortError> {
        self.faults.before("remove_monitor").await?;
        self.lock().by_id.remove(id);
        self.faults.after("remove_monitor")
    }

    async fn list_recipients(&self, id: &str) -> Result<Option<Vec<String>>, PortError> {
        self.faults.before("list_recipients").await?;
        let found = self.lock().recipients(id);
        self.faults.after("list_recipients")?;
        Ok(found)
    }

    async fn add_recipients(&self, id: &str, addresses: &[String]) -> Result<(), PortError> {
        self.faults.before("add_recipients").await?;
        self.lock().need(id)?.recipients.extend(addresses.iter().cloned());
        self.faults.after("add_recipients")
    }
}
