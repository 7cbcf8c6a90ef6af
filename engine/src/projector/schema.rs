//! The tables of a build, and the views through which readers see one build of each read model.

use ocim_projections::{ColumnType, Projector, Table};
use std::fmt::Write as _;

/// The schema of readers' views.
pub(super) const VIEWS: &str = "rm";

/// The schema that holds a build's tables.
pub(super) fn schema_name(name: &str, version: i32, generation: i32) -> String {
    format!("rm_{name}_v{version}_g{generation}")
}

/// A name as SQL takes it, whatever it is.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Names as SQL takes them, separated by commas.
pub(super) fn quote_all(names: &[&str]) -> String {
    names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(", ")
}

/// The statements that make a build's schema and empty tables.
pub(super) fn create_tables(projector: &Projector, schema: &str) -> String {
    let mut sql = format!("create schema {};\n", quote(schema));
    for table in projector.tables {
        create_table(&mut sql, schema, table);
    }
    sql
}

fn create_table(sql: &mut String, schema: &str, table: &Table) {
    let qualified = format!("{}.{}", quote(schema), quote(table.name));
    let columns: String = table
        .columns
        .iter()
        .map(|(name, column_type)| format!("{} {}, ", quote(name), sql_type(*column_type)))
        .collect();
    // Writing to a String can't fail.
    let _ = writeln!(
        sql,
        "create table {qualified} ({columns}primary key ({}));",
        quote_all(table.key)
    );
    for index in table.indexes {
        let only =
            if index.only.is_empty() { String::new() } else { format!(" where {}", index.only) };
        let _ = writeln!(sql, "create index on {qualified} ({}){only};", index.columns);
    }
}

fn sql_type(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text => "text",
        ColumnType::TextList => "text[]",
        ColumnType::Integer => "integer",
        ColumnType::BigInteger => "bigint",
        ColumnType::Boolean => "boolean",
        ColumnType::Timestamp => "timestamptz",
        ColumnType::Json => "json",
    }
}

/// The statements that let readers see this build.
pub(super) fn switch_views(projector: &Projector, schema: &str) -> String {
    projector
        .tables
        .iter()
        .map(|table| {
            let view = format!("{}.{}", quote(VIEWS), quote(table.name));
            let source = format!("{}.{}", quote(schema), quote(table.name));
            let computed = table
                .computed
                .iter()
                .map(|(name, made_from)| format!(", {made_from} as {}", quote(name)));
            let computed: String = computed.collect();
            format!(
                "drop view if exists {view};\n\
                 create view {view} as select *{computed} from {source};\n"
            )
        })
        .collect()
}

/// The statement that takes a build's tables away.
pub(super) fn drop_tables(schema: &str) -> String {
    format!("drop schema if exists {} cascade;", quote(schema))
}
