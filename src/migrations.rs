//! Brings a database to the schema of this binary, once, however many nodes start together.

use refinery::error::Kind;
use std::time::Duration;
use tokio_postgres::Client;
use tracing::info;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// The session lock under which migrations run.
const LOCK: i64 = 1_868_786_030;
/// How long to wait for another node that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Why the schema can't be brought up to date. Each migration that succeeded stays.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// A newer release has been here.
    #[error(
        "the database has schema {database}, this binary knows up to {binary}: \
         start the newer release, or restore a backup made before it"
    )]
    Newer {
        /// The number of the last migration applied to the database.
        database: i64,
        /// The number of this binary's last migration.
        binary: i64,
    },
    /// It was made by a release whose events and tables are not those of this binary.
    #[error(
        "the database was made by an earlier Ocim, and its data can't be taken over: \
         start that Ocim, or begin anew with an empty database and a new data folder"
    )]
    Earlier(#[source] refinery::Error),
    /// The database can't be reached, or another node holds the lock for too long.
    #[error("the database can't be prepared for its migrations")]
    Database(#[from] tokio_postgres::Error),
    /// A migration fails.
    #[error("a migration can't be applied")]
    Migration(#[from] refinery::Error),
}

/// The names of all migrations that this binary carries, by number.
#[must_use]
pub fn embedded_names() -> Vec<String> {
    let runner = embedded::migrations::runner();
    let mut migrations = runner.get_migrations().clone();
    migrations.sort();
    migrations.iter().map(ToString::to_string).collect()
}

/// Applies what is missing and tells the names of it; nothing to do is a success.
///
/// # Errors
/// [`MigrationError`]; a newer schema is refused before anything is changed.
pub async fn run_migrations(client: &mut Client) -> Result<Vec<String>, MigrationError> {
    let timeout = format!("set lock_timeout = {}", LOCK_TIMEOUT.as_millis());
    client.batch_execute(&timeout).await?;
    client.execute("select pg_advisory_lock($1)", &[&LOCK]).await?;
    let outcome = apply_missing(client).await;
    client.execute("select pg_advisory_unlock($1)", &[&LOCK]).await?;
    client.batch_execute("reset lock_timeout").await?;
    outcome
}

async fn apply_missing(client: &mut Client) -> Result<Vec<String>, MigrationError> {
    let runner = embedded::migrations::runner();
    refuse_newer(&runner, client).await?;
    let report = runner.run_async(client).await.map_err(|error| match error.kind() {
        Kind::DivergentVersion(..) | Kind::MissingVersion(_) => MigrationError::Earlier(error),
        _ => error.into(),
    })?;
    let names: Vec<String> = report.applied_migrations().iter().map(ToString::to_string).collect();
    for name in &names {
        info!(migration.name = name, "a migration was applied");
    }
    Ok(names)
}

async fn refuse_newer(
    runner: &refinery::Runner,
    client: &mut Client,
) -> Result<(), MigrationError> {
    let history = "select to_regclass('refinery_schema_history') is not null";
    if !client.query_one(history, &[]).await?.get::<_, bool>(0) {
        return Ok(());
    }
    let last = runner.get_last_applied_migration_async(client).await?;
    let database = last.map_or(0, |migration| migration.version());
    let binary = runner.get_migrations().iter().map(|m| m.version()).max().unwrap_or(0);
    if database > binary {
        return Err(MigrationError::Newer { database, binary });
    }
    Ok(())
}
