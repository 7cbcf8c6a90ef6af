//! A process as a table: steps with their effect, probe, undo (or the reason for none) and limits.

use super::host::Host;
use super::steady::SteadyTime;
use crate::journal::JournalError;
use crate::store::ReadError;
use derive_where::derive_where;
use futures_util::future::BoxFuture;
use ocim_domain::Timestamp;
use ocim_domain::event::Metadata;
use ocim_domain::ids::{IncidentId, RunId};
use ocim_domain::log_level::Level;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::{self, Cause, Command, ErrorClass, ErrorCode, Plan, RunRecord, StepPlan};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What a step did.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Its effect is there; later steps may read the output.
    Done(Value),
    /// It is not needed here.
    Skipped(String),
    /// It waits for something: ask again. Nothing is recorded, no thread is held.
    NotYet {
        /// When to ask again.
        again_in: Duration,
    },
    /// It waits for that time: recorded, so that it outlives a restart; nothing is called before.
    Until(Timestamp),
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The effect is there, with this output.
    Done(Value),
    /// It is not: the step may run.
    Absent,
    /// It can't be told yet: look again, and run nothing meanwhile.
    Unknown {
        /// When to look again.
        again_in: Duration,
    },
}

/// A failed attempt.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What it means.
    pub class: ErrorClass,
    /// Why no further try can mend it, if none can.
    pub code: Option<ErrorCode>,
    /// One sentence for people, without secrets.
    pub message: String,
    /// How long the other side asked to wait.
    pub retry_after: Option<Duration>,
    /// What it costs the step.
    pub costs: Costs,
}

/// What a failure costs its step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Costs {
    /// One of its attempts.
    Attempt,
    /// Nothing: the event store did not answer, which says nothing of the step.
    Outage,
    /// Nothing: a newer program wrote what the step would have to read, and may do it.
    Newer,
    /// Nothing, and no time either: the call was not made, because whoever it asks is paused.
    Paused {
        /// By this.
        incident: IncidentId,
    },
    /// Nothing: the call was not made, e.g. because its circuit is open; ask again after that.
    Nothing {
        /// When to ask again.
        again_in: Duration,
    },
}

impl StepError {
    /// An error that no further try can mend.
    pub fn permanent(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(ErrorClass::Permanent, message) }
    }

    /// An error that a later try may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, message)
    }

    /// An error of this class.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { class, code: None, message, retry_after: None, costs: Costs::Attempt }
    }
}

impl From<PortError> for StepError {
    fn from(error: PortError) -> Self {
        let (class, retry_after) = match error.class {
            Class::Transient => (ErrorClass::Transient, None),
            Class::RateLimited(after) => (ErrorClass::RateLimited, Some(after)),
            Class::Conflict => (ErrorClass::Conflict, None),
            Class::Permanent => (ErrorClass::Permanent, None),
            Class::Ambiguous => (ErrorClass::Ambiguous, None),
        };
        let free = |again_in| Costs::Nothing { again_in };
        let paused = error.paused_by.map(|incident| Costs::Paused { incident });
        let costs = paused.or(error.free_for.map(free)).unwrap_or(Costs::Attempt);
        Self { code: error.code, retry_after, costs, ..Self::new(class, error.message) }
    }
}

impl From<JournalError> for StepError {
    fn from(error: JournalError) -> Self {
        let message = ocim_domain::error_chain::chain(&error);
        match error {
            JournalError::Busy { .. } | JournalError::Unavailable { .. } => {
                Self { costs: Costs::Outage, ..Self::transient(message) }
            }
            JournalError::Newer(_) => Self { costs: Costs::Newer, ..Self::transient(message) },
            JournalError::VersionConflict => Self::transient(message),
            JournalError::Unstorable(_) | JournalError::TooLarge => {
                Self::permanent(ErrorCode::StateForbids, message)
            }
            JournalError::Internal(_) => Self::permanent(ErrorCode::Defect, message),
        }
    }
}

impl From<ReadError> for StepError {
    fn from(error: ReadError) -> Self {
        JournalError::from(error).into()
    }
}

/// What a step may know and use.
#[derive_where(Debug, Clone)]
pub struct StepContext<H: Host> {
    /// The run.
    pub run: RunId,
    /// The step's path.
    pub step: &'static str,
    /// The same for all attempts: every effect is found or made by it.
    pub key: Uuid,
    /// What the run works on.
    pub input: Value,
    /// What earlier steps gave, and this one if it was done before its undo.
    pub outputs: BTreeMap<String, Value>,
    /// Why the run turned back; none while it goes forward.
    pub cause: Option<Cause>,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When this attempt's time is up.
    pub deadline: Timestamp,
    /// The time of this drive, by which the deadline is meant.
    pub time: SteadyTime,
    /// Commands and ports.
    pub world: Arc<H>,
}

impl<H: Host> StepContext<H> {
    /// The run's input as its type.
    ///
    /// # Errors
    /// When it was written by a definition that had another type.
    pub fn input<T: RunRecord>(&self) -> Result<T, StepError> {
        serde_json::from_value(self.input.clone())
            .map_err(|error| unreadable(format!("the run's input can't be read: {error}")))
    }

    /// What a step gave, as its type; `None` when it gave nothing.
    ///
    /// # Errors
    /// When it was written by a definition that had another type.
    pub fn output<T: RunRecord>(&self, step: &str) -> Result<Option<T>, StepError> {
        let Some(value) = self.outputs.get(step) else { return Ok(None) };
        serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|error| unreadable(format!("`{step}` gave what can't be read: {error}")))
    }

    /// What a step that must have been done gave.
    ///
    /// # Errors
    /// When it gave nothing.
    pub fn need<T: RunRecord>(&self, step: &str) -> Result<T, StepError> {
        self.output(step)?.ok_or_else(|| unreadable(format!("`{step}` gave nothing")))
    }

    /// What goes beside the events that this step causes.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        let run = self.run.to_string();
        Metadata {
            correlation_id: Some(run.clone()),
            causation_id: Some(self.key.to_string()),
            ..Metadata::by(format!("saga:{run}"))
        }
    }

    /// One line in the run's log.
    pub async fn say(&self, text: impl Into<String>) {
        self.world.say(self.run, self.step, Level::Info, text.into()).await;
    }
}

fn unreadable(message: String) -> StepError {
    StepError::permanent(ErrorCode::UnreadableRecord, message)
}

/// What a step gives; `()` where its effect is all.
///
/// # Errors
/// When it has no JSON form.
pub fn done<T: RunRecord>(output: T) -> Result<Progress, StepError> {
    write(output).map(Progress::Done)
}

/// What a probe found that a step had given.
///
/// # Errors
/// When it has no JSON form.
pub fn found<T: RunRecord>(output: T) -> Result<Found, StepError> {
    write(output).map(Found::Done)
}

/// The end of an undo, with a sentence for people about what there is now.
///
/// # Errors
/// None: it is shaped like [`done`].
pub fn undone(note: &str) -> Result<Progress, StepError> {
    Ok(Progress::Done(note.into()))
}

fn write<T: RunRecord>(output: T) -> Result<Value, StepError> {
    serde_json::to_value(output)
        .map_err(|error| unreadable(format!("the output has no JSON form: {error}")))
}

/// Performs a step, or asks how far it is: called again after [`Progress::NotYet`].
pub type RunFn<H> = fn(StepContext<H>) -> BoxFuture<'static, Result<Progress, StepError>>;
/// Looks whether an effect whose outcome is unknown is there.
pub type ProbeFn<H> = fn(StepContext<H>) -> BoxFuture<'static, Result<Found, StepError>>;

/// An async function of a step's context, as rows hold it: a [`RunFn`] or a [`ProbeFn`].
#[macro_export]
macro_rules! call {
    ($function:path) => {
        |context| ::std::boxed::Box::pin($function(context))
    };
}

/// What the run's way back means to a step. Reasons are sentences for people.
#[derive_where(Debug, Clone, Copy)]
pub enum Kind<H: Host> {
    /// Its effect is taken away, whether or not it was there, and seen to be gone. A note may
    /// come back in `Done`; `NotYet` asks again.
    Compensable(RunFn<H>),
    /// As `Compensable`, but kept for the reason when the run failed at or after that step.
    CompensableUnlessFailedAfter(RunFn<H>, &'static str, &'static str),
    /// From its intent on the run only goes forward.
    Pivot(&'static str),
    /// It comes after the pivot, and is tried until it is done.
    Retryable(&'static str),
    /// There is nothing to take away.
    NoUndo(&'static str),
}

impl<H: Host> Kind<H> {
    /// How the effect is taken away, if it is.
    #[must_use]
    pub const fn undo(&self) -> Option<RunFn<H>> {
        match self {
            Self::Compensable(undo) | Self::CompensableUnlessFailedAfter(undo, ..) => Some(*undo),
            Self::Pivot(_) | Self::Retryable(_) | Self::NoUndo(_) => None,
        }
    }

    fn plan(&self) -> saga::Kind {
        let text = |text: &str| text.to_owned();
        match self {
            Self::Compensable(_) => saga::Kind::Compensable { keep_after: None },
            Self::CompensableUnlessFailedAfter(_, from, reason) => {
                saga::Kind::Compensable { keep_after: Some((text(from), text(reason))) }
            }
            Self::Pivot(reason) => saga::Kind::Pivot(text(reason)),
            Self::Retryable(reason) => saga::Kind::Retryable(text(reason)),
            Self::NoUndo(reason) => saga::Kind::NoUndo(text(reason)),
        }
    }
}

/// One row of a process.
#[derive_where(Debug, Clone, Copy)]
pub struct Step<H: Host> {
    /// Its path, unique in the definition: `step`; `block/step` or `block/branch/step` for steps
    /// that run beside each other.
    pub path: &'static str,
    /// Performs it.
    pub run: RunFn<H>,
    /// Looks whether it happened; without one, running it again is as good as looking.
    pub probe: Option<ProbeFn<H>>,
    /// What the run's way back means to it.
    pub kind: Kind<H>,
    /// Attempts before it has failed for good.
    pub attempts_max: u32,
    /// The longest that one attempt may take, waiting included.
    pub timeout: fn(&H::Limits) -> Duration,
    /// The longest that all its attempts together may take, from the first intent on.
    pub max_elapsed: Option<fn(&H::Limits) -> Duration>,
    /// Whether it holds nobody's process: it only waits for its turn, or watches what goes on without
    /// Ocim. However many nodes die meanwhile, they did not die of it.
    pub watches: bool,
    /// Whether it waits in line for others of Ocim's own runs: while those stand still, it does, too.
    pub in_line: bool,
    /// Ends what it began and what goes on without it, once a person has declared it done. It may
    /// be called again at any later time, and then does nothing more.
    pub on_skipped: Option<RunFn<H>>,
}

impl<H: Host> Step<H> {
    /// A row without a probe and without a limit over all attempts.
    #[must_use]
    pub const fn new(
        path: &'static str,
        run: RunFn<H>,
        kind: Kind<H>,
        attempts_max: u32,
        timeout: fn(&H::Limits) -> Duration,
    ) -> Self {
        Self {
            path,
            run,
            probe: None,
            kind,
            attempts_max,
            timeout,
            max_elapsed: None,
            watches: false,
            in_line: false,
            on_skipped: None,
        }
    }

    /// A row that holds nobody's process, as [`Step::watches`] says.
    #[must_use]
    pub const fn watching(
        path: &'static str,
        run: RunFn<H>,
        kind: Kind<H>,
        attempts_max: u32,
        timeout: fn(&H::Limits) -> Duration,
    ) -> Self {
        Self { watches: true, ..Self::new(path, run, kind, attempts_max, timeout) }
    }

    /// A row that waits in line, as [`Step::in_line`] says.
    #[must_use]
    pub const fn waiting_in_line(
        path: &'static str,
        run: RunFn<H>,
        kind: Kind<H>,
        attempts_max: u32,
        timeout: fn(&H::Limits) -> Duration,
    ) -> Self {
        Self { in_line: true, ..Self::watching(path, run, kind, attempts_max, timeout) }
    }
}

/// A run that is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// Its id, from the request.
    pub run: RunId,
    /// The definition's name.
    pub definition: &'static str,
    /// What it works on.
    pub input: Value,
    /// The text id of the object it is about.
    pub subject: String,
}

/// A process.
#[derive_where(Debug, Clone, Copy)]
pub struct Definition<H: Host> {
    /// Its name, the `verb_noun` of the command that starts it.
    pub name: &'static str,
    /// Its version; a run keeps the one that it was started with.
    pub version: u16,
    /// Its rows, in order.
    pub steps: &'static [Step<H>],
    /// The longest that a run may take before it turns back; none where it may take for ever.
    pub deadline: Option<fn(&H::Limits) -> Duration>,
    /// What an abandoned run still releases: turns and claims that others wait for, never
    /// machines. It may be called again at any later time, and then does nothing more.
    pub on_abandoned: Option<RunFn<H>>,
    /// Whether the first undo tells others for good that the run will not do what it was to do: such
    /// a run is not resumed forward, but asked for anew.
    pub settles_on_undo: bool,
}

impl<H: Host> Definition<H> {
    /// What the pure choice needs to know of it.
    #[must_use]
    pub fn plan(&self, limits: &H::Limits) -> Plan {
        let plan_step = |step: &Step<H>| StepPlan {
            path: step.path.to_owned(),
            attempts_max: step.attempts_max,
            max_elapsed: step.max_elapsed.map(|longest| longest(limits)),
            kind: step.kind.plan(),
            watches: step.watches,
        };
        let plan = Plan::new(self.steps.iter().map(plan_step).collect());
        Plan {
            settles_on_undo: self.settles_on_undo,
            planted: H::runner_limits(limits).planted,
            ..plan
        }
    }

    /// The step of that path.
    #[must_use]
    pub fn step(&self, path: &str) -> Option<&'static Step<H>> {
        self.steps.iter().find(|step| step.path == path)
    }

    /// The step from whose intent on the run only goes forward.
    #[must_use]
    pub fn pivot(&self) -> Option<&'static Step<H>> {
        self.steps.iter().find(|step| matches!(step.kind, Kind::Pivot(_)))
    }

    /// The start of a run that is asked for, with the time that this definition gives it.
    #[must_use]
    pub fn start(&self, request: StartRequest, now: Timestamp, limits: &H::Limits) -> Command {
        Command::Start {
            definition: self.name.to_owned(),
            version: self.version,
            input: request.input,
            subject: request.subject,
            deadline: self.deadline.map(|longest| now + longest(limits)),
        }
    }

    /// What is wrong with the table: checked when Ocim starts.
    ///
    /// # Errors
    /// One sentence a fault.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let faults = self.plan(&H::Limits::default()).check();
        if faults.is_empty() {
            return Ok(());
        }
        let tell = |fault: saga::Fault| format!("{}.{}: {}", self.name, fault.path, fault.what);
        Err(faults.into_iter().map(tell).collect())
    }
}
