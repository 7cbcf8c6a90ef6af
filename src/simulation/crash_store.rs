//! An event store whose user may "die" before or after each append.

use crate::adapters::simulated::crashes::Crashes;
use crate::store::memory::MemoryStore;
use crate::store::{
    AppendError, Appended, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use std::sync::Arc;

/// The memory store, as a process sees it that dies now and then.
#[derive(Debug)]
pub(super) struct CrashStore {
    pub(super) inner: MemoryStore,
    pub(super) crashes: Arc<Crashes>,
}

#[async_trait]
impl EventStore for CrashStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let key = stream.to_string();
        self.crashes.pass(&key, "before append").await;
        let appended = self.inner.append(stream, expected, events).await;
        self.crashes.pass(&key, "after append").await;
        appended
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read_stream(stream, from).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        self.inner.read_all(after, filter, limit).await
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        self.inner.subscribe_all(after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }
}
