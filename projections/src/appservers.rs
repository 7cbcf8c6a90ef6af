//! Appservers, from the moment they are asked for.

use crate::change::{Columns, NULL, RowChange, columns};
use crate::{ColumnType, Projector, Table, decode};
use ocim_domain::appserver::{Event, Launched, Status};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance;
use serde_json::json;

/// The read model of appservers.
pub const PROJECTOR: Projector = Projector {
    name: "appservers",
    version: 2,
    categories: &[InstanceId::CATEGORY, AppserverId::CATEGORY],
    tables: &[Table {
        name: APPSERVERS,
        columns: &[
            ("id", ColumnType::Text),
            ("instance", ColumnType::Text),
            ("number", ColumnType::Integer),
            // None until it is frozen: then how its launch ended, if it did, is its status.
            ("own_status", ColumnType::Text),
            ("launch_outcome", ColumnType::Text),
            ("failure", ColumnType::Text),
            ("active", ColumnType::Boolean),
            ("last_activated", ColumnType::Timestamp),
            ("server", ColumnType::Text),
            ("launch_run", ColumnType::Text),
            ("latest_run", ColumnType::Text),
            ("settings", ColumnType::Json),
            ("configuration_commit", ColumnType::Text),
            ("keeps_server_until", ColumnType::Timestamp),
            ("trouble", ColumnType::Text),
            ("created_at", ColumnType::Timestamp),
            ("updated_at", ColumnType::Timestamp),
            ("terminated_at", ColumnType::Timestamp),
        ],
        key: &["id"],
        indexed: &[
            "instance, id",
            "id where active and (trouble is not null \
             or coalesce(own_status, launch_outcome, '') <> 'running') \
             or keeps_server_until is not null",
        ],
    }],
    project,
};

const APPSERVERS: &str = "appservers";

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
        E::LaunchRequested { appserver, run, number, .. } => {
            let instance = InstanceId(recorded.stream.id());
            let mut initial = new_row(recorded);
            initial.extend(columns! {
                instance: instance, number: number, launch_run: run, latest_run: run,
            });
            vec![RowChange::Upsert {
                table: APPSERVERS,
                key: columns! { id: appserver },
                initial,
                set: columns! { updated_at: recorded.recorded_at },
            }]
        }
        E::LaunchSettled { appserver, outcome } => vec![RowChange::update(
            APPSERVERS,
            columns! { id: appserver },
            columns! { launch_outcome: outcome, updated_at: recorded.recorded_at },
        )],
        E::Created { .. }
        | E::CreationAbandoned { .. }
        | E::NameDisowned { .. }
        | E::SettingsChanged { .. }
        | E::DomainsReleased { .. }
        | E::ResourcesNamed { .. }
        | E::LoadBalancerAssigned { .. }
        | E::TrafficClaimed { .. }
        | E::TrafficReleased { .. }
        | E::TrafficAssigned { .. }
        | E::NamesTroubled { .. }
        | E::NamesRecovered {} => vec![],
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
        Event::ActivationRequested { run, .. }
        | Event::DeactivationRequested { run, .. }
        | Event::TerminationRequested { run, .. }
        | Event::TerminationStarted { run }
        | Event::CleanUpRequested { run, .. }
        | Event::CleanUpStarted { run } => columns! { latest_run: run },
        Event::Activated { at } => columns! { active: true, last_activated: at },
        Event::Deactivated { at: _ } => columns! { active: false },
        // Only one that ran ends as terminated (core §4.3): its time of running ends here.
        Event::Terminated { status: Status::Terminated, at } => columns! {
            own_status: Status::Terminated,
            keeps_server_until: NULL,
            trouble: NULL,
            terminated_at: at,
        },
        Event::Terminated { status, at: _ } => {
            columns! { own_status: status, keeps_server_until: NULL, trouble: NULL }
        }
        Event::ServerKept { until, .. } => columns! { keeps_server_until: until },
        Event::CleanUpStopped { .. } | Event::TerminationStopped { .. } => columns! {},
        Event::MachineTroubled { trouble } => columns! { trouble: trouble },
        Event::MachineRecovered { .. } => columns! { trouble: NULL },
    };
    set.insert("updated_at", json!(recorded.recorded_at));
    RowChange::update(APPSERVERS, key, set)
}

fn freeze(recorded: &Recorded, key: Columns, launched: Launched) -> RowChange {
    let mut initial = new_row(recorded);
    initial.extend(columns! { launch_run: launched.run, latest_run: launched.run });
    RowChange::Upsert {
        table: APPSERVERS,
        key,
        initial,
        set: columns! {
            instance: launched.instance,
            number: launched.number,
            own_status: Status::New,
            server: launched.server,
            settings: launched.settings,
            configuration_commit: launched.configuration_commit,
            updated_at: recorded.recorded_at,
        },
    }
}

/// What is true of every Appserver at its first event.
fn new_row(recorded: &Recorded) -> Columns {
    columns! { active: false, created_at: recorded.recorded_at }
}
