//! Virtual machines. Real: [`local`], [`openstack`]. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod local;
pub mod openstack;
pub mod selector;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::port_error::PortError;
use ocim_domain::text::make_recordable;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;
use uuid::Uuid;

/// The upper half of simulated machines' addresses, `100::/64`: by RFC 6666, packets that are sent
/// there by mistake lead nowhere.
pub const SIMULATED_PREFIX: u64 = 0x0100_0000_0000_0000;

/// Whether an address is one of a simulated machine.
#[must_use]
pub fn is_simulated(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if (ip.to_bits() >> 64) as u64 == SIMULATED_PREFIX)
}

/// What machine is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineSpec {
    /// The same for all attempts of one create: asking twice yields one machine, tagged with it.
    pub key: Uuid,
    /// Name shown by the cloud.
    pub name: String,
    /// Flavor selector, e.g. `{"ram": 4096, "disk": 40}`.
    pub flavor: Value,
    /// Image selector.
    pub image: Value,
    /// Key pair; blank for none.
    pub keyname: String,
    /// Names of security groups.
    pub security_groups: Vec<String>,
}

/// What a cloud says a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Being built.
    Building,
    /// Up, or booting.
    Active,
    /// Stopped.
    Shutoff,
    /// The cloud gave up on it.
    Error,
    /// It is there, and its cloud can't tell what it does.
    Unknown,
}

/// Where to reach a machine. Ports are part of the answer: nobody may assume 22 or 80.
pub use ocim_domain::server::ServerAddress as Address;

/// A machine as its cloud reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The cloud's own id.
    pub id: String,
    /// The key it was made with, if it is one of ours.
    pub key: Option<Uuid>,
    /// Name shown by the cloud.
    pub name: String,
    /// What it is doing.
    pub power: Power,
    /// The fault's text when `power` is [`Power::Error`] or [`Power::Unknown`].
    pub fault: Option<String>,
    /// Where to reach it, once known.
    pub address: Option<Address>,
    /// Its SSH host keys (`ssh-ed25519 AAAA…`), once its console log shows them.
    pub host_keys: Vec<String>,
    /// When it was made, where the cloud tells.
    #[serde(default)]
    pub made_at: Option<Timestamp>,
}

impl Machine {
    /// The same, with all that the cloud and the machine say of themselves fit to be stored.
    #[must_use]
    pub fn made_storable(self) -> Self {
        let mend = |text: String| make_recordable(&text);
        Self {
            id: mend(self.id),
            name: mend(self.name),
            fault: self.fault.map(mend),
            host_keys: self.host_keys.into_iter().map(mend).collect(),
            ..self
        }
    }
}

/// A floating address that bears our mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FloatingAddress {
    /// The cloud's own id.
    pub id: String,
    /// The address itself.
    pub address: String,
    /// The cloud's id of the machine that it was lent for.
    pub machine: String,
    /// When it was lent, where the cloud tells.
    pub made_at: Option<Timestamp>,
}

/// How much of something a cloud lets us have, and what one more machine takes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// What it is of, with its unit, e.g. `instances`, `RAM in MiB`.
    pub of: String,
    /// How much is in use.
    pub used: u64,
    /// How much there may be; `None` where there is no limit.
    pub limit: Option<u64>,
    /// How much one more machine takes.
    pub needed: u64,
}

impl Quota {
    /// Whether there is room for one more machine.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.used.saturating_add(self.needed) <= limit)
    }
}

/// One region of a cloud.
#[async_trait]
pub trait Cloud: Send + Sync + std::fmt::Debug {
    /// Why this cloud has no security groups, if it has none.
    fn lacks_security_groups(&self) -> Option<&'static str>;

    /// Checks that the security groups exist, and makes the first one, which is ours (core §8.3).
    async fn ensure_security_groups(&self, names: &[String]) -> Result<(), PortError>;

    /// Whether all these security groups exist.
    async fn find_security_groups(&self, names: &[String]) -> Result<bool, PortError>;

    /// Looks whether each selector fits exactly one flavor and one image; nothing is made.
    ///
    /// Permanent where it fits none, or several.
    async fn check_selectors(&self, flavor: &Value, image: &Value) -> Result<(), PortError>;

    /// The quotas that a machine of this flavor counts for; none where the cloud has no such thing.
    async fn read_quotas(&self, flavor: &Value) -> Result<Vec<Quota>, PortError>;

    /// Makes the machine, or finds the one made before with the same key.
    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError>;

    /// The machine made with `key`, if it exists (in whatever state).
    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError>;

    /// The machine with the cloud's own id; `None` when the cloud says that it does not exist.
    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError>;

    /// Restarts it in an orderly way. Returns once the request is taken.
    async fn reboot_machine(&self, id: &str) -> Result<(), PortError>;

    /// Stops it in an orderly way, then removes it with all that ran in it. Absent is success.
    async fn delete_machine(&self, id: &str) -> Result<(), PortError>;

    /// What it printed on its console, the last 64 KiB.
    async fn read_console(&self, id: &str) -> Result<String, PortError>;

    /// Every machine in the region that bears our mark.
    async fn list_machines(&self) -> Result<Vec<Machine>, PortError>;

    /// Every floating address in the region that bears our mark; none where there are no such addresses.
    async fn list_floating_addresses(&self) -> Result<Vec<FloatingAddress>, PortError>;

    /// Gives a floating address back that bears our mark. Absent is success.
    async fn release_floating_address(&self, id: &str) -> Result<(), PortError>;

    /// Whether a balancer at this address can reach the region's machines.
    fn is_reachable_from(&self, balancer: IpAddr) -> bool;
}

impl Answer for Quota {
    fn made_storable(self) -> Self {
        Self { of: make_recordable(&self.of), ..self }
    }
}

impl Answer for FloatingAddress {
    fn made_storable(self) -> Self {
        let mend = |text: String| make_recordable(&text);
        let (id, address, machine) = (mend(self.id), mend(self.address), mend(self.machine));
        Self { id, address, machine, ..self }
    }
}

impl Answer for Machine {
    fn made_storable(self) -> Self {
        Self::made_storable(self)
    }
}

guarded! { Cloud {
    lacks_security_groups() -> Option<&'static str>;
    is_reachable_from(balancer: IpAddr) -> bool;
} {
    ensure_security_groups(names: &[String]) -> (), orders Asked::Own;
    find_security_groups(names: &[String]) -> bool, asks Asked::Own;
    check_selectors(flavor: &Value, image: &Value) -> (), asks Asked::Own;
    read_quotas(flavor: &Value) -> Vec<Quota>, asks Asked::Own;
    create_machine(spec: &MachineSpec) -> Machine, orders Asked::Own;
    find_machine(key: Uuid) -> Option<Machine>, asks Asked::Own;
    read_machine(id: &str) -> Option<Machine>, asks Asked::Own;
    reboot_machine(id: &str) -> (), orders Asked::Own;
    delete_machine(id: &str) -> (), orders Asked::Own;
    read_console(id: &str) -> String, asks Asked::Own;
    list_machines() -> Vec<Machine>, asks Asked::Own;
    list_floating_addresses() -> Vec<FloatingAddress>, asks Asked::Own;
    release_floating_address(id: &str) -> (), orders Asked::Own;
}}
