//! A PostgreSQL of our own in the data folder, for when no `DATABASE_URL` is given.
//!
//! It is reached by a socket that only we and its own user can open, and knows us by our user id:
//! there is no password. As root it runs as `postgres` (or `nobody`), since it refuses root.

mod leftovers;
mod place;
mod programs;
mod supervisor;

use crate::data_folder::{self, DataFolder, DataFolderError, ProgramError};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, Uid, User};
use ocim_adapters::program::Program;
use place::Place;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use supervisor::Launch;
use tokio::process::Child;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The role and the database that Ocim uses in its own cluster.
const NAME: &str = "ocim";
const INITDB_TIMEOUT: Duration = Duration::from_secs(300);
/// Recovery after a crash of the machine counts into this.
const START_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60);
const READY_POLL: Duration = Duration::from_millis(50);

/// Why our own PostgreSQL does not run.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// There is none on this machine.
    #[error("PostgreSQL is missing: install the Debian package postgresql, or set DATABASE_URL")]
    NotInstalled,
    /// The data is of a version that is not installed.
    #[error(
        "the database in {} was made by PostgreSQL {made_by}, but installed is {installed}: install \
         postgresql-{made_by}, or dump it with that version and restore it into a new data folder",
        cluster.display()
    )]
    OtherMajor {
        /// Where the data is.
        cluster: PathBuf,
        /// The major version it needs.
        made_by: u32,
        /// The major versions there are.
        installed: String,
    },
    /// As root we need some other user.
    #[error("PostgreSQL refuses to run as root, and there is no user postgres or nobody")]
    NoAccount,
    /// A server that was left running can't be ended.
    #[error("an earlier PostgreSQL (process {pid}) does not end")]
    StillRunning {
        /// One of its processes.
        pid: i32,
    },
    /// A folder or file is in the way.
    #[error("could not prepare the database's folder")]
    Folder(#[from] DataFolderError),
    /// `initdb` failed.
    #[error("could not make the database")]
    Initdb(#[source] ProgramError),
    /// The server could not be started.
    #[error("could not start PostgreSQL")]
    Spawn(#[source] std::io::Error),
    /// The server ended before it was ready.
    #[error("PostgreSQL ended at its start: {log}")]
    Ended {
        /// The last lines of its log.
        log: String,
    },
    /// The server runs, but does not let us in.
    #[error("PostgreSQL does not answer")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A running PostgreSQL that is started again whenever it ends, until [`EmbeddedPostgres::stop`].
///
/// Dropping it only asks the server to stop. When Ocim is killed, the server lives on; the next
/// start ends it first.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    place: Place,
    pid: Arc<AtomicI32>,
    stop: Option<oneshot::Sender<()>>,
    supervisor: Option<JoinHandle<()>>,
}

/// The major version of the PostgreSQL that the data folder `root` would be served by.
///
/// # Errors
/// [`PostgresError::NotInstalled`], [`PostgresError::OtherMajor`].
pub async fn find_installed(root: &Path) -> Result<u32, PostgresError> {
    Ok(programs::find_programs(&root.join("postgres")).await?.major)
}

impl EmbeddedPostgres {
    /// Makes the cluster if there is none, starts its server and waits until it answers.
    ///
    /// # Errors
    /// See [`PostgresError`]; a server that was started is asked to stop.
    pub async fn start(folder: &DataFolder) -> Result<Self, PostgresError> {
        let place = Place::find(folder.root())?;
        let programs = programs::find_programs(&place.cluster).await?;
        place.make(folder.root())?;
        leftovers::end_leftovers(&place).await?;
        if programs::read_major(&place.cluster).is_none() {
            make_cluster(&place, &programs.bin).await?;
        }
        write_access_rules(&place)?;
        tracing::info!(major = programs.major, folder = %place.home.display(), "starting PostgreSQL");
        let launch = Launch { program: programs.bin.join("postgres"), place: place.clone() };
        let pid = Arc::new(AtomicI32::new(0));
        let (stop, stopped) = oneshot::channel();
        let log_before = launch.measure_log();
        let mut child = launch.spawn().map_err(PostgresError::Spawn)?;
        supervisor::note(&child, &pid);
        let mut started = Self { place, pid: pid.clone(), stop: Some(stop), supervisor: None };
        // An error drops `started`, which asks the server to stop.
        if let Err(error) = wait_until_ready(&mut child, &started.place).await {
            if matches!(error, PostgresError::Ended { .. }) {
                started.pid.store(0, Ordering::Release);
                return Err(PostgresError::Ended { log: launch.read_log(log_before) });
            }
            return Err(error);
        }
        started.supervisor = Some(tokio::spawn(supervisor::supervise(launch, child, pid, stopped)));
        Ok(started)
    }

    /// How to connect.
    #[must_use]
    pub fn config(&self) -> tokio_postgres::Config {
        connect_config(&self.place, NAME)
    }

    /// How to connect to the cluster of the data folder `root`, which a server of ours runs.
    ///
    /// # Errors
    /// [`PostgresError::Folder`] when there is no such folder, [`PostgresError::NoAccount`].
    pub fn config_of(root: &Path) -> Result<tokio_postgres::Config, PostgresError> {
        let root = root.canonicalize().map_err(data_folder::failed("find", root))?;
        Ok(connect_config(&Place::find(&root)?, NAME))
    }

    /// Ends what a killed Ocim left running in the data folder.
    ///
    /// # Errors
    /// [`PostgresError::StillRunning`].
    pub async fn end_leftovers(folder: &DataFolder) -> Result<(), PostgresError> {
        let place = Place::find(folder.root())?;
        leftovers::end_leftovers(&place).await?;
        place.remove_sockets();
        Ok(())
    }

    /// The server's process id; `None` while it is being started again.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        Some(self.pid.load(Ordering::Acquire)).filter(|pid| *pid > 0)
    }

    /// Stops the server: connections are cut, data is written. Returns when no process is left,
    /// after 10 seconds at most.
    pub async fn stop(mut self) {
        // A failed send means that the supervisor is gone, and the server with it.
        let _ = self.stop.take().map(|stop| stop.send(()));
        if let Some(supervisor) = self.supervisor.take()
            && let Err(error) = supervisor.await
        {
            tracing::error!(%error, "PostgreSQL's supervisor ended badly");
        }
        self.place.remove_sockets();
    }
}

impl Drop for EmbeddedPostgres {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            // Best effort, for errors and panics: the next start ends what does not obey.
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
            self.place.remove_sockets();
        }
    }
}

fn connect_config(place: &Place, database: &str) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    config.host_path(&place.sockets).port(5432).user(NAME).dbname(database);
    config.application_name(NAME).connect_timeout(CONNECT_TIMEOUT);
    config
}

/// Runs `initdb` aside and moves the result into place, so that there is a whole cluster or none.
async fn make_cluster(place: &Place, bin: &Path) -> Result<(), PostgresError> {
    let draft = place.home.join("draft");
    if draft.exists() {
        fs::remove_dir_all(&draft).map_err(data_folder::failed("remove", &draft))?;
    }
    place.make_private(&draft)?;
    let mut command = Program::new(bin.join("initdb")).of_package("postgresql");
    command.current_dir(&place.home);
    if let Some(account) = &place.account {
        command.account(account.uid.as_raw(), account.gid.as_raw());
    }
    command.args(["--username", NAME, "--encoding=UTF8", "--locale=C.UTF-8", "--auth=reject"]);
    command.arg("--data-checksums").arg("--pgdata").arg(&draft);
    command.run(INITDB_TIMEOUT).await.map_err(PostgresError::Initdb)?;
    fs::rename(&draft, &place.cluster).map_err(data_folder::failed("create", &place.cluster))?;
    Ok(())
}

/// Lets in the user we run as, under our role, and nobody else.
fn write_access_rules(place: &Place) -> Result<(), PostgresError> {
    let uid = Uid::effective();
    let user = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    for (name, text) in [
        ("pg_hba.conf", format!("local all {NAME} peer map={NAME}\n")),
        ("pg_ident.conf", format!("{NAME} \"{user}\" {NAME}\n")),
    ] {
        let path = place.home.join(name);
        data_folder::write_file(&path, text.as_bytes())?;
        let readable = Permissions::from_mode(0o644);
        fs::set_permissions(&path, readable).map_err(data_folder::failed("own", &path))?;
    }
    Ok(())
}

/// Waits until the server takes a connection, and makes our database if it is missing.
async fn wait_until_ready(child: &mut Child, place: &Place) -> Result<(), PostgresError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(PostgresError::Ended { log: status.to_string() });
        }
        let error = match tokio::time::timeout(PREPARE_TIMEOUT, prepare_database(place)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.into(),
            Err(elapsed) => elapsed.into(),
        };
        if Instant::now() > deadline {
            return Err(PostgresError::Silent(error));
        }
        tokio::time::sleep(READY_POLL).await;
    }
}

async fn prepare_database(place: &Place) -> Result<(), tokio_postgres::Error> {
    let (client, connection) =
        connect_config(place, "postgres").connect(tokio_postgres::NoTls).await?;
    let connection = tokio::spawn(connection);
    let query = "SELECT 1 FROM pg_database WHERE datname = $1";
    if client.query_opt(query, &[&NAME]).await?.is_none() {
        client.batch_execute(&format!("CREATE DATABASE {NAME}")).await?;
    }
    drop(client);
    // It ends with its client; how, does not matter any more.
    let _ = connection.await;
    Ok(())
}
