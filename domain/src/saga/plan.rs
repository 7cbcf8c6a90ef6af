//! What the pure choice knows of a definition: its steps, which may run beside each other, and kinds.

use super::event::ErrorClass;
use super::planted::Planted;
use super::run::{Effort, Run, Step};
use crate::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// A definition's steps, in blocks that follow each other; none where the process is unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The blocks in their order.
    pub blocks: Vec<Block>,
    /// Whether the first undo tells others for good that the run will not do what it was to do.
    pub settles_on_undo: bool,
    /// The bug that a test has planted.
    pub planted: Planted,
}

/// Steps that need not wait for each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// One step alone.
    Step(StepPlan),
    /// Branches that run beside each other, each a sequence of steps.
    Parallel(Vec<Vec<StepPlan>>),
}

/// What the choice needs to know of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepPlan {
    /// Its path: `step`, or inside a parallel block `block/step` or `block/branch/step`.
    pub path: String,
    /// Attempts before it has failed for good. Retryable steps are tried until they are done.
    pub attempts_max: u32,
    /// The longest that all its attempts together may take, from its first intent on.
    pub max_elapsed: Option<Duration>,
    /// What the run's way back means to it.
    pub kind: Kind,
    /// Whether it holds nobody's process: it only waits, or watches what goes on without Ocim. Nodes
    /// that die meanwhile did not die of it.
    pub watches: bool,
}

/// What the run's way back means to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// It is undone.
    Compensable {
        /// Kept instead, for the reason given, when the run failed at or after that step.
        keep_after: Option<(String, String)>,
    },
    /// From its intent on the run only goes forward; with the reason why there is no way back.
    Pivot(String),
    /// It comes after the pivot: it is tried until it is done, and has no undo for this reason.
    Retryable(String),
    /// It has nothing to undo, for this reason.
    NoUndo(String),
}

/// One thing that is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The step's path.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
}

impl StepPlan {
    /// Its block and its branch, where it stands in a parallel block.
    fn branch(&self) -> Option<(&str, &str)> {
        let (block, rest) = self.path.split_once('/')?;
        Some((block, rest.split_once('/').map_or(rest, |(branch, _)| branch)))
    }

    /// Whether an attempt that failed at that time may be followed by another one.
    #[must_use]
    pub fn may_retry(&self, effort: &Effort, class: ErrorClass, at: Timestamp) -> bool {
        let is_in_time = self.must_end(effort).is_none_or(|end| at < end);
        let has_attempts = matches!(self.kind, Kind::Retryable(_))
            || effort.attempt.saturating_sub(effort.spent) < self.attempts_max;
        class != ErrorClass::Permanent && is_in_time && has_attempts
    }

    /// When the time for all its attempts is up, once it has begun.
    #[must_use]
    pub fn must_end(&self, effort: &Effort) -> Option<Timestamp> {
        Some(effort.since? + self.max_elapsed?)
    }
}

impl Block {
    /// Its branches; a step alone is one branch.
    pub fn branches(&self) -> impl Iterator<Item = &[StepPlan]> {
        let (one, many) = match self {
            Self::Step(step) => (Some(std::slice::from_ref(step)), None),
            Self::Parallel(branches) => (None, Some(branches.iter().map(Vec::as_slice))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }
}

impl Plan {
    /// Puts steps into blocks by their paths; those of one block and of one branch stand together.
    #[must_use]
    pub fn new(steps: Vec<StepPlan>) -> Self {
        let mut blocks: Vec<Block> = vec![];
        for step in steps {
            let Some((block, branch)) = step.branch() else {
                blocks.push(Block::Step(step));
                continue;
            };
            let known = |step: &StepPlan| step.branch().is_some_and(|(name, _)| name == block);
            match blocks.last_mut() {
                Some(Block::Parallel(branches)) if known(&branches[0][0]) => {
                    let same = |steps: &&mut Vec<StepPlan>| {
                        steps[0].branch().is_some_and(|(_, name)| name == branch)
                    };
                    match branches.last_mut().filter(same) {
                        Some(steps) => steps.push(step),
                        None => branches.push(vec![step]),
                    }
                }
                _ => blocks.push(Block::Parallel(vec![vec![step]])),
            }
        }
        Self { blocks, settles_on_undo: false, planted: Planted::default() }
    }

    /// Whether the run has settled by its undoing what it was to do: it can't go forward again.
    #[must_use]
    pub(super) fn has_settled(&self, run: &Run) -> bool {
        let undoes = |step: &Step| {
            matches!(
                step,
                Step::UndoIntended { .. }
                    | Step::UndoWaiting { .. }
                    | Step::UndoFailed { .. }
                    | Step::Undone
            )
        };
        self.settles_on_undo && run.steps.values().any(undoes)
    }

    /// True where the process is unknown here: no definition is without steps.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All steps in the order in which they are written.
    pub fn steps(&self) -> impl Iterator<Item = &StepPlan> {
        self.blocks.iter().flat_map(Block::branches).flatten()
    }

    /// The step of that path.
    #[must_use]
    pub fn step(&self, path: &str) -> Option<&StepPlan> {
        self.steps().find(|step| step.path == path)
    }

    /// Whether a step stands before another one, or is it.
    #[must_use]
    pub(super) fn is_at_or_after(&self, path: &str, from: &str) -> bool {
        let place = |path: &str| self.steps().position(|step| step.path == path);
        place(from).is_some_and(|from| place(path).is_some_and(|at| at >= from))
    }

    /// Whether a run has begun its pivot: from there on it only goes forward.
    #[must_use]
    pub fn is_past_pivot(&self, run: &Run) -> bool {
        let mut pivots = self.steps().filter(|step| matches!(step.kind, Kind::Pivot(_)));
        pivots.any(|pivot| run.steps.contains_key(&pivot.path))
    }

    /// The steps whose turn it is while the run goes forward: one of each unfinished branch of
    /// the first block that is not finished.
    #[must_use]
    pub fn turns(&self, run: &Run) -> Vec<&StepPlan> {
        let is_open = |step: &&StepPlan| !run.steps.get(&step.path).is_some_and(Step::is_finished);
        let turns = self.blocks.iter().map(|block| {
            block.branches().filter_map(|branch| branch.iter().find(is_open)).collect::<Vec<_>>()
        });
        turns.into_iter().find(|turns| !turns.is_empty()).unwrap_or_default()
    }

    /// What is wrong with it; nothing for a sound one.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = vec![];
        if self.is_unknown() {
            faults.push(Fault { path: String::new(), what: "it has no steps".to_owned() });
        }
        let mut seen = BTreeSet::new();
        let mut groups = BTreeSet::new();
        let mut pivot = None;
        for block in &self.blocks {
            for branch in block.branches() {
                let group = branch[0].branch();
                let is_split = group.is_some_and(|group| !groups.insert(group));
                for step in branch {
                    let mut wrong = check_step(self, step, pivot.is_some());
                    if is_split {
                        wrong.push("its branch is written in two places".to_owned());
                    }
                    if !seen.insert(step.path.as_str()) {
                        wrong.push("the path is used twice".to_owned());
                    }
                    if matches!(step.kind, Kind::Pivot(_)) {
                        wrong.extend(check_pivot(step, pivot));
                        pivot = Some(step.path.as_str());
                    }
                    let path = &step.path;
                    faults.extend(wrong.into_iter().map(|what| Fault { path: path.clone(), what }));
                }
            }
        }
        faults.extend(self.check_blocks());
        faults
    }

    /// A block's name is used once, so that what stands in it stands together.
    fn check_blocks(&self) -> Vec<Fault> {
        let mut seen = BTreeSet::new();
        let names = self.blocks.iter().filter_map(|block| {
            let first = block.branches().next()?.first()?;
            Some((first, first.path.split('/').next()?))
        });
        let twice = names.filter(|(first, name)| !seen.insert(*name) && first.path != **name);
        let what = || "its block is written in two places, or named like a step".to_owned();
        twice.map(|(first, _)| Fault { path: first.path.clone(), what: what() }).collect()
    }
}

fn check_step(plan: &Plan, step: &StepPlan, is_past_pivot: bool) -> Vec<String> {
    let mut wrong = vec![];
    let parts: Vec<_> = step.path.split('/').collect();
    if parts.len() > 3 || parts.iter().any(|part| part.trim().is_empty()) {
        wrong.push("its path is not `step`, `block/step` or `block/branch/step`".to_owned());
    }
    if step.attempts_max == 0 {
        wrong.push("it would never run".to_owned());
    }
    match &step.kind {
        Kind::Compensable { keep_after: Some((from, reason)) } => {
            if reason.trim().is_empty() {
                wrong.push("it gives no reason for being kept".to_owned());
            }
            if plan.step(from).is_none() {
                wrong.push(format!("it is kept after `{from}`, which does not exist"));
            }
        }
        Kind::Pivot(reason) | Kind::Retryable(reason) | Kind::NoUndo(reason)
            if reason.trim().is_empty() =>
        {
            wrong.push("it gives no reason for having no undo".to_owned());
        }
        _ => {}
    }
    match (&step.kind, is_past_pivot) {
        (Kind::Compensable { .. }, true) => {
            wrong.push("it is compensable, but stands after the pivot".to_owned());
        }
        (Kind::NoUndo(_), true) => {
            wrong.push("it stands after the pivot, so it must be retryable".to_owned());
        }
        (Kind::Retryable(_), false) => {
            wrong.push("it is retryable, but does not stand after a pivot".to_owned());
        }
        _ => {}
    }
    wrong
}

fn check_pivot(step: &StepPlan, earlier: Option<&str>) -> Vec<String> {
    let mut wrong = vec![];
    if let Some(earlier) = earlier {
        wrong.push(format!("it is a second pivot beside `{earlier}`"));
    }
    if step.branch().is_some() {
        wrong.push("it is the pivot, but stands in a parallel block".to_owned());
    }
    wrong
}
