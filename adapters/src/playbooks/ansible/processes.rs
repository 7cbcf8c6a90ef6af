//! Finds and ends every process of a run, and tools that nobody waits for any more.

use super::{RUN_KEY_VARIABLE, TOOLS_VARIABLE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ocim_domain::port_error::{Blame, PortError};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const TERM_WAIT: Duration = Duration::from_secs(5);
const KILL_WAIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(100);
/// So many looks in a row must find nothing: while a process begins another program, the kernel
/// shows no environment of it for a moment.
const EMPTY_LOOKS: u32 = 2;

/// Ends all processes of the run.
pub(super) async fn end_processes(key: Uuid, control: &Path) -> Result<(), PortError> {
    let what = format!("processes of the run {key}");
    end_all(&what, || find_processes(key, control)).await
}

/// Ends the tools (git, Python, pip) that work in `folder`.
pub(super) async fn end_tools(folder: &Path) -> Result<(), PortError> {
    let mark = [TOOLS_VARIABLE.as_bytes(), b"=", folder.as_os_str().as_bytes()].concat();
    let what = format!("tools that work in {}", folder.display());
    end_all(&what, || list_processes(|process| has_variable(process, &mark))).await
}

/// Asks them to end, then forces them, and waits until none is left.
async fn end_all(what: &str, find: impl Fn() -> Vec<Pid>) -> Result<(), PortError> {
    for (signal, wait) in [(Signal::SIGTERM, TERM_WAIT), (Signal::SIGKILL, KILL_WAIT)] {
        let deadline = Instant::now() + wait;
        let (mut asked, mut empty_looks) = (Vec::new(), 0);
        loop {
            let processes = find();
            empty_looks = if processes.is_empty() { empty_looks + 1 } else { 0 };
            if empty_looks == EMPTY_LOOKS {
                return Ok(());
            }
            // One that was born meanwhile has not been asked yet.
            for process in processes.iter().filter(|process| !asked.contains(*process)) {
                // It may have ended since it was found.
                let _ = kill(*process, signal);
            }
            asked = processes;
            if empty_looks == 0 && Instant::now() >= deadline {
                break;
            }
            tokio::time::sleep(POLL).await;
        }
    }
    Err(PortError::transient(format!("{what} cannot be ended")).blamed_on(Blame::Other))
}

/// Ansible's workers leave their process group, so its members would not be all of them: a run's
/// processes are those that inherited its key. Zombies have no environment any more; ssh's shared
/// connections write the path of their socket, below `control`, over theirs.
fn find_processes(key: Uuid, control: &Path) -> Vec<Pid> {
    let mark = format!("{RUN_KEY_VARIABLE}={key}");
    let title = format!("ssh: {}/", control.display());
    list_processes(|process| {
        has_variable(process, mark.as_bytes())
            || read(process, "cmdline").is_some_and(|line| line.starts_with(title.as_bytes()))
    })
}

fn list_processes(is_wanted: impl Fn(i32) -> bool) -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|process| is_wanted(*process))
        .map(Pid::from_raw)
        .collect()
}

fn has_variable(process: i32, variable: &[u8]) -> bool {
    read(process, "environ").is_some_and(|all| all.split(|byte| *byte == 0).any(|v| v == variable))
}

/// A file of a process; other users' processes cannot be read, and are not ours.
fn read(process: i32, name: &str) -> Option<Vec<u8>> {
    std::fs::read(format!("/proc/{process}/{name}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_marked_processes_end_even_those_that_left_the_session() {
        let (key, control) = (Uuid::from_u128(0x0c1f_7e57), Path::new("/tmp/ocim-none"));
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", "trap '' TERM; setsid sleep 600 & wait; sleep 600"])
            .env(RUN_KEY_VARIABLE, key.to_string())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while find_processes(key, control).len() < 2 {
            assert!(Instant::now() < deadline, "they do not start");
            tokio::task::yield_now().await;
        }
        end_processes(key, control).await.unwrap();
        assert!(find_processes(key, control).is_empty());
        assert!(!child.wait().await.unwrap().success());
    }
}
