//! Keeps one PostgreSQL server running: starts it again when it ends, and stops it when asked.

use super::leftovers::end_leftovers;
use super::place::Place;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ocim_adapters::program::last_lines;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A server that lived this long starts again without a long wait.
const STEADY: Duration = Duration::from_secs(60);
/// How long a stopping server gets for each signal: all in all less than a service manager's 10 s.
const STOP_WAYS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(6)),
    (Signal::SIGQUIT, Duration::from_secs(2)),
    (Signal::SIGKILL, Duration::from_secs(1)),
];
/// The log is put aside at a start when it is larger.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// How to start the server.
#[derive(Debug, Clone)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) place: Place,
}

impl Launch {
    /// The server's log.
    pub(super) fn log(&self) -> PathBuf {
        self.place.home.join("postgres.log")
    }

    /// Starts the server, in a process group of its own: a Ctrl-C at our terminal is for us, who
    /// still need the server to shut down in order.
    pub(super) fn spawn(&self) -> io::Result<Child> {
        let path = self.log();
        if self.measure_log() > LOG_BYTES_MAX {
            fs::rename(&path, path.with_extension("log.1"))?;
        }
        let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let mut command = as_account(Command::new(&self.program), &self.place);
        command.arg("-D").arg(&self.place.cluster);
        for (name, value) in self.settings() {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0).spawn()
    }

    /// How long the log is.
    pub(super) fn measure_log(&self) -> u64 {
        fs::metadata(self.log()).map_or(0, |log| log.len())
    }

    /// The last lines that the log got after byte `from`.
    pub(super) fn read_log(&self, from: u64) -> String {
        match fs::read(self.log()) {
            Ok(text) => {
                // A log that is shorter than before was begun anew.
                let from = usize::try_from(from).unwrap_or(0);
                last_lines(text.get(from..).unwrap_or(&text), 3).replace('\n', " | ")
            }
            Err(error) => format!("its log can't be read: {error}"),
        }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        let in_home = |name| self.place.home.join(name).display().to_string();
        let mut settings = vec![
            ("unix_socket_directories", self.place.sockets.display().to_string()),
            ("hba_file", in_home("pg_hba.conf")),
            ("ident_file", in_home("pg_ident.conf")),
        ];
        let fixed = [
            // Reached by its socket alone.
            ("listen_addresses", ""),
            ("port", "5432"),
            ("unix_socket_permissions", "0700"),
            // Compiling queries costs more than our short ones take.
            ("jit", "off"),
            ("max_connections", "100"),
            ("max_wal_size", "512MB"),
            // A client that died inside a transaction must not hold the append lock for ever.
            ("idle_in_transaction_session_timeout", "60s"),
            ("timezone", "UTC"),
            ("log_timezone", "UTC"),
            ("log_checkpoints", "off"),
            ("cluster_name", "ocim"),
        ];
        settings.extend(fixed.map(|(name, value)| (name, value.to_owned())));
        settings
    }
}

/// Lets a program run as the cluster's account, with nothing of our environment but the path.
pub(super) fn as_account(mut command: Command, place: &Place) -> Command {
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
    command.current_dir(&place.home);
    if let Some(account) = &place.account {
        command.uid(account.uid.as_raw()).gid(account.gid.as_raw());
    }
    command
}

/// Watches `child` until `stop` is sent (or its sender dropped), then ends it. `pid` holds the
/// server's process id while there is one, else 0.
pub(super) async fn supervise(
    launch: Launch,
    mut child: Child,
    pid: Arc<AtomicI32>,
    mut stop: oneshot::Receiver<()>,
) {
    let mut backoff = BACKOFF_MIN;
    loop {
        let since = Instant::now();
        tokio::select! {
            _ = &mut stop => return end(&mut child, &pid).await,
            status = child.wait() => {
                pid.store(0, Ordering::Release);
                let status = status.map_or_else(|error| error.to_string(), |s| s.to_string());
                tracing::warn!(%status, log = %launch.log().display(), "PostgreSQL ended; starting it again");
            }
        }
        if since.elapsed() > STEADY {
            backoff = BACKOFF_MIN;
        }
        child = loop {
            tokio::select! {
                _ = &mut stop => return,
                () = tokio::time::sleep(backoff) => {}
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
            match restart(&launch, &pid).await {
                Ok(child) => break child,
                Err(error) => tracing::error!(%error, "could not start PostgreSQL again"),
            }
        };
    }
}

/// Children of a killed server may live on for a moment, and hold its shared memory.
async fn restart(
    launch: &Launch,
    pid: &AtomicI32,
) -> Result<Child, Box<dyn std::error::Error + Send + Sync>> {
    end_leftovers(&launch.place).await?;
    let child = launch.spawn()?;
    note(&child, pid);
    Ok(child)
}

/// Notes the child's process id.
pub(super) fn note(child: &Child, pid: &AtomicI32) {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    pid.store(id.unwrap_or(0), Ordering::Release);
}

async fn end(child: &mut Child, pid: &AtomicI32) {
    for (signal, patience) in STOP_WAYS {
        match pid.load(Ordering::Acquire) {
            0 => return,
            // A process that has just ended by itself is waited for below.
            id => drop(kill(Pid::from_raw(id), signal)),
        }
        if tokio::time::timeout(patience, child.wait()).await.is_ok() {
            return pid.store(0, Ordering::Release);
        }
        tracing::warn!(%signal, "PostgreSQL does not end");
    }
}
