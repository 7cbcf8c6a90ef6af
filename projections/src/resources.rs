//! What instances have outside of Ocim, as far as it is, or may be, there.

use crate::change::{NULL, RowChange, columns};
use crate::table::table;
use crate::{Index, Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::{InstanceId, LedgerId};
use ocim_domain::ledger::{Event, ResourceKey};

table! {
    /// What instances have outside.
    RESOURCES, columns = "resources", key [instance_id, kind, key],
    indexes [
        Index::on("kind, instance_id, key"),
        Index::on("state, instance_id, kind, key"),
    ]
    {
        /// `inst_…`.
        instance_id: String,
        /// `machine`, `fragment`, ….
        kind: String,
        /// Unique within instance and kind.
        key: String,
        /// What people call it.
        name: String,
        /// Where it is: a region, a balancer.
        place: String,
        /// What it belongs to: the instance's id, or an appserver's.
        owner: String,
        /// `wanted`, `present` or `unknown`.
        state: String,
        /// What its provider calls it.
        provider_id: Option<String>,
        /// Why it can't be told whether it is there.
        reason: Option<String>,
        /// Since when.
        since: DateTime<Utc>,
    }
}

/// The read model of resources.
pub const PROJECTOR: Projector = Projector {
    name: "resources",
    version: 1,
    categories: &[LedgerId::CATEGORY],
    tables: &[RESOURCES],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let row = |id: &ResourceKey| {
        let instance = InstanceId(recorded.stream.id());
        columns! { instance_id: instance, kind: id.kind, key: id.key }
    };
    let since = recorded.recorded_at;
    Ok(vec![match event {
        Event::Wanted { resource } => RowChange::put(
            RESOURCES.name,
            row(&resource.id),
            columns! {
                name: resource.name, place: resource.place, owner: resource.owner, state: "wanted",
                since: since,
            },
        ),
        Event::Adopted { resource, provider_id, .. } => RowChange::put(
            RESOURCES.name,
            row(&resource.id),
            columns! {
                name: resource.name, place: resource.place, owner: resource.owner,
                state: "present", provider_id: provider_id, since: since,
            },
        ),
        Event::Present { id, provider_id } => RowChange::update(
            RESOURCES.name,
            row(&id),
            columns! {
                state: "present", provider_id: provider_id, reason: NULL, since: since,
            },
        ),
        Event::Unknown { id, reason } => RowChange::update(
            RESOURCES.name,
            row(&id),
            columns! { state: "unknown", reason: reason, since: since },
        ),
        Event::Absent { id } | Event::Resolved { id, .. } => {
            RowChange::Delete { table: RESOURCES.name, key: row(&id) }
        }
    }])
}
