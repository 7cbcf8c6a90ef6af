//! A pooled connection that is given up when something went wrong on it, and what that may be.

use deadpool_postgres::{Client, Object, Pool, PoolError};
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio_postgres::error::{Error, SqlState};

/// Why the read models could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectorError {
    /// The database, or the event store, can't be reached or did not answer in time.
    #[error("the read models can't be written at the moment")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The database does not take these rows, however often they are sent.
    #[error("the database refuses the rows ({code}): {message}")]
    Refused {
        /// The `SQLSTATE`.
        code: String,
        /// The database's message, without the rows.
        message: String,
    },
    /// A newer program makes the read model, or has made what readers see.
    #[error(
        "the read model `{name}` is of version {version}, which a newer Ocim has made: use that one"
    )]
    Newer {
        /// The projection.
        name: String,
        /// The version of what is there.
        version: i32,
    },
    /// There is no projection of this name.
    #[error("there is no projection `{name}`")]
    UnknownProjection {
        /// The name that was given.
        name: String,
    },
}

impl From<Error> for ProjectorError {
    fn from(error: Error) -> Self {
        match error.as_db_error() {
            Some(refusal) if !is_passing(refusal.code()) => Self::Refused {
                code: refusal.code().code().to_owned(),
                message: refusal.message().to_owned(),
            },
            Some(_) | None => Self::Unavailable(Box::new(error)),
        }
    }
}

impl From<PoolError> for ProjectorError {
    fn from(error: PoolError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<Elapsed> for ProjectorError {
    fn from(error: Elapsed) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

impl From<crate::store::ReadError> for ProjectorError {
    fn from(error: crate::store::ReadError) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// Whether the same statement may work later: connection, read-only standby, conflict, resources,
/// lock, operator, system.
fn is_passing(code: &SqlState) -> bool {
    ["08", "25", "40", "53", "55", "57", "58"].iter().any(|class| code.code().starts_with(class))
}

/// How long any exchange with the database may take.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(30);

/// A connection that goes back to the pool only once [`finish`](Self::finish)ed: after an error, a
/// timeout or a cancelled task nobody knows what still runs on it.
pub(super) struct Connection(Option<Object>);

impl Connection {
    pub(super) async fn get(pool: &Pool) -> Result<Self, ProjectorError> {
        Ok(Self(Some(within_limit(async { Ok(pool.get().await?) }).await?)))
    }

    /// Gives it back.
    pub(super) fn finish(mut self) {
        self.0 = None;
    }
}

impl Deref for Connection {
    type Target = Client;
    #[expect(clippy::expect_used, reason = "only `finish` takes it, which consumes the value")]
    fn deref(&self) -> &Client {
        self.0.as_ref().expect("a connection in use")
    }
}

impl DerefMut for Connection {
    #[expect(clippy::expect_used, reason = "only `finish` takes it, which consumes the value")]
    fn deref_mut(&mut self) -> &mut Client {
        self.0.as_mut().expect("a connection in use")
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

/// Gives up on work that takes longer than any exchange may.
pub(super) async fn within_limit<T>(
    work: impl Future<Output = Result<T, ProjectorError>>,
) -> Result<T, ProjectorError> {
    tokio::time::timeout(EXCHANGE_LIMIT, work).await?
}
