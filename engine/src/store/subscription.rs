//! Catch-up and live subscriptions over any engine that pages through its log and tells its head.

use super::{EventStore, Filter, ReadError, SubscriptionEvent};
use crate::payload::weigh;
use futures_util::stream::{self, BoxStream, StreamExt};
use ocim_domain::event::{Position, Recorded};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tracing::warn;

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;
/// The wait after a read that failed.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// The newest events of the log, kept for those who follow it live: at most so many, and so many bytes.
const RECENT_EVENTS_MAX: usize = 512;
const RECENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What the log's end looks like: read once for all who follow it, however many they are.
#[derive(Debug, Default)]
pub(super) struct Recent(Mutex<Tail>);

/// All events after `from`, up to and with `to`.
#[derive(Debug, Default)]
struct Tail {
    from: Position,
    to: Position,
    events: VecDeque<(Recorded, usize)>,
    bytes: usize,
}

impl Recent {
    /// The events after `after` that pass, and the position up to which all were looked at.
    async fn read(
        &self,
        store: &impl EventStore,
        after: Position,
        filter: &Filter,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let mut tail = self.0.lock().await;
        if after < tail.from {
            drop(tail);
            return store.read_all(after, filter, PAGE_EVENTS).await;
        }
        if after >= tail.to {
            if after > tail.to {
                *tail = Tail { from: after, to: after, ..Tail::default() };
            }
            // Whoever comes meanwhile waits for the same events.
            let read = store.read_all(after, &Filter::default(), PAGE_EVENTS).await?;
            tail.extend(read);
        }
        let newer = tail.events.iter().map(|(event, _)| event);
        let newer = newer.filter(|event| event.position > after && filter.admits(event));
        let found = newer.cloned().collect();
        let looked_at = tail.to;
        tail.trim();
        Ok((found, looked_at))
    }
}

impl Tail {
    fn extend(&mut self, (events, looked_at): (Vec<Recorded>, Position)) {
        for event in events {
            let bytes = weigh(&event.data).0;
            self.bytes += bytes;
            self.events.push_back((event, bytes));
        }
        self.to = looked_at;
    }

    fn trim(&mut self) {
        while self.events.len() > RECENT_EVENTS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some((oldest, bytes)) = self.events.pop_front() else { return };
            self.from = oldest.position;
            self.bytes -= bytes;
        }
    }
}

/// Follows the log: pages up to the head, then a page whenever `heads` shows a later one. Reads
/// that fail are repeated; the stream ends only when nobody tells heads any more (shut down).
pub(super) fn follow<S: EventStore + 'static>(
    store: S,
    heads: watch::Receiver<Position>,
    recent: Arc<Recent>,
    after: Position,
    filter: Filter,
) -> BoxStream<'static, SubscriptionEvent> {
    let follower = Follower {
        store,
        heads,
        recent,
        filter,
        seen: after,
        at_head: false,
        caught_up: false,
        is_cut_off: false,
        ready: VecDeque::new(),
    };
    stream::unfold(follower, |mut follower| async move {
        let event = follower.next().await?;
        Some((event, follower))
    })
    .boxed()
}

struct Follower<S> {
    store: S,
    heads: watch::Receiver<Position>,
    recent: Arc<Recent>,
    filter: Filter,
    /// Everything up to here was looked at.
    seen: Position,
    /// The last page reached the head.
    at_head: bool,
    /// `CaughtUp` was told.
    caught_up: bool,
    /// The last read failed, which was told.
    is_cut_off: bool,
    ready: VecDeque<SubscriptionEvent>,
}

impl<S: EventStore> Follower<S> {
    async fn next(&mut self) -> Option<SubscriptionEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.at_head {
                let seen = self.seen;
                self.heads.wait_for(|head| *head > seen).await.ok()?;
            }
            let read = match self.at_head {
                true => self.recent.read(&self.store, self.seen, &self.filter).await,
                false => self.store.read_all(self.seen, &self.filter, PAGE_EVENTS).await,
            };
            match read {
                Ok((events, looked_at)) => {
                    self.is_cut_off = false;
                    self.take_page(events, looked_at);
                }
                Err(error) => {
                    if !self.is_cut_off {
                        warn!(error = ?error, "a subscription can't read and tries again");
                    }
                    self.is_cut_off = true;
                    self.heads.has_changed().ok()?;
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    fn take_page(&mut self, events: Vec<Recorded>, looked_at: Position) {
        let told = events.last().map_or(self.seen, |event| event.position);
        self.at_head = events.len() < PAGE_EVENTS;
        self.seen = looked_at;
        self.ready.extend(events.into_iter().map(|e| SubscriptionEvent::Event(Box::new(e))));
        if self.at_head && !self.caught_up {
            self.caught_up = true;
            self.ready.push_back(SubscriptionEvent::CaughtUp(looked_at));
        } else if looked_at > told {
            self.ready.push_back(SubscriptionEvent::Checkpoint(looked_at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;
    use crate::store::{AppendError, Appended, Capabilities, Expected};
    use async_trait::async_trait;
    use ocim_domain::Timestamp;
    use ocim_domain::event::{Metadata, NewEvent, StreamId};
    use ocim_domain::system::Clock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use uuid::Uuid;

    #[derive(Debug)]
    struct Standing;

    impl Clock for Standing {
        fn now(&self) -> Timestamp {
            Timestamp::UNIX_EPOCH
        }
    }

    /// A log that counts how often it is read.
    #[derive(Debug, Clone)]
    struct Counted(MemoryStore, Arc<AtomicUsize>);

    #[async_trait]
    impl EventStore for Counted {
        async fn append(
            &self,
            stream: &StreamId,
            expected: Expected,
            events: Vec<NewEvent>,
        ) -> Result<Appended, AppendError> {
            self.0.append(stream, expected, events).await
        }

        async fn read_stream(
            &self,
            stream: &StreamId,
            from: u64,
        ) -> Result<Vec<Recorded>, ReadError> {
            self.0.read_stream(stream, from).await
        }

        async fn read_all(
            &self,
            after: Position,
            filter: &Filter,
            limit: usize,
        ) -> Result<(Vec<Recorded>, Position), ReadError> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.0.read_all(after, filter, limit).await
        }

        fn subscribe_all(
            &self,
            after: Position,
            filter: Filter,
        ) -> BoxStream<'static, SubscriptionEvent> {
            self.0.subscribe_all(after, filter)
        }

        async fn head(&self) -> Result<Position, ReadError> {
            self.0.head().await
        }

        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }
    }

    /// Appends one event to the stream of that number, to which none was appended before.
    async fn append(store: &MemoryStore, number: u128, bytes: usize) -> Position {
        let event = NewEvent {
            id: Uuid::from_u128(number),
            kind: if number.is_multiple_of(2) { "test.even" } else { "test.odd" }.to_owned(),
            schema: 1,
            data: "x".repeat(bytes).into(),
            meta: Metadata::by("test"),
        };
        let stream = StreamId::new("test", Uuid::from_u128(number));
        store.append(&stream, Expected::NoStream, vec![event]).await.unwrap().position
    }

    async fn next_event(events: &mut BoxStream<'static, SubscriptionEvent>) -> Position {
        loop {
            match events.next().await.unwrap() {
                SubscriptionEvent::Event(event) => return event.position,
                SubscriptionEvent::Checkpoint(_) | SubscriptionEvent::CaughtUp(_) => {}
            }
        }
    }

    #[tokio::test]
    async fn the_log_is_read_once_for_all_who_follow_it() {
        let log = MemoryStore::new(Arc::new(Standing));
        let (store, recent) = (Counted(log.clone(), Arc::default()), Arc::<Recent>::default());
        let (heads_in, heads) = watch::channel(append(&log, 0, 1).await);
        let mut all: Vec<_> = (0..20)
            .map(|number| {
                let kinds = if number == 0 { vec!["test.odd".to_owned()] } else { vec![] };
                let filter = Filter { categories: vec![], kinds };
                follow(store.clone(), heads.clone(), recent.clone(), Position::START, filter)
            })
            .collect();
        for (number, events) in all.iter_mut().enumerate() {
            let caught_up = events.next().await.unwrap();
            assert_eq!(matches!(caught_up, SubscriptionEvent::CaughtUp(_)), number == 0);
        }
        let before = store.1.load(Ordering::Relaxed);
        for number in 1..=10 {
            let position = append(&log, number, 1).await;
            heads_in.send_replace(position);
            for (follower, events) in all.iter_mut().enumerate() {
                if follower > 0 || number % 2 == 1 {
                    assert_eq!(next_event(events).await, position);
                }
            }
        }
        assert_eq!(store.1.load(Ordering::Relaxed) - before, 10, "once an event");

        // Whoever was slow finds what is not kept any more in the log.
        let mut slow = all.pop().unwrap();
        let mut positions = vec![];
        for number in 100..140 {
            positions.push(append(&log, number, RECENT_BYTES_MAX / 10).await);
            heads_in.send_replace(positions[positions.len() - 1]);
            next_event(&mut all[1]).await;
        }
        assert!(recent.0.lock().await.bytes <= RECENT_BYTES_MAX);
        for position in positions {
            assert_eq!(next_event(&mut slow).await, position);
        }
    }
}
