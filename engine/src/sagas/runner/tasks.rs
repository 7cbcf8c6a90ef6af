//! One task for each run that is driven here: spawned, woken, reaped, and shut down at the end.

use super::release_claims::release_claims;
use super::run_task::drive_run;
use super::{OUTAGE_PAUSE, Registry};
use crate::journal::ExecuteError;
use crate::sagas::definition::StartRequest;
use crate::sagas::host::Host;
use crate::sagas::node_leases::NodeLeases;
use crate::sagas::open_runs::{Hears, Signal};
use futures_util::FutureExt;
use ocim_domain::event::{Metadata, StreamId};
use ocim_domain::ids::RunId;
use ocim_domain::saga::Saga;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{self, JoinSet};
use tracing::Instrument;

/// How long a stop waits for steps to reach a boundary; what is under way then is probed later.
const STOP_WAIT: Duration = Duration::from_secs(6);

/// What all tasks share.
#[derive(Debug)]
pub(super) struct Shared<H: Host> {
    pub(super) world: Arc<H>,
    pub(super) registry: Registry<H>,
    pub(super) leases: Arc<NodeLeases>,
    /// True once no run may be taken up any more.
    pub(super) stopped: watch::Receiver<bool>,
    /// Runs are taken up one after the other: after a restart the store has other work, too.
    pub(super) door: Semaphore,
    /// Abandoned runs whose claims are released for good.
    pub(super) released: Mutex<BTreeSet<RunId>>,
}

impl<H: Host> Shared<H> {
    pub(super) fn new(
        world: Arc<H>,
        registry: Registry<H>,
        leases: Arc<NodeLeases>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            world,
            registry,
            leases,
            stopped,
            door: Semaphore::new(1),
            released: Mutex::default(),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// Waits so long, but not once the runner stops.
    pub(super) async fn pause(&self, pause: Duration) {
        let mut stopped = self.stopped.clone();
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// The tasks under way.
pub(super) struct RunTasks<H: Host> {
    shared: Arc<Shared<H>>,
    wakes: BTreeMap<RunId, Arc<Notify>>,
    runs: BTreeMap<task::Id, RunId>,
    /// Abandoned while their tasks were under way.
    abandoned: BTreeSet<RunId>,
    tasks: JoinSet<()>,
    renewals: task::JoinHandle<()>,
}

impl<H: Host> RunTasks<H> {
    pub(super) fn new(shared: Arc<Shared<H>>) -> Self {
        let renewals = tokio::spawn(renew_leases(Arc::clone(&shared)));
        let (wakes, runs, tasks) = (BTreeMap::new(), BTreeMap::new(), JoinSet::new());
        Self { shared, wakes, runs, abandoned: BTreeSet::new(), tasks, renewals }
    }

    /// Records the start of a run that was asked for; waits for the store as long as it takes.
    /// Another node may have recorded it first: that is as good.
    pub(super) async fn start(&mut self, request: StartRequest, meta: Metadata) {
        let known = self.shared.registry.values().filter(|known| known.name == request.definition);
        let Some(definition) = known.max_by_key(|known| known.version) else {
            tracing::error!(definition = request.definition, "no such process is known");
            return;
        };
        let (run, stream) = (request.run, request.run.stream());
        let now = self.shared.world.journal().now();
        let command = definition.start(request, now, self.shared.world.limits());
        while !self.shared.is_stopped() {
            let journal = self.shared.world.journal();
            match journal.execute::<Saga>(&stream, &meta, command.clone()).await {
                Ok(_) | Err(ExecuteError::Rejected(_)) => return self.ensure_task(run),
                Err(ExecuteError::Journal(error)) => {
                    let error = ocim_domain::error_chain::chain(&error);
                    tracing::warn!(%run, error, "a run could not be started yet");
                }
            }
            self.shared.pause(OUTAGE_PAUSE).await;
        }
    }

    /// Records the start of a run that this event of the log asks for.
    pub(super) async fn start_asked(&mut self, world: &Arc<H>, stream: &StreamId, version: u64) {
        while !self.shared.is_stopped() {
            match world.journal().store().read_stream_page(stream, version, 1).await {
                Ok(page) => {
                    if let Some(Signal::Asked(request, meta)) =
                        page.first().map(|it| world.hear(it))
                    {
                        self.start(*request, *meta).await;
                    }
                    return;
                }
                Err(error) => tracing::warn!(%stream, %error, "a request can't be read yet"),
            }
            self.shared.pause(OUTAGE_PAUSE).await;
        }
    }

    /// The abandoned runs whose claims were released for good since the last call.
    pub(super) fn take_released(&self) -> BTreeSet<RunId> {
        std::mem::take(&mut *self.shared.released.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does what a signal asks for.
    pub(super) async fn handle(&mut self, signal: Signal) {
        match signal {
            Signal::Asked(request, meta) => self.start(*request, *meta).await,
            Signal::NeedsTask(run) => self.ensure_task(run),
            Signal::Wake(run) => self.wake(run),
            Signal::Rests(run) => self.settle(run),
            Signal::Abandoned(run) => {
                self.settle(run);
                if self.wakes.contains_key(&run) {
                    // The call that is under way may claim something anew: that is not for good.
                    let shared = Arc::clone(&self.shared);
                    self.tasks.spawn(release_claims(shared, BTreeSet::from([run]), false));
                    self.abandoned.insert(run);
                } else {
                    self.release_claims(BTreeSet::from([run]));
                }
            }
            Signal::Nothing => {}
        }
    }

    fn settle(&mut self, run: RunId) {
        self.wake(run);
        self.tasks.spawn(release_places(Arc::clone(&self.shared), Some(run)));
    }

    /// Releases the turns and claims of these abandoned runs, which nobody drives any more.
    pub(super) fn release_claims(&mut self, runs: BTreeSet<RunId>) {
        self.tasks.spawn(release_claims(Arc::clone(&self.shared), runs, true));
    }

    /// Takes all runs that are at rest out of the lines that they stand in.
    pub(super) fn sweep_places(&mut self) {
        self.tasks.spawn(release_places(Arc::clone(&self.shared), None));
    }

    /// Spawns a task for the run, or wakes the one that it has.
    pub(super) fn ensure_task(&mut self, run: RunId) {
        if self.wakes.contains_key(&run) {
            return self.wake(run);
        }
        let wake = Arc::new(Notify::new());
        self.wakes.insert(run, Arc::clone(&wake));
        let span = tracing::info_span!("run", run.id = %run);
        let task =
            self.tasks.spawn(drive_run(Arc::clone(&self.shared), run, wake).instrument(span));
        self.runs.insert(task.id(), run);
    }

    fn wake(&self, run: RunId) {
        if let Some(wake) = self.wakes.get(&run) {
            wake.notify_one();
        }
    }

    /// Waits for the next task that ends; for ever while there is none.
    pub(super) async fn reap_next(&mut self) {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let run = self.runs.remove(&task);
        if let Err(error) = ended {
            tracing::error!(?run, %error, "a task of the saga runner ended abnormally");
        }
        let Some(run) = run else { return };
        if self.abandoned.remove(&run) {
            // A call that was under way may have claimed something anew.
            self.release_claims(BTreeSet::from([run]));
        }
        let wake = self.wakes.remove(&run);
        // Somebody called while it was on its way out: that call still counts.
        if wake.is_some_and(|wake| wake.notified().now_or_never().is_some()) {
            self.ensure_task(run);
        }
    }

    /// Lets every task reach a step boundary, for a while; leases stay in force until then.
    pub(super) async fn shut_down(mut self) {
        let at_boundaries = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAIT, at_boundaries).await.is_err() {
            tracing::info!(
                runs = self.tasks.len(),
                "steps under way will be probed at the next start"
            );
        }
        self.tasks.shutdown().await;
        self.renewals.abort();
        self.shared.leases.release_all().await;
    }
}

impl<H: Host> Drop for RunTasks<H> {
    fn drop(&mut self) {
        self.renewals.abort();
    }
}

async fn renew_leases<H: Host>(shared: Arc<Shared<H>>) {
    let pause = H::runner_limits(shared.world.limits()).lease_renewal;
    loop {
        tokio::time::sleep(pause).await;
        if let Err(error) = shared.leases.renew_all().await {
            tracing::warn!(%error, "the leases could not be renewed");
        }
    }
}

/// Has a run that is at rest, or all such, release what others wait for; insists until the runner stops.
async fn release_places<H: Host>(shared: Arc<Shared<H>>, run: Option<RunId>) {
    loop {
        let Err(error) = shared.world.release_places(run).await else { return };
        let error = ocim_domain::error_chain::chain(&*error);
        tracing::warn!(error, "places in line could not be released yet");
        shared.pause(OUTAGE_PAUSE).await;
        if shared.is_stopped() {
            return;
        }
    }
}
