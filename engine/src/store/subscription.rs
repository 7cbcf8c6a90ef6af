//! Catch-up and live subscriptions over any engine that pages through its log and tells its head.

use super::{EventStore, Filter, SubscriptionEvent};
use futures_util::stream::{self, BoxStream, StreamExt};
use ocim_domain::event::{Position, Recorded};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

/// Events read at a time.
const PAGE_EVENTS: usize = 1_000;
/// The wait after a read that failed.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// Follows the log: pages up to the head, then a page whenever `heads` shows a later one. Reads
/// that fail are repeated; the stream ends only when nobody tells heads any more (shut down).
pub(super) fn follow<S: EventStore + 'static>(
    store: S,
    heads: watch::Receiver<Position>,
    after: Position,
    filter: Filter,
) -> BoxStream<'static, SubscriptionEvent> {
    let follower = Follower {
        store,
        heads,
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
            match self.store.read_all(self.seen, &self.filter, PAGE_EVENTS).await {
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
