//! For the few commands that open the database themselves: the running server's, or their own.

use super::error::{CliError, Kind};
use crate::config::{Config, Secret};
use crate::data_folder::DataFolder;
use crate::embedded_postgres::EmbeddedPostgres;
use deadpool_postgres::{Pool, Runtime};
use ocim_engine::database::DatabaseAddress;
use ocim_engine::store::{Engine, open_store};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

/// Connections that one command needs at most.
const CONNECTIONS_MAX: usize = 4;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open database. To be closed with [`Database::close`].
#[derive(Debug)]
pub(super) struct Database {
    /// How to connect.
    pub address: DatabaseAddress,
    /// Connections.
    pub pool: Pool,
    embedded: Option<(EmbeddedPostgres, DataFolder)>,
}

impl Database {
    /// Connects to a database that is there, to look at it: makes none, and leaves its schema as it
    /// is. Where no server runs, an existing cluster is started for this command alone.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] with what to do.
    pub(super) async fn open_existing(config: &Config) -> Result<Self, CliError> {
        let root = &config.data_dir;
        if config.database_url.is_none() && !root.join("postgres").exists() {
            let message = format!(
                "there is no database in {}: name another folder with --data-dir, or run \
                 `ocim serve`, which makes one",
                root.display()
            );
            return Err(CliError::new(Kind::Unavailable, message));
        }
        let (address, embedded) = find_cluster(config).await?;
        let (address, pool) = match Self::connect(address) {
            Ok(opened) => opened,
            Err(error) => {
                stop(embedded).await;
                return Err(error);
            }
        };
        let database = Self { address, pool, embedded };
        match database.check_schema().await {
            Ok(()) => Ok(database),
            Err(error) => {
                database.close().await;
                Err(error)
            }
        }
    }

    async fn check_schema(&self) -> Result<(), CliError> {
        let client = self.pool.get().await.map_err(unavailable)?;
        let ours = "select to_regclass('es.events') is not null";
        if client.query_one(ours, &[]).await.map_err(unavailable)?.get(0) {
            return Ok(());
        }
        let message = "the database holds nothing of Ocim's: name another one, or run `ocim serve`, \
                       which prepares it";
        Err(CliError::new(Kind::Unavailable, message))
    }

    fn connect(address: DatabaseAddress) -> Result<(DatabaseAddress, Pool), CliError> {
        let pool = Pool::builder(address.manager())
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .map_err(unavailable)?;
        Ok((address, pool))
    }

    /// Opens the engine that keeps the events. To be shut down before [`Database::close`].
    ///
    /// # Errors
    /// [`Kind::Unavailable`] with what is wrong.
    pub(super) async fn open_store(&self, config: &Config) -> Result<Arc<dyn Engine>, CliError> {
        let url = config.event_store_url.as_ref().map(Secret::expose);
        open_store(url, &self.address, &self.pool).await.map_err(unavailable)
    }

    /// Ends what was started for this command.
    pub(super) async fn close(self) {
        self.pool.close();
        stop(self.embedded).await;
    }
}

/// A cluster that was started for one command, and the folder's lock.
type Embedded = Option<(EmbeddedPostgres, DataFolder)>;

async fn stop(embedded: Embedded) {
    if let Some((postgres, _folder)) = embedded {
        postgres.stop().await;
    }
}

/// The cluster of `DATABASE_URL`, of the running server, or of the data folder, which is started.
async fn find_cluster(config: &Config) -> Result<(DatabaseAddress, Embedded), CliError> {
    if let Some(url) = &config.database_url {
        let address = DatabaseAddress::parse(url.expose()).map_err(unavailable)?;
        let patient = |config: &mut tokio_postgres::Config| {
            config.connect_timeout(CONNECT_TIMEOUT);
        };
        return Ok((address.with(patient), None));
    }
    let root = &config.data_dir;
    if DataFolder::find_server(root).map_err(unavailable)?.is_some() {
        let config = EmbeddedPostgres::config_of(root).map_err(unavailable)?;
        return Ok((DatabaseAddress::local(config).map_err(unavailable)?, None));
    }
    let folder = DataFolder::open(root).map_err(unavailable)?;
    let postgres = EmbeddedPostgres::start(&folder).await.map_err(unavailable)?;
    let address = DatabaseAddress::local(postgres.config()).map_err(unavailable)?;
    Ok((address, Some((postgres, folder))))
}

/// A failure on the way to the database.
pub(super) fn unavailable(error: impl Error + 'static) -> CliError {
    CliError::from_error(Kind::Unavailable, &error)
}
