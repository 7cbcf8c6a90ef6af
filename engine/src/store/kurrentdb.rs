//! The event store in KurrentDB: a stream is a stream there, and the log is `$all` without its own.
//!
//! Appends carry the expected version; ids make a repeated one exact. Positions are offsets in
//! KurrentDB's log: with gaps. What only PostgreSQL can do is not declared in the capabilities.

mod address;
mod append;
mod connection;
mod event;
mod heads;
mod listener;
mod read;

pub use address::check_address;
pub use connection::{CallError, ClientError};

use super::subscription::Recent;
use super::{
    AppendError, Appended, Capabilities, ChainError, Engine, EventStore, Expected, Filter, Hash,
    ReadError, StoreUrlError, SubscriptionEvent, Verified,
};
use append::Proposal;
use async_trait::async_trait;
use connection::Connection;
use event::{hash, position_of};
use futures_util::stream::BoxStream;
use heads::Heads;
use listener::Listener;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The first version whose streams tell positions.
const OLDEST: (usize, usize) = (22, 10);
/// What a hash is where there is no event: as in an empty log of PostgreSQL.
const NO_HASH: Hash = super::row::GENESIS;

/// How long one waits for a KurrentDB.
#[derive(Debug, Clone, Copy)]
pub struct Timings {
    /// For one call, with the discovery of the cluster and connecting.
    pub call: Duration,
    /// While calls fail that may be answered later; an election takes seconds.
    pub retry_for: Duration,
    /// Between two tries.
    pub retry_pause: Duration,
    /// Between two looks whether the subscription tells all that there is.
    pub watch: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            call: Duration::from_secs(10),
            retry_for: Duration::from_secs(5),
            retry_pause: Duration::from_millis(250),
            watch: Duration::from_secs(5),
        }
    }
}

/// Why a KurrentDB can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address can't be used.
    #[error("EVENT_STORE_URL {0}")]
    Address(StoreUrlError),
    /// There is no client for it.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It does not answer, or refuses.
    #[error(
        "no KurrentDB answers there: check EVENT_STORE_URL, its user and password, and that it is up"
    )]
    Unreachable(#[source] CallError),
    /// It is too old.
    #[error("KurrentDB {0} is too old: it has to be 22.10 or later")]
    TooOld(String),
}

/// The store was shut down.
#[derive(Debug, thiserror::Error)]
#[error("the event store was shut down")]
struct Closed;

/// The event store in a KurrentDB of its own. Clones share everything.
#[derive(Debug, Clone)]
pub struct KurrentStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Arc<Connection>,
    heads: Arc<Heads>,
    recent: Arc<Recent>,
    version: String,
    stop: watch::Sender<bool>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl KurrentStore {
    /// Opens the KurrentDB at this address.
    ///
    /// # Errors
    /// [`ConnectError`] with what to do.
    pub async fn connect(url: &str) -> Result<Self, ConnectError> {
        Self::connect_within(url, Timings::default()).await
    }

    /// As [`KurrentStore::connect`], with other waits.
    ///
    /// # Errors
    /// [`ConnectError`] with what to do.
    pub async fn connect_within(url: &str, timings: Timings) -> Result<Self, ConnectError> {
        let settings = address::read_address(url).map_err(ConnectError::Address)?;
        let connection = Arc::new(Connection::new(settings, timings)?);
        let ask = |client: kurrentdb::Client| async move { client.server_info().await };
        let info = connection.call_again(ask).await.map_err(ConnectError::Unreachable)?;
        let version = info.version();
        if (version.major(), version.minor()) < OLDEST {
            return Err(ConnectError::TooOld(version.to_string()));
        }
        let head = read::read_head(&connection).await.map_err(ConnectError::Unreachable)?;
        let head = head.as_ref().map_or(Position::START, position_of);
        let heads = Arc::new(Heads::new(head));
        let listener = Listener::new(Arc::clone(&connection), Arc::clone(&heads), head);
        let (stop, stopped) = watch::channel(false);
        let listener = Mutex::new(Some(tokio::spawn(listener.run(stopped))));
        let version = version.to_string();
        let recent = Arc::default();
        Ok(Self(Arc::new(Shared { connection, heads, recent, version, stop, listener })))
    }
}

#[async_trait]
impl EventStore for KurrentStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let proposal = Proposal::new(stream, expected, events)?;
        if self.0.heads.is_closed() {
            return Err(AppendError::Unavailable(Box::new(Closed)));
        }
        let appended = proposal.append(&self.0.connection, self.0.heads.last()).await?;
        self.0.heads.raise(appended.position);
        Ok(appended)
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        self.read_stream_page(stream, from, usize::MAX).await
    }

    async fn read_stream_page(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        read::read_stream(&self.0.connection, stream, from, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let head = self.0.heads.last();
        read::read_all(&self.0.connection, after, filter, limit, head).await
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        let (heads, recent) = (self.0.heads.watch(), Arc::clone(&self.0.recent));
        super::subscription::follow(self.clone(), heads, recent, after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.head_hash().await?.0)
    }

    /// Ids are known again where a repeated append needs it, times are those of the leader's clock,
    /// and nothing shows that somebody with rights on the server's disk has changed an event.
    fn capabilities(&self) -> Capabilities {
        Capabilities { hash_chain: false, unique_ids: false, ordered_times: false }
    }
}

#[async_trait]
impl Engine for KurrentStore {
    fn describe(&self) -> String {
        let in_clear = if self.0.connection.is_secure() { "" } else { " without TLS" };
        format!("KurrentDB {}{in_clear}", self.0.version)
    }

    fn heads(&self) -> watch::Receiver<Position> {
        self.0.heads.watch()
    }

    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, ReadError> {
        let event = read::read_at(&self.0.connection, position).await?;
        event.as_ref().map(hash).transpose()
    }

    async fn head_hash(&self) -> Result<(Position, Hash), ReadError> {
        match read::read_head(&self.0.connection).await? {
            None => Ok((Position::START, NO_HASH)),
            Some(event) => Ok((position_of(&event), hash(&event)?)),
        }
    }

    async fn verify_chain(&self, _: Position, _: Position) -> Result<Verified, ChainError> {
        Err(ChainError::NotKept)
    }

    async fn shutdown(&self) {
        self.0.heads.close();
        self.0.stop.send_replace(true);
        let listener = self.0.listener.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(listener) = listener {
            listener.abort();
            // It was told to stop, or is aborted: either is an end.
            let _ = listener.await;
        }
    }
}
