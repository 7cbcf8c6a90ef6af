//! What instances have outside of Ocim.

use crate::examples::{Example, second};
use crate::texts::{AppserverId, HostName, InstanceId, Name, Prose, ServerId, ThingId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// A virtual machine.
    Machine,
    /// The security groups of a region.
    SecurityGroups,
    /// A balancer's part for the instance.
    Fragment,
    /// An address that a cloud lends to a machine.
    FloatingAddress,
    /// A name in the DNS.
    DnsName,
    /// What asks a page of the site from outside.
    Monitor,
    /// An account on a MySQL server.
    MysqlAccount,
    /// A database on a MySQL server.
    MysqlDatabase,
    /// An account on a MongoDB server.
    MongodbAccount,
    /// A database on a MongoDB server.
    MongodbDatabase,
    /// A user on a RabbitMQ server.
    RabbitmqUser,
    /// A virtual host on a RabbitMQ server.
    RabbitmqVhost,
    /// A container of Swift.
    SwiftContainer,
}

impl ResourceKind {
    /// As on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Machine => "machine",
            Self::SecurityGroups => "security_groups",
            Self::Fragment => "fragment",
            Self::FloatingAddress => "floating_address",
            Self::DnsName => "dns_name",
            Self::Monitor => "monitor",
            Self::MysqlAccount => "mysql_account",
            Self::MysqlDatabase => "mysql_database",
            Self::MongodbAccount => "mongodb_account",
            Self::MongodbDatabase => "mongodb_database",
            Self::RabbitmqUser => "rabbitmq_user",
            Self::RabbitmqVhost => "rabbitmq_vhost",
            Self::SwiftContainer => "swift_container",
        }
    }
}

/// Whether a resource is there. One that is gone is not listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceState {
    /// It is being made.
    Wanted,
    /// It is there.
    Present,
    /// Its provider did not answer.
    Unknown,
}

impl ResourceState {
    /// As on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Present => "present",
            Self::Unknown => "unknown",
        }
    }
}

/// Something that an instance has outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Whose it is.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// What it is.
    pub kind: ResourceKind,
    /// What it is known by here, unique within its kind and instance.
    #[schema(value_type = Name)]
    pub key: String,
    /// What people call it.
    #[schema(value_type = Name)]
    pub name: String,
    /// Where it is: a region, a balancer.
    #[schema(value_type = HostName)]
    pub place: String,
    /// What it belongs to: the instance, or one of its Appservers.
    #[schema(value_type = ThingId)]
    pub owner: String,
    /// Whether it is there.
    pub state: ResourceState,
    /// What its provider calls it, once known.
    #[schema(value_type = Option<Name>)]
    pub provider_id: Option<String>,
    /// Why it can't be told whether it is there.
    #[schema(value_type = Option<Prose>)]
    pub reason: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

impl Example for Resource {
    fn example() -> Self {
        Self {
            instance: InstanceId::EXAMPLE.to_owned(),
            kind: ResourceKind::Machine,
            key: ServerId::EXAMPLE.to_owned(),
            name: "alpha-2".to_owned(),
            place: "local".to_owned(),
            owner: AppserverId::EXAMPLE.to_owned(),
            state: ResourceState::Present,
            provider_id: Some("6f1c0a52-3b7e-4d19-9a08-5e2d7c4b1f36".to_owned()),
            reason: None,
            since: second(121),
        }
    }
}
