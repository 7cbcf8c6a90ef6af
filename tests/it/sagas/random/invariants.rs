//! What must be true of every run once it is at rest, whatever happened to it.

use super::case::Case;
use super::outside::Outside;
use super::table::{LIMIT, LONGEST_CALL};
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{
    Action, Cause, Event, Kind, Phase, Run, Step, StepPlan, StuckCode, step_key,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a slow append, an outage and a last look may add to a time.
const SLACK: Duration = Duration::from_secs(60);

/// The end of a run.
pub(super) struct End<'a> {
    pub(super) case: &'a Case,
    pub(super) id: RunId,
    pub(super) run: &'a Run,
    pub(super) events: &'a [(Event, Timestamp)],
    pub(super) outside: Outside,
}

type Checked = Result<(), String>;

fn check(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

/// A run is stuck only for a reason that was drawn.
pub(super) fn check_stuck(case: &Case, run: &Run, events: &[(Event, Timestamp)]) -> Checked {
    let Phase::Stuck { step, code, .. } = &run.phase else { return Ok(()) };
    let is_meant = match code {
        StuckCode::UndoFailed => {
            case.rows().any(|row| row.undo_fails_for_ever)
                && matches!(run.steps.get(step), Some(Step::UndoFailed { .. }))
        }
        StuckCode::StepFailed => {
            step.starts_with("after") && matches!(run.steps.get(step), Some(Step::Failed { .. }))
        }
        StuckCode::UnknownDefinition | StuckCode::CrashLoop => false,
    };
    check(is_meant, || format!("it is stuck: {:?}", run.phase))?;
    let began = events.iter().find_map(|(event, at)| {
        matches!(event, Event::UndoIntended { step: known, .. } if known == step).then_some(*at)
    });
    let (_, last) = events[events.len() - 1];
    let day = Duration::from_secs(24 * 3600);
    let is_in_time = began.is_none_or(|began| last < began + day + LONGEST_CALL + SLACK);
    check(is_in_time, || format!("the undo of `{step}` was tried for more than a day"))
}

/// All that must hold once a run is over.
pub(super) fn check_end(end: &End<'_>) -> Checked {
    if let Some(wrong) = end.outside.wrong.first() {
        return Err(wrong.clone());
    }
    check(end.run.phase.is_over(), || format!("it is not over: {:?}", end.run.phase))?;
    check_resources(end)?;
    check_attempts(end)?;
    check_pauses(end)?;
    check_direction(end)?;
    check_time(end)
}

/// What is there is what the steps say, and each thing once.
fn check_resources(end: &End<'_>) -> Checked {
    let Outside { plan, live, .. } = &end.outside;
    let mut left = live.clone();
    for step in plan.steps() {
        let key = step_key(end.id, &step.path);
        let count = end.outside.count(key);
        left.retain(|known| known.key != key);
        let state = end.run.steps.get(&step.path);
        let expected = expected_count(end, step, state)?;
        check(expected.contains(&count), || {
            format!("the resource of `{}` is there {count} times: {state:?}", step.path)
        })?;
    }
    check(left.is_empty(), || format!("nobody's keys are there: {left:?}"))
}

/// How often a step's resource may be there.
fn expected_count(
    end: &End<'_>,
    step: &StepPlan,
    state: Option<&Step>,
) -> Result<std::ops::RangeInclusive<usize>, String> {
    let path = &step.path;
    let has_output = end.run.outputs.contains_key(path);
    match (&end.run.phase, state) {
        (_, None | Some(Step::Skipped)) => Ok(0..=0),
        (Phase::Completed | Phase::Abandoned { .. }, Some(Step::Done { .. })) => Ok(1..=1),
        (Phase::Unwound(_) | Phase::Abandoned { .. }, Some(Step::Undone)) => Ok(0..=0),
        (Phase::Unwound(cause), Some(Step::Kept)) => {
            check(may_be_kept(end, step, cause), || format!("`{path}` was kept without a reason"))?;
            Ok(usize::from(has_output)..=1)
        }
        (Phase::Abandoned { left_behind, .. }, Some(_)) => {
            let key = Some(step_key(end.id, path));
            let is_listed = left_behind.iter().any(|left| left.step == *path && left.key == key);
            check(is_listed, || format!("`{path}` is left behind, and nobody says so"))?;
            Ok(0..=1)
        }
        (phase, state) => Err(format!("`{path}` is {state:?} at the end: {phase:?}")),
    }
}

fn may_be_kept(end: &End<'_>, step: &StepPlan, cause: &Cause) -> bool {
    let place = |path: &str| end.outside.plan.steps().position(|step| step.path == path);
    match (&step.kind, cause) {
        (Kind::Compensable { keep_after: None }, _) => false,
        (Kind::Compensable { keep_after: Some((from, _)) }, Cause::StepFailed { step, .. }) => {
            place(step) >= place(from)
        }
        (Kind::Compensable { .. }, _) => false,
        _ => true,
    }
}

/// No step was tried more often than it may be.
fn check_attempts(end: &End<'_>) -> Checked {
    for step in end.outside.plan.steps() {
        let effort = end.run.effort(&step.path);
        let attempts = effort.attempt - effort.spent;
        let is_bound = !matches!(step.kind, Kind::Retryable(_));
        check(!is_bound || attempts <= step.attempts_max, || {
            format!("`{}` was tried {attempts} times, not {}", step.path, step.attempts_max)
        })?;
    }
    Ok(())
}

/// Nothing is tried anew before its time, and nothing that has failed for good, which alone has a
/// code.
fn check_pauses(end: &End<'_>) -> Checked {
    let mut waits: BTreeMap<&str, Option<Timestamp>> = BTreeMap::new();
    for (event, _) in end.events {
        match event {
            Event::StepFailed { step, retry_at, code, .. }
            | Event::UndoFailed { step, retry_at, code, .. } => {
                waits.insert(step, *retry_at);
                check(code.is_some() == retry_at.is_none(), || {
                    format!("`{step}` says {code:?}, and is tried again at {retry_at:?}")
                })?;
            }
            Event::TimerSet { step, due, .. } => {
                waits.insert(step, Some(*due));
            }
            // It has its own time; what was waited for before the turn is void.
            Event::UnwindBegan(_) | Event::OperatorActed { .. } => waits.clear(),
            Event::StepIntended { step, at, .. } | Event::UndoIntended { step, at, .. } => {
                let wait = waits.remove(step.as_str());
                let is_due = wait.is_none_or(|due| due.is_some() && due <= *at);
                let wait = wait.flatten();
                check(is_due, || format!("`{step}` was tried before its time, {wait:?}"))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Which way the run went: a cancel is obeyed, nobody but people turns it back past its pivot, an
/// end is an end.
fn check_direction(end: &End<'_>) -> Checked {
    let is_pivot = |path: &str| {
        let step = end.outside.plan.step(path);
        step.is_some_and(|step| matches!(step.kind, Kind::Pivot(_)))
    };
    let (mut has_begun, mut is_past_pivot, mut is_cancelled) = (false, false, false);
    for (index, (event, _)) in end.events.iter().enumerate() {
        match event {
            Event::StepIntended { step, .. } => {
                check(!is_cancelled, || format!("`{step}` began after the cancel"))?;
                has_begun = true;
                is_past_pivot |= is_pivot(step);
            }
            Event::CancelRequested { .. } => is_cancelled = has_begun && !is_past_pivot,
            Event::UnwindBegan(_) => {
                check(!is_past_pivot, || "it turned back past its pivot".to_owned())?;
                is_cancelled = false;
            }
            Event::OperatorActed { action: Action::ResumeForward, .. } => is_cancelled = false,
            Event::OperatorActed { action: Action::ForceUnwind, .. } => is_past_pivot = false,
            Event::Completed {} | Event::Unwound {} | Event::Abandoned { .. } => {
                check(index + 1 == end.events.len(), || "it went on after its end".to_owned())?;
                let completed = matches!(event, Event::Completed {});
                check(!(completed && is_cancelled), || "it overrode a cancel".to_owned())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Nothing before the pivot begins once the run's time is up, and the run turns when the calls that
/// are under way then have ended.
fn check_time(end: &End<'_>) -> Checked {
    let mut since: BTreeMap<&str, Timestamp> = BTreeMap::new();
    let mut deadline = end.run.deadline;
    let is_disturbed = !end.case.harms.is_empty() || end.case.takeover.is_some();
    let mut has_begun = false;
    for (event, at) in end.events {
        let limit = deadline.map(|deadline| match event {
            Event::UnwindBegan(_) | Event::Completed {} => deadline + LONGEST_CALL + SLACK * 4,
            _ => deadline + Duration::from_secs(2),
        });
        let is_late = limit.is_some_and(|limit| *at > limit);
        match event {
            Event::StepIntended { step, .. } => {
                check(!(is_late && has_begun), || format!("`{step}` began after the deadline"))?;
                has_begun = true;
                if step.starts_with("after") {
                    deadline = None;
                }
                let first = *since.entry(step).or_insert(*at);
                let may_go_on = end.outside.plan.step(step).and_then(|step| step.max_elapsed);
                let is_in_time = may_go_on.is_none() || *at < first + LIMIT || is_disturbed;
                check(is_in_time, || format!("`{step}` was tried for more than {LIMIT:?}"))?;
            }
            Event::UnwindBegan(_) => {
                check(!is_late, || "it turned back long after its deadline".to_owned())?;
                deadline = None;
            }
            Event::Completed {} => {
                check(!is_late, || "it completed long after its deadline".to_owned())?;
            }
            Event::OperatorActed { .. } => since.clear(),
            _ => {}
        }
    }
    Ok(())
}
