//! Hosts that no cloud of ours tells of. Real: [`finder`]. Tests: a map.

pub mod finder;

use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::IpAddr;

/// Finds hosts by their names.
#[async_trait]
pub trait Hosts: Send + Sync + std::fmt::Debug {
    /// Where a host is reached, addresses of version 4 first; nothing where there is no such name.
    async fn find_addresses(&self, domain: &str) -> Result<Vec<IpAddr>, PortError>;

    /// The SSH host keys that are shown there now (`ssh-ed25519 AAAA…`), whoever shows them.
    async fn read_host_keys(&self, ip: IpAddr, ssh_port: u16) -> Result<Vec<String>, PortError>;
}
