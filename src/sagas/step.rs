//! A process as a table: steps with their effect, probe, undo (or the reason for none) and limits.

use super::world::{Limits, World};
use crate::app::{AppError, Caller};
use crate::ports::{Class, PortError};
use futures_util::future::BoxFuture;
use ocim_domain::Timestamp;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorClass, Plan, StepPlan, UndoPlan};
use serde::Serialize;
use serde::de::DeserializeOwned;
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
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The effect is there, with this output.
    Done(Value),
    /// It is not: the step may run.
    Absent,
}

/// A failed attempt.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct StepError {
    /// What it means.
    pub class: ErrorClass,
    /// One sentence for people, without secrets.
    pub message: String,
    /// How long the other side asked to wait.
    pub retry_after: Option<Duration>,
    /// The event store did not answer. That says nothing of the step: it costs no attempt.
    pub is_outage: bool,
}

impl StepError {
    /// An error that no further try can mend.
    pub fn permanent(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Permanent, message)
    }

    /// An error that a later try may not meet.
    pub fn transient(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, message)
    }

    /// An error of this class.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, message: message.into(), retry_after: None, is_outage: false }
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
        Self { retry_after, ..Self::new(class, error.message) }
    }
}

impl From<AppError> for StepError {
    fn from(error: AppError) -> Self {
        let message = crate::telemetry::chain(&error);
        match error {
            AppError::Busy { .. } | AppError::Unavailable { .. } => {
                Self { is_outage: true, ..Self::transient(message) }
            }
            AppError::VersionConflict => Self::transient(message),
            AppError::NotFound { .. }
            | AppError::Invalid(_)
            | AppError::Rejected { .. }
            | AppError::Stale { .. }
            | AppError::Internal(_) => Self::permanent(message),
        }
    }
}

/// What a step may know and use.
#[derive(Debug, Clone)]
pub struct StepContext {
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
    /// When this attempt's time is up.
    pub deadline: Timestamp,
    /// Commands and ports.
    pub world: Arc<World>,
}

impl StepContext {
    /// The run's input as its type.
    ///
    /// # Errors
    /// When it was written by a definition that had another type.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_value(self.input.clone()).map_err(|error| {
            StepError::permanent(format!("the run's input can't be read: {error}"))
        })
    }

    /// What a step gave, as its type; `None` when it gave nothing.
    ///
    /// # Errors
    /// When it was written by a definition that had another type.
    pub fn output<T: DeserializeOwned>(&self, step: &str) -> Result<Option<T>, StepError> {
        let Some(value) = self.outputs.get(step) else { return Ok(None) };
        serde_json::from_value(value.clone()).map(Some).map_err(|error| {
            StepError::permanent(format!("`{step}` gave what can't be read: {error}"))
        })
    }

    /// What a step that must have been done gave.
    ///
    /// # Errors
    /// When it gave nothing.
    pub fn need<T: DeserializeOwned>(&self, step: &str) -> Result<T, StepError> {
        self.output(step)?.ok_or_else(|| StepError::permanent(format!("`{step}` gave nothing")))
    }

    /// Who acts: this run.
    #[must_use]
    pub fn caller(&self) -> Caller {
        let run = self.run.to_string();
        Caller { actor: format!("saga:{run}"), request_id: Some(run), ..Caller::default() }
    }

    /// What goes beside the events that this step causes.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata { causation_id: Some(self.key.to_string()), ..self.caller().metadata() }
    }

    /// One line in the run's log.
    pub async fn say(&self, text: impl Into<String>) {
        self.world
            .say(self.run, self.step, crate::ports::log_store::Level::Info, text.into())
            .await;
    }
}

/// A step's result as JSON.
///
/// # Errors
/// When it has no JSON form.
pub fn done(output: impl Serialize) -> Result<Progress, StepError> {
    serde_json::to_value(output)
        .map(Progress::Done)
        .map_err(|error| StepError::permanent(format!("the output has no JSON form: {error}")))
}

/// Performs a step, or asks how far it is: called again after [`Progress::NotYet`].
pub type RunFn = fn(StepContext) -> BoxFuture<'static, Result<Progress, StepError>>;
/// Looks whether an effect whose outcome is unknown is there.
pub type ProbeFn = fn(StepContext) -> BoxFuture<'static, Result<Found, StepError>>;

/// What becomes of a step when the run turns back.
#[derive(Debug, Clone, Copy)]
pub enum Undo {
    /// Takes the effect away, whether or not it was there, and sees that it is gone. A note may
    /// come back in `Done`; `NotYet` asks again.
    With(RunFn),
    /// As `With`, but kept for the reason when the run failed at or after that step.
    WithUnlessFailedAfter(RunFn, &'static str, &'static str),
    /// There is nothing to take away, for this reason.
    Nothing(&'static str),
}

/// One row of a process.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Its path, unique in the definition.
    pub path: &'static str,
    /// Performs it.
    pub run: RunFn,
    /// Looks whether it happened; without one, running it again is as good as looking.
    pub probe: Option<ProbeFn>,
    /// What becomes of it when the run turns back.
    pub undo: Undo,
    /// Attempts before it has failed for good.
    pub attempts_max: u32,
    /// The longest that one attempt may take, waiting included.
    pub timeout: fn(&Limits) -> Duration,
}

impl Step {
    /// A row without a probe.
    #[must_use]
    pub const fn new(
        path: &'static str,
        run: RunFn,
        undo: Undo,
        attempts_max: u32,
        timeout: fn(&Limits) -> Duration,
    ) -> Self {
        Self { path, run, probe: None, undo, attempts_max, timeout }
    }
}

/// A process.
#[derive(Debug, Clone, Copy)]
pub struct Definition {
    /// Its name, the `verb_noun` of the command that starts it.
    pub name: &'static str,
    /// Its version; a run keeps the one that it was started with.
    pub version: u16,
    /// Its rows, in order.
    pub steps: &'static [Step],
    /// From the intent of that step on, the run only goes forward.
    pub pivot: Option<&'static str>,
}

impl Definition {
    /// What the pure choice needs to know of it.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let plan_step = |step: &Step| StepPlan {
            path: step.path.to_owned(),
            attempts_max: step.attempts_max,
            has_probe: step.probe.is_some(),
            undo: match step.undo {
                Undo::With(_) => UndoPlan::Undo { keep_after: None },
                Undo::WithUnlessFailedAfter(_, from, reason) => {
                    UndoPlan::Undo { keep_after: Some((from.to_owned(), reason.to_owned())) }
                }
                Undo::Nothing(reason) => UndoPlan::Nothing(reason.to_owned()),
            },
        };
        Plan {
            steps: self.steps.iter().map(plan_step).collect(),
            pivot: self.pivot.map(str::to_owned),
        }
    }

    /// What is wrong with the table: checked when Ocim starts.
    ///
    /// # Errors
    /// One sentence a fault.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut faults = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let name = format!("{}.{}", self.name, step.path);
            if self.steps[..index].iter().any(|earlier| earlier.path == step.path) {
                faults.push(format!("{name}: the path is used twice"));
            }
            if step.attempts_max == 0 {
                faults.push(format!("{name}: it would never run"));
            }
            match step.undo {
                Undo::Nothing(reason) if reason.trim().is_empty() => {
                    faults.push(format!("{name}: it gives no reason for having no undo"));
                }
                Undo::WithUnlessFailedAfter(_, _, reason) if reason.trim().is_empty() => {
                    faults.push(format!("{name}: it gives no reason for being kept"));
                }
                Undo::WithUnlessFailedAfter(_, from, _)
                    if !self.steps.iter().any(|other| other.path == from) =>
                {
                    faults.push(format!("{name}: it is kept after `{from}`, which does not exist"));
                }
                _ => {}
            }
        }
        if let Some(pivot) = self.pivot
            && !self.steps.iter().any(|step| step.path == pivot)
        {
            faults.push(format!("{}: its pivot `{pivot}` does not exist", self.name));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}
