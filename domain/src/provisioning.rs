//! What a site has on servers that sites share: its databases, accounts, queues and containers, and where.

use crate::configuration::mysql_account::{
    MYSQL_DATABASES, Privileges, mysql_database, mysql_password, mysql_user,
};
use crate::ids::{MongodbServerId, MysqlServerId, RabbitmqServerId};
use crate::ledger::Kind;
use crate::resources::ResourceNames;
pub use crate::settings::SwiftAccount;
use crate::settings::{InstanceSettings, StorageType, storage_type};
use crate::shared_server::url::parse_server_url;
use crate::shared_server::{
    Address, Assignable, Kind as _, Mongodb, MongodbUse, Mysql, MysqlUse, Rabbitmq, RabbitmqUse,
    Registration, SharedServers,
};
use derive_where::derive_where;
use std::fmt;
use uuid::Uuid;

/// What the names of accounts in `MySQL` end with that no database has: who migrates all of them, who
/// reads all of them, and who makes accounts.
const MIGRATE: &str = "migrate";
const READ_ONLY: &str = "read_only";
const ADMIN: &str = "admin";

/// A server, and as whom it is administered.
#[derive(Clone, PartialEq, Eq)]
#[derive_where(Debug)]
pub struct Server<A: fmt::Debug> {
    /// Where it is.
    pub address: A,
    /// Who administers it; blank where it asks for nobody.
    pub username: String,
    /// The password; blank where there is none.
    #[derive_where(skip(Debug))]
    pub password: String,
}

/// Where sites have something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Service {
    /// A MySQL server.
    Mysql(Server<Mysql>),
    /// A MongoDB server or replica set.
    Mongodb(Server<Mongodb>),
    /// A RabbitMQ server.
    Rabbitmq(Server<Rabbitmq>),
    /// An account of Swift.
    Swift(SwiftAccount),
}

impl Service {
    /// The host of it, or of the one that is written to; blank where none is told.
    #[must_use]
    pub fn host(&self) -> String {
        let of_url = |url: &str| parse_server_url(url).map(|url| url.host).unwrap_or_default();
        match self {
            Self::Mysql(server) => server.address.host.clone(),
            Self::Mongodb(server) => server.address.primary.clone(),
            Self::Rabbitmq(server) => of_url(&server.address.api_url),
            Self::Swift(account) => of_url(&account.auth_url),
        }
    }
}

impl fmt::Display for Service {
    /// What people and circuits call it, e.g. `MySQL server db.example.com`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mysql(server) => write!(f, "{} {}", Mysql::NOUN, server.address.host),
            Self::Mongodb(server) => write!(f, "{} {}", Mongodb::NOUN, server.address.primary),
            Self::Rabbitmq(server) => write!(f, "{} {}", Rabbitmq::NOUN, server.address.api_url),
            Self::Swift(account) => write!(f, "Swift at {}", account.auth_url),
        }
    }
}

/// What an account of `MySQL` may do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// That, in one database.
    InDatabase(String, Privileges),
    /// Make accounts.
    CreateUsers,
}

/// Something that a site has, as it is to be.
#[derive(Clone, PartialEq, Eq)]
#[derive_where(Debug)]
pub enum Item {
    /// An account of `MySQL`.
    MysqlAccount {
        /// The name.
        user: String,
        /// The password.
        #[derive_where(skip(Debug))]
        password: String,
        /// What it may do, and nothing else with these databases.
        grants: Vec<Grant>,
    },
    /// A database of `MySQL`, in `utf8`.
    MysqlDatabase(String),
    /// An account of MongoDB, which may do everything in one database.
    MongodbAccount {
        /// The database, which also knows the account.
        database: String,
        /// The name.
        user: String,
        /// The password.
        #[derive_where(skip(Debug))]
        password: String,
    },
    /// A database of MongoDB. It is there from its first document on, which the site writes.
    MongodbDatabase(String),
    /// A user of RabbitMQ, who may do everything in one virtual host.
    RabbitmqUser {
        /// The name.
        user: String,
        /// The password.
        #[derive_where(skip(Debug))]
        password: String,
        /// The virtual host.
        vhost: String,
    },
    /// A virtual host of RabbitMQ.
    RabbitmqVhost(String),
    /// A container of Swift, whose objects everybody may read.
    SwiftContainer(String),
}

/// What something is, and what its server calls it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ItemId {
    /// What it is.
    pub kind: Kind,
    /// What it is called there; an account of MongoDB as there: `database.user`.
    pub name: String,
}

impl Item {
    /// What it is, and what its server calls it.
    #[must_use]
    pub fn id(&self) -> ItemId {
        let (kind, name) = match self {
            Self::MysqlAccount { user, .. } => (Kind::MysqlAccount, user.clone()),
            Self::MysqlDatabase(name) => (Kind::MysqlDatabase, name.clone()),
            Self::MongodbAccount { database, user, .. } => {
                (Kind::MongodbAccount, format!("{database}.{user}"))
            }
            Self::MongodbDatabase(name) => (Kind::MongodbDatabase, name.clone()),
            Self::RabbitmqUser { user, .. } => (Kind::RabbitmqUser, user.clone()),
            Self::RabbitmqVhost(name) => (Kind::RabbitmqVhost, name.clone()),
            Self::SwiftContainer(name) => (Kind::SwiftContainer, name.clone()),
        };
        ItemId { kind, name }
    }
}

/// Statements of SQL that are to run in one database, in order and once.
#[derive(Clone, PartialEq, Eq)]
#[derive_where(Debug)]
pub struct Script {
    /// The same for all tries: by it the database remembers what was done.
    pub key: Uuid,
    /// The database.
    pub database: String,
    /// The statements; may hold secrets.
    #[derive_where(skip(Debug))]
    pub statements: Vec<String>,
}

/// When the statements of a script ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ran {
    /// In this call.
    Now,
    /// In an earlier one: nothing was done now.
    Before,
}

/// The server and the name of a site's main database in `MySQL`.
///
/// # Errors
/// Why there is none.
pub fn main_database(
    servers: &SharedServers,
    names: Option<&ResourceNames>,
) -> Result<(MysqlServerId, String), &'static str> {
    let used = servers.mysql.as_ref().ok_or("no MySQL server is assigned to it to run SQL on")?;
    let names = names.ok_or("it has no database yet to run SQL on")?;
    Ok((used.server, mysql_database(&names.database, "edxapp")))
}

/// A kind of servers on which sites have something.
pub trait Provisioned: Assignable {
    /// Which server that is.
    fn server(used: &Self::Use) -> Self::Id;
    /// The server, as it is registered; `None` where its password can't be read.
    fn service(registration: Registration<Self>) -> Option<Service>;
    /// All that a site has there, in the order in which it is made; `None` where its passwords can't be
    /// read.
    fn items(used: &Self::Use, names: &ResourceNames) -> Option<Vec<Item>>;
}

fn open<A: Address>(registration: Registration<A>) -> Option<Server<A>> {
    let Registration { address, username, password, .. } = registration;
    Some(Server { address, username, password: password.open()?.to_owned() })
}

impl Provisioned for Mysql {
    fn server(used: &MysqlUse) -> MysqlServerId {
        used.server
    }

    fn service(registration: Registration<Self>) -> Option<Service> {
        open(registration).map(Service::Mysql)
    }

    /// In the original's order (infra §2.3). Here the account that is called so can only read.
    fn items(used: &MysqlUse, names: &ResourceNames) -> Option<Vec<Item>> {
        let key = used.password.open()?;
        let database = |suffix: &str| mysql_database(&names.database, suffix);
        let account = |suffix: &str, grants| {
            let user = mysql_user(&used.user, suffix);
            Item::MysqlAccount { password: mysql_password(key, &user), user, grants }
        };
        let of_all = |privileges| {
            let all = MYSQL_DATABASES.iter();
            all.map(|row| Grant::InDatabase(database(row.suffix), privileges)).collect()
        };
        let of_owner = |owner: &str| {
            let rows = MYSQL_DATABASES.iter();
            let grants = rows.filter_map(|row| {
                let privileges = match row {
                    row if row.owner == owner => row.privileges,
                    row if row.reader == Some(owner) => Privileges::Read,
                    _ => return None,
                };
                Some(Grant::InDatabase(database(row.suffix), privileges))
            });
            grants.collect()
        };
        let mut items = vec![
            account(MIGRATE, of_all(Privileges::All)),
            account(READ_ONLY, of_all(Privileges::Read)),
        ];
        for (index, row) in MYSQL_DATABASES.iter().enumerate() {
            items.push(Item::MysqlDatabase(database(row.suffix)));
            // One account has two databases.
            if MYSQL_DATABASES.iter().take(index).all(|earlier| earlier.owner != row.owner) {
                items.push(account(row.owner, of_owner(row.owner)));
            }
        }
        items.push(account(ADMIN, vec![Grant::CreateUsers]));
        Some(items)
    }
}

impl Provisioned for Mongodb {
    fn server(used: &MongodbUse) -> MongodbServerId {
        used.server
    }

    fn service(registration: Registration<Self>) -> Option<Service> {
        open(registration).map(Service::Mongodb)
    }

    fn items(used: &MongodbUse, names: &ResourceNames) -> Option<Vec<Item>> {
        let password = used.password.open()?;
        let of = |database: &String| {
            let (user, password) = (used.user.clone(), password.to_owned());
            let account = Item::MongodbAccount { database: database.clone(), user, password };
            [Item::MongodbDatabase(database.clone()), account]
        };
        Some([&names.database, &names.forum_database].into_iter().flat_map(of).collect())
    }
}

impl Provisioned for Rabbitmq {
    fn server(used: &RabbitmqUse) -> RabbitmqServerId {
        used.server
    }

    fn service(registration: Registration<Self>) -> Option<Service> {
        open(registration).map(Service::Rabbitmq)
    }

    fn items(used: &RabbitmqUse, _: &ResourceNames) -> Option<Vec<Item>> {
        let mut items = vec![Item::RabbitmqVhost(used.vhost.clone())];
        for user in [&used.provider, &used.consumer] {
            items.push(Item::RabbitmqUser {
                user: user.user.clone(),
                password: user.password.open()?.to_owned(),
                vhost: used.vhost.clone(),
            });
        }
        Some(items)
    }
}

/// Where a site keeps its uploads, if that is Swift; `None` where its password can't be read.
#[must_use]
pub fn swift_account(settings: &InstanceSettings) -> Option<SwiftAccount> {
    Some(SwiftAccount {
        user: settings.swift_openstack_user.clone(),
        password: settings.swift_openstack_password.open()?.to_owned(),
        tenant: settings.swift_openstack_tenant.clone(),
        auth_url: settings.swift_openstack_auth_url.clone(),
        region: settings.swift_openstack_region.clone(),
    })
}

/// What an account of Swift is known by: where one logs in, its project and its region.
#[must_use]
pub fn swift_place(account: &SwiftAccount) -> String {
    let SwiftAccount { tenant, auth_url, region, .. } = account;
    format!("{} {tenant} {region}", auth_url.trim_end_matches('/'))
}

/// Why nothing is made where a site is to keep its uploads, if that is so.
#[must_use]
pub fn why_no_storage(settings: &InstanceSettings) -> Option<&'static str> {
    match storage_type(settings) {
        StorageType::Filesystem => Some("uploads are kept on the appserver's own machine"),
        StorageType::S3 => Some("buckets are made by hand"),
        StorageType::Swift if settings.swift_openstack_auth_url.is_empty() => {
            Some("no account of Swift is given: see the settings `swift_openstack_*`")
        }
        StorageType::Swift => None,
    }
}

/// What a site has in Swift (infra §5.2).
#[must_use]
pub fn swift_items(names: &ResourceNames) -> Vec<Item> {
    vec![Item::SwiftContainer(names.container.clone())]
}
