//! What is derived, in the tables `engine.snapshots`, `engine.trackers` and `engine.tracked_items`.

use super::{Derived, Snapshot, TrackedChanges, TrackedItems, TrackerId};
use crate::database::query;
use async_trait::async_trait;
use deadpool_postgres::Pool;
use ocim_domain::event::{Position, StreamId};
use ocim_domain::port_error::PortError;
use serde_json::Value;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Json, ToSql};

/// How long one query may take, with the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(10);

const LOAD_SNAPSHOT: &str =
    "select version, position, state from engine.snapshots where stream = $1 and schema = $2";
const SAVE_SNAPSHOT: &str = "insert into engine.snapshots as s \
    (stream, schema, version, position, state) values ($1, $2, $3, $4, $5) \
    on conflict (stream) do update set schema = excluded.schema, version = excluded.version, \
        position = excluded.position, state = excluded.state \
    where s.schema <> excluded.schema or s.version < excluded.version";
/// One statement, so that checkpoint and items are of one moment.
const LOAD_ITEMS: &str = "select t.position, i.key, i.item from engine.trackers t \
    left join engine.tracked_items i on i.name = t.name and i.schema = t.schema \
    where t.name = $1 and t.schema = $2";
const BEGIN: &str = "insert into engine.trackers (name, schema, position) values ($1, $2, $3) \
    on conflict do nothing";
/// Nothing is written unless the checkpoint moves.
const SAVE_ITEMS: &str = "with moved as ( \
        update engine.trackers set position = $4 \
        where name = $1 and schema = $2 and position = $3 returning name), \
    gone as ( \
        delete from engine.tracked_items as i using moved \
        where i.name = moved.name and i.schema = $2 and i.key = any ($5::text[])), \
    put as ( \
        insert into engine.tracked_items (name, schema, key, item) \
        select moved.name, $2, c.key, c.item \
        from moved cross join unnest($6::text[], $7::json[]) as c (key, item) \
        on conflict (name, schema, key) do update set item = excluded.item) \
    select count(*) from moved";
const POSITION: &str = "select position from engine.trackers where name = $1 and schema = $2";
const FORGET_ALL: &str = "with snapshots as (delete from engine.snapshots) \
    delete from engine.trackers";

/// In a migrated database; all nodes on it share everything.
#[derive(Debug, Clone)]
pub struct PostgresDerived {
    pool: Pool,
}

impl PostgresDerived {
    /// What is derived from the log that the database belongs to.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PortError> {
        query(&self.pool, QUERY_TIMEOUT, sql, parameters).await.map_err(|why| {
            PortError::transient(format!("what is derived can't be read or written: {why}"))
        })
    }
}

#[async_trait]
impl Derived for PostgresDerived {
    async fn load_snapshot(
        &self,
        stream: &StreamId,
        schema: u16,
    ) -> Result<Option<Snapshot>, PortError> {
        let rows = self.query(LOAD_SNAPSHOT, &[&stream.to_string(), &i32::from(schema)]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let version: i64 = column(row, 0)?;
        let Json(state) = column(row, 2)?;
        Ok(Some(Snapshot {
            schema,
            version: version.cast_unsigned(),
            position: position(row, 1)?,
            state,
        }))
    }

    async fn save_snapshot(&self, stream: &StreamId, snapshot: Snapshot) -> Result<(), PortError> {
        let Snapshot { schema, version, position, state } = snapshot;
        let (schema, version) = (i32::from(schema), version.cast_signed());
        let (stream, position) = (stream.to_string(), position.to_string());
        self.query(SAVE_SNAPSHOT, &[&stream, &schema, &version, &position, &Json(state)]).await?;
        Ok(())
    }

    async fn load_items(&self, id: &TrackerId) -> Result<TrackedItems, PortError> {
        let schema = i32::from(id.schema);
        let rows = self.query(LOAD_ITEMS, &[&id.name, &schema]).await?;
        let Some(first) = rows.first() else {
            self.query(BEGIN, &[&id.name, &schema, &Position::START.to_string()]).await?;
            return Ok(TrackedItems::default());
        };
        let mut loaded = TrackedItems { position: position(first, 0)?, items: vec![] };
        for row in &rows {
            if let Some(key) = column::<Option<String>>(row, 1)? {
                let Json(item) = column::<Json<Value>>(row, 2)?;
                loaded.items.push((key, item));
            }
        }
        Ok(loaded)
    }

    async fn save_items(
        &self,
        id: &TrackerId,
        changes: TrackedChanges,
    ) -> Result<Result<(), Option<Position>>, PortError> {
        let (mut gone, mut keys, mut items) = (vec![], vec![], vec![]);
        for (key, item) in changes.items {
            match item {
                None => gone.push(key),
                Some(item) => {
                    keys.push(key);
                    items.push(Json(item));
                }
            }
        }
        let schema = i32::from(id.schema);
        let (from, to) = (changes.from.to_string(), changes.to.to_string());
        let saved =
            self.query(SAVE_ITEMS, &[&id.name, &schema, &from, &to, &gone, &keys, &items]).await?;
        if saved.first().map(|row| column::<i64>(row, 0)).transpose()? == Some(1) {
            return Ok(Ok(()));
        }
        let rows = self.query(POSITION, &[&id.name, &schema]).await?;
        Ok(Err(rows.first().map(|row| position(row, 0)).transpose()?))
    }

    async fn forget_all(&self) -> Result<(), PortError> {
        self.query(FORGET_ALL, &[]).await.map(drop)
    }
}

fn position(row: &Row, index: usize) -> Result<Position, PortError> {
    column::<String>(row, index)?.parse().map_err(strange)
}

fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T, PortError> {
    row.try_get(index).map_err(strange)
}

fn strange(error: impl std::error::Error) -> PortError {
    let why = ocim_domain::error_chain::chain(&error);
    PortError::transient(format!("what is derived can't be understood: {why}"))
}
