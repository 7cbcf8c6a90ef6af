//! The log of one run of a process, and the pure choice of what to do next.
//!
//! A run is its event stream. [`evolve`](Decider::evolve) folds it, [`next`] reads the fold beside
//! the plan of its definition and says what to do; whoever does it appends the result. After a
//! crash the same call goes on: an intent without a result is doubt, and doubt is probed first.

mod next;

pub use next::{Directive, Plan, StepPlan, UndoPlan, next};

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{NAMESPACE, RunId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The key of a step: the same for all its attempts, so that each effect is find-or-create.
#[must_use]
pub fn step_key(run: RunId, step: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{run}/{step}").as_bytes())
}

/// What a failed attempt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// May work when tried again.
    Transient,
    /// The other side asked to wait.
    RateLimited,
    /// The other side is in a state that forbids it now.
    Conflict,
    /// Will not work however often it is tried.
    Permanent,
    /// It may have happened: probe first.
    Ambiguous,
    /// Its time was up.
    Timeout,
}

/// Why a run turned back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// A step failed for good.
    StepFailed {
        /// The step's path.
        step: String,
        /// What it said last.
        error: String,
    },
    /// Somebody cancelled it.
    Cancelled {
        /// What they said.
        reason: String,
    },
    /// The run's time was up.
    Deadline,
}

/// What happened to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It was started.
    #[serde(rename = "saga.started")]
    Started {
        /// Name of the definition, e.g. `launch_appserver`.
        definition: String,
        /// Version of the definition; pinned.
        version: u16,
        /// What it works on.
        input: Value,
        /// The text form of the object it is about (an Appserver, a balancer).
        subject: String,
        /// When it must have ended, if ever.
        deadline: Option<Timestamp>,
    },
    /// A step is about to have its effect.
    #[serde(rename = "saga.step_intended")]
    StepIntended { step: String, attempt: u32, key: Uuid, deadline: Timestamp },
    /// A step had its effect.
    #[serde(rename = "saga.step_done")]
    StepDone { step: String, output: Value },
    /// A step is not needed here.
    #[serde(rename = "saga.step_skipped")]
    StepSkipped { step: String, reason: String },
    /// An attempt failed; without `retry_at`, it was the last.
    #[serde(rename = "saga.step_failed")]
    StepFailed {
        step: String,
        attempt: u32,
        class: ErrorClass,
        error: String,
        retry_at: Option<Timestamp>,
    },
    /// Somebody asked it to stop and turn back.
    #[serde(rename = "saga.cancel_requested")]
    CancelRequested { reason: String },
    /// It turned back.
    #[serde(rename = "saga.unwind_began")]
    UnwindBegan(Cause),
    /// A step is about to be undone.
    #[serde(rename = "saga.undo_intended")]
    UndoIntended { step: String, attempt: u32, deadline: Timestamp },
    /// A step is undone.
    #[serde(rename = "saga.undo_done")]
    UndoDone { step: String, note: Option<String> },
    /// A step stays as it is, for this reason.
    #[serde(rename = "saga.undo_skipped")]
    UndoSkipped { step: String, reason: String },
    /// An undo failed; without `retry_at`, it was the last.
    #[serde(rename = "saga.undo_failed")]
    UndoFailed { step: String, attempt: u32, error: String, retry_at: Option<Timestamp> },
    /// It can't go on by itself.
    #[serde(rename = "saga.stuck")]
    Stuck { step: String, why: String },
    /// All steps are done.
    #[serde(rename = "saga.completed")]
    Completed {},
    /// All that had begun is undone, or kept for a stated reason.
    #[serde(rename = "saga.unwound")]
    Unwound {},
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("saga.started", 1),
        ("saga.step_intended", 1),
        ("saga.step_done", 1),
        ("saga.step_skipped", 1),
        ("saga.step_failed", 1),
        ("saga.cancel_requested", 1),
        ("saga.unwind_began", 1),
        ("saga.undo_intended", 1),
        ("saga.undo_done", 1),
        ("saga.undo_skipped", 1),
        ("saga.undo_failed", 1),
        ("saga.stuck", 1),
        ("saga.completed", 1),
        ("saga.unwound", 1),
    ];
}

/// How far one step is.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An attempt is under way, or was when the runner died.
    Intended { attempt: u32, deadline: Timestamp },
    /// It waits for its next attempt. `doubt`: the last one may have had its effect.
    Waiting { attempt: u32, retry_at: Timestamp, doubt: bool, error: String },
    /// It failed for good.
    Failed { error: String, class: ErrorClass },
    /// It had its effect.
    Done { output: Value },
    /// It was not needed.
    Skipped,
    /// Its undo is under way, or was when the runner died.
    UndoIntended { attempt: u32, deadline: Timestamp },
    /// Its undo waits for its next attempt.
    UndoWaiting { attempt: u32, retry_at: Timestamp, error: String },
    /// Its undo failed for good.
    UndoFailed { error: String },
    /// It is undone, or kept for a reason.
    Undone,
}

/// Which way a run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Towards its goal.
    Forward,
    /// Back.
    Unwinding(Cause),
    /// At rest until somebody helps.
    Stuck { step: String, why: String },
    /// Ended well.
    Completed,
    /// Ended turned back.
    Unwound(Cause),
}

impl Phase {
    /// True where nothing will ever happen again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Completed | Self::Unwound(_))
    }
}

/// A run as its events tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Name of the definition.
    pub definition: String,
    /// Its version.
    pub version: u16,
    /// What it works on.
    pub input: Value,
    /// The object it is about.
    pub subject: String,
    /// When it must have ended.
    pub deadline: Option<Timestamp>,
    /// Which way it goes.
    pub phase: Phase,
    /// The cancel that waits to be obeyed.
    pub cancel: Option<String>,
    /// Every step that has begun.
    pub steps: BTreeMap<String, Step>,
    /// What the steps gave, kept through their undo.
    pub outputs: BTreeMap<String, Value>,
}

/// A run, once it has started.
pub type State = Option<Run>;

/// A happening that the runner, a person or a process manager reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Start it.
    Start {
        definition: String,
        version: u16,
        input: Value,
        subject: String,
        deadline: Option<Timestamp>,
    },
    /// Ask it to stop and turn back.
    Cancel { reason: String },
    /// Record what the runner did; checked against the phase, so that a late report changes nothing.
    Report(Event),
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such run.
    #[error("the run does not exist")]
    Absent,
    /// It exists already.
    #[error("the run was started already")]
    Exists,
    /// It has ended.
    #[error("the run has ended")]
    Over,
    /// It is turning back already.
    #[error("the run is already turning back")]
    Unwinding,
    /// The report does not fit what the run is doing.
    #[error("the report does not fit what the run is doing")]
    Unfitting,
}

/// The rules of a run.
#[derive(Debug, Clone, Copy)]
pub struct Saga;

impl Decider for Saga {
    const CATEGORY: &'static str = RunId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match (state, command) {
            (None, Command::Start { definition, version, input, subject, deadline }) => {
                Ok(vec![Event::Started { definition, version, input, subject, deadline }])
            }
            (Some(_), Command::Start { .. }) => Err(Rejected::Exists),
            (None, Command::Cancel { .. } | Command::Report(_)) => Err(Rejected::Absent),
            (Some(run), Command::Cancel { reason }) => match &run.phase {
                Phase::Completed | Phase::Unwound(_) => Err(Rejected::Over),
                Phase::Unwinding(_) | Phase::Stuck { .. } => Err(Rejected::Unwinding),
                Phase::Forward if run.cancel.is_some() => Ok(vec![]),
                Phase::Forward => Ok(vec![Event::CancelRequested { reason }]),
            },
            (Some(run), Command::Report(event)) => decide_report(run, event),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (None, Event::Started { definition, version, input, subject, deadline }) => Some(Run {
                definition: definition.clone(),
                version: *version,
                input: input.clone(),
                subject: subject.clone(),
                deadline: *deadline,
                phase: Phase::Forward,
                cancel: None,
                steps: BTreeMap::new(),
                outputs: BTreeMap::new(),
            }),
            (None, _) => None,
            (Some(run), event) => Some(evolve_run(run, event)),
        }
    }
}

/// Refuses reports that come too late: of a step once the run has turned back, of anything once over.
fn decide_report(run: &Run, event: Event) -> Result<Vec<Event>, Rejected> {
    use Event as E;
    let fits = match (&run.phase, &event) {
        (Phase::Completed | Phase::Unwound(_), _) => return Err(Rejected::Over),
        (Phase::Stuck { .. }, _) => false,
        (
            Phase::Forward,
            E::StepIntended { .. }
            | E::StepDone { .. }
            | E::StepSkipped { .. }
            | E::StepFailed { .. }
            | E::UnwindBegan(_)
            | E::Stuck { .. }
            | E::Completed {},
        )
        | (
            Phase::Unwinding(_),
            E::UndoIntended { .. }
            | E::UndoDone { .. }
            | E::UndoSkipped { .. }
            | E::UndoFailed { .. }
            | E::Stuck { .. }
            | E::Unwound {},
        ) => true,
        (Phase::Forward | Phase::Unwinding(_), _) => false,
    };
    if fits { Ok(vec![event]) } else { Err(Rejected::Unfitting) }
}

fn evolve_run(mut run: Run, event: &Event) -> Run {
    match event {
        Event::Started { .. } => {}
        Event::StepIntended { step, attempt, deadline, .. } => {
            let next = Step::Intended { attempt: *attempt, deadline: *deadline };
            run.steps.insert(step.clone(), next);
        }
        Event::StepDone { step, output } => {
            run.outputs.insert(step.clone(), output.clone());
            run.steps.insert(step.clone(), Step::Done { output: output.clone() });
        }
        Event::StepSkipped { step, .. } => {
            run.steps.insert(step.clone(), Step::Skipped);
        }
        Event::StepFailed { step, attempt, class, error, retry_at } => {
            let next = match retry_at {
                Some(at) => Step::Waiting {
                    attempt: *attempt,
                    retry_at: *at,
                    doubt: matches!(class, ErrorClass::Ambiguous | ErrorClass::Timeout),
                    error: error.clone(),
                },
                None => Step::Failed { error: error.clone(), class: *class },
            };
            run.steps.insert(step.clone(), next);
        }
        Event::CancelRequested { reason } => run.cancel = Some(reason.clone()),
        Event::UnwindBegan(cause) => run.phase = Phase::Unwinding(cause.clone()),
        Event::UndoIntended { step, attempt, deadline } => {
            let next = Step::UndoIntended { attempt: *attempt, deadline: *deadline };
            run.steps.insert(step.clone(), next);
        }
        Event::UndoDone { step, .. } | Event::UndoSkipped { step, .. } => {
            run.steps.insert(step.clone(), Step::Undone);
        }
        Event::UndoFailed { step, attempt, error, retry_at } => {
            let next = match retry_at {
                Some(at) => {
                    Step::UndoWaiting { attempt: *attempt, retry_at: *at, error: error.clone() }
                }
                None => Step::UndoFailed { error: error.clone() },
            };
            run.steps.insert(step.clone(), next);
        }
        Event::Stuck { step, why } => {
            run.phase = Phase::Stuck { step: step.clone(), why: why.clone() };
        }
        Event::Completed {} => run.phase = Phase::Completed,
        Event::Unwound {} => {
            if let Phase::Unwinding(cause) = &run.phase {
                run.phase = Phase::Unwound(cause.clone());
            }
        }
    }
    run
}
