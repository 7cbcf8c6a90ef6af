//! Security groups at Neutron (core §8.3): the first one is ours, with the rules that machines need and no
//! others; the rest belong to others, and are only looked for.

use super::OpenStackCloud;
use super::answers::refused;
use super::api::{Call, Service};
use super::pages::list_all;
use ocim_domain::port_error::{Class, PortError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// What ours says of itself, as it always has.
const DESCRIPTION: &str =
    "Security group for Open EdX AppServers. Managed automatically by OpenCraft IM.";

/// What is let in from anywhere: protocol, first port, last port. SSH, the site, Consul's gossip, and the
/// exporter of figures.
const LET_IN: [(&str, u16, u16); 6] = [
    ("tcp", 22, 22),
    ("tcp", 80, 80),
    ("tcp", 443, 443),
    ("tcp", 8300, 8302),
    ("udp", 8300, 8302),
    ("tcp", 19100, 19100),
];

/// A rule, as Neutron writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Rule {
    direction: String,
    #[serde(rename = "ethertype", alias = "ether_type")]
    ether_type: String,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    port_range_min: Option<u16>,
    #[serde(default)]
    port_range_max: Option<u16>,
    #[serde(default)]
    remote_ip_prefix: Option<String>,
    #[serde(default)]
    remote_group_id: Option<String>,
    /// Never in ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    remote_address_group_id: Option<String>,
}

/// A rule that is there.
#[derive(Debug, Clone, Deserialize)]
struct KnownRule {
    id: String,
    #[serde(flatten)]
    rule: Rule,
}

#[derive(Debug, Clone, Deserialize)]
struct Group {
    id: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    security_group_rules: Vec<KnownRule>,
}

#[derive(Deserialize)]
struct One {
    security_group: Group,
}

impl Rule {
    fn anywhere(direction: &str, ether_type: &str, protocol: Option<&str>) -> Self {
        let prefix = if ether_type == "IPv6" { "::/0" } else { "0.0.0.0/0" };
        Self {
            direction: direction.to_owned(),
            ether_type: ether_type.to_owned(),
            protocol: protocol.map(str::to_owned),
            port_range_min: None,
            port_range_max: None,
            remote_ip_prefix: Some(prefix.to_owned()),
            remote_group_id: None,
            remote_address_group_id: None,
        }
    }

    /// The same rule as every Neutron writes it: it has several words for a protocol, and none or two for
    /// "from anywhere".
    fn normalized(&self) -> Self {
        let is_ipv6 = self.ether_type.eq_ignore_ascii_case("IPv6");
        let protocol = self.protocol.as_deref().map(str::to_lowercase);
        let protocol = protocol.filter(|it| !matches!(it.as_str(), "any" | "0"));
        let protocol = protocol.map(|protocol| match protocol.as_str() {
            "6" => "tcp".to_owned(),
            "17" => "udp".to_owned(),
            "icmp" | "1" | "icmpv6" | "58" | "ipv6-icmp" if is_ipv6 => "ipv6-icmp".to_owned(),
            "1" => "icmp".to_owned(),
            _ => protocol,
        });
        let prefix = self.remote_ip_prefix.clone();
        Self {
            protocol,
            remote_ip_prefix: prefix.filter(|it| !matches!(it.as_str(), "0.0.0.0/0" | "::/0")),
            ..self.clone()
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = self.protocol.as_deref().unwrap_or("any");
        write!(f, "{} {} {protocol}", self.direction, self.ether_type)?;
        match (self.port_range_min, self.port_range_max) {
            (Some(first), Some(last)) if first != last => write!(f, " {first}-{last}"),
            (Some(port), _) => write!(f, " {port}"),
            (None, _) => Ok(()),
        }
    }
}

/// The rules that ours has.
fn wanted_rules() -> Vec<Rule> {
    let ports = |(protocol, first, last): &(&str, u16, u16)| Rule {
        port_range_min: Some(*first),
        port_range_max: Some(*last),
        ..Rule::anywhere("ingress", "IPv4", Some(protocol))
    };
    let others = [
        Rule::anywhere("egress", "IPv4", None),
        Rule::anywhere("egress", "IPv6", None),
        Rule::anywhere("ingress", "IPv4", Some("icmp")),
        Rule::anywhere("ingress", "IPv6", Some("icmp")),
    ];
    others.into_iter().chain(LET_IN.iter().map(ports)).collect()
}

/// What differs: the ids of rules that go, in order, and the rules that come. One that is there twice goes once.
fn compare(known: &[KnownRule], wanted: &[Rule]) -> (Vec<String>, Vec<Rule>) {
    let mut missing = wanted.to_vec();
    let mut surplus = vec![];
    for rule in known {
        let same = |it: &Rule| it.normalized() == rule.rule.normalized();
        match missing.iter().position(same) {
            Some(at) => drop(missing.remove(at)),
            None => surplus.push(rule.id.clone()),
        }
    }
    (surplus, missing)
}

impl OpenStackCloud {
    /// Has our group with its rules; permanent where one of the others is not there.
    pub(super) async fn ensure_groups(&self, names: &[String]) -> Result<(), PortError> {
        let Some((ours, others)) = names.split_first() else { return Ok(()) };
        let _one_at_a_time = self.group_lock.lock().await;
        let group = match self.find_group(ours).await? {
            Some(group) => group,
            None => self.make_group(ours).await?,
        };
        if group.description != DESCRIPTION {
            let body = json!({"security_group": { "description": DESCRIPTION }});
            let call = Call::put(Service::Network, &["security-groups", &group.id], body);
            self.api.fetch(call).await?;
        }
        self.sync_rules(&group).await?;
        for name in others {
            if self.find_group(name).await?.is_none() {
                return Err(refused(format!(
                    "there is no security group `{name}`: make it, or take it out of the instance's \
                     additional_security_groups"
                )));
            }
        }
        Ok(())
    }

    /// Whether all are there.
    pub(super) async fn are_there(&self, names: &[String]) -> Result<bool, PortError> {
        for name in names {
            if self.find_group(name).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The group with that name; permanent where there are several.
    async fn find_group(&self, name: &str) -> Result<Option<Group>, PortError> {
        match &self.list_groups(name).await?[..] {
            [] => Ok(None),
            [group] => Ok(Some(group.clone())),
            several => {
                let ids: Vec<&str> = several.iter().map(|group| group.id.as_str()).collect();
                let ids = ids.join(", ");
                Err(refused(format!(
                    "several security groups are called `{name}`: {ids}; leave one"
                )))
            }
        }
    }

    /// The groups with that name, in the order of their ids.
    async fn list_groups(&self, name: &str) -> Result<Vec<Group>, PortError> {
        let call = Call::get(Service::Network, &["security-groups"]).with_query("name", name);
        let all = list_all(&self.api, call, "security_groups").await?;
        let read = |group: Value| {
            serde_json::from_value::<Group>(group).map_err(|error| {
                PortError::transient(format!("Neutron lists what is no security group: {error}"))
            })
        };
        let mut groups: Vec<Group> = all.into_iter().map(read).collect::<Result<_, _>>()?;
        groups.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(groups)
    }

    /// Makes our group. Another node may do so at the same time: of two, the same one stays for both.
    async fn make_group(&self, name: &str) -> Result<Group, PortError> {
        let body = json!({"security_group": { "name": name, "description": DESCRIPTION }});
        let call = Call::post(Service::Network, &["security-groups"], body);
        let made = self.api.fetch(call).await?.read::<One>()?.security_group;
        let first = self.list_groups(name).await?.into_iter().next();
        match first {
            Some(first) if first.id != made.id => {
                let call = Call::delete(Service::Network, &["security-groups", &made.id]);
                self.api.find(call).await?;
                Ok(first)
            }
            _ => Ok(made),
        }
    }

    async fn sync_rules(&self, group: &Group) -> Result<(), PortError> {
        let (surplus, missing) = compare(&group.security_group_rules, &wanted_rules());
        for id in &surplus {
            tracing::info!(group = group.id, rule = id, "a rule goes that is none of ours");
            let call = Call::delete(Service::Network, &["security-group-rules", id]);
            self.api.find(call).await?;
        }
        for rule in missing {
            tracing::info!(group = group.id, %rule, "a rule comes that was not there");
            let mut body = serde_json::to_value(&rule).unwrap_or_default();
            if let Some(members) = body.as_object_mut() {
                members.insert("security_group_id".to_owned(), json!(group.id));
            }
            let body = json!({ "security_group_rule": body });
            let call = Call::post(Service::Network, &["security-group-rules"], body);
            match self.api.fetch(call).await {
                Ok(_) => {}
                // It is there already: somebody was quicker, or an answer was lost.
                Err(error) if error.class == Class::Conflict && error.code.is_none() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the original did, case by case.
    const VECTORS: &str = include_str!("../../../../tests/vectors/security_groups.json");

    fn vectors() -> Value {
        serde_json::from_str(VECTORS).unwrap()
    }

    fn read<T: for<'a> Deserialize<'a>>(value: &Value) -> T {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn the_rules_are_those_that_machines_always_had() {
        let theirs: Vec<Rule> = read(&vectors()["default_rules"]);
        let ours = wanted_rules();
        assert_eq!(ours.len(), theirs.len());
        for rule in theirs {
            assert!(ours.contains(&rule), "{rule:?}");
        }
    }

    #[test]
    fn rules_come_and_go_as_they_did_in_the_original() {
        let cases = vectors()["sync"].as_array().unwrap().clone();
        assert!(cases.len() >= 3);
        for case in cases {
            let wanted: Vec<Rule> = read(&case["wanted"]);
            let (surplus, missing) = compare(&read::<Vec<KnownRule>>(&case["remote"]), &wanted);
            let created: Vec<Rule> = read(&case["created_unordered"]);
            assert_eq!(surplus, read::<Vec<String>>(&case["deleted_ids_in_order"]), "{case}");
            assert_eq!(missing.len(), created.len(), "{case}");
            assert!(created.iter().all(|rule| missing.contains(rule)), "{case}");
        }
    }

    #[test]
    fn neutron_may_write_the_same_rule_in_other_words() {
        let known = |rule: Value| {
            let mut rule = rule;
            rule["id"] = json!("r");
            vec![read::<KnownRule>(&rule)]
        };
        let same = [
            json!({"direction": "egress", "ethertype": "IPv6", "protocol": "any"}),
            json!({"direction": "ingress", "ethertype": "IPv6", "protocol": "ipv6-icmp",
                "remote_ip_prefix": "::/0"}),
            json!({"direction": "ingress", "ethertype": "IPv4", "protocol": "6",
                "port_range_min": 443, "port_range_max": 443}),
        ];
        for rule in same {
            let (surplus, missing) = compare(&known(rule.clone()), &wanted_rules());
            assert_eq!((surplus.len(), missing.len()), (0, wanted_rules().len() - 1), "{rule}");
        }
        let other = json!({"direction": "egress", "ethertype": "IPv4",
            "remote_address_group_id": "somebody's"});
        assert_eq!(compare(&known(other), &wanted_rules()).0, ["r"]);
    }
}
