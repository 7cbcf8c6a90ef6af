//! Names of the sites in the DNS. Real: none yet. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use std::net::IpAddr;

/// How long resolvers may keep a record, in seconds (infra §7.2).
pub const TTL_SECONDS: u32 = 1200;

/// A name that is another one's alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The name, without a dot at its end.
    pub name: String,
    /// What it stands for, without a dot at its end.
    pub target: String,
    /// How long resolvers may keep it, in seconds.
    pub ttl_seconds: u32,
}

/// A name that leads to one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAddress {
    /// The name, without a dot at its end.
    pub name: String,
    /// The machine's address.
    pub ip: IpAddr,
    /// How long resolvers may keep it, in seconds.
    pub ttl_seconds: u32,
}

/// Writes records into the zones that are ours.
#[async_trait]
pub trait Dns: Send + Sync + std::fmt::Debug {
    /// Whether names may be pointed at a balancer or machine of that address from here.
    fn may_point_at(&self, address: IpAddr) -> bool;

    /// From then on the name is this alias and nothing else; setting it again changes nothing.
    ///
    /// Permanent, with the name, when it belongs to no zone of ours.
    async fn set_alias(&self, alias: &Alias) -> Result<(), PortError>;

    /// What the name is an alias of; `None` where it is none.
    async fn read_alias(&self, name: &str) -> Result<Option<String>, PortError>;

    /// Removes the alias. Absent is success.
    async fn remove_alias(&self, name: &str) -> Result<(), PortError>;

    /// From then on the name leads to this address and nowhere else; setting it again changes nothing.
    ///
    /// Permanent, with the name, when it belongs to no zone of ours.
    async fn set_address(&self, address: &HostAddress) -> Result<(), PortError>;

    /// Which address the name leads to; `None` where it leads to none.
    async fn read_address(&self, name: &str) -> Result<Option<IpAddr>, PortError>;

    /// Removes the address. Absent is success.
    async fn remove_address(&self, name: &str) -> Result<(), PortError>;
}

impl Answer for IpAddr {}

guarded! { Dns {
    may_point_at(address: IpAddr) -> bool;
} {
    set_alias(alias: &Alias) -> (), orders Asked::Own;
    read_alias(name: &str) -> Option<String>, asks Asked::Own;
    remove_alias(name: &str) -> (), orders Asked::Own;
    set_address(address: &HostAddress) -> (), orders Asked::Own;
    read_address(name: &str) -> Option<IpAddr>, asks Asked::Own;
    remove_address(name: &str) -> (), orders Asked::Own;
}}
