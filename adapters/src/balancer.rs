//! The shared balancers' configuration. Real: [`haproxy`]. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod haproxy;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use crate::cloud::Address;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// One balancer host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalancerHost {
    /// Its DNS name, which instances' CNAMEs point at.
    pub domain: String,
    /// How Ansible reaches it.
    pub address: Address,
    /// The host keys it may show.
    pub host_keys: Vec<String>,
    /// A second address that it listens on for visitors of this machine, if it does.
    pub also_listens: Option<SocketAddr>,
    /// The port that it listens on for TLS where it has certificates, if it may.
    pub https_port: Option<u16>,
}

/// The port for TLS beside that for HTTP: none where that is not the one that browsers take.
#[must_use]
pub fn https_port(address: &Address) -> Option<u16> {
    (address.http_port == 80).then_some(443)
}

/// What the bundled playbook that makes a host a balancer has to know: where it listens.
#[must_use]
pub fn install_variables(
    address: &Address,
    also_listens: &[SocketAddr],
    https_port: Option<u16>,
) -> Value {
    // A cloud's public address is seldom one of the machine's own; a loopback one is, and shared.
    let ip = address.ip;
    let listens_on = if ip.is_loopback() { ip.to_string() } else { "*".to_owned() };
    json!({
        "balancer_address": listens_on,
        "balancer_port": address.http_port,
        "balancer_also_listens": also_listens,
        "balancer_https_port": https_port,
    })
}

/// One instance's part of a balancer's configuration (infra §6.1–6.4).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fragment {
    /// File name on the balancer, unique per manager and instance.
    pub name: String,
    /// `backend …` blocks.
    pub configuration: String,
    /// `domain backend` lines.
    pub map: String,
}

impl Fragment {
    /// Tells contents apart: SHA-256 of configuration, a zero byte, and map, in hexadecimal. `None`
    /// for an empty one, which no balancer has.
    #[must_use]
    pub fn digest(&self) -> Option<String> {
        if self.configuration.trim().is_empty() && self.map.trim().is_empty() {
            return None;
        }
        let text = format!("{}\0{}", self.configuration, self.map);
        Some(Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// A balancer as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalancerState {
    /// What changes its configuration is not there yet.
    Unprepared,
    /// It is prepared.
    Prepared {
        /// Whether HAProxy is running, with the configuration that lies there.
        is_running: bool,
        /// The digest of each fragment by name, as [`Fragment::digest`]; another text for one that
        /// HAProxy does not serve as it lies there.
        fragments: BTreeMap<String, String>,
    },
}

/// Sends fragments to balancers. Every change is validated by HAProxy before it takes effect,
/// leaves running connections alone, and is wholly done or not at all.
#[async_trait]
pub trait LoadBalancer: Send + Sync + std::fmt::Debug {
    /// Looks at the host, and changes nothing.
    async fn read_balancer(&self, host: &BalancerHost) -> Result<BalancerState, PortError>;

    /// Makes the host a balancer that listens on its HTTP port, and brings it up, now and at each
    /// start of the host. Doing it again changes nothing, or mends what is amiss.
    async fn prepare_balancer(&self, host: &BalancerHost) -> Result<(), PortError>;

    /// Puts the fragment in place of the one of the same name, and waits until HAProxy serves it.
    /// An empty configuration and map removes it. Returns HAProxy's warnings, line by line.
    ///
    /// A host that is not prepared is, first. Permanent, with HAProxy's own text, when the fragment
    /// is invalid; nothing has changed then.
    async fn apply_fragment(
        &self,
        host: &BalancerHost,
        fragment: &Fragment,
    ) -> Result<Vec<String>, PortError>;

    /// The fragment of that name as the balancer has it; `None` when it has none.
    async fn read_fragment(
        &self,
        host: &BalancerHost,
        name: &str,
    ) -> Result<Option<Fragment>, PortError>;

    /// In one instant and without a reload: servers `to` of `backend` take all new requests,
    /// `from` only finish what they have.
    async fn switch_servers(
        &self,
        host: &BalancerHost,
        backend: &str,
        to: &[String],
        from: &[String],
    ) -> Result<(), PortError>;

    /// How many requests and connections the server still has.
    async fn count_connections(
        &self,
        host: &BalancerHost,
        backend: &str,
        server: &str,
    ) -> Result<u64, PortError>;
}

impl Answer for BalancerState {}
impl Answer for Fragment {}

guarded! { LoadBalancer {} {
    read_balancer(host: &BalancerHost) -> BalancerState, asks balancer(host);
    prepare_balancer(host: &BalancerHost) -> (), orders balancer(host);
    apply_fragment(host: &BalancerHost, fragment: &Fragment) -> Vec<String>, orders balancer(host);
    read_fragment(host: &BalancerHost, name: &str) -> Option<Fragment>, asks balancer(host);
    switch_servers(host: &BalancerHost, backend: &str, to: &[String], from: &[String]) -> (),
        orders balancer(host);
    count_connections(host: &BalancerHost, backend: &str, server: &str) -> u64, asks balancer(host);
}}

/// Each balancer is a provider.
fn balancer(host: &BalancerHost) -> Asked {
    Asked::Provider(format!("balancer {}", host.domain))
}
