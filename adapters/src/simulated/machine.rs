//! A simulated machine: what it is at any time follows from what was decided when it was made.

use crate::cloud::{Address, Machine, MachineSpec, Power, SIMULATED_PREFIX};
use ocim_domain::Timestamp;
use std::net::{IpAddr, Ipv6Addr};
use uuid::Uuid;

/// Begins the ids of machines; the key follows.
const ID_PREFIX: &str = "sim-";

/// A machine, and its future.
#[derive(Debug)]
pub(crate) struct SimulatedMachine {
    pub(crate) key: Uuid,
    pub(crate) name: String,
    pub(crate) ip: IpAddr,
    /// How often it was made; more than once is Ocim's fault.
    pub(crate) created: u32,
    /// When the cloud says that it is active.
    pub(crate) active_at: Timestamp,
    /// When its sshd answers first, if ever.
    pub(crate) ssh_at: Option<Timestamp>,
    /// When it goes into error, and what the cloud says then.
    pub(crate) fails_at: Option<(Timestamp, &'static str)>,
    /// When it disappears by itself.
    pub(crate) vanishes_at: Option<Timestamp>,
    /// When a deletion that was asked for is done.
    pub(crate) deleted_at: Option<Timestamp>,
    pub(crate) boots: u32,
    /// When it is back from its last reboot.
    pub(crate) back_at: Timestamp,
    /// The Appserver whose site it serves, once it is configured.
    pub(crate) site: Option<String>,
}

impl SimulatedMachine {
    pub(crate) fn exists(&self, now: Timestamp) -> bool {
        let is_past = |time: Option<Timestamp>| time.is_some_and(|time| time <= now);
        !is_past(self.deleted_at) && !is_past(self.vanishes_at)
    }

    /// The first moment at which nothing runs in it any more, if there is one.
    pub(crate) fn dies_at(&self) -> Option<Timestamp> {
        let fails_at = self.fails_at.map(|(time, _)| time);
        [self.deleted_at, self.vanishes_at, fails_at].into_iter().flatten().min()
    }

    /// Whether programs in it answer.
    pub(crate) fn is_up(&self, now: Timestamp) -> bool {
        self.dies_at().is_none_or(|time| now < time)
            && self.ssh_at.is_some_and(|time| time <= now)
            && self.back_at <= now
    }

    fn power(&self, now: Timestamp) -> Power {
        if self.fails_at.is_some_and(|(time, _)| time <= now) {
            Power::Error
        } else if now < self.active_at {
            Power::Building
        } else {
            Power::Active
        }
    }

    /// What the cloud says of it.
    pub(crate) fn report(&self, now: Timestamp) -> Option<Machine> {
        if !self.exists(now) {
            return None;
        }
        let power = self.power(now);
        let is_active = power == Power::Active;
        let fault = self.fails_at.filter(|_| power == Power::Error);
        Some(Machine {
            id: machine_id(self.key),
            key: Some(self.key),
            name: self.name.clone(),
            power,
            fault: fault.map(|(_, text)| text.to_owned()),
            address: is_active.then(|| self.address()),
            host_keys: if is_active { vec![self.host_key()] } else { vec![] },
            made_at: None,
        })
    }

    pub(crate) fn host_key(&self) -> String {
        format!("ssh-ed25519 SIMULATED{}", self.key.simple())
    }

    pub(crate) fn boot_id(&self) -> Uuid {
        Uuid::new_v5(&self.key, &self.boots.to_be_bytes())
    }

    fn address(&self) -> Address {
        Address {
            ip: self.ip,
            ssh_port: 22,
            http_port: 80,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: true,
        }
    }
}

/// A machine that is made now and has no future yet.
pub(crate) fn new_machine(spec: &MachineSpec, now: Timestamp) -> SimulatedMachine {
    SimulatedMachine {
        key: spec.key,
        name: spec.name.clone(),
        ip: machine_ip(spec.key),
        created: 1,
        active_at: now,
        ssh_at: Some(now),
        fails_at: None,
        vanishes_at: None,
        deleted_at: None,
        boots: 1,
        back_at: now,
        site: None,
    }
}

/// The cloud's id of the machine with that key.
pub(crate) fn machine_id(key: Uuid) -> String {
    format!("{ID_PREFIX}{}", key.simple())
}

/// The key in a machine's id.
pub(crate) fn machine_key(id: &str) -> Option<Uuid> {
    Uuid::parse_str(id.strip_prefix(ID_PREFIX)?).ok()
}

/// Where a machine is reached: its key's bits below a prefix that leads nowhere.
fn machine_ip(key: Uuid) -> IpAddr {
    let (high, low) = key.as_u64_pair();
    let bits = u128::from(SIMULATED_PREFIX) << 64 | u128::from(high ^ low);
    IpAddr::V6(Ipv6Addr::from_bits(bits))
}
