//! Machines that nobody accounts for, by region.

use crate::change::{RowChange, columns};
use crate::{ColumnType, Projector, Table, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::InventoryId;
use ocim_domain::inventory::Event;

/// The read model of machines without an owner.
pub const PROJECTOR: Projector = Projector {
    name: "inventories",
    version: 1,
    categories: &[InventoryId::CATEGORY],
    tables: &[Table {
        name: ORPHANS,
        columns: &[
            ("inventory_id", ColumnType::Text),
            ("machine", ColumnType::Text),
            ("region", ColumnType::Text),
            ("name", ColumnType::Text),
            ("made_with_key", ColumnType::Text),
            ("power", ColumnType::Text),
            ("deletion_run", ColumnType::Text),
            ("found_at", ColumnType::Timestamp),
        ],
        key: &["inventory_id", "machine"],
        indexed: &[],
    }],
    project,
};

const ORPHANS: &str = "orphans";

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
            vec![RowChange::put(ORPHANS, key, set)]
        }
        Event::OrphanSettled { machine } => {
            vec![RowChange::Delete {
                table: ORPHANS,
                key: columns! { inventory_id: id, machine: machine },
            }]
        }
        Event::OrphanDeletionRequested { machine, run, .. } => {
            let key = columns! { inventory_id: id, machine: machine };
            vec![RowChange::update(ORPHANS, key, columns! { deletion_run: run })]
        }
        Event::OrphanDeletionStopped { machine, .. } => {
            let key = columns! { inventory_id: id, machine: machine };
            vec![RowChange::update(ORPHANS, key, columns! { deletion_run: None::<String> })]
        }
    })
}
