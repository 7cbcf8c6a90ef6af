//! For the few commands that open the database themselves: the running server's, or their own.

use super::error::{CliError, Kind};
use crate::adapters::system::SystemIds;
use crate::config::Config;
use crate::data_folder::DataFolder;
use crate::embedded_postgres::EmbeddedPostgres;
use crate::migrations;
use deadpool_postgres::{Manager, Pool, Runtime};
use std::error::Error;
use std::time::Duration;
use tokio_postgres::NoTls;

/// Connections that one command needs at most.
const CONNECTIONS_MAX: usize = 4;
/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// An open database. To be closed with [`Database::close`].
#[derive(Debug)]
pub(super) struct Database {
    /// How to connect.
    pub config: tokio_postgres::Config,
    /// Connections.
    pub pool: Pool,
    embedded: Option<(EmbeddedPostgres, DataFolder)>,
}

impl Database {
    /// Connects to `DATABASE_URL`, else to the running server's cluster, else to a cluster that
    /// is started for this command alone; brings the schema up to date where no server runs.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] with what to do.
    pub(super) async fn open(config: &Config) -> Result<Self, CliError> {
        let (connect, embedded, may_migrate) = find_cluster(config).await?;
        let opened = Self::connect(connect, may_migrate).await;
        match (opened, embedded) {
            (Ok((connect, pool)), embedded) => Ok(Self { config: connect, pool, embedded }),
            (Err(error), Some((postgres, _folder))) => {
                postgres.stop().await;
                Err(error)
            }
            (Err(error), None) => Err(error),
        }
    }

    async fn connect(
        config: tokio_postgres::Config,
        may_migrate: bool,
    ) -> Result<(tokio_postgres::Config, Pool), CliError> {
        if may_migrate {
            let (mut client, connection) = config.connect(NoTls).await.map_err(unavailable)?;
            let connection = tokio::spawn(connection);
            let migrated = migrations::run_migrations(&mut client).await;
            drop(client);
            // The connection's own errors were the client's too.
            let _ = connection.await;
            migrated.map_err(unavailable)?;
        }
        let pool = Pool::builder(Manager::new(config.clone(), NoTls))
            .max_size(CONNECTIONS_MAX)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .map_err(unavailable)?;
        Ok((config, pool))
    }

    /// Ends what was started for this command.
    pub(super) async fn close(self) {
        self.pool.close();
        if let Some((postgres, _folder)) = self.embedded {
            postgres.stop().await;
        }
    }
}

type Found = (tokio_postgres::Config, Option<(EmbeddedPostgres, DataFolder)>, bool);

async fn find_cluster(config: &Config) -> Result<Found, CliError> {
    if let Some(url) = &config.database_url {
        let mut connect: tokio_postgres::Config = url.expose().parse().map_err(unavailable)?;
        connect.connect_timeout(CONNECT_TIMEOUT);
        return Ok((connect, None, true));
    }
    let root = &config.data_dir;
    if DataFolder::find_server(root).map_err(unavailable)?.is_some() {
        return Ok((EmbeddedPostgres::config_of(root).map_err(unavailable)?, None, false));
    }
    let folder = DataFolder::open(root).map_err(unavailable)?;
    // A new cluster needs its key first, or the server would miss it later.
    folder.secret_key(config.secret_key.as_ref(), &SystemIds).map_err(unavailable)?;
    let postgres = EmbeddedPostgres::start(&folder).await.map_err(unavailable)?;
    Ok((postgres.config(), Some((postgres, folder)), true))
}

/// A failure on the way to the database.
pub(super) fn unavailable(error: impl Error + 'static) -> CliError {
    CliError::from_error(Kind::Unavailable, &error)
}
