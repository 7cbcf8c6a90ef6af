//! A log in memory whose reads can be held back, for the projections to follow.

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use ocim_domain::event::{DomainEvent, Metadata, NewEvent, Position, Recorded, StreamId};
use ocim_engine::store::{
    AppendError, Appended, Capabilities, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use uuid::Uuid;

/// How many events one read gives at most: small, so that histories take many batches.
const PAGE_EVENTS_MAX: usize = 40;

#[derive(Debug)]
pub(crate) struct FakeLog {
    events: Mutex<Vec<Recorded>>,
    head: watch::Sender<usize>,
    /// Reads fail from this position on.
    readable_to: Mutex<Option<Position>>,
}

/// Positions are offsets, with gaps: nothing may take them for numbers of events.
fn position(index: usize) -> Position {
    Position([(index as u64).saturating_mul(1_009); 2])
}

impl FakeLog {
    pub(crate) fn new() -> Arc<Self> {
        let head = watch::Sender::new(0);
        Arc::new(Self { events: Mutex::default(), head, readable_to: Mutex::default() })
    }

    /// Appends an event; answers where it stands.
    pub(crate) fn record<E: DomainEvent>(&self, stream: &StreamId, event: &E) -> Position {
        let (kind, _, data) = event.encode().unwrap();
        self.record_raw(stream, &kind, data)
    }

    /// Appends whatever it is given.
    pub(crate) fn record_raw(&self, stream: &StreamId, kind: &str, data: Value) -> Position {
        let mut events = self.events.lock().unwrap();
        let count = events.len() + 1;
        let start: ocim_domain::Timestamp = "2026-11-22T10:00:00Z".parse().unwrap();
        let version = events.iter().filter(|event| event.stream == *stream).count() as u64;
        events.push(Recorded {
            position: position(count),
            stream: stream.clone(),
            version,
            id: Uuid::from_u128(count as u128),
            kind: kind.to_owned(),
            schema: 1,
            data,
            meta: Metadata::by("token:tester"),
            recorded_at: start + chrono::TimeDelta::seconds(count as i64),
        });
        self.head.send_replace(count);
        position(count)
    }

    /// Lets reads fail from here on, or not at all.
    pub(crate) fn hold_back(&self, readable_to: Option<Position>) {
        *self.readable_to.lock().unwrap() = readable_to;
    }
}

#[async_trait]
impl EventStore for FakeLog {
    async fn append(
        &self,
        stream: &StreamId,
        _expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let ends = events.into_iter().map(|it| self.record_raw(stream, &it.kind, it.data));
        let position = ends.last().ok_or(AppendError::TooLarge)?;
        let version = self.read_stream(stream, 0).await.unwrap().len() as u64 - 1;
        Ok(Appended { version, position, duplicate: false })
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        let events = self.events.lock().unwrap();
        let wanted = |event: &&Recorded| event.stream == *stream && event.version >= from;
        Ok(events.iter().filter(wanted).cloned().collect())
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let events = self.events.lock().unwrap();
        let readable_to = self.readable_to.lock().unwrap().unwrap_or(position(usize::MAX));
        let rest = events.iter().filter(|event| event.position > after);
        let page: Vec<_> = rest.take(limit.min(PAGE_EVENTS_MAX)).cloned().collect();
        let seen = page.last().map_or(after, |event| event.position);
        if seen > readable_to {
            return Err(ReadError("held back by the test".into()));
        }
        Ok((page.into_iter().filter(|event| filter.admits(event)).collect(), seen))
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        // Enough for who only wants to be woken: tells how far the log reaches.
        assert_eq!(filter, Filter::default());
        let heads = stream::unfold((self.head.subscribe(), after), |(mut head, last)| async move {
            let next = *head.wait_for(|count| position(*count) > last).await.ok()?;
            Some((SubscriptionEvent::Checkpoint(position(next)), (head, position(next))))
        });
        heads.boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(position(self.events.lock().unwrap().len()))
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { hash_chain: false, unique_ids: false, ordered_times: true }
    }
}
