//! Which shared servers an instance uses, and as whom.

use super::{Address, Mongodb, Mysql, Rabbitmq};
use crate::ids::{MongodbServerId, MysqlServerId, RabbitmqServerId};
use crate::protected::Protected;
use serde::{Deserialize, Serialize};

/// Characters of the passwords of databases (infra §2.1, §3.1).
pub const DATABASE_PASSWORD_LENGTH: usize = 32;
/// Characters of a RabbitMQ user's name (infra §4.1).
pub const QUEUE_USER_LENGTH: usize = 32;
/// Characters of a RabbitMQ user's password (infra §4.1).
pub const QUEUE_PASSWORD_LENGTH: usize = 64;
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// Fills a buffer with random bytes.
pub type FillRandom<'a> = &'a dyn Fn(&mut [u8]);

/// What an instance uses of the servers that sites share; nothing of the kinds that it has none of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedServers {
    /// Of a MySQL server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mysql: Option<MysqlUse>,
    /// Of a MongoDB server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<MongodbUse>,
    /// Of a RabbitMQ server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rabbitmq: Option<RabbitmqUse>,
}

/// What an instance uses of a MySQL server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MysqlUse {
    /// The server.
    pub server: MysqlServerId,
    /// What the names of its users there begin with.
    pub user: String,
    /// What their passwords are derived from.
    pub password: Protected,
}

/// What an instance uses of a MongoDB server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MongodbUse {
    /// The server.
    pub server: MongodbServerId,
    /// Its user there.
    pub user: String,
    /// The user's password.
    pub password: Protected,
}

/// What an instance uses of a RabbitMQ server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RabbitmqUse {
    /// The server.
    pub server: RabbitmqServerId,
    /// Its virtual host, with the slash before it.
    pub vhost: String,
    /// The user that its machines use.
    pub provider: QueueUser,
    /// The user that whoever reads along uses.
    pub consumer: QueueUser,
}

/// A user of a virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueUser {
    /// The name.
    pub user: String,
    /// The password.
    pub password: Protected,
}

impl SharedServers {
    /// Whether nothing is used of any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is used here of kinds of which `known` uses nothing.
    #[must_use]
    pub fn beyond(self, known: &Self) -> Self {
        Self {
            mysql: self.mysql.filter(|_| known.mysql.is_none()),
            mongodb: self.mongodb.filter(|_| known.mongodb.is_none()),
            rabbitmq: self.rabbitmq.filter(|_| known.rabbitmq.is_none()),
        }
    }

    /// Both; of each kind what is here, if anything is.
    #[must_use]
    pub fn with(self, other: &Self) -> Self {
        let other = other.clone();
        Self {
            mysql: self.mysql.or(other.mysql),
            mongodb: self.mongodb.or(other.mongodb),
            rabbitmq: self.rabbitmq.or(other.rabbitmq),
        }
    }
}

/// A kind of servers by what an instance uses of one.
pub trait Assignable: Address {
    /// What an instance uses.
    type Use;
    /// What the name of a new account begins with, and how many letters follow (infra §2.1–4.1).
    const ACCOUNT: (&'static str, usize);

    /// What an instance uses, if it uses one of this kind.
    fn used(servers: &SharedServers) -> Option<&Self::Use>;
    /// The use of a server by the account that the instance was admitted with; passwords, which belong
    /// to `subject`, are new.
    fn new_use(server: Self::Id, account: String, subject: &str, fill: FillRandom<'_>)
    -> Self::Use;

    /// The name of a new account.
    fn new_account(fill: FillRandom<'_>) -> String {
        let (start, letters) = Self::ACCOUNT;
        format!("{start}{}", draw(LETTERS, letters, fill))
    }
}

impl Assignable for Mysql {
    type Use = MysqlUse;
    const ACCOUNT: (&'static str, usize) = ("", 6);

    fn used(servers: &SharedServers) -> Option<&MysqlUse> {
        servers.mysql.as_ref()
    }

    fn new_use(
        server: MysqlServerId,
        user: String,
        subject: &str,
        fill: FillRandom<'_>,
    ) -> MysqlUse {
        let password = new_password(DATABASE_PASSWORD_LENGTH, subject, fill);
        MysqlUse { server, user, password }
    }
}

impl Assignable for Mongodb {
    type Use = MongodbUse;
    const ACCOUNT: (&'static str, usize) = ("", 16);

    fn used(servers: &SharedServers) -> Option<&MongodbUse> {
        servers.mongodb.as_ref()
    }

    fn new_use(
        server: MongodbServerId,
        user: String,
        subject: &str,
        fill: FillRandom<'_>,
    ) -> MongodbUse {
        let password = new_password(DATABASE_PASSWORD_LENGTH, subject, fill);
        MongodbUse { server, user, password }
    }
}

impl Assignable for Rabbitmq {
    type Use = RabbitmqUse;
    const ACCOUNT: (&'static str, usize) = ("/", 14);

    fn used(servers: &SharedServers) -> Option<&RabbitmqUse> {
        servers.rabbitmq.as_ref()
    }

    fn new_use(
        server: RabbitmqServerId,
        vhost: String,
        subject: &str,
        fill: FillRandom<'_>,
    ) -> RabbitmqUse {
        let new_user = || QueueUser {
            user: draw(LETTERS, QUEUE_USER_LENGTH, fill),
            password: new_password(QUEUE_PASSWORD_LENGTH, subject, fill),
        };
        RabbitmqUse { server, vhost, provider: new_user(), consumer: new_user() }
    }
}

fn new_password(length: usize, subject: &str, fill: FillRandom<'_>) -> Protected {
    Protected::new(subject, draw(LETTERS_AND_DIGITS, length, fill))
}

/// A random number below `count`, which is not 0.
#[must_use]
pub fn draw_below(count: usize, fill: FillRandom<'_>) -> usize {
    // So many bits more than needed that no remainder is told from another.
    let mut bytes = [0; 8];
    fill(&mut bytes);
    let count = u64::try_from(count).unwrap_or(u64::MAX).max(1);
    usize::try_from(u64::from_be_bytes(bytes) % count).unwrap_or_default()
}

fn draw(alphabet: &[u8], length: usize, fill: FillRandom<'_>) -> String {
    (0..length).map(|_| char::from(alphabet[draw_below(alphabet.len(), fill)])).collect()
}
