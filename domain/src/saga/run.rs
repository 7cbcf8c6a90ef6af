//! A run as its events tell.

use super::code::StuckCode;
use super::event::{Cause, ErrorClass, LeftBehind};
use crate::Timestamp;
use crate::ids::IncidentId;
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How far one step is.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// An attempt is under way, or was when the runner died.
    Intended { attempt: u32, deadline: Timestamp },
    /// It waits for its next attempt. `doubt`: the last one may have had its effect.
    Waiting { attempt: u32, retry_at: Timestamp, doubt: bool, error: String },
    /// It asked to be asked again at that time.
    TimerSet { attempt: u32, due: Timestamp },
    /// That time has come: the same attempt goes on.
    TimerFired { attempt: u32 },
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
    /// It is undone.
    Undone,
    /// The run has turned back, and it stays as it is, for a stated reason.
    Kept,
}

impl Step {
    /// True where the run may go on to what follows the step.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Skipped)
    }

    /// Until when its attempt or its pause lasts.
    fn until_mut(&mut self) -> Option<&mut Timestamp> {
        match self {
            Self::Intended { deadline: until, .. }
            | Self::UndoIntended { deadline: until, .. }
            | Self::Waiting { retry_at: until, .. }
            | Self::TimerSet { due: until, .. }
            | Self::UndoWaiting { retry_at: until, .. } => Some(until),
            _ => None,
        }
    }
}

/// What a step has used up of its limits, and the key that its effect bears.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effort {
    /// The key of its effect, once it was intended.
    pub key: Option<Uuid>,
    /// Its latest attempt.
    pub attempt: u32,
    /// Attempts that no longer count, because a person had it tried anew.
    pub spent: u32,
    /// Whether an attempt may have had its effect, however late that comes.
    pub doubt: bool,
    /// Whether a person declared it done, so that what it began may still go on.
    pub declared_done: bool,
    /// Its first intent that counts.
    pub since: Option<Timestamp>,
    /// The latest attempt of its undo.
    pub undo_attempt: u32,
    /// The first intent of its undo that counts.
    pub undo_since: Option<Timestamp>,
    /// Nodes in a row that died while they were at it.
    pub deaths: u32,
    /// When its latest attempt or pause began, by the time of who recorded it.
    pub began_at: Option<Timestamp>,
}

impl Effort {
    /// From when on its limits over all attempts count.
    fn beginnings_mut(&mut self) -> impl Iterator<Item = &mut Timestamp> {
        self.since.iter_mut().chain(&mut self.undo_since)
    }
}

/// Which way a run goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Towards its goal.
    Forward,
    /// Back.
    Unwinding(Cause),
    /// At rest until somebody helps; `cause` says why it was turning back, if it was.
    Stuck { step: String, why: String, code: StuckCode, cause: Option<Cause> },
    /// Ended well.
    Completed,
    /// Ended turned back.
    Unwound(Cause),
    /// Ended by a person who gave it up.
    Abandoned { reason: String, left_behind: Vec<LeftBehind> },
}

impl Phase {
    /// True where nothing will ever happen again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Completed | Self::Unwound(_) | Self::Abandoned { .. })
    }

    /// True where the run goes, or went until it was stuck, towards its goal.
    #[must_use]
    pub fn is_forward(&self) -> bool {
        matches!(self, Self::Forward | Self::Stuck { cause: None, .. })
    }

    /// True where it waits for somebody to help.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        matches!(self, Self::Stuck { .. })
    }

    /// True where nothing happens to it any more unless somebody helps.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.is_over() || self.is_stuck()
    }
}

/// Which node drives a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The node.
    pub node: Uuid,
    /// Its number among all who took the run over.
    pub epoch: u64,
}

/// Why a run stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The incident that it waits for.
    pub incident: IncidentId,
    /// Why, for people.
    pub why: String,
    /// Since when.
    pub since: Timestamp,
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
    /// What the steps have used up.
    pub efforts: BTreeMap<String, Effort>,
    /// Who drives it.
    pub lease: Option<Lease>,
    /// The steps at which the node that drives it has begun a call that has not ended.
    pub at_work: BTreeSet<String>,
    /// Why it stands still, if it does.
    pub held: Option<Held>,
    /// When it was let go last.
    pub let_go: Option<Timestamp>,
}

impl Run {
    /// What a step has used up; nothing before it has begun.
    #[must_use]
    pub fn effort(&self, step: &str) -> Effort {
        self.efforts.get(step).cloned().unwrap_or_default()
    }

    /// No pause and no attempt is longer from `now` on than it was when it was recorded, and nothing
    /// began after `now`. The clock may have been set back since, or have been ahead then.
    pub fn bound_times(&mut self, now: Timestamp) {
        for (path, step) in &mut self.steps {
            let Some(until) = step.until_mut() else { continue };
            let began = self.efforts.get(path).and_then(|effort| effort.began_at);
            if let Some(length) = began.map(|began| *until - began) {
                *until = (*until).min(now + length);
            }
        }
        let held = self.held.as_mut().map(|held| &mut held.since);
        let beginnings = self.efforts.values_mut().flat_map(Effort::beginnings_mut);
        for since in beginnings.chain(held).chain(self.let_go.as_mut()) {
            *since = (*since).min(now);
        }
    }

    /// The time that its limits go by: it stands still while the run does.
    #[must_use]
    pub fn time_at(&self, now: Timestamp) -> Timestamp {
        self.held.as_ref().map_or(now, |held| held.since.min(now))
    }

    /// The same run as seen by a clock that is so much ahead: what is left of each pause, attempt and
    /// limit stays.
    pub fn shift_times(&mut self, by: TimeDelta) {
        let untils = self.steps.values_mut().filter_map(Step::until_mut);
        let beginnings = self.efforts.values_mut().flat_map(Effort::beginnings_mut);
        let held = self.held.as_mut().map(|held| &mut held.since);
        let ends = self.deadline.as_mut().into_iter().chain(held).chain(self.let_go.as_mut());
        for time in untils.chain(beginnings).chain(ends) {
            *time += by;
        }
    }

    /// Every step that was intended and is not undone, in the order of their names.
    #[must_use]
    pub fn left_behind(&self) -> Vec<LeftBehind> {
        let stays = |step: &Step| !matches!(step, Step::Undone | Step::Skipped);
        let began = self.steps.iter().filter(|(_, step)| stays(step));
        began
            .map(|(path, _)| LeftBehind {
                step: path.clone(),
                key: self.effort(path).key,
                output: self.outputs.get(path).filter(|it| !it.is_null()).map(summary),
            })
            .collect()
    }
}

/// A value as JSON, no longer than a line.
fn summary(value: &Value) -> String {
    const CHARS_MAX: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
