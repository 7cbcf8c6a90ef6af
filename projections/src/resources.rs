//! What instances have outside of Ocim, as far as it is, or may be, there.

use crate::change::{RowChange, columns};
use crate::{ColumnType, Projector, Table, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::{InstanceId, LedgerId};
use ocim_domain::ledger::{Event, ResourceKey};

/// The read model of resources.
pub const PROJECTOR: Projector = Projector {
    name: "resources",
    version: 1,
    categories: &[LedgerId::CATEGORY],
    tables: &[Table {
        name: RESOURCES,
        columns: &[
            ("instance_id", ColumnType::Text),
            ("kind", ColumnType::Text),
            ("key", ColumnType::Text),
            ("name", ColumnType::Text),
            ("place", ColumnType::Text),
            ("owner", ColumnType::Text),
            ("state", ColumnType::Text),
            ("provider_id", ColumnType::Text),
            ("reason", ColumnType::Text),
            ("since", ColumnType::Timestamp),
        ],
        key: &["instance_id", "kind", "key"],
        indexed: &["kind", "state", "owner"],
    }],
    project,
};

const RESOURCES: &str = "resources";

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let row = |id: &ResourceKey| {
        let instance = InstanceId(recorded.stream.id());
        columns! { instance_id: instance, kind: id.kind, key: id.key }
    };
    let since = recorded.recorded_at;
    Ok(vec![match event {
        // One that is there stays so when it is wanted under another name.
        Event::Wanted { resource } => RowChange::Upsert {
            table: RESOURCES,
            key: row(&resource.id),
            initial: columns! { state: "wanted", since: since },
            set: columns! { name: resource.name, place: resource.place, owner: resource.owner },
        },
        Event::Present { id, provider_id } => RowChange::update(
            RESOURCES,
            row(&id),
            columns! {
                state: "present", provider_id: provider_id, reason: None::<String>, since: since,
            },
        ),
        Event::Unknown { id, reason } => RowChange::update(
            RESOURCES,
            row(&id),
            columns! { state: "unknown", reason: reason, since: since },
        ),
        Event::Absent { id } => RowChange::Delete { table: RESOURCES, key: row(&id) },
    }])
}
