//! What is derived, in memory: for processes that share no database.

use super::{Derived, Snapshot, TrackedChanges, TrackedItems, TrackerId};
use async_trait::async_trait;
use ocim_domain::event::{Position, StreamId};
use ocim_domain::port_error::PortError;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Clones share everything.
#[derive(Debug, Clone, Default)]
pub struct MemoryDerived(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    snapshots: BTreeMap<StreamId, Snapshot>,
    trackers: BTreeMap<TrackerId, (Position, BTreeMap<String, Value>)>,
}

impl MemoryDerived {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Derived for MemoryDerived {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: u16,
    ) -> Result<Option<Snapshot>, PortError> {
        let kept = self.lock().snapshots.get(stream).cloned();
        Ok(kept.filter(|kept| kept.schema == schema))
    }

    async fn save_snapshot(&self, stream: &StreamId, snapshot: Snapshot) -> Result<(), PortError> {
        let mut kept = self.lock();
        let is_newer = kept.snapshots.get(stream).is_none_or(|known| {
            known.schema != snapshot.schema || known.version < snapshot.version
        });
        if is_newer {
            kept.snapshots.insert(stream.clone(), snapshot);
        }
        Ok(())
    }

    async fn load_items(&self, id: &TrackerId) -> Result<TrackedItems, PortError> {
        let mut kept = self.lock();
        let (position, items) = kept.trackers.entry(id.clone()).or_default();
        let items = items.iter().map(|(key, item)| (key.clone(), item.clone())).collect();
        Ok(TrackedItems { position: *position, items })
    }

    async fn save_items(
        &self,
        id: &TrackerId,
        changes: TrackedChanges,
    ) -> Result<Result<(), Option<Position>>, PortError> {
        let mut kept = self.lock();
        let Some((position, items)) = kept.trackers.get_mut(id) else { return Ok(Err(None)) };
        if *position != changes.from {
            return Ok(Err(Some(*position)));
        }
        *position = changes.to;
        for (key, item) in changes.items {
            match item {
                Some(item) => drop(items.insert(key, item)),
                None => drop(items.remove(&key)),
            }
        }
        Ok(Ok(()))
    }

    async fn forget_all(&self) -> Result<(), PortError> {
        *self.lock() = Kept::default();
        Ok(())
    }
}
