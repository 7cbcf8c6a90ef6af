//! Where servers of each kind are, and what their kinds have of their own.

use super::url::connection_url;
use crate::event::StreamId;
use crate::hosts::host_key;
use crate::ids::{MongodbServerId, MysqlServerId, NAMESPACE, RabbitmqServerId};
use crate::settings::Violation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Longest host, in characters.
pub const HOST_LENGTH_MAX: usize = 128;
/// Longest management URL, in characters.
pub const URL_LENGTH_MAX: usize = 200;
/// Most members of a replica set, as MongoDB has it.
pub const MEMBERS_MAX: usize = 50;

/// What a kind of shared servers is called.
pub trait Kind {
    /// The id of such a server.
    type Id: Copy + fmt::Display + fmt::Debug + FromStr + Eq + Ord + Send + Sync + Into<String>;
    /// The category of their streams.
    const CATEGORY: &'static str;
    /// What the kinds of their events begin with.
    const EVENT_PREFIX: &'static str;
    /// The kinds of their events.
    const KINDS: &'static [(&'static str, u16)];
    /// What people call one.
    const NOUN: &'static str;

    /// The id with this UUID.
    fn id(uuid: Uuid) -> Self::Id;
    /// The stream of the server with this id.
    fn stream(id: Self::Id) -> StreamId;
}

macro_rules! kinds {
    ($($address:ident = $id:ident, $category:literal, $noun:literal;)*) => {$(
        impl Kind for $address {
            type Id = $id;
            const CATEGORY: &'static str = $id::CATEGORY;
            const EVENT_PREFIX: &'static str = concat!($category, ".");
            const KINDS: &'static [(&'static str, u16)] = &[
                (concat!($category, ".registered"), 1),
                (concat!($category, ".registration_changed"), 1),
                (concat!($category, ".acceptance_changed"), 1),
                (concat!($category, ".client_admitted"), 1),
                (concat!($category, ".client_released"), 1),
                (concat!($category, ".retired"), 1),
            ];
            const NOUN: &'static str = $noun;

            fn id(uuid: Uuid) -> $id {
                $id(uuid)
            }

            fn stream(id: $id) -> StreamId {
                id.stream()
            }
        }
    )*};
}

kinds! {
    Mysql = MysqlServerId, "mysql_server", "MySQL server";
    Mongodb = MongodbServerId, "mongodb_server", "MongoDB server";
    Rabbitmq = RabbitmqServerId, "rabbitmq_server", "RabbitMQ server";
}

/// Where a server of one kind is.
pub trait Address:
    Kind + Serialize + DeserializeOwned + Clone + fmt::Debug + PartialEq + Eq + Send + Sync + 'static
{
    /// Whether nothing can be done there without an account and its password.
    const NEEDS_LOGIN: bool;
    /// The field that says what it is known by.
    const PLACE_FIELD: &'static str;

    /// The same, written as it is compared.
    #[must_use]
    fn normalized(self) -> Self;
    /// What it is known by: no other server of its kind has any of it. Normalized.
    fn places(&self) -> Vec<String>;
    /// What people call it where nobody gave it a name.
    fn default_name(&self) -> &str;
    /// Every rule that it breaks.
    fn check(&self) -> Vec<Violation>;
    /// Whether the same server may come to be known as `other`.
    fn may_become(&self, other: &Self) -> bool;
    /// How clients reach it, with these credentials; nothing is encoded.
    fn url(&self, username: &str, password: &str) -> String;

    /// The id of the server that is there: the same whoever asks.
    fn server_id(&self) -> Self::Id {
        let first = self.places().into_iter().min().unwrap_or_default();
        let name = format!("{}/{first}", Self::CATEGORY);
        Self::id(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }
}

/// A MySQL server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mysql {
    /// Its host; ≤ 128 characters, unique, fixed for life.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether Ocim speaks with it by TLS, and sees that it is the server it says it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls: bool,
}

impl Mysql {
    /// The port where nobody says another.
    pub const PORT: u16 = 3306;
}

impl Address for Mysql {
    const NEEDS_LOGIN: bool = false;
    const PLACE_FIELD: &'static str = "host";

    fn normalized(self) -> Self {
        Self { host: host_key(self.host.trim()), ..self }
    }

    fn places(&self) -> Vec<String> {
        vec![self.host.clone()]
    }

    fn default_name(&self) -> &str {
        &self.host
    }

    fn check(&self) -> Vec<Violation> {
        check_host("host", &self.host).into_iter().chain(check_port("port", self.port)).collect()
    }

    fn may_become(&self, other: &Self) -> bool {
        self.host == other.host
    }

    fn url(&self, username: &str, password: &str) -> String {
        connection_url(("mysql", Self::PORT), username, password, &self.host, self.port)
    }
}

/// A MongoDB deployment: one host, or a replica set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mongodb {
    /// Its hosts, each ≤ 128 characters and of no other deployment; one where it is no replica set.
    pub hosts: Vec<String>,
    /// The one of them that is written to.
    pub primary: String,
    /// The port of each.
    pub port: u16,
    /// The name of the replica set; ≤ 250 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica_set: Option<String>,
    /// Whether Ocim speaks with them by TLS, and sees that each is the host it says it is.
    #[serde(default, skip_serializing_if = "is_false")]
    pub tls: bool,
}

impl Mongodb {
    /// The port where nobody says another.
    pub const PORT: u16 = 27017;
}

impl Address for Mongodb {
    const NEEDS_LOGIN: bool = false;
    const PLACE_FIELD: &'static str = "hosts";

    fn normalized(self) -> Self {
        let normal = |host: &String| host_key(host.trim());
        Self {
            hosts: self.hosts.iter().map(normal).collect(),
            primary: normal(&self.primary),
            port: self.port,
            replica_set: self.replica_set.map(|name| name.trim().to_owned()),
            tls: self.tls,
        }
    }

    fn places(&self) -> Vec<String> {
        self.hosts.clone()
    }

    fn default_name(&self) -> &str {
        self.replica_set.as_deref().unwrap_or(&self.primary)
    }

    fn check(&self) -> Vec<Violation> {
        let mut broken = vec![];
        if !(1..=MEMBERS_MAX).contains(&self.hosts.len()) {
            broken.push(violation("hosts", format!("takes 1 to {MEMBERS_MAX} hosts")));
        }
        for (index, host) in self.hosts.iter().enumerate().take(MEMBERS_MAX) {
            broken.extend(check_host(&format!("hosts[{index}]"), host));
        }
        if self.hosts.iter().collect::<BTreeSet<_>>().len() != self.hosts.len() {
            broken.push(violation("hosts", "takes each host once"));
        }
        if !self.hosts.contains(&self.primary) {
            broken.push(violation("primary", "must be one of the hosts"));
        }
        match &self.replica_set {
            Some(name) => {
                broken.extend(check_text("replica_set", name, super::NAME_LENGTH_MAX, true));
            }
            None if self.hosts.len() > 1 => {
                broken
                    .push(violation("replica_set", "must be given where there are several hosts"));
            }
            None => {}
        }
        broken.extend(check_port("port", self.port));
        broken
    }

    fn may_become(&self, other: &Self) -> bool {
        // Members come and go; the deployment is the same as long as one of them stays.
        self.hosts.iter().any(|host| other.hosts.contains(host))
    }

    fn url(&self, username: &str, password: &str) -> String {
        connection_url(("mongodb", Self::PORT), username, password, &self.primary, self.port)
    }
}

/// A RabbitMQ server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rabbitmq {
    /// Its management API, without credentials; ≤ 200 characters, unique, fixed for life.
    pub api_url: String,
    /// The host that sites reach it by; ≤ 128 characters.
    pub instance_host: String,
    /// The port that sites reach it by (AMQPS).
    pub instance_port: u16,
}

impl Rabbitmq {
    /// The port of sites where nobody says another.
    pub const PORT: u16 = 5671;
}

impl Address for Rabbitmq {
    const NEEDS_LOGIN: bool = true;
    const PLACE_FIELD: &'static str = "api_url";

    fn normalized(self) -> Self {
        let url = self.api_url.trim().trim_end_matches('/');
        let api_url = match url.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (place, path) = rest.split_at(end);
                format!("{}://{}{path}", scheme.to_ascii_lowercase(), place.to_lowercase())
            }
            None => url.to_owned(),
        };
        Self { api_url, instance_host: host_key(self.instance_host.trim()), ..self }
    }

    fn places(&self) -> Vec<String> {
        vec![self.api_url.clone()]
    }

    fn default_name(&self) -> &str {
        &self.instance_host
    }

    fn check(&self) -> Vec<Violation> {
        let mut broken = vec![];
        broken.extend(check_text("api_url", &self.api_url, URL_LENGTH_MAX, true));
        if !is_api_url(&self.api_url) {
            let rule = "must be a URL like https://rabbitmq.example.com:15671, without user, query or \
                        fragment";
            broken.push(violation("api_url", rule));
        }
        broken.extend(check_host("instance_host", &self.instance_host));
        broken.extend(check_port("instance_port", self.instance_port));
        broken
    }

    fn may_become(&self, other: &Self) -> bool {
        self.api_url == other.api_url
    }

    fn url(&self, username: &str, password: &str) -> String {
        let scheme = ("amqps", Self::PORT);
        connection_url(scheme, username, password, &self.instance_host, self.instance_port)
    }
}

fn is_api_url(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let place = rest.split('/').next().unwrap_or_default();
        let is_odd = |c: char| c.is_whitespace() || c.is_control() || "@?#\\\"'<>".contains(c);
        !place.is_empty() && !place.starts_with(':') && !rest.contains(is_odd)
    })
}

/// What is in clear is recorded as it was when nothing else was known: not at all.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

fn violation(field: &str, rule: impl Into<String>) -> Violation {
    Violation { field: field.to_owned(), rule: rule.into() }
}

fn check_port(field: &str, port: u16) -> Option<Violation> {
    (port == 0).then(|| violation(field, "must be a port, 1 to 65535"))
}

/// A name or an address of a host, as it stands in configurations of databases and their clients.
fn check_host(field: &str, host: &str) -> Option<Violation> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let rule = if host.chars().count() > HOST_LENGTH_MAX {
        format!("takes at most {HOST_LENGTH_MAX} characters")
    } else if host.is_empty() || !host.chars().all(fits) || host.starts_with(['-', '.']) {
        "must be the name or the address of a host, without a port".to_owned()
    } else if host.contains(':') && host.parse::<std::net::Ipv6Addr>().is_err() {
        "must be a host without a port".to_owned()
    } else {
        return None;
    };
    Some(violation(field, rule))
}

/// A text of at most so many characters, on one line.
pub(super) fn check_text(
    field: &str,
    text: &str,
    longest: usize,
    is_needed: bool,
) -> Option<Violation> {
    if is_needed && text.trim().is_empty() {
        return Some(violation(field, "must not be blank"));
    }
    if text.chars().count() > longest {
        return Some(violation(field, format!("takes at most {longest} characters")));
    }
    text.contains(char::is_control).then(|| violation(field, "must be one line of text"))
}
