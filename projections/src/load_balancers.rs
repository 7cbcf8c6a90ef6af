//! Shared load balancer hosts.

use crate::change::{Columns, NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::load_balancer::{Event, Registration};

table! {
    /// Balancers.
    LOAD_BALANCERS, columns = "load_balancers", key [id], indexes [Index::on("created_at, id")]
    {
        /// `lbal_…`.
        id: String,
        /// DNS target.
        domain: String,
        /// Public address.
        public_ip: String,
        /// Whom Ansible logs in as there.
        ssh_username: String,
        /// Where it answers SSH.
        ssh_port: i32,
        /// The SSH host keys that it may show.
        host_keys: Vec<String>,
        /// Where it listens for visitors.
        http_port: i32,
        /// A second address where it listens for visitors of its own machine.
        also_listens: Option<String>,
        /// Whether new instances may be given to it.
        accepts_new_backends: bool,
        /// What is not as it should be.
        troubles: Value,
        /// `run_…` that was last asked to prepare it.
        preparation_run: Option<String>,
        /// When it was retired.
        retired_at: Option<DateTime<Utc>>,
        /// When it was registered.
        created_at: DateTime<Utc>,
        /// When it last changed.
        updated_at: DateTime<Utc>,
    }
}

/// The read model of load balancers.
pub const PROJECTOR: Projector = Projector {
    name: "load_balancers",
    version: 1,
    categories: &[LoadBalancerId::CATEGORY],
    tables: &[LOAD_BALANCERS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let key = columns! { id: LoadBalancerId(recorded.stream.id()) };
    let at = recorded.recorded_at;
    Ok(match event {
        Event::Registered(registration) => vec![RowChange::Upsert {
            table: LOAD_BALANCERS.name,
            key,
            initial: columns! { created_at: at, troubles: serde_json::Value::Array(vec![]) },
            set: {
                let mut set = describe(recorded, &registration);
                set.extend(columns! { retired_at: NULL });
                set
            },
        }],
        Event::RegistrationChanged(registration) => {
            vec![RowChange::update(LOAD_BALANCERS.name, key, describe(recorded, &registration))]
        }
        Event::AcceptanceChanged { accepts_new_backends } => vec![RowChange::update(
            LOAD_BALANCERS.name,
            key,
            columns! { accepts_new_backends: accepts_new_backends, updated_at: at },
        )],
        // Who uses it stands with the instances.
        Event::ClientAdmitted { .. } | Event::ClientReleased { .. } => vec![],
        Event::Retired {} => vec![RowChange::update(
            LOAD_BALANCERS.name,
            key,
            columns! { retired_at: at, updated_at: at },
        )],
        Event::FragmentApplied { .. } => vec![], // Nothing is known otherwise of the balancer itself.
        Event::Troubled { troubles } => vec![RowChange::update(
            LOAD_BALANCERS.name,
            key,
            columns! { troubles: troubles, updated_at: at },
        )],
        Event::Recovered {} => vec![RowChange::update(
            LOAD_BALANCERS.name,
            key,
            columns! { troubles: serde_json::Value::Array(vec![]), updated_at: at },
        )],
        Event::PreparationRequested { run, .. } => vec![RowChange::update(
            LOAD_BALANCERS.name,
            key,
            columns! { preparation_run: run, updated_at: at },
        )],
    })
}

fn describe(recorded: &Recorded, registration: &Registration) -> Columns {
    columns! {
        domain: registration.domain,
        public_ip: registration.address.ip,
        ssh_username: registration.address.ssh_user,
        ssh_port: registration.address.ssh_port,
        host_keys: registration.host_keys,
        http_port: registration.address.http_port,
        also_listens: registration.also_listens,
        accepts_new_backends: registration.accepts_new_backends,
        updated_at: recorded.recorded_at,
    }
}
