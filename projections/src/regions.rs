//! Regions: how many launches at a time, who has a slot, who waits in line.

use crate::change::{RowChange, columns};
use crate::table::table;
use crate::{Projector, decode};
use ocim_domain::event::{DecodeError, Recorded};
use ocim_domain::ids::RegionId;
use ocim_domain::region::Event;

table! {
    /// Regions of clouds.
    REGIONS, columns = "regions", key [id], indexes []
    {
        /// `regn_…`.
        id: String,
        /// Its name.
        name: String,
        /// Launches at a time.
        launches_max: i64,
        /// When its limit was first set.
        created_at: DateTime<Utc>,
        /// When its limit was last set.
        updated_at: DateTime<Utc>,
    }
}

table! {
    /// Launches that have a slot in a region, or wait for one.
    RUNS, run_columns = "region_runs", key [region, run], indexes []
    {
        /// `regn_…`.
        region: String,
        /// `run_…`.
        run: String,
        /// `running` or `queued`.
        state: String,
        /// Whether it is one of many that nobody waits for: those stand behind all others.
        in_bulk: bool,
        /// The version of the event that queued it: the line stands in this order.
        queued: i64,
        /// Since when it has its slot, or waits.
        since: DateTime<Utc>,
    }
}

/// The read model of regions.
pub const PROJECTOR: Projector = Projector {
    name: "regions",
    version: 1,
    categories: &[RegionId::CATEGORY],
    tables: &[REGIONS, RUNS],
    project,
};

fn project(recorded: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let Some(event) = decode::<Event>(recorded)? else { return Ok(vec![]) };
    let region = RegionId(recorded.stream.id());
    let at = recorded.recorded_at;
    Ok(vec![match event {
        Event::LimitSet { region: name, limit, .. } => RowChange::Upsert {
            table: REGIONS.name,
            key: columns! { id: region },
            initial: columns! { created_at: at },
            set: columns! { name: name, launches_max: limit, updated_at: at },
        },
        Event::RunQueued { run, bulk_max } => RowChange::put(
            RUNS.name,
            columns! { region: region, run: run },
            columns! { state: "queued", in_bulk: bulk_max.is_some(), queued: recorded.version, since: at },
        ),
        Event::RunAdmitted { run } => RowChange::update(
            RUNS.name,
            columns! { region: region, run: run },
            columns! { state: "running", since: at },
        ),
        Event::RunLeft { run } => {
            RowChange::Delete { table: RUNS.name, key: columns! { region: region, run: run } }
        }
    }])
}
