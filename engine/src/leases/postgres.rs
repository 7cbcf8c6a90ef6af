//! Leases in the table `engine.leases`, by the database's clock.

use crate::database::query;
use crate::leases::{Claim, Leases, Tenure};
use async_trait::async_trait;
use deadpool_postgres::Pool;
use ocim_domain::port_error::PortError;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// How long one query may take, with the wait for a connection: much less than a lease.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A row stays when its lease ends, until its run has: its epoch must go on growing. What was released ended long
/// ago, so that the next one knows that nobody died.
const ACQUIRE: &str = "insert into engine.leases as l (resource, owner, epoch, ends_at) \
    values ($1, $2, 1, clock_timestamp() + $3::double precision * interval '1 second') \
    on conflict (resource) do update \
    set owner = excluded.owner, epoch = l.epoch + 1, \
        ends_at = clock_timestamp() + $3::double precision * interval '1 second' \
    where l.ends_at <= clock_timestamp() or l.owner = excluded.owner \
    returning epoch, coalesce( \
        (select former.ends_at = '-infinity' from engine.leases as former \
         where former.resource = $1), true)";
const RENEW: &str = "update engine.leases as l \
    set ends_at = clock_timestamp() + $4::double precision * interval '1 second' \
    from unnest($2::uuid[], $3::bigint[]) as mine (resource, epoch) \
    where l.resource = mine.resource and l.epoch = mine.epoch and l.owner = $1 \
      and l.ends_at > clock_timestamp() \
    returning l.resource";
const RELEASE: &str = "update engine.leases set ends_at = '-infinity' \
    where resource = $1 and owner = $2 and epoch = $3";
const END: &str = "delete from engine.leases where resource = $1 and owner = $2 and epoch = $3";
const HOLDER: &str = "select owner, epoch, \
        extract(epoch from ends_at - clock_timestamp())::double precision \
    from engine.leases where resource = $1 and ends_at > clock_timestamp()";

/// Leases that all nodes on this database share.
#[derive(Debug, Clone)]
pub struct PostgresLeases {
    pool: Pool,
}

impl PostgresLeases {
    /// The leases of a migrated database.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PortError> {
        query(&self.pool, QUERY_TIMEOUT, sql, parameters).await.map_err(|why| told(&why))
    }
}

#[async_trait]
impl Leases for PostgresLeases {
    async fn acquire(
        &self,
        resource: Uuid,
        owner: Uuid,
        ttl: Duration,
    ) -> Result<Claim, PortError> {
        loop {
            let taken = self.query(ACQUIRE, &[&resource, &owner, &ttl.as_secs_f64()]).await?;
            if let Some(row) = taken.first() {
                let orderly = row.try_get(1).map_err(|error| unavailable(&error))?;
                let tenure = Tenure { owner, epoch: read_epoch(row, 0)? };
                return Ok(Claim::Taken { tenure, orderly });
            }
            // Not ours, and if it has ended in between, it can be had now.
            if let Some((by, ends_in)) = self.holder(resource).await? {
                return Ok(Claim::Held { by, ends_in });
            }
        }
    }

    async fn renew(
        &self,
        owner: Uuid,
        leases: &[(Uuid, u64)],
        ttl: Duration,
    ) -> Result<BTreeSet<Uuid>, PortError> {
        let resources: Vec<Uuid> = leases.iter().map(|(resource, _)| *resource).collect();
        let epochs: Vec<i64> = leases.iter().map(|(_, epoch)| epoch.cast_signed()).collect();
        let rows = self.query(RENEW, &[&owner, &resources, &epochs, &ttl.as_secs_f64()]).await?;
        rows.iter().map(|row| row.try_get(0).map_err(|error| unavailable(&error))).collect()
    }

    async fn release(&self, resource: Uuid, tenure: Tenure) -> Result<(), PortError> {
        let epoch = tenure.epoch.cast_signed();
        self.query(RELEASE, &[&resource, &tenure.owner, &epoch]).await?;
        Ok(())
    }

    async fn end(&self, resource: Uuid, tenure: Tenure) -> Result<(), PortError> {
        let epoch = tenure.epoch.cast_signed();
        self.query(END, &[&resource, &tenure.owner, &epoch]).await?;
        Ok(())
    }

    async fn holder(&self, resource: Uuid) -> Result<Option<(Tenure, Duration)>, PortError> {
        let rows = self.query(HOLDER, &[&resource]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let owner = row.try_get(0).map_err(|error| unavailable(&error))?;
        let left: f64 = row.try_get(2).map_err(|error| unavailable(&error))?;
        let left = Duration::try_from_secs_f64(left).unwrap_or_default();
        Ok(Some((Tenure { owner, epoch: read_epoch(row, 1)? }, left)))
    }
}

fn read_epoch(row: &Row, column: usize) -> Result<u64, PortError> {
    let epoch: i64 = row.try_get(column).map_err(|error| unavailable(&error))?;
    Ok(epoch.cast_unsigned())
}

fn unavailable(error: &dyn std::error::Error) -> PortError {
    told(&ocim_domain::error_chain::chain(error))
}

fn told(why: &str) -> PortError {
    PortError::transient(format!("the leases can't be read or written: {why}"))
}
