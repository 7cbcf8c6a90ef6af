//! Why Ocim could not start: which part, and what to do.

use crate::app::AppError;
use crate::data_folder::DataFolderError;
use crate::embedded_postgres::PostgresError;
use crate::http::{LocalTokenError, ServeError};
use crate::log_head::HeadError;
use crate::migrations::MigrationError;
use crate::nodes::NodeError;
use ocim_domain::port_error::PortError;
use ocim_engine::database::DatabaseUrlError;
use ocim_engine::store::OpenError;
use ocim_engine::store::sealed::KeyError;

/// Why Ocim could not start. What had been started was stopped again.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A process is wrongly defined: a defect of Ocim's.
    #[error("some processes are wrongly defined: {}", .0.join("; "))]
    Definitions(Vec<String>),
    /// The data folder can't be used.
    #[error("the data folder can't be used")]
    Folder(#[source] DataFolderError),
    /// The HTTP server can't be started.
    #[error("the HTTP server could not be started")]
    Http(#[source] ServeError),
    /// Commands on this machine would have no token.
    #[error("commands on this machine could not be given access")]
    LocalToken(#[source] LocalTokenError),
    /// Our own PostgreSQL can't be started.
    #[error("the embedded PostgreSQL could not be started")]
    Postgres(#[source] PostgresError),
    /// `DATABASE_URL` is not one, or asks for what there is not.
    #[error("the database's address can't be used")]
    DatabaseUrl(#[source] DatabaseUrlError),
    /// The database does not answer.
    #[error("the database can't be reached: check DATABASE_URL and that PostgreSQL is up")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The schema can't be brought up to date.
    #[error("the database's schema can't be used")]
    Migration(#[source] MigrationError),
    /// This node can't work on the database.
    #[error("this node may not work on the database")]
    Node(#[source] NodeError),
    /// The event store can't be opened.
    #[error("the event store could not be opened")]
    Store(#[source] OpenError),
    /// The log is not the one that this data folder knows.
    #[error("the event log is not what this data folder has seen")]
    Head(#[source] HeadError),
    /// The keys that protect secrets can't be opened.
    #[error("the keys that protect secrets could not be opened")]
    Keys(#[source] KeyError),
    /// A port's adapter can't be made.
    #[error("a part that deployments need could not be made")]
    Port(#[source] PortError),
    /// The regions' limits could not be set.
    #[error("the limits of the regions could not be set")]
    Regions(#[source] AppError),
    /// What is paused could not be told, or set.
    #[error("what is paused could not be told")]
    Incidents(#[source] AppError),
    /// The servers that sites share could not be registered.
    #[error("the shared servers of the configuration could not be registered")]
    SharedServers(#[source] AppError),
    /// Metrics or traces can't be made.
    #[error("metrics and traces could not be set up")]
    Observing(#[source] Box<dyn std::error::Error + Send + Sync>),
}
