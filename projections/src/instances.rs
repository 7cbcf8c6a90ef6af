//! Sites, and their launches that have not settled.

use crate::change::{Columns, NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{Event, LaunchOutcome, Stage};
use ocim_domain::shared_server::SharedServers;
use ocim_domain::text::make_storable;
use serde_json::json;

table! {
    /// Sites.
    INSTANCES, columns = "instances", key [id],
    indexes [
        Index::on("release, id"),
        Index::on("lifecycle, id"),
        Index::on("owner, id").only("owner <> ''"),
        Index::on("load_balancer, id"),
        Index::on("id").only("json_array_length(name_troubles) > 0"),
        Index::on("held_until, id").only("held_until is not null"),
        Index::on("id").only("maintenance is not null"),
    ]
    {
        /// `inst_…`.
        id: String,
        /// Display name.
        name: String,
        /// The customer's own name for its LMS; blank where there is none.
        external_domain: String,
        /// Its LMS below our own domains.
        internal_domain: String,
        /// The customer's own name for its Studio; blank where there is none.
        external_studio_domain: String,
        /// Its Studio below our own domains.
        internal_studio_domain: String,
        /// The release that it is set to.
        release: String,
        /// The region of its next machines.
        region: String,
        /// The repository of its main playbook.
        playbooks: String,
        /// All settings as their event has them: protected ones sealed.
        settings: Value,
        /// Counts the changes of the settings, from 1.
        settings_version: i64,
        /// `lbal_…` of its balancer.
        load_balancer: Option<String>,
        /// Number of Appservers ever asked for.
        appserver_count: i32,
        /// `apps_…` of those who receive traffic.
        active_appservers: Vec<String>,
        /// Its names under which visitors get something else: name and trouble of each.
        name_troubles: Value,
        /// `live`, `archiving`, `archived`, `unarchiving`, `deleting` or `deleted`.
        lifecycle: String,
        /// `run_…` that archives, un-archives or deletes it.
        lifecycle_run: Option<String>,
        /// Who placed the last hold, until it was released.
        held_by: Option<String>,
        /// Why.
        hold_reason: Option<String>,
        /// Until when it counts.
        held_until: Option<DateTime<Utc>>,
        /// The rule by which its obsolete Appservers go, where it has one of its own.
        clean_up: Option<Value>,
        /// What visitors get instead of the site: `message` and `until`.
        maintenance: Option<Value>,
        /// What was asked for, until its run has ended: `run` and `page`.
        maintenance_change: Option<Value>,
        /// True once a launch succeeded.
        successfully_provisioned: bool,
        /// Names of its databases, buckets and accounts; none until the first launch.
        resources: Option<Value>,
        /// What it uses of a MySQL server: `server` and `user`.
        mysql: Option<Value>,
        /// What it uses of a MongoDB server: `server` and `user`.
        mongodb: Option<Value>,
        /// What it uses of a RabbitMQ server: `server`, `vhost` and `user`.
        rabbitmq: Option<Value>,
        /// The organization that owns it; blank where none is named.
        owner: String,
        /// Notes of people.
        notes: String,
        /// Its tags, in order.
        tags: Vec<String>,
        /// Who made it.
        creator: String,
        /// When it was created.
        created_at: DateTime<Utc>,
        /// When it last changed.
        updated_at: DateTime<Utc>,
    }
    {
        /// Its LMS as visitors see it.
        domain: String = "coalesce(nullif(external_domain, ''), internal_domain)",
        /// Its Studio as visitors see it.
        studio_domain: String = "coalesce(nullif(external_studio_domain, ''), internal_studio_domain)",
    }
}

table! {
    /// Launches that have not settled; in order of `queued` and `number`, the first is under way: another
    /// attempt comes before those that wait.
    LAUNCHES, launch_columns = "instance_launches", key [appserver],
    indexes [Index::on("instance, number")]
    {
        /// `apps_…`.
        appserver: String,
        /// `inst_…`.
        instance: String,
        /// `run_…`.
        run: String,
        /// The number of the Appserver.
        number: i32,
        /// Whether it was asked for while another one was under way.
        queued: bool,
    }
}

/// The read model of instances.
pub const PROJECTOR: Projector = Projector {
    name: "instances",
    version: 1,
    categories: &[InstanceId::CATEGORY],
    tables: &[INSTANCES, LAUNCHES],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let id = InstanceId(recorded.stream.id());
    let at = recorded.recorded_at;
    let update = |mut set: crate::Columns| {
        set.extend(columns! { updated_at: at });
        RowChange::update(INSTANCES.name, columns! { id: id }, set)
    };
    Ok(match event {
        Event::Created { settings } => vec![RowChange::put(
            INSTANCES.name,
            columns! { id: id },
            columns! {
                name: settings.name,
                external_domain: settings.external_lms_domain,
                internal_domain: settings.internal_lms_domain,
                external_studio_domain: settings.external_studio_domain,
                internal_studio_domain: settings.internal_studio_domain,
                release: settings.openedx_release,
                region: settings.openstack_region,
                playbooks: settings.configuration_source_repo_url,
                settings: settings,
                settings_version: 1,
                load_balancer: NULL,
                appserver_count: 0,
                active_appservers: serde_json::Value::Array(vec![]),
                name_troubles: serde_json::Value::Array(vec![]),
                lifecycle: Stage::Live,
                lifecycle_run: NULL,
                held_by: NULL,
                hold_reason: NULL,
                held_until: NULL,
                clean_up: NULL,
                maintenance: NULL,
                maintenance_change: NULL,
                successfully_provisioned: false,
                resources: NULL,
                mysql: NULL,
                mongodb: NULL,
                rabbitmq: NULL,
                owner: "",
                notes: "",
                tags: serde_json::Value::Array(vec![]),
                creator: make_storable(&recorded.meta.actor),
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
                ("external_studio_domain", &changes.external_studio_domain),
                ("internal_studio_domain", &changes.internal_studio_domain),
                ("release", &changes.openedx_release),
                ("region", &changes.openstack_region),
                ("playbooks", &changes.configuration_source_repo_url),
            ];
            set.extend(
                own.into_iter().filter_map(|(column, text)| Some((column, text.clone()?.into()))),
            );
            let key = columns! { id: id };
            vec![RowChange::Merge { table: INSTANCES.name, key, set, into: "settings" }]
        }
        Event::DetailsChanged { owner, notes } => {
            let mut set = columns! {};
            set.extend(owner.map(|owner| ("owner", owner.into())));
            set.extend(notes.map(|notes| ("notes", notes.into())));
            vec![update(set)]
        }
        Event::TagsChanged { tags, .. } => vec![update(columns! { tags: tags })],
        Event::CleanUpChanged { rule, .. } => vec![update(columns! { clean_up: rule })],
        Event::NameDisowned { .. } | Event::DomainsReleased { .. } => vec![],
        Event::ResourcesNamed { names } => vec![update(columns! { resources: names })],
        Event::ServersAssigned { servers } => vec![update(show_servers(&servers))],
        Event::LoadBalancerAssigned { load_balancer } => {
            vec![update(columns! { load_balancer: load_balancer })]
        }
        Event::LaunchRequested { appserver, run, number, queued, .. } => vec![
            update(columns! { appserver_count: number }),
            RowChange::put(
                LAUNCHES.name,
                columns! { appserver: appserver },
                columns! { instance: id, run: run, number: number, queued: queued },
            ),
        ],
        Event::LaunchSettled { appserver, outcome, .. } => {
            let set = match outcome {
                LaunchOutcome::Running => columns! { successfully_provisioned: true },
                LaunchOutcome::Failed | LaunchOutcome::Error | LaunchOutcome::Cancelled => {
                    columns! {}
                }
            };
            vec![
                update(set),
                RowChange::Delete { table: LAUNCHES.name, key: columns! { appserver: appserver } },
            ]
        }
        Event::TrafficClaimed { .. }
        | Event::TrafficReleased { .. }
        | Event::TestLinkMade { .. }
        | Event::TestLinkDropped { .. } => vec![],
        Event::TrafficAssigned { active, .. } => {
            vec![update(columns! { active_appservers: active })]
        }
        Event::NamesTroubled { troubles } => vec![update(columns! { name_troubles: troubles })],
        Event::NamesRecovered {} => {
            vec![update(columns! { name_troubles: serde_json::Value::Array(vec![]) })]
        }
        Event::ArchiveRequested { run, .. } => {
            vec![update(columns! { lifecycle: Stage::Archiving, lifecycle_run: run })]
        }
        Event::UnarchiveRequested { run, .. } => {
            vec![update(columns! { lifecycle: Stage::Unarchiving, lifecycle_run: run })]
        }
        Event::DeletionRequested { run, again, .. } => {
            let stage = if again { Stage::Deleted } else { Stage::Deleting };
            vec![update(columns! { lifecycle: stage, lifecycle_run: run })]
        }
        Event::LifecycleRunStopped { stage, .. } => {
            vec![update(columns! { lifecycle: stage, lifecycle_run: NULL })]
        }
        Event::Unarchived { .. } => {
            vec![update(columns! { lifecycle: Stage::Live, lifecycle_run: NULL })]
        }
        Event::Held(hold) => vec![update(columns! {
            held_by: hold.holder,
            hold_reason: hold.reason,
            held_until: hold.until,
        })],
        Event::HoldReleased { .. } => {
            vec![update(columns! { held_by: NULL, hold_reason: NULL, held_until: NULL })]
        }
        Event::MaintenanceRequested { run, page } => {
            vec![update(columns! { maintenance_change: json!({ "run": run, "page": page }) })]
        }
        Event::MaintenanceChanged { page, .. } => {
            vec![update(columns! { maintenance: page, maintenance_change: NULL })]
        }
        Event::MaintenanceChangeStopped { .. } => {
            vec![update(columns! { maintenance_change: NULL })]
        }
        Event::Archived { .. } => vec![update(out_of_service(Stage::Archived))],
        Event::Deleted { .. } => vec![update(out_of_service(Stage::Deleted))],
    })
}

/// A site that no balancer serves any more.
fn out_of_service(stage: Stage) -> crate::Columns {
    columns! {
        lifecycle: stage,
        lifecycle_run: NULL,
        load_balancer: NULL,
        name_troubles: serde_json::Value::Array(vec![]),
        maintenance: NULL,
        maintenance_change: NULL,
    }
}

/// What is newly used of servers that sites share, without passwords.
fn show_servers(servers: &SharedServers) -> Columns {
    let mut set = columns! {};
    if let Some(used) = &servers.mysql {
        set.extend(columns! { mysql: json!({ "server": used.server, "user": used.user }) });
    }
    if let Some(used) = &servers.mongodb {
        set.extend(columns! { mongodb: json!({ "server": used.server, "user": used.user }) });
    }
    if let Some(used) = &servers.rabbitmq {
        let (vhost, user) = (&used.vhost, &used.provider.user);
        let shown = json!({ "server": used.server, "vhost": vhost, "user": user });
        set.extend(columns! { rabbitmq: shown });
    }
    set
}
