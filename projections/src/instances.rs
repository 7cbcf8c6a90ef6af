//! Sites, and their launches that have not settled.

use crate::change::{NULL, RowChange, columns};
use crate::{ColumnType, Projector, Table, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{Event, LaunchOutcome};

/// The read model of instances.
pub const PROJECTOR: Projector = Projector {
    name: "instances",
    version: 1,
    categories: &[InstanceId::CATEGORY],
    tables: &[
        Table {
            name: INSTANCES,
            columns: &[
                ("id", ColumnType::Text),
                ("name", ColumnType::Text),
                ("external_domain", ColumnType::Text),
                ("internal_domain", ColumnType::Text),
                ("domain", ColumnType::FirstText("external_domain", "internal_domain")),
                ("settings", ColumnType::Json),
                ("settings_version", ColumnType::BigInteger),
                ("load_balancer", ColumnType::Text),
                ("appserver_count", ColumnType::Integer),
                ("active_appservers", ColumnType::TextList),
                ("name_troubles", ColumnType::Json),
                ("successfully_provisioned", ColumnType::Boolean),
                ("resources", ColumnType::Json),
                ("created_at", ColumnType::Timestamp),
                ("updated_at", ColumnType::Timestamp),
            ],
            key: &["id"],
            indexed: &["id where json_array_length(name_troubles) > 0"],
        },
        Table {
            name: LAUNCHES,
            columns: &[
                ("appserver", ColumnType::Text),
                ("instance", ColumnType::Text),
                ("run", ColumnType::Text),
                ("number", ColumnType::Integer),
            ],
            key: &["appserver"],
            indexed: &["instance"],
        },
    ],
    project,
};

const INSTANCES: &str = "instances";
/// Launches that have not settled; in order of `number`, the first is under way.
const LAUNCHES: &str = "instance_launches";

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let id = InstanceId(recorded.stream.id());
    let at = recorded.recorded_at;
    let update = |mut set: crate::Columns| {
        set.extend(columns! { updated_at: at });
        RowChange::update(INSTANCES, columns! { id: id }, set)
    };
    Ok(match event {
        Event::Created { settings } => vec![RowChange::put(
            INSTANCES,
            columns! { id: id },
            columns! {
                name: settings.name,
                external_domain: settings.external_lms_domain,
                internal_domain: settings.internal_lms_domain,
                settings: settings,
                settings_version: 1,
                load_balancer: NULL,
                appserver_count: 0,
                active_appservers: serde_json::Value::Array(vec![]),
                name_troubles: serde_json::Value::Array(vec![]),
                successfully_provisioned: false,
                resources: NULL,
                created_at: at,
                updated_at: at,
            },
        )],
        Event::CreationAbandoned { .. } => vec![], // It has no row: it never came to be.
        Event::SettingsChanged { changes, version } => {
            let mut set = columns! { settings: changes, settings_version: version, updated_at: at };
            // What has a column of its own.
            let own = [
                ("name", &changes.name),
                ("external_domain", &changes.external_lms_domain),
                ("internal_domain", &changes.internal_lms_domain),
            ];
            set.extend(
                own.into_iter().filter_map(|(column, text)| Some((column, text.clone()?.into()))),
            );
            let key = columns! { id: id };
            vec![RowChange::Merge { table: INSTANCES, key, set, into: "settings" }]
        }
        Event::NameDisowned { .. } | Event::DomainsReleased { .. } => vec![],
        Event::ResourcesNamed { names } => vec![update(columns! { resources: names })],
        Event::LoadBalancerAssigned { load_balancer } => {
            vec![update(columns! { load_balancer: load_balancer })]
        }
        Event::LaunchRequested { appserver, run, number, .. } => vec![
            update(columns! { appserver_count: number }),
            RowChange::put(
                LAUNCHES,
                columns! { appserver: appserver },
                columns! { instance: id, run: run, number: number },
            ),
        ],
        Event::LaunchSettled { appserver, outcome } => {
            let set = match outcome {
                LaunchOutcome::Running => columns! { successfully_provisioned: true },
                LaunchOutcome::Failed | LaunchOutcome::Error | LaunchOutcome::Cancelled => {
                    columns! {}
                }
            };
            vec![
                update(set),
                RowChange::Delete { table: LAUNCHES, key: columns! { appserver: appserver } },
            ]
        }
        Event::TrafficClaimed { .. } | Event::TrafficReleased { .. } => vec![],
        Event::TrafficAssigned { active, .. } => {
            vec![update(columns! { active_appservers: active })]
        }
        Event::NamesTroubled { troubles } => vec![update(columns! { name_troubles: troubles })],
        Event::NamesRecovered {} => {
            vec![update(columns! { name_troubles: serde_json::Value::Array(vec![]) })]
        }
    })
}
