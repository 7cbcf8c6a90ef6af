//! How often a launch is attempted, and how its Instance is tagged when it has ended for good (core
//! §3.3). Each attempt is a launch of its own, with an Appserver and a machine of its own.

use super::details::{self, DetailsChange};
use super::tag::Tag;
use super::{Event, Launch, LaunchOutcome, Present, Rejected};
use crate::ids::{AppserverId, RunId};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Most attempts at a launch.
pub const ATTEMPTS_MAX: u32 = 10;

const ONE: NonZeroU32 = NonZeroU32::MIN;

/// Which attempt a launch is, of how many, and what comes after the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attempts {
    /// Which it is, from 1.
    #[serde(skip_serializing_if = "is_one")]
    pub attempt: NonZeroU32,
    /// Most attempts.
    #[serde(skip_serializing_if = "is_one")]
    pub attempts: NonZeroU32,
    /// The run of the first attempt; none where it is the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_run: Option<RunId>,
    /// What the Instance is tagged with once one has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_tag: Option<Tag>,
    /// What it is tagged with once all have failed, or somebody has cancelled one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_tag: Option<Tag>,
    /// Whether it is one of many that nobody waits for: those leave others the last slot of a region.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub in_bulk: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for this shape")]
fn is_one(number: &NonZeroU32) -> bool {
    *number == ONE
}

impl Attempts {
    /// One attempt, no tags.
    pub const ONE: Self = Self {
        attempt: ONE,
        attempts: ONE,
        first_run: None,
        success_tag: None,
        failure_tag: None,
        in_bulk: false,
    };

    /// The next attempt after that of `run`, if there is one.
    fn next(&self, run: RunId) -> Option<Self> {
        let attempt = self.attempt.checked_add(1).filter(|attempt| *attempt <= self.attempts)?;
        Some(Self { attempt, first_run: self.first_run.or(Some(run)), ..self.clone() })
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self::ONE
    }
}

/// Ends a launch: with the next attempt, made under the ids `next`, or for good, with its tags. All of
/// it is one append, so that no crash comes between.
pub(super) fn settle(
    present: &Present,
    launch: &Launch,
    outcome: LaunchOutcome,
    next: (AppserverId, RunId),
) -> Result<Vec<Event>, Rejected> {
    let (appserver, run) = (launch.appserver, launch.run);
    let has_failed = matches!(outcome, LaunchOutcome::Failed | LaunchOutcome::Error);
    let again = launch.attempts.next(launch.run).filter(|_| has_failed);
    if let Some(attempts) = again.filter(|_| present.check_live().is_ok()) {
        let settled = Event::LaunchSettled { appserver, outcome, run, next_run: Some(next.1) };
        let ((appserver, run), number) = (next, present.next_number());
        let then = launch.then;
        // One that was still waiting for its turn waits on.
        let queued = present.launches.first() != Some(launch);
        let next = Event::LaunchRequested { appserver, run, number, queued, then, attempts };
        return Ok(vec![settled, next]);
    }
    let (success, failure) = (&launch.attempts.success_tag, &launch.attempts.failure_tag);
    let (add, remove) =
        if outcome == LaunchOutcome::Running { (success, failure) } else { (failure, success) };
    let change = DetailsChange::of_tags(add.clone(), remove.clone());
    let mut events = vec![Event::LaunchSettled { appserver, outcome, run, next_run: None }];
    events.extend(details::decide(&present.details, change)?);
    Ok(events)
}
