//! Idempotency keys: a command that is sent again is not carried out again, and answers the same.

use chrono::TimeDelta;
use deadpool_postgres::{Pool, PoolError};
use ocim_domain::Timestamp;
use ocim_domain::ids::NAMESPACE;
use ocim_domain::system::Clock;
use ocim_engine::journal::COMMAND_CAUSE;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::{Json, ToSql};
use uuid::{Builder, Uuid};

/// How long a key and its answer are kept.
pub const KEPT_FOR: TimeDelta = TimeDelta::hours(24);
/// How long a request may take before a repetition takes over, should nobody have answered.
pub const CLAIM_TIME: TimeDelta = TimeDelta::seconds(30);
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// Longest wait for the database.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What a command was sent with; the ids of all that it makes follow from it.
///
/// The time is that of the first request with the key, as it is stored: a repetition after a crash
/// derives the same ids, and a key that is used anew after its day derives others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandKey {
    seed: Uuid,
    at: Timestamp,
}

impl CommandKey {
    fn new(caller: &str, key: &str, at: Timestamp) -> Self {
        let name = format!("command/{caller}/{}/{key}", at.timestamp_micros());
        Self { seed: Uuid::new_v5(&NAMESPACE, name.as_bytes()), at }
    }

    /// The id of the thing of this kind that the command makes: a UUID v7, since lists are sorted
    /// by ids, whose random part follows from the key.
    #[must_use]
    pub fn derive_id(&self, kind: &str) -> Uuid {
        let derived = Uuid::new_v5(&self.seed, kind.as_bytes()).into_bytes();
        let mut random = [0; 10];
        random.copy_from_slice(&derived[..10]);
        let millis = u64::try_from(self.at.timestamp_millis()).unwrap_or(0);
        Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    /// What marks the command's events as caused by it. No request id looks like this.
    #[must_use]
    pub fn cause(&self) -> String {
        format!("{COMMAND_CAUSE}{}", self.seed)
    }
}

/// The answer to a request, to be given again byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Names and values of headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// How a request with a key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is this request's to carry out, until [`CLAIM_TIME`] is over.
    Ours(CommandKey),
    /// It was answered.
    Answered(StoredAnswer),
    /// It is being carried out; worth another look after so many seconds.
    UnderWay {
        /// Seconds.
        retry_after_s: u64,
    },
    /// The key was used for another request.
    Mismatch,
}

/// The keys could not be looked up.
#[derive(Debug, thiserror::Error)]
#[error("the idempotency keys are unavailable")]
pub struct IdempotencyError(#[source] Box<dyn std::error::Error + Send + Sync>);

impl From<tokio_postgres::Error> for IdempotencyError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error.into())
    }
}

impl From<PoolError> for IdempotencyError {
    fn from(error: PoolError) -> Self {
        Self(error.into())
    }
}

impl From<tokio::time::error::Elapsed> for IdempotencyError {
    fn from(error: tokio::time::error::Elapsed) -> Self {
        Self(error.into())
    }
}

/// The keys in one database.
#[derive(Debug, Clone)]
pub struct IdempotencyKeys {
    pool: Pool,
    clock: Arc<dyn Clock>,
}

impl IdempotencyKeys {
    /// The keys behind this pool.
    #[must_use]
    pub fn new(pool: Pool, clock: Arc<dyn Clock>) -> Self {
        Self { pool, clock }
    }

    /// Takes a key of a caller for a request with this fingerprint, or says why not. Forgets all
    /// keys whose day is over.
    ///
    /// # Errors
    /// [`IdempotencyError`] without a database.
    pub async fn claim(
        &self,
        caller: &str,
        key: &str,
        fingerprint: &[u8; 32],
    ) -> Result<Claim, IdempotencyError> {
        let now = self.clock.now();
        self.query(SWEEP, &[&(now - KEPT_FOR)]).await?;
        let fingerprint = &fingerprint[..];
        let until = now + CLAIM_TIME;
        let claimed = self.query(CLAIM, &[&caller, &key, &fingerprint, &now, &until]).await?;
        if let Some(row) = claimed.first() {
            return Ok(Claim::Ours(CommandKey::new(caller, key, row.try_get("created_at")?)));
        }
        let found = self.query(FIND, &[&caller, &key]).await?;
        // One that has gone meanwhile is free for the next request.
        let Some(row) = found.first() else { return Ok(Claim::UnderWay { retry_after_s: 1 }) };
        if row.try_get::<_, &[u8]>("fingerprint")? != fingerprint {
            return Ok(Claim::Mismatch);
        }
        match row.try_get::<_, Option<i32>>("status")? {
            Some(status) => Ok(Claim::Answered(read_answer(row, status)?)),
            None => {
                let until: Timestamp = row.try_get("claimed_until")?;
                let wait = u64::try_from((until - now).num_seconds()).unwrap_or(0);
                // It is usually over at once; only after a crash does it take the whole time.
                Ok(Claim::UnderWay { retry_after_s: wait.clamp(1, 5) })
            }
        }
    }

    /// Stores the answer of a claimed request; the first one stays.
    ///
    /// # Errors
    /// [`IdempotencyError`] without a database.
    pub async fn store_answer(
        &self,
        caller: &str,
        key: &str,
        answer: &StoredAnswer,
    ) -> Result<(), IdempotencyError> {
        let status = i32::from(answer.status);
        let headers = Json(&answer.headers);
        let body = answer.body.as_slice();
        self.query(ANSWER, &[&caller, &key, &status, &headers, &body]).await.map(drop)
    }

    /// Gives a claim back, so that a repetition may carry the request out at once.
    ///
    /// # Errors
    /// [`IdempotencyError`] without a database.
    pub async fn release(&self, caller: &str, key: &str) -> Result<(), IdempotencyError> {
        self.query(RELEASE, &[&caller, &key, &self.clock.now()]).await.map(drop)
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, IdempotencyError> {
        let work = async {
            let client = self.pool.get().await?;
            let statement = client.prepare_cached(sql).await?;
            Ok(client.query(&statement, parameters).await?)
        };
        tokio::time::timeout(TIMEOUT, work).await?
    }
}

fn read_answer(row: &Row, status: i32) -> Result<StoredAnswer, IdempotencyError> {
    Ok(StoredAnswer {
        status: u16::try_from(status).unwrap_or(500),
        headers: row.try_get::<_, Json<_>>("headers")?.0,
        body: row.try_get("body")?,
    })
}

const SWEEP: &str = "delete from access.idempotency_keys where created_at < $1";

const CLAIM: &str = "insert into access.idempotency_keys as k
        (caller, key, fingerprint, created_at, claimed_until)
    values ($1, $2, $3, $4, $5)
    on conflict (caller, key) do update set claimed_until = excluded.claimed_until
    where k.status is null and k.claimed_until <= $4 and k.fingerprint = excluded.fingerprint
    returning created_at";

const FIND: &str = "select * from access.idempotency_keys where caller = $1 and key = $2";

const ANSWER: &str = "update access.idempotency_keys set status = $3, headers = $4, body = $5
    where caller = $1 and key = $2 and status is null";

const RELEASE: &str = "update access.idempotency_keys set claimed_until = $3
    where caller = $1 and key = $2 and status is null";

#[cfg(test)]
mod tests {
    use super::*;

    fn key(caller: &str, key: &str, minute: u32) -> CommandKey {
        CommandKey::new(caller, key, format!("2026-11-22T10:{minute:02}:00Z").parse().unwrap())
    }

    #[test]
    fn ids_follow_from_caller_key_time_and_kind_alone() {
        let one = key("token:a", "k", 1);
        assert_eq!(one, key("token:a", "k", 1));
        assert_eq!(one.derive_id("run"), key("token:a", "k", 1).derive_id("run"));
        for other in [key("token:b", "k", 1), key("token:a", "l", 1), key("token:a", "k", 2)] {
            assert_ne!(other.derive_id("run"), one.derive_id("run"));
            assert_ne!(other.cause(), one.cause());
        }
        assert_ne!(one.derive_id("run"), one.derive_id("appserver"));
    }

    #[test]
    fn ids_are_of_version_7_and_sort_by_the_time_of_the_command() {
        let (early, late) = (key("a", "k", 1).derive_id("run"), key("a", "k", 2).derive_id("run"));
        assert_eq!(early.get_version_num(), 7);
        assert!(early.to_string() < late.to_string());
    }
}
