//! Real servers, each spoken to in its own way, by a few connections at a time.

mod mongodb;
mod mysql;
mod rabbitmq;
mod swift;

use self::mongodb::MongodbServer;
use self::mysql::MysqlServer;
use self::rabbitmq::RabbitmqServer;
use self::swift::SwiftStore;
use super::Provisioning;
use async_trait::async_trait;
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::provisioning::{Item, ItemId, Ran, Script, Service};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Longest wait for a connection, and for what is asked over it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time of one statement of a script; the server is told to end what takes longer.
const SCRIPT_STATEMENT_MAX: Duration = Duration::from_secs(600);
/// Longest time of a whole test of a server.
const CHECK_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time of a look for all that sites have on a server.
const LIST_TIMEOUT: Duration = Duration::from_secs(45);
/// Calls at a time to one server.
const CALLS_MAX: usize = 4;
/// How much of what a server says is told to people, in characters.
const TOLD_MAX: usize = 300;

/// One server, with the account that administers it: the calls of [`Provisioning`].
#[async_trait]
trait OneServer: Send + Sync {
    async fn ensure(&self, items: &[Item]) -> Result<(), PortError>;
    async fn find(&self, id: &ItemId) -> Result<bool, PortError>;
    async fn remove(&self, id: &ItemId) -> Result<(), PortError>;
    async fn find_among(&self, ids: &[ItemId]) -> Result<Vec<ItemId>, PortError>;
    async fn check(&self) -> Result<(), PortError>;
}

/// All servers that there are.
#[derive(Debug)]
pub struct SharedServers {
    ca_file: Option<PathBuf>,
    script_statement_max: Duration,
    busy: Mutex<BTreeMap<String, Arc<Semaphore>>>,
    /// Those that are being tested.
    tested: Mutex<BTreeSet<String>>,
}

/// A test of a server, which has ended when this is dropped.
struct Test<'a> {
    tested: &'a Mutex<BTreeSet<String>>,
    name: String,
}

impl Drop for Test<'_> {
    fn drop(&mut self) {
        self.tested.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

impl Default for SharedServers {
    fn default() -> Self {
        Self::new(None)
    }
}

impl SharedServers {
    /// Servers whose certificates are believed by that file of authorities (PEM), else by those that are
    /// believed in general.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self {
            ca_file,
            script_statement_max: SCRIPT_STATEMENT_MAX,
            busy: Mutex::default(),
            tested: Mutex::default(),
        }
    }

    /// The same, where one statement of a script may take that long.
    #[must_use]
    pub fn with_script_statement_max(self, script_statement_max: Duration) -> Self {
        Self { script_statement_max, ..self }
    }

    fn at<'a>(&'a self, service: &'a Service) -> Box<dyn OneServer + 'a> {
        let ca_file: Option<&Path> = self.ca_file.as_deref();
        match service {
            Service::Mysql(server) => Box::new(MysqlServer { server, ca_file }),
            Service::Mongodb(server) => Box::new(MongodbServer { server, ca_file }),
            Service::Rabbitmq(server) => Box::new(RabbitmqServer { server, ca_file }),
            Service::Swift(account) => Box::new(SwiftStore { account, ca_file }),
        }
    }

    /// Waits until the server has a place for one more call, no longer than for a connection.
    async fn place(&self, service: &Service) -> Result<OwnedSemaphorePermit, PortError> {
        let places = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody has, or waits for, those of which this map has the only handle.
            busy.retain(|_, places| Arc::strong_count(places) > 1);
            let fresh = || Arc::new(Semaphore::new(CALLS_MAX));
            Arc::clone(busy.entry(service.to_string()).or_insert_with(fresh))
        };
        let place = timeout(CONNECT_TIMEOUT, places.acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let seconds = CONNECT_TIMEOUT.as_secs();
            let message = format!(
                "the {service} has {CALLS_MAX} calls to answer, and was done with none of them within \
                 {seconds} seconds"
            );
            // Each of those says for itself what the server did.
            PortError::transient(message).blamed_on(Blame::Other)
        })
    }

    /// One test of a server runs at a time: anybody who may read can ask for it.
    fn begin_test(&self, service: &Service) -> Result<Test<'_>, PortError> {
        let name = service.to_string();
        let is_first = {
            let mut tested = self.tested.lock().unwrap_or_else(PoisonError::into_inner);
            tested.insert(name.clone())
        };
        match is_first {
            true => Ok(Test { tested: &self.tested, name }),
            false => {
                let message = format!("the {name} is being tested: ask again once that has ended");
                Err(PortError::new(Class::Conflict, message))
            }
        }
    }
}

#[async_trait]
impl Provisioning for SharedServers {
    async fn ensure(&self, service: &Service, items: &[Item]) -> Result<(), PortError> {
        let _place = self.place(service).await?;
        self.at(service).ensure(items).await
    }

    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError> {
        let _place = self.place(service).await?;
        self.at(service).find(id).await
    }

    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError> {
        let _place = self.place(service).await?;
        self.at(service).remove(id).await
    }

    async fn find_among(
        &self,
        service: &Service,
        ids: &[ItemId],
    ) -> Result<Vec<ItemId>, PortError> {
        let _place = self.place(service).await?;
        let server = self.at(service);
        in_time(&service.to_string(), LIST_TIMEOUT, server.find_among(ids)).await
    }

    async fn check(&self, service: &Service) -> Result<(), PortError> {
        let _test = self.begin_test(service)?;
        let check = async {
            let _place = self.place(service).await?;
            self.at(service).check().await
        };
        in_time(&service.to_string(), CHECK_TIMEOUT, check).await
    }

    /// It takes none of the server's places, which are for what is short: whoever asks runs one at a time.
    async fn run_script(&self, service: &Service, script: &Script) -> Result<Ran, PortError> {
        let Service::Mysql(server) = service else {
            let message = format!("the {service} runs no SQL");
            return Err(PortError::permanent(ErrorCode::Defect, message));
        };
        let server = MysqlServer { server, ca_file: self.ca_file.as_deref() };
        server.run_script(script, self.script_statement_max).await
    }
}

/// What a server says, in time.
///
/// # Errors
/// Transient when it says nothing: whatever is asked of servers may be asked again.
async fn in_time<T>(
    name: &str,
    longest: Duration,
    asked: impl Future<Output = Result<T, PortError>>,
) -> Result<T, PortError> {
    let late = |_| {
        let seconds = longest.as_secs();
        PortError::transient(format!("the {name} has not answered within {seconds} seconds"))
    };
    timeout(longest, asked).await.map_err(late)?
}

/// What became of an order whose answer did not come, or was none: it may have been carried out.
fn in_doubt(error: PortError) -> PortError {
    match error.class {
        Class::Transient => PortError { class: Class::Ambiguous, ..error },
        _ => error,
    }
}

/// An error that the server's own words explain, without these secrets.
fn refused(name: &str, said: &str, secrets: &[&str]) -> PortError {
    PortError::permanent(ErrorCode::SharedServerRefused, tell(name, "refuses", said, secrets))
}

/// As [`refused`], of one that may not refuse the next time.
fn failed(name: &str, said: &str, secrets: &[&str]) -> PortError {
    PortError::transient(tell(name, "fails", said, secrets))
}

fn tell(name: &str, verb: &str, said: &str, secrets: &[&str]) -> String {
    let said = hide(&decode_output(said.as_bytes()), secrets.iter().copied());
    let said: String = said.chars().take(TOLD_MAX).collect();
    format!("the {name} {verb}: {said}")
}

/// The text without these secrets.
fn hide<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let secrets = secrets.into_iter().filter(|secret| !secret.is_empty());
    secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
}

/// Those of these whose kind and name are listed.
fn among(ids: &[ItemId], listed: &[(Kind, Vec<String>)]) -> Vec<ItemId> {
    let names = listed.iter().flat_map(|(kind, names)| names.iter().map(|name| (*kind, name)));
    let names: BTreeSet<_> = names.collect();
    ids.iter().filter(|id| names.contains(&(id.kind, &id.name))).cloned().collect()
}

/// Asked of a server that has no such thing: a defect.
fn misplaced(name: &str, id: &ItemId) -> PortError {
    PortError::permanent(ErrorCode::Defect, format!("the {name} has no {}", id.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::provisioning::SwiftAccount;

    fn service() -> Service {
        Service::Swift(SwiftAccount {
            user: "user".to_owned(),
            password: "password".to_owned(),
            tenant: "tenant".to_owned(),
            auth_url: "https://keystone.example.com".to_owned(),
            region: String::new(),
        })
    }

    #[tokio::test]
    async fn one_test_of_a_server_runs_at_a_time() {
        let (servers, service) = (SharedServers::default(), service());
        let test = servers.begin_test(&service).unwrap();
        let error = servers.check(&service).await.unwrap_err();
        assert_eq!(error.class, Class::Conflict, "{error:?}");
        assert!(error.message.contains("is being tested"), "{error:?}");
        drop(test);
        servers.begin_test(&service).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_place_without_an_end() {
        let (servers, service) = (SharedServers::default(), service());
        let mut held = vec![];
        for _ in 0..CALLS_MAX {
            held.push(servers.place(&service).await.unwrap());
        }
        let error = servers.place(&service).await.unwrap_err();
        assert_eq!((&error.class, error.blame), (&Class::Transient, Blame::Other), "{error:?}");
        held.pop();
        held.push(servers.place(&service).await.unwrap());
    }
}
