//! Looks at the processes of this computer: whose they are, and whether any is left.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::path::Path;

/// Process id and command line of all programs of whose command line, environment or working folder
/// the text is a part. Zombies have none of them.
pub(crate) fn find_processes(text: &str) -> Vec<String> {
    let mentions = |pid: &i32| {
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        read(*pid, "cmdline").contains(text)
            || read(*pid, "environ").contains(text)
            || folder.to_string_lossy().contains(text)
    };
    let found = list_pids().into_iter().filter(mentions);
    found.map(|pid| format!("{pid} {}", read(pid, "cmdline").replace('\0', " "))).collect()
}

/// Ends, and sees ended, the programs that [`find_processes`] finds by `text` and whose command line
/// begins with `command`.
pub(crate) fn end_programs(text: &str, command: &str) {
    loop {
        let found = find_processes(text);
        let lines = found.iter().filter_map(|line| line.split_once(' '));
        let wanted = lines.filter(|(_, line)| line.starts_with(command));
        let pids: Vec<i32> = wanted.filter_map(|(pid, _)| pid.parse().ok()).collect();
        if pids.is_empty() {
            return;
        }
        end_processes(&pids);
        std::thread::yield_now();
    }
}

/// Process ids of the playbooks whose files lie below `folder`: the wrapper, Ansible, its workers.
pub(crate) fn find_playbooks(folder: &Path) -> Vec<i32> {
    let below = format!("{}/playbooks/runs/", folder.display());
    let is_run = |pid: &i32| {
        let environment = read(*pid, "environ");
        environment.contains(&below)
            && environment.split('\0').any(|variable| variable.starts_with("OCIM_RUN_KEY="))
    };
    list_pids().into_iter().filter(is_run).collect()
}

/// The first processes of the machines below `cloud` (the folder of one local cloud): pid and start
/// time, which tells a number that was given again. All that runs in a machine ends with them.
pub(crate) fn list_machine_processes(cloud: &Path) -> Vec<(i32, u64)> {
    let machines = fs::read_dir(cloud.join("machines")).into_iter().flatten().flatten();
    let read = |name: &str, machine: &Path| {
        let text = fs::read_to_string(machine.join(name)).ok()?;
        let (pid, start) = text.trim().split_once(' ')?;
        Some((pid.parse().ok()?, start.parse().ok()?))
    };
    let both = machines.flat_map(|it| ["supervisor", "init"].map(|name| read(name, &it.path())));
    both.flatten().collect()
}

/// Those that have not ended; one that waits for its parent to hear of its end, has.
pub(crate) fn find_living(processes: &[(i32, u64)]) -> Vec<(i32, u64)> {
    let lives = |(pid, start): &(i32, u64)| {
        let stat = read(*pid, "stat");
        // The name, in parentheses, may hold anything; the start time is the 22nd field of all.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split(' ').collect();
        fields.get(1).is_some_and(|state| *state != "Z")
            && fields.get(20).is_some_and(|time| time.parse() == Ok(*start))
    };
    processes.iter().copied().filter(lives).collect()
}

/// All that a process has started, and what these have.
pub(super) fn find_descendants(of: i32) -> Vec<i32> {
    let parent = |pid: i32| -> Option<i32> {
        let stat = read(pid, "stat");
        stat.rsplit(')').next()?.split(' ').nth(2)?.parse().ok()
    };
    let children = list_pids().into_iter().filter(|pid| parent(*pid) == Some(of));
    children.flat_map(|pid| [vec![pid], find_descendants(pid)].concat()).collect()
}

/// Ends these processes, which a test has started, at once.
pub(crate) fn end_processes(pids: &[i32]) {
    for pid in pids {
        // One that has ended by itself meanwhile is what we want.
        let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
    }
}

/// Asks a process, which a test has started, to end.
pub(crate) fn signal_process(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
}

pub(super) fn list_pids() -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

pub(super) fn read(pid: i32, file: &str) -> String {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}
