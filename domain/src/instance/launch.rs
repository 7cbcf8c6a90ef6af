//! Launches of an Instance: what is asked for, how one ended, and whether one may begin.

use super::{Attempts, Present, Rejected};
use crate::ids::{AppserverId, RunId};
use serde::{Deserialize, Serialize};

/// What is to happen once a launch has succeeded (core §3.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnSuccess {
    /// Bring the Appserver into traffic.
    #[serde(rename = "activate_on_success")]
    pub activate: bool,
    /// Take all others out of traffic once it serves.
    pub deactivate_others: bool,
}

/// How a launch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaunchOutcome {
    /// The site answered.
    Running,
    /// Configuration failed; the machine is kept for debugging.
    Failed,
    /// The machine never came up.
    Error,
    /// Somebody cancelled it.
    Cancelled,
}

/// A launch that has not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The Appserver being made.
    pub appserver: AppserverId,
    /// The run that makes it.
    pub run: RunId,
    /// The Appserver's number.
    pub number: u32,
    /// What is to happen once it runs.
    pub then: OnSuccess,
    /// Which attempt it is, and what comes after the last.
    pub attempts: Attempts,
}

impl Launch {
    /// The run of the first of its attempts.
    #[must_use]
    pub fn first_run(&self) -> RunId {
        self.attempts.first_run.unwrap_or(self.run)
    }
}

/// Whether a launch that is asked for waits for another one; none where it was asked for before.
pub(super) fn decide_launch(
    present: &Present,
    appserver: AppserverId,
    may_queue: bool,
) -> Result<Option<bool>, Rejected> {
    if present.appservers.contains(&appserver) {
        return Ok(None);
    }
    present.check_live()?;
    match present.launches.first() {
        Some(launch) if !may_queue => Err(Rejected::LaunchInFlight { run: launch.run }),
        Some(_) => Ok(Some(true)),
        None => Ok(Some(false)),
    }
}
