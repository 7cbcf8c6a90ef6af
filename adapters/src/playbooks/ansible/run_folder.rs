//! One run's folder: what Ansible reads, what its wrapper writes, and what that says about the run.

use super::watch::Spans;
use crate::file_work::work_aside;
use crate::playbooks::{OutputLine, PlaybookRun, Source, TaskFailure};
use crate::shell::ssh::quote_path;
use nix::fcntl::{Flock, FlockArg};
use ocim_domain::Timestamp;
use ocim_domain::configuration::is_ansibles_own;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// About how much output one read returns.
const READ_BYTES: u64 = 256 * 1024;
/// Has the lock of a machine as long as a byte comes now and then. A play that does not is dead.
const LOCK_SCRIPT: &str = "f=\"$HOME/.ocim-play\"; exec 9>>\"$f\" || exit 1; \
    command -v flock >/dev/null || { echo there is no flock on the machine; exit 1; }; \
    until flock -w 20 9; do echo \"ocim-play-waits $(head -n 1 \"$f.key\")\"; done; \
    echo \"run key KEY\" >\"$f.key\"; echo ocim-play-has; \
    while [ -n \"$(timeout 60 head -c 1)\" ]; do :; done";
/// The Python of the bundled playbooks' machines; others find it themselves.
const BUNDLED_INTERPRETER: &str = "/usr/bin/python3";

/// See the wrapper's own text for the files that it writes.
#[derive(Debug, Clone)]
pub(super) struct RunFolder {
    key: Uuid,
    root: PathBuf,
}

impl RunFolder {
    pub(super) fn new(runs: &Path, key: Uuid) -> Self {
        Self { key, root: runs.join(key.to_string()) }
    }

    pub(super) fn key(&self) -> Uuid {
        self.key
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where ssh keeps the sockets of shared connections: their paths must be short.
    pub(super) fn control(&self) -> PathBuf {
        PathBuf::from(format!("/tmp/ocim-{}", self.key.simple()))
    }

    /// Removes what a killed wrapper left there; somebody else's folder of that name stays.
    pub(super) fn remove_control(&self) {
        // A failure is no reason to keep the run: the folder is empty, or not ours.
        let _ = std::fs::remove_dir_all(self.control());
    }

    pub(super) fn exists(&self) -> bool {
        self.root.exists()
    }

    pub(super) fn create(&self) -> Result<(), PortError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(self.path("tmp"))
            .map_err(|error| self.broken("tmp", &error))
    }

    /// Removes a file or folder of the run, or with "" the run's folder; absent is success.
    pub(super) async fn remove(&self, name: &'static str) -> Result<(), PortError> {
        let folder = self.clone();
        work_aside("remove a run's files", move || folder.remove_now(name)).await
    }

    fn remove_now(&self, name: &str) -> Result<(), PortError> {
        let path = self.path(name);
        let removed = if path.is_dir() {
            std::fs::remove_dir_all(&path)
        } else {
            std::fs::remove_file(&path)
        };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(self.broken(name, &error)),
            _ => Ok(()),
        }
    }

    /// Writes all that Ansible reads.
    pub(super) fn write_inputs(
        &self,
        run: &PlaybookRun,
        private_key: &Path,
    ) -> Result<(), PortError> {
        if run.target.host_keys.is_empty() {
            return Err(PortError::permanent(
                ErrorCode::HostKeyUnknown,
                "the machine's SSH host keys are not known",
            ));
        }
        if !run.variables.is_object() {
            return Err(PortError::permanent(
                ErrorCode::InvalidVariables,
                "a playbook's variables are a JSON object",
            ));
        }
        // Inventory facts come after such variables: one of them could send the play elsewhere.
        let members = run.variables.as_object().into_iter().flatten();
        if let Some((name, _)) = members.into_iter().find(|(name, _)| is_ansibles_own(name)) {
            let text = format!("the variable `{name}` is Ansible's own, and can't be set here");
            return Err(PortError::permanent(ErrorCode::InvalidVariables, text));
        }
        let limits = [run.line_timeout, run.total_timeout].map(|limit| limit.as_secs_f64());
        self.write("wrapper.py", include_str!("wrapper.py"))?;
        std::fs::create_dir_all(self.path("plays"))
            .map_err(|error| self.broken("plays", &error))?;
        self.write("plays/ocim_plays.py", include_str!("plays.py"))?;
        self.write("limits.json", &json!(limits).to_string())?;
        self.write("known_hosts", &known_hosts(run))?;
        self.write("inventory.json", &self.inventory(run, private_key).to_string())?;
        self.write("machine_lock.json", &self.machine_lock(run, private_key).to_string())?;
        self.write("variables.json", &run.variables.to_string())
    }

    /// The machine in the first of its groups; each further group is the parent of the one before
    /// (core §7.2). JSON, so that no name can be taken for something else.
    fn inventory(&self, run: &PlaybookRun, private_key: &Path) -> Value {
        let address = &run.target.address;
        // Quoted for ssh, whose option is a list, and then for Ansible, which splits as a shell does.
        let known_hosts = format!("UserKnownHostsFile={}", quote_path(&self.path("known_hosts")));
        let known_hosts = format!("'{}'", known_hosts.replace('\'', r"'\''"));
        let mut variables = json!({
            "ansible_host": address.ip,
            "ansible_port": address.ssh_port,
            "ansible_user": address.ssh_user,
            "ansible_ssh_private_key_file": private_key,
            "ansible_ssh_common_args": format!(
                "-F none -o IdentitiesOnly=yes -o StrictHostKeyChecking=yes \
                 -o {known_hosts} -o GlobalKnownHostsFile=/dev/null",
            ),
            "ocim_may_become_root": address.may_become_root,
            "ocim_run_key": run.key,
        });
        if matches!(run.source, Source::Bundled(_)) {
            variables["ansible_python_interpreter"] = BUNDLED_INTERPRETER.into();
        }
        let mut hosts = serde_json::Map::new();
        hosts.insert(address.ip.to_string(), variables);
        let mut group = json!({ "hosts": hosts });
        for name in &run.target.groups {
            let mut children = serde_json::Map::new();
            children.insert(name.clone(), group);
            group = json!({ "children": children });
        }
        json!({ "all": group })
    }

    /// How the wrapper locks the machine: another play may still run there that another folder knows.
    fn machine_lock(&self, run: &PlaybookRun, private_key: &Path) -> Value {
        let address = &run.target.address;
        let known_hosts = format!("UserKnownHostsFile={}", quote_path(&self.path("known_hosts")));
        let key = private_key.display().to_string();
        let (port, login) =
            (address.ssh_port.to_string(), format!("{}@{}", address.ssh_user, address.ip));
        let mut command = vec!["ssh", "-F", "none", "-T", "-i", &key, "-p", &port];
        for option in [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            &known_hosts,
            "GlobalKnownHostsFile=/dev/null",
            "ConnectTimeout=30",
            "ServerAliveInterval=15",
            "ServerAliveCountMax=4",
            "ControlMaster=no",
            "ControlPath=none",
        ] {
            command.extend(["-o", option]);
        }
        let script = LOCK_SCRIPT.replace("KEY", &run.key.to_string());
        let script = format!("exec sh -c '{script}'");
        command.extend([login.as_str(), &script]);
        json!({ "host": address.ip, "command": command })
    }

    /// Written under another name first: there is no half of it.
    fn write(&self, name: &str, text: &str) -> Result<(), PortError> {
        let partial = self.path(&format!("{name}.new"));
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| std::fs::rename(&partial, self.path(name)))
            .map_err(|error| self.broken(name, &error))
    }

    /// Whether the run was ever given to its wrapper, or cancelled before.
    pub(super) fn is_started(&self) -> bool {
        self.path("started").is_dir()
    }

    /// Takes the run, as its wrapper would.
    pub(super) fn claim(&self) -> Result<(), PortError> {
        match std::fs::create_dir(self.path("started")) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                Err(self.broken("started", &error))
            }
            _ => Ok(()),
        }
    }

    /// Whether a process of the run still holds its lock.
    pub(super) fn is_alive(&self) -> Result<bool, PortError> {
        let file = match File::open(self.path("lock")) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(self.broken("lock", &error)),
        };
        // Released at once; a wrapper that comes in this moment tries again.
        Ok(Flock::lock(file, FlockArg::LockSharedNonblock).is_err())
    }

    pub(super) fn read_exit(&self) -> Option<i32> {
        std::fs::read_to_string(self.path("exit")).ok()?.trim().parse().ok()
    }

    /// Whether no play of the playbook found a host.
    pub(super) fn is_unmatched(&self) -> bool {
        self.path("unmatched").exists()
    }

    /// Which task the playbook failed at, where Ansible came to tell.
    pub(super) fn read_failure(&self) -> Option<TaskFailure> {
        serde_json::from_slice(&std::fs::read(self.path("failure")).ok()?).ok()
    }

    pub(super) fn read_timed_out(&self) -> Option<String> {
        std::fs::read_to_string(self.path("timed_out")).ok()
    }

    pub(super) fn write_timed_out(&self, reason: &str) -> Result<(), PortError> {
        self.write("timed_out", reason)
    }

    /// Which timeout has passed, if one has.
    pub(super) fn find_timeout(&self, spans: Spans) -> Result<Option<String>, PortError> {
        let text = std::fs::read_to_string(self.path("limits.json"))
            .map_err(|error| self.broken("limits.json", &error))?;
        let [line, total]: [f64; 2] = serde_json::from_str(&text).map_err(|error| {
            PortError::permanent(
                ErrorCode::UnreadableRecord,
                format!("limits.json of the run: {error}"),
            )
        })?;
        if spans.running > Duration::from_secs_f64(total) {
            return Ok(Some(format!("it ran for more than {total} s")));
        }
        if spans.silent > Duration::from_secs_f64(line) {
            return Ok(Some(format!("it printed nothing for {line} s")));
        }
        Ok(None)
    }

    /// How many bytes its wrapper has heard of it by now; unlike the output's length, with those of
    /// lines that have not ended yet.
    pub(super) fn count_heard(&self) -> u64 {
        let text = std::fs::read_to_string(self.path("heard"));
        text.ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Whole lines from `offset` on, as the port says.
    pub(super) fn read_output(&self, offset: u64) -> Result<(Vec<OutputLine>, u64), PortError> {
        // Asked before the read: what a run writes before its end is then in it.
        let is_over = !self.is_alive()?;
        let mut file = match File::open(self.path("output")) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((Vec::new(), offset)),
            Err(error) => return Err(self.broken("output", &error)),
        };
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(offset)).map_err(|error| self.broken("output", &error))?;
        // A line may be longer than one read.
        loop {
            let got = (&file)
                .take(READ_BYTES)
                .read_to_end(&mut bytes)
                .map_err(|error| self.broken("output", &error))?;
            if got == 0 || bytes.contains(&b'\n') {
                break;
            }
        }
        let whole = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if is_over => bytes.len(),
            None => 0,
        };
        bytes.truncate(whole);
        let mut end = offset;
        let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
            end += line.len() as u64;
            OutputLine { end, ..read_line(line) }
        });
        Ok((lines.collect(), offset + whole as u64))
    }

    fn broken(&self, name: &str, error: &std::io::Error) -> PortError {
        let text = format!("{}: {error}", self.path(name).display());
        PortError::transient(text).blamed_on(Blame::Other)
    }
}

/// The wrapper marks each line with its stream and the time.
fn read_line(line: &[u8]) -> OutputLine {
    let (mark, rest) = line.split_first().unwrap_or((&b'o', &[]));
    let rest = String::from_utf8_lossy(rest);
    let timed = rest.split_once(' ').and_then(|(millis, text)| Some((millis.parse().ok()?, text)));
    let (at, text) = match timed {
        Some((millis, text)) => (Timestamp::from_timestamp_millis(millis), text),
        None => (None, &*rest),
    };
    OutputLine { at, ..OutputLine::new(*mark == b'e', text.trim_end()) }
}

/// The keys as ssh looks them up: by address, with the port unless it is the usual one.
fn known_hosts(run: &PlaybookRun) -> String {
    let address = &run.target.address;
    let host = match (address.ssh_port, address.ip) {
        (22, IpAddr::V4(ip)) => ip.to_string(),
        (22, IpAddr::V6(ip)) => ip.to_string(),
        (port, ip) => format!("[{ip}]:{port}"),
    };
    let keys = run.target.host_keys.iter().filter(|key| !key.contains('\n'));
    keys.map(|key| format!("{host} {key}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(output: &[u8]) -> (tempfile::TempDir, RunFolder) {
        let runs = tempfile::tempdir().unwrap();
        let folder = RunFolder::new(runs.path(), Uuid::from_u128(7));
        folder.create().unwrap();
        std::fs::write(folder.path("output"), output).unwrap();
        (runs, folder)
    }

    fn line(end: u64, is_error: bool, text: &str) -> OutputLine {
        OutputLine { end, ..OutputLine::new(is_error, text) }
    }

    #[test]
    fn lines_tell_when_they_were_written() {
        let (_runs, folder) = folder_with(b"o1500 PLAY [a]\ne2500 \n");
        let (lines, _) = folder.read_output(0).unwrap();
        let times = lines.iter().map(|line| line.at.unwrap().timestamp_millis());
        assert!(times.eq([1500, 2500]));
        assert_eq!((lines[0].text.as_str(), lines[1].text.as_str()), ("PLAY [a]", ""));
    }

    #[test]
    fn whole_lines_are_read_with_their_stream() {
        let (_runs, folder) = folder_with("oaé  \nebad \u{1}\noha".as_bytes());
        std::fs::write(folder.path("lock"), "").unwrap();
        let held = File::open(folder.path("lock")).unwrap();
        let held = Flock::lock(held, FlockArg::LockExclusiveNonblock).unwrap();
        let (lines, offset) = folder.read_output(0).unwrap();
        assert_eq!(lines, [line(7, false, "aé"), line(14, true, "bad \u{1}")]);
        assert_eq!(folder.read_output(offset).unwrap(), (vec![], offset));
        drop(held);
        assert_eq!(folder.read_output(offset).unwrap().0, [line(17, false, "ha")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let (_runs, folder) = folder_with(b"oa\xff\xfeb\n");
        assert_eq!(folder.read_output(0).unwrap().0, [line(6, false, "a\u{fffd}\u{fffd}b")]);
    }

    #[test]
    fn long_output_comes_in_parts_and_a_long_line_whole() {
        let long = "x".repeat(600 * 1024);
        let text = format!("o{long}\n") + &"oshort\n".repeat(100_000);
        let (_runs, folder) = folder_with(text.as_bytes());
        let (mut lines, mut offset) = folder.read_output(0).unwrap();
        assert_eq!(lines[0].text.len(), long.len());
        while offset < text.len() as u64 {
            let (more, next) = folder.read_output(offset).unwrap();
            assert!(next > offset && next - offset <= READ_BYTES);
            lines.extend(more);
            offset = next;
        }
        assert_eq!(lines.len(), 100_001);
        assert!(lines[1..].iter().all(|line| line.text == "short"));
    }

    #[test]
    fn what_was_heard_of_a_run_is_what_its_wrapper_says() {
        let (_runs, folder) = folder_with(b"");
        assert_eq!(folder.count_heard(), 0, "its wrapper has only begun");
        std::fs::write(folder.path("heard"), "").unwrap();
        assert_eq!(folder.count_heard(), 0);
        std::fs::write(folder.path("heard"), "17").unwrap();
        assert_eq!(folder.count_heard(), 17);
    }

    #[test]
    fn a_run_is_late_by_its_spans_and_not_by_the_times_of_its_files() {
        let (_runs, folder) = folder_with(b"oha\n");
        std::fs::write(folder.path("limits.json"), "[60.0, 600.0]").unwrap();
        // As they look after the clock was set forward.
        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        for name in ["output", "limits.json"] {
            let file = OpenOptions::new().write(true).open(folder.path(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        let late = |running, silent| {
            let [running, silent] = [running, silent].map(Duration::from_secs);
            folder.find_timeout(Spans { running, silent }).unwrap()
        };
        assert_eq!(late(600, 60), None);
        assert_eq!(late(100, 61).unwrap(), "it printed nothing for 60 s");
        assert_eq!(late(601, 0).unwrap(), "it ran for more than 600 s");
    }
}
