//! Processes that are not our children: told from reused pids by their start time.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// A process as a machine's script wrote it down: its pid, and when it started, in clock ticks
/// since the host's boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: i32,
    started: u64,
}

impl Process {
    /// Reads `PID START-TIME` from a file; `None` when there is no such file.
    pub(super) fn read(file: &Path) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let (pid, started) = text.trim().split_once(' ')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()? })
    }

    /// Whether it still runs. A zombie has ended.
    pub(super) fn is_alive(self) -> bool {
        let Ok(stat) = fs::read_to_string(format!("/proc/{}/stat", self.pid)) else { return false };
        // The program's name stands in brackets and may hold blanks: fields count from behind it.
        let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
        let mut fields = fields.split(' ');
        let state = fields.next();
        let started = fields.nth(18).and_then(|started| started.parse().ok());
        !matches!(state, Some("Z" | "X")) && started == Some(self.started)
    }

    /// Sends it a signal, if it still runs.
    pub(super) fn signal(self, signal: Signal) -> Result<(), Errno> {
        if self.is_alive() { absent_is_fine(kill(Pid::from_raw(self.pid), signal)) } else { Ok(()) }
    }

    /// Sends a signal to the process group that it leads, if it still runs.
    pub(super) fn signal_group(self, signal: Signal) -> Result<(), Errno> {
        if self.is_alive() {
            absent_is_fine(killpg(Pid::from_raw(self.pid), signal))
        } else {
            Ok(())
        }
    }
}

fn absent_is_fine(result: Result<(), Errno>) -> Result<(), Errno> {
    if result == Err(Errno::ESRCH) { Ok(()) } else { result }
}

/// Asks again and again until the condition holds; false when it does not within `timeout`.
pub(super) fn wait_until(timeout: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(POLL);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_stat_field(index: usize) -> u64 {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        stat.rsplit_once(") ").unwrap().1.split(' ').nth(index).unwrap().parse().unwrap()
    }

    #[test]
    fn a_reused_pid_is_not_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("init");
        assert_eq!(Process::read(&file), None);
        let (pid, started) = (std::process::id(), own_stat_field(19));
        fs::write(&file, format!("{pid} {started}\n")).unwrap();
        assert!(Process::read(&file).unwrap().is_alive());
        fs::write(&file, format!("{pid} {}\n", started - 1)).unwrap();
        let other = Process::read(&file).unwrap();
        assert!(!other.is_alive());
        assert_eq!(other.signal(Signal::SIGKILL), Ok(()), "nobody is hit");
        assert_eq!(other.signal_group(Signal::SIGKILL), Ok(()), "nobody is hit");
    }

    #[test]
    fn a_zombie_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let started = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
        let file = folder.path().join("init");
        fs::write(&file, format!("{} {started}", child.id())).unwrap();
        let process = Process::read(&file).unwrap();
        assert!(process.is_alive());
        process.signal(Signal::SIGKILL).unwrap();
        assert!(wait_until(Duration::from_secs(10), || !process.is_alive()));
        child.wait().unwrap();
    }
}
