//! What the API reads: rows of the read models, and how fresh they are. All SELECTs live below here.

mod bulk;
mod condition;
mod history;
mod incidents;
mod machines;
mod mails;
mod references;
mod resources;
mod runs;
mod shared_servers;
mod sites;
mod source;

pub use bulk::{BulkItemRow, BulkRow, SelectableRow};
pub use history::{EventQuery, EventRow, Order, timeline_sql};
pub use incidents::IncidentRow;
pub use machines::{LoadBalancerRow, OrphanRow, RegionRow, RegionRunRow, ServerFilter, ServerRow};
pub use mails::MailRow;
pub use references::ReferenceRow;
pub use resources::{ResourceFilter, ResourceKey, ResourceRow};
pub use runs::{DefinitionFigures, RunAttemptRow, RunFilter, RunRow, RunStepRow, StepFigures};
pub use shared_servers::SharedServerRow;
pub use sites::{
    AppserverFilter, AppserverRow, CleanUpRow, InstanceDetailRow, InstanceFilter, InstanceRow,
    StandingRow,
};

use condition::{Clause, Parameter};
use deadpool_postgres::{Client, Pool};
use ocim_domain::event::Position;
use ocim_domain::right::ReadScope;
use ocim_engine::projector::{self, Freshness, ProjectionStatus, Served};
use ocim_projections::ReadRow;
use serde::de::DeserializeOwned;
use source::PostgresRow;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio_postgres::Row;
use tokio_postgres::types::Json;
use uuid::Uuid;

/// Why a read model could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the read models are unavailable")]
pub struct QueryError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// How long a command's answer waits for the read models.
pub const FRESHNESS_WAIT: Duration = Duration::from_secs(2);

/// How long a query may take, the wait for a connection included.
const QUERY_LIMIT: Duration = Duration::from_secs(10);

/// The read models of this database.
#[derive(Debug, Clone)]
pub struct ReadModels {
    pool: Pool,
    freshness: Freshness,
}

impl ReadModels {
    /// The read models in this database, as fresh as `freshness` says.
    #[must_use]
    pub fn new(pool: Pool, freshness: Freshness) -> Self {
        Self { pool, freshness }
    }

    /// The same over these connections.
    #[must_use]
    pub fn over(self, pool: Pool) -> Self {
        Self { pool, ..self }
    }

    /// Waits until every read model has passed `position`; false when it took longer than `wait`,
    /// or at once when one of them stands still before it.
    pub async fn wait_for(&self, position: Position, wait: Duration) -> bool {
        self.freshness.wait_for(position, wait).await
    }

    /// The same for the read models with these names alone; true at once where none is named.
    pub async fn wait_for_some(&self, names: &[&str], position: Position, wait: Duration) -> bool {
        self.freshness.wait_for_some(names, position, wait).await
    }

    /// Says when any of them has moved.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<BTreeMap<&'static str, Served>> {
        self.freshness.watch()
    }

    /// Every build of every projection, by name and generation.
    ///
    /// # Errors
    /// [`QueryError`] without a database; so for every query below.
    pub async fn projection_status(&self) -> Result<Vec<ProjectionStatus>, QueryError> {
        projector::load_status(&self.pool).await.map_err(|error| QueryError(Box::new(error)))
    }

    /// Lets the builds of a projection that are paused at this event go on.
    ///
    /// # Errors
    /// [`QueryError`] without a database.
    pub async fn resume_projection(&self, name: &str, event: Uuid) -> Result<(), QueryError> {
        let resumed = projector::resume_past(&self.pool, name, event).await;
        resumed.map_err(|error| QueryError(Box::new(error)))
    }

    /// What somebody may read of them.
    #[must_use]
    pub fn seen_by(&self, scope: ReadScope) -> Reads<'_> {
        Reads { models: self, scope }
    }
}

/// What somebody may read of the read models. Lists come newest first, in the stable order of their
/// ids (UUID v7, whose text sorts by time); a page goes on after the last id of the page before.
#[derive(Debug, Clone, Copy)]
pub struct Reads<'a> {
    models: &'a ReadModels,
    scope: ReadScope,
}

/// Every query fails with [`QueryError`] without a database.
impl Reads<'_> {
    /// Every build of every projection that may be seen, by name and generation.
    pub async fn list_projections(&self) -> Result<Vec<ProjectionStatus>, QueryError> {
        let ReadScope::Everything = self.scope;
        self.models.projection_status().await
    }

    /// The rows of a table that may be seen, as `Row` reads them.
    async fn rows<Row: ReadRow>(&self, clause: &Clause<'_>) -> Result<Vec<Row>, QueryError> {
        let ReadScope::Everything = self.scope;
        let columns = Row::columns().join(", ");
        let sql = format!("select {columns} from rm.{} as t{}", Row::TABLE, clause.sql());
        let rows = self.run(&sql, clause.parameters()).await?;
        rows.iter().map(|row| Row::read(&PostgresRow(row), &mut 0)).collect()
    }

    /// The one row that may be seen, if there is one.
    async fn one<Row: ReadRow>(&self, clause: &Clause<'_>) -> Result<Option<Row>, QueryError> {
        Ok(self.rows(clause).await?.into_iter().next())
    }

    /// The answers of a query that is no row of one table, each read by the names of its columns.
    async fn query<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<T>, QueryError> {
        let ReadScope::Everything = self.scope;
        let sql = format!("select row_to_json(r) from ({sql}) as r");
        let read = |row: &Row| Ok(row.try_get::<_, Json<T>>(0).map_err(unavailable)?.0);
        self.run(&sql, parameters).await?.iter().map(read).collect()
    }

    async fn run(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, QueryError> {
        let client = tokio::time::timeout(QUERY_LIMIT, self.models.pool.get()).await;
        let client = client.map_err(unavailable)?.map_err(unavailable)?;
        let work = async {
            let statement = client.prepare_cached(sql).await.map_err(unavailable)?;
            client.query(&statement, parameters).await.map_err(unavailable)
        };
        match tokio::time::timeout(QUERY_LIMIT, work).await {
            Ok(rows) => rows,
            Err(elapsed) => {
                // The server still works on it: nobody is to wait behind that.
                drop(Client::take(client));
                Err(unavailable(elapsed))
            }
        }
    }
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> QueryError {
    QueryError(Box::new(error))
}

fn limit_value(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
