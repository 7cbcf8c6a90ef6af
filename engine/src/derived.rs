//! What is derived from the log and kept beside it, so that no start and no command reads it from its
//! beginning. Real: [`postgres`]. Tests, simulation: [`memory`].
//!
//! All of it may be deleted at any time: whoever misses it reads the log. So a failure here costs time,
//! and is never an error of who asks.

pub mod memory;
pub mod postgres;

use async_trait::async_trait;
use ocim_domain::event::{Position, StreamId};
use ocim_domain::port_error::PortError;
use serde_json::Value;

/// A stream folded up to a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Of which form its state is; see [`ocim_domain::snapshot::SnapshotFormat`].
    pub schema: u16,
    /// The version of the last event folded.
    pub version: u64,
    /// That event's position.
    pub position: Position,
    /// The state.
    pub state: Value,
}

/// Which items, of which form: those of another form are never mixed with these.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TrackerId {
    /// Who keeps them.
    pub name: String,
    /// Their form, and what events mean for them.
    pub schema: u16,
}

/// Items as they are once all events up to a position are taken in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrackedItems {
    /// The position.
    pub position: Position,
    /// The items by their keys.
    pub items: Vec<(String, Value)>,
}

/// How items have changed between two positions.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackedChanges {
    /// Where they stood.
    pub from: Position,
    /// Where they stand.
    pub to: Position,
    /// The items by their keys; none for one that is no more.
    pub items: Vec<(String, Option<Value>)>,
}

/// Keeps snapshots of streams, and the items of trackers with their checkpoints.
#[async_trait]
pub trait Derived: Send + Sync + std::fmt::Debug {
    /// The snapshot of a stream, if there is one of that schema.
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: u16,
    ) -> Result<Option<Snapshot>, PortError>;

    /// Keeps a snapshot in place of the one of before; never an older one of the same schema.
    async fn save_snapshot(&self, stream: &StreamId, snapshot: Snapshot) -> Result<(), PortError>;

    /// The items with their checkpoint, of one moment; nothing at the log's beginning where there are
    /// none yet.
    async fn load_items(&self, id: &TrackerId) -> Result<TrackedItems, PortError>;

    /// Applies the changes if the checkpoint is still at their `from`, all or nothing; else returns
    /// where it is, if there is one.
    async fn save_items(
        &self,
        id: &TrackerId,
        changes: TrackedChanges,
    ) -> Result<Result<(), Option<Position>>, PortError>;

    /// Deletes everything: the log is not the one that it was derived from.
    async fn forget_all(&self) -> Result<(), PortError>;
}
