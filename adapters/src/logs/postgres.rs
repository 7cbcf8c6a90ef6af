//! Logs in PostgreSQL: compressed chunks in the schema `logs`, apart from the events.

mod chunks;

use crate::logs::{LogLine, LogStore, NewLine, READ_BYTES, SourceOffset, SourcePlace};
use async_trait::async_trait;
use chunks::{Chunk, read_chunk, write_chunks};
use deadpool_postgres::Pool;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{FromSql, ToSql};

/// How long to wait for a connection, and then for the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A pool may hand out connections that broke while nobody looked.
const ATTEMPTS: u32 = 3;

const APPEND: &str = "select logs.append_chunks($1, $2, $3, $4, $5, $6, $7)";

const READ: &str = "
select first_line, line_count, body from (
    select *, sum(octet_length(body)) over (order by first_line) - octet_length(body) as before
    from logs.chunks
    where run = $1
    and first_line >= coalesce(
        (select max(first_line) from logs.chunks where run = $1 and first_line <= $2), 0)
    and first_line < $3
) as chunk
where before < $4
order by first_line";

const READ_SOURCE: &str = "select bytes, context from logs.sources where run = $1 and source = $2";

const COUNT: &str = "select lines from logs.heads where run = $1";

const FINISH: &str = "
insert into logs.heads as head (run, finished, finished_at) values ($1, true, $2)
on conflict (run) do update
set finished = true, finished_at = coalesce(head.finished_at, excluded.finished_at)";

const LIST_OLD: &str = "
select run, lines from logs.heads
where finished_at < $1 and replaced_by is null
order by finished_at, run limit $2";

const REPLACE: &str = "select logs.replace_log($1, $2, $3)";

const COUNT_REPLACED: &str = "
select count(*), coalesce(sum(lines_replaced), 0)::bigint from logs.heads
where replaced_by = $1 and lines_replaced > 0";

const IS_FINISHED: &str = "select finished from logs.heads where run = $1";

/// A statement on its way.
struct Call<'a> {
    statement: &'a str,
    parameters: &'a [&'a (dyn ToSql + Sync)],
    /// Whether it does no harm to run it again after it has perhaps been run.
    may_repeat: bool,
}

fn repeatable<'a>(statement: &'a str, parameters: &'a [&'a (dyn ToSql + Sync)]) -> Call<'a> {
    Call { statement, parameters, may_repeat: true }
}

/// The log store of a server.
#[derive(Debug, Clone)]
pub struct PostgresLogs {
    pool: Pool,
}

impl PostgresLogs {
    /// Logs in the database of this pool; its migrations have been run.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// Runs one statement, which is a transaction of its own; again when its connection breaks and
    /// a repetition can do no harm.
    async fn query(&self, call: Call<'_>) -> Result<Vec<Row>, PortError> {
        for _ in 1..ATTEMPTS {
            match self.query_once(&call).await {
                Err(Failure::Broken(_)) if call.may_repeat => {}
                outcome => return outcome.map_err(|failure| failure.describe(call.may_repeat)),
            }
        }
        self.query_once(&call).await.map_err(|failure| failure.describe(call.may_repeat))
    }

    async fn query_once(&self, call: &Call<'_>) -> Result<Vec<Row>, Failure> {
        let client = tokio::time::timeout(TIMEOUT, self.pool.get())
            .await
            .map_err(|_| Failure::NoConnection("none is free".to_owned()))?
            .map_err(|error| Failure::NoConnection(error.to_string()))?;
        let work = async {
            let prepared = client.prepare_cached(call.statement).await?;
            client.query(&prepared, call.parameters).await
        };
        match tokio::time::timeout(TIMEOUT, work).await {
            Ok(outcome) => outcome.map_err(|error| Failure::from_error(&error)),
            Err(_) => Err(Failure::NoAnswer),
        }
    }

    /// The one value of the one row that the statement finds, if any.
    async fn query_value<T: for<'a> FromSql<'a>>(
        &self,
        call: Call<'_>,
    ) -> Result<Option<T>, PortError> {
        let rows = self.query(call).await?;
        rows.first().map(|row| read_column(row, 0)).transpose()
    }
}

#[async_trait]
impl LogStore for PostgresLogs {
    async fn append_lines(
        &self,
        run: RunId,
        lines: Vec<NewLine>,
        offset: Option<SourceOffset>,
    ) -> Result<u64, PortError> {
        let chunks = write_chunks(&lines)?;
        let counts: Vec<i32> = chunks.iter().map(|chunk| chunk.line_count).collect();
        let bodies: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.body.as_slice()).collect();
        let source = offset.as_ref().map(|offset| offset.source.as_str());
        let from = offset.as_ref().map(|offset| to_sql(offset.from));
        let to = offset.as_ref().map(|offset| to_sql(offset.to));
        let context = offset.as_ref().map(|offset| to_sql(offset.context));
        let call = Call {
            statement: APPEND,
            parameters: &[&run.0, &counts, &bodies, &source, &from, &to, &context],
            may_repeat: offset.is_some(),
        };
        let last: Option<Option<i64>> = self.query_value(call).await?;
        last.flatten()
            .map(from_sql)
            .ok_or_else(|| PortError::new(Class::Conflict, "the log is finished"))
    }

    async fn read_source(&self, run: RunId, source: &str) -> Result<SourcePlace, PortError> {
        let rows = self.query(repeatable(READ_SOURCE, &[&run.0, &source])).await?;
        let Some(row) = rows.first() else { return Ok(SourcePlace::default()) };
        let (bytes, context) = (read_column(row, 0)?, read_column(row, 1)?);
        Ok(SourcePlace { bytes: from_sql(bytes), context: from_sql(context) })
    }

    async fn read_lines(
        &self,
        run: RunId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, PortError> {
        let end = from.max(1).saturating_add(limit as u64);
        let room = to_sql(READ_BYTES as u64);
        let parameters: [&(dyn ToSql + Sync); 4] = [&run.0, &to_sql(from), &to_sql(end), &room];
        let rows = self.query(repeatable(READ, &parameters)).await?;
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for row in rows {
            // What is packed well is much more once it is unpacked.
            if bytes >= READ_BYTES {
                break;
            }
            let chunk = Chunk {
                first_line: from_sql(read_column(&row, 0)?),
                line_count: read_column(&row, 1)?,
                body: read_column(&row, 2)?,
            };
            let mut unpacked = read_chunk(&chunk)?;
            unpacked.retain(|line| (from..end).contains(&line.number));
            bytes += unpacked.iter().map(|line| line.line.text.len()).sum::<usize>();
            lines.extend(unpacked);
        }
        Ok(lines)
    }

    async fn count_lines(&self, run: RunId) -> Result<u64, PortError> {
        Ok(self.query_value(repeatable(COUNT, &[&run.0])).await?.map_or(0, from_sql))
    }

    async fn finish_log(&self, run: RunId, at: Timestamp) -> Result<(), PortError> {
        self.query(repeatable(FINISH, &[&run.0, &at])).await.map(|_| ())
    }

    async fn list_old_logs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, u64)>, PortError> {
        let limit = to_sql(limit as u64);
        let rows = self.query(repeatable(LIST_OLD, &[&before, &limit])).await?;
        let read = |row: &Row| Ok((RunId(read_column(row, 0)?), from_sql(read_column(row, 1)?)));
        rows.iter().map(read).collect()
    }

    async fn replace_log(&self, run: RunId, line: NewLine, by: RunId) -> Result<(), PortError> {
        let chunk = write_chunks(&[line])?.into_iter().next();
        let body = chunk.map(|chunk| chunk.body).unwrap_or_default();
        self.query(repeatable(REPLACE, &[&run.0, &by.0, &body])).await.map(|_| ())
    }

    async fn count_replaced(&self, by: RunId) -> Result<(u64, u64), PortError> {
        let rows = self.query(repeatable(COUNT_REPLACED, &[&by.0])).await?;
        let Some(row) = rows.first() else { return Ok((0, 0)) };
        Ok((from_sql(read_column(row, 0)?), from_sql(read_column(row, 1)?)))
    }

    async fn is_finished(&self, run: RunId) -> Result<bool, PortError> {
        Ok(self.query_value(repeatable(IS_FINISHED, &[&run.0])).await?.unwrap_or(false))
    }
}

/// A number as PostgreSQL has it. No log or file comes near the limit.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number that PostgreSQL counted up from zero.
fn from_sql(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn read_column<'a, T: FromSql<'a>>(row: &'a Row, column: usize) -> Result<T, PortError> {
    row.try_get(column).map_err(|error| {
        PortError::permanent(
            ErrorCode::DamagedLog,
            format!("the log's database has other types: {error}"),
        )
    })
}

/// Why a statement brought no rows.
enum Failure {
    /// It was not sent.
    NoConnection(String),
    /// The server refused it: nothing was written.
    Refused(String),
    /// The connection broke on the way: it may have been carried out.
    Broken(String),
    /// The answer takes too long: it may be carried out yet.
    NoAnswer,
}

impl Failure {
    fn from_error(error: &tokio_postgres::Error) -> Self {
        let is_shutdown =
            |code: &SqlState| [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN].contains(code);
        match error.as_db_error() {
            Some(answer) if !is_shutdown(answer.code()) => {
                Self::Refused(answer.message().to_owned())
            }
            _ => Self::Broken(error.to_string()),
        }
    }

    /// What it means for somebody who may repeat the call, or not.
    fn describe(self, may_repeat: bool) -> PortError {
        let in_doubt = if may_repeat { Class::Transient } else { Class::Ambiguous };
        let (class, message) = match self {
            Self::NoConnection(why) => (Class::Transient, format!("can't be reached: {why}")),
            Self::Refused(why) => (Class::Transient, format!("refused: {why}")),
            Self::Broken(why) => (in_doubt, format!("went away: {why}")),
            Self::NoAnswer => (in_doubt, "did not answer in time".to_owned()),
        };
        PortError::new(class, format!("the log's database {message}"))
    }
}
