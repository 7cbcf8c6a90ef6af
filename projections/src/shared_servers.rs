//! Servers of databases and messages that sites share, of all kinds, and who uses them.

use crate::change::{Columns, NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::{MongodbServerId, MysqlServerId, RabbitmqServerId};
use ocim_domain::shared_server::{Address, Event, Mongodb, Mysql, Rabbitmq, Registration};

table! {
    /// Servers.
    SHARED_SERVERS, columns = "shared_servers", key [id],
    indexes [Index::on("kind, created_at, id")]
    {
        /// `msql_…`, `mngo_…` or `rbmq_…`.
        id: String,
        /// `mysql_server`, `mongodb_server` or `rabbitmq_server`.
        kind: String,
        /// What people call it.
        name: String,
        /// What people should know of it; may be blank.
        description: String,
        /// Where it is, in the form of its kind.
        address: Value,
        /// Its hosts, or its management URL: no other of its kind has any of them.
        places: Vec<String>,
        /// How clients reach it, without a password.
        url: String,
        /// The account that administers it; may be blank.
        username: String,
        /// Whether it may be given to instances.
        accepts_new_clients: bool,
        /// When it was retired.
        retired_at: Option<DateTime<Utc>>,
        /// When it was added.
        created_at: DateTime<Utc>,
        /// When it last changed.
        updated_at: DateTime<Utc>,
    }
}

table! {
    /// Who uses them.
    CLIENTS, client_columns = "shared_server_clients", key [server, instance],
    indexes [Index::on("server, since, instance")]
    {
        /// The server's id.
        server: String,
        /// `inst_…`.
        instance: String,
        /// The account that it has there.
        account: String,
        /// Since when.
        since: DateTime<Utc>,
    }
}

/// The read model of shared servers.
pub const PROJECTOR: Projector = Projector {
    name: "shared_servers",
    version: 1,
    categories: &[MysqlServerId::CATEGORY, MongodbServerId::CATEGORY, RabbitmqServerId::CATEGORY],
    tables: &[SHARED_SERVERS, CLIENTS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    match recorded.stream.category() {
        MysqlServerId::CATEGORY => project_kind::<Mysql>(recorded),
        MongodbServerId::CATEGORY => project_kind::<Mongodb>(recorded),
        _ => project_kind::<Rabbitmq>(recorded),
    }
}

fn project_kind<A: Address>(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event<A>>(recorded)? else { return Ok(vec![]) };
    let id = A::id(recorded.stream.id()).to_string();
    let at = recorded.recorded_at;
    let update = |mut set: Columns| {
        set.extend(columns! { updated_at: at });
        RowChange::update(SHARED_SERVERS.name, columns! { id: id }, set)
    };
    Ok(match event {
        Event::Registered(registration) => {
            let mut set = describe(&registration);
            set.extend(columns! {
                kind: A::CATEGORY,
                accepts_new_clients: registration.accepts_new_clients,
                retired_at: NULL,
                created_at: at,
                updated_at: at,
            });
            vec![RowChange::put(SHARED_SERVERS.name, columns! { id: id }, set)]
        }
        Event::RegistrationChanged { registration, .. } => vec![update(describe(&registration))],
        Event::AcceptanceChanged { accepts_new_clients } => {
            vec![update(columns! { accepts_new_clients: accepts_new_clients })]
        }
        Event::ClientAdmitted { client, account } => vec![RowChange::put(
            CLIENTS.name,
            columns! { server: id, instance: client },
            columns! { account: account, since: at },
        )],
        Event::ClientReleased { client } => {
            let key = columns! { server: id, instance: client };
            vec![RowChange::Delete { table: CLIENTS.name, key }]
        }
        Event::Retired {} => vec![update(columns! { retired_at: at })],
    })
}

fn describe<A: Address>(registration: &Registration<A>) -> Columns {
    columns! {
        name: registration.name,
        description: registration.description,
        address: registration.address,
        places: registration.address.places(),
        url: registration.address.url(&registration.username, ""),
        username: registration.username,
    }
}
