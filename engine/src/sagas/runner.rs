//! Drives every open run whose lease this node has: takes up requests, goes on after a crash, drains.

mod driver;
mod fence;
mod release_claims;
mod run_task;
mod tasks;

pub use driver::{DriveError, Driver, Pace, UNDO_CALL_MAX};
pub use fence::{Alone, Fence};

use super::definition::{Definition, StartRequest};
use super::host::Host;
use super::node_leases::NodeLeases;
use crate::journal::JournalError;
use crate::store::{Filter, SubscriptionEvent};
use ocim_domain::event::{Metadata, Position, Recorded};
use ocim_domain::ids::RunId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tasks::{RunTasks, Shared};
use tokio::sync::watch;

use futures_util::StreamExt;

/// Pause after the store did not answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// Pause before another look at a run that only a newer program understands; meanwhile its lease is
/// free for that one.
const NEWER_PAUSE: Duration = Duration::from_secs(60);

/// The definitions by name; versions of one name stand side by side.
pub type Registry<H> = BTreeMap<(String, u16), &'static Definition<H>>;

/// What the runner hears of, beside what its host names.
const HEARD: &[&str] = &[
    "saga.started",
    "saga.completed",
    "saga.unwound",
    "saga.abandoned",
    "saga.stuck",
    "saga.cancel_requested",
    "saga.operator_acted",
];

/// Drives runs until it is stopped.
#[derive(Debug)]
pub struct Runner {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Runner {
    /// Starts to drive. Everything that was asked for and not finished is taken up first, unless
    /// another node has its lease; that is looked at again when the lease ends.
    #[must_use]
    pub fn start<H: Host>(
        world: Arc<H>,
        definitions: &[&'static Definition<H>],
        leases: Arc<NodeLeases>,
    ) -> Self {
        let registry: Registry<H> =
            definitions.iter().map(|d| ((d.name.to_owned(), d.version), *d)).collect();
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared::new(world, registry, leases, stopped));
        Self { stop, task: tokio::spawn(drive_all(shared)) }
    }

    /// Drains: takes nothing up any more, goes on to step boundaries, and gives the leases back. A
    /// call that takes longer is left to be probed by whoever takes its run up.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the saga runner ended abnormally");
        }
    }

    /// Ends at once, in the middle of whatever is under way, as a crash would: no lease is given
    /// back. For tests.
    pub async fn kill(self) {
        self.task.abort();
        // It was told to break off: there is no other news.
        drop(self.task.await);
    }
}

/// What an event means for the runner.
enum Signal {
    /// Somebody must look after this run.
    NeedsTask(RunId),
    /// Whoever looks after this run should look now.
    Wake(RunId),
    /// This run is at rest.
    Rests(RunId),
    /// This run is at rest, and others may wait for what it held.
    Abandoned(RunId),
    /// It is noted, and nothing more.
    Nothing,
}

/// What is known of runs while the log is read.
#[derive(Default)]
struct OpenRuns {
    asked: BTreeMap<RunId, (StartRequest, Metadata)>,
    open: BTreeSet<RunId>,
    abandoned: BTreeSet<RunId>,
}

impl OpenRuns {
    /// Notes one event of the log.
    fn apply(&mut self, event: &Recorded, host: &impl Host) -> Signal {
        let run = RunId(event.stream.id());
        match event.kind.as_str() {
            "saga.started" => {
                self.asked.remove(&run);
                self.open.insert(run);
                Signal::NeedsTask(run)
            }
            "saga.completed" | "saga.unwound" => {
                self.open.remove(&run);
                Signal::Rests(run)
            }
            "saga.abandoned" => {
                self.open.remove(&run);
                self.abandoned.insert(run);
                Signal::Abandoned(run)
            }
            "saga.stuck" => Signal::Rests(run),
            "saga.cancel_requested" | "saga.operator_acted" => Signal::NeedsTask(run),
            _ => {
                let Some(request) = host.started_by(event) else {
                    return host.woken_by(event).map_or(Signal::Nothing, Signal::Wake);
                };
                let meta = Metadata {
                    correlation_id: Some(request.run.to_string()),
                    causation_id: Some(event.id.to_string()),
                    ..event.meta.clone()
                };
                self.asked.insert(request.run, (request, meta));
                Signal::Nothing
            }
        }
    }
}

async fn drive_all<H: Host>(shared: Arc<Shared<H>>) {
    let heard = shared.world.kinds_heard();
    let kinds = heard.iter().chain(HEARD).map(|kind| (*kind).to_owned()).collect();
    let filter = Filter { categories: vec![], kinds };
    let mut events = shared.world.journal().store().subscribe_all(Position::START, filter);
    let mut stopped = shared.stopped.clone();
    let mut open_runs = OpenRuns::default();
    let mut caught_up = false;
    let world = Arc::clone(&shared.world);
    let mut tasks = RunTasks::new(shared);
    loop {
        tokio::select! {
            biased; // The same choice every time: simulations repeat exactly.
            _ = stopped.changed() => break,
            () = tasks.reap_next() => {}
            event = events.next() => match event {
                None => break,
                Some(SubscriptionEvent::Event(event)) => {
                    let signal = open_runs.apply(&event, &*world);
                    if caught_up {
                        tasks.handle(&signal);
                    }
                }
                Some(SubscriptionEvent::Checkpoint(_)) => {}
                Some(SubscriptionEvent::CaughtUp(_)) => {
                    for run in std::mem::take(&mut open_runs.open) {
                        tasks.ensure_task(run);
                    }
                    tasks.sweep_places();
                    // A crash may have come between the order and the release of its claims.
                    tasks.release_claims(std::mem::take(&mut open_runs.abandoned));
                    caught_up = true;
                }
            },
        }
        if caught_up {
            for (_, (request, meta)) in std::mem::take(&mut open_runs.asked) {
                tasks.start(request, meta).await;
            }
            open_runs.open.clear();
            open_runs.abandoned.clear();
        }
    }
    tasks.shut_down().await;
}

impl From<JournalError> for DriveError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Unavailable { .. } | JournalError::Busy { .. } => {
                Self::Unavailable(error)
            }
            JournalError::Newer(_) => Self::Newer(error),
            other => Self::Defect(other),
        }
    }
}
