//! `activate_appserver`: proves the site through the balancer, then gives it the traffic.

use super::check_names::CHECK_NAMES;
use super::deactivate_appserver::{
    CLAIM, DRAIN, RECORD, RELEASE, REMOVE_DROPPED_NAMES, UPDATE_MACHINE_NAMES,
};
use super::step::{Definition, Kind, Step};
use super::traffic::{
    claim_for_activation, plan_activation, prove_site, publish_probe, release_traffic,
    switch_traffic, undo_publish_probe, undo_switch_traffic,
};
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: until the traffic has moved, a failure or a cancel leaves those in it who were.
/// From `record_traffic` on it only goes forward.
pub static ACTIVATE_APPSERVER: Definition = Definition {
    name: "activate_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(release_traffic)),
    settles_on_undo: false,
    steps: &[
        Step { run: call!(claim_for_activation), ..CLAIM },
        Step::new(
            "plan_traffic",
            call!(plan_activation),
            Kind::NoUndo("it only decides"),
            5,
            |_| Duration::from_secs(60),
        ),
        Step::new(
            "publish_probe",
            call!(publish_probe),
            Kind::Compensable(call!(undo_publish_probe)),
            3,
            |_| Duration::from_secs(300),
        ),
        Step::watching("prove_site", call!(prove_site), Kind::NoUndo("it only asks"), 1, |_| {
            Duration::from_secs(120)
        }),
        Step::new(
            "switch_traffic",
            call!(switch_traffic),
            Kind::Compensable(call!(undo_switch_traffic)),
            3,
            |_| Duration::from_secs(300),
        ),
        RECORD,
        CHECK_NAMES,
        RELEASE,
        UPDATE_MACHINE_NAMES,
        DRAIN,
        REMOVE_DROPPED_NAMES,
    ],
};
