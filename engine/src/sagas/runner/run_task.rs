//! The task of one run: acquires its lease, drives it until it rests, releases the lease.

use super::driver::{DriveError, Driver, Pace};
use super::fence::Fence;
use super::tasks::Shared;
use super::{NEWER_PAUSE, OUTAGE_PAUSE};
use crate::journal::{ExecuteError, JournalError, Loaded};
use crate::leases::Tenure;
use crate::sagas::host::Host;
use crate::sagas::node_leases::Take;
use futures_util::FutureExt;
use ocim_domain::decider::Decider;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::log_level::Level;
use ocim_domain::saga::{Command, DEATHS_MAX, Event, Phase, Run, Saga, Step, StuckCode};
use ocim_domain::text::make_recordable;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Pause after a defect of ours broke off the drive of a run.
const PANIC_PAUSE: Duration = Duration::from_secs(30);

/// What the task does next.
enum NextMove {
    /// Nothing: it is over, at rest, or not to be understood.
    Done,
    /// Nothing before so long, unless woken.
    Later(Duration),
    /// Drive it: its lease is ours, until told otherwise.
    Drive(Arc<Notify>),
}

/// A run whose process is unknown here, since when, and how far it was.
struct Unknown {
    since: Instant,
    version: Option<u64>,
}

/// Drives one run until it is at rest, or the runner stops.
pub(super) async fn drive_run<H: Host>(shared: Arc<Shared<H>>, run: RunId, wake: Arc<Notify>) {
    let mut task = RunTask { shared, run, wake, unknown: None, panics: None };
    while !task.shared.is_stopped() {
        let pause = match task.take_up().await {
            NextMove::Done => return,
            NextMove::Later(pause) => pause,
            NextMove::Drive(lost) => match task.drive(&lost).await {
                NextMove::Done => return,
                NextMove::Later(pause) => pause,
                NextMove::Drive(_) => Duration::ZERO,
            },
        };
        tokio::select! {
            () = task.shared.pause(pause) => {}
            () = task.wake.notified() => {}
        }
    }
}

struct RunTask<H: Host> {
    shared: Arc<Shared<H>>,
    run: RunId,
    wake: Arc<Notify>,
    unknown: Option<Unknown>,
    /// How far the run was when its drive panicked last, and how often it did so there.
    panics: Option<(Progress, u32)>,
}

/// How far a run is.
type Progress = (BTreeMap<String, Step>, Phase);

impl<H: Host> RunTask<H> {
    /// Looks at the run, and takes its lease if there is anything to do.
    async fn take_up(&mut self) -> NextMove {
        let shared = Arc::clone(&self.shared);
        let Ok(_one_at_a_time) = shared.door.acquire().await else { return NextMove::Done };
        let loaded = match shared.world.journal().load::<Saga>(&self.run.stream()).await {
            Ok(loaded) => loaded,
            Err(error) => return self.give_up_or_wait(error.into()),
        };
        let Some(run) = &loaded.state else { return NextMove::Done };
        if run.phase.is_at_rest() {
            return NextMove::Done;
        }
        if !shared.registry.contains_key(&(run.definition.clone(), run.version)) {
            return self.await_another_node(&loaded, run).await;
        }
        if shared.is_stopped() {
            return NextMove::Done;
        }
        match shared.leases.take(self.run).await {
            Ok(Take::Taken { tenure, orderly, lost }) => {
                let is_known = run.lease.is_some_and(|lease| lease.node == tenure.owner);
                if orderly && is_known {
                    return NextMove::Drive(lost);
                }
                match self.record_lease(tenure, orderly).await {
                    Ok(()) => NextMove::Drive(lost),
                    Err(error) => {
                        shared.leases.release(self.run).await;
                        self.give_up_or_wait(error)
                    }
                }
            }
            Ok(Take::Held { ends_in }) => NextMove::Later(ends_in),
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "a run waits for its lease");
                NextMove::Later(OUTAGE_PAUSE)
            }
        }
    }

    /// Records who drives the run from now on: what a former driver appends is refused after that.
    async fn record_lease(&self, tenure: Tenure, orderly: bool) -> Result<(), DriveError> {
        let Tenure { owner: node, epoch } = tenure;
        let command = Command::TakeLease { node, epoch, orderly };
        let (journal, meta) = (self.shared.world.journal(), Metadata::by("system"));
        match journal.execute::<Saga>(&self.run.stream(), &meta, command).await {
            Ok(_) => Ok(()),
            Err(ExecuteError::Rejected(_)) => Err(DriveError::Fenced),
            Err(ExecuteError::Journal(error)) => Err(error.into()),
        }
    }

    /// Drives the run under its lease, and releases that when it stops doing so.
    async fn drive(&mut self, lost: &Notify) -> NextMove {
        let drive = AssertUnwindSafe(self.drive_to_rest()).catch_unwind();
        let outcome = tokio::select! {
            biased;
            () = lost.notified() => Ok(Err(DriveError::Fenced)),
            outcome = drive => outcome,
        };
        let outlook = match outcome {
            Ok(Ok(is_over)) => {
                if is_over {
                    self.shared.leases.end(self.run).await;
                }
                NextMove::Done
            }
            Ok(Err(error)) => self.give_up_or_wait(error),
            Err(panic) => self.record_panic(describe_panic(&*panic)).await,
        };
        self.shared.world.note_drive(self.run, None);
        self.shared.leases.release(self.run).await;
        outlook
    }

    /// Until the run is at rest, or the runner stops: then at the next boundary. True where it is over.
    async fn drive_to_rest(&self) -> Result<bool, DriveError> {
        let shared = &self.shared;
        let world = &shared.world;
        let fence = Arc::clone(&shared.leases) as Arc<dyn Fence>;
        let opened = Driver::open(Arc::clone(world), &shared.registry, self.run).await?;
        let mut driver = opened.with_fence(fence);
        world.note_drive(self.run, Some(driver.time()));
        let mut news = world.hold_up_news();
        while !shared.is_stopped() {
            news.mark_unchanged();
            match driver.advance().await? {
                Pace::Again => {}
                Pace::AtRest => {
                    // A stuck run may go on one day: its log stays open.
                    let is_over = driver.run().phase.is_over();
                    if is_over && let Err(error) = world.finish_log(self.run).await {
                        tracing::warn!(run = %self.run, %error, "a log could not be closed");
                    }
                    return Ok(is_over);
                }
                Pace::At(time) => {
                    tokio::select! {
                        () = shared.pause(driver.until(time)) => {}
                        () = self.wake.notified() => {}
                        Ok(()) = news.changed(), if driver.run().held.is_some() => {}
                    }
                }
            }
        }
        Ok(false)
    }

    /// An outage or a lost lease passes; anything else is nothing that another look would mend.
    fn give_up_or_wait(&self, error: DriveError) -> NextMove {
        let run = self.run;
        let told = ocim_domain::error_chain::chain(&error);
        match error {
            DriveError::Unavailable(_) => {
                tracing::warn!(%run, error = told, "a run waits for the event store");
                NextMove::Later(OUTAGE_PAUSE)
            }
            DriveError::Fenced => {
                tracing::warn!(%run, error = told, "a run is another node's");
                NextMove::Later(OUTAGE_PAUSE)
            }
            DriveError::Newer(_) => {
                tracing::warn!(%run, error = told, "a run is left to a newer Ocim");
                NextMove::Later(NEWER_PAUSE)
            }
            DriveError::UnknownDefinition { .. } => NextMove::Later(OUTAGE_PAUSE),
            DriveError::Absent | DriveError::Defect(_) => {
                tracing::error!(%run, error = told, "a run is left alone");
                NextMove::Done
            }
        }
    }

    /// A panic ends nothing but this drive; it is told in the run's log, and the run is tried anew.
    /// One that comes again and again before the run has moved is like the death of as many nodes.
    async fn record_panic(&mut self, text: String) -> NextMove {
        tracing::error!(run = %self.run, error = text, "the driver of a run panicked");
        let line = format!("Ocim itself failed here, and tries again later: {text}");
        self.shared.world.say(self.run, "ocim", Level::Error, line).await;
        let loaded = match self.shared.world.journal().load::<Saga>(&self.run.stream()).await {
            Ok(loaded) => loaded,
            Err(error) => return self.give_up_or_wait(error.into()),
        };
        // Each drive is under a lease of its own, whose taking may be all that was recorded.
        let progress = loaded.state.as_ref().map(|run| (run.steps.clone(), run.phase.clone()));
        let panics = match self.panics.take() {
            Some((before, panics)) if Some(&before) == progress.as_ref() => panics + 1,
            _ => 1,
        };
        if panics > DEATHS_MAX {
            let text = self.shared.world.mask(&text);
            let why = format!("Ocim itself failed {panics} times in a row here: {text}");
            return self.declare_stuck(&loaded, StuckCode::CrashLoop, why, PANIC_PAUSE).await;
        }
        self.panics = progress.map(|progress| (progress, panics));
        NextMove::Later(PANIC_PAUSE)
    }

    /// Leaves a run to a node that knows its process; when none has had it for long, says so.
    async fn await_another_node(&mut self, loaded: &Loaded<Saga>, run: &Run) -> NextMove {
        // Whoever has it may be in the middle of a step that records nothing for hours.
        match self.shared.leases.held_for(self.run).await {
            Ok(None) => {}
            Ok(Some(ends_in)) => {
                self.unknown = None;
                return NextMove::Later(ends_in);
            }
            Err(error) => {
                tracing::warn!(run = %self.run, %error, "nobody says who has a run");
                return NextMove::Later(OUTAGE_PAUSE);
            }
        }
        let grace = H::runner_limits(self.shared.world.limits()).unknown_grace;
        let unknown = match self.unknown.take() {
            Some(unknown) if unknown.version == loaded.version => unknown,
            _ => Unknown { since: Instant::now(), version: loaded.version },
        };
        let left = grace.saturating_sub(unknown.since.elapsed());
        self.unknown = Some(unknown);
        if !left.is_zero() {
            return NextMove::Later(left);
        }
        let why = format!(
            "no running version of Ocim knows `{}` version {}: start one that does",
            run.definition, run.version
        );
        self.declare_stuck(loaded, StuckCode::UnknownDefinition, why, grace).await
    }

    /// Records that a run can't go on here, unless somebody has moved it since.
    async fn declare_stuck(
        &self,
        loaded: &Loaded<Saga>,
        code: StuckCode,
        why: String,
        pause: Duration,
    ) -> NextMove {
        let journal = self.shared.world.journal();
        let stuck = Command::Report(Event::Stuck { step: String::new(), why, code: Some(code) });
        let Ok(events) = Saga::decide(&loaded.state, stuck, journal.now()) else {
            return NextMove::Later(pause); // It is at rest by now.
        };
        let meta = Metadata::by("system");
        match journal.append(&self.run.stream(), &meta, loaded.clone(), events).await {
            Ok(_) => NextMove::Done,
            Err(JournalError::VersionConflict) => NextMove::Later(pause),
            Err(error) => self.give_up_or_wait(error.into()),
        }
    }
}

/// What a panic said.
fn describe_panic(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    make_recordable(text.unwrap_or_default())
}
