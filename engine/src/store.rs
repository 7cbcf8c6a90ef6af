//! The event store: one narrow trait for every engine, and the errors its callers must tell apart.

pub mod conformance;
mod engine;
#[cfg(feature = "kurrentdb")]
pub mod kurrentdb;
pub mod memory;
mod open;
pub mod postgres;
mod row;
pub mod sealed;
mod subscription;

pub use engine::{Capabilities, ChainError, Engine, Verified};
pub use open::{OpenError, StoreUrlError, check_store_url, open_store};
pub use row::Hash;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use std::time::Duration;

/// What the writer knows of the stream. There is no "any": a repeated append is only exact with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// The stream has no event yet.
    NoStream,
    /// The last event's version.
    Exact(u64),
}

/// What an append did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Version of the last event appended.
    pub version: u64,
    /// Position of the last event appended.
    pub position: Position,
    /// True when exactly these events (by id) had been appended before.
    pub duplicate: bool,
}

/// Why events could not be appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody else wrote first; `current` is the stream's last version.
    #[error("the stream has moved on")]
    Conflict {
        /// The last version; `None` where the stream does not exist.
        current: Option<u64>,
    },
    /// The append is larger than 1 MiB, or empty.
    #[error("an append takes between 1 byte and 1 MiB of events")]
    TooLarge,
    /// These events can never go in, e.g. for an id that other events have.
    #[error("the event store refuses these events")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store's queue is full: come back later.
    #[error("the event store is busy")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The store can't be reached; nothing was written.
    #[error("the event store is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The reply was lost and could not be found out in time; the same append may be repeated.
    #[error("it is unknown whether the events were written")]
    OutcomeUnknown(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why events could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the event store is unavailable")]
pub struct ReadError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Which events of the whole log one wants; empty lists mean "all".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Categories of streams, e.g. `instance`.
    pub categories: Vec<String>,
    /// Event kinds, e.g. `instance.created`.
    pub kinds: Vec<String>,
}

impl Filter {
    /// Whether an event passes.
    #[must_use]
    pub fn admits(&self, event: &Recorded) -> bool {
        self.admits_named(event.stream.category(), &event.kind)
    }

    /// As [`Filter::admits`], of an event that is not read yet.
    #[must_use]
    pub fn admits_named(&self, category: &str, kind: &str) -> bool {
        let any = |list: &[String], text: &str| list.is_empty() || list.iter().any(|x| x == text);
        any(&self.categories, category) && any(&self.kinds, kind)
    }
}

/// What a subscription tells.
#[derive(Debug, Clone, PartialEq)]
pub enum SubscriptionEvent {
    /// The next event that passes the filter.
    Event(Box<Recorded>),
    /// Everything up to here was seen, though nothing passed the filter.
    Checkpoint(Position),
    /// The subscriber has all there was; what follows is live.
    CaughtUp(Position),
}

/// An append-only log of events in streams, with one order over all.
#[async_trait]
pub trait EventStore: Send + Sync + std::fmt::Debug {
    /// Appends all events or none. Repeating an append with the same ids and expectation answers
    /// as the first did, with `duplicate` set.
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError>;

    /// The stream's events from version `from` on, in order; empty if there is no such stream.
    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError>;

    /// At most `limit` of the stream's events from version `from` on, in order: who folds a long
    /// stream need not hold all of it. An engine that can't read a part reads all.
    async fn read_stream_page(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let mut events = self.read_stream(stream, from).await?;
        events.truncate(limit);
        Ok(events)
    }

    /// At most `limit` events after `after` that pass, in order, and the position up to which all
    /// were looked at (the last event's, or the head's when nothing more is there).
    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError>;

    /// All events after `after`, then live ones, for ever; reconnects inside, loses none.
    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent>;

    /// The last event's position, [`Position::START`] when empty.
    async fn head(&self) -> Result<Position, ReadError>;

    /// What it can do beyond that.
    fn capabilities(&self) -> Capabilities;
}
