//! The records that the names of a site need in the DNS.

use crate::examples::Example;
use crate::texts::{HostName, IpAddress, Prose};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum DnsRecordType {
    /// Another name for one.
    #[serde(rename = "CNAME")]
    Cname,
    /// An address of version 4.
    A,
    /// An address of version 6.
    #[serde(rename = "AAAA")]
    Aaaa,
}

/// Where a name leads by the resolver of the computer that Ocim is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DnsRecordState {
    /// Where it is to.
    Set,
    /// To nothing.
    Missing,
    /// To other addresses.
    Elsewhere,
    /// It can't be told.
    Unknown,
}

/// A record that a name needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsRecord {
    /// The name, in lower-case A-labels.
    #[schema(value_type = HostName)]
    pub name: String,
    /// The record's type.
    pub record_type: DnsRecordType,
    /// What it is to lead to: a name or an address.
    #[schema(value_type = HostName)]
    pub value: String,
    /// Whether Ocim writes it; else somebody has to.
    pub is_managed: bool,
    /// Where it leads, where that was asked for.
    pub state: Option<DnsRecordState>,
    /// The addresses that it leads to instead, or why it can't be told.
    #[schema(value_type = Option<Prose>)]
    pub found: Option<String>,
}

/// The records of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DnsRecords {
    /// The address of its load balancer: for an A or AAAA record where a name can't have a CNAME, as that
    /// of a whole zone.
    #[schema(value_type = Option<IpAddress>)]
    pub balancer_address: Option<String>,
    /// The records.
    #[schema(max_items = 10_000)]
    pub records: Vec<DnsRecord>,
    /// Why Ocim does not write them, or why there are none.
    #[schema(value_type = Option<Prose>)]
    pub note: Option<String>,
}

impl Example for DnsRecords {
    fn example() -> Self {
        let record = |name: &str, is_managed: bool, state: DnsRecordState| DnsRecord {
            name: name.to_owned(),
            record_type: DnsRecordType::Cname,
            value: "lb.example.com".to_owned(),
            is_managed,
            state: Some(state),
            found: None,
        };
        Self {
            balancer_address: Some(IpAddress::EXAMPLE.to_owned()),
            records: vec![
                record("learn.alpha.example", false, DnsRecordState::Missing),
                record("alpha.example.com", true, DnsRecordState::Set),
            ],
            note: None,
        }
    }
}
