//! References: what people call things, and the ids that they stand for.

use crate::examples::Example;
use crate::texts::{InstanceId, Name, ThingId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of thing is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceKind {
    /// A site.
    Instance,
    /// A deployment of a site.
    Appserver,
    /// A machine.
    Server,
    /// A balancer.
    LoadBalancer,
    /// A shared MySQL server.
    MysqlServer,
    /// A shared MongoDB server.
    MongodbServer,
    /// A shared RabbitMQ server.
    RabbitmqServer,
    /// Long work.
    Run,
    /// A region of a cloud.
    Region,
}

impl ReferenceKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::Instance,
        Self::Appserver,
        Self::Server,
        Self::LoadBalancer,
        Self::MysqlServer,
        Self::MongodbServer,
        Self::RabbitmqServer,
        Self::Run,
        Self::Region,
    ];

    /// As it stands in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Appserver => "appserver",
            Self::Server => "server",
            Self::LoadBalancer => "load_balancer",
            Self::MysqlServer => "mysql_server",
            Self::MongodbServer => "mongodb_server",
            Self::RabbitmqServer => "rabbitmq_server",
            Self::Run => "run",
            Self::Region => "region",
        }
    }
}

/// One thing that a text may stand for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reference {
    /// What it is.
    pub kind: ReferenceKind,
    /// Its id, e.g. `inst_…`.
    #[schema(value_type = ThingId)]
    pub id: String,
    /// What people call it: a domain, `domain/number`, a machine's name, or what a run does.
    #[schema(value_type = Name)]
    pub name: String,
}

impl Example for Reference {
    fn example() -> Self {
        Self {
            kind: ReferenceKind::Instance,
            id: InstanceId::EXAMPLE.to_owned(),
            name: "alpha.example.com".to_owned(),
        }
    }
}
