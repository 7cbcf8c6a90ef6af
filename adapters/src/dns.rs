//! Names of the sites in the DNS. Real: [`rfc2136`], [`gandi`]. Tests: [`fake`], [`simulated`].

pub mod fake;
pub mod gandi;
pub mod rfc2136;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::make_storable;
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// How long resolvers may keep a record, in seconds (infra §7.2).
pub const TTL_SECONDS: u32 = 1200;

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Another name, whose alias it is: without a dot at its end.
    Name(String),
    /// A machine.
    Address(IpAddr),
}

impl Target {
    /// The type of the record that says so.
    #[must_use]
    pub fn record_type(&self) -> &'static str {
        match self {
            Self::Name(_) => "CNAME",
            Self::Address(IpAddr::V4(_)) => "A",
            Self::Address(IpAddr::V6(_)) => "AAAA",
        }
    }

    /// Whether both lead to the same; the DNS does not tell upper case from lower case.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => wire_name(one) == wire_name(other),
            _ => self == other,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(ip) => ip.fmt(f),
        }
    }
}

impl FromStr for Target {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Address))
    }
}

/// A name that is to lead somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameToSet {
    /// The name, without a dot at its end.
    pub name: String,
    /// What it is to lead to.
    pub target: Target,
    /// What we may have written before: that gives way. Whatever else is there is somebody else's.
    pub formerly: Vec<Target>,
    /// How long resolvers may keep it, in seconds.
    pub ttl_seconds: u32,
}

/// A name that we wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnName {
    /// The name, without a dot at its end.
    pub name: String,
    /// What we wrote, or may have written.
    pub targets: Vec<Target>,
}

/// Where a name leads by what its zone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lead {
    /// Nowhere.
    Nowhere,
    /// There, as we wrote it.
    Ours(Target),
    /// By somebody else's doing, as people read it: `CNAME elsewhere.example.com`.
    Foreign(String),
}

/// A name that was left as somebody else has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenName {
    /// The name, as it was asked for.
    pub name: String,
    /// What it is there, as people read it: `CNAME elsewhere.example.com`.
    pub is: String,
}

/// Writes records into the zones that are ours.
#[async_trait]
pub trait Dns: Send + Sync + std::fmt::Debug {
    /// Whether names may be pointed at a balancer or machine of that address from here.
    fn may_point_at(&self, address: IpAddr) -> bool;

    /// From then on each name leads to its target and nowhere else; setting it again changes nothing. Those
    /// of one zone change together where the service can do that. Gives the names that are somebody
    /// else's, which stay as they are.
    ///
    /// Permanent, with the name, when one belongs to no zone of ours: then nothing is written.
    async fn set_names(&self, names: &[NameToSet]) -> Result<Vec<TakenName>, PortError>;

    /// Where a name leads.
    async fn find_name(&self, name: &OwnName) -> Result<Lead, PortError>;

    /// Where each of several names leads, in their order.
    async fn find_names(&self, names: &[OwnName]) -> Result<Vec<Lead>, PortError>;

    /// Removes the names as far as they are as we wrote them; what somebody else has there stays. Absent
    /// is success.
    async fn remove_names(&self, names: &[OwnName]) -> Result<(), PortError>;

    /// The zones that names are written into. Whether we are let is tried where that can be without a
    /// change, as at a DNS server; an account's are those that it has.
    async fn list_zones(&self) -> Result<Vec<String>, PortError>;
}

impl Answer for Lead {
    fn made_storable(self) -> Self {
        match self {
            Self::Foreign(is) => Self::Foreign(make_storable(&is).into_owned()),
            other => other,
        }
    }
}

impl Answer for TakenName {
    fn made_storable(self) -> Self {
        Self { is: make_storable(&self.is).into_owned(), ..self }
    }
}

guarded! { Dns {
    may_point_at(address: IpAddr) -> bool;
} {
    set_names(names: &[NameToSet]) -> Vec<TakenName>, orders Asked::Own;
    find_name(name: &OwnName) -> Lead, asks Asked::Own;
    find_names(names: &[OwnName]) -> Vec<Lead>, asks Asked::Own;
    remove_names(names: &[OwnName]) -> (), orders Asked::Own;
    list_zones() -> Vec<String>, asks Asked::Own;
}}

/// A name as zones have it: lower-case A-labels, without a dot at its end.
fn wire_name(name: &str) -> String {
    ocim_domain::hosts::host_key(name.trim_end_matches('.'))
}

/// The zone that a name is in: that with the longest name.
///
/// # Errors
/// Permanent, with the name, where it is in none.
pub fn zone_of<'a>(zones: &'a [String], name: &str) -> Result<&'a str, PortError> {
    let name = wire_name(name);
    let is_in = |zone: &&String| {
        let rest = name.strip_suffix(zone.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let zone = zones.iter().filter(is_in).max_by_key(|zone| zone.len());
    zone.map(String::as_str).ok_or_else(|| {
        let zones = if zones.is_empty() { "there are none".to_owned() } else { zones.join(", ") };
        let text = format!("{name} is in no zone that Ocim writes into ({zones})");
        PortError::permanent(ErrorCode::DnsZoneMissing, text)
    })
}

#[cfg(test)]
mod tests {
    use super::{Target, zone_of};

    #[test]
    fn a_name_is_in_the_zone_with_the_longest_name() {
        let zones = ["example.com", "sites.example.com", "xn--bcher-kva.example"];
        let zones = zones.map(str::to_owned);
        for (name, zone) in [
            ("a.example.com", "example.com"),
            ("A.Sites.Example.COM.", "sites.example.com"),
            ("sites.example.com", "sites.example.com"),
            ("xsites.example.com", "example.com"),
            ("a.bücher.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(zone_of(&zones, name).unwrap(), zone, "{name}");
        }
        for name in ["example.org", "notexample.com", "com"] {
            let error = zone_of(&zones, name).unwrap_err();
            assert!(error.message.starts_with(&format!("{name} is in no zone")), "{error}");
        }
    }

    #[test]
    fn a_target_is_written_as_it_is_read() {
        for (text, record) in
            [("lb.example.com", "CNAME"), ("192.0.2.1", "A"), ("2001:db8::1", "AAAA")]
        {
            let target: Target = text.parse().unwrap();
            assert_eq!((target.to_string().as_str(), target.record_type()), (text, record));
        }
        let [one, other] = ["LB.example.com.", "lb.example.com"].map(|it| it.parse::<Target>());
        assert!(one.unwrap().is_same(&other.unwrap()));
    }
}
