//! `activate_appserver`: proves the site through the balancer, then gives it the traffic.

use super::check_names::CHECK_NAMES;
use super::deactivate_appserver::{CLAIM, DRAIN, RECORD, RELEASE};
use super::step::{Definition, Kind, Step};
use super::traffic::{
    claim_for_activation, plan_activation, prove_site, publish_probe, release_traffic,
    switch_traffic, undo_publish_probe, undo_switch_traffic,
};
use std::time::Duration;

/// The process.
///
/// Failure policy: until the traffic has moved, a failure or a cancel leaves those in it who were.
/// From `record_traffic` on it only goes forward.
pub static ACTIVATE_APPSERVER: Definition = Definition {
    name: "activate_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(|c| Box::pin(release_traffic(c))),
    settles_on_undo: false,
    steps: &[
        Step { run: |c| Box::pin(claim_for_activation(c)), ..CLAIM },
        Step::new(
            "plan_traffic",
            |c| Box::pin(plan_activation(c)),
            Kind::NoUndo("it only decides"),
            5,
            |_| Duration::from_secs(60),
        ),
        Step::new(
            "publish_probe",
            |c| Box::pin(publish_probe(c)),
            Kind::Compensable(|c| Box::pin(undo_publish_probe(c))),
            3,
            |_| Duration::from_secs(300),
        ),
        Step::watching(
            "prove_site",
            |c| Box::pin(prove_site(c)),
            Kind::NoUndo("it only asks"),
            1,
            |_| Duration::from_secs(120),
        ),
        Step::new(
            "switch_traffic",
            |c| Box::pin(switch_traffic(c)),
            Kind::Compensable(|c| Box::pin(undo_switch_traffic(c))),
            3,
            |_| Duration::from_secs(300),
        ),
        RECORD,
        CHECK_NAMES,
        RELEASE,
        DRAIN,
    ],
};
