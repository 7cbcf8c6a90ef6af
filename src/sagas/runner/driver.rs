//! One run, one directive at a time: intent, effect, result.

use super::Registry;
use crate::app::AppError;
use crate::ports::log_store::Level;
use crate::sagas::leases::{Fence, NoFence};
use crate::sagas::step::{Definition, Found, Progress, Step, StepContext, StepError, Undo};
use crate::sagas::world::World;
use ocim_domain::Timestamp;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Metadata, Position};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{
    self, Command, Directive, ErrorClass, Event, Phase, Plan, Run, Saga, step_key,
};
use std::sync::Arc;
use std::time::Duration;

/// The longest pause between two attempts of an undo.
const UNDO_RETRY_CAP: Duration = Duration::from_secs(300);

/// What an attempt gets whose time was up before it could be looked at, e.g. while Ocim was down.
const LAST_LOOK: Duration = Duration::from_secs(30);

/// When to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    Again,
    /// Not before then, unless woken.
    At(Timestamp),
    /// Never: the run is over, or waits for a person.
    AtRest,
}

/// Why a run could not be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store does not answer; nothing is lost.
    #[error("the event store does not answer")]
    Unavailable(#[source] AppError),
    /// Somebody else drives the run: everything here is void.
    #[error("another runner drives this run")]
    Fenced,
    /// The run is not ours any more, or not for long enough.
    #[error("this node's lease of the run has ended")]
    LeaseLost,
    /// This version of Ocim does not know the process.
    #[error("the process `{definition}` version {version} is unknown here")]
    UnknownDefinition {
        /// The definition's name.
        definition: String,
        /// Its version.
        version: u16,
    },
    /// There is no such run.
    #[error("there is no such run")]
    Absent,
    /// A defect of Ocim's.
    #[error("an unexpected error")]
    Defect(#[source] AppError),
}

/// Drives one run. Its expected version is the fence: who appends first, goes on.
#[derive(Debug)]
pub struct Driver {
    world: Arc<World>,
    definition: &'static Definition,
    plan: Plan,
    id: RunId,
    run: Run,
    version: u64,
    position: Position,
    /// The attempt that this driver itself has begun: no doubt about it.
    performing: Option<(usize, u32)>,
    /// Asked right before each effect.
    fence: Arc<dyn Fence>,
}

impl Driver {
    /// Takes up a run where its log ends.
    ///
    /// # Errors
    /// [`DriveError::UnknownDefinition`] when this version does not know the process.
    pub async fn open(
        world: Arc<World>,
        registry: &Registry,
        id: RunId,
    ) -> Result<Self, DriveError> {
        let loaded = world.app.journal().load::<Saga>(&id.stream()).await?;
        let (Some(run), Some(version)) = (loaded.state, loaded.version) else {
            return Err(DriveError::Absent);
        };
        let Some(definition) = registry.get(&(run.definition.clone(), run.version)).copied() else {
            let (definition, version) = (run.definition, run.version);
            return Err(DriveError::UnknownDefinition { definition, version });
        };
        let plan = definition.plan();
        let position = loaded.position;
        let fence = Arc::new(NoFence);
        Ok(Self { world, definition, plan, id, run, version, position, performing: None, fence })
    }

    /// The driver with that fence.
    #[must_use]
    pub fn with_fence(self, fence: Arc<dyn Fence>) -> Self {
        Self { fence, ..self }
    }

    /// The run as far as this driver knows it.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Does the one thing that is next.
    ///
    /// # Errors
    /// [`DriveError::Unavailable`]: call again later; others: leave the run alone.
    pub async fn advance(&mut self) -> Result<Pace, DriveError> {
        self.refresh().await?;
        let now = self.now();
        match saga::next(&self.plan, &self.run, now) {
            Directive::Nothing => Ok(Pace::AtRest),
            Directive::Wait { until } => Ok(Pace::At(until)),
            Directive::Run { step, attempt, doubt } => {
                let row = &self.definition.steps[step];
                self.hold(row, "before_intent").await;
                let deadline = now + (row.timeout)(&self.world.limits);
                let key = step_key(self.id, row.path);
                let path = row.path.to_owned();
                self.report(Event::StepIntended { step: path, attempt, key, deadline }).await?;
                self.hold(row, "after_intent").await;
                self.performing = Some((step, attempt));
                self.perform(step, attempt, deadline, doubt).await
            }
            Directive::Resume { step, attempt, deadline } => {
                let mine = self.performing == Some((step, attempt));
                self.performing = Some((step, attempt));
                self.perform(step, attempt, deadline, !mine).await
            }
            Directive::Unwind(cause) => self.report_and_go_on(Event::UnwindBegan(cause)).await,
            Directive::Undo { step, attempt } => {
                let row = &self.definition.steps[step];
                let deadline = now + (row.timeout)(&self.world.limits);
                self.hold(row, "before_undo").await;
                let path = row.path.to_owned();
                self.report(Event::UndoIntended { step: path, attempt, deadline }).await?;
                self.perform_undo(step, attempt, deadline).await
            }
            Directive::ResumeUndo { step, attempt, deadline } => {
                self.perform_undo(step, attempt, deadline).await
            }
            Directive::SkipUndo { step, reason } => {
                let path = self.definition.steps[step].path.to_owned();
                self.report_and_go_on(Event::UndoSkipped { step: path, reason }).await
            }
            Directive::DeclareStuck { step, why } => {
                let path = self.definition.steps[step].path.to_owned();
                self.report_and_go_on(Event::Stuck { step: path, why }).await
            }
            Directive::Complete => self.report_and_go_on(Event::Completed {}).await,
            Directive::FinishUnwind => self.report_and_go_on(Event::Unwound {}).await,
        }
    }

    async fn perform(
        &mut self,
        step: usize,
        attempt: u32,
        deadline: Timestamp,
        in_doubt: bool,
    ) -> Result<Pace, DriveError> {
        self.check_fence().await?;
        let row = &self.definition.steps[step];
        let context = self.context(row, deadline);
        let outcome = within(self.left(deadline), async {
            if in_doubt
                && let Some(probe) = row.probe
                && let Found::Done(output) = probe(context.clone()).await?
            {
                return Ok(Progress::Done(output));
            }
            (row.run)(context).await
        });
        let event = match self.ended(outcome.await, deadline) {
            Ok(Ended::AskAgain(time)) => return Ok(Pace::At(time)),
            Ok(Ended::Done(output)) => Event::StepDone { step: row.path.to_owned(), output },
            Ok(Ended::Skipped(reason)) => Event::StepSkipped { step: row.path.to_owned(), reason },
            Err(error) if error.is_outage => {
                // Unless it comes back, nothing can be recorded either; then it is looked up.
                self.performing = None;
                return Err(outage(error));
            }
            Err(StepError { free_until: Some(again_in), class, .. }) => {
                // What was in doubt still is.
                let is_sure = !in_doubt && class != ErrorClass::Ambiguous;
                self.performing = self.performing.filter(|_| is_sure);
                return Ok(Pace::At(self.now() + again_in));
            }
            Err(mut error) => {
                error.message = self.world.deployment.own_masker.mask(&error.message);
                self.complain(row, Level::Error, &error).await;
                let again = error.class != ErrorClass::Permanent && attempt < row.attempts_max;
                let retry_at =
                    again.then(|| self.retry_at(attempt, &error, self.world.limits.retry_cap));
                let path = row.path.to_owned();
                Event::StepFailed {
                    step: path,
                    attempt,
                    class: error.class,
                    error: error.message,
                    retry_at,
                }
            }
        };
        self.hold(row, "after_effect").await;
        // Whatever becomes of the report: from here on the outcome must be looked up, not assumed.
        self.performing = None;
        self.report(event).await?;
        self.hold(row, "after_result").await;
        Ok(Pace::Again)
    }

    async fn perform_undo(
        &mut self,
        step: usize,
        attempt: u32,
        deadline: Timestamp,
    ) -> Result<Pace, DriveError> {
        let row = &self.definition.steps[step];
        let path = row.path.to_owned();
        let (Undo::With(undo) | Undo::WithUnlessFailedAfter(undo, ..)) = row.undo else {
            return Err(DriveError::Defect(AppError::internal(
                "a step without an undo was undone",
            )));
        };
        self.check_fence().await?;
        let outcome = within(self.left(deadline), undo(self.context(row, deadline))).await;
        let event = match self.ended(outcome, deadline) {
            Ok(Ended::AskAgain(time)) => return Ok(Pace::At(time)),
            Ok(Ended::Done(note)) => {
                Event::UndoDone { step: path, note: note.as_str().map(str::to_owned) }
            }
            Ok(Ended::Skipped(reason)) => Event::UndoSkipped { step: path, reason },
            Err(error) if error.is_outage => return Err(outage(error)),
            Err(StepError { free_until: Some(again_in), .. }) => {
                return Ok(Pace::At(self.now() + again_in));
            }
            Err(mut error) => {
                error.message = self.world.deployment.own_masker.mask(&error.message);
                self.complain(row, Level::Error, &error).await;
                let again = attempt < self.world.limits.undo_attempts_max;
                let retry_at = again.then(|| self.retry_at(attempt, &error, UNDO_RETRY_CAP));
                Event::UndoFailed { step: path, attempt, error: error.message, retry_at }
            }
        };
        self.hold(row, "after_undo").await;
        self.report(event).await?;
        Ok(Pace::Again)
    }

    async fn check_fence(&self) -> Result<(), DriveError> {
        if self.fence.holds(self.id).await { Ok(()) } else { Err(DriveError::LeaseLost) }
    }

    async fn report_and_go_on(&mut self, event: Event) -> Result<Pace, DriveError> {
        self.report(event).await?;
        Ok(Pace::Again)
    }

    /// Appends one event of this run. Someone's cancel in between is let by; anything else in
    /// between means that another runner drives the run.
    async fn report(&mut self, event: Event) -> Result<(), DriveError> {
        loop {
            let state = Some(self.run.clone());
            let now = self.now();
            let Ok(events) = Saga::decide(&state, Command::Report(event.clone()), now) else {
                return Ok(()); // Too late: the run has gone another way meanwhile.
            };
            let loaded = crate::app::Loaded::<Saga> {
                state,
                version: Some(self.version),
                position: self.position,
            };
            let meta = Metadata::by(format!("saga:{}", self.id));
            let meta = Metadata { correlation_id: Some(self.id.to_string()), ..meta };
            match self.world.app.journal().append(&self.id.stream(), &meta, loaded, events).await {
                Ok(executed) => {
                    if let Some(run) = executed.state {
                        self.run = run;
                    }
                    self.version = executed.version;
                    self.position = executed.position;
                    return Ok(());
                }
                Err(AppError::VersionConflict) => self.refresh().await?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Folds what others appended to the run's stream.
    async fn refresh(&mut self) -> Result<(), DriveError> {
        let stream = self.id.stream();
        let newer = self.world.app.journal().store().read_stream(&stream, self.version + 1).await;
        for recorded in newer.map_err(AppError::from)? {
            let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)
                .map_err(|error| DriveError::Defect(AppError::internal(error)))?;
            if !matches!(event, Event::CancelRequested { .. }) {
                return Err(DriveError::Fenced);
            }
            if let Some(run) = Saga::evolve(Some(self.run.clone()), &event) {
                self.run = run;
            }
            self.version = recorded.version;
            self.position = recorded.position;
        }
        Ok(())
    }

    fn context(&self, row: &Step, deadline: Timestamp) -> StepContext {
        let cause = match &self.run.phase {
            Phase::Unwinding(cause) => Some(cause.clone()),
            _ => None,
        };
        StepContext {
            run: self.id,
            step: row.path,
            key: step_key(self.id, row.path),
            input: self.run.input.clone(),
            outputs: self.run.outputs.clone(),
            cause,
            deadline,
            world: Arc::clone(&self.world),
        }
    }

    /// Full jitter: anywhere between nothing and the doubled base, so that runs do not march in step.
    fn retry_at(&self, attempt: u32, error: &StepError, cap: Duration) -> Timestamp {
        let limits = &self.world.limits;
        let doubled = limits.retry_base.saturating_mul(1 << attempt.saturating_sub(1).min(16));
        let longest = doubled.min(cap);
        let mut random = [0; 2];
        self.world.app.journal().fill_random(&mut random);
        let share = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        let pause = longest.mul_f64(share).max(error.retry_after.unwrap_or_default());
        self.now() + pause
    }

    /// What a call says of its attempt. One that is not there yet when its time is up has failed:
    /// it was looked at once more, whenever that was.
    fn ended(
        &self,
        outcome: Result<Progress, StepError>,
        deadline: Timestamp,
    ) -> Result<Ended, StepError> {
        match outcome? {
            Progress::Done(output) => Ok(Ended::Done(output)),
            Progress::Skipped(reason) => Ok(Ended::Skipped(reason)),
            Progress::NotYet { .. } if self.now() >= deadline => Err(timed_out()),
            Progress::NotYet { again_in } => {
                Ok(Ended::AskAgain((self.now() + again_in).min(deadline)))
            }
        }
    }

    fn left(&self, deadline: Timestamp) -> Duration {
        (deadline - self.now()).to_std().unwrap_or(Duration::ZERO).max(LAST_LOOK)
    }

    fn now(&self) -> Timestamp {
        self.world.app.journal().now()
    }

    async fn hold(&self, row: &Step, point: &str) {
        let name = format!("{}.{}.{point}", self.definition.name, row.path);
        self.world.holds.pass(&name).await;
    }

    async fn complain(&self, row: &Step, level: Level, error: &StepError) {
        self.world.say(self.id, row.path, level, error.message.clone()).await;
    }
}

/// How one call of an attempt ended.
enum Ended {
    Done(serde_json::Value),
    Skipped(String),
    AskAgain(Timestamp),
}

/// A call that must end in time; one that does not leaves doubt.
async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, StepError>>,
) -> Result<T, StepError> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| Err(timed_out()))
}

fn timed_out() -> StepError {
    StepError::new(ErrorClass::Timeout, "its time was up")
}

fn outage(error: StepError) -> DriveError {
    DriveError::Unavailable(AppError::unavailable("the event store", error))
}
