//! Ocim's read models as pure functions: a recorded event in, row changes as data out. No I/O.
//!
//! In reading order: `table` declares tables and the rows that are read of them, `change` is what a
//! projector may say, `batch` folds many of them into few, and
//! each further module is one read model. Events are read as they lie in the store: protected
//! values stay sealed, and nothing here needs their text.

mod batch;
mod change;
mod table;

pub mod appservers;
pub mod bulk;
pub mod history;
pub mod incidents;
pub mod instances;
pub mod inventories;
pub mod load_balancers;
pub mod mails;
pub mod regions;
pub mod resources;
pub mod runs;
pub mod servers;
pub mod shared_servers;
pub mod timeline;

pub use batch::{Action, Batch, Group};
pub use change::{Columns, RowChange};
pub use table::{ColumnType, ColumnValue, Index, ReadRow, RowSource, Table};

use ocim_domain::event::{DecodeError, DomainEvent, Recorded};

/// One read model: the tables it owns and how events change them.
#[derive(Debug, Clone, Copy)]
pub struct Projector {
    /// Its name, e.g. `instances`: lower case letters and `_`, at most 40.
    pub name: &'static str,
    /// Raised with every change of tables or meaning; the new version is built beside the old one.
    pub version: u16,
    /// The categories of streams it reads, all if none is named; events of others are not shown to
    /// it.
    pub categories: &'static [&'static str],
    /// The tables it owns.
    pub tables: &'static [Table],
    /// What an event changes; empty where the read model does not care.
    ///
    /// # Errors
    /// [`DecodeError`] when the event is one of its own, but can't be read.
    pub project: fn(&Recorded) -> Result<Vec<RowChange>, DecodeError>,
}

/// Every read model of Ocim.
pub const ALL: &[Projector] = &[
    instances::PROJECTOR,
    appservers::PROJECTOR,
    servers::PROJECTOR,
    load_balancers::PROJECTOR,
    shared_servers::PROJECTOR,
    inventories::PROJECTOR,
    runs::PROJECTOR,
    regions::PROJECTOR,
    resources::PROJECTOR,
    bulk::PROJECTOR,
    mails::PROJECTOR,
    incidents::PROJECTOR,
    history::PROJECTOR,
];

/// The typed event, or `None` where the kind is not one of this aggregate's.
fn decode<E: DomainEvent>(recorded: &Recorded) -> Result<Option<E>, DecodeError> {
    if !E::KINDS.iter().any(|(kind, _)| *kind == recorded.kind) {
        return Ok(None);
    }
    E::decode(&recorded.kind, recorded.schema, &recorded.data).map(Some)
}
