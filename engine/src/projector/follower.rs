//! One build: reads the log, projects, and commits the rows with the checkpoint. Pauses at a poison event.

use super::checkpoints::{self, BuildState, Failure, FailureClass, ProjectionStatus};
use super::connection::{Connection, ProjectorError, within_limit};
use super::freshness::Freshness;
use super::writer;
use crate::store::{EventStore, Filter};
use deadpool_postgres::Pool;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Position, Recorded};
use ocim_domain::projection::{self, Projection, projection_id};
use ocim_projections::{Batch, Projector, RowChange};
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};
use uuid::Uuid;

/// How many events go into one transaction at most.
const BATCH_EVENTS_MAX: usize = 1_000;
/// How often rows that the database refuses are sent before their event counts as poison.
const REFUSED_ATTEMPTS_MAX: u32 = 3;
/// How long a follower trusts that somebody wakes it.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The wait after a failure; doubles up to the second.
const RETRY_DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What keeps one build up to date.
pub(super) struct Follower {
    pub(super) store: Arc<dyn EventStore>,
    pub(super) pool: Pool,
    pub(super) projector: Projector,
    /// What its row said last.
    pub(super) status: ProjectionStatus,
    /// The newest position that somebody heard of.
    pub(super) head: watch::Receiver<Position>,
    pub(super) freshness: Freshness,
}

/// What one turn came to.
enum Turn {
    /// It moved on: there may be more.
    Moved,
    /// There is nothing to do until somebody appends.
    CaughtUp,
    /// It is paused, retired or gone.
    Over,
}

impl Follower {
    /// Follows the log until the build is paused or retired. Waits as long as it takes for a store
    /// or a database that is gone.
    pub(super) async fn run(mut self) {
        let (first_delay, longest_delay) = RETRY_DELAYS;
        let mut delay = first_delay;
        self.publish();
        loop {
            match self.take_turn().await {
                Ok(Turn::Over) => return,
                Ok(turn) => {
                    if delay > first_delay {
                        info!(projection = %self.status.build, "the projection goes on");
                    }
                    delay = first_delay;
                    if matches!(turn, Turn::CaughtUp) {
                        self.wait_for_events().await;
                    }
                }
                Err(failure) => {
                    if delay == first_delay {
                        let cause = failure.source().map(ToString::to_string);
                        warn!(
                            projection = %self.status.build, error = %failure, cause,
                            "the projection waits"
                        );
                    }
                    sleep(delay).await;
                    delay = (delay * 2).min(longest_delay);
                    // The commit may have been made though its answer was lost.
                    if matches!(self.reload().await, Ok(false)) {
                        return;
                    }
                }
            }
        }
    }

    async fn take_turn(&mut self) -> Result<Turn, ProjectorError> {
        let filter = Filter {
            categories: self.projector.categories.iter().map(|&text| text.to_owned()).collect(),
            kinds: vec![],
        };
        let (events, seen) = within_limit(async {
            Ok(self.store.read_all(self.status.position, &filter, BATCH_EVENTS_MAX).await?)
        })
        .await?;
        if !events.is_empty() || seen > self.status.position {
            return self.take_events(&events, seen).await;
        }
        if !self.status.serving {
            let (build, position) = (&self.status.build, self.status.position);
            if checkpoints::switch_in(&self.pool, &self.projector, build, position).await? {
                info!(projection = %build, "readers see the new build");
                self.status.serving = true;
                self.publish();
            } else if !self.reload().await? {
                return Ok(Turn::Over);
            }
        }
        Ok(Turn::CaughtUp)
    }

    /// Writes what the events change, up to the first that can't be projected.
    async fn take_events(
        &mut self,
        events: &[Recorded],
        seen: Position,
    ) -> Result<Turn, ProjectorError> {
        let mut batch = Batch::default();
        let mut poison = None;
        let mut to = self.status.position;
        for event in events {
            match project(&self.projector, event) {
                Ok(changes) => batch.extend(changes),
                Err(failure) => {
                    poison = Some((event, failure));
                    break;
                }
            }
            to = event.position;
        }
        if poison.is_none() {
            to = seen;
        }
        match self.commit(to, &batch).await {
            Ok(true) => {}
            Ok(false) => return self.reload_turn().await,
            Err(ProjectorError::Refused { .. }) => return self.take_one_by_one(events).await,
            Err(other) => return Err(other),
        }
        match poison {
            Some((event, failure)) => self.step_over_or_pause(event, failure).await,
            None => Ok(Turn::Moved),
        }
    }

    /// Finds the event whose rows the database refuses, having written those before it.
    async fn take_one_by_one(&mut self, events: &[Recorded]) -> Result<Turn, ProjectorError> {
        for event in events {
            let mut batch = Batch::default();
            match project(&self.projector, event) {
                Ok(changes) => batch.extend(changes),
                Err(failure) => return self.step_over_or_pause(event, failure).await,
            }
            let mut attempt = 1;
            loop {
                match self.commit(event.position, &batch).await {
                    Ok(true) => break,
                    Ok(false) => return self.reload_turn().await,
                    Err(refused @ ProjectorError::Refused { .. }) => {
                        if attempt == REFUSED_ATTEMPTS_MAX {
                            let refused = refused.to_string();
                            let failure = describe(event, FailureClass::Refused, refused);
                            return self.step_over_or_pause(event, failure).await;
                        }
                        sleep(RETRY_DELAYS.0 * attempt).await;
                        attempt += 1;
                    }
                    Err(other) => return Err(other),
                }
            }
        }
        Ok(Turn::Moved)
    }

    /// Rows and checkpoint in one transaction; false if the build was moved or stopped by others.
    async fn commit(&mut self, to: Position, batch: &Batch) -> Result<bool, ProjectorError> {
        if to == self.status.position {
            return Ok(true);
        }
        let mut connection = Connection::get(&self.pool).await?;
        let (build, from) = (&self.status.build, self.status.position);
        let committed = within_limit(async {
            let transaction = connection.transaction().await?;
            // What a crash of the database takes back is projected again.
            transaction.batch_execute("set local synchronous_commit = off").await?;
            if !checkpoints::advance(&transaction, build, from, to).await? {
                return Ok(false);
            }
            writer::write(&transaction, &build.schema(), batch).await?;
            transaction.commit().await?;
            Ok(true)
        })
        .await?;
        connection.finish();
        if committed {
            self.status.position = to;
            self.publish();
        }
        Ok(committed)
    }

    /// Leaves an event out that an operator said so of; at any other one that can't be taken in the
    /// build stands still.
    async fn step_over_or_pause(
        &mut self,
        event: &Recorded,
        failure: Failure,
    ) -> Result<Turn, ProjectorError> {
        if !self.is_skipped(event.id).await? {
            return self.pause(failure).await;
        }
        if !self.commit(event.position, &Batch::default()).await? {
            return self.reload_turn().await;
        }
        warn!(
            projection = %self.status.build, event.id = %event.id, kind = failure.kind,
            class = ?failure.class, error = failure.error,
            "the projection steps over an event, as it was told"
        );
        Ok(Turn::Moved)
    }

    /// Whether the log says that builds of this projection step over the event.
    async fn is_skipped(&self, event: Uuid) -> Result<bool, ProjectorError> {
        let stream = projection_id(self.projector.name).stream();
        let told = within_limit(async { Ok(self.store.read_stream(&stream, 0).await?) }).await?;
        let told = told
            .iter()
            .filter_map(|it| projection::Event::decode(&it.kind, it.schema, &it.data).ok());
        Ok(Projection::fold(&told.collect::<Vec<_>>()).skipped.contains(&event))
    }

    async fn pause(&mut self, failure: Failure) -> Result<Turn, ProjectorError> {
        let build = &self.status.build;
        if !checkpoints::pause(&self.pool, build, self.status.position, &failure).await? {
            return self.reload_turn().await;
        }
        error!(
            projection = %build, event.id = %failure.event, position = failure.position, kind = failure.kind,
            stream = failure.stream, class = ?failure.class, error = failure.error,
            "the projection is paused at an event it can't take"
        );
        if self.status.serving {
            self.freshness.pause(self.projector.name);
        }
        Ok(Turn::Over)
    }

    async fn reload_turn(&mut self) -> Result<Turn, ProjectorError> {
        Ok(if self.reload().await? { Turn::Moved } else { Turn::Over })
    }

    /// Takes over what the row says; false where the build is not to be moved any more.
    async fn reload(&mut self) -> Result<bool, ProjectorError> {
        let Some(status) = checkpoints::load(&self.pool, &self.status.build).await? else {
            return Ok(false);
        };
        self.status = status;
        self.publish();
        if self.status.serving && self.status.state == BuildState::Paused {
            self.freshness.pause(self.projector.name); // Another process met the poison first.
        }
        Ok(matches!(self.status.state, BuildState::Running | BuildState::Rebuilding))
    }

    fn publish(&self) {
        if self.status.serving && self.status.state != BuildState::Paused {
            self.freshness.publish(self.projector.name, self.status.position);
        }
    }

    async fn wait_for_events(&mut self) {
        let position = self.status.position;
        // Neither a late wake-up nor a missing one matters: the next turn looks for itself.
        let _ = timeout(POLL_INTERVAL, self.head.wait_for(|head| *head > position)).await;
    }
}

/// What an event changes, or why that can't be said. A projector's bug is no reason to stop others.
fn project(projector: &Projector, event: &Recorded) -> Result<Vec<RowChange>, Failure> {
    match catch_unwind(AssertUnwindSafe(|| (projector.project)(event))) {
        Ok(Ok(changes)) => Ok(changes),
        Ok(Err(error)) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Err(describe(event, FailureClass::Undecodable, format!("{error}{source}")))
        }
        Err(_) => {
            let error = "the projector broke off; its message is on standard error".to_owned();
            Err(describe(event, FailureClass::Panicked, error))
        }
    }
}

fn describe(event: &Recorded, class: FailureClass, error: String) -> Failure {
    Failure {
        event: event.id,
        position: event.position.to_string(),
        kind: event.kind.clone(),
        stream: event.stream.to_string(),
        class,
        error,
    }
}
