//! An engine beneath all else: what it can do beyond what every store does, and where its log ends.

use super::{EventStore, Hash, ReadError};
use async_trait::async_trait;
use ocim_domain::event::Position;
use tokio::sync::watch;

/// What an engine can do beyond the contract of [`EventStore`]. PostgreSQL can do all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// Each event's hash covers all events before it: a change of any of them is found.
    pub hash_chain: bool,
    /// An id that some event has is refused, wherever it comes again. Without it, ids are known
    /// again at the same place of the same stream alone, which is what a repeated append needs.
    pub unique_ids: bool,
    /// `recorded_at` never runs backwards along positions, whoever wrote the events.
    pub ordered_times: bool,
}

/// What was found in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// How many events were checked.
    pub events: u64,
    /// The last one's position.
    pub head: Position,
    /// The last one's hash.
    pub hash: Hash,
}

/// Why the chain could not be verified.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The log was changed at this event, or just before it.
    #[error("the event log is broken at position {position}: {reason}")]
    Broken {
        /// The first event that does not fit.
        position: Position,
        /// What does not fit.
        reason: &'static str,
    },
    /// The engine has no [`Capabilities::hash_chain`].
    #[error("this event store keeps no hash chain, so that only the log's end can be checked")]
    NotKept,
    /// The log can't be read.
    #[error("the event log can't be verified")]
    Unreadable(#[from] ReadError),
}

/// An engine: what keeps events outside of this process.
#[async_trait]
pub trait Engine: EventStore {
    /// What it is, for people: e.g. `KurrentDB 25.1.0`.
    fn describe(&self) -> String;

    /// The log's end, as it moves on by whoever's appends.
    fn heads(&self) -> watch::Receiver<Position>;

    /// The hash of the event at this position, if there is one: it tells this event from any
    /// other, and with [`Capabilities::hash_chain`] also all that came before it.
    async fn hash_at(&self, position: Position) -> Result<Option<Hash>, ReadError>;

    /// The last event's position and hash, to be kept outside of the engine: they show later that
    /// the log's end was not cut off.
    async fn head_hash(&self) -> Result<(Position, Hash), ReadError>;

    /// Checks the hash chain of all events after `after`, up to and with `to`, page by page.
    async fn verify_chain(&self, after: Position, to: Position) -> Result<Verified, ChainError>;

    /// Appends what was accepted, then closes the engine's own connections. Later appends are
    /// refused as `Unavailable` and subscriptions end.
    async fn shutdown(&self);
}
