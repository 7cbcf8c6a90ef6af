//! What of shared servers a site may use: where they are, and its own accounts on them.

use derive_where::derive_where;

/// The shared servers that an instance was given; none of a kind where it has none.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Its databases' server.
    pub mysql: Option<MysqlService>,
    /// Where its courses and forum are.
    pub mongodb: Option<MongodbService>,
    /// Its queue of tasks.
    pub rabbitmq: Option<RabbitmqService>,
}

/// A `MySQL` server, and what all of the site's accounts there are derived from.
#[derive(Clone)]
#[derive_where(Debug)]
pub struct MysqlService {
    /// Where it is.
    pub host: String,
    /// Usually 3306.
    pub port: u16,
    /// Begins the name of each account: at most 6 characters.
    pub user: String,
    /// The key of each account's password; nobody logs in with it.
    #[derive_where(skip(Debug))]
    pub password: String,
}

/// A `MongoDB` server or replica set, and the site's account there.
#[derive(Clone)]
#[derive_where(Debug)]
pub struct MongodbService {
    /// Every member, in order; the only one where it is no replica set.
    pub hosts: Vec<String>,
    /// The primary, which is among them.
    pub primary: String,
    /// The primary's port, usually 27017.
    pub port: u16,
    /// The replica set's name, where it is one.
    pub replica_set: Option<String>,
    /// The site's account.
    pub user: String,
    /// Its password.
    #[derive_where(skip(Debug))]
    pub password: String,
}

/// A `RabbitMQ` server, and the site's virtual host and account there.
#[derive(Clone)]
#[derive_where(Debug)]
pub struct RabbitmqService {
    /// Where sites reach it.
    pub host: String,
    /// Usually 5671, with TLS.
    pub port: u16,
    /// With its slash.
    pub vhost: String,
    /// The account that puts tasks in and takes them out.
    pub user: String,
    /// Its password.
    #[derive_where(skip(Debug))]
    pub password: String,
}
