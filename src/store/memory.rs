//! The event store in memory: the model that the other engines are compared with, for tests.

use super::row::{
    EncodedAppend, EncodedEvent, GENESIS, Hash, Refusal, Row, position, whole_micros,
};
use super::{AppendError, Appended, EventStore, Expected, Filter, ReadError, SubscriptionEvent};
use crate::ports::system::Clock;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// An event store that ends with the process. Clones share their events.
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    log: Mutex<Log>,
    heads: watch::Sender<Position>,
    clock: Arc<dyn Clock>,
}

/// The rows in order; the `i`-th has position `i + 1`.
#[derive(Debug, Default, Clone)]
struct Log {
    rows: Vec<Row>,
    by_stream: HashMap<StreamId, Vec<usize>>,
    by_id: HashMap<Uuid, usize>,
}

impl MemoryStore {
    /// An empty store that dates events by `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let (heads, _) = watch::channel(Position::START);
        Self(Arc::new(Shared { log: Mutex::default(), heads, clock }))
    }

    /// A store with the same events, which goes its own way from here on, by another clock.
    #[must_use]
    pub fn fork(&self, clock: Arc<dyn Clock>) -> Self {
        let log = self.log().clone();
        let (heads, _) =
            watch::channel(log.rows.last().map_or(Position::START, |r| position(r.pos)));
        Self(Arc::new(Shared { log: Mutex::new(log), heads, clock }))
    }

    /// The last event's position and hash; those before the first event when empty.
    #[must_use]
    pub fn head_hash(&self) -> (Position, Hash) {
        self.log().rows.last().map_or((Position::START, GENESIS), |r| (position(r.pos), r.hash))
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn current(&self, stream: &StreamId) -> Option<u64> {
        let rows = self.by_stream.get(stream)?;
        Some(self.rows[*rows.last()?].version)
    }

    /// The answer to an append that went in before, if it did.
    fn find_duplicate(&self, append: &EncodedAppend, first: u64) -> Option<Appended> {
        let mut last = None;
        for (count, event) in (0..).zip(&append.events) {
            let row = &self.rows[*self.by_id.get(&event.id)?];
            if row.stream != append.stream || Some(row.version) != first.checked_add(count) {
                return None;
            }
            last = Some(row);
        }
        let last = last?;
        let position = position(last.pos);
        Some(Appended { version: last.version, position, duplicate: true })
    }

    fn push(&mut self, stream: &StreamId, version: u64, event: EncodedEvent, clock: &dyn Clock) {
        let previous = self.rows.last();
        let now = whole_micros(clock.now());
        let mut row = Row {
            pos: self.rows.len() as u64 + 1,
            stream: stream.clone(),
            version,
            id: event.id,
            kind: event.kind,
            schema: event.schema,
            data: event.data,
            meta: event.meta,
            recorded_at: previous.map_or(now, |row| row.recorded_at.max(now)),
            hash: GENESIS,
        };
        row.hash = row.hash_after(&previous.map_or(GENESIS, |row| row.hash));
        self.by_stream.entry(stream.clone()).or_default().push(self.rows.len());
        self.by_id.insert(row.id, self.rows.len());
        self.rows.push(row);
    }
}

#[async_trait]
impl EventStore for MemoryStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let append = EncodedAppend::encode(stream, expected, events)?;
        let mut log = self.log();
        let first = match expected {
            Expected::NoStream => 0,
            Expected::Exact(version) => version.saturating_add(1),
        };
        if let Some(duplicate) = log.find_duplicate(&append, first) {
            return Ok(duplicate);
        }
        let current = log.current(stream);
        if current.map_or(0, |version| version + 1) != first {
            return Err(AppendError::Conflict { current });
        }
        if append.events.iter().any(|event| log.by_id.contains_key(&event.id)) {
            return Err(Refusal::IdTaken.into());
        }
        for (version, event) in (first..).zip(append.events) {
            log.push(stream, version, event, &*self.0.clock);
        }
        let last = &log.rows[log.rows.len() - 1];
        let appended =
            Appended { version: last.version, position: position(last.pos), duplicate: false };
        // Told under the lock, so that heads never run backwards.
        self.0.heads.send_replace(appended.position);
        Ok(appended)
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        let log = self.log();
        let rows = log.by_stream.get(stream).map_or(&[][..], Vec::as_slice);
        let rows = rows.iter().map(|row| &log.rows[*row]).filter(|row| row.version >= from);
        rows.cloned().map(Row::into_recorded).collect()
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let log = self.log();
        let mut events = Vec::new();
        // The row at position n is the n-th.
        let seen = usize::try_from(after.0[0]).unwrap_or(usize::MAX);
        for row in log.rows.iter().skip(seen) {
            if events.len() == limit {
                break;
            }
            if filter.admits_named(row.stream.category(), &row.kind) {
                events.push(row.clone().into_recorded()?);
            }
        }
        let looked_at = if events.len() < limit {
            log.rows.last().map_or(after, |row| position(row.pos).max(after))
        } else {
            events.last().map_or(after, |event| event.position)
        };
        Ok((events, looked_at))
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        super::subscription::follow(self.clone(), self.0.heads.subscribe(), after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.head_hash().0)
    }
}
