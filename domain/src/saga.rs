//! The log of one run of a process, and the pure choice of what to do next.
//!
//! A run is its event stream. [`evolve`](Decider::evolve) folds it, [`next`] reads the fold beside
//! the plan of its definition and says what to do; whoever does it appends the result. After a
//! crash the same call goes on: an intent without a result is doubt, and doubt is probed first.

mod code;
mod event;
mod explain;
mod fold;
mod next;
mod operate;
mod plan;
mod planted;
mod record;
mod report;
mod run;
mod tell;

pub use code::{ErrorCode, StuckCode};
pub use event::{Action, Cause, Direction, ErrorClass, Event, LeftBehind};
pub use explain::{Explanation, Facts, Holder, PutOff, explain};
pub use next::{DEATHS_MAX, Directive, UNDO_TIME, may_retry_undo, next};
pub use operate::{Operation, Verb, describe_outcome, predict, preview, preview_cancel};
pub use plan::{Block, Fault, Kind, Plan, StepPlan};
pub use planted::{Planted, PlantedBug};
pub use record::RunRecord;
pub use run::{Effort, Held, Lease, Phase, Run, Step};
pub use tell::{tell_cause, tell_directive};

use crate::Timestamp;
use crate::decider::Decider;
use crate::ids::{NAMESPACE, RunId};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The key of a step: the same for all its attempts, so that each effect is find-or-create.
#[must_use]
pub fn step_key(run: RunId, step: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{run}/{step}").as_bytes())
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
    /// A node takes it over. `orderly`: the node before had let it go.
    TakeLease { node: Uuid, epoch: u64, orderly: bool },
    /// Ask it to stop and turn back.
    Cancel {
        /// Why.
        reason: String,
        /// The plan of the run's definition; empty where it is unknown.
        plan: Plan,
    },
    /// A person takes a hand in it.
    Operate(Box<Operation>),
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
    /// It only goes forward from here.
    #[error(
        "the run is past its point of no return, and only goes forward: wait for its end, or have \
         it forced to unwind"
    )]
    PastPivot,
    /// It does not go on by itself, whichever way.
    #[error("the run is stuck: have it forced to unwind, or abandon it")]
    Stuck,
    /// The report does not fit what the run is doing.
    #[error("the report does not fit what the run is doing")]
    Unfitting,
    /// Another node took it over since.
    #[error("another node has taken the run over since")]
    LeaseLost,
    /// An operator must say why.
    #[error("give a reason: it stands in the run's log")]
    NoReason,
    /// No such step.
    #[error("the run has no step `{step}` to do this with: `ocim run show` lists its steps")]
    UnknownStep { step: String },
    /// The step is not the next one of its branch.
    #[error("it is not the turn of `{step}`: only the step that the run is at can be meant")]
    NotItsTurn { step: String },
    /// Somebody is at it.
    #[error("`{step}` is being tried right now: wait for its outcome")]
    UnderWay { step: String },
    /// The step needs no retry.
    #[error("`{step}` is done already")]
    AlreadyDone { step: String },
    /// The step's undo does not hang.
    #[error("the undo of `{step}` is not what the run waits for")]
    NotUndoing { step: String },
    /// Its undoing has told others that it will not do what it was to do.
    #[error("what the run was to do is settled by its undoing: start it anew")]
    Settled,
    /// The verb is for runs that turn back.
    #[error("the run goes forward")]
    GoingForward,
    /// The verb is for runs that go forward.
    #[error("the run is turning back: resume it forward first")]
    TurningBack,
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
            (None, _) => Err(Rejected::Absent),
            (Some(run), Command::Cancel { reason, plan }) => decide_cancel(&plan, run, reason),
            (Some(run), Command::TakeLease { node, epoch, orderly }) => {
                decide_lease(run, Lease { node, epoch }, orderly)
            }
            (Some(run), Command::Operate(operation)) => operate::decide_operation(run, *operation),
            (Some(run), Command::Report(event)) => report::decide_report(run, event),
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
                efforts: BTreeMap::new(),
                lease: None,
                at_work: BTreeSet::new(),
                held: None,
                let_go: None,
            }),
            (None, _) => None,
            (Some(run), event) => Some(fold::evolve_run(run, event)),
        }
    }
}

/// The plan of a process that is unknown here is empty: whoever knows it obeys the cancel, if it is
/// in time.
fn decide_cancel(plan: &Plan, run: &Run, reason: String) -> Result<Vec<Event>, Rejected> {
    match &run.phase {
        phase if phase.is_over() => Err(Rejected::Over),
        Phase::Forward if plan.is_past_pivot(run) => Err(Rejected::PastPivot),
        Phase::Forward if run.cancel.is_some() => Ok(vec![]),
        Phase::Forward => Ok(vec![Event::CancelRequested { reason }]),
        Phase::Stuck { cause: None, .. } => Err(Rejected::Stuck),
        _ => Err(Rejected::Unwinding),
    }
}

fn decide_lease(run: &Run, lease: Lease, orderly: bool) -> Result<Vec<Event>, Rejected> {
    if run.phase.is_over() {
        return Err(Rejected::Over);
    }
    match run.lease {
        Some(held) if held == lease => Ok(vec![]),
        Some(held) if held.epoch >= lease.epoch => Err(Rejected::LeaseLost),
        _ => Ok(vec![Event::LeaseTaken { node: lease.node, epoch: lease.epoch, orderly }]),
    }
}
