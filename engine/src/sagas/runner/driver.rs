//! One run: the directives that can be done now, each as intent, effect and result.

mod call;
mod log;
mod skipped;
mod standstill;
mod verdict;

use super::Registry;
use super::fence::{Alone, Fence};
use crate::journal::JournalError;
use crate::sagas::definition::{Definition, Step, StepContext};
use crate::sagas::host::{Host, RunnerLimits};
use crate::sagas::steady::SteadyTime;
use call::{Call, Ended, perform};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use ocim_domain::Timestamp;
use ocim_domain::event::Position;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{self, Directive, Event, Phase, Plan, PlantedBug, Run, Saga, step_key};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use verdict::Verdict;

/// What an attempt gets whose time was up before it could be looked at, e.g. while Ocim was down.
const LAST_LOOK: Duration = Duration::from_secs(30);

/// The longest that one call of an undo may take: a wait's own time would be all that its undo is
/// tried for.
pub const UNDO_CALL_MAX: Duration = Duration::from_secs(3600);

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
    Unavailable(#[source] JournalError),
    /// Somebody else drives the run: everything here is void.
    #[error("another runner drives this run")]
    Fenced,
    /// This version of Ocim does not know the process.
    #[error("the process `{definition}` version {version} is unknown here")]
    UnknownDefinition {
        /// The definition's name.
        definition: String,
        /// Its version.
        version: u16,
    },
    /// A newer program wrote what this one would have to read: that one may go on.
    #[error("a newer Ocim has written what this one does not know")]
    Newer(#[source] JournalError),
    /// There is no such run.
    #[error("there is no such run")]
    Absent,
    /// A defect of Ocim's.
    #[error("an unexpected error")]
    Defect(#[source] JournalError),
}

/// Drives one run. Its expected version is the fence: who appends first, goes on.
#[derive(Debug)]
pub struct Driver<H: Host> {
    world: Arc<H>,
    definition: &'static Definition<H>,
    plan: Plan,
    fence: Arc<dyn Fence>,
    id: RunId,
    run: Run,
    version: u64,
    position: Position,
    /// Pauses and time limits go by this, not by the clock, which may be set meanwhile.
    time: SteadyTime,
    /// The attempts that this driver itself has begun: no doubt about them.
    performing: BTreeMap<&'static str, u32>,
    /// Steps that are there, but asked to be left alone until then.
    asleep: BTreeMap<&'static str, Timestamp>,
    /// Calls under way, one a branch, and whether each is an undo.
    calls: FuturesUnordered<BoxFuture<'static, Ended<H>>>,
    called: BTreeMap<&'static str, bool>,
    /// The skipped steps of which nothing goes on any more.
    ended: BTreeSet<&'static str>,
}

/// What taking up a directive led to.
enum Taken {
    /// An event: the choice is made anew.
    Recorded,
    /// A call is under way.
    Called,
    /// Nothing before then.
    Asleep(Timestamp),
}

impl<H: Host> Driver<H> {
    /// Takes up a run where its log ends.
    ///
    /// # Errors
    /// [`DriveError::UnknownDefinition`] when this version does not know the process.
    pub async fn open(
        world: Arc<H>,
        registry: &Registry<H>,
        id: RunId,
    ) -> Result<Self, DriveError> {
        let loaded = world.journal().load::<Saga>(&id.stream()).await?;
        let (Some(mut run), Some(version)) = (loaded.state, loaded.version) else {
            return Err(DriveError::Absent);
        };
        let Some(definition) = registry.get(&(run.definition.clone(), run.version)).copied() else {
            let (definition, version) = (run.definition, run.version);
            return Err(DriveError::UnknownDefinition { definition, version });
        };
        let time = SteadyTime::start(world.journal().clock());
        run.bound_times(time.began());
        if let Some(longest) = definition.deadline {
            let latest = time.began() + longest(world.limits());
            run.deadline = run.deadline.map(|deadline| deadline.min(latest));
        }
        Ok(Self {
            plan: definition.plan(world.limits()),
            time,
            world,
            definition,
            fence: Arc::new(Alone),
            id,
            run,
            version,
            position: loaded.position,
            performing: BTreeMap::new(),
            asleep: BTreeMap::new(),
            calls: FuturesUnordered::new(),
            called: BTreeMap::new(),
            ended: BTreeSet::new(),
        })
    }

    /// The same driver, which asks before each effect whether it may still act.
    #[must_use]
    pub fn with_fence(self, fence: Arc<dyn Fence>) -> Self {
        Self { fence, ..self }
    }

    /// The run as far as this driver knows it.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The time that this driver goes by.
    #[must_use]
    pub fn time(&self) -> SteadyTime {
        self.time
    }

    /// How long a pause until then is, for this driver.
    #[must_use]
    pub fn until(&self, time: Timestamp) -> Duration {
        self.time.until(time)
    }

    /// Takes up what can be done now, and comes back when one thing has come to an end.
    ///
    /// # Errors
    /// [`DriveError::Unavailable`]: call again later; others: leave the run alone.
    pub async fn advance(&mut self) -> Result<Pace, DriveError> {
        self.refresh().await?;
        if let Some(pace) = self.end_skipped().await? {
            return Ok(pace);
        }
        if let Some(pace) = self.stand_still().await? {
            return Ok(pace);
        }
        let now = self.now();
        let directives = saga::next(&self.plan, &self.run, now);
        if directives.is_empty() {
            return Ok(Pace::AtRest);
        }
        let mut wake: Option<Timestamp> = None;
        if self.wants_all_calls(&directives) {
            for directive in directives {
                match self.take_up(directive, now).await? {
                    Taken::Recorded => return Ok(Pace::Again),
                    Taken::Called => {}
                    Taken::Asleep(time) => wake = Some(wake.map_or(time, |wake| wake.min(time))),
                }
            }
        }
        match self.await_call(wake).await {
            Some(ended) => self.settle(ended, wake).await,
            None if self.calls.is_empty() => Ok(wake.map_or(Pace::Again, Pace::At)),
            None => Ok(Pace::Again),
        }
    }

    /// Whether every call under way is still part of what is to be done. Else nothing is begun
    /// beside it: the run has turned, and turns once its calls have ended.
    fn wants_all_calls(&self, directives: &[Directive]) -> bool {
        self.called.iter().all(|(path, is_undo)| {
            directives.iter().any(|directive| match directive {
                Directive::Resume { step, .. } => !is_undo && step == path,
                Directive::ResumeUndo { step, .. } => *is_undo && step == path,
                _ => false,
            })
        })
    }

    async fn take_up(&mut self, directive: Directive, now: Timestamp) -> Result<Taken, DriveError> {
        if self.begins_something(&directive)? && self.is_held_up().await? {
            return Ok(if self.calls.is_empty() { Taken::Recorded } else { Taken::Called });
        }
        let event = match directive {
            Directive::Wait { until, .. } => return Ok(Taken::Asleep(until)),
            Directive::Run { step, attempt, doubt } => {
                return self.begin(self.row(&step)?, attempt, doubt, now).await;
            }
            Directive::Undo { step, attempt } => {
                return self.begin_undo(self.row(&step)?, attempt, now).await;
            }
            Directive::Resume { step, .. } | Directive::ResumeUndo { step, .. }
                if self.takes_over(&step) =>
            {
                Event::StepResumed { step }
            }
            Directive::Resume { step, attempt, deadline } => {
                let row = self.row(&step)?;
                let in_doubt = self.performing.get(row.path) != Some(&attempt);
                let call = Call { row, attempt, deadline, is_undo: false, in_doubt };
                return Ok(self.call_unless_asleep(call, now));
            }
            Directive::ResumeUndo { step, attempt, deadline } => {
                let row = self.row(&step)?;
                let call = Call { row, attempt, deadline, is_undo: true, in_doubt: true };
                return Ok(self.call_unless_asleep(call, now));
            }
            Directive::FireTimer { step } => Event::TimerFired { step },
            Directive::Unwind(cause) => Event::UnwindBegan(cause),
            Directive::SkipUndo { step, reason } => Event::UndoSkipped { step, reason },
            Directive::DeclareStuck { step, code, why } => {
                Event::Stuck { step, why, code: Some(code) }
            }
            Directive::Complete => Event::Completed {},
            Directive::FinishUnwind => Event::Unwound {},
        };
        self.report(event).await?;
        Ok(Taken::Recorded)
    }

    /// Whether nothing of this is to be taken up while what it is about is paused: a step or an undo that
    /// is not under way, and the wait in a line that stands still.
    fn begins_something(&self, directive: &Directive) -> Result<bool, DriveError> {
        Ok(match directive {
            Directive::Run { .. } | Directive::Undo { .. } => true,
            Directive::Resume { step, .. } => {
                let row = self.row(step)?;
                row.in_line && !self.called.contains_key(row.path)
            }
            _ => false,
        })
    }

    /// Whether another drive was at this step, whose work this one is about to do: should it die of
    /// it too, that is to be known. What only watches does no work.
    fn takes_over(&self, path: &str) -> bool {
        let works = |step: &saga::Step| match step {
            saga::Step::Intended { .. } => self.plan.step(path).is_some_and(|step| !step.watches),
            _ => true,
        };
        self.run.lease.is_some()
            && !self.run.at_work.contains(path)
            && self.run.steps.get(path).is_some_and(works)
    }

    async fn begin(
        &mut self,
        row: &'static Step<H>,
        attempt: u32,
        in_doubt: bool,
        now: Timestamp,
    ) -> Result<Taken, DriveError> {
        self.hold(row, "before_intent").await;
        let mut deadline = now + (row.timeout)(self.world.limits());
        if let Some(longest) = row.max_elapsed {
            let since = self.run.effort(row.path).since.unwrap_or(now);
            deadline = deadline.min(since + longest(self.world.limits()));
        }
        let intent = self.intent(row, attempt, deadline, now);
        if !self.has_planted(PlantedBug::IntentAfterEffect) && !self.report(intent).await? {
            return Ok(Taken::Recorded);
        }
        self.hold(row, "after_intent").await;
        self.call(Call { row, attempt, deadline, is_undo: false, in_doubt });
        Ok(Taken::Called)
    }

    async fn begin_undo(
        &mut self,
        row: &'static Step<H>,
        attempt: u32,
        now: Timestamp,
    ) -> Result<Taken, DriveError> {
        self.hold(row, "before_undo").await;
        let deadline = now + (row.timeout)(self.world.limits()).min(UNDO_CALL_MAX);
        let step = row.path.to_owned();
        let intent = Event::UndoIntended { step, attempt, deadline, at: Some(now) };
        if !self.report(intent).await? {
            return Ok(Taken::Recorded);
        }
        self.call(Call { row, attempt, deadline, is_undo: true, in_doubt: false });
        Ok(Taken::Called)
    }

    fn call_unless_asleep(&mut self, call: Call<H>, now: Timestamp) -> Taken {
        if self.called.contains_key(call.row.path) {
            return Taken::Called;
        }
        match self.asleep.get(call.row.path) {
            Some(time) if *time > now => Taken::Asleep(*time),
            _ => {
                self.call(call);
                Taken::Called
            }
        }
    }

    fn call(&mut self, call: Call<H>) {
        let limit = self.until(call.deadline).max(LAST_LOOK);
        let context = self.context(call);
        self.asleep.remove(call.row.path);
        if !call.is_undo {
            self.performing.insert(call.row.path, call.attempt);
        }
        self.called.insert(call.row.path, call.is_undo);
        self.calls.push(Box::pin(perform(call, context, Arc::clone(&self.fence), limit)));
    }

    /// The next call that ends, unless a branch wants to be looked at before.
    async fn await_call(&mut self, wake: Option<Timestamp>) -> Option<Ended<H>> {
        let Some(wake) = wake else { return self.calls.next().await };
        let pause = self.until(wake);
        if self.calls.is_empty() {
            return None;
        }
        tokio::time::timeout(pause, self.calls.next()).await.ok().flatten()
    }

    async fn settle(
        &mut self,
        ended: Ended<H>,
        wake: Option<Timestamp>,
    ) -> Result<Pace, DriveError> {
        let row = ended.call.row;
        let is_undo = ended.call.is_undo;
        self.called.remove(row.path);
        if self.has_planted(PlantedBug::IntentAfterEffect) && !is_undo {
            let Call { attempt, deadline, .. } = ended.call;
            self.report(self.intent(row, attempt, deadline, self.now())).await?;
        }
        let event = match self.judge(ended).await? {
            Verdict::Record(event) => event,
            Verdict::AskAgain(time) => {
                self.asleep.insert(row.path, time);
                let may_be_to_blame = is_undo || !row.watches;
                if may_be_to_blame && self.run.effort(row.path).deaths > 0 {
                    self.report(Event::StepOutlived { step: row.path.to_owned() }).await?;
                }
                let earliest = wake.map_or(time, |wake| wake.min(time));
                return Ok(if self.calls.is_empty() { Pace::At(earliest) } else { Pace::Again });
            }
        };
        self.hold(row, if is_undo { "after_undo" } else { "after_effect" }).await;
        // Whatever becomes of the report: from here on the outcome must be looked up, not assumed.
        self.performing.remove(row.path);
        self.report(event).await?;
        if !is_undo {
            self.hold(row, "after_result").await;
        }
        Ok(Pace::Again)
    }

    fn row(&self, path: &str) -> Result<&'static Step<H>, DriveError> {
        self.definition.step(path).ok_or_else(|| {
            DriveError::Defect(JournalError::internal("the plan names a step that its table lacks"))
        })
    }

    fn intent(&self, row: &Step<H>, attempt: u32, deadline: Timestamp, now: Timestamp) -> Event {
        let (step, key) = (row.path.to_owned(), self.key(row, attempt));
        Event::StepIntended { step, attempt, key, deadline, at: Some(now) }
    }

    /// The same for all attempts.
    fn key(&self, row: &Step<H>, attempt: u32) -> Uuid {
        if self.has_planted(PlantedBug::NewKeyPerAttempt) {
            return step_key(self.id, &format!("{}/{attempt}", row.path));
        }
        step_key(self.id, row.path)
    }

    fn runner_limits(&self) -> RunnerLimits {
        H::runner_limits(self.world.limits())
    }

    fn has_planted(&self, bug: PlantedBug) -> bool {
        self.runner_limits().planted.has(bug)
    }

    fn context(&self, call: Call<H>) -> StepContext<H> {
        let Call { row, attempt, deadline, .. } = call;
        let cause = match &self.run.phase {
            Phase::Unwinding(cause) => Some(cause.clone()),
            _ => None,
        };
        StepContext {
            run: self.id,
            step: row.path,
            key: self.key(row, attempt),
            input: self.run.input.clone(),
            outputs: self.run.outputs.clone(),
            cause,
            attempt,
            deadline,
            time: self.time,
            world: Arc::clone(&self.world),
        }
    }

    fn now(&self) -> Timestamp {
        self.time.now()
    }

    /// Names of points are names of files: a path inside a block is written with dots.
    async fn hold(&mut self, row: &Step<H>, point: &str) {
        let path = row.path.replace('/', ".");
        self.world.holds().pass(&format!("{}.{path}.{point}", self.definition.name)).await;
    }
}
