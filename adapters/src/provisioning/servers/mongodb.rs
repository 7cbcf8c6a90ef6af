//! Databases and accounts on a MongoDB server or replica set (infra §3).

use super::{
    CONNECT_TIMEOUT, OneServer, STATEMENT_TIMEOUT, among, failed, in_doubt, in_time, misplaced,
    refused,
};
use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use mongodb::error::{Error, ErrorKind};
use mongodb::options::{ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use mongodb::{Client, Database};
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Server, Service};
use ocim_domain::shared_server::Mongodb;
use std::path::Path;

/// The role of a site's account in its database.
const ROLE: &str = "dbOwner";
/// Where accounts of administrators are.
const ADMIN: &str = "admin";
/// Errors by the server's numbers: an account that is there, or is not, already; and those that may not come
/// again: a member that is away, stops or is no primary any more, a lock or a time that was not had, another
/// write, a database that is being dropped.
const USER_NOT_FOUND: i32 = 11;
const USER_EXISTS: i32 = 51003;
const PASSING: [i32; 16] =
    [6, 7, 46, 50, 89, 91, 112, 189, 215, 262, 9001, 10107, 11600, 11602, 13435, 13436];

/// One server, or the members of one replica set.
pub(super) struct MongodbServer<'a> {
    pub(super) server: &'a Server<Mongodb>,
    pub(super) ca_file: Option<&'a Path>,
}

impl MongodbServer<'_> {
    fn name(&self) -> String {
        Service::Mongodb(self.server.clone()).to_string()
    }

    /// Each call has a client of its own: none goes on beside them.
    fn open(&self) -> Result<Session, PortError> {
        let Server { address, username, password } = self.server;
        let host =
            |host: &String| ServerAddress::Tcp { host: host.clone(), port: Some(address.port) };
        let mut options = ClientOptions::default();
        options.hosts = address.hosts.iter().map(host).collect();
        options.repl_set_name.clone_from(&address.replica_set);
        options.direct_connection = address.replica_set.is_none().then_some(true);
        options.connect_timeout = Some(CONNECT_TIMEOUT);
        options.server_selection_timeout = Some(CONNECT_TIMEOUT);
        options.max_pool_size = Some(1);
        if !username.is_empty() {
            let login = Credential::builder().username(username.clone()).source(ADMIN.to_owned());
            options.credential = Some(login.password(password.clone()).build());
        }
        if address.tls {
            let mut tls = TlsOptions::default();
            tls.ca_file_path = self.ca_file.map(Path::to_owned);
            options.tls = Some(Tls::Enabled(tls));
        }
        let (name, secrets) = (self.name(), vec![password.clone()]);
        let client =
            Client::with_options(options).map_err(|error| classify(&name, &error, &secrets))?;
        Ok(Session { client, name, secrets })
    }
}

#[async_trait]
impl OneServer for MongodbServer<'_> {
    async fn ensure(&self, items: &[Item]) -> Result<(), PortError> {
        let mut session = self.open()?;
        let mut ensured = Ok(());
        for item in items {
            ensured = match item {
                // It comes with its first document.
                Item::MongodbDatabase(_) => Ok(()),
                Item::MongodbAccount { database, user, password } => {
                    session.secrets.push(password.clone());
                    session.ensure_account(database, user, password).await
                }
                other => Err(misplaced(&self.name(), &other.id())),
            };
            if ensured.is_err() {
                break;
            }
        }
        session.end().await;
        ensured
    }

    async fn find(&self, id: &ItemId) -> Result<bool, PortError> {
        let session = self.open()?;
        let found = match (id.kind, split(&id.name)) {
            (Kind::MongodbDatabase, _) => session.has_database(&id.name).await,
            (Kind::MongodbAccount, Some((database, user))) => {
                session.find_account(database, user).await.map(|found| found.is_some())
            }
            _ => Err(misplaced(&self.name(), id)),
        };
        session.end().await;
        found
    }

    async fn remove(&self, id: &ItemId) -> Result<(), PortError> {
        let session = self.open()?;
        let removed = match (id.kind, split(&id.name)) {
            (Kind::MongodbDatabase, _) => {
                session.order(&id.name, doc! { "dropDatabase": 1 }, None).await.map(drop)
            }
            (Kind::MongodbAccount, Some((database, user))) => {
                let order = doc! { "dropUser": user };
                session.order(database, order, Some(USER_NOT_FOUND)).await.map(drop)
            }
            _ => Err(misplaced(&self.name(), id)),
        };
        session.end().await;
        removed
    }

    async fn find_among(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, PortError> {
        let session = self.open()?;
        let found = session.find_among(ids).await;
        session.end().await;
        found
    }

    async fn check(&self) -> Result<(), PortError> {
        let session = self.open()?;
        let checked = async {
            session.ask(ADMIN, doc! { "usersInfo": 1 }, None).await?;
            session.has_database(ADMIN).await?;
            session.check_roles(&self.server.username).await
        };
        let checked = checked.await;
        session.end().await;
        checked
    }
}

/// `database.user`, as the server itself writes it: no database has a dot.
fn split(name: &str) -> Option<(&str, &str)> {
    name.split_once('.')
}

/// A client, of one call.
struct Session {
    client: Client,
    name: String,
    /// What no error may repeat.
    secrets: Vec<String>,
}

impl Session {
    /// What a command answers; nothing where it fails with `expected`.
    async fn ask(
        &self,
        database: &str,
        command: Document,
        expected: Option<i32>,
    ) -> Result<Option<Document>, PortError> {
        let database: Database = self.client.database(database);
        let asked = async {
            match database.run_command(command).await {
                Ok(answer) => Ok(Some(answer)),
                Err(error) if code_of(&error).is_some_and(|code| Some(code) == expected) => {
                    Ok(None)
                }
                Err(error) => Err(classify(&self.name, &error, &self.secrets)),
            }
        };
        in_time(&self.name, STATEMENT_TIMEOUT, asked).await
    }

    /// As [`Session::ask`], of what changes something: whoever is cut off in the middle has perhaps done it.
    async fn order(
        &self,
        database: &str,
        command: Document,
        expected: Option<i32>,
    ) -> Result<Option<Document>, PortError> {
        self.ask(database, command, expected).await.map_err(in_doubt)
    }

    async fn end(self) {
        let ended = self.client.shutdown().immediate(true);
        drop(tokio::time::timeout(CONNECT_TIMEOUT, async { ended.await }).await);
    }

    async fn has_database(&self, name: &str) -> Result<bool, PortError> {
        let list = doc! {
            "listDatabases": 1,
            "nameOnly": true,
            // Who may not see all of them is told so, and not that there is none.
            "authorizedDatabases": false,
            "filter": { "name": name },
        };
        let answer = self.ask(ADMIN, list, None).await?.unwrap_or_default();
        let found = answer.get_array("databases").map_err(|_| self.strange())?;
        let is_it = |found: &mongodb::bson::Bson| {
            found.as_document().is_some_and(|it| it.get_str("name").ok() == Some(name))
        };
        Ok(found.iter().any(is_it))
    }

    /// The names of all databases that have a document.
    async fn list_databases(&self) -> Result<Vec<String>, PortError> {
        let list = doc! { "listDatabases": 1, "nameOnly": true, "authorizedDatabases": false };
        let answer = self.ask(ADMIN, list, None).await?.unwrap_or_default();
        let found = answer.get_array("databases").map_err(|_| self.strange())?;
        let names = found.iter().filter_map(|it| it.as_document()?.get_str("name").ok());
        Ok(names.map(str::to_owned).collect())
    }

    /// Each account is asked for: it is known by its own database alone.
    async fn find_among(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, PortError> {
        let databases = self.list_databases().await?;
        let mut accounts = vec![];
        for id in ids.iter().filter(|id| id.kind == Kind::MongodbAccount) {
            if let Some((database, user)) = split(&id.name)
                && self.find_account(database, user).await?.is_some()
            {
                accounts.push(id.name.clone());
            }
        }
        Ok(among(ids, &[(Kind::MongodbDatabase, databases), (Kind::MongodbAccount, accounts)]))
    }

    /// The account, if there is one.
    async fn find_account(
        &self,
        database: &str,
        user: &str,
    ) -> Result<Option<Document>, PortError> {
        let wanted = doc! { "usersInfo": { "user": user, "db": database } };
        let answer = self.ask(database, wanted, None).await?.unwrap_or_default();
        let found = answer.get_array("users").map_err(|_| self.strange())?;
        Ok(found.iter().find_map(|user| user.as_document().cloned()))
    }

    /// Roles that others have given the account beside its own stay.
    async fn ensure_account(
        &self,
        database: &str,
        user: &str,
        password: &str,
    ) -> Result<(), PortError> {
        let role = doc! { "role": ROLE, "db": database };
        let mut known = self.find_account(database, user).await?;
        if known.is_none() {
            let create = doc! { "createUser": user, "pwd": password, "roles": [role.clone()] };
            if self.order(database, create, Some(USER_EXISTS)).await?.is_some() {
                return Ok(());
            }
            known = self.find_account(database, user).await?;
        }
        let roles = known.as_ref().and_then(|user| user.get_array("roles").ok());
        let mut roles = roles.cloned().unwrap_or_default();
        let is_own = |it: &mongodb::bson::Bson| {
            let it = it.as_document();
            it.is_some_and(|it| {
                it.get_str("role").ok() == Some(ROLE) && it.get_str("db").ok() == Some(database)
            })
        };
        let mut update = doc! { "updateUser": user, "pwd": password };
        if !roles.iter().any(is_own) {
            roles.push(role.into());
            update.insert("roles", roles);
        }
        self.order(database, update, None).await.map(drop)
    }

    /// Whether the account may make others; nobody is asked for where the server lets everybody.
    async fn check_roles(&self, username: &str) -> Result<(), PortError> {
        if username.is_empty() {
            return Ok(());
        }
        let wanted = doc! { "usersInfo": { "user": username, "db": ADMIN } };
        let answer = self.ask(ADMIN, wanted, None).await?.unwrap_or_default();
        let users = answer.get_array("users").map_err(|_| self.strange())?;
        let user = users.iter().find_map(|user| user.as_document());
        let roles = user.and_then(|user| user.get_array("roles").ok());
        let names = roles.into_iter().flatten().filter_map(|role| role.as_document());
        let names: Vec<_> = names.filter_map(|role| role.get_str("role").ok()).collect();
        let has = |role| names.contains(&role);
        if has("root") || has("userAdminAnyDatabase") && has("dbAdminAnyDatabase") {
            return Ok(());
        }
        let said = format!(
            "the account `{username}` has neither the role `root` in `{ADMIN}` nor both of \
             `userAdminAnyDatabase` and `dbAdminAnyDatabase`"
        );
        Err(refused(&self.name, &said, &[]))
    }

    fn strange(&self) -> PortError {
        failed(&self.name, "it answers what is no answer", &[])
    }
}

fn code_of(error: &Error) -> Option<i32> {
    match &*error.kind {
        ErrorKind::Command(command) => Some(command.code),
        _ => None,
    }
}

fn classify(name: &str, error: &Error, secrets: &[String]) -> PortError {
    let secrets: Vec<_> = secrets.iter().map(String::as_str).collect();
    match &*error.kind {
        ErrorKind::Command(command) => {
            let said = format!("{} (error {})", command.message, command.code);
            if PASSING.contains(&command.code) {
                return failed(name, &said, &secrets);
            }
            refused(name, &said, &secrets)
        }
        ErrorKind::Authentication { message, .. } => refused(name, message, &secrets),
        ErrorKind::InvalidTlsConfig { message, .. }
        | ErrorKind::InvalidArgument { message, .. } => refused(name, message, &secrets),
        _ => failed(name, &error.to_string(), &secrets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mongodb::error::CommandError;
    use ocim_domain::port_error::Class;

    #[test]
    fn a_primary_that_steps_down_is_asked_again_and_a_refusal_is_not() {
        for (code, class) in [(10107, Class::Transient), (13, Class::Permanent)] {
            let answer =
                serde_json::json!({ "code": code, "codeName": "X", "errmsg": "no, hunter2" });
            let answer: CommandError = serde_json::from_value(answer).unwrap();
            let error = classify("m", &ErrorKind::Command(answer).into(), &["hunter2".to_owned()]);
            assert_eq!(error.class, class, "{code}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
    }
}
