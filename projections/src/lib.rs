//! Ocim's read models as pure functions: a recorded event in, row changes as data out. No I/O.
//!
//! In reading order: `change` is what a projector may say, `batch` folds many of them into few, and
//! each further module is one read model. Events are read as they lie in the store: protected
//! values stay sealed, and nothing here needs their text.

mod batch;
mod change;

pub mod appservers;
pub mod history;
pub mod instances;
pub mod inventories;
pub mod load_balancers;
pub mod regions;
pub mod runs;
pub mod servers;
pub mod timeline;

pub use batch::{Action, Batch, Group};
pub use change::{Columns, RowChange};

use ocim_domain::event::{DecodeError, DomainEvent, Recorded};

/// What a column holds. Values arrive as JSON and take this type in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// A text.
    Text,
    /// A list of texts; JSON array.
    TextList,
    /// 32 bits.
    Integer,
    /// 64 bits.
    BigInteger,
    /// True or false.
    Boolean,
    /// A point in time; RFC 3339.
    Timestamp,
    /// Any JSON, kept as written unless members of it are set one by one.
    Json,
    /// A text that follows from two others of the row, which are given: the first unless that is
    /// blank, else the second.
    FirstText(&'static str, &'static str),
}

/// One table of a read model. Columns outside the key may be null.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, unique over all projectors: readers find it by it.
    pub name: &'static str,
    /// Its columns, in order.
    pub columns: &'static [(&'static str, ColumnType)],
    /// The columns of its primary key.
    pub key: &'static [&'static str],
    /// What rows are looked up by, each with an index of its own: a column, or several in order
    /// (`phase, id`), of all rows or of those that a list shows (`id where ended_at is null`).
    pub indexed: &'static [&'static str],
}

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
    inventories::PROJECTOR,
    runs::PROJECTOR,
    regions::PROJECTOR,
    history::PROJECTOR,
];

/// The typed event, or `None` where the kind is not one of this aggregate's.
fn decode<E: DomainEvent>(recorded: &Recorded) -> Result<Option<E>, DecodeError> {
    if !E::KINDS.iter().any(|(kind, _)| *kind == recorded.kind) {
        return Ok(None);
    }
    E::decode(&recorded.kind, recorded.schema, &recorded.data).map(Some)
}
