//! Opens the engine that the configuration asks for, or says why that can't be.

use super::Engine;
use super::postgres::{ConnectError, PostgresStore};
use crate::database::DatabaseAddress;
use deadpool_postgres::Pool;
use std::sync::Arc;

/// What a value of `EVENT_STORE_URL` breaks, to be read after its name; none of the texts shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StoreUrlError {
    /// It is no address of a KurrentDB.
    #[error("must be a URL like kurrentdb://user:password@host:2113")]
    Malformed,
    /// It wants to read where what was just written may not be yet.
    #[error("takes no nodePreference but leader: Ocim reads what it has just written")]
    NotLeader,
    /// This program has no such engine.
    #[error(
        "needs an Ocim that was built with `--features kurrentdb`, which this one was not \
         (docs/KURRENTDB.md)"
    )]
    NotBuilt,
}

/// Why the event store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The one in the database.
    #[error("the event log of the database can't be opened")]
    Postgres(#[from] ConnectError),
    /// The URL can't be used.
    #[error("EVENT_STORE_URL {0}")]
    Url(StoreUrlError),
    /// The KurrentDB.
    #[cfg(feature = "kurrentdb")]
    #[error("the KurrentDB of EVENT_STORE_URL can't be opened")]
    KurrentDb(#[from] super::kurrentdb::ConnectError),
    /// Events are in the database: another log would not be the one that its read models show.
    #[error(
        "EVENT_STORE_URL is set, but the database of DATABASE_URL holds events already: unset it, \
         or name a new database (events are not moved from one to the other)"
    )]
    EventsInDatabase,
    /// The database can't be asked.
    #[error("the database can't be asked whether it holds events")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Looks at a value of `EVENT_STORE_URL` without connecting.
///
/// # Errors
/// [`StoreUrlError`].
#[cfg(feature = "kurrentdb")]
pub fn check_store_url(url: &str) -> Result<(), StoreUrlError> {
    super::kurrentdb::check_address(url)
}

/// Looks at a value of `EVENT_STORE_URL`: none can be used.
///
/// # Errors
/// [`StoreUrlError`].
#[cfg(not(feature = "kurrentdb"))]
pub fn check_store_url(url: &str) -> Result<(), StoreUrlError> {
    let is_meant = url.starts_with("kurrentdb");
    Err(if is_meant { StoreUrlError::NotBuilt } else { StoreUrlError::Malformed })
}

/// Opens the engine at `url`; without one, the log of the migrated database.
///
/// # Errors
/// [`OpenError`].
pub async fn open_store(
    url: Option<&str>,
    database: &DatabaseAddress,
    pool: &Pool,
) -> Result<Arc<dyn Engine>, OpenError> {
    let Some(url) = url else {
        let store = PostgresStore::connect(database.clone(), pool.clone()).await?;
        return Ok(Arc::new(store));
    };
    check_store_url(url).map_err(OpenError::Url)?;
    if holds_events(pool).await? {
        return Err(OpenError::EventsInDatabase);
    }
    connect(url).await
}

#[cfg(feature = "kurrentdb")]
async fn connect(url: &str) -> Result<Arc<dyn Engine>, OpenError> {
    Ok(Arc::new(super::kurrentdb::KurrentStore::connect(url).await?))
}

#[cfg(not(feature = "kurrentdb"))]
async fn connect(_: &str) -> Result<Arc<dyn Engine>, OpenError> {
    Err(OpenError::Url(StoreUrlError::NotBuilt))
}

async fn holds_events(pool: &Pool) -> Result<bool, OpenError> {
    let client = pool.get().await.map_err(|error| OpenError::Database(error.into()))?;
    let row = client.query_one("select exists (select from es.events)", &[]).await;
    Ok(row.map_err(|error| OpenError::Database(error.into()))?.get(0))
}
