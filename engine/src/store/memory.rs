//! The event store in memory: the model that the other engines are compared with, for tests.

use super::row::{
    EncodedAppend, EncodedEvent, GENESIS, Hash, Refusal, Row, position, whole_micros,
};
use super::subscription::Recent;
use super::{
    AppendError, Appended, Capabilities, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use ocim_domain::system::Clock;
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
    positions: Positions,
    recent: Arc<Recent>,
}

/// Which position follows another.
#[derive(Debug, Clone, Copy)]
enum Positions {
    /// The `i`-th event has position `i`, as in PostgreSQL.
    Gapless,
    /// Each event stands behind the bytes of the one before, in two equal numbers, as in KurrentDB.
    Offsets,
}

impl Positions {
    fn after(self, last: Option<&Row>) -> Position {
        match (self, last) {
            (Self::Gapless, last) => position(last.map_or(1, |row| row.position.0[0] + 1)),
            (Self::Offsets, None) => Position([OFFSET_FIRST; 2]),
            (Self::Offsets, Some(row)) => {
                let bytes = ENVELOPE_BYTES + row.data.len() + row.meta.len();
                Position([row.position.0[0] + bytes as u64; 2])
            }
        }
    }
}

/// Where a log of offsets begins: behind what its engine keeps for itself.
const OFFSET_FIRST: u64 = 4_096;
/// What an event takes beside its texts.
const ENVELOPE_BYTES: usize = 64;

/// The rows in order of their positions.
#[derive(Debug, Default, Clone)]
struct Log {
    rows: Vec<Row>,
    by_stream: HashMap<StreamId, Vec<usize>>,
    by_id: HashMap<Uuid, usize>,
}

impl MemoryStore {
    /// An empty store that dates events by `clock`. Its positions are without gaps.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with(Log::default(), clock, Positions::Gapless)
    }

    /// As [`MemoryStore::new`], but positions are offsets, as those of KurrentDB: nothing above a
    /// store may take them for numbers of events.
    #[must_use]
    pub fn with_gaps(clock: Arc<dyn Clock>) -> Self {
        Self::with(Log::default(), clock, Positions::Offsets)
    }

    /// A store with the same events, which goes its own way from here on, by another clock.
    #[must_use]
    pub fn fork(&self, clock: Arc<dyn Clock>) -> Self {
        Self::with(self.log().clone(), clock, self.0.positions)
    }

    fn with(log: Log, clock: Arc<dyn Clock>, positions: Positions) -> Self {
        let (heads, _) = watch::channel(log.head_hash().0);
        Self(Arc::new(Shared {
            log: Mutex::new(log),
            heads,
            clock,
            positions,
            recent: Arc::default(),
        }))
    }

    /// How many events there are.
    #[must_use]
    pub fn count_events(&self) -> u64 {
        self.log().rows.len() as u64
    }

    /// The last event's position and hash; those before the first event when empty.
    #[must_use]
    pub fn head_hash(&self) -> (Position, Hash) {
        self.log().head_hash()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.0.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn head_hash(&self) -> (Position, Hash) {
        self.rows.last().map_or((Position::START, GENESIS), |row| (row.position, row.hash))
    }

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
        Some(Appended { version: last.version, position: last.position, duplicate: true })
    }

    fn push(&mut self, stream: &StreamId, version: u64, event: EncodedEvent, shared: &Shared) {
        let previous = self.rows.last();
        let now = whole_micros(shared.clock.now());
        let mut row = Row {
            position: shared.positions.after(previous),
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
            log.push(stream, version, event, &self.0);
        }
        let last = &log.rows[log.rows.len() - 1];
        let appended =
            Appended { version: last.version, position: last.position, duplicate: false };
        // Told under the lock, so that heads never run backwards.
        self.0.heads.send_replace(appended.position);
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
        let log = self.log();
        let rows = log.by_stream.get(stream).map_or(&[][..], Vec::as_slice);
        // Versions are without gaps, from 0.
        let first = usize::try_from(from).unwrap_or(usize::MAX).min(rows.len());
        let page = rows[first..].iter().take(limit).map(|row| &log.rows[*row]);
        page.cloned().map(Row::into_recorded).collect()
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let log = self.log();
        let mut events = Vec::new();
        let seen = log.rows.partition_point(|row| row.position <= after);
        for row in log.rows.iter().skip(seen) {
            if events.len() == limit {
                break;
            }
            if filter.admits_named(row.stream.category(), &row.kind) {
                events.push(row.clone().into_recorded()?);
            }
        }
        let looked_at = if events.len() < limit {
            log.head_hash().0.max(after)
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
        let (heads, recent) = (self.0.heads.subscribe(), Arc::clone(&self.0.recent));
        super::subscription::follow(self.clone(), heads, recent, after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.head_hash().0)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { hash_chain: true, unique_ids: true, ordered_times: true }
    }
}
