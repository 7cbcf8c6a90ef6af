//! The store's own connections: how they are opened and set.

use super::ReadError;
use crate::database::{DatabaseAddress, DatabaseConnection};
use std::time::Duration;
use tokio_postgres::{Client, Statement};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the server may work on one statement.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long to wait for an answer: the server gives up first unless the network is gone.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// Why the store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server can't be reached, refuses, or has no event log (migrations not run).
    #[error("the event store's database can't be opened")]
    Database(#[from] tokio_postgres::Error),
    /// The server does not answer.
    #[error("the event store's database does not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
    /// The log's end can't be read.
    #[error("the event log can't be read")]
    Read(#[source] ReadError),
}

/// A connection that nobody drives yet.
pub(super) async fn open(
    database: &DatabaseAddress,
    name: &str,
) -> Result<(Client, DatabaseConnection), ConnectError> {
    let database = database.with(|config| {
        config
            .application_name(name)
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .tcp_user_timeout(Duration::from_secs(15));
    });
    Ok(tokio::time::timeout(CONNECT_TIMEOUT, database.connect()).await??)
}

/// The committer's connection, ready to append.
#[derive(Debug)]
pub(super) struct Appender {
    pub(super) client: Client,
    pub(super) append: Statement,
}

/// Opens the committer's connection; a task of its own drives it until the client is dropped.
pub(super) async fn open_appender(database: &DatabaseAddress) -> Result<Appender, ConnectError> {
    let (client, connection) = open(database, "ocim append").await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(error = ?error, "the append connection was lost");
        }
    });
    let prepare = async {
        client.batch_execute(&appender_settings()).await?;
        client.prepare(super::batch::APPEND_SQL).await
    };
    let append = tokio::time::timeout(CONNECT_TIMEOUT, prepare).await??;
    Ok(Appender { client, append })
}

/// The plan of `es.append` is made once and must stay good while the table grows from nothing:
/// index look-ups only. Compiling it would take longer than running it.
fn appender_settings() -> String {
    format!(
        "set jit = off; set plan_cache_mode = force_generic_plan; \
         set enable_seqscan = off; set enable_hashjoin = off; set enable_mergejoin = off; \
         set default_transaction_isolation = 'read committed'; \
         set statement_timeout = {timeout}; \
         set idle_in_transaction_session_timeout = {timeout}",
        timeout = STATEMENT_TIMEOUT.as_millis(),
    )
}
