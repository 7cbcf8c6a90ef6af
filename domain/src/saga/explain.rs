//! Where a run stands: what it waits for, since when, until when, who holds it, what comes next.

use super::code::StuckCode;
use super::event::Event;
use super::fold::cause_of;
use super::next::{Directive, UNDO_TIME};
use super::operate::predict;
use super::plan::Plan;
use super::run::{Held, Phase, Run, Step};
use super::tell::{tell_cause, tell_directive, tell_span, tell_time, tell_unknown};
use crate::Timestamp;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Who holds a run, as far as one knows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Holder {
    /// Nobody asked: the log tells who took it over last.
    #[default]
    Unasked,
    /// No node.
    Nobody,
    /// This node, until then unless it renews its lease.
    Node {
        /// Which.
        node: Uuid,
        /// Until when.
        until: Timestamp,
    },
}

/// Why a step is left alone for a while though its turn has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutOff {
    /// Until when.
    pub until: Timestamp,
    /// Why, e.g. whose circuit is open.
    pub why: String,
}

/// What one knows of a run beside its fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// When the last event of each step was recorded.
    pub steps_changed: BTreeMap<String, Timestamp>,
    /// When the run's last event was recorded.
    pub changed: Option<Timestamp>,
    /// When its phase began.
    pub phase_began: Option<Timestamp>,
    /// Which node holds it now.
    pub holder: Holder,
    /// The steps that are left alone now.
    pub put_off: BTreeMap<String, PutOff>,
    /// Known trouble that concerns it, each as a sentence.
    pub incidents: Vec<String>,
    /// What the steps that wait in line wait for: their place, and who is before them.
    pub lines: BTreeMap<String, String>,
}

impl Facts {
    /// Notes when an event was recorded.
    pub fn note(&mut self, event: &Event, at: Timestamp) {
        self.changed = Some(at);
        match event {
            Event::Started { .. }
            | Event::UnwindBegan(_)
            | Event::Stuck { .. }
            | Event::Completed {}
            | Event::Unwound {}
            | Event::Abandoned { .. } => self.phase_began = Some(at),
            Event::OperatorActed { step, .. } => {
                self.phase_began = Some(at);
                self.steps_changed.extend(step.clone().map(|step| (step, at)));
            }
            Event::StepIntended { step, .. }
            | Event::StepDone { step, .. }
            | Event::StepSkipped { step, .. }
            | Event::StepFailed { step, .. }
            | Event::TimerSet { step, .. }
            | Event::TimerFired { step }
            | Event::UndoIntended { step, .. }
            | Event::UndoDone { step, .. }
            | Event::UndoSkipped { step, .. }
            | Event::UndoFailed { step, .. } => {
                self.steps_changed.insert(step.clone(), at);
            }
            Event::HeldUp { .. } | Event::LetGo { .. } => {}
            Event::LeaseTaken { .. }
            | Event::CancelRequested { .. }
            | Event::StepResumed { .. }
            | Event::StepOutlived { .. } => {}
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// All of it in one sentence.
    pub sentence: String,
    /// What it waits for; nothing once it is over.
    pub waits_for: Option<String>,
    /// The steps that are under way or waited for.
    pub steps: Vec<String>,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when at the longest.
    pub until: Option<Timestamp>,
    /// The node that holds it, or took it over last where nobody asked.
    pub holder: Option<Uuid>,
    /// Until when, unless the node renews its lease.
    pub held_until: Option<Timestamp>,
    /// Which kind of trouble it is in.
    pub code: Option<StuckCode>,
    /// Why it is turning back, or has turned back.
    pub cause: Option<String>,
    /// What the steps waited for said last.
    pub last_error: Option<String>,
    /// What it will do after that if all goes well, in order.
    pub next: Vec<String>,
}

/// What a run waits for now.
struct Wait {
    what: String,
    steps: Vec<String>,
    until: Option<Timestamp>,
    error: Option<String>,
}

/// Says where a run stands.
#[must_use]
pub fn explain(plan: &Plan, run: &Run, now: Timestamp, facts: &Facts) -> Explanation {
    let mut way = predict(plan, run.clone(), now);
    let current = super::next(plan, run, now);
    way.drain(..current.len().min(way.len()));
    let wait = wait_of(plan, run, &current, now, facts);
    let (holder, held_until) = match facts.holder {
        _ if run.phase.is_over() => (None, None),
        Holder::Unasked => (run.lease.map(|lease| lease.node), None),
        Holder::Nobody => (None, None),
        Holder::Node { node, until } => (Some(node), Some(until)),
    };
    let held = run.held.as_ref().filter(|_| !run.phase.is_at_rest());
    let since = held.map(|held| held.since).or_else(|| {
        wait.iter()
            .flat_map(|wait| &wait.steps)
            .filter_map(|step| facts.steps_changed.get(step).copied())
            .min()
            .or(facts.phase_began)
    });
    let next: Vec<String> = way.iter().map(|directive| tell_directive(directive, now)).collect();
    let mut explanation = Explanation {
        sentence: String::new(),
        waits_for: wait.as_ref().map(|wait| wait.what.clone()),
        steps: wait.as_ref().map(|wait| wait.steps.clone()).unwrap_or_default(),
        since,
        until: wait.as_ref().and_then(|wait| wait.until),
        holder,
        held_until,
        code: match &run.phase {
            Phase::Stuck { code, .. } => Some(*code),
            _ => None,
        },
        cause: cause_of(&run.phase).map(tell_cause),
        last_error: wait.and_then(|wait| wait.error),
        next,
    };
    explanation.sentence = sentence(run, &explanation, now);
    if run.phase == Phase::Forward && run.cancel.is_some() && plan.is_past_pivot(run) {
        explanation.sentence += "; a cancel came too late: it is past its point of no return";
    }
    if plan.is_unknown() && !run.phase.is_over() {
        explanation.sentence += &format!("; {}", tell_unknown(run));
    } else if let Some(next) = explanation.next.first() {
        explanation.sentence += &format!("; then it will {next}");
    }
    if !run.phase.is_over() {
        let troubles = facts.incidents.iter().map(|trouble| format!("; known trouble: {trouble}"));
        explanation.sentence.extend(troubles);
    }
    explanation.sentence += ".";
    explanation
}

fn wait_of(
    plan: &Plan,
    run: &Run,
    current: &[Directive],
    now: Timestamp,
    facts: &Facts,
) -> Option<Wait> {
    if let Phase::Stuck { step, why, .. } = &run.phase {
        let steps = if step.is_empty() { vec![] } else { vec![step.clone()] };
        let what = "a person, to retry, skip, mark as undone, turn round or abandon it".to_owned();
        return Some(Wait { what, steps, until: None, error: Some(why.clone()) });
    }
    if plan.is_unknown() && !run.phase.is_over() {
        let what = format!("a node that knows `{}` version {}", run.definition, run.version);
        return Some(plain(what));
    }
    if let Some(held) = run.held.as_ref().filter(|_| !run.phase.is_over()) {
        let steps = current.iter().filter_map(Directive::step).map(str::to_owned).collect();
        let Held { incident, why, .. } = held;
        let what = format!("the end of a pause: {why} (incident {incident})");
        return Some(Wait { what, steps, until: None, error: None });
    }
    let mut waits = current.iter().map(|directive| {
        wait_for_put_off(directive, facts).unwrap_or_else(|| {
            let wait = wait_for(run, directive, now);
            let line = wait.steps.iter().find_map(|step| facts.lines.get(step));
            let Some(line) = line else { return wait };
            Wait { what: format!("{}: {line}", wait.what), ..wait }
        })
    });
    let first = waits.next()?;
    Some(waits.fold(first, |mut all, wait| {
        all.what = format!("{}, and for {}", all.what, wait.what);
        all.steps.extend(wait.steps);
        all.until = all.until.max(wait.until);
        all.error = all.error.or(wait.error);
        all
    }))
}

fn plain(what: String) -> Wait {
    Wait { what, steps: vec![], until: None, error: None }
}

/// A step that the node leaves alone, if this is its turn.
fn wait_for_put_off(directive: &Directive, facts: &Facts) -> Option<Wait> {
    let (Directive::Resume { step, .. }
    | Directive::ResumeUndo { step, .. }
    | Directive::Wait { step, .. }) = directive
    else {
        return None;
    };
    let PutOff { until, why } = facts.put_off.get(step)?;
    let what = format!("`{step}`, which is put off: {why}");
    Some(Wait { what, steps: vec![step.clone()], until: Some(*until), error: None })
}

fn wait_for(run: &Run, directive: &Directive, now: Timestamp) -> Wait {
    match directive {
        Directive::Resume { step, attempt, deadline } => Wait {
            what: format!("`{step}` (attempt {attempt}) to come to an end"),
            steps: vec![step.clone()],
            until: Some(*deadline),
            error: None,
        },
        Directive::ResumeUndo { step, attempt, deadline } => Wait {
            what: format!("the undo of `{step}` (attempt {attempt}) to come to an end"),
            steps: vec![step.clone()],
            until: Some(*deadline),
            error: None,
        },
        Directive::Wait { step, until } => wait_until(run, step, *until),
        Directive::Run { step, .. } | Directive::Undo { step, .. } => Wait {
            what: format!("a node, to {}", tell_directive(directive, now)),
            steps: vec![step.clone()],
            until: None,
            error: run.steps.get(step).and_then(error_of),
        },
        other => plain(format!("a node, to {}", tell_directive(other, now))),
    }
}

fn wait_until(run: &Run, path: &str, until: Timestamp) -> Wait {
    let what = match run.steps.get(path) {
        Some(Step::TimerSet { .. }) => format!("the time that `{path}` asked for"),
        Some(Step::UndoWaiting { attempt, .. }) => {
            let given_up = run.effort(path).undo_since.map(|since| since + UNDO_TIME);
            let given_up = given_up.map(|time| format!(", given up {}", tell_time(time)));
            let given_up = given_up.unwrap_or_default();
            format!("attempt {} of the undo of `{path}`{given_up}", attempt.saturating_add(1))
        }
        Some(Step::Waiting { attempt, .. }) => {
            format!("attempt {} of `{path}`", attempt.saturating_add(1))
        }
        _ => format!("`{path}`"),
    };
    let error = run.steps.get(path).and_then(error_of);
    Wait { what, steps: vec![path.to_owned()], until: Some(until), error }
}

fn error_of(step: &Step) -> Option<String> {
    match step {
        Step::Waiting { error, .. }
        | Step::Failed { error, .. }
        | Step::UndoWaiting { error, .. }
        | Step::UndoFailed { error } => Some(error.clone()),
        _ => None,
    }
}

fn sentence(run: &Run, told: &Explanation, now: Timestamp) -> String {
    let mut text = match &run.phase {
        Phase::Forward => "The run goes forward".to_owned(),
        Phase::Unwinding(cause) => format!("The run turns back, because {}", tell_cause(cause)),
        Phase::Stuck { step, why, .. } if step.is_empty() => format!("The run is stuck: {why}"),
        Phase::Stuck { step, why, .. } => format!("The run is stuck at `{step}`: {why}"),
        Phase::Completed => "The run has completed".to_owned(),
        Phase::Unwound(cause) => format!("The run has turned back, because {}", tell_cause(cause)),
        Phase::Abandoned { reason, .. } => format!("The run was abandoned: {reason}"),
    };
    if let Some(what) = &told.waits_for {
        text += &format!("; it waits for {what}");
    }
    if let Some(since) = told.since {
        text += &format!(", since {} ({})", tell_time(since), tell_span(since, now));
    }
    if let Some(until) = told.until {
        text += &format!(", until {} at the longest ({})", tell_time(until), tell_span(until, now));
    }
    if let (Some(error), false) = (&told.last_error, run.phase.is_stuck()) {
        text += &format!("; the last attempt said: {error}");
    }
    match (told.holder, told.held_until) {
        (Some(node), Some(until)) => {
            text += &format!("; node {node} holds it, until {} unless renewed", tell_time(until));
        }
        (Some(node), None) => text += &format!("; node {node} took it last"),
        (None, _) if run.phase.is_over() || run.phase.is_stuck() => {}
        (None, _) => text += "; no node holds it",
    }
    text
}
