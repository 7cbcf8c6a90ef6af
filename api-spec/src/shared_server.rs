//! Servers of databases and messages that sites share.

use crate::examples::{Example, reason, second};
use crate::texts::{
    HostName, InstanceId, Login, MongodbServerId, MysqlServerId, Name, NeededReason, Note,
    Password, Prose, RabbitmqServerId, Reason, ShortName, ThingId, Url,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The types of one kind of servers: what is shown, what adds one and what changes one. Each has
/// fields of its own, with the value that its example has, beside those of all kinds.
macro_rules! shared_server {
    (
        $what:literal, id $id:ident,
        $shown:ident { $($(#[$shown_doc:meta])* $shown_field:ident: $shown_type:ty = $shown_example:expr,)* }
        $add:ident { $($(#[$add_doc:meta])* $add_field:ident: $add_type:ty = $add_example:expr,)* }
        $edit:ident { $($(#[$edit_doc:meta])* $edit_field:ident: $edit_type:ty = $edit_example:expr,)* }
    ) => {
        #[doc = concat!("One shared ", $what, ". Its password is never shown.")]
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub struct $shown {
            /// Its id.
            #[schema(value_type = $id)]
            pub id: String,
            /// What people call it.
            #[schema(value_type = Name)]
            pub name: String,
            /// What people should know of it; may be blank.
            #[schema(value_type = Note)]
            pub description: String,
            $($(#[$shown_doc])* pub $shown_field: $shown_type,)*
            /// The account that administers it; blank where it asks for none.
            #[schema(value_type = Login)]
            pub username: String,
            /// How clients reach it, without a password.
            #[schema(value_type = Prose)]
            pub url: String,
            /// Whether it may be given to instances that have none of its kind.
            pub accepts_new_clients: bool,
            /// How many instances use it.
            #[schema(minimum = 0)]
            pub instance_count: i64,
            /// `inst_…` of those instances, the oldest hundred.
            #[schema(value_type = Vec<InstanceId>)]
            pub instances: Vec<String>,
            /// When it was retired; no instance gets it since.
            pub retired: Option<DateTime<Utc>>,
            /// When it was added.
            pub created: DateTime<Utc>,
            /// When it last changed.
            pub modified: DateTime<Utc>,
        }

        #[doc = concat!("Adds a ", $what, ".")]
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $add {
            /// What people call it; the host when left out.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<ShortName>)]
            pub name: Option<String>,
            /// What people should know of it.
            #[schema(value_type = Note)]
            pub description: String,
            $($(#[$add_doc])* pub $add_field: $add_type,)*
            /// The account that administers it.
            #[schema(value_type = Login)]
            pub username: String,
            /// Its password; never shown again.
            #[schema(value_type = Password)]
            pub password: String,
            /// Whether it may be given to instances that have none of its kind.
            pub accepts_new_clients: bool,
            /// Why; it stands beside the change in the log.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Reason>)]
            pub reason: Option<String>,
        }

        #[doc = concat!("Changes what is known of a ", $what, "; what is left out stays as it is.")]
        #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $edit {
            /// What people call it.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<ShortName>)]
            pub name: Option<String>,
            /// What people should know of it.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Note>)]
            pub description: Option<String>,
            $(
                $(#[$edit_doc])*
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $edit_field: Option<$edit_type>,
            )*
            /// The account that administers it.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Login>)]
            pub username: Option<String>,
            /// Its password; never shown again.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Password>)]
            pub password: Option<String>,
            /// Whether it may be given to instances that have none of its kind.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub accepts_new_clients: Option<bool>,
            /// Why; it stands beside the change in the log.
            #[serde(skip_serializing_if = "Option::is_none")]
            #[schema(value_type = Option<Reason>)]
            pub reason: Option<String>,
        }

        impl Example for $shown {
            fn example() -> Self {
                Self {
                    id: $id::EXAMPLE.to_owned(),
                    name: "main".to_owned(),
                    description: "the one in the cellar".to_owned(),
                    $($shown_field: $shown_example,)*
                    username: Login::EXAMPLE.to_owned(),
                    url: "root@db.example.com".to_owned(),
                    accepts_new_clients: true,
                    instance_count: 1,
                    instances: vec![InstanceId::EXAMPLE.to_owned()],
                    retired: None,
                    created: second(-86_400),
                    modified: second(3_600),
                }
            }
        }

        impl Example for $add {
            fn example() -> Self {
                Self {
                    name: Some("main".to_owned()),
                    description: "the one in the cellar".to_owned(),
                    $($add_field: $add_example,)*
                    username: Login::EXAMPLE.to_owned(),
                    password: Password::EXAMPLE.to_owned(),
                    accepts_new_clients: true,
                    reason: reason(),
                }
            }
        }

        impl Example for $edit {
            fn example() -> Self {
                Self {
                    $($edit_field: Some($edit_example),)*
                    accepts_new_clients: Some(false),
                    reason: reason(),
                    ..Self::default()
                }
            }
        }
    };
}

shared_server! {
    "MySQL server", id MysqlServerId,
    MysqlServer {
        /// Its host.
        #[schema(value_type = HostName)]
        host: String = "db.example.com".to_owned(),
        /// Its port.
        #[schema(minimum = 1, maximum = 65_535)]
        port: u16 = 3306,
        /// Whether Ocim itself speaks with it by TLS, and sees that it is the server it says it is; sites
        /// speak with it as their playbook says.
        tls: bool = true,
    }
    AddMysqlServer {
        /// Its host; no other MySQL server is there.
        #[schema(value_type = HostName)]
        host: String = "db.example.com".to_owned(),
        /// Its port; 3306 when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 65_535)]
        port: Option<u16> = Some(3306),
        /// Whether Ocim itself speaks with it by TLS, and sees that it is the server it says it is; sites
        /// speak with it as their playbook says.
        tls: bool = true,
    }
    EditMysqlServer {
        /// Its port.
        #[schema(minimum = 1, maximum = 65_535)]
        port: u16 = 3307,
        /// Whether Ocim itself speaks with it by TLS, and sees that it is the server it says it is; sites
        /// speak with it as their playbook says.
        tls: bool = true,
    }
}

shared_server! {
    "MongoDB server (one host, or a replica set)", id MongodbServerId,
    MongodbServer {
        /// Its hosts; one, or the members of its replica set.
        #[schema(value_type = Vec<HostName>)]
        hosts: Vec<String> = vec!["mongo1.example.com".to_owned(), "mongo2.example.com".to_owned()],
        /// The host that is written to.
        #[schema(value_type = HostName)]
        primary: String = "mongo1.example.com".to_owned(),
        /// The port of each host.
        #[schema(minimum = 1, maximum = 65_535)]
        port: u16 = 27017,
        /// The name of the replica set; none where it is one host.
        #[schema(value_type = Option<ShortName>)]
        replica_set: Option<String> = Some("rs0".to_owned()),
        /// Whether Ocim itself speaks with it by TLS, and sees that it is the server it says it is; sites
        /// speak with it as their playbook says.
        tls: bool = true,
    }
    AddMongodbServer {
        /// Its hosts: one, or the members of its replica set; none of them of another.
        #[schema(value_type = Vec<HostName>)]
        hosts: Vec<String> = vec!["mongo1.example.com".to_owned(), "mongo2.example.com".to_owned()],
        /// The host that is written to; the first one when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<HostName>)]
        primary: Option<String> = Some("mongo1.example.com".to_owned()),
        /// The port of each host; 27017 when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 65_535)]
        port: Option<u16> = Some(27017),
        /// The name of the replica set; needed where there are several hosts.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<ShortName>)]
        replica_set: Option<String> = Some("rs0".to_owned()),
        /// Whether Ocim itself speaks with it by TLS, and sees that it is the server it says it is; sites
        /// speak with it as their playbook says.
        tls: bool = true,
    }
    EditMongodbServer {
        /// Its hosts; one of those before stays.
        #[schema(value_type = Option<Vec<HostName>>)]
        hosts: Vec<String> = vec!["mongo2.example.com".to_owned(), "mongo3.example.com".to_owned()],
        /// The host that is written to.
        #[schema(value_type = Option<HostName>)]
        primary: String = "mongo2.example.com".to_owned(),
        /// The port of each host.
        #[schema(minimum = 1, maximum = 65_535)]
        port: u16 = 27018,
        /// The name of the replica set.
        #[schema(value_type = Option<ShortName>)]
        replica_set: String = "rs0".to_owned(),
        /// Whether Ocim itself speaks with it by TLS, and sees that it is the server it says it is; sites
        /// speak with it as their playbook says.
        tls: bool = true,
    }
}

shared_server! {
    "RabbitMQ server", id RabbitmqServerId,
    RabbitmqServer {
        /// Its management API.
        #[schema(value_type = Url)]
        api_url: String = "https://rabbitmq.example.com:15671".to_owned(),
        /// The host that sites reach it by.
        #[schema(value_type = HostName)]
        instance_host: String = "rabbitmq.example.com".to_owned(),
        /// The port that sites reach it by (AMQPS).
        #[schema(minimum = 1, maximum = 65_535)]
        instance_port: u16 = 5671,
    }
    AddRabbitmqServer {
        /// Its management API, without user and password; no other RabbitMQ server is there.
        #[schema(value_type = Url)]
        api_url: String = "https://rabbitmq.example.com:15671".to_owned(),
        /// The host that sites reach it by.
        #[schema(value_type = HostName)]
        instance_host: String = "rabbitmq.example.com".to_owned(),
        /// The port that sites reach it by (AMQPS); 5671 when left out.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(minimum = 1, maximum = 65_535)]
        instance_port: Option<u16> = Some(5671),
    }
    EditRabbitmqServer {
        /// The host that sites reach it by.
        #[schema(value_type = Option<HostName>)]
        instance_host: String = "mq.example.com".to_owned(),
        /// The port that sites reach it by (AMQPS).
        #[schema(minimum = 1, maximum = 65_535)]
        instance_port: u16 = 5671,
    }
}

/// The server that was added; read it at `Location`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddedServer {
    /// Its id.
    #[schema(value_type = ThingId)]
    pub id: String,
}

/// A server that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TestedServer {
    /// What is wrong, in a sentence; null where all is well.
    #[schema(value_type = Option<Prose>)]
    pub problem: Option<String>,
}

/// Retires a server: nobody is to use it any more.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RetireServer {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
}

impl Example for TestedServer {
    fn example() -> Self {
        let problem = "the MySQL server db.example.com refuses: Access denied (error 1045)";
        Self { problem: Some(problem.to_owned()) }
    }
}

impl Example for AddedServer {
    fn example() -> Self {
        Self { id: MysqlServerId::EXAMPLE.to_owned() }
    }
}

impl Example for RetireServer {
    fn example() -> Self {
        Self { reason: "all sites have moved".to_owned() }
    }
}
