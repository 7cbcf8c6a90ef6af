//! `deactivate_appserver`: takes an Appserver out of traffic; its machine stays.

use super::check_names::CHECK_NAMES;
use super::lifecycle::removal;
use super::resource::machine_names::update_machine_names;
use super::resource::removal::remove_dropped_names;
use super::step::{Definition, Kind, Step};
use super::traffic::{
    claim_traffic, drain_connections, plan_withdrawal, record_traffic, release_traffic,
    undo_withdraw_traffic, withdraw_traffic,
};
use ocim_engine::call;
use std::time::Duration;

/// Keeps other runs from moving the instance's traffic.
pub const CLAIM: Step = Step::waiting_in_line(
    "claim_traffic",
    call!(claim_traffic),
    Kind::Compensable(call!(release_traffic)),
    1,
    |limits| limits.turn_wait,
);

/// Decides who is to serve without it.
pub const PLAN: Step =
    Step::new("plan_traffic", call!(plan_withdrawal), Kind::NoUndo("it only decides"), 5, |_| {
        Duration::from_secs(60)
    });

/// Takes it off the balancer.
pub const WITHDRAW: Step = Step::new(
    "withdraw_traffic",
    call!(withdraw_traffic),
    Kind::Compensable(call!(undo_withdraw_traffic)),
    3,
    |_| Duration::from_secs(300),
);

/// Records who serves now.
pub const RECORD: Step = Step::new(
    "record_traffic",
    call!(record_traffic),
    Kind::Pivot("traffic has moved: from here the run only goes forward"),
    20,
    |_| Duration::from_secs(60),
);

/// Lets the next run move the traffic.
pub const RELEASE: Step = Step::new(
    "release_traffic",
    call!(release_traffic),
    Kind::Retryable("the traffic is free for the next run"),
    20,
    |_| Duration::from_secs(60),
);

/// Lets the connections of those who left end.
pub const DRAIN: Step = Step::watching(
    "drain_connections",
    call!(drain_connections),
    Kind::Retryable("it only waits"),
    3,
    |limits| limits.drain_wait.saturating_add(Duration::from_secs(60)),
);

/// Has `vm1`, `vm2`, … lead to the machines of those who receive traffic now.
pub const UPDATE_MACHINE_NAMES: Step = removal("update_machine_names", call!(update_machine_names));

/// Takes the names out of the DNS that nobody is served under any more, as the settings have dropped
/// them.
pub const REMOVE_DROPPED_NAMES: Step = removal("remove_dropped_names", call!(remove_dropped_names));

/// The process.
///
/// Failure policy: until the traffic has moved, a failure or a cancel puts the Appserver back into
/// it. From `record_traffic` on it only goes forward.
pub static DEACTIVATE_APPSERVER: Definition = Definition {
    name: "deactivate_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(release_traffic)),
    settles_on_undo: false,
    steps: &[
        CLAIM,
        PLAN,
        WITHDRAW,
        RECORD,
        CHECK_NAMES,
        RELEASE,
        UPDATE_MACHINE_NAMES,
        DRAIN,
        REMOVE_DROPPED_NAMES,
    ],
};
