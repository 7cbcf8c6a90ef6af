//! Runs git, Python and pip with a deadline, and takes locks that other processes hold too.

use super::AnsibleConfig;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;

/// How many of a failed tool's last lines go into the error.
const LAST_LINES: usize = 15;
const COPY_TIMEOUT: Duration = Duration::from_secs(120);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Why a tool did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    #[error("it cannot be started")]
    Start(#[source] std::io::Error),
    #[error("it did not end within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("{0}")]
    Failed(String),
}

impl ToolError {
    /// That `what` failed, and why.
    pub(super) fn sentence(&self, what: &str) -> String {
        match self {
            Self::Start(error) => format!("{what}: {self}: {error}"),
            Self::TimedOut(_) | Self::Failed(_) => format!("{what}: {self}"),
        }
    }

    /// For the port: `what` failed on this machine, and a later try may go better.
    pub(super) fn transient(&self, what: &str) -> PortError {
        PortError::transient(self.sentence(what)).blamed_on(Blame::Other)
    }

    /// For the port: `what` failed, and will fail again.
    pub(super) fn permanent(&self, code: ErrorCode, what: &str) -> PortError {
        PortError::permanent(code, self.sentence(what)).blamed_on(Blame::Other)
    }
}

/// A process group that ends with this value.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // It may just have ended: then there is nothing to kill.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs the command to its end and returns its standard output. At the deadline, or when nobody
/// waits for it any more, it ends with all its children (git and pip have some).
pub(super) async fn run_tool(
    command: &mut Command,
    timeout: Duration,
) -> Result<String, ToolError> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(ToolError::Start)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group(id.map(Pid::from_raw));
    let Ok(ended) = tokio::time::timeout(timeout, child.wait_with_output()).await else {
        return Err(ToolError::TimedOut(timeout));
    };
    // What it leaves behind on purpose, such as a play, may go on.
    group.0 = None;
    let output = ended.map_err(ToolError::Start)?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(text.into_owned());
    }
    let everything = format!("{text}\n{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = everything.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
    Err(ToolError::Failed(if last.is_empty() { output.status.to_string() } else { last }))
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
    async fn a_tool_that_fails_says_its_last_lines() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 100; echo why >&2; exit 3"]);
        let error = run_tool(&mut command, Duration::from_secs(10)).await.unwrap_err().to_string();
        assert!(error.ends_with("100\nwhy"), "{error}");
        assert_eq!(error.lines().count(), LAST_LINES);
    }

    #[tokio::test]
    async fn a_tool_ends_at_its_deadline_with_its_children() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & wait"]);
        let error = run_tool(&mut command, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, ToolError::TimedOut(_)), "{error}");
    }

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
