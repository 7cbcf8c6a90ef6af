//! The monitors of sites whose balancer and machines are simulated.

use super::{Monitor, Monitoring};
use crate::cloud::is_simulated;
use crate::simulated::SimulatedRegion;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::IpAddr;

impl SimulatedRegion {
    /// The pages that are watched, once for each monitor, sorted.
    #[must_use]
    pub fn monitored_urls(&self) -> Vec<String> {
        let state = self.lock();
        let mut urls: Vec<_> = state.monitors.by_id.values().map(|it| it.url.clone()).collect();
        urls.sort();
        urls
    }
}

#[async_trait]
impl Monitoring for SimulatedRegion {
    fn place(&self) -> String {
        "monitoring.invalid".to_owned()
    }

    fn may_watch(&self, address: IpAddr) -> bool {
        is_simulated(address)
    }

    async fn find_monitors(&self, names: &[String]) -> Result<Vec<Monitor>, PortError> {
        let key = names.first().map_or("", String::as_str);
        self.act(key, "find_monitors").await?.end().await?;
        Ok(self.lock().monitors.find(names))
    }

    async fn create_monitor(
        &self,
        name: &str,
        url: &str,
        is_muted: bool,
    ) -> Result<String, PortError> {
        let call = self.act(name, "create_monitor").await?;
        let id = self.lock().monitors.create(name, url, is_muted);
        call.end().await?;
        Ok(id)
    }

    async fn read_monitor(&self, id: &str) -> Result<Option<Monitor>, PortError> {
        self.act(id, "read_monitor").await?.end().await?;
        Ok(self.lock().monitors.read(id))
    }

    async fn mute_monitor(&self, id: &str, is_muted: bool) -> Result<(), PortError> {
        let call = self.act(id, "mute_monitor").await?;
        self.lock().monitors.need(id)?.is_muted = is_muted;
        call.end().await
    }

    async fn remove_monitor(&self, id: &str) -> Result<(), PortError> {
        let call = self.act(id, "remove_monitor").await?;
        self.lock().monitors.by_id.remove(id);
        call.end().await
    }

    async fn list_recipients(&self, id: &str) -> Result<Option<Vec<String>>, PortError> {
        self.act(id, "list_recipients").await?.end().await?;
        Ok(self.lock().monitors.recipients(id))
    }

    async fn add_recipients(&self, id: &str, addresses: &[String]) -> Result<(), PortError> {
        let call = self.act(id, "add_recipients").await?;
        self.lock().monitors.need(id)?.recipients.extend(addresses.iter().cloned());
        call.end().await
    }
}
