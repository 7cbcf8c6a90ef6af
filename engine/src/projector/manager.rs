//! Starts a follower for each build that wants one, and takes away the tables of retired ones.

use super::checkpoints::{self, Build, BuildState};
use super::connection::ProjectorError;
use super::follower::Follower;
use super::freshness::Freshness;
use crate::store::{EventStore, Filter, SubscriptionEvent};
use deadpool_postgres::Pool;
use futures_util::StreamExt;
use ocim_domain::event::Position;
use ocim_projections::Projector;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, warn};

/// How often the builds are looked through, so that other processes are heard too.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// What the manager works with.
pub(super) struct Manager {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) pool: Pool,
    pub(super) registry: Arc<[Projector]>,
    pub(super) freshness: Freshness,
    pub(super) wake: Arc<Notify>,
}

/// Runs until it is aborted; its followers end with it.
pub(super) async fn run(manager: Manager) {
    let mut tasks = JoinSet::new();
    let (head, heard) = watch::channel(Position::START);
    tasks.spawn(listen(Arc::clone(&manager.store), head));
    let mut followers = HashMap::new();
    let mut is_prepared = false;
    let mut is_reachable = true;
    loop {
        let looked = manager.look(&mut is_prepared, &heard, &mut tasks, &mut followers).await;
        if let (Err(failure), true) = (&looked, is_reachable) {
            let cause = std::error::Error::source(failure).map(ToString::to_string);
            warn!(error = %failure, cause, "the projections can't be looked through");
        }
        is_reachable = looked.is_ok();
        while let Some(ended) = tasks.try_join_next() {
            if let Err(broken) = ended
                && !broken.is_cancelled()
            {
                error!(error = %broken, "a projection broke off; it is started again");
            }
        }
        // A timeout is the usual way to go on.
        let _ = timeout(LOOK_INTERVAL, manager.wake.notified()).await;
    }
}

impl Manager {
    async fn look(
        &self,
        is_prepared: &mut bool,
        heard: &watch::Receiver<Position>,
        tasks: &mut JoinSet<()>,
        followers: &mut HashMap<Build, AbortHandle>,
    ) -> Result<(), ProjectorError> {
        if !*is_prepared {
            checkpoints::prepare(&self.pool, &self.registry).await?;
            *is_prepared = true;
        }
        let builds = checkpoints::load_all(&self.pool).await?;
        let before = followers.len();
        followers.retain(|build, task| {
            let is_wanted = builds.iter().any(|status| {
                status.build == *build
                    && matches!(status.state, BuildState::Running | BuildState::Rebuilding)
            });
            if !is_wanted {
                // It would not notice before the next event.
                task.abort();
            }
            is_wanted && !task.is_finished()
        });
        if followers.len() < before {
            // Each build has statements of its own, on each connection and in the server: those of
            // one that is gone would stay for ever.
            self.pool.manager().statement_caches.clear();
        }
        for status in builds {
            let projector = self.registry.iter().find(|projector| {
                projector.name == status.build.name
                    && i32::from(projector.version) == status.build.version
            });
            let (Some(projector), BuildState::Running | BuildState::Rebuilding) =
                (projector, status.state)
            else {
                continue;
            };
            followers.entry(status.build.clone()).or_insert_with(|| {
                let follower = Follower {
                    store: Arc::clone(&self.store),
                    pool: self.pool.clone(),
                    projector: *projector,
                    status,
                    head: heard.clone(),
                    freshness: self.freshness.clone(),
                };
                tasks.spawn(follower.run())
            });
        }
        if let Err(failure) = checkpoints::drop_retired(&self.pool).await {
            debug!(error = %failure, "the tables of a retired build are dropped later");
        }
        Ok(())
    }
}

/// Tells the followers how far the log reaches. They read for themselves: what is lost here costs
/// them a second, nothing else.
async fn listen(store: Arc<dyn EventStore>, head: watch::Sender<Position>) {
    loop {
        if let Ok(start) = store.head().await {
            head.send_replace(start);
            let mut events = store.subscribe_all(start, Filter::default());
            while let Some(event) = events.next().await {
                head.send_replace(match event {
                    SubscriptionEvent::Event(event) => event.position,
                    SubscriptionEvent::Checkpoint(position)
                    | SubscriptionEvent::CaughtUp(position) => position,
                });
            }
        }
        sleep(LOOK_INTERVAL).await;
    }
}
