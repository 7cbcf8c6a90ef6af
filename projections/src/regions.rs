//! Regions: how many launches at a time, who has a slot, who waits in line.

use crate::change::{RowChange, columns};
use crate::{ColumnType, Projector, Table, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::RegionId;
use ocim_domain::region::Event;

/// The read model of regions.
pub const PROJECTOR: Projector = Projector {
    name: "regions",
    version: 1,
    categories: &[RegionId::CATEGORY],
    tables: &[
        Table {
            name: REGIONS,
            columns: &[
                ("id", ColumnType::Text),
                ("name", ColumnType::Text),
                ("launches_max", ColumnType::BigInteger),
                ("created_at", ColumnType::Timestamp),
                ("updated_at", ColumnType::Timestamp),
            ],
            key: &["id"],
            indexed: &[],
        },
        Table {
            name: RUNS,
            columns: &[
                ("region", ColumnType::Text),
                ("run", ColumnType::Text),
                ("state", ColumnType::Text),
                // The version of the event that queued it: the line stands in this order.
                ("queued", ColumnType::BigInteger),
                ("since", ColumnType::Timestamp),
            ],
            key: &["region", "run"],
            indexed: &[],
        },
    ],
    project,
};

const REGIONS: &str = "regions";
const RUNS: &str = "region_runs";

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let region = RegionId(recorded.stream.id());
    let at = recorded.recorded_at;
    Ok(vec![match event {
        Event::LimitSet { region: name, limit, .. } => RowChange::Upsert {
            table: REGIONS,
            key: columns! { id: region },
            initial: columns! { created_at: at },
            set: columns! { name: name, launches_max: limit, updated_at: at },
        },
        Event::RunQueued { run } => RowChange::put(
            RUNS,
            columns! { region: region, run: run },
            columns! { state: "queued", queued: recorded.version, since: at },
        ),
        Event::RunAdmitted { run } => RowChange::update(
            RUNS,
            columns! { region: region, run: run },
            columns! { state: "running", since: at },
        ),
        Event::RunLeft { run } => {
            RowChange::Delete { table: RUNS, key: columns! { region: region, run: run } }
        }
    }])
}
