//! Follows the log's end: one subscription for all readers of this process, and a watch over it.
//!
//! Readers page through the log themselves and only have to hear that it went on. A subscription
//! that ends is begun anew behind what it told last. One that falls silent does not end: so the head
//! is asked for at intervals, too, and told if it is news; if the subscription does not tell of it
//! within another interval, it is given up.

use super::connection::{CallError, Connection};
use super::event::{all_of_ours, position, position_of, start_at};
use super::heads::Heads;
use super::read::read_head;
use futures_util::FutureExt;
use kurrentdb::{SubscribeToAllOptions, Subscription, SubscriptionEvent};
use ocim_domain::event::Position;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::dispatcher::Dispatch;
use tracing::instrument::WithSubscriber;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, info, warn};

/// Why a subscription is begun anew.
#[derive(Debug, thiserror::Error)]
enum Dropped {
    #[error("KurrentDB dropped the subscription")]
    Client(#[source] CallError),
    #[error("KurrentDB ended the subscription without a reason")]
    Ended,
    #[error("the subscription tells nothing, though the log has gone on to {0}")]
    Silent(Position),
}

/// Owns the subscription.
pub(super) struct Listener {
    connection: Arc<Connection>,
    heads: Arc<Heads>,
    /// Everything up to here was told by a subscription, or was there before the first one.
    told: Position,
    is_well: bool,
    end_guard: Dispatch,
}

impl Listener {
    /// Listens for what comes after `told`.
    pub(super) fn new(connection: Arc<Connection>, heads: Arc<Heads>, told: Position) -> Self {
        let end_guard = Dispatch::new(EndGuard);
        Self { connection, heads, told, is_well: true, end_guard }
    }

    /// Works until stopped or the store is dropped; no error ends it.
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        loop {
            let dropped = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                dropped = self.listen() => dropped,
            };
            // Told once: while the server is away, every try fails.
            if std::mem::take(&mut self.is_well) {
                warn!(error = ?dropped, "the subscription to KurrentDB is begun anew");
            }
            tokio::time::sleep(self.connection.timings().retry_pause).await;
        }
    }

    /// One subscription, as long as it lasts.
    async fn listen(&mut self) -> Dropped {
        let timings = self.connection.timings();
        let (client, generation) = self.connection.lend();
        let options = SubscribeToAllOptions::default()
            .position(start_at(self.told))
            .filter(all_of_ours())
            .requires_leader(true);
        let mut subscription = client.subscribe_to_all(&options).await;
        let mut looks = interval_at(Instant::now() + timings.watch, timings.watch);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut overdue, end_guard) = (None, self.end_guard.clone());
        let dropped = loop {
            // Not dropped before it is ready: the client would lose its place.
            let next = next_event(&mut subscription, &end_guard);
            tokio::pin!(next);
            let event = loop {
                tokio::select! {
                    event = &mut next => break event,
                    _ = looks.tick() => {
                        overdue = match self.look(overdue).await {
                            Ok(overdue) => overdue,
                            Err(head) => return self.give_up(generation, Dropped::Silent(head)),
                        };
                    }
                }
            };
            match event {
                Ok(event) => self.take(&event),
                Err(dropped) => break dropped,
            }
        };
        self.give_up(generation, dropped)
    }

    fn give_up(&self, generation: u64, dropped: Dropped) -> Dropped {
        self.connection.renew(generation);
        dropped
    }

    fn take(&mut self, event: &SubscriptionEvent) {
        let seen = match event {
            SubscriptionEvent::EventAppeared(event) => {
                self.heads.raise(position_of(event));
                position_of(event)
            }
            SubscriptionEvent::Checkpoint(at) => position(*at),
            SubscriptionEvent::Confirmed(_) => {
                if !std::mem::replace(&mut self.is_well, true) {
                    info!("the subscription to KurrentDB goes on");
                }
                return;
            }
            _ => return,
        };
        self.told = self.told.max(seen);
    }

    /// Asks for the head and tells it. Answers which head the subscription has still to tell of;
    /// fails with it when that was so at the last look already.
    async fn look(&self, overdue: Option<Position>) -> Result<Option<Position>, Position> {
        if let Some(head) = overdue.filter(|head| *head > self.told) {
            return Err(head);
        }
        match read_head(&self.connection).await {
            Ok(Some(head)) => {
                let head = position_of(&head);
                self.heads.raise(head);
                Ok((head > self.told).then_some(head))
            }
            // A server that does not answer is noticed by its subscription, or at the next look.
            Ok(None) | Err(_) => Ok(None),
        }
    }
}

async fn next_event(
    subscription: &mut Subscription,
    end_guard: &Dispatch,
) -> Result<SubscriptionEvent, Dropped> {
    let next = subscription.next_subscription_event().with_subscriber(end_guard.clone());
    match AssertUnwindSafe(next).catch_unwind().await {
        Ok(Ok(event)) => Ok(event),
        Ok(Err(error)) => Err(Dropped::Client(CallError::Client(error))),
        Err(_) => Err(Dropped::Ended),
    }
}

/// Leaves the client's loop where it would never end.
///
/// When a server ends a subscription without an error, the client of `kurrentdb` 1.2.0 asks for the
/// next message again and again, within one poll, and warns each time that it does not know what it
/// got. As the subscriber of that one future, this unwinds out of it at the first warning.
struct EndGuard;

impl EndGuard {
    fn is_end(metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
            && *metadata.level() == Level::WARN
            && metadata.target() == "kurrentdb::commands"
    }
}

impl tracing::Subscriber for EndGuard {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::is_end(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_end(metadata)
    }

    fn event(&self, _: &Event<'_>) {
        resume_unwind(Box::new(()));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
