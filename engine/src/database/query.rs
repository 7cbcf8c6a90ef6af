//! One statement through the pool, with a time limit.

use deadpool_postgres::Pool;
use std::time::Duration;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

/// The rows of a statement, which is prepared once a connection; else why there are none, for people.
pub(crate) async fn query(
    pool: &Pool,
    limit: Duration,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>, String> {
    let query = async {
        let client = pool.get().await.map_err(|error| told(&error))?;
        let statement = client.prepare_cached(sql).await.map_err(|error| told(&error))?;
        client.query(&statement, parameters).await.map_err(|error| told(&error))
    };
    tokio::time::timeout(limit, query).await.map_err(|error| told(&error))?
}

fn told(error: &dyn std::error::Error) -> String {
    ocim_domain::error_chain::chain(error)
}
