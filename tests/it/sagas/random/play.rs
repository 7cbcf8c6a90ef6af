//! Plays one case: drives its run to the end through crashes, outages, a takeover and people.

use super::case::{Case, Harm, Remedy, Takeover, What};
use super::invariants::{End, check_end, check_stuck};
use super::outside;
use super::table::{NAME, table};
use crate::sagas::crash_store::{self, Mark, Moment};
use crate::sagas::stage::{Stage, somebody};
use futures_util::future::BoxFuture;
use ocim::processes::step::{Driver, Registry};
use ocim_domain::event::{DomainEvent, Metadata};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Command, Event, Operation, Phase, Run, Saga, StuckCode, Verb, step_key};
use ocim_engine::sagas::runner::{DriveError, Fence, Pace};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

/// More advances, and more virtual time, than any sound run needs.
const BEATS_MAX: usize = 500;
const TIME_MAX: Duration = Duration::from_secs(5 * 24 * 3600);
/// How often people help a run that is stuck before they despair.
const REMEDIES_MAX: usize = 10;

/// The lease as the model has it.
#[derive(Debug)]
struct Token {
    run: RunId,
    node: u64,
}

impl Fence for Token {
    fn holds(&self, _: RunId) -> bool {
        outside::with(self.run, |outside| outside.holder) == self.node
    }
}

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    Completed,
    TurnedBack,
    GivenUp,
    /// Beside one of the others: it was stuck, and people helped.
    WasStuck,
    /// Likewise: a step that had failed was done by hand.
    WasSkipped,
    /// Likewise: it was turned back past its pivot.
    WasForced,
    /// Likewise: a node that had lost it found that out.
    WasFenced,
    /// Likewise: something that came late was found by its key, and taken away.
    WasSwept,
}

/// A driver that goes on by itself until it fails or its run is at rest.
type Zombie = BoxFuture<'static, Result<(), DriveError>>;

struct Play {
    case: Case,
    stage: Arc<Stage>,
    registry: Registry,
    id: RunId,
    node: u64,
    driver: Option<Driver>,
    harms: Vec<Harm>,
    takeover: Option<Takeover>,
    /// Whoever lost the run, how often the new driver is advanced before it wakes up.
    zombie: Option<(Zombie, usize)>,
    beats: usize,
    began: Instant,
    fates: Vec<Fate>,
}

/// Plays a case on virtual time.
///
/// # Errors
/// What was wrong.
pub(crate) fn play(case: &Case) -> Result<Vec<Fate>, String> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut play = Play::prepare(case).await;
        let outcome = play.drive_to_end().await;
        outside::close(play.id);
        outcome.map(|()| play.fates)
    })
}

impl Play {
    async fn prepare(case: &Case) -> Self {
        let stage = Stage::new().await;
        let (definition, rows) = table(case);
        let id = outside::open(definition.plan(&stage.world.limits), rows.into_iter().collect());
        let now = stage.app().journal().now();
        let start = Command::Start {
            definition: NAME.to_owned(),
            version: 1,
            input: Value::Null,
            subject: "thing".to_owned(),
            deadline: case.time.map(|seconds| now + Duration::from_secs(seconds)),
        };
        let journal = stage.app().journal();
        journal.execute::<Saga>(&id.stream(), &somebody().metadata(), start).await.unwrap();
        let mut harms = case.harms.clone();
        harms.reverse();
        Self {
            case: case.clone(),
            stage: Arc::new(stage),
            registry: Registry::from([((NAME.to_owned(), 1), definition)]),
            id,
            node: 1,
            driver: None,
            harms,
            takeover: case.takeover.clone(),
            zombie: None,
            beats: 0,
            began: Instant::now(),
            fates: vec![],
        }
    }

    async fn drive_to_end(&mut self) -> Result<(), String> {
        let cancels = self.spawn_cancels();
        let mut remedies = 0;
        let run = loop {
            let run = self.drive_to_rest().await?;
            if !run.phase.is_stuck() {
                break run;
            }
            check_stuck(&self.case, &run, &self.events().await)?;
            remedies += 1;
            if remedies == 1 {
                self.fates.push(Fate::WasStuck);
            }
            if remedies > REMEDIES_MAX {
                return Err(format!("nothing helps: {:?}", run.phase));
            }
            self.help(&run).await;
        };
        self.wake_zombie(TIME_MAX).await?;
        for cancel in cancels {
            cancel.abort();
        }
        self.fates.push(match &run.phase {
            Phase::Completed => Fate::Completed,
            Phase::Abandoned { .. } => Fate::GivenUp,
            _ => Fate::TurnedBack,
        });
        sleep(outside::LATE + Duration::from_secs(1)).await;
        let (was_swept, outside) = outside::with(self.id, |it| (it.sweep(&run), it.clone()));
        self.fates.extend(was_swept.then_some(Fate::WasSwept));
        let events = self.events().await;
        check_end(&End { case: &self.case, id: self.id, run: &run, events: &events, outside })?;
        // The driver has not been deceived either.
        match self.driver.as_ref().map(Driver::run) {
            Some(known) if *known != run => Err(format!("the driver knew {known:?}, not {run:?}")),
            _ => Ok(()),
        }
    }

    /// Somebody cancels at the time drawn, and somebody whenever an append is slow.
    fn spawn_cancels(&self) -> Vec<tokio::task::JoinHandle<()>> {
        let (stage, id) = (Arc::clone(&self.stage), self.id);
        let overtaking = tokio::spawn(async move {
            loop {
                stage.store.slowness().await;
                cancel(&stage, id).await;
            }
        });
        let timed = self.case.cancelled_after.map(|seconds| {
            let stage = Arc::clone(&self.stage);
            tokio::spawn(async move {
                sleep(Duration::from_secs(seconds)).await;
                cancel(&stage, id).await;
            })
        });
        std::iter::once(overtaking).chain(timed).collect()
    }

    /// Drives until the run is at rest, with a new driver after each crash and each outage.
    async fn drive_to_rest(&mut self) -> Result<Run, String> {
        self.order_harm();
        loop {
            self.beats += 1;
            if self.beats > BEATS_MAX || self.began.elapsed() > TIME_MAX {
                return Err("it is never at rest".to_owned());
            }
            self.take_over_if_drawn().await;
            if self.zombie.as_ref().is_some_and(|(_, wakes_at)| *wakes_at <= self.beats) {
                self.wake_zombie(Duration::from_secs(1)).await?;
            }
            let store = Arc::clone(&self.stage);
            let paced = tokio::select! {
                biased;
                () = store.store.crash() => None,
                paced = self.advance() => Some(paced),
            };
            if self.stage.store.struck() {
                self.order_harm();
            }
            let wrong = outside::with(self.id, |outside| std::mem::take(&mut outside.wrong));
            if let Some(wrong) = wrong.into_iter().next() {
                return Err(wrong);
            }
            match paced {
                None => self.driver = None,
                Some(Ok(Pace::Again)) => {}
                Some(Ok(Pace::At(time))) => self.stage.sleep_until(time).await,
                Some(Ok(Pace::AtRest)) => return Ok(self.stage.run(self.id).await),
                Some(Err(DriveError::Unavailable(_))) => {
                    self.driver = None;
                    sleep(Duration::from_secs(1)).await;
                }
                Some(Err(error)) => return Err(format!("the driver gave up: {error:?}")),
            }
        }
    }

    async fn advance(&mut self) -> Result<Pace, DriveError> {
        if self.driver.is_none() {
            self.driver = Some(self.open().await?);
        }
        self.driver.as_mut().unwrap().advance().await
    }

    async fn open(&self) -> Result<Driver, DriveError> {
        let world = Arc::clone(&self.stage.world);
        let driver = Driver::open(world, &self.registry, self.id).await?;
        Ok(driver.with_fence(Arc::new(Token { run: self.id, node: self.node })))
    }

    fn order_harm(&mut self) {
        let Some(Harm { nth, moment, what }) = self.harms.pop() else {
            return self.order_none();
        };
        let harm = match what {
            What::Crash => crash_store::Harm::Crash,
            What::Outage => crash_store::Harm::Outage,
            What::Cancel => crash_store::Harm::Slowness,
        };
        self.stage.store.order(Mark::Nth(nth), moment, harm);
    }

    fn order_none(&self) {
        let never = Mark::Nth(usize::MAX);
        self.stage.store.order(never, Moment::Before, crash_store::Harm::Outage);
    }

    /// The driver is left behind in the middle of what it does, and another node goes on.
    async fn take_over_if_drawn(&mut self) {
        let Some(takeover) = self.takeover.take_if(|takeover| takeover.beats < self.beats) else {
            return;
        };
        let Some(mut old) = self.driver.take() else { return };
        self.order_none();
        let stage = Arc::clone(&self.stage);
        let mut zombie: Zombie = Box::pin(async move {
            loop {
                match old.advance().await? {
                    Pace::Again => {}
                    Pace::At(time) => stage.sleep_until(time).await,
                    Pace::AtRest => return Ok(()),
                }
            }
        });
        let mut is_dead = timeout(Duration::from_secs(takeover.rightly), &mut zombie).await.is_ok();
        self.node += 1;
        outside::with(self.id, |outside| outside.holder = self.node);
        if !is_dead {
            is_dead = timeout(Duration::from_secs(takeover.unaware), &mut zombie).await.is_ok();
        }
        let command = Command::TakeLease {
            node: Uuid::from_u128(self.node.into()),
            epoch: self.node,
            orderly: false,
        };
        let journal = self.stage.app().journal();
        let (stream, meta) = (self.id.stream(), Metadata::by("system"));
        let taken = journal.execute::<Saga>(&stream, &meta, command).await.is_ok();
        outside::with(self.id, |outside| outside.acting = self.node);
        if taken && !is_dead {
            self.zombie = Some((zombie, self.beats + takeover.wakes_after));
        }
        self.order_harm();
    }

    /// Whoever has lost the run finds that out, writes nothing and calls nothing. One that sleeps
    /// for longer is left for the end.
    async fn wake_zombie(&mut self, longest: Duration) -> Result<(), String> {
        let Some((mut zombie, _)) = self.zombie.take() else { return Ok(()) };
        let before = self.events().await.len();
        outside::with(self.id, |outside| outside.acting = 0);
        let outcome = timeout(longest, &mut zombie).await;
        outside::with(self.id, |outside| outside.acting = outside.holder);
        let written = self.events().await.split_off(before);
        // People may have spoken meanwhile.
        if let Some((event, _)) = written.iter().find(|(event, _)| !is_by_people(event)) {
            return Err(format!("a zombie wrote {event:?}"));
        }
        match outcome {
            Ok(Err(DriveError::Fenced)) => {
                self.fates.push(Fate::WasFenced);
                Ok(())
            }
            // It would ask for the lease anew.
            Ok(Err(DriveError::Unavailable(_))) => Ok(()),
            Err(_) if longest < TIME_MAX => {
                self.zombie = Some((zombie, usize::MAX));
                Ok(())
            }
            other => Err(format!("a zombie came to {other:?}")),
        }
    }

    /// What a person does about a stuck run: the cause is mended, unless the run is given up.
    async fn help(&mut self, run: &Run) {
        let Phase::Stuck { step, code, .. } = &run.phase else { return };
        let step = step.clone();
        let verb = match (self.case.remedy, code) {
            (Remedy::Abandon, _) => Verb::Abandon,
            (Remedy::ResumeForward, _) => Verb::ResumeForward,
            (Remedy::MarkUndone, StuckCode::UndoFailed) => Verb::MarkUndone { step },
            (Remedy::SkipStep, StuckCode::StepFailed) => {
                let output = json!(step_key(self.id, &step));
                Verb::SkipStep { step, output }
            }
            (Remedy::ForceUnwind, StuckCode::StepFailed) => Verb::ForceUnwind,
            _ => Verb::RetryStep { step },
        };
        self.fates.extend(match verb {
            Verb::SkipStep { .. } => Some(Fate::WasSkipped),
            Verb::ForceUnwind => Some(Fate::WasForced),
            _ => None,
        });
        outside::with(self.id, |outside| {
            outside.is_mended = !matches!(verb, Verb::Abandon);
            match &verb {
                Verb::MarkUndone { step } => outside.live.retain(|known| known.path != step),
                Verb::SkipStep { step, .. } => outside.make_by_hand(step_key(self.id, step), step),
                _ => {}
            }
        });
        self.order_none();
        // The app knows no plan of a process that was drawn.
        let plan = outside::with(self.id, |outside| outside.plan.clone());
        let (actor, reason) = (somebody().actor, "a test".to_owned());
        let command = Command::Operate(Box::new(Operation { verb, actor, reason, plan }));
        let (journal, meta) = (self.stage.app().journal(), somebody().metadata());
        journal.execute::<Saga>(&self.id.stream(), &meta, command).await.unwrap();
    }

    async fn events(&self) -> Vec<(Event, ocim_domain::Timestamp)> {
        let store = self.stage.app().journal().store();
        let recorded = store.read_stream(&self.id.stream(), 0).await.unwrap();
        let decode = |it: ocim_domain::event::Recorded| {
            (Event::decode(&it.kind, it.schema, &it.data).unwrap(), it.recorded_at)
        };
        recorded.into_iter().map(decode).collect()
    }
}

/// Asks for a cancel, which may come too late.
async fn cancel(stage: &Stage, id: RunId) {
    drop(stage.app().cancel_run(&somebody(), id, "changed my mind".to_owned(), false).await);
}

fn is_by_people(event: &Event) -> bool {
    matches!(event, Event::CancelRequested { .. })
}
