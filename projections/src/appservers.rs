//! Appservers, from the moment they are asked for.

use crate::change::{Columns, NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::appserver::{Event, Launched, Status};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance;
use serde_json::json;

table! {
    /// Appservers.
    APPSERVERS, columns = "appservers", key [id],
    indexes [
        Index::on("instance, number desc"),
        Index::on("instance").only("active"),
        Index::on("instance, id"),
        Index::on("instance").only("made_at is not null and not machine_gone"),
        Index::on("id").only(
            "active and (trouble is not null or coalesce(own_status, launch_outcome, '') <> 'running') \
             or keeps_server_until is not null",
        ),
    ]
    {
        /// `apps_…`.
        id: String,
        /// `inst_…`.
        instance: String,
        /// From 1, as in `AppServer 7`.
        number: i32,
        /// How far it came; none until it is frozen.
        own_status: Option<String>,
        /// How its launch ended.
        launch_outcome: Option<String>,
        /// Why it failed or was cancelled.
        failure: Option<String>,
        /// Whether it receives traffic.
        active: bool,
        /// Whether somebody asked last that it receive traffic.
        asked_active: bool,
        /// When it last began to receive traffic.
        last_activated: Option<DateTime<Utc>>,
        /// `serv_…`; none until it is frozen.
        server: Option<String>,
        /// `run_…` of its launch.
        launch_run: String,
        /// Which attempt at its launch it is, from 1.
        attempt: i32,
        /// Most attempts.
        attempts: i32,
        /// `run_…` of the first attempt.
        first_run: String,
        /// `run_…` of what was asked for last.
        latest_run: String,
        /// The release that it was made from; none until it is frozen.
        release: Option<String>,
        /// The region of its machine; none until it is frozen.
        region: Option<String>,
        /// The repository of its main playbook; none until it is frozen.
        playbooks: Option<String>,
        /// Which version of the instance's settings those are; none until it is frozen.
        settings_version: Option<i64>,
        /// The frozen settings, protected ones sealed; none until it is frozen.
        settings: Option<Value>,
        /// The commit that is played; none until it is frozen, and where the playbook is Ocim's own.
        configuration_commit: Option<String>,
        /// Until when a failed one keeps its machine for debugging.
        keeps_server_until: Option<DateTime<Utc>>,
        /// What is wrong with its machine.
        trouble: Option<String>,
        /// True once its machine was observed to be gone.
        machine_gone: bool,
        /// When it was asked for.
        created_at: DateTime<Utc>,
        /// When its settings were frozen; none until they are.
        made_at: Option<DateTime<Utc>>,
        /// When it last changed.
        updated_at: DateTime<Utc>,
        /// When its machine went, if it had run.
        terminated_at: Option<DateTime<Utc>>,
    }
    {
        /// How far it came; one whose launch ended before it was frozen shows how.
        status: String = "coalesce(own_status, launch_outcome, 'new')",
        /// Whether nothing went wrong, with its machine neither.
        healthy: bool =
            "trouble is null and coalesce(own_status, launch_outcome, 'new') not in ('failed', 'error')",
    }
}

/// The read model of appservers.
pub const PROJECTOR: Projector = Projector {
    name: "appservers",
    version: 1,
    categories: &[InstanceId::CATEGORY, AppserverId::CATEGORY],
    tables: &[APPSERVERS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    if let Some(event) = decode::<instance::Event>(recorded)? {
        return Ok(project_instance(recorded, &event));
    }
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    Ok(vec![project_appserver(recorded, event)])
}

/// An Appserver is known from the request on, before its settings are frozen.
fn project_instance(recorded: &Recorded, event: &instance::Event) -> Vec<RowChange> {
    use instance::Event as E;
    match event {
        E::LaunchRequested { appserver, run, number, attempts, .. } => {
            let instance = InstanceId(recorded.stream.id());
            let mut initial = new_row(recorded);
            initial.extend(columns! {
                instance: instance, number: number, launch_run: run, latest_run: run,
            });
            initial.extend(columns! {
                attempt: attempts.attempt,
                attempts: attempts.attempts,
                first_run: attempts.first_run.unwrap_or(*run),
            });
            vec![RowChange::Upsert {
                table: APPSERVERS.name,
                key: columns! { id: appserver },
                initial,
                set: columns! { updated_at: recorded.recorded_at },
            }]
        }
        E::LaunchSettled { appserver, outcome, .. } => vec![RowChange::update(
            APPSERVERS.name,
            columns! { id: appserver },
            columns! { launch_outcome: outcome, updated_at: recorded.recorded_at },
        )],
        E::Created { .. }
        | E::CreationAbandoned { .. }
        | E::NameDisowned { .. }
        | E::SettingsChanged { .. }
        | E::DetailsChanged { .. }
        | E::TagsChanged { .. }
        | E::CleanUpChanged { .. }
        | E::DomainsReleased { .. }
        | E::ResourcesNamed { .. }
        | E::ServersAssigned { .. }
        | E::LoadBalancerAssigned { .. }
        | E::TrafficClaimed { .. }
        | E::TrafficReleased { .. }
        | E::TrafficAssigned { .. }
        | E::NamesTroubled { .. }
        | E::NamesRecovered {}
        | E::ArchiveRequested { .. }
        | E::Archived { .. }
        | E::UnarchiveRequested { .. }
        | E::Unarchived { .. }
        | E::DeletionRequested { .. }
        | E::Deleted { .. }
        | E::LifecycleRunStopped { .. }
        | E::Held(_)
        | E::HoldReleased { .. }
        | E::MaintenanceRequested { .. }
        | E::MaintenanceChanged { .. }
        | E::MaintenanceChangeStopped { .. }
        | E::TestLinkMade { .. }
        | E::TestLinkDropped { .. } => vec![],
    }
}

fn project_appserver(recorded: &Recorded, event: Event) -> RowChange {
    let key = columns! { id: AppserverId(recorded.stream.id()) };
    let mut set = match event {
        Event::Launched(launched) => return freeze(recorded, key, *launched),
        Event::WaitingStarted {} => columns! { own_status: Status::Waiting },
        Event::ConfiguringStarted {} => columns! { own_status: Status::Configuring },
        Event::RunningStarted {} => columns! { own_status: Status::Running },
        Event::ConfigurationFailed { reason, keeps_server_until } => columns! {
            own_status: Status::Failed, failure: reason, keeps_server_until: keeps_server_until,
        },
        Event::LaunchFailed { reason } => columns! { own_status: Status::Error, failure: reason },
        Event::Cancelled { reason } => columns! { own_status: Status::Cancelled, failure: reason },
        Event::ActivationRequested { run, .. } => columns! { latest_run: run, asked_active: true },
        Event::DeactivationRequested { run, .. } | Event::TerminationRequested { run, .. } => {
            columns! { latest_run: run, asked_active: false }
        }
        Event::RestartRequested { run, .. }
        | Event::TerminationStarted { run }
        | Event::CleanUpRequested { run, .. }
        | Event::CleanUpStarted { run } => columns! { latest_run: run },
        Event::Activated { at } => {
            columns! { active: true, asked_active: true, last_activated: at }
        }
        // Who asked for another one in its place has asked for that, too.
        Event::Deactivated { at: _ } => columns! { active: false, asked_active: false },
        // Only one that ran ends as terminated (core §4.3): its time of running ends here.
        Event::Terminated { status: Status::Terminated, at } => columns! {
            own_status: Status::Terminated,
            keeps_server_until: NULL,
            trouble: NULL,
            machine_gone: true,
            terminated_at: at,
        },
        Event::Terminated { status, at: _ } => columns! {
            own_status: status, keeps_server_until: NULL, trouble: NULL, machine_gone: true,
        },
        Event::ServerKept { until, .. } => columns! { keeps_server_until: until },
        Event::CleanUpStopped { .. }
        | Event::TerminationStopped { .. }
        | Event::Restarted { .. }
        | Event::RestartStopped { .. } => columns! {},
        Event::MachineTroubled { trouble } => columns! { trouble: trouble },
        Event::MachineRecovered { .. } => columns! { trouble: NULL },
    };
    set.insert("updated_at", json!(recorded.recorded_at));
    RowChange::update(APPSERVERS.name, key, set)
}

fn freeze(recorded: &Recorded, key: Columns, launched: Launched) -> RowChange {
    let mut initial = new_row(recorded);
    let run = launched.run;
    initial.extend(columns! {
        launch_run: run, latest_run: run, attempt: 1, attempts: 1, first_run: run,
    });
    RowChange::Upsert {
        table: APPSERVERS.name,
        key,
        initial,
        set: columns! {
            instance: launched.instance,
            number: launched.number,
            own_status: Status::New,
            server: launched.server,
            release: launched.settings.openedx_release,
            region: launched.settings.openstack_region,
            playbooks: launched.settings.configuration_source_repo_url,
            settings_version: launched.settings_version,
            settings: launched.settings,
            configuration_commit: launched.configuration_commit,
            made_at: recorded.recorded_at,
            updated_at: recorded.recorded_at,
        },
    }
}

/// What is true of every Appserver at its first event.
fn new_row(recorded: &Recorded) -> Columns {
    columns! {
        active: false,
        asked_active: false,
        machine_gone: false,
        created_at: recorded.recorded_at,
    }
}
