//! Row changes as set-based SQL: one statement for all rows of the same shape.

use super::connection::ProjectorError;
use super::schema::{quote, quote_all};
use deadpool_postgres::Transaction;
use ocim_projections::{Action, Batch, Group};
use tokio_postgres::types::{Json, Type};

/// Writes a batch into the tables of `schema`.
pub(super) async fn write(
    transaction: &Transaction<'_>,
    schema: &str,
    batch: &Batch,
) -> Result<(), ProjectorError> {
    for group in batch.groups() {
        let statement =
            transaction.prepare_typed_cached(&statement(schema, &group), &[Type::JSON]).await?;
        transaction.execute(&statement, &[&Json(&group.rows)]).await?;
    }
    Ok(())
}

/// The statement of a group; its one parameter is a JSON array of rows.
fn statement(schema: &str, group: &Group) -> String {
    let table = format!("{}.{}", quote(schema), quote(group.table));
    let rows = format!("json_populate_recordset(null::{table}, $1) as r");
    let same_row = each(&group.key, |name| format!("t.{name} = r.{name}"), " and ");
    match group.action {
        Action::Upsert => {
            let columns = [&group.key[..], &group.initial, &group.set].concat();
            let columns = quote_all(&columns);
            let on_conflict = if group.set.is_empty() {
                "do nothing".to_owned()
            } else {
                let set = each(&group.set, |name| format!("{name} = excluded.{name}"), ", ");
                format!("do update set {set}")
            };
            let key = quote_all(&group.key);
            format!(
                "insert into {table} ({columns}) select {columns} from {rows} \
                 on conflict ({key}) {on_conflict}"
            )
        }
        Action::Update => {
            let set = each(&group.set, |name| format!("{name} = r.{name}"), ", ");
            format!("update {table} as t set {set} from {rows} where {same_row}")
        }
        // Only `jsonb` has a merge; the column keeps what it is given as it is written.
        Action::Merge(object) => {
            let new = |name: &str| match name == quote(object) {
                true => {
                    format!("{name} = (coalesce(t.{name}::jsonb, '{{}}') || r.{name}::jsonb)::json")
                }
                false => format!("{name} = r.{name}"),
            };
            let set = each(&group.set, new, ", ");
            format!("update {table} as t set {set} from {rows} where {same_row}")
        }
        Action::Delete => format!("delete from {table} as t using {rows} where {same_row}"),
    }
}

fn each(names: &[&str], phrase: impl Fn(&str) -> String, separator: &str) -> String {
    names.iter().map(|name| phrase(&quote(name))).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(action: Action) -> Group {
        Group {
            action,
            table: "steps",
            key: vec!["run", "step"],
            initial: vec!["began"],
            set: vec!["state"],
            rows: vec![],
        }
    }

    #[test]
    fn one_statement_for_each_action() {
        let rows = r#"json_populate_recordset(null::"s"."steps", $1) as r"#;
        assert_eq!(
            statement("s", &group(Action::Upsert)),
            format!(
                r#"insert into "s"."steps" ("run", "step", "began", "state") select "run", "step", "began", "state" from {rows} on conflict ("run", "step") do update set "state" = excluded."state""#
            )
        );
        let same_row = r#"t."run" = r."run" and t."step" = r."step""#;
        assert_eq!(
            statement("s", &group(Action::Update)),
            format!(
                r#"update "s"."steps" as t set "state" = r."state" from {rows} where {same_row}"#
            )
        );
        let merge = Group { set: vec!["note", "state"], ..group(Action::Merge("note")) };
        assert_eq!(
            statement("s", &merge),
            format!(
                r#"update "s"."steps" as t set "note" = (coalesce(t."note"::jsonb, '{{}}') || r."note"::jsonb)::json, "state" = r."state" from {rows} where {same_row}"#
            )
        );
        assert_eq!(
            statement("s", &group(Action::Delete)),
            format!(r#"delete from "s"."steps" as t using {rows} where {same_row}"#)
        );
    }
}
