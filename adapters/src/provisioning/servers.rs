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
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Service};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Longest wait for a connection, and for what is asked over it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Calls at a time to one server.
const CALLS_MAX: usize = 4;
/// How much of what a server says is told to people, in characters.
const TOLD_MAX: usize = 300;

/// One server, with the account that administers it: the calls of [`Provisioning`].
#[async_trait]
trait OneServer: Send + Sync {
    async fn ensure(&self, item: &Item) -> Result<(), PortError>;
    async fn find(&self, id: &ItemId) -> Result<bool, PortError>;
    async fn remove(&self, id: &ItemId) -> Result<(), PortError>;
    async fn check(&self) -> Result<(), PortError>;
}

/// All servers that there are.
#[derive(Debug, Default)]
pub struct SharedServers {
    ca_file: Option<PathBuf>,
    busy: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl SharedServers {
    /// Servers whose certificates are believed by that file of authorities (PEM), else by those that are
    /// believed in general.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self { ca_file, busy: Mutex::default() }
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

    /// Waits until the server has a place for one more call.
    async fn place(&self, service: &Service) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody has, or waits for, those of which this map has the only handle.
            busy.retain(|_, places| Arc::strong_count(places) > 1);
            let fresh = || Arc::new(Semaphore::new(CALLS_MAX));
            Arc::clone(busy.entry(service.to_string()).or_insert_with(fresh))
        };
        places.acquire_owned().await.ok()
    }
}

#[async_trait]
impl Provisioning for SharedServers {
    async fn ensure(&self, service: &Service, item: &Item) -> Result<(), PortError> {
        let _place = self.place(service).await;
        self.at(service).ensure(item).await
    }

    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError> {
        let _place = self.place(service).await;
        self.at(service).find(id).await
    }

    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError> {
        let _place = self.place(service).await;
        self.at(service).remove(id).await
    }

    async fn check(&self, service: &Service) -> Result<(), PortError> {
        let _place = self.place(service).await;
        self.at(service).check().await
    }
}

/// What a server says, in time.
///
/// # Errors
/// Transient when it says nothing: all that is asked of servers may be asked again.
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

/// An error that the server's own words explain, without these secrets.
fn refused(name: &str, said: &str, secrets: &[&str]) -> PortError {
    PortError::permanent(ErrorCode::SharedServerRefused, tell(name, "refuses", said, secrets))
}

/// As [`refused`], of one that may not refuse the next time.
fn failed(name: &str, said: &str, secrets: &[&str]) -> PortError {
    PortError::transient(tell(name, "fails", said, secrets))
}

fn tell(name: &str, verb: &str, said: &str, secrets: &[&str]) -> String {
    let mut said = decode_output(said.as_bytes());
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        said = said.replace(secret, "***");
    }
    let said: String = said.chars().take(TOLD_MAX).collect();
    format!("the {name} {verb}: {said}")
}

/// Asked of a server that has no such thing: a defect.
fn misplaced(name: &str, id: &ItemId) -> PortError {
    PortError::permanent(ErrorCode::Defect, format!("the {name} has no {}", id.kind))
}
