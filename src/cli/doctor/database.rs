//! The database: whether it answers, whether the secret key opens it, whether the log is whole.

use super::{Fault, Finding, fault, shared_servers};
use crate::cli::database::Database;
use crate::config::{Config, Secret};
use crate::data_folder::{DataFolder, HeadFile};
use crate::log_head::check_head;
use ocim_domain::error_chain::chain;
use ocim_domain::event::Position;
use ocim_engine::store::ChainError;
use ocim_engine::store::sealed::PostgresKeys;

/// Looks at the database, if that is possible without starting one.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let root = &config.data_dir;
    let is_running = matches!(DataFolder::find_server(root), Ok(Some(_)));
    if config.database_url.is_none() && !is_running {
        let says = if root.join("postgres").exists() {
            "the database of this folder does not run; `ocim serve` starts it"
        } else {
            "`ocim serve` makes one in the data folder"
        };
        return vec![Finding::new("database", Ok(says.to_owned()))];
    }
    let database = match Database::open_existing(config).await {
        Ok(database) => database,
        Err(error) => {
            let advice = "look at DATABASE_URL, or at the server's log";
            return vec![Finding::new("database", Err(fault(error.message, advice)))];
        }
    };
    let mut findings = vec![
        Finding::new("database", ask_version(&database).await),
        Finding::new("secret_key", try_key(config, &database).await),
        Finding::new("event_log", verify(config, &database).await),
        Finding::new("read_models", look_at_models(&database).await),
    ];
    findings.extend(shared_servers::look(config, &database).await);
    database.close().await;
    findings
}

async fn ask_version(database: &Database) -> Result<String, Fault> {
    let version = async {
        let client = database.pool.get().await.map_err(|error| error.to_string())?;
        let row = client.query_one("show server_version", &[]).await;
        row.map(|row| row.get::<_, String>(0)).map_err(|error| error.to_string())
    };
    let advice = "look at DATABASE_URL, or at the server's log";
    let version = version.await.map_err(|error| fault(error, advice))?;
    Ok(format!("PostgreSQL {version} answers"))
}

/// Tries whether the key is the one that the database was made with.
async fn try_key(config: &Config, database: &Database) -> Result<String, Fault> {
    let key = read_key(config)?;
    match PostgresKeys::is_bound_to(&database.pool, key.expose().as_bytes()).await {
        Ok(Some(true)) => Ok("opens the database".to_owned()),
        Ok(Some(false)) => Err(fault(
            "the database was made with another secret key",
            "put the right one back, in SECRET_KEY or in the file secret_key of the data folder",
        )),
        Ok(None) => Ok("the database has no key yet".to_owned()),
        Err(error) => Err(fault(chain(&error), "look at the database")),
    }
}

/// The key in the configuration, or in the data folder.
pub(super) fn read_key(config: &Config) -> Result<Secret, Fault> {
    let path = config.data_dir.join("secret_key");
    match (&config.secret_key, std::fs::read_to_string(&path)) {
        (Some(key), _) => Ok(key.clone()),
        (None, Ok(text)) => Ok(Secret::new(text.trim())),
        (None, Err(error)) => {
            let says = format!("{} can't be read: {error}", path.display());
            Err(fault(says, "put it back, or set SECRET_KEY: nothing opens without it"))
        }
    }
}

/// Verifies the hash chain of the whole log, and that it ends no earlier than it did before.
async fn verify(config: &Config, database: &Database) -> Result<String, Fault> {
    let advice =
        "nobody may write to the database but Ocim: restore a backup, and find out who did";
    let store = database.open_store(config).await;
    let store = store.map_err(|error| {
        fault(error.message, "look at EVENT_STORE_URL, or at the database; docs/KURRENTDB.md helps")
    })?;
    let outcome = async {
        let head = store.head().await.map_err(|error| fault(chain(&error), advice))?;
        let verified = match store.verify_chain(Position::START, head).await {
            Ok(verified) => format!("the chain of {} events is whole", verified.events),
            Err(ChainError::NotKept) => "ends no earlier than it did before".to_owned(),
            Err(error) => return Err(fault(chain(&error), advice)),
        };
        let known = HeadFile::of(&config.data_dir).read();
        let known = known.map_err(|error| fault(chain(&error), advice))?;
        let checked = check_head(known.as_ref(), &*store, &database.pool).await;
        checked.map_err(|error| fault(chain(&error), advice)).map(|_| verified)
    }
    .await;
    store.shutdown().await;
    outcome.map(|verified| format!("{}: {verified}", store.describe()))
}

async fn look_at_models(database: &Database) -> Result<String, Fault> {
    let builds = ocim_engine::projector::load_status(&database.pool).await;
    let builds = builds.map_err(|error| fault(chain(&error), "look at the database"))?;
    let paused = builds.iter().filter(|it| it.failure.is_some() && it.serving);
    let names: Vec<_> = paused.map(|it| it.build.name.to_string()).collect();
    if names.is_empty() {
        return Ok("none stands still".to_owned());
    }
    let says = format!("paused at an event: {}", names.join(", "));
    Err(fault(says, "`ocim projections status` says why"))
}
