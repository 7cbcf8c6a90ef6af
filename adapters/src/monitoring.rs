//! Who watches sites from outside, and writes to people when one is down. Real: [`new_relic`]. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod new_relic;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::IpAddr;

/// What asks one page from time to time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitor {
    /// What the service calls it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The page.
    pub url: String,
    /// Whether it writes to nobody for now.
    pub is_muted: bool,
}

/// A service that watches pages.
#[async_trait]
pub trait Monitoring: Send + Sync + std::fmt::Debug {
    /// The host name of the service.
    fn place(&self) -> String;

    /// Whether it can reach sites behind a balancer of that address.
    fn may_watch(&self, address: IpAddr) -> bool;

    /// The monitors of these names. Costs more, the more monitors there are.
    async fn find_monitors(&self, names: &[String]) -> Result<Vec<Monitor>, PortError>;

    /// Makes a monitor of a page, and gives its id. Each call makes one: look for its name first.
    async fn create_monitor(
        &self,
        name: &str,
        url: &str,
        is_muted: bool,
    ) -> Result<String, PortError>;

    /// The monitor of that id; `None` where there is none.
    async fn read_monitor(&self, id: &str) -> Result<Option<Monitor>, PortError>;

    /// Has it write to nobody, or again. One that somebody has switched off stays so.
    async fn mute_monitor(&self, id: &str, is_muted: bool) -> Result<(), PortError>;

    /// Takes it away. Absent is success.
    async fn remove_monitor(&self, id: &str) -> Result<(), PortError>;

    /// The addresses that the monitor of that id writes to; `None` where there is none.
    async fn list_recipients(&self, id: &str) -> Result<Option<Vec<String>>, PortError>;

    /// Has it write to these addresses, too, which it did not write to before. No error tells them.
    async fn add_recipients(&self, id: &str, addresses: &[String]) -> Result<(), PortError>;
}

impl Answer for Monitor {
    fn made_storable(self) -> Self {
        let (id, name) = (self.id.made_storable(), self.name.made_storable());
        Self { id, name, url: self.url.made_storable(), is_muted: self.is_muted }
    }
}

guarded! { Monitoring {
    place() -> String;
    may_watch(address: IpAddr) -> bool;
} {
    find_monitors(names: &[String]) -> Vec<Monitor>, asks Asked::Own;
    create_monitor(name: &str, url: &str, is_muted: bool) -> String, orders Asked::Own;
    read_monitor(id: &str) -> Option<Monitor>, asks Asked::Own;
    mute_monitor(id: &str, is_muted: bool) -> (), orders Asked::Own;
    remove_monitor(id: &str) -> (), orders Asked::Own;
    list_recipients(id: &str) -> Option<Vec<String>>, asks Asked::Own;
    add_recipients(id: &str, addresses: &[String]) -> (), orders Asked::Own;
}}
