//! Reads through the pool, with time limits and a few tries.

use crate::store::row::{GENESIS, Hash, Row, position};
use crate::store::{Filter, ReadError};
use deadpool_postgres::Pool;
use ocim_domain::event::{Position, Recorded, StreamId};
use std::time::Duration;
use tokio_postgres::types::ToSql;

/// How long one read may take, with the wait for a connection.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a read is tried while connections break.
const TRIES_MAX: u32 = 3;
/// The wait between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

const COLUMNS: &str = "e.pos, e.stream_id, e.version, e.event_id, e.kind, e.schema, \
                       e.data::text, e.meta::text, e.recorded_at, e.hash";

type Rows = Vec<tokio_postgres::Row>;
type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

/// Reads the log.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pool: Pool,
}

/// Why a read failed.
#[derive(Debug, thiserror::Error)]
enum QueryError {
    #[error("no connection could be had")]
    Pool(#[from] deadpool_postgres::PoolError),
    #[error("the query failed")]
    Database(#[from] tokio_postgres::Error),
    #[error("the database does not answer within {} s", READ_TIMEOUT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("a row of the event log can't be understood")]
    Row(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<QueryError> for ReadError {
    fn from(error: QueryError) -> Self {
        Self(Box::new(error))
    }
}

impl Reader {
    pub(super) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.head_hash().await?.0)
    }

    pub(super) async fn head_hash(&self) -> Result<(Position, Hash), ReadError> {
        let sql = "select e.pos, e.hash from es.events e order by e.pos desc limit 1";
        match self.query(sql, &[]).await?.first() {
            None => Ok((Position::START, GENESIS)),
            Some(row) => Ok((position(unsigned(row, 0)?), hash(row, 1)?)),
        }
    }

    pub(super) async fn hash_at(&self, pos: u64) -> Result<Option<Hash>, ReadError> {
        let sql = "select e.hash from es.events e where e.pos = $1";
        self.query(sql, &[&signed(pos)]).await?.first().map(|row| hash(row, 0)).transpose()
    }

    pub(super) async fn read_stream(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let sql = format!(
            "select {COLUMNS} from es.events e \
             where e.stream_id = $1 and e.version >= $2 order by e.version limit $3"
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = self.query(&sql, &[&stream.to_string(), &signed(from), &limit]).await?;
        rows.iter().map(|row| decode(row)?.into_recorded()).collect()
    }

    /// One statement, so that the head and the events are of one moment.
    pub(super) async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        // Each combination is a statement of its own, so that the planner may use an index.
        let by_category = if filter.categories.is_empty() { "" } else { "and category = any ($3)" };
        let by_kind = if filter.kinds.is_empty() { "" } else { "and kind = any ($4)" };
        let sql = format!(
            "select {COLUMNS}, h.head from \
                 (select coalesce(max(pos), 0) as head from es.events) h \
             left join lateral (select * from es.events \
                 where pos > $1 and $3::text[] is not null and $4::text[] is not null \
                 {by_category} {by_kind} order by pos limit $2) e on true \
             order by e.pos"
        );
        let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let parameters: Parameters<'_> =
            &[&signed(after.0[0]), &limit_rows, &filter.categories, &filter.kinds];
        let rows = self.query(&sql, parameters).await?;
        let head = rows.first().map_or(Ok(0), |row| unsigned(row, 10))?;
        let has_event = |row: &&tokio_postgres::Row| row.get::<_, Option<i64>>(0).is_some();
        let events = rows
            .iter()
            .filter(has_event)
            .map(|row| decode(row)?.into_recorded())
            .collect::<Result<Vec<_>, _>>()?;
        let looked_at = if events.len() < limit {
            position(head).max(after)
        } else {
            events.last().map_or(after, |event| event.position)
        };
        Ok((events, looked_at))
    }

    /// At most `limit` rows after `pos`, as they are stored.
    pub(super) async fn read_rows(&self, pos: u64, limit: i64) -> Result<Vec<Row>, ReadError> {
        let sql =
            format!("select {COLUMNS} from es.events e where e.pos > $1 order by e.pos limit $2");
        self.query(&sql, &[&signed(pos), &limit]).await?.iter().map(decode).collect()
    }

    async fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Rows, ReadError> {
        let mut tries = 1;
        loop {
            let attempt = tokio::time::timeout(READ_TIMEOUT, self.query_once(sql, parameters));
            let error = match attempt.await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) => error,
                Err(elapsed) => return Err(QueryError::from(elapsed).into()),
            };
            if tries == TRIES_MAX {
                return Err(error.into());
            }
            tries += 1;
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    async fn query_once(&self, sql: &str, parameters: Parameters<'_>) -> Result<Rows, QueryError> {
        let client = self.pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, parameters).await?)
    }
}

fn decode(row: &tokio_postgres::Row) -> Result<Row, ReadError> {
    let strange = |error| ReadError(Box::new(QueryError::Row(error)));
    let stream: &str = column(row, 1)?;
    let schema: i32 = column(row, 5)?;
    Ok(Row {
        position: position(unsigned(row, 0)?),
        stream: stream.parse().map_err(|e| strange(Box::new(e)))?,
        version: unsigned(row, 2)?,
        id: column(row, 3)?,
        kind: column(row, 4)?,
        schema: schema.try_into().map_err(|e| strange(Box::new(e)))?,
        data: column(row, 6)?,
        meta: column(row, 7)?,
        recorded_at: column(row, 8)?,
        hash: hash(row, 9)?,
    })
}

fn column<'a, T>(row: &'a tokio_postgres::Row, index: usize) -> Result<T, ReadError>
where
    T: tokio_postgres::types::FromSql<'a>,
{
    Ok(row.try_get(index).map_err(QueryError::Database)?)
}

fn hash(row: &tokio_postgres::Row, index: usize) -> Result<Hash, ReadError> {
    let bytes: &[u8] = column(row, index)?;
    Ok(bytes.try_into().map_err(|e| QueryError::Row(Box::new(e)))?)
}

fn unsigned(row: &tokio_postgres::Row, index: usize) -> Result<u64, ReadError> {
    let number: i64 = column(row, index)?;
    Ok(number.try_into().map_err(|e| QueryError::Row(Box::new(e)))?)
}

/// Versions and positions above PostgreSQL's largest number do not exist.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
