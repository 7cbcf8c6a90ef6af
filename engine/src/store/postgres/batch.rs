//! One batch of appends: which requests go together, and the one call that writes them.

use super::committer::Request;
use super::session::{ANSWER_TIMEOUT, Appender};
use crate::store::row::{EncodedEvent, Refusal, position};
use crate::store::{AppendError, Appended, Expected};
use ocim_domain::event::APPEND_BYTES_MAX;
use std::collections::{HashSet, VecDeque};
use std::error::Error;
use std::sync::Arc;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// Requests in a batch at most.
pub(super) const BATCH_REQUESTS_MAX: usize = 256;

/// The only statement that writes events.
pub(super) const APPEND_SQL: &str =
    "select status, version, pos from es.append($1, $2, $3, $4, $5, $6, $7, $8)";

/// Why a batch was not answered.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// The server said no: nothing was written. `data` if a request's content was the reason.
    Denied { error: SharedError, data: bool },
    /// The answer was lost: everything or nothing was written.
    Lost(SharedError),
}

/// One error for all requests of a batch.
pub(super) type SharedError = Arc<dyn Error + Send + Sync>;

/// Takes the requests that go into the next batch, in order: no two for one stream or with one
/// event id (the later one waits for the next batch), as many and as large as allowed. The first
/// always goes in, so that none waits for ever.
pub(super) fn take_batch(waiting: &mut VecDeque<Request>) -> Vec<Request> {
    let mut batch: Vec<Request> = Vec::new();
    let mut bytes = 0;
    let mut streams = HashSet::new();
    let mut ids = HashSet::new();
    for request in std::mem::take(waiting) {
        let append = &request.append;
        // The stream is claimed even if the request has to wait: those after it must not pass it.
        let first_of_stream = streams.insert(append.stream.clone());
        let fits = batch.is_empty()
            || (batch.len() < BATCH_REQUESTS_MAX && bytes + append.bytes <= APPEND_BYTES_MAX);
        if first_of_stream && fits && !append.events.iter().any(|e| ids.contains(&e.id)) {
            ids.extend(append.events.iter().map(|e| e.id));
            bytes += append.bytes;
            batch.push(request);
        } else {
            waiting.push_back(request);
        }
    }
    batch
}

/// Writes a batch and answers each request in order.
pub(super) async fn write_batch(
    appender: &Appender,
    batch: &[Request],
) -> Result<Vec<Result<Appended, AppendError>>, Failure> {
    let streams: Vec<String> = batch.iter().map(|r| r.append.stream.to_string()).collect();
    let expected: Vec<i64> = batch.iter().map(|r| expected_version(r.append.expected)).collect();
    let counts: Vec<i32> =
        batch.iter().map(|r| i32::try_from(r.append.events.len()).unwrap_or(i32::MAX)).collect();
    let events: Vec<&EncodedEvent> = batch.iter().flat_map(|r| &r.append.events).collect();
    let ids: Vec<_> = events.iter().map(|e| e.id).collect();
    let kinds: Vec<&str> = events.iter().map(|e| e.kind.as_str()).collect();
    let schemas: Vec<i32> = events.iter().map(|e| i32::from(e.schema)).collect();
    let data: Vec<&str> = events.iter().map(|e| e.data.as_str()).collect();
    let meta: Vec<&str> = events.iter().map(|e| e.meta.as_str()).collect();
    let parameters: [&(dyn ToSql + Sync); 8] =
        [&streams, &expected, &counts, &ids, &kinds, &schemas, &data, &meta];
    let query = appender.client.query(&appender.append, &parameters);
    match tokio::time::timeout(ANSWER_TIMEOUT, query).await {
        Ok(Ok(rows)) if rows.len() == batch.len() => Ok(rows.iter().map(answer).collect()),
        Ok(Ok(_)) => Err(Failure::Lost(Arc::new(ShortAnswer))),
        Ok(Err(error)) => Err(classify(error)),
        Err(elapsed) => Err(Failure::Lost(Arc::new(elapsed))),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the database answered fewer appends than it was asked for")]
struct ShortAnswer;

/// A number that no stream reaches stands for those that PostgreSQL's can't express.
fn expected_version(expected: Expected) -> i64 {
    match expected {
        Expected::NoStream => -1,
        Expected::Exact(version) => i64::try_from(version).unwrap_or(i64::MAX).min(i64::MAX / 2),
    }
}

fn answer(row: &Row) -> Result<Appended, AppendError> {
    let status: &str = row.get(0);
    let version = u64::try_from(row.get::<_, i64>(1)).ok();
    let appended = |duplicate| Appended {
        version: version.unwrap_or_default(),
        position: position(row.get::<_, Option<i64>>(2).map_or(0, i64::unsigned_abs)),
        duplicate,
    };
    match status {
        "appended" => Ok(appended(false)),
        "duplicate" => Ok(appended(true)),
        "taken" => Err(Refusal::IdTaken.into()),
        _ => Err(AppendError::Conflict { current: version }),
    }
}

/// An error that the server sent within the session means that the statement was rolled back;
/// one that ends the session may have come after the commit.
fn classify(error: tokio_postgres::Error) -> Failure {
    let class = error.as_db_error().map(|e| e.code().code().get(..2).unwrap_or_default());
    let data = matches!(class, Some("22" | "23" | "54"));
    let session_goes_on = !matches!(class, None | Some("08" | "57"));
    let cancelled = error.code() == Some(&tokio_postgres::error::SqlState::QUERY_CANCELED);
    if session_goes_on || cancelled {
        Failure::Denied { error: Arc::new(error), data }
    } else {
        Failure::Lost(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::row::EncodedAppend;
    use ocim_domain::event::{Metadata, NewEvent, StreamId};
    use uuid::Uuid;

    fn request(stream: u128, id: u128, bytes: usize) -> Request {
        let event = NewEvent {
            id: Uuid::from_u128(id),
            kind: "test.happened".to_owned(),
            schema: 1,
            data: serde_json::Value::String("x".repeat(bytes)),
            meta: Metadata::by("test"),
        };
        let stream = StreamId::new("test", Uuid::from_u128(stream));
        let append = EncodedAppend::encode(&stream, Expected::NoStream, vec![event]).unwrap();
        Request { append, reply: tokio::sync::oneshot::channel().0 }
    }

    fn ids(requests: &[Request]) -> Vec<u128> {
        requests.iter().map(|r| r.append.events[0].id.as_u128()).collect()
    }

    fn batches(requests: impl IntoIterator<Item = Request>) -> Vec<Vec<u128>> {
        let mut waiting: VecDeque<Request> = requests.into_iter().collect();
        let mut batches = Vec::new();
        while !waiting.is_empty() {
            batches.push(ids(&take_batch(&mut waiting)));
        }
        batches
    }

    #[test]
    fn a_stream_is_in_a_batch_once_and_its_requests_keep_their_order() {
        let requests = [(1, 11), (1, 12), (2, 21), (1, 13)].map(|(s, i)| request(s, i, 1));
        assert_eq!(batches(requests), [vec![11, 21], vec![12], vec![13]]);
    }

    #[test]
    fn an_id_is_in_a_batch_once() {
        let requests = [(1, 11), (2, 11), (3, 31)].map(|(s, i)| request(s, i, 1));
        assert_eq!(batches(requests), [vec![11, 31], vec![11]]);
    }

    #[test]
    fn a_batch_has_at_most_a_mebibyte_and_256_requests() {
        let large = [(1, 11, 900_000), (2, 21, 900_000), (3, 31, 1), (2, 22, 1)];
        let requests = large.map(|(s, i, bytes)| request(s, i, bytes));
        assert_eq!(batches(requests), [vec![11, 31], vec![21], vec![22]]);
        let many = batches((0..600).map(|n| request(n, n, 1)));
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
    }
}
