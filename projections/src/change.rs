//! What a projector may say about a row: make it, change it, take it away.

use serde_json::Value;
use std::collections::BTreeMap;

/// Column names with their values.
pub type Columns = BTreeMap<&'static str, Value>;

/// The value of a column that has none.
pub(crate) const NULL: Value = Value::Null;

/// One change of one row, as data.
#[derive(Debug, Clone, PartialEq)]
pub enum RowChange {
    /// Makes the row of `initial` and `set` if there is none, else changes only `set`.
    Upsert {
        /// Whose row.
        table: &'static str,
        /// Which row.
        key: Columns,
        /// What only a new row takes.
        initial: Columns,
        /// What the row takes in either case.
        set: Columns,
    },
    /// Changes the row; nothing where there is none.
    Update {
        /// Whose row.
        table: &'static str,
        /// Which row.
        key: Columns,
        /// What it takes.
        set: Columns,
    },
    /// Changes the row as `Update` does, but for one column that holds a JSON object: of that, the
    /// members that are given are set, and the others stay.
    Merge {
        /// Whose row.
        table: &'static str,
        /// Which row.
        key: Columns,
        /// What it takes.
        set: Columns,
        /// The column whose members are set one by one; it is one of `set`.
        into: &'static str,
    },
    /// Takes the row away; nothing where there is none.
    Delete {
        /// Whose row.
        table: &'static str,
        /// Which row.
        key: Columns,
    },
}

impl RowChange {
    /// A row that is made or changed to this, whether it was there or not.
    pub(crate) fn put(table: &'static str, key: Columns, set: Columns) -> Self {
        Self::Upsert { table, key, initial: Columns::new(), set }
    }

    /// A row that is changed if it is there.
    pub(crate) fn update(table: &'static str, key: Columns, set: Columns) -> Self {
        Self::Update { table, key, set }
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &'static str {
        match self {
            Self::Upsert { table, .. }
            | Self::Update { table, .. }
            | Self::Merge { table, .. }
            | Self::Delete { table, .. } => table,
        }
    }

    /// The row's key.
    #[must_use]
    pub fn key(&self) -> &Columns {
        match self {
            Self::Upsert { key, .. }
            | Self::Update { key, .. }
            | Self::Merge { key, .. }
            | Self::Delete { key, .. } => key,
        }
    }
}

/// Columns with their values, each turned into JSON: `columns! { id: instance, number: 1 }`.
macro_rules! columns {
    ($($name:ident : $value:expr),* $(,)?) => {
        $crate::Columns::from([$((stringify!($name), ::serde_json::json!($value))),*])
    };
}
pub(crate) use columns;
