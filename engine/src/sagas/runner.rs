//! Drives every open run whose lease this node has: takes up requests, goes on after a crash, drains.

mod driver;
mod fence;
mod release_claims;
mod run_task;
mod tasks;

pub use driver::{DriveError, Driver, Pace, UNDO_CALL_MAX};
pub use fence::{Alone, Fence};

use super::definition::Definition;
use super::host::Host;
use super::node_leases::NodeLeases;
use super::open_runs::{OpenRun, OpenRuns};
use crate::journal::JournalError;
use crate::store::SubscriptionEvent;
use crate::tracker::{Items, Tracker};
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

async fn drive_all<H: Host>(shared: Arc<Shared<H>>) {
    let world = Arc::clone(&shared.world);
    let journal = world.journal();
    let mut runs = Tracker::new(journal, OpenRuns::of(Arc::clone(&world)));
    while let Err(error) = runs.load().await {
        tracing::warn!(%error, "the runs that are open can't be read yet");
        shared.pause(OUTAGE_PAUSE).await;
        if shared.is_stopped() {
            return;
        }
    }
    let mut events = journal.store().subscribe_all(runs.position(), runs.filter());
    let mut stopped = shared.stopped.clone();
    let mut caught_up = false;
    let mut tasks = RunTasks::new(shared);
    loop {
        tokio::select! {
            biased; // The same choice every time: simulations repeat exactly.
            _ = stopped.changed() => break,
            () = tasks.reap_next() => {}
            event = events.next() => match event {
                None => break,
                Some(SubscriptionEvent::Event(event)) => {
                    let signal = runs.take(&event);
                    if caught_up {
                        tasks.handle(signal).await;
                    }
                    runs.save_when_due().await;
                }
                Some(SubscriptionEvent::Checkpoint(position)) => runs.pass(position),
                Some(SubscriptionEvent::CaughtUp(position)) => {
                    runs.pass(position);
                    take_up(&mut tasks, &world, runs.items()).await;
                    runs.save_when_due().await;
                    caught_up = true;
                }
            },
        }
        for run in tasks.take_released() {
            runs.settle(&run.to_string());
        }
    }
    runs.save().await;
    tasks.shut_down().await;
}

/// Takes up everything that the log has left open.
async fn take_up<H: Host>(tasks: &mut RunTasks<H>, world: &Arc<H>, open: &Items<OpenRun>) {
    let mut abandoned = BTreeSet::new();
    let mut asked = vec![];
    for (run, item) in open.iter() {
        let Ok(run) = run.parse() else { continue };
        match item {
            OpenRun::Started { .. } => tasks.ensure_task(run),
            OpenRun::Asked { stream, version } => asked.push((stream, *version)),
            OpenRun::Abandoned => drop(abandoned.insert(run)),
        }
    }
    tasks.sweep_places();
    // A crash may have come between the order and the release of its claims.
    tasks.release_claims(abandoned);
    for (stream, version) in asked {
        tasks.start_asked(world, stream, version).await;
    }
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
