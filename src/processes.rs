//! Processes: their definitions as tables, and their steps by what they are about.

pub mod activate_appserver;
pub mod archive_instance;
pub mod balancer_troubles;
pub mod balancers;
pub mod beliefs;
pub mod change_maintenance;
pub mod check_names;
pub mod clean_up_appserver;
mod clean_up_appservers;
pub mod deactivate_appserver;
pub mod delete_instance;
pub mod delete_orphan;
pub mod failure;
pub mod heartbeat;
pub mod launch_appserver;
pub mod lifecycle;
pub mod machines;
pub mod orphans;
pub mod playbook_steps;
pub mod prepare_load_balancer;
mod preupgrade_sql;
pub mod provision_load_balancer;
pub mod publish_metadata;
pub mod publish_test_link;
pub mod resolve_playbooks;
pub mod resource;
pub mod restart_appserver;
pub mod run_bulk_operation;
pub mod run_timer;
pub mod send_mail;
pub mod shared_servers;
pub mod slots;
pub mod start;
pub mod step;
pub mod terminate_appserver;
pub mod traffic;
pub mod unarchive_instance;
mod update_metadata;
pub mod update_monitors;
pub mod world;

use ocim_domain::saga::{Plan, Run};
use ocim_engine::sagas::versions::Former;
use step::Definition;
use world::{Limits, World};

/// Every process, in its newest version.
pub const NEWEST: &[&Definition] = &[
    &launch_appserver::LAUNCH_APPSERVER,
    &activate_appserver::ACTIVATE_APPSERVER,
    &deactivate_appserver::DEACTIVATE_APPSERVER,
    &terminate_appserver::TERMINATE_APPSERVER,
    &provision_load_balancer::PROVISION_LOAD_BALANCER,
    &clean_up_appserver::CLEAN_UP_APPSERVER,
    &delete_orphan::DELETE_ORPHAN,
    &prepare_load_balancer::PREPARE_LOAD_BALANCER,
    &archive_instance::ARCHIVE_INSTANCE,
    &unarchive_instance::UNARCHIVE_INSTANCE,
    &delete_instance::DELETE_INSTANCE,
    &run_bulk_operation::RUN_BULK_OPERATION,
    &change_maintenance::CHANGE_MAINTENANCE,
    &restart_appserver::RESTART_APPSERVER,
    &publish_test_link::PUBLISH_TEST_LINK,
    &send_mail::SEND_MAIL,
    &run_timer::RUN_TIMER,
    &update_monitors::UPDATE_MONITORS,
    &publish_metadata::PUBLISH_METADATA,
];

/// Versions that runs may still have which began before they had a successor.
pub const FORMER: &[Former<World>] = &[];

/// Every definition in every version that an open run may have; the newest of a name first.
#[must_use]
pub fn definitions() -> Vec<&'static Definition> {
    let former = FORMER.iter().map(|former| former.definition);
    NEWEST.iter().copied().chain(former).collect()
}

pub use playbook_steps::PLAYBOOK_STEPS;
pub use start::{started_by, triggers};
pub use step::StartRequest;

/// The plan of a run's definition; an empty one where this version does not know it. Limits don't
/// change what comes after what.
#[must_use]
pub fn plan_of(run: &Run) -> Plan {
    plan_among(definitions(), run)
}

/// As [`plan_of`], of these definitions.
#[must_use]
pub fn plan_among(all: impl IntoIterator<Item = &'static Definition>, run: &Run) -> Plan {
    let is_it = |it: &&Definition| it.name == run.definition && it.version == run.version;
    let known = all.into_iter().find(is_it);
    known.map(|definition| definition.plan(&Limits::default())).unwrap_or_default()
}
