//! The client: every call has its time, and after one that failed the next begins with a new client.
//!
//! The client of `kurrentdb` 1.2.0 does not get over a node that is gone: it keeps the connection that
//! failed, and once it could not connect it refuses all calls for ever.

use super::Timings;
use kurrentdb::{Client, ClientSettings, Error};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tracing::warn;

/// gRPC's numbers for "too much is going on" and, what the server says when it took too long itself,
/// "aborted".
const GRPC_PASSING: [i32; 2] = [8, 10];

/// gRPC's number for what can't be done in any state of the server.
const GRPC_INVALID_ARGUMENT: i32 = 3;

/// A call that was not answered, or by an error.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer.
    #[error("KurrentDB does not answer within {} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The client, or the server behind it.
    #[error("KurrentDB can't be asked, or refuses")]
    Client(#[source] Error),
}

impl CallError {
    /// Whether nothing can have reached the server's log.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(
            self,
            Self::Client(
                Error::GrpcConnectionError(_)
                    | Error::ConnectionClosed
                    | Error::NotLeaderException(_)
                    | Error::AccessDenied
            )
        )
    }

    /// Whether another try may fare better, perhaps with another node.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Timeout(_) => true,
            Self::Client(error) => match error {
                Error::ServerError(_)
                | Error::NotLeaderException(_)
                | Error::ConnectionClosed
                | Error::GrpcConnectionError(_)
                | Error::DeadlineExceeded => true,
                Error::Grpc { code, .. } => GRPC_PASSING.contains(&(*code as i32)),
                _ => false,
            },
        }
    }

    /// Whether the server says that what it was asked for can't be.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Client(Error::ResourceDeleted) => true,
            Self::Client(Error::Grpc { code, .. }) => *code as i32 == GRPC_INVALID_ARGUMENT,
            _ => false,
        }
    }

    /// Whether the events are more than the server takes at a time; it tells so in words alone.
    pub(super) fn is_too_large(&self) -> bool {
        let told = |message: &str| message.to_ascii_lowercase().contains("maximum append");
        matches!(self, Self::Client(Error::Grpc { message, .. }) if told(message))
    }

    /// Whether the client that it came from is of no use any more. One that was told of the leader
    /// goes there by itself.
    fn spoils_client(&self) -> bool {
        self.is_passing() && !matches!(self, Self::Client(Error::NotLeaderException(_)))
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `tlsCaFile` can't be used.
    #[error("the file {} that tlsCaFile in EVENT_STORE_URL names holds no certificates", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
    },
    /// What the client says.
    #[error("the client of KurrentDB can't be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A client that is made anew when it fails.
pub(super) struct Connection {
    settings: ClientSettings,
    timings: Timings,
    current: Mutex<Current>,
}

struct Current {
    client: Client,
    /// Counts the clients, so that one failure of many calls makes one new client.
    generation: u64,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The settings hold the password.
        f.debug_struct("Connection").field("hosts", self.settings.hosts()).finish_non_exhaustive()
    }
}

impl Connection {
    /// Does not connect yet.
    pub(super) fn new(settings: ClientSettings, timings: Timings) -> Result<Self, ClientError> {
        check_authorities(&settings)?;
        let client = make_client(&settings)?;
        let current = Mutex::new(Current { client, generation: 0 });
        Ok(Self { settings, timings, current })
    }

    /// Whether nobody on the way can read along.
    pub(super) fn is_secure(&self) -> bool {
        self.settings.is_secure_mode_enabled()
    }

    pub(super) fn timings(&self) -> Timings {
        self.timings
    }

    /// A call with its time: discovery of the cluster, connecting, and the answer.
    pub(super) async fn call<T, F>(&self, ask: impl FnOnce(Client) -> F) -> Result<T, CallError>
    where
        F: Future<Output = kurrentdb::Result<T>>,
    {
        let (client, generation) = {
            let current = self.current();
            (current.client.clone(), current.generation)
        };
        let answer = match tokio::time::timeout(self.timings.call, ask(client)).await {
            Ok(answer) => answer.map_err(CallError::Client),
            Err(_) => Err(CallError::Timeout(self.timings.call)),
        };
        if answer.as_ref().is_err_and(CallError::spoils_client) {
            self.renew(generation);
        }
        answer
    }

    /// As [`Connection::call`], for what changes nothing: tried again while that may help.
    pub(super) async fn call_again<T, F>(
        &self,
        mut ask: impl FnMut(Client) -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = kurrentdb::Result<T>>,
    {
        let give_up_at = tokio::time::Instant::now() + self.timings.retry_for;
        loop {
            match self.call(&mut ask).await {
                Err(error) if error.is_passing() && tokio::time::Instant::now() < give_up_at => {
                    tokio::time::sleep(self.timings.retry_pause).await;
                }
                answer => return answer,
            }
        }
    }

    /// A client of its own for who keeps it long, and its generation.
    pub(super) fn lend(&self) -> (Client, u64) {
        let current = self.current();
        (current.client.clone(), current.generation)
    }

    /// Puts a new client in the place of the one of that generation, unless somebody has.
    pub(super) fn renew(&self, generation: u64) {
        let mut current = self.current();
        if current.generation != generation {
            return;
        }
        match make_client(&self.settings) {
            Ok(client) => *current = Current { client, generation: generation + 1 },
            Err(error) => warn!(error = ?error, "there is no new client of KurrentDB"),
        }
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_client(settings: &ClientSettings) -> Result<Client, ClientError> {
    Client::new(settings.clone()).map_err(|error| ClientError::Client(error.into()))
}

/// The client would panic.
fn check_authorities(settings: &ClientSettings) -> Result<(), ClientError> {
    let Some(path) = settings.tls_ca_file() else { return Ok(()) };
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match certificates {
        Ok(certificates) if !Vec::is_empty(&certificates) => Ok(()),
        _ => Err(ClientError::Authorities { path: path.into() }),
    }
}
