//! Shared load balancer hosts.

use crate::change::{Columns, RowChange, columns};
use crate::{ColumnType, Projector, Table, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::load_balancer::{Event, Registration};

/// The read model of load balancers.
pub const PROJECTOR: Projector = Projector {
    name: "load_balancers",
    version: 1,
    categories: &[LoadBalancerId::CATEGORY],
    tables: &[Table {
        name: LOAD_BALANCERS,
        columns: &[
            ("id", ColumnType::Text),
            ("domain", ColumnType::Text),
            ("public_ip", ColumnType::Text),
            ("http_port", ColumnType::Integer),
            ("also_listens", ColumnType::Text),
            ("accepts_new_backends", ColumnType::Boolean),
            ("troubles", ColumnType::Json),
            ("preparation_run", ColumnType::Text),
            ("created_at", ColumnType::Timestamp),
            ("updated_at", ColumnType::Timestamp),
        ],
        key: &["id"],
        indexed: &[],
    }],
    project,
};

const LOAD_BALANCERS: &str = "load_balancers";

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let key = columns! { id: LoadBalancerId(recorded.stream.id()) };
    let at = recorded.recorded_at;
    Ok(match event {
        Event::Registered(registration) => vec![RowChange::Upsert {
            table: LOAD_BALANCERS,
            key,
            initial: columns! { created_at: at, troubles: serde_json::Value::Array(vec![]) },
            set: describe(recorded, &registration),
        }],
        Event::RegistrationChanged(registration) => {
            vec![RowChange::update(LOAD_BALANCERS, key, describe(recorded, &registration))]
        }
        Event::AcceptanceChanged { accepts_new_backends } => vec![RowChange::update(
            LOAD_BALANCERS,
            key,
            columns! { accepts_new_backends: accepts_new_backends, updated_at: at },
        )],
        Event::FragmentApplied { .. } => vec![], // Nothing is known otherwise of the balancer itself.
        Event::Troubled { troubles } => vec![RowChange::update(
            LOAD_BALANCERS,
            key,
            columns! { troubles: troubles, updated_at: at },
        )],
        Event::Recovered {} => vec![RowChange::update(
            LOAD_BALANCERS,
            key,
            columns! { troubles: serde_json::Value::Array(vec![]), updated_at: at },
        )],
        Event::PreparationRequested { run, .. } => vec![RowChange::update(
            LOAD_BALANCERS,
            key,
            columns! { preparation_run: run, updated_at: at },
        )],
    })
}

fn describe(recorded: &Recorded, registration: &Registration) -> Columns {
    columns! {
        domain: registration.domain,
        public_ip: registration.address.ip,
        http_port: registration.address.http_port,
        also_listens: registration.also_listens,
        accepts_new_backends: registration.accepts_new_backends,
        updated_at: recorded.recorded_at,
    }
}
