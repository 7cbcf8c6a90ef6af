//! Databases and accounts on a MySQL or MariaDB server (infra §2).

mod script;

use super::{
    CONNECT_TIMEOUT, OneServer, STATEMENT_TIMEOUT, among, failed, in_doubt, in_time, misplaced,
    refused,
};
use crate::http_answers::first_cause;
use async_trait::async_trait;
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, DriverError, Error, OptsBuilder, SslOpts};
use ocim_domain::configuration::mysql_account::Privileges;
use ocim_domain::error_chain::chain;
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::provisioning::{Grant, Item, ItemId, Server, Service};
use ocim_domain::saga::ErrorCode;
use ocim_domain::shared_server::Mysql;
use std::collections::BTreeSet;
use std::path::Path;

/// Where accounts of sites come from: anywhere.
const ANY_HOST: &str = "%";
/// How long the server waits for the next statement, in seconds, and how large one may be, in bytes.
const IDLE_SECONDS: usize = 60;
const PACKET_MAX: usize = 16 * 1024 * 1024;
/// Errors by the server's numbers: an unknown database, a server that is read only, and those that may not
/// come again: too many connections, a stop, a lock that was not had in time, a deadlock.
const UNKNOWN_DATABASE: u16 = 1049;
const READ_ONLY: [u16; 2] = [1290, 1836];
const PASSING: [u16; 6] = [1040, 1053, 1152, 1203, 1205, 1213];
/// What whoever administers the server must be able to do everywhere, and to grant.
const RIGHTS: [&str; 7] = ["SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "CREATE USER"];

/// One server.
pub(super) struct MysqlServer<'a> {
    pub(super) server: &'a Server<Mysql>,
    pub(super) ca_file: Option<&'a Path>,
}

impl MysqlServer<'_> {
    fn name(&self) -> String {
        Service::Mysql(self.server.clone()).to_string()
    }

    async fn connect(&self) -> Result<Session, PortError> {
        let Server { address, username, password } = self.server;
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let tls = address.tls.then(|| match self.ca_file {
            None => SslOpts::default(),
            Some(path) => SslOpts::default()
                .with_root_certs(vec![path.to_owned().into()])
                .with_disable_built_in_roots(true),
        });
        let options = OptsBuilder::default()
            .ip_or_hostname(address.host.clone())
            .tcp_port(address.port)
            .user(text(username))
            .pass(text(password))
            // By the address that is known, and no other that the server tells.
            .prefer_socket(false)
            .wait_timeout(Some(IDLE_SECONDS))
            .max_allowed_packet(Some(PACKET_MAX))
            .ssl_opts(tls);
        let (name, secret) = (self.name(), password.clone());
        let connected =
            async { Conn::new(options).await.map_err(|e| classify(&name, &e, &[&secret])) };
        let connection = in_time(&name, CONNECT_TIMEOUT, connected).await?;
        Ok(Session { connection, name, secrets: vec![secret] })
    }
}

#[async_trait]
impl OneServer for MysqlServer<'_> {
    async fn ensure(&self, items: &[Item]) -> Result<(), PortError> {
        let mut session = self.connect().await?;
        for item in items {
            match item {
                Item::MysqlDatabase(name) => {
                    let name = quote_name(name)?;
                    let sql =
                        format!("CREATE DATABASE IF NOT EXISTS {name} DEFAULT CHARACTER SET utf8");
                    session.run(&sql).await?;
                }
                Item::MysqlAccount { user, password, grants } => {
                    session.secrets.push(password.clone());
                    session.ensure_account(user, password, grants).await?;
                }
                other => return Err(misplaced(&self.name(), &other.id())),
            }
        }
        session.end().await;
        Ok(())
    }

    async fn find(&self, id: &ItemId) -> Result<bool, PortError> {
        let mut session = self.connect().await?;
        let is_there = match id.kind {
            Kind::MysqlDatabase => session.has_database(&id.name).await?,
            Kind::MysqlAccount => !session.hosts_of(&id.name).await?.is_empty(),
            _ => return Err(misplaced(&self.name(), id)),
        };
        session.end().await;
        Ok(is_there)
    }

    async fn remove(&self, id: &ItemId) -> Result<(), PortError> {
        let mut session = self.connect().await?;
        match id.kind {
            Kind::MysqlDatabase => {
                let name = quote_name(&id.name)?;
                session.run(&format!("DROP DATABASE IF EXISTS {name}")).await?;
            }
            Kind::MysqlAccount => {
                for host in session.hosts_of(&id.name).await? {
                    let account = quote_account(&id.name, &host)?;
                    session.run(&format!("DROP USER IF EXISTS {account}")).await?;
                }
            }
            _ => return Err(misplaced(&self.name(), id)),
        }
        session.end().await;
        Ok(())
    }

    async fn find_among(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, PortError> {
        let mut session = self.connect().await?;
        let databases = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA";
        let databases: Vec<String> = session.rows(databases).await?;
        let accounts: Vec<String> = session.rows("SELECT DISTINCT User FROM mysql.user").await?;
        session.end().await;
        let listed = [(Kind::MysqlDatabase, databases), (Kind::MysqlAccount, accounts)];
        Ok(among(ids, &listed))
    }

    async fn check(&self) -> Result<(), PortError> {
        let mut session = self.connect().await?;
        let sql = "SELECT PRIVILEGE_TYPE, IS_GRANTABLE FROM information_schema.USER_PRIVILEGES \
                   WHERE GRANTEE = CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')";
        let rights: Vec<(String, String)> = session.rows(sql).await?;
        let may_grant = |right: &&&str| {
            rights.iter().any(|(known, grantable)| known == **right && grantable == "YES")
        };
        let missing: Vec<_> = RIGHTS.iter().filter(|right| !may_grant(right)).copied().collect();
        session.hosts_of("").await?;
        session.end().await;
        if missing.is_empty() {
            return Ok(());
        }
        let said = format!(
            "the account `{}` may not do and grant everywhere: {}; `GRANT ALL ON *.* TO … WITH GRANT OPTION` \
             lets it",
            self.server.username,
            missing.join(", ")
        );
        Err(refused(&self.name(), &said, &[]))
    }
}

/// A connection, of one call.
struct Session {
    connection: Conn,
    name: String,
    /// What no error may repeat.
    secrets: Vec<String>,
}

impl Session {
    /// Has it do this. Only the server itself can say that it has not.
    async fn run(&mut self, sql: &str) -> Result<(), PortError> {
        let (name, secrets) = (self.name.clone(), self.secrets.clone());
        let asked = self.connection.query_drop(sql);
        let asked = async {
            Ok(match asked.await {
                Ok(()) => Ok(()),
                Err(error @ Error::Server(_)) => Err(classify(&name, &error, &refer(&secrets))),
                Err(error) => Err(in_doubt(classify(&name, &error, &refer(&secrets)))),
            })
        };
        in_time(&name, STATEMENT_TIMEOUT, asked).await.map_err(in_doubt)?
    }

    /// Whether it went well; false where the server refuses it with that number.
    async fn run_unless(&mut self, sql: &str, code: u16) -> Result<bool, PortError> {
        let (name, secrets) = (self.name.clone(), self.secrets.clone());
        let asked = self.connection.query_drop(sql);
        let asked = async {
            match asked.await {
                Ok(()) => Ok(true),
                Err(Error::Server(error)) if error.code == code => Ok(false),
                Err(error) => Err(classify(&name, &error, &refer(&secrets))),
            }
        };
        in_time(&name, STATEMENT_TIMEOUT, asked).await
    }

    async fn rows<T: FromRow + Send + 'static>(&mut self, sql: &str) -> Result<Vec<T>, PortError> {
        let (name, secrets) = (self.name.clone(), self.secrets.clone());
        let asked = self.connection.query(sql);
        let asked =
            async { asked.await.map_err(|error| classify(&name, &error, &refer(&secrets))) };
        in_time(&name, STATEMENT_TIMEOUT, asked).await
    }

    /// Says good-bye; who does not answer that has done all that was asked.
    async fn end(self) {
        drop(tokio::time::timeout(CONNECT_TIMEOUT, self.connection.disconnect()).await);
    }

    /// Whether there is such a database. Who may not see it is told so, and not that there is none.
    async fn has_database(&mut self, name: &str) -> Result<bool, PortError> {
        self.run_unless(&format!("USE {}", quote_name(name)?), UNKNOWN_DATABASE).await
    }

    /// From where an account of that name may come; nowhere where there is none.
    async fn hosts_of(&mut self, user: &str) -> Result<Vec<String>, PortError> {
        let user = quote_text(user)?;
        self.rows(&format!("SELECT Host FROM mysql.user WHERE User = {user}")).await
    }

    /// There are no moments in which the account may do less than it is to: what it may not do any more is
    /// taken away last.
    async fn ensure_account(
        &mut self,
        user: &str,
        password: &str,
        grants: &[Grant],
    ) -> Result<(), PortError> {
        let (account, password) = (quote_account(user, ANY_HOST)?, quote_text(password)?);
        self.run(&format!("CREATE USER IF NOT EXISTS {account} IDENTIFIED BY {password}")).await?;
        self.run(&format!("ALTER USER {account} IDENTIFIED BY {password}")).await?;
        for grant in grants {
            self.run(&format!("GRANT {} TO {account}", tell_grant(grant)?)).await?;
        }
        let grantee = format!("'''{user}''@''{ANY_HOST}'''");
        let sql = format!(
            "SELECT TABLE_SCHEMA, PRIVILEGE_TYPE FROM information_schema.SCHEMA_PRIVILEGES \
             WHERE GRANTEE = {grantee}"
        );
        let known: Vec<(String, String)> = self.rows(&sql).await?;
        for (pattern, right) in find_excess(grants, &known) {
            let pattern = pattern.replace('`', "``");
            self.run(&format!("REVOKE {right} ON `{pattern}`.* FROM {account}")).await?;
        }
        Ok(())
    }
}

fn refer(secrets: &[String]) -> Vec<&str> {
    secrets.iter().map(String::as_str).collect()
}

/// What the account may do with these databases beyond its grants. As the original granted, whose patterns
/// fit other sites' databases, too, nothing stays.
fn find_excess(grants: &[Grant], known: &[(String, String)]) -> BTreeSet<(String, String)> {
    let mut excess = BTreeSet::new();
    for grant in grants {
        let Grant::InDatabase(database, privileges) = grant else { continue };
        let escaped = escape_pattern(database);
        for (pattern, right) in known.iter().filter(|(_, right)| right != "USAGE") {
            let is_wanted = match privileges {
                Privileges::All => true,
                Privileges::Rows => ROWS.contains(&right.as_str()),
                Privileges::Read => right == "SELECT",
            };
            let is_others = pattern == database && *pattern != escaped;
            if is_others || (*pattern == escaped && !is_wanted) {
                excess.insert((pattern.clone(), right.clone()));
            }
        }
    }
    excess
}

const ROWS: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// `SELECT ON …`. What is a wildcard in a grant stands for itself.
fn tell_grant(grant: &Grant) -> Result<String, PortError> {
    Ok(match grant {
        Grant::CreateUsers => "CREATE USER ON *.*".to_owned(),
        Grant::InDatabase(database, privileges) => {
            let privileges = match privileges {
                Privileges::All => "ALL".to_owned(),
                Privileges::Rows => ROWS.join(", "),
                Privileges::Read => "SELECT".to_owned(),
            };
            check_plain(database)?;
            format!("{privileges} ON `{}`.*", escape_pattern(database))
        }
    })
}

fn escape_pattern(database: &str) -> String {
    database.replace('_', "\\_").replace('%', "\\%")
}

fn quote_name(name: &str) -> Result<String, PortError> {
    check_plain(name).map(|()| format!("`{name}`"))
}

fn quote_text(text: &str) -> Result<String, PortError> {
    check_plain(text).map(|()| format!("'{text}'"))
}

/// The host is the server's own text.
fn quote_account(user: &str, host: &str) -> Result<String, PortError> {
    Ok(format!("{}@'{}'", quote_text(user)?, host.replace('\'', "''")))
}

/// All names and passwords that Ocim makes are of letters, digits and underscores: nothing else ever gets
/// into a statement.
fn check_plain(text: &str) -> Result<(), PortError> {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    let message = "a name or a password has other characters than letters, digits and underscores";
    Err(PortError::permanent(ErrorCode::Defect, message))
}

fn classify(name: &str, error: &Error, secrets: &[&str]) -> PortError {
    match error {
        Error::Server(server) => {
            let said = format!("{} (error {})", server.message, server.code);
            match server.code {
                code if PASSING.contains(&code) => failed(name, &said, secrets),
                code if READ_ONLY.contains(&code) => {
                    let class = Class::Conflict;
                    PortError { class, code: None, ..refused(name, &said, secrets) }
                }
                _ => refused(name, &said, secrets),
            }
        }
        Error::Driver(DriverError::NoClientSslFlagFromServer) => {
            refused(name, "it offers no TLS, which is asked for", secrets)
        }
        // Whoever answers with another certificate is not asked again and again.
        Error::Io(error) if chain(error).contains("certificate") => {
            refused(name, &first_cause(error), secrets)
        }
        error => failed(name, &first_cause(error), secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_fits_no_other_database_and_what_is_beyond_it_is_taken_away() {
        let grant = Grant::InDatabase("a_b".to_owned(), Privileges::Read);
        assert_eq!(tell_grant(&grant).unwrap(), "SELECT ON `a\\_b`.*");
        let known = [("a\\_b", "SELECT"), ("a\\_b", "DROP"), ("a_b", "SELECT"), ("c", "DROP")];
        let known = known.map(|(pattern, right)| (pattern.to_owned(), right.to_owned()));
        let excess: Vec<_> = find_excess(&[grant], &known).into_iter().collect();
        let text = |(pattern, right): &(String, String)| format!("{pattern} {right}");
        assert_eq!(excess.iter().map(text).collect::<Vec<_>>(), ["a\\_b DROP", "a_b SELECT"]);
    }

    #[test]
    fn nothing_but_plain_names_gets_into_a_statement() {
        for text in ["a`b", "a'b", "a b", "a\\b", "a-b", "ä"] {
            assert!(quote_name(text).is_err() && quote_text(text).is_err(), "{text}");
        }
        assert_eq!(quote_account("ab_c", "it's").unwrap(), "'ab_c'@'it''s'");
    }
}
