//! The event store in PostgreSQL: appends go through one committer, reads through a pool.

mod batch;
mod chain;
mod committer;
mod complaint;
mod read;
mod session;
mod wakeup;

pub use complaint::{is_disk_full, is_table_missing, is_value_refused};
pub use session::ConnectError;

use super::row::{EncodedAppend, Hash};
use super::subscription::Recent;
use super::{
    AppendError, Appended, Capabilities, ChainError, Engine, EventStore, Expected, Filter,
    ReadError, SubscriptionEvent, Verified,
};
use crate::database::DatabaseAddress;
use async_trait::async_trait;
use committer::{Committer, Request};
use deadpool_postgres::Pool;
use futures_util::stream::BoxStream;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use read::Reader;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use wakeup::Wakeup;

/// Appends that wait for the committer; more are refused as `Busy`.
const QUEUE_APPENDS_MAX: usize = 4_096;
/// What a refused caller is told to wait.
const BUSY_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long `shutdown` waits for what was accepted.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(8);

/// The event store in schema `es` of a PostgreSQL database. Clones share everything.
#[derive(Debug, Clone)]
pub struct PostgresStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Request>,
    heads: watch::Receiver<Position>,
    reader: Reader,
    recent: Arc<Recent>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

/// The store was shut down, or its committer is gone.
#[derive(Debug, thiserror::Error)]
#[error("the event store was shut down")]
struct Closed;

impl PostgresStore {
    /// Opens the store in a migrated database. `database` serves two connections of its own (one
    /// appends, one listens and notifies); `pool` serves the reads.
    ///
    /// # Errors
    /// [`ConnectError`] if the database can't be reached or has no event log.
    pub async fn connect(database: DatabaseAddress, pool: Pool) -> Result<Self, ConnectError> {
        let first_session = session::open_appender(&database).await?;
        let reader = Reader::new(pool);
        let head = reader.head().await.map_err(ConnectError::Read)?;
        let (queue, requests) = mpsc::channel(QUEUE_APPENDS_MAX);
        let (stop, stopped) = watch::channel(false);
        let (heads_in, heads) = watch::channel(head);
        let heads_in = Arc::new(heads_in);
        let (committed_in, committed) = watch::channel(head);
        let committer = Committer::new(
            database.clone(),
            first_session,
            requests,
            [Arc::clone(&heads_in), Arc::new(committed_in)],
        );
        let wakeup = Wakeup { database, heads: heads_in, committed };
        let tasks = Mutex::new(vec![
            tokio::spawn(committer.run(stopped.clone())),
            tokio::spawn(wakeup.run(stopped)),
        ]);
        Ok(Self(Arc::new(Shared { queue, heads, reader, recent: Arc::default(), stop, tasks })))
    }
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let append = EncodedAppend::encode(stream, expected, events)?;
        let (reply, answer) = oneshot::channel();
        self.0.queue.try_send(Request { append, reply }).map_err(|error| match error {
            TrySendError::Full(_) => AppendError::Busy { retry_after: BUSY_RETRY_AFTER },
            TrySendError::Closed(_) => AppendError::Unavailable(Box::new(Closed)),
        })?;
        answer.await.unwrap_or_else(|_| Err(AppendError::OutcomeUnknown(Box::new(Closed))))
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        self.0.reader.read_stream(stream, from, usize::MAX).await
    }

    async fn read_stream_page(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.0.reader.read_stream(stream, from, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        self.0.reader.read_all(after, filter, limit).await
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        let (heads, recent) = (self.0.heads.clone(), Arc::clone(&self.0.recent));
        super::subscription::follow(self.clone(), heads, recent, after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.0.reader.head().await
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { hash_chain: true, unique_ids: true, ordered_times: true }
    }
}

#[async_trait]
impl Engine for PostgresStore {
    fn describe(&self) -> String {
        "PostgreSQL".to_owned()
    }

    fn heads(&self) -> watch::Receiver<Position> {
        self.0.heads.clone()
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, ReadError> {
        self.0.reader.hash_at(position.0[0]).await
    }

    async fn head_hash(&self) -> Result<(Position, Hash), ReadError> {
        self.0.reader.head_hash().await
    }

    async fn verify_chain(&self, after: Position, to: Position) -> Result<Verified, ChainError> {
        chain::verify(&self.0.reader, after, to).await
    }

    /// What was accepted is appended before. Reads go on while the pool does.
    async fn shutdown(&self) {
        self.0.stop.send_replace(true);
        let tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        let deadline = tokio::time::Instant::now() + SHUTDOWN_TIMEOUT;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!("the event store did not stop in time; its task is aborted");
                task.abort();
            }
        }
    }
}
