//! A whole Ocim in memory, on virtual time, in a world that goes wrong by a seed: the same seed
//! gives the same history, down to the hash of its last event.
//!
//! Everything runs in one thread of its own runtime, whose clock stands while there is anything to
//! do; ids and random numbers follow from the seed; the [`simulated`](ocim_adapters::simulated)
//! region decides by seed and name. What is left to keep is that nothing asks a real clock, a hash
//! map's order, or a `select!` that is not `biased`.

mod crash_store;
mod invariants;
mod people;
mod report;
pub mod stage;

pub use crash_store::OpenedStore;
pub use invariants::Violation;
pub use report::Report;

use crate::app::{AppError, JournalError};
use crate::processes::send_mail::SEND_MAIL;
use crate::processes::started_by;
use ocim_domain::Timestamp;
use ocim_domain::event::Position;
use ocim_domain::ids::RunId;
use ocim_engine::sagas::runner::Runner;
use ocim_engine::store::{EventStore, Filter, ReadError};
use people::People;
use stage::Stage;
use std::collections::BTreeSet;
use std::time::Duration;

/// How often it is looked whether all runs are at rest. Virtual time.
const LOOK_INTERVAL: Duration = Duration::from_secs(1800);
/// A run that is not at rest so long after the last request never will be. Virtual time.
const PATIENCE: Duration = Duration::from_secs(60 * 24 * 3600);

/// What to simulate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Everything follows from it.
    pub seed: u64,
    /// How many Appservers are asked for.
    pub launches: u32,
    /// How much goes wrong, from 0 to 1.
    pub faults: f64,
    /// The probability that Ocim dies at each append and at each effect.
    pub crashes: f64,
}

/// Why a simulation could not be made; broken invariants are part of its report instead.
#[derive(Debug, thiserror::Error)]
pub enum SimulationError {
    /// The runtime could not be made.
    #[error("the simulation's runtime can't be started")]
    Runtime(#[source] std::io::Error),
    /// Something that can't fail in memory has failed.
    #[error("the simulation itself has failed")]
    App(#[from] AppError),
    /// The log can't be read.
    #[error("the simulation's log can't be read")]
    Read(#[from] ReadError),
    /// The database that nobody asks could not be left out.
    #[error("the simulation could not be put together")]
    Pool(#[from] deadpool_postgres::BuildError),
}

impl From<JournalError> for SimulationError {
    fn from(error: JournalError) -> Self {
        Self::App(error.into())
    }
}

/// Simulates a world from its beginning until all runs are at rest. Blocks: not to be called from
/// within a runtime.
///
/// # Errors
/// When the simulation itself can't go on.
pub fn simulate(plan: &Plan) -> Result<Report, SimulationError> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    runtime.map_err(SimulationError::Runtime)?.block_on(live(plan))
}

async fn live(plan: &Plan) -> Result<Report, SimulationError> {
    let stage = Stage::new(plan).await?;
    let mut people = People::new(plan, &stage).await?;
    let mut watch = Watch::default();
    let mut ocim = Ocim::start(&stage);
    let mut ended_at = stage.now();
    while let Some(time) = people.next_time() {
        ocim.run_until(time).await;
        people.act(&stage).await?;
        ended_at = time;
    }
    loop {
        watch.look(&stage).await?;
        if watch.open.is_empty() || stage.now() - ended_at > chrono_span(PATIENCE) {
            break;
        }
        ocim.run_until(stage.now() + LOOK_INTERVAL).await;
    }
    let violations = invariants::check(&stage, &people, &watch).await?;
    let report = report::compile(plan, &stage, &people, &watch, violations).await?;
    ocim.die().await;
    Ok(report)
}

fn chrono_span(span: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(span).unwrap_or(chrono::TimeDelta::MAX)
}

/// The process that dies and is started again.
struct Ocim<'a> {
    stage: &'a Stage,
    runner: Option<Runner>,
}

impl<'a> Ocim<'a> {
    fn start(stage: &'a Stage) -> Self {
        Self { stage, runner: Some(stage.start_runner()) }
    }

    async fn die(&mut self) {
        if let Some(runner) = self.runner.take() {
            runner.kill().await;
        }
    }

    /// Lets time pass; after each death, a new process takes up what the log tells.
    async fn run_until(&mut self, time: Timestamp) {
        loop {
            let left = (time - self.stage.now()).to_std().unwrap_or_default();
            tokio::select! {
                biased;
                () = self.stage.crashes.crash() => {
                    self.die().await;
                    *self = Self::start(self.stage);
                }
                () = tokio::time::sleep(left) => return,
            }
        }
    }
}

/// Every run that was asked for, and those that are not at rest.
#[derive(Debug, Default)]
struct Watch {
    seen: Position,
    open: BTreeSet<RunId>,
    all: BTreeSet<RunId>,
    /// The last event of any run that was at rest by now.
    rested_at: Option<Timestamp>,
}

impl Watch {
    async fn look(&mut self, stage: &Stage) -> Result<(), SimulationError> {
        let (events, seen) =
            stage.store.read_all(self.seen, &Filter::default(), usize::MAX).await?;
        self.seen = seen;
        for event in events {
            let run = RunId(event.stream.id());
            match event.kind.as_str() {
                "saga.started" => {
                    self.open.insert(run);
                    self.all.insert(run);
                }
                "saga.completed" | "saga.unwound" | "saga.stuck" | "saga.abandoned" => {
                    self.open.remove(&run);
                    self.rested_at = Some(event.recorded_at);
                }
                _ => {
                    // Nobody is to get mails here: none of their runs begins.
                    if let Some(request) =
                        started_by(&event).filter(|it| it.definition != SEND_MAIL.name)
                    {
                        self.open.insert(request.run);
                        self.all.insert(request.run);
                    }
                }
            }
        }
        Ok(())
    }
}
