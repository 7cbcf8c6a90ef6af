//! What a person may do to a run, and what would come of it.

use super::Rejected;
use super::code::StuckCode;
use super::event::{Action, Cause, Direction, Event};
use super::next::{Directive, next};
use super::plan::Plan;
use super::report::folded;
use super::run::{Phase, Run, Step};
use super::tell::{tell_directive, tell_unknown};
use crate::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// What a person wants of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Verb {
    /// Try a step, or its undo, at once, with all its attempts and all its time.
    RetryStep { step: String },
    /// Count the step whose turn it is as done, with this output.
    SkipStep { step: String, output: Value },
    /// Count a step as undone whose undo does not come to an end.
    MarkUndone { step: String },
    /// Turn back from wherever it is: what can be undone is undone, the rest stays for its reason.
    /// A run that was turning back goes on doing so where no undo is what it is stuck at.
    ForceUnwind,
    /// Go forward again; only steps that are undone are run again.
    ResumeForward,
    /// Give it up as it is.
    Abandon,
}

/// A verb with all that it takes to decide about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What is wanted.
    pub verb: Verb,
    /// Who wants it.
    pub actor: String,
    /// Why.
    pub reason: String,
    /// The plan of the run's definition; empty where it is unknown.
    pub plan: Plan,
}

/// The events of an operator's verb.
pub(super) fn decide_operation(run: &Run, operation: Operation) -> Result<Vec<Event>, Rejected> {
    let Operation { verb, actor, reason, plan } = operation;
    if run.phase.is_over() {
        return Err(Rejected::Over);
    }
    if reason.trim().is_empty() {
        return Err(Rejected::NoReason);
    }
    check(&plan, run, &verb)?;
    let (action, step, output) = match verb {
        Verb::RetryStep { step } => (Action::RetryStep, Some(step), None),
        Verb::SkipStep { step, output } => (Action::SkipStep, Some(step), Some(output)),
        Verb::MarkUndone { step } => (Action::MarkUndone, Some(step), None),
        Verb::ForceUnwind => (Action::ForceUnwind, None, None),
        Verb::ResumeForward => (Action::ResumeForward, None, None),
        Verb::Abandon => (Action::Abandon, None, None),
    };
    let is_forward = match action {
        Action::ForceUnwind => false,
        Action::ResumeForward => true,
        _ => run.phase.is_forward(),
    };
    let direction = if is_forward { Direction::Forward } else { Direction::Unwinding };
    let said = reason.clone();
    let mut events = vec![Event::OperatorActed { actor, action, direction, step, reason, output }];
    match action {
        Action::ForceUnwind => events.push(Event::UnwindBegan(cause_of_force(run, said)?)),
        Action::Abandon => {
            let left_behind = run.left_behind();
            events.push(Event::Abandoned { reason: said, left_behind });
        }
        _ => {}
    }
    Ok(events)
}

fn check(plan: &Plan, run: &Run, verb: &Verb) -> Result<(), Rejected> {
    match verb {
        Verb::RetryStep { step } => check_retry(plan, run, step),
        Verb::SkipStep { step, .. } => {
            if !run.phase.is_forward() {
                return Err(Rejected::TurningBack);
            }
            if plan.step(step).is_none() {
                return Err(Rejected::UnknownStep { step: step.clone() });
            }
            let is_its_turn = plan.turns(run).iter().any(|turn| turn.path == *step);
            if is_its_turn { Ok(()) } else { Err(Rejected::NotItsTurn { step: step.clone() }) }
        }
        Verb::MarkUndone { step } => {
            if run.phase.is_forward() {
                return Err(Rejected::GoingForward);
            }
            check_undo_hangs(run, step)
        }
        Verb::ForceUnwind => cause_of_force(run, String::new()).map(|_| ()),
        Verb::ResumeForward if run.phase == Phase::Forward => Err(Rejected::GoingForward),
        Verb::ResumeForward if plan.has_settled(run) => Err(Rejected::Settled),
        Verb::ResumeForward | Verb::Abandon => Ok(()),
    }
}

/// Why a run that is forced turns back. One that got stuck between two undos has its cause, which
/// says what is kept; one whose undo has failed would be stuck at once again.
fn cause_of_force(run: &Run, reason: String) -> Result<Cause, Rejected> {
    match &run.phase {
        phase if phase.is_forward() => Ok(Cause::Cancelled { reason }),
        Phase::Stuck {
            code: StuckCode::UnknownDefinition | StuckCode::CrashLoop,
            cause: Some(cause),
            ..
        } => Ok(cause.clone()),
        _ => Err(Rejected::Unwinding),
    }
}

fn check_retry(plan: &Plan, run: &Run, path: &str) -> Result<(), Rejected> {
    let step = || path.to_owned();
    if !run.phase.is_forward() {
        return check_undo_hangs(run, path);
    }
    match run.steps.get(path) {
        None if plan.step(path).is_none() => Err(Rejected::UnknownStep { step: step() }),
        None => Err(Rejected::NotItsTurn { step: step() }),
        Some(Step::Waiting { .. } | Step::Failed { .. } | Step::TimerSet { .. }) => Ok(()),
        Some(Step::Intended { .. } | Step::TimerFired { .. }) if run.phase.is_stuck() => Ok(()),
        Some(Step::Intended { .. } | Step::TimerFired { .. }) => {
            Err(Rejected::UnderWay { step: step() })
        }
        Some(_) => Err(Rejected::AlreadyDone { step: step() }),
    }
}

/// The undo of the step waits or has failed, or nobody is at it because the run is stuck.
fn check_undo_hangs(run: &Run, path: &str) -> Result<(), Rejected> {
    let step = || path.to_owned();
    match run.steps.get(path) {
        Some(Step::UndoWaiting { .. } | Step::UndoFailed { .. }) => Ok(()),
        Some(Step::UndoIntended { .. }) if run.phase.is_stuck() => Ok(()),
        Some(Step::UndoIntended { .. }) => Err(Rejected::UnderWay { step: step() }),
        Some(_) => Err(Rejected::NotUndoing { step: step() }),
        None => Err(Rejected::UnknownStep { step: step() }),
    }
}

/// What would come of a verb, in sentences.
///
/// # Errors
/// As the verb itself would be refused.
pub fn preview(
    plan: &Plan,
    run: &Run,
    verb: Verb,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<String>, Rejected> {
    let (actor, reason) = ("preview".to_owned(), reason.to_owned());
    let operation = Operation { verb, actor, reason, plan: plan.clone() };
    let events = decide_operation(run, operation)?;
    Ok(describe_outcome(plan, folded(run, &events), &events, now))
}

/// What would come of a cancel, in sentences.
///
/// # Errors
/// As the cancel itself would be refused.
pub fn preview_cancel(
    plan: &Plan,
    run: &Run,
    reason: &str,
    now: Timestamp,
) -> Result<Vec<String>, Rejected> {
    let events = super::decide_cancel(plan, run, reason.to_owned())?;
    Ok(describe_outcome(plan, folded(run, &events), &events, now))
}

/// What came of a verb, or of a cancel, in sentences: first what its events did, then what the run, as it was after
/// them, does if all goes well from there.
#[must_use]
pub fn describe_outcome(plan: &Plan, after: Run, events: &[Event], now: Timestamp) -> Vec<String> {
    let mut sentences: Vec<String> = events.iter().flat_map(super::tell::tell_verb).collect();
    if plan.is_unknown() && !after.phase.is_over() {
        sentences.push(tell_unknown(&after));
    }
    let ways = predict(plan, after, now);
    sentences.extend(ways.iter().map(|directive| tell_directive(directive, now)));
    sentences
}

/// Rounds of directives that are foretold: each step is begun, taken up or waited for, and undone,
/// a few times at most, and no process has a hundred steps.
const ROUNDS_MAX: usize = 1_000;

/// What a run would do from here on if all went well: each directive, its best outcome folded,
/// and on to the next one, until it is at rest.
#[must_use]
pub fn predict(plan: &Plan, mut run: Run, mut now: Timestamp) -> Vec<Directive> {
    let mut all = vec![];
    for _ in 0..ROUNDS_MAX {
        let directives = next(plan, &run, now);
        if directives.is_empty() {
            break;
        }
        for directive in directives {
            if let Directive::Wait { until, .. } = &directive {
                now = now.max(*until);
            }
            run = folded(&run, &best_outcome(&directive, now));
            all.push(directive);
        }
    }
    all
}

fn best_outcome(directive: &Directive, now: Timestamp) -> Vec<Event> {
    let output = Value::Null;
    match directive.clone() {
        Directive::Run { step, attempt, .. } => {
            let (key, deadline, at) = (Uuid::nil(), now, Some(now));
            let intended = Event::StepIntended { step: step.clone(), attempt, key, deadline, at };
            vec![intended, Event::StepDone { step, output }]
        }
        Directive::Resume { step, .. } => vec![Event::StepDone { step, output }],
        Directive::FireTimer { step } => vec![Event::TimerFired { step }],
        Directive::Wait { .. } => vec![],
        Directive::Unwind(cause) => vec![Event::UnwindBegan(cause)],
        Directive::Undo { step, .. } | Directive::ResumeUndo { step, .. } => {
            vec![Event::UndoDone { step, note: None }]
        }
        Directive::SkipUndo { step, reason } => vec![Event::UndoSkipped { step, reason }],
        Directive::DeclareStuck { step, code, why } => {
            vec![Event::Stuck { step, why, code: Some(code) }]
        }
        Directive::Complete => vec![Event::Completed {}],
        Directive::FinishUnwind => vec![Event::Unwound {}],
    }
}
