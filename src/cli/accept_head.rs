//! `ocim events accept-head`: goes on with a log that lacks events which were there before.

use super::database::{Database, unavailable};
use super::error::{CliError, Kind};
use super::output::Output;
use crate::app::{Caller, Journal};
use crate::config::Config;
use crate::data_folder::{DataFolder, HeadFile};
use crate::log_head::{HeadError, check_head, read_head};
use nix::unistd::{Uid, User};
use ocim_adapters::system::{SystemClock, SystemIds};
use ocim_domain::event::Position;
use ocim_domain::event_log::{Command, EventLog, event_log_id};
use ocim_engine::derived::Derived;
use ocim_engine::derived::postgres::PostgresDerived;
use ocim_engine::projector;
use ocim_engine::store::{Engine, EventStore};
use serde_json::json;
use std::sync::Arc;

/// Takes the log as it is for the right one: that is recorded in it, read models that know of more
/// (all of them, where it is another log) are made anew at the next start, and the data folder knows
/// its end.
///
/// # Errors
/// [`Kind::Refused`] while a server runs, where there is nothing to accept, and without a reason.
pub(super) async fn run(
    reason: String,
    config: &Config,
    output: &mut Output,
) -> Result<(), CliError> {
    if let Some(server) = DataFolder::find_server(&config.data_dir).map_err(unavailable)? {
        let pid = server.pid;
        let told = format!("a server runs on this data folder (process {pid}): stop it first");
        return Err(CliError::new(Kind::Refused, told));
    }
    let database = Database::open_existing(config).await?;
    let outcome = match database.open_store(config).await {
        Ok(store) => {
            let file = HeadFile::of(&config.data_dir);
            let outcome = accept(reason, &database, Arc::clone(&store), &file, output).await;
            store.shutdown().await;
            outcome
        }
        Err(error) => Err(error),
    };
    database.close().await;
    outcome
}

async fn accept(
    reason: String,
    database: &Database,
    store: Arc<dyn Engine>,
    file: &HeadFile,
    output: &mut Output,
) -> Result<(), CliError> {
    // A damaged file is no reason to refuse: to accept the log is what its error advises.
    let known = file.read().unwrap_or_default();
    let checked = check_head(known.as_ref(), &*store, &database.pool).await;
    if checked.is_ok() && known.is_some() {
        let told = "the log is what the data folder has seen: there is nothing to accept";
        return Err(CliError::new(Kind::Refused, told));
    }
    let found = read_head(&*store).await.map_err(unavailable)?;
    let ids = Arc::new(SystemIds);
    let journal =
        Journal::new(Arc::clone(&store) as Arc<dyn EventStore>, Arc::new(SystemClock), ids);
    let caller = Caller { reason: Some(reason.clone()), ..Caller::new(os_user()) };
    let command = Command::AcceptHead { known, found: found.clone(), reason };
    let stream = event_log_id().stream();
    let accepted = journal.execute::<EventLog>(&stream, &caller.metadata(), command).await;
    accepted.map_err(|error| CliError::from_error(Kind::Refused, &error))?;
    // Where another log begins to differ is not known: no read model can be trusted then.
    let trusted = match checked {
        Err(HeadError::Different { .. }) => Position::START,
        _ => found.position,
    };
    projector::retire_ahead(&database.pool, trusted).await.map_err(unavailable)?;
    PostgresDerived::new(database.pool.clone()).forget_all().await.map_err(unavailable)?;
    let head = read_head(&*store).await.map_err(unavailable)?;
    file.write(&head).map_err(unavailable)?;
    output.record(
        &json!({ "accepted": found.position.to_string(), "head": head.position.to_string() }),
    )
}

/// Who runs the command, as an actor.
fn os_user() -> String {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    format!("cli:{user}")
}
