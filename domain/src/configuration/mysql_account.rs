//! The databases that a site has in `MySQL`, and its accounts there (infra §2).

use crate::names::hex;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// What an account may do with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privileges {
    /// Everything.
    All,
    /// Read and write rows.
    Rows,
    /// Read rows.
    Read,
}

/// One database, its owner, and who else reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MysqlDatabase {
    /// What its name ends with.
    pub suffix: &'static str,
    /// What its owner's name ends with.
    pub owner: &'static str,
    /// What the owner may do.
    pub privileges: Privileges,
    /// What the name of another account ends with that reads it.
    pub reader: Option<&'static str>,
}

impl MysqlDatabase {
    const fn new(suffix: &'static str, owner: &'static str, privileges: Privileges) -> Self {
        Self { suffix, owner, privileges, reader: None }
    }
}

/// Every database of a site, in the order in which they are made.
pub const MYSQL_DATABASES: [MysqlDatabase; 11] = [
    MysqlDatabase::new("ecommerce", "ecommerce", Privileges::All),
    MysqlDatabase::new("dashboard", "dashboard", Privileges::All),
    MysqlDatabase::new("xqueue", "xqueue", Privileges::All),
    MysqlDatabase::new("edxapp", "edxapp", Privileges::All),
    MysqlDatabase::new("edxapp_csmh", "edxapp", Privileges::All),
    MysqlDatabase::new("edx_notes_api", "notes", Privileges::Rows),
    MysqlDatabase::new("notifier", "notifier", Privileges::All),
    MysqlDatabase::new("analytics_api", "api", Privileges::All),
    MysqlDatabase::new("discovery", "discovery", Privileges::All),
    MysqlDatabase {
        reader: Some("api"),
        ..MysqlDatabase::new("reports", "reports", Privileges::Read)
    },
    MysqlDatabase::new("programs", "program", Privileges::All),
];

/// The name of one of the site's databases.
#[must_use]
pub fn mysql_database(database: &str, suffix: &str) -> String {
    format!("{database}_{suffix}")
}

/// The name of one of the site's accounts.
#[must_use]
pub fn mysql_user(base: &str, suffix: &str) -> String {
    format!("{base}_{suffix}")
}

/// The password of an account: it follows from its name, so that all Appservers have the same.
#[must_use]
pub fn mysql_password(key: &str, user: &str) -> String {
    // A key may have any length.
    Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_or_else(
        |_| String::new(),
        |mut mac| {
            mac.update(user.as_bytes());
            hex(&mac.finalize().into_bytes())
        },
    )
}
