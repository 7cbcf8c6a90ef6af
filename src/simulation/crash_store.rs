//! The log as a simulated process sees it: it may "die" before or after each append, and what it
//! reads is deciphered once.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use ocim_adapters::simulated::crashes::Crashes;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use ocim_engine::store::sealed::SealedStore;
use ocim_engine::store::{
    AppendError, Appended, Capabilities, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A store whose streams come open, from memory: deciphering each of them at each read is half of
/// a simulation's time. What is appended goes into the log as it comes, sealed.
#[derive(Debug)]
pub struct OpenedStore {
    log: Arc<dyn EventStore>,
    opening: SealedStore,
    streams: Mutex<BTreeMap<StreamId, Vec<Recorded>>>,
}

impl OpenedStore {
    /// Before `log`, which `opening` can read.
    #[must_use]
    pub fn new(log: Arc<dyn EventStore>, opening: SealedStore) -> Self {
        Self { log, opening, streams: Mutex::default() }
    }

    fn streams(&self) -> MutexGuard<'_, BTreeMap<StreamId, Vec<Recorded>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream's events from that version on, opened.
    ///
    /// # Errors
    /// What the log says.
    pub async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
    ) -> Result<Vec<Recorded>, ReadError> {
        let known = self.streams().get(stream).map_or(0, |events| events.len() as u64);
        let newer = self.opening.read_stream(stream, known).await?;
        let mut streams = self.streams();
        let events = streams.entry(stream.clone()).or_default();
        // Somebody else may have read them meanwhile.
        let next = events.len() as u64;
        events.extend(newer.into_iter().filter(|event| event.version >= next));
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(events.len());
        Ok(events[from..].to_vec())
    }
}

/// The log, for a process that dies now and then.
#[derive(Debug)]
pub(super) struct CrashStore {
    pub(super) opened: Arc<OpenedStore>,
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
        let appended = self.opened.log.append(stream, expected, events).await;
        self.crashes.pass(&key, "after append").await;
        appended
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        self.opened.read_stream(stream, from).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        self.opened.log.read_all(after, filter, limit).await
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        self.opened.log.subscribe_all(after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.opened.log.head().await
    }

    fn capabilities(&self) -> Capabilities {
        self.opened.log.capabilities()
    }
}
