//! Tables of read models, each declared once: its columns with their types, its key, its indexes, and the
//! rows that are read of it.
//!
//! [`table!`] declares a table and, in a module beside it, the type of each column; [`row!`] declares a
//! row that reads some of them. A list reads the columns that it shows: each has a row of its own.

use chrono::{DateTime, Utc};
use serde_json::Value;

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
    /// What readers see beside the columns: a name and what it is made from.
    pub computed: &'static [(&'static str, &'static str)],
    /// How rows are found other than by the key.
    pub indexes: &'static [Index],
}

/// An index of a table.
#[derive(Debug, Clone, Copy)]
pub struct Index {
    /// Its columns, in order; one may go down (`number desc`).
    pub columns: &'static str,
    /// The condition of the rows that it holds; all where it is empty.
    pub only: &'static str,
}

impl Index {
    /// An index of all rows.
    #[must_use]
    pub const fn on(columns: &'static str) -> Self {
        Self { columns, only: "" }
    }

    /// The same, of those rows alone for which this holds.
    #[must_use]
    pub const fn only(self, condition: &'static str) -> Self {
        Self { only: condition, ..self }
    }
}

/// One row as a database gives it: its columns by their place.
pub trait RowSource {
    /// Why a column can't be read.
    type Error;

    /// A text.
    fn text(&self, place: usize) -> Result<Option<String>, Self::Error>;
    /// A list of texts.
    fn text_list(&self, place: usize) -> Result<Option<Vec<String>>, Self::Error>;
    /// 32 bits.
    fn integer(&self, place: usize) -> Result<Option<i32>, Self::Error>;
    /// 64 bits.
    fn big_integer(&self, place: usize) -> Result<Option<i64>, Self::Error>;
    /// True or false.
    fn boolean(&self, place: usize) -> Result<Option<bool>, Self::Error>;
    /// A point in time.
    fn timestamp(&self, place: usize) -> Result<Option<DateTime<Utc>>, Self::Error>;
    /// JSON.
    fn json(&self, place: usize) -> Result<Option<Value>, Self::Error>;
    /// That a column is null which never should be.
    fn missing(column: &'static str) -> Self::Error;
}

/// What a column can be read as.
pub trait ColumnValue: Sized {
    /// The type that the column has.
    const TYPE: ColumnType;

    /// The value at a place.
    ///
    /// # Errors
    /// What the source says.
    fn read<S: RowSource>(source: &S, place: usize, column: &'static str)
    -> Result<Self, S::Error>;
}

macro_rules! column_values {
    ($($type:ty = $column_type:ident by $read:ident;)*) => {$(
        impl ColumnValue for $type {
            const TYPE: ColumnType = ColumnType::$column_type;

            fn read<S: RowSource>(
                source: &S,
                place: usize,
                column: &'static str,
            ) -> Result<Self, S::Error> {
                source.$read(place)?.ok_or_else(|| S::missing(column))
            }
        }

        impl ColumnValue for Option<$type> {
            const TYPE: ColumnType = ColumnType::$column_type;

            fn read<S: RowSource>(
                source: &S,
                place: usize,
                _: &'static str,
            ) -> Result<Self, S::Error> {
                source.$read(place)
            }
        }
    )*};
}

column_values! {
    String = Text by text;
    Vec<String> = TextList by text_list;
    i32 = Integer by integer;
    i64 = BigInteger by big_integer;
    bool = Boolean by boolean;
    DateTime<Utc> = Timestamp by timestamp;
    Value = Json by json;
}

/// A row that is read of a table.
pub trait ReadRow: Sized {
    /// The table, which a query calls `t`.
    const TABLE: &'static str;

    /// What is read, in order: each as SQL over `t` and what the query joins to it.
    fn columns() -> Vec<&'static str>;

    /// The row, from the columns at `place` and after, which is then behind them.
    ///
    /// # Errors
    /// What the source says.
    fn read<S: RowSource>(source: &S, place: &mut usize) -> Result<Self, S::Error>;
}

/// Two rows of one table in one.
impl<A: ReadRow, B: ReadRow> ReadRow for (A, B) {
    const TABLE: &'static str = A::TABLE;

    fn columns() -> Vec<&'static str> {
        [A::columns(), B::columns()].concat()
    }

    fn read<S: RowSource>(source: &S, place: &mut usize) -> Result<Self, S::Error> {
        Ok((A::read(source, place)?, B::read(source, place)?))
    }
}

/// A table, and a module with the type of each of its columns.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $table:ident, $module:ident = $name:literal, key [$($key:ident),+],
        indexes [$($index:expr),* $(,)?]
        { $($(#[$column_doc:meta])* $column:ident: $type:ty,)* }
        $({ $($(#[$computed_doc:meta])* $computed:ident: $computed_type:ty = $sql:literal,)* })?
    ) => {
        $(#[$doc])*
        pub const $table: $crate::Table = $crate::Table {
            name: $name,
            columns: &[
                $((stringify!($column), <$module::$column as $crate::ColumnValue>::TYPE)),*
            ],
            key: &[$(stringify!($key)),+],
            computed: &[$($((stringify!($computed), $sql)),*)?],
            indexes: &[$($index),*],
        };

        $(#[$doc])*
        #[allow(non_camel_case_types, reason = "they are named as the columns are")]
        pub mod $module {
            #[allow(unused_imports, reason = "not each table has columns of every type")]
            use chrono::{DateTime, Utc};
            #[allow(unused_imports, reason = "not each table has columns of every type")]
            use serde_json::Value;

            /// The table's name.
            pub const NAME: &str = $name;
            $($(#[$column_doc])* pub type $column = $type;)*
            $($($(#[$computed_doc])* pub type $computed = $computed_type;)*)?
        }
    };
}
pub(crate) use table;

/// A row that reads some columns of a table, and what a query finds beside them.
///
/// `row! { /// One site. pub struct SiteRow of columns { id, name }
/// beside { /// Its balancer's port. port: Option<i32> = "b.http_port", } }`, where `columns` is the
/// module of the table's columns.
#[macro_export]
macro_rules! row {
    (
        $(#[$doc:meta])*
        pub struct $row:ident of $module:ident { $($column:ident),* $(,)? }
        $(beside { $($(#[$extra_doc:meta])* $extra:ident: $extra_type:ty = $sql:expr,)* })?
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $row {
            $(
                #[doc = concat!("The column `", stringify!($column), "`.")]
                pub $column: $module::$column,
            )*
            $($($(#[$extra_doc])* pub $extra: $extra_type,)*)?
        }

        impl $crate::ReadRow for $row {
            const TABLE: &'static str = $module::NAME;

            fn columns() -> Vec<&'static str> {
                vec![$(concat!("t.", stringify!($column)),)* $($($sql,)*)?]
            }

            fn read<S: $crate::RowSource>(
                source: &S,
                place: &mut usize,
            ) -> Result<Self, S::Error> {
                let mut next = || {
                    *place += 1;
                    *place - 1
                };
                Ok(Self {
                    $($column: $crate::ColumnValue::read(source, next(), stringify!($column))?,)*
                    $($($extra: $crate::ColumnValue::read(source, next(), stringify!($extra))?,)*)?
                })
            }
        }
    };
}

#[cfg(test)]
#[allow(unreachable_pub, reason = "the tests declare a table as others do")]
mod tests {
    use super::*;
    use crate::ALL;
    use std::collections::BTreeSet;

    #[test]
    fn an_index_is_of_all_rows_or_of_those_for_which_a_condition_holds() {
        let all = Index::on("kind, id");
        assert_eq!((all.columns, all.only), ("kind, id", ""));
        let some = all.only("kind = 'a'");
        assert_eq!((some.columns, some.only), ("kind, id", "kind = 'a'"));
    }

    #[test]
    fn tables_are_declared_without_contradiction() {
        let mut names = BTreeSet::new();
        for table in ALL.iter().flat_map(|projector| projector.tables) {
            assert!(names.insert(table.name), "{} is there twice", table.name);
            let columns: BTreeSet<_> = table.columns.iter().map(|(name, _)| *name).collect();
            assert_eq!(columns.len(), table.columns.len(), "{}", table.name);
            assert!(table.key.iter().all(|key| columns.contains(key)), "{}", table.name);
            for index in table.indexes {
                for part in index.columns.split(", ") {
                    let column = part.trim_end_matches(" desc");
                    assert!(columns.contains(column), "{}: {part}", table.name);
                }
            }
            for (computed, _) in table.computed {
                assert!(!columns.contains(computed), "{}: {computed}", table.name);
            }
        }
    }

    /// Texts and numbers by their place.
    struct Sample(Vec<Value>);

    impl RowSource for Sample {
        type Error = &'static str;

        fn text(&self, place: usize) -> Result<Option<String>, Self::Error> {
            Ok(self.0[place].as_str().map(str::to_owned))
        }
        fn text_list(&self, place: usize) -> Result<Option<Vec<String>>, Self::Error> {
            serde_json::from_value(self.0[place].clone()).map_err(|_| "no list")
        }
        fn integer(&self, place: usize) -> Result<Option<i32>, Self::Error> {
            Ok(self.0[place].as_i64().and_then(|number| number.try_into().ok()))
        }
        fn big_integer(&self, place: usize) -> Result<Option<i64>, Self::Error> {
            Ok(self.0[place].as_i64())
        }
        fn boolean(&self, place: usize) -> Result<Option<bool>, Self::Error> {
            Ok(self.0[place].as_bool())
        }
        fn timestamp(&self, _: usize) -> Result<Option<DateTime<Utc>>, Self::Error> {
            Ok(None)
        }
        fn json(&self, place: usize) -> Result<Option<Value>, Self::Error> {
            Ok(Some(self.0[place].clone()))
        }
        fn missing(column: &'static str) -> Self::Error {
            column
        }
    }

    table! {
        /// A table of this test's own.
        SAMPLES, samples = "samples", key [id], indexes [Index::on("count, id")]
        {
            /// Its id.
            id: String,
            /// A number.
            count: Option<i32>,
        }
        {
            /// Whether there are many.
            many: bool = "count > 9",
        }
    }

    row! {
        /// A row of it.
        pub struct SampleRow of samples { id, many }
        beside {
            /// What stands beside it.
            other: Option<i64> = "o.number",
        }
    }

    #[test]
    fn a_row_reads_its_columns_in_their_order() {
        let columns = [("id", ColumnType::Text), ("count", ColumnType::Integer)];
        assert_eq!(SAMPLES.columns, columns);
        assert_eq!(SAMPLES.computed, [("many", "count > 9")]);
        assert_eq!(SampleRow::TABLE, "samples");
        assert_eq!(SampleRow::columns(), ["t.id", "t.many", "o.number"]);
        let read = |values: &[Value]| SampleRow::read(&Sample(values.to_vec()), &mut 0);
        let row = read(&["a".into(), true.into(), Value::Null]);
        assert_eq!(row, Ok(SampleRow { id: "a".into(), many: true, other: None }));
        assert_eq!(read(&["a".into(), Value::Null, 7.into()]), Err("many"));
        let both = <(SampleRow, SampleRow)>::read(
            &Sample(vec!["a".into(), true.into(), 1.into(), "b".into(), false.into(), 2.into()]),
            &mut 0,
        );
        let expected = [SampleRow::columns(), SampleRow::columns()].concat();
        assert_eq!(<(SampleRow, SampleRow)>::columns(), expected);
        let (first, second) = both.unwrap();
        assert_eq!((first.other, second.id.as_str(), second.other), (Some(1), "b", Some(2)));
    }
}
