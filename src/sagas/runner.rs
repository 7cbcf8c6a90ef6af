//! Drives every open run: takes up requests, goes on after a crash, stops in an orderly way.

mod driver;

pub use driver::{DriveError, Driver, Pace};

use super::start::{StartRequest, TRIGGERS, started_by};
use super::step::Definition;
use super::world::World;
use crate::app::{AppError, ExecuteError};
use crate::store::{Filter, SubscriptionEvent};
use futures_util::StreamExt;
use ocim_domain::event::{Metadata, Position, Recorded};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{self, Saga};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::task::{self, JoinSet};

/// Pause after the store did not answer.
const OUTAGE_PAUSE: Duration = Duration::from_secs(1);
/// How long a stop waits for steps to reach a boundary; what is under way then is probed later.
const STOP_WAIT: Duration = Duration::from_secs(6);

/// The definitions by name; versions of one name stand side by side.
pub type Registry = BTreeMap<(String, u16), &'static Definition>;

/// Drives runs until it is stopped.
#[derive(Debug)]
pub struct Runner {
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Runner {
    /// Starts to drive. Everything that was asked for and not finished is taken up first.
    #[must_use]
    pub fn start(world: Arc<World>, definitions: &[&'static Definition]) -> Self {
        let registry: Registry =
            definitions.iter().map(|d| ((d.name.to_owned(), d.version), *d)).collect();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(drive_all(world, Arc::new(registry), stopped));
        Self { stop, task }
    }

    /// Ends wherever it is, as a crash of the process would.
    pub async fn abort(self) {
        self.task.abort();
        // Being cancelled is how it ends.
        drop(self.task.await);
    }

    /// Stops at step boundaries; a call that takes longer is left to be probed at the next start.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the saga runner ended abnormally");
        }
    }
}

/// What is known of runs while the log is read.
#[derive(Default)]
struct Book {
    asked: BTreeMap<RunId, (StartRequest, Metadata)>,
    open: BTreeSet<RunId>,
}

impl Book {
    /// Notes one event of the log; true if it concerns a run that may be under way here.
    fn note(&mut self, event: &Recorded) -> Option<RunId> {
        let run = RunId(event.stream.id());
        match event.kind.as_str() {
            "saga.started" => {
                self.asked.remove(&run);
                self.open.insert(run);
                Some(run)
            }
            "saga.completed" | "saga.unwound" => {
                self.open.remove(&run);
                None
            }
            "saga.cancel_requested" => Some(run),
            _ => {
                let request = started_by(event)?;
                let meta = Metadata {
                    correlation_id: Some(request.run.to_string()),
                    causation_id: Some(event.id.to_string()),
                    ..event.meta.clone()
                };
                self.asked.insert(request.run, (request, meta));
                None
            }
        }
    }
}

struct Crew {
    world: Arc<World>,
    registry: Arc<Registry>,
    stopped: watch::Receiver<bool>,
    wakes: BTreeMap<RunId, Arc<Notify>>,
    drivers: BTreeMap<task::Id, RunId>,
    tasks: JoinSet<()>,
}

async fn drive_all(world: Arc<World>, registry: Arc<Registry>, mut stopped: watch::Receiver<bool>) {
    let mut kinds: Vec<String> = TRIGGERS.iter().map(|kind| (*kind).to_owned()).collect();
    for kind in ["started", "completed", "unwound", "cancel_requested"] {
        kinds.push(format!("saga.{kind}"));
    }
    let filter = Filter { categories: vec![], kinds };
    let mut events = world.app.journal().store().subscribe_all(Position::START, filter);
    let mut book = Book::default();
    let mut caught_up = false;
    let mut crew = Crew {
        world,
        registry,
        stopped: stopped.clone(),
        wakes: BTreeMap::new(),
        drivers: BTreeMap::new(),
        tasks: JoinSet::new(),
    };
    loop {
        tokio::select! {
            biased; // The same choice every time: simulations repeat exactly.
            _ = stopped.changed() => break,
            Some(ended) = crew.tasks.join_next_with_id(), if !crew.tasks.is_empty() => crew.dismiss(ended),
            event = events.next() => match event {
                None => break,
                Some(SubscriptionEvent::Event(event)) => {
                    let run = book.note(&event);
                    if let (Some(run), true) = (run, caught_up) {
                        crew.attend(run);
                    }
                }
                Some(SubscriptionEvent::Checkpoint(_)) => {}
                Some(SubscriptionEvent::CaughtUp(_)) => {
                    for run in std::mem::take(&mut book.open) {
                        crew.attend(run);
                    }
                    caught_up = true;
                }
            },
        }
        if caught_up {
            for (_, (request, meta)) in std::mem::take(&mut book.asked) {
                crew.start(request, meta).await;
            }
            book.open.clear();
        }
    }
    crew.disband().await;
}

impl Crew {
    /// Records the start of a run that was asked for; waits for the store as long as it takes.
    async fn start(&mut self, request: StartRequest, meta: Metadata) {
        let Some(version) = self
            .registry
            .keys()
            .filter(|(name, _)| name == request.definition)
            .map(|(_, version)| *version)
            .max()
        else {
            tracing::error!(definition = request.definition, "no such process is known");
            return;
        };
        let command = saga::Command::Start {
            definition: request.definition.to_owned(),
            version,
            input: request.input,
            subject: request.subject,
            deadline: None,
        };
        let stream = request.run.stream();
        let mut stopped = self.stopped.clone();
        loop {
            let started =
                self.world.app.journal().execute::<Saga>(&stream, &meta, command.clone()).await;
            match started {
                Ok(_) | Err(ExecuteError::Rejected(_)) => return self.attend(request.run),
                Err(ExecuteError::App(error)) => {
                    let error = crate::telemetry::chain(&error);
                    tracing::warn!(run = %request.run, error, "a run could not be started yet");
                }
            }
            tokio::select! {
                biased;
                _ = stopped.changed() => return,
                () = tokio::time::sleep(OUTAGE_PAUSE) => {}
            }
        }
    }

    /// Sets somebody on the run, or wakes who is on it.
    fn attend(&mut self, run: RunId) {
        if let Some(wake) = self.wakes.get(&run) {
            wake.notify_one();
            return;
        }
        let wake = Arc::new(Notify::new());
        self.wakes.insert(run, Arc::clone(&wake));
        let (world, registry) = (Arc::clone(&self.world), Arc::clone(&self.registry));
        let stopped = self.stopped.clone();
        let task = self.tasks.spawn(drive_one(world, registry, run, wake, stopped));
        self.drivers.insert(task.id(), run);
    }

    fn dismiss(&mut self, ended: Result<(task::Id, ()), task::JoinError>) {
        let task = match &ended {
            Ok((task, ())) => *task,
            Err(error) => error.id(),
        };
        let Some(run) = self.drivers.remove(&task) else { return };
        self.wakes.remove(&run);
        if let Err(error) = ended {
            tracing::error!(%run, %error, "the driver of a run ended abnormally");
        }
    }

    async fn disband(mut self) {
        let at_boundaries = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WAIT, at_boundaries).await.is_err() {
            tracing::info!(
                runs = self.tasks.len(),
                "steps under way will be probed at the next start"
            );
        }
        self.tasks.shutdown().await;
    }
}

/// Drives one run until it is at rest, or until Ocim stops.
async fn drive_one(
    world: Arc<World>,
    registry: Arc<Registry>,
    run: RunId,
    wake: Arc<Notify>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut driver: Option<Driver> = None;
    loop {
        if *stopped.borrow() {
            return;
        }
        let paced = match &mut driver {
            Some(driver) => driver.advance().await,
            None => match Driver::open(Arc::clone(&world), &registry, run).await {
                Ok(opened) => {
                    driver = Some(opened);
                    continue;
                }
                Err(error) => Err(error),
            },
        };
        let pause = match paced {
            Ok(Pace::Again) => continue,
            Ok(Pace::AtRest) => {
                // A stuck run may go on one day: its log stays open.
                let is_over = driver.as_ref().is_some_and(|driver| driver.run().phase.is_over());
                if is_over && let Err(error) = world.logs.finish(run).await {
                    tracing::warn!(%run, %error, "a log could not be closed");
                }
                return;
            }
            Ok(Pace::At(time)) => {
                (time - world.app.journal().now()).to_std().unwrap_or(Duration::ZERO)
            }
            Err(DriveError::Unavailable(error)) => {
                let error = crate::telemetry::chain(&error);
                tracing::warn!(%run, error, "a run waits for the event store");
                // What was written is unknown: our own record must not look like a stranger's.
                driver = None;
                OUTAGE_PAUSE
            }
            Err(error) => {
                tracing::error!(%run, error = crate::telemetry::chain(&error), "a run is left alone");
                return;
            }
        };
        tokio::select! {
            biased;
            _ = stopped.changed() => return,
            () = wake.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl From<AppError> for DriveError {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Unavailable { .. } | AppError::Busy { .. } => Self::Unavailable(error),
            other => Self::Defect(other),
        }
    }
}
