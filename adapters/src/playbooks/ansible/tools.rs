//! What failures of git, Python and pip mean to the port, and locks that other processes hold, too.

use super::AnsibleConfig;
use crate::program::{Program, ProgramError};
use nix::fcntl::{Flock, FlockArg};
use ocim_domain::error_chain::chain;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

const COPY_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// What failed programs mean to the port.
pub(super) trait TellPort {
    /// That `what` failed, and why.
    fn sentence(&self, what: &str) -> String;

    /// For the port: `what` failed on this machine, and a later try may go better.
    fn transient(&self, what: &str) -> PortError {
        PortError::transient(self.sentence(what)).blamed_on(Blame::Other)
    }

    /// For the port: `what` failed, and will fail again.
    fn permanent(&self, code: ErrorCode, what: &str) -> PortError {
        PortError::permanent(code, self.sentence(what)).blamed_on(Blame::Other)
    }
}

impl TellPort for ProgramError {
    fn sentence(&self, what: &str) -> String {
        match self {
            Self::Failed { complaint, .. } => format!("{what}: {complaint}"),
            other => format!("{what}: {}", chain(other)),
        }
    }
}

/// Runs a program to its end and returns its standard output.
pub(super) async fn run_tool(
    program: &mut Program,
    timeout: Duration,
) -> Result<String, ProgramError> {
    let output = program.run(timeout).await?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Copies a folder with all that is in it; `to` is made.
pub(super) async fn copy_tree(
    config: &AnsibleConfig,
    from: &Path,
    to: &Path,
) -> Result<(), PortError> {
    let mut copy = config.tool(Path::new("cp"));
    copy.args(["--archive", "--no-target-directory", "--"]).arg(from).arg(to);
    run_tool(&mut copy, COPY_TIMEOUT)
        .await
        .map(drop)
        .map_err(|error| error.transient("the source cannot be copied"))
}

/// Takes the lock of that file, waiting for whoever has it; free again when the answer is dropped.
pub(super) async fn lock_file(path: &Path, timeout: Duration) -> Result<Flock<File>, PortError> {
    let name = path.display();
    let broken = |text: String| PortError::transient(text).blamed_on(Blame::Other);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| broken(format!("{name} cannot be opened: {error}")))?;
    let deadline = tokio::time::Instant::now() + timeout;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((returned, _)) if tokio::time::Instant::now() < deadline => file = returned,
            Err((_, error)) => {
                return Err(broken(format!("{name} stays locked: {error}")));
            }
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lock_is_waited_for_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = lock_file(&path, Duration::ZERO).await.unwrap();
        assert!(lock_file(&path, Duration::from_millis(120)).await.is_err());
        drop(held);
        assert!(lock_file(&path, Duration::ZERO).await.is_ok());
    }
}
