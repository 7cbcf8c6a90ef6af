//! What a run does next: a pure function of its plan, its fold and the time.

use super::code::StuckCode;
use super::event::Cause;
use super::plan::{Kind, Plan, StepPlan};
use super::planted::PlantedBug;
use super::run::{Phase, Run, Step};
use crate::Timestamp;
use std::time::Duration;

/// How many nodes in a row may die of a step before the run waits for a person.
pub const DEATHS_MAX: u32 = 5;

/// How long an undo is tried, from its first intent on, before the run is stuck.
pub const UNDO_TIME: Duration = Duration::from_secs(24 * 3600);

/// What to do now. Steps are named by their paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    /// Record the intent of this attempt, then perform it. In `doubt`, probe first: an earlier
    /// attempt may have had its effect.
    Run { step: String, attempt: u32, doubt: bool },
    /// The attempt's outcome is unknown: look, then perform it only if it did not happen.
    Resume { step: String, attempt: u32, deadline: Timestamp },
    /// Record that the time which the step asked for has come.
    FireTimer { step: String },
    /// Nothing for this step before then.
    Wait { step: String, until: Timestamp },
    /// Record that the run turns back.
    Unwind(Cause),
    /// Record the intent of this undo, then perform it.
    Undo { step: String, attempt: u32 },
    /// The undo's outcome is unknown: perform it again.
    ResumeUndo { step: String, attempt: u32, deadline: Timestamp },
    /// Record that the step stays as it is.
    SkipUndo { step: String, reason: String },
    /// Record that the run can't go on.
    DeclareStuck { step: String, code: StuckCode, why: String },
    /// Record that all steps are done.
    Complete,
    /// Record that all is undone.
    FinishUnwind,
}

impl Directive {
    /// The step that it is about, where it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        match self {
            Self::Run { step, .. }
            | Self::Resume { step, .. }
            | Self::FireTimer { step }
            | Self::Wait { step, .. }
            | Self::Undo { step, .. }
            | Self::ResumeUndo { step, .. }
            | Self::SkipUndo { step, .. }
            | Self::DeclareStuck { step, .. } => Some(step),
            Self::Unwind(_) | Self::Complete | Self::FinishUnwind => None,
        }
    }

    /// True where it concerns the whole run: all calls under way come to their end first.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        matches!(
            self,
            Self::Unwind(_) | Self::DeclareStuck { .. } | Self::Complete | Self::FinishUnwind
        )
    }
}

/// The things that can be done now: one for each branch that has something to do, or one for the
/// whole run. Empty where the run is at rest, and where nobody here knows its process.
///
/// A cancel or a passed deadline wins over whatever the current steps are doing, and so does a
/// step that failed for good over the branches beside it; what they may have done by then is
/// undone like everything else that has an intent.
#[must_use]
pub fn next(plan: &Plan, run: &Run, now: Timestamp) -> Vec<Directive> {
    if plan.is_unknown() {
        return vec![];
    }
    let now = run.time_at(now);
    let is_going = matches!(run.phase, Phase::Forward | Phase::Unwinding(_));
    if is_going && let Some((step, deaths)) = find_crash_loop(plan, run) {
        return vec![declare_crash_loop(step, deaths)];
    }
    match &run.phase {
        Phase::Forward => next_forward(plan, run, now),
        Phase::Unwinding(cause) => next_unwinding(plan, run, cause, now),
        Phase::Completed | Phase::Unwound(_) | Phase::Abandoned { .. } | Phase::Stuck { .. } => {
            vec![]
        }
    }
}

/// The step under way that node after node died of, and how many did.
fn find_crash_loop<'a>(plan: &Plan, run: &'a Run) -> Option<(&'a String, u32)> {
    run.steps.iter().find_map(|(path, step)| {
        let is_at_work = match step {
            // What only waits or watches holds nobody's process: who dies meanwhile died of else.
            Step::Intended { .. } => plan.step(path).is_some_and(|step| !step.watches),
            Step::UndoIntended { .. } => true,
            _ => false,
        };
        let deaths = run.efforts.get(path)?.deaths;
        (is_at_work && deaths > DEATHS_MAX).then_some((path, deaths))
    })
}

fn declare_crash_loop(step: &str, deaths: u32) -> Directive {
    Directive::DeclareStuck {
        step: step.to_owned(),
        code: StuckCode::CrashLoop,
        why: format!("{deaths} nodes in a row died while they were at it"),
    }
}

fn next_forward(plan: &Plan, run: &Run, now: Timestamp) -> Vec<Directive> {
    let past_pivot = plan.is_past_pivot(run) && !plan.planted.has(PlantedBug::TurnsBackPastPivot);
    // A run answers a request that stands in its subject's own log, and the first step's undo
    // settles that: so the first step begins, even if it is only to be undone.
    let may_turn_back = !past_pivot && !run.steps.is_empty();
    if may_turn_back && let Some(reason) = &run.cancel {
        return vec![Directive::Unwind(Cause::Cancelled { reason: reason.clone() })];
    }
    let turns = plan.turns(run);
    if turns.is_empty() {
        return vec![Directive::Complete];
    }
    let is_late = run.deadline.is_some_and(|deadline| deadline <= now)
        && !plan.planted.has(PlantedBug::DeadlineIgnored);
    if may_turn_back && is_late {
        return vec![Directive::Unwind(Cause::Deadline)];
    }
    for step in &turns {
        if let Some(Step::Failed { error, .. }) = run.steps.get(&step.path) {
            return vec![give_up(step.path.clone(), error.clone(), past_pivot)];
        }
    }
    let latest = if may_turn_back { run.deadline } else { None };
    turns.into_iter().filter_map(|step| step_forward(plan, step, run, now, latest)).collect()
}

fn give_up(step: String, error: String, past_pivot: bool) -> Directive {
    if past_pivot {
        return Directive::DeclareStuck { step, code: StuckCode::StepFailed, why: error };
    }
    Directive::Unwind(Cause::StepFailed { step, error })
}

/// What the step whose turn it is does; waits are no longer than the run has time.
fn step_forward(
    plan: &Plan,
    step: &StepPlan,
    run: &Run,
    now: Timestamp,
    latest: Option<Timestamp>,
) -> Option<Directive> {
    let path = step.path.clone();
    let wait = |time: Timestamp| {
        let until = latest.map_or(time, |latest| latest.min(time));
        Directive::Wait { step: step.path.clone(), until }
    };
    Some(match run.steps.get(&path) {
        None => Directive::Run { step: path, attempt: 1, doubt: false },
        Some(Step::Intended { attempt, deadline }) => {
            Directive::Resume { step: path, attempt: *attempt, deadline: *deadline }
        }
        Some(Step::Waiting { retry_at: time, .. } | Step::TimerSet { due: time, .. })
            if *time > now && !plan.planted.has(PlantedBug::RetryAtIgnored) =>
        {
            wait(*time)
        }
        Some(Step::Waiting { attempt, doubt, .. }) => {
            Directive::Run { step: path, attempt: attempt.saturating_add(1), doubt: *doubt }
        }
        Some(Step::TimerSet { .. }) => Directive::FireTimer { step: path },
        // It may have been put off while it was in doubt.
        Some(Step::TimerFired { attempt }) => {
            Directive::Run { step: path, attempt: *attempt, doubt: true }
        }
        // Finished and failed steps were dealt with; the rest belongs to a run that has turned back.
        Some(_) => return None,
    })
}

/// The last block that is not undone, all its branches at once.
fn next_unwinding(plan: &Plan, run: &Run, cause: &Cause, now: Timestamp) -> Vec<Directive> {
    let mut blocks: Vec<_> = plan.blocks.iter().rev().collect();
    if plan.planted.has(PlantedBug::UndoInForwardOrder) {
        blocks.reverse();
    }
    for block in blocks {
        let (stuck, others): (Vec<_>, Vec<_>) = block
            .branches()
            .filter_map(|branch| {
                branch.iter().rev().find_map(|step| step_back(plan, step, run, cause, now))
            })
            .partition(Directive::is_alone);
        // What can be undone beside a step that can't is undone first.
        if !others.is_empty() {
            return others;
        }
        if let Some(stuck) = stuck.into_iter().next() {
            return vec![stuck];
        }
    }
    vec![Directive::FinishUnwind]
}

fn step_back(
    plan: &Plan,
    step: &StepPlan,
    run: &Run,
    cause: &Cause,
    now: Timestamp,
) -> Option<Directive> {
    let path = step.path.clone();
    Some(match run.steps.get(&path)? {
        Step::Skipped | Step::Undone | Step::Kept => return None,
        Step::UndoIntended { attempt, deadline } => {
            Directive::ResumeUndo { step: path, attempt: *attempt, deadline: *deadline }
        }
        Step::UndoWaiting { retry_at, .. } if *retry_at > now => {
            Directive::Wait { step: path, until: *retry_at }
        }
        Step::UndoWaiting { attempt, .. } => {
            Directive::Undo { step: path, attempt: attempt.saturating_add(1) }
        }
        Step::UndoFailed { error } => {
            let (code, why) = (StuckCode::UndoFailed, error.clone());
            Directive::DeclareStuck { step: path, code, why }
        }
        Step::Intended { .. } | Step::Waiting { .. } | Step::Failed { .. }
            if plan.planted.has(PlantedBug::UndoOfSuccessesOnly) =>
        {
            return None;
        }
        Step::Intended { .. }
        | Step::Waiting { .. }
        | Step::TimerSet { .. }
        | Step::TimerFired { .. }
        | Step::Failed { .. }
        | Step::Done { .. } => match why_kept(plan, step, cause) {
            Some(reason) => Directive::SkipUndo { step: path, reason },
            None => Directive::Undo { step: path, attempt: 1 },
        },
    })
}

/// The reason why a step that has begun is not undone.
fn why_kept(plan: &Plan, step: &StepPlan, cause: &Cause) -> Option<String> {
    match (&step.kind, cause) {
        (Kind::Pivot(reason) | Kind::Retryable(reason) | Kind::NoUndo(reason), _) => {
            Some(reason.clone())
        }
        (
            Kind::Compensable { keep_after: Some((from, reason)) },
            Cause::StepFailed { step: failed, .. },
        ) => plan.is_at_or_after(failed, from).then(|| reason.clone()),
        (Kind::Compensable { .. }, _) => None,
    }
}

/// Whether an undo that failed at that time may be tried again.
#[must_use]
pub fn may_retry_undo(run: &Run, step: &str, at: Timestamp) -> bool {
    run.effort(step).undo_since.is_none_or(|since| at < since + UNDO_TIME)
}
