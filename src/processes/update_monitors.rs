//! `update_monitors`: has a site be watched from outside by what visitors get of it, whatever else goes on.

use super::lifecycle::REMOVAL_TIME;
use super::resource::monitor::{add_recipients, announce_pages, change_monitors};
use super::step::{Definition, Kind, Step};
use ocim_engine::call;
use std::time::Duration;

/// How long a site may wait for those before it, and be seen to.
const TURN: Duration = Duration::from_secs(6 * 3600);

/// The process.
///
/// Failure policy: nothing waits for it, and the next change of the traffic brings another run. A service
/// that does not answer costs no attempt; one that refuses leaves the run stuck, to be tried again once
/// that is mended, or abandoned.
pub static UPDATE_MONITORS: Definition = Definition {
    name: "update_monitors",
    version: 1,
    deadline: Some(|limits| limits.traffic_time),
    on_abandoned: None,
    settles_on_undo: false,
    steps: &[
        Step::new(
            "announce_pages",
            call!(announce_pages),
            Kind::NoUndo("it only looks"),
            20,
            |_| Duration::from_secs(60),
        ),
        // Sites are seen to one after the other: some wait long.
        Step {
            max_elapsed: Some(|_| REMOVAL_TIME),
            ..Step::watching(
                "change_monitors",
                call!(change_monitors),
                Kind::Pivot("who is watched follows what visitors get"),
                100,
                |_| TURN,
            )
        },
        Step {
            max_elapsed: Some(|_| REMOVAL_TIME),
            ..Step::watching(
                "add_recipients",
                call!(add_recipients),
                Kind::Retryable("who is written to once stays"),
                100,
                |_| TURN,
            )
        },
    ],
};
