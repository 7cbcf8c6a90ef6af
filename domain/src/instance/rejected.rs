//! Why a command on an Instance was refused.

use super::{TAGS_MAX, clean_up, hold, lifecycle, maintenance, test_links};
use crate::ids::RunId;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such Instance.
    #[error("the instance does not exist")]
    Absent,
    /// It exists already, or was given up.
    #[error("the instance exists already")]
    Exists,
    /// It wants the name.
    #[error("the instance wants the name")]
    WantsName,
    /// Another launch is under way.
    #[error("a launch is under way in run {run}; wait for it, cancel it, or ask with `queue=true`")]
    LaunchInFlight {
        /// The run under way.
        run: RunId,
    },
    /// Another run moves the traffic.
    #[error("run {run} moves the traffic")]
    TrafficClaimed {
        /// The run that has it.
        run: RunId,
    },
    /// Nobody would serve the site any more.
    #[error(
        "it is the last active appserver: the site would be gone; ask with `force` and a reason"
    )]
    LastActive,
    /// It can't have so many tags.
    #[error("an instance has at most {TAGS_MAX} tags: remove some first")]
    TooManyTags,
    /// It is not at that point of its life.
    #[error(transparent)]
    Lifecycle(#[from] lifecycle::Refused),
    /// Somebody holds it, or nobody does.
    #[error(transparent)]
    Hold(#[from] hold::Refused),
    /// Its obsolete Appservers can't go by that rule.
    #[error(transparent)]
    CleanUp(#[from] clean_up::Refused),
    /// Its maintenance can't be changed so.
    #[error(transparent)]
    Maintenance(#[from] maintenance::Refused),
    /// The link can't be made.
    #[error(transparent)]
    TestLink(#[from] test_links::Refused),
}
