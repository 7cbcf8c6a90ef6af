//! Every identifier: a UUID with a type prefix, one line of meaning each.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Why a text is not an identifier of the wanted type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an identifier of the form {prefix}_<uuid>")]
pub struct InvalidId {
    /// The text that was given.
    pub text: String,
    /// The prefix that was expected, without the underscore.
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $category:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub Uuid);

        impl $name {
            /// The prefix people see before the UUID.
            pub const PREFIX: &'static str = $prefix;
            /// The category of the stream that this identifier names.
            pub const CATEGORY: &'static str = $category;

            /// The stream that holds this object's events.
            #[must_use]
            pub fn stream(self) -> crate::event::StreamId {
                crate::event::StreamId::new($category, self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}_{}", $prefix, self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(|uuid| Uuid::try_parse(uuid).ok())
                    .map(Self)
                    .ok_or_else(|| InvalidId { text: text.chars().take(80).collect(), prefix: $prefix })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> { text.parse() }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self { id.to_string() }
        }
    )*

        /// The category and the prefix of each.
        pub const ALL: &[(&str, &str)] = &[$(($category, $prefix)),*];
    };
}

ids! {
    /// One hosted Open edX site. Owns its Appservers.
    InstanceId = "inst", "instance";
    /// One frozen configuration of an Instance, on exactly one Server.
    AppserverId = "apps", "appserver";
    /// One virtual machine, ours from request to termination.
    ServerId = "serv", "server";
    /// One shared HAProxy host.
    LoadBalancerId = "lbal", "load_balancer";
    /// One MySQL server that sites share; made from its host by UUID v5.
    MysqlServerId = "msql", "mysql_server";
    /// One MongoDB deployment that sites share; made from its first host by UUID v5.
    MongodbServerId = "mngo", "mongodb_server";
    /// One RabbitMQ server that sites share; made from its management URL by UUID v5.
    RabbitmqServerId = "rbmq", "rabbitmq_server";
    /// The inventory of one region; made from the region's name by UUID v5.
    InventoryId = "invt", "inventory";
    /// What one instance has outside; the UUID is the instance's.
    LedgerId = "ledg", "ledger";
    /// One run of a process (a saga; `/runs` to the outside).
    RunId = "run", "saga";
    /// One region of a cloud, with its slots; made from its name by UUID v5.
    RegionId = "regn", "region";
    /// Known trouble of one kind and subject; made from both by UUID v5.
    IncidentId = "incd", "incident";
    /// One reservation of a name; made from the name by UUID v5.
    NameId = "name", "name";
    /// One read model; made from its name by UUID v5.
    ProjectionId = "proj", "projection";
    /// The log of events; there is one.
    EventLogId = "elog", "event_log";
    /// One piece of work on many instances.
    BulkId = "bulk", "bulk";
    /// One mail that Ocim sends; made from its cause by UUID v5.
    MailId = "mail", "mail";
    /// Work that comes every day at a time; made from its name by UUID v5.
    TimerId = "timr", "timer";
    /// One API token.
    TokenId = "tokn", "token";
}

/// The namespace of every UUID v5 that Ocim derives (names, step keys).
pub const NAMESPACE: Uuid = Uuid::from_u128(0x6f63_696d_0000_4000_8000_6f63_696d_0001);
