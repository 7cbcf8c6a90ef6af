//! A server as Nova tells of it, and the machine that it is to us.

use super::host_keys;
use crate::cloud::{Address, Machine, Power};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use uuid::Uuid;

/// Metadata of our servers: the key that it was made with, the region by our name, and whose it is.
pub(super) const KEY: &str = "ocim_key";
pub(super) const REGION: &str = "ocim_region";
pub(super) const OWNER: &str = "ocim_owner";

/// Where machines listen.
pub(super) const SSH_PORT: u16 = 22;
const HTTP_PORT: u16 = 80;

/// A server, as far as we read it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Server {
    pub(super) id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    pub(super) status: String,
    #[serde(default)]
    pub(super) metadata: BTreeMap<String, String>,
    /// Addresses by the name of their network.
    #[serde(default)]
    addresses: Map<String, Value>,
    #[serde(default)]
    fault: Option<Fault>,
    #[serde(default)]
    pub(super) created: Option<DateTime<Utc>>,
    #[serde(default)]
    pub(super) updated: Option<DateTime<Utc>>,
    #[serde(default, rename = "OS-EXT-STS:task_state")]
    pub(super) task_state: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Fault {
    #[serde(default)]
    message: String,
}

/// Which address of a server is used, and as whom one logs in there.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    /// The network whose address is used; of all the first one where none is named.
    pub(super) network: Option<String>,
    /// Whether only a floating address will do.
    pub(super) is_floating: bool,
    pub(super) ssh_user: String,
}

impl Server {
    /// The key that it was made with, if it is one of ours.
    pub(super) fn key(&self) -> Option<Uuid> {
        Uuid::try_parse(self.metadata.get(KEY)?).ok()
    }

    /// Whether it was made by that owner for that region.
    pub(super) fn bears_mark(&self, owner: &str, region: &str) -> bool {
        let has = |name: &str, value: &str| self.metadata.get(name).is_some_and(|it| it == value);
        self.metadata.contains_key(KEY) && has(OWNER, owner) && has(REGION, region)
    }

    /// Nova still tells of some that are gone.
    pub(super) fn is_gone(&self) -> bool {
        self.status == "DELETED"
    }

    pub(super) fn is_deleting(&self) -> bool {
        let task = self.task_state.as_deref();
        matches!(task, Some("deleting" | "soft-deleting")) || self.status == "SOFT_DELETED"
    }

    pub(super) fn power(&self) -> Power {
        match self.status.as_str() {
            "BUILD" | "REBUILD" => Power::Building,
            "ACTIVE" | "REBOOT" | "HARD_REBOOT" | "PASSWORD" | "MIGRATING" | "RESIZE"
            | "VERIFY_RESIZE" | "REVERT_RESIZE" => Power::Active,
            "SHUTOFF" | "PAUSED" | "SUSPENDED" | "SHELVED" | "SHELVED_OFFLOADED"
            | "SOFT_DELETED" => Power::Shutoff,
            "ERROR" => Power::Error,
            _ => Power::Unknown,
        }
    }

    /// The first address of version 4 that will do.
    pub(super) fn ip(&self, reached: &Reached) -> Option<IpAddr> {
        let networks = self.addresses.iter().filter(|(name, _)| {
            let wanted = reached.network.as_ref().filter(|_| !reached.is_floating);
            // It may be told by its id, which Nova does not show here.
            wanted.is_none_or(|wanted| wanted == *name || !self.addresses.contains_key(wanted))
        });
        let all = networks.filter_map(|(_, addresses)| addresses.as_array()).flatten();
        let mut found = all.filter_map(|address| {
            let kind = address.get("OS-EXT-IPS:type").and_then(Value::as_str);
            if reached.is_floating && kind != Some("floating") {
                return None;
            }
            let ip: Ipv4Addr = address.get("addr")?.as_str()?.parse().ok()?;
            Some(IpAddr::V4(ip))
        });
        found.next()
    }

    pub(super) fn describe(&self, reached: &Reached) -> Machine {
        let power = self.power();
        let fault = self.fault.as_ref().map(|fault| fault.message.trim().to_owned());
        let fault = match power {
            Power::Error => {
                Some(fault.filter(|it| !it.is_empty()).unwrap_or("Nova gives no reason".to_owned()))
            }
            Power::Unknown => Some(format!("Nova says {}", self.status)),
            Power::Building | Power::Active | Power::Shutoff => None,
        };
        let address = self.ip(reached).map(|ip| Address {
            ip,
            ssh_port: SSH_PORT,
            http_port: HTTP_PORT,
            ssh_user: reached.ssh_user.clone(),
            may_become_root: true,
        });
        Machine {
            id: self.id.clone(),
            key: self.key(),
            name: self.name.clone(),
            power,
            fault,
            address,
            host_keys: host_keys::pinned(&self.metadata),
            made_at: self.created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn server(status: &str, addresses: &Value) -> Server {
        serde_json::from_value(json!({
            "id": "s", "name": "edxapp", "status": status, "addresses": addresses,
            "metadata": {"ocim_key": Uuid::from_u128(7).to_string(), "ocim_region": "north",
                "ocim_owner": "stage"},
            "created": "2026-11-28T09:00:00Z", "updated": "2026-11-28T09:00:01Z",
            "OS-EXT-STS:task_state": null,
        }))
        .unwrap()
    }

    fn reached(network: Option<&str>, is_floating: bool) -> Reached {
        Reached { network: network.map(str::to_owned), is_floating, ssh_user: "ubuntu".to_owned() }
    }

    #[test]
    fn the_first_address_of_version_4_is_the_one_unless_another_is_wanted() {
        let addresses = json!({
            "inner": [
                {"addr": "2001:db8::1", "version": 6, "OS-EXT-IPS:type": "fixed"},
                {"addr": "10.0.0.7", "version": 4, "OS-EXT-IPS:type": "fixed"},
                {"addr": "192.0.2.7", "version": 4, "OS-EXT-IPS:type": "floating"},
            ],
            "outer": [{"addr": "198.51.100.7", "version": 4, "OS-EXT-IPS:type": "fixed"}],
        });
        let server = server("ACTIVE", &addresses);
        let ip = |network, is_floating| {
            server.ip(&reached(network, is_floating)).map(|ip| ip.to_string())
        };
        assert_eq!(ip(None, false).as_deref(), Some("10.0.0.7"));
        assert_eq!(ip(Some("outer"), false).as_deref(), Some("198.51.100.7"));
        assert_eq!(ip(Some("an-id"), false).as_deref(), Some("10.0.0.7"));
        assert_eq!(ip(Some("outer"), true).as_deref(), Some("192.0.2.7"));
        assert_eq!(self::server("BUILD", &json!({})).ip(&reached(None, false)), None);
    }

    #[test]
    fn each_status_is_one_power_and_tells_why() {
        let power = |status: &str| server(status, &json!({})).power();
        assert_eq!(power("BUILD"), Power::Building);
        assert_eq!(power("REBOOT"), Power::Active);
        assert_eq!(power("SHELVED_OFFLOADED"), Power::Shutoff);
        assert_eq!(power("RESCUE"), Power::Unknown);
        let described = server("RESCUE", &json!({})).describe(&reached(None, false));
        assert_eq!(described.fault.as_deref(), Some("Nova says RESCUE"));
        let described = server("ERROR", &json!({})).describe(&reached(None, false));
        assert_eq!(described.fault.as_deref(), Some("Nova gives no reason"));
        assert_eq!(described.key, Some(Uuid::from_u128(7)));
    }

    #[test]
    fn a_mark_is_of_one_owner_and_one_region() {
        let server = server("ACTIVE", &json!({}));
        assert!(server.bears_mark("stage", "north"));
        assert!(!server.bears_mark("live", "north"));
        assert!(!server.bears_mark("stage", "south"));
    }
}
