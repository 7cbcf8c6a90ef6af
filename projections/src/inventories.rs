//! What is there of ours that nobody accounts for, by place.

use crate::change::{RowChange, columns};
use crate::table::table;
use crate::{Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::InventoryId;
use ocim_domain::inventory::Event;
use ocim_domain::ledger::ResourceKey;

table! {
    /// What has no owner.
    ORPHANS, columns = "orphans", key [inventory_id, kind, key], indexes []
    {
        /// `invt_…` of its place.
        inventory_id: String,
        /// `machine`, `fragment`, ….
        kind: String,
        /// What its provider calls it.
        key: String,
        /// Where it is: a region, a balancer.
        place: String,
        /// What people call it.
        name: String,
        /// The key that a machine was made with.
        made_with_key: Option<String>,
        /// What a machine was doing when it was found.
        power: Option<String>,
        /// `run_…` that takes it away.
        deletion_run: Option<String>,
        /// When it was found.
        found_at: DateTime<Utc>,
    }
}

/// The read model of what has no owner.
pub const PROJECTOR: Projector = Projector {
    name: "inventories",
    version: 2,
    categories: &[InventoryId::CATEGORY],
    tables: &[ORPHANS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let row = |id: &ResourceKey| {
        let inventory = InventoryId(recorded.stream.id());
        columns! { inventory_id: inventory, kind: id.kind, key: id.key }
    };
    Ok(match event {
        // Whether it answers is told by whoever looks, with the time of the last look.
        Event::SightLost { .. } | Event::SightRegained { .. } => vec![],
        Event::OrphanFound { place, orphan } => {
            let key = row(&orphan.id);
            let set = columns! {
                place: place,
                name: orphan.name,
                made_with_key: orphan.made_with,
                power: orphan.power,
                found_at: recorded.recorded_at,
            };
            vec![RowChange::put(ORPHANS.name, key, set)]
        }
        Event::OrphanSettled { id } => {
            vec![RowChange::Delete { table: ORPHANS.name, key: row(&id) }]
        }
        Event::OrphanDeletionRequested { id, run, .. } => {
            vec![RowChange::update(ORPHANS.name, row(&id), columns! { deletion_run: run })]
        }
        Event::OrphanDeletionStopped { id, .. } => {
            let set = columns! { deletion_run: None::<String> };
            vec![RowChange::update(ORPHANS.name, row(&id), set)]
        }
    })
}
