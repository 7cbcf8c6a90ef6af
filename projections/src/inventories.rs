//! Machines that nobody accounts for, by region.

use crate::change::{RowChange, columns};
use crate::table::table;
use crate::{Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::InventoryId;
use ocim_domain::inventory::Event;

table! {
    /// Machines without an owner.
    ORPHANS, columns = "orphans", key [inventory_id, machine], indexes []
    {
        /// `invt_…` of its region.
        inventory_id: String,
        /// The cloud's id.
        machine: String,
        /// Region.
        region: String,
        /// Its name in the cloud.
        name: String,
        /// The key that it was made with.
        made_with_key: Option<String>,
        /// What it was doing when it was found.
        power: String,
        /// `run_…` that takes it away.
        deletion_run: Option<String>,
        /// When it was found.
        found_at: DateTime<Utc>,
    }
}

/// The read model of machines without an owner.
pub const PROJECTOR: Projector = Projector {
    name: "inventories",
    version: 1,
    categories: &[InventoryId::CATEGORY],
    tables: &[ORPHANS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let id = InventoryId(recorded.stream.id());
    Ok(match event {
        // Whether it answers is told by whoever looks, with the time of the last look.
        Event::SightLost { .. } | Event::SightRegained { .. } => vec![],
        Event::OrphanFound { region, orphan } => {
            let key = columns! { inventory_id: id, machine: orphan.machine };
            let set = columns! {
                region: region,
                name: orphan.name,
                made_with_key: orphan.key,
                power: orphan.power,
                found_at: recorded.recorded_at,
            };
            vec![RowChange::put(ORPHANS.name, key, set)]
        }
        Event::OrphanSettled { machine } => {
            vec![RowChange::Delete {
                table: ORPHANS.name,
                key: columns! { inventory_id: id, machine: machine },
            }]
        }
        Event::OrphanDeletionRequested { machine, run, .. } => {
            let key = columns! { inventory_id: id, machine: machine };
            vec![RowChange::update(ORPHANS.name, key, columns! { deletion_run: run })]
        }
        Event::OrphanDeletionStopped { machine, .. } => {
            let key = columns! { inventory_id: id, machine: machine };
            vec![RowChange::update(ORPHANS.name, key, columns! { deletion_run: None::<String> })]
        }
    })
}
