//! Ends what a killed Ocim left running of a cluster, so that the next server starts cleanly.

use super::PostgresError;
use super::place::Place;
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);
/// How long each way of asking gets, from the politest on. PostgreSQL calls them fast and immediate.
const WAYS: [(Signal, Duration); 3] = [
    (Signal::SIGINT, Duration::from_secs(10)),
    (Signal::SIGQUIT, Duration::from_secs(5)),
    (Signal::SIGKILL, Duration::from_secs(5)),
];

/// Ends every PostgreSQL process that works in the cluster, waits until it is gone, and removes the
/// lock files that would keep the next server from starting.
pub(super) async fn end_leftovers(place: &Place) -> Result<(), PostgresError> {
    let cluster = &place.cluster;
    for (signal, patience) in WAYS {
        let processes = list_processes(cluster);
        if processes.is_empty() {
            break;
        }
        tracing::info!(%signal, count = processes.len(), "ending a PostgreSQL that was left running");
        match read_postmaster(cluster).filter(|pid| processes.contains(pid)) {
            // The postmaster ends its own; without one, each has to be asked.
            Some(postmaster) if signal != Signal::SIGKILL => send(postmaster, signal),
            _ => processes.iter().for_each(|pid| send(*pid, signal)),
        }
        let deadline = Instant::now() + patience;
        while !list_processes(cluster).is_empty() && Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
        }
    }
    if let Some(pid) = list_processes(cluster).first() {
        return Err(PostgresError::StillRunning { pid: pid.as_raw() });
    }
    place.lock_files().iter().for_each(|file| forget_lock(file));
    Ok(())
}

/// Removes a lock file that PostgreSQL would take for a running server's, although no process works
/// in the cluster: its number is a zombie's or by now some other program's, or a power cut left
/// the file empty. (A number that nobody has, PostgreSQL recognises by itself.)
fn forget_lock(file: &Path) {
    let is_recognised =
        |pid: Option<Pid>| pid.is_some_and(|pid| kill(pid, None) == Err(Errno::ESRCH));
    if file.exists() && !is_recognised(read_lock(file)) {
        tracing::info!(file = %file.display(), "removing the lock file of a PostgreSQL that is gone");
        // If it stays, PostgreSQL's own message tells of it.
        let _ = fs::remove_file(file);
    }
}

/// The process id in `postmaster.pid`.
fn read_postmaster(cluster: &Path) -> Option<Pid> {
    read_lock(&cluster.join("postmaster.pid"))
}

/// The process id in a lock file: its first line, of a server that listens or of one at work alone
/// (which writes it with a minus).
fn read_lock(file: &Path) -> Option<Pid> {
    let text = fs::read_to_string(file).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    pid.checked_abs().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// Processes named `postgres` whose working directory is the cluster's, as all its processes have it.
fn list_processes(cluster: &Path) -> Vec<Pid> {
    let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
    (entries.flatten())
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == cluster))
        .filter(|entry| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            name.trim() == "postgres"
        })
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(Pid::from_raw))
        .collect()
}

fn send(pid: Pid, signal: Signal) {
    // A process that has ended meanwhile is what we want.
    let _ = kill(pid, signal);
}
