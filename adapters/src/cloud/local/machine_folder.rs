//! One machine as its folder tells it: what was asked for, where it listens, what it is doing.

use super::isolation::{Isolation, Verb};
use super::process::{Process, wait_until};
use crate::cloud::{Address, Machine, Power};
use nix::sys::signal::Signal;
use ocim_domain::text::decode_output;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

const RECORD_FILE: &str = "machine.json";
const CONSOLE_BYTES_MAX: u64 = 64 * 1024;

/// How long the supervisor may take to appear.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How long one call waits for an orderly stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// How long processes may take to go once they are killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(20);

/// What `machine.json` says. Its appearance is what makes a folder a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) key: Uuid,
    pub(super) region: String,
    pub(super) name: String,
    pub(super) isolation: Isolation,
    pub(super) ip: IpAddr,
    pub(super) ssh_port: u16,
    pub(super) http_port: u16,
    pub(super) ssh_user: String,
    /// Set when it never came to life.
    pub(super) fault: Option<String>,
}

impl Record {
    fn address(&self) -> Address {
        Address {
            ip: self.ip,
            ssh_port: self.ssh_port,
            http_port: self.http_port,
            ssh_user: self.ssh_user.clone(),
            may_become_root: self.isolation == Isolation::Full,
        }
    }
}

/// A name that may be a host's.
fn host_name(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = name.chars().take(63).map(allowed).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "machine".to_owned() } else { name.to_owned() }
}

/// A machine's folder. Whoever changes it holds the cloud's lock.
#[derive(Debug, Clone)]
pub(super) struct MachineFolder(PathBuf);

impl MachineFolder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The machine's record; `None` when there is no machine here.
    pub(super) fn read_record(&self) -> io::Result<Option<Record>> {
        match fs::read(self.0.join(RECORD_FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a machine of this folder; the record comes last.
    pub(super) fn create(&self, record: &Record, authorized_key: &str) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        fs::write(self.0.join("authorized_keys"), format!("{}\n", authorized_key.trim()))?;
        let new = self.0.join("machine.json.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(record)?)?;
        file.sync_all()?;
        fs::rename(new, self.0.join(RECORD_FILE))
    }

    /// The machine as the port wants it.
    pub(super) fn describe(&self, record: &Record) -> Machine {
        let host_keys = fs::read_to_string(self.0.join("host_keys")).unwrap_or_default();
        Machine {
            id: record.id.clone(),
            key: Some(record.key),
            name: record.name.clone(),
            power: self.power(record),
            fault: record.fault.clone(),
            address: record.fault.is_none().then(|| record.address()),
            host_keys: host_keys.lines().map(key_without_comment).collect(),
            made_at: None,
        }
    }

    fn power(&self, record: &Record) -> Power {
        if record.fault.is_some() {
            Power::Error
        } else if self.is_alive() {
            Power::Active
        } else if self.was_started() {
            Power::Shutoff
        } else {
            Power::Building
        }
    }

    /// Whether it was ever powered on.
    pub(super) fn was_started(&self) -> bool {
        self.0.join("supervisor").exists()
    }

    fn process(&self, file: &str) -> Option<Process> {
        Process::read(&self.0.join(file))
    }

    fn living(&self) -> impl Iterator<Item = Process> {
        ["supervisor", "init"]
            .into_iter()
            .filter_map(|file| self.process(file))
            .filter(|process| process.is_alive())
    }

    pub(super) fn is_alive(&self) -> bool {
        self.living().next().is_some()
    }

    /// Powers it on. `hidden` are the folders that it must not see, `account` is made in it, and its
    /// services get `grace` when it is powered off.
    pub(super) fn start(
        &self,
        record: &Record,
        hidden: &[PathBuf],
        account: &str,
        grace: Duration,
    ) -> io::Result<()> {
        let console = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.0.join("console.log"))?;
        let hidden: Vec<_> = hidden.iter().map(|path| path.display().to_string()).collect();
        self.script(record, Verb::Supervise)?
            .env("MACHINE_NAME", host_name(&record.name))
            .env("MACHINE_IP", record.ip.to_string())
            .env("MACHINE_SSH_PORT", record.ssh_port.to_string())
            .env("MACHINE_HIDDEN", hidden.join("\n"))
            .env("MACHINE_ACCOUNT", account)
            .env("MACHINE_GRACE", grace.as_secs().to_string())
            .stdout(console.try_clone()?)
            .stderr(console)
            .status()?;
        let started =
            wait_until(START_TIMEOUT, || self.process("supervisor").is_some_and(Process::is_alive));
        if started { Ok(()) } else { Err(io::Error::other("its supervisor did not start")) }
    }

    fn script(&self, record: &Record, verb: Verb) -> io::Result<std::process::Command> {
        let mut command = record.isolation.script(&self.0, verb)?;
        command.env("MACHINE_ID", &record.id);
        Ok(command)
    }

    /// Asks the running machine to restart. False when it does not run, or its first process is
    /// not there to be asked.
    pub(super) fn request_reboot(&self) -> io::Result<bool> {
        let supervised = self.process("supervisor").is_some_and(Process::is_alive);
        let has_init = || self.process("init").is_some_and(Process::is_alive);
        // Between two boots there is none for a moment.
        if !supervised || !wait_until(STOP_TIMEOUT, has_init) {
            return Ok(false);
        }
        if let Some(init) = self.process("init") {
            init.signal(Signal::SIGUSR1)?;
        }
        Ok(true)
    }

    /// Asks it to power off, once, and waits a little: whether it is still at it, with some of its
    /// `timeout` left. A time of zero leaves no time to ask.
    pub(super) fn is_stopping(&self, timeout: Duration) -> io::Result<bool> {
        let Some(init) = self.process("init").filter(|_| !timeout.is_zero()) else {
            return Ok(false);
        };
        let asked = self.0.join("stopping");
        if !asked.exists() {
            fs::write(&asked, "")?;
            init.signal(Signal::SIGTERM)?;
        }
        // A clock that was set back gives it the whole time again.
        let spent = || fs::metadata(&asked)?.modified().map(|at| at.elapsed().unwrap_or_default());
        let left = timeout.saturating_sub(spent()?);
        Ok(!wait_until(left.min(STOP_TIMEOUT), || !self.is_alive()) && spent()? < timeout)
    }

    /// Ends all that runs in it by force; what was not asked to end is asked first.
    pub(super) fn stop(&self, record: &Record) -> io::Result<()> {
        if let Some(init) = self.process("init").filter(|_| !self.0.join("stopping").exists()) {
            init.signal(Signal::SIGTERM)?;
            wait_until(STOP_TIMEOUT, || !self.is_alive());
        }
        for process in self.living() {
            // The supervisor leads the group of all that holds the namespaces; with the first
            // process the kernel ends everything in the pid namespace.
            process.signal_group(Signal::SIGKILL)?;
            process.signal(Signal::SIGKILL)?;
        }
        if !wait_until(KILL_TIMEOUT, || !self.is_alive()) {
            return Err(io::Error::other("its processes do not end"));
        }
        if record.isolation == Isolation::Plain && self.was_started() {
            self.script(record, Verb::End)?.status()?;
        }
        Ok(())
    }

    /// Removes the folder: at first from sight in one step, by moving it into `trash`.
    pub(super) fn remove(&self, trash: &Path) -> io::Result<()> {
        let Some(name) = self.0.file_name() else { return Ok(()) };
        fs::create_dir_all(trash)?;
        let place = trash.join(name);
        remove_tree(&place)?;
        match fs::rename(&self.0, &place) {
            Err(error) if !is_absent(&error) => Err(error),
            _ => remove_tree(&place),
        }
    }

    /// The end of the console's log.
    pub(super) fn read_console(&self) -> io::Result<String> {
        let mut file = match File::open(self.0.join("console.log")) {
            Ok(file) => file,
            Err(error) if is_absent(&error) => return Ok(String::new()),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(CONSOLE_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(CONSOLE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(decode_output(&bytes))
    }
}

/// `ssh-ed25519 AAAA…` of `ssh-ed25519 AAAA… comment`.
fn key_without_comment(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

pub(super) fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Removes a folder with all that is in it; absent is success. What the machine made read-only
/// is made writable first: an ordinary user could not remove it otherwise.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path)?;
            fs::remove_dir_all(path)
        }
        Err(error) if !is_absent(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Lets us into each folder of a tree, and change what is in it.
fn make_writable(folder: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(folder)?.permissions().mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode | 0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_has_letters_digits_and_hyphens() {
        assert_eq!(host_name("edxapp-alpha-1"), "edxapp-alpha-1");
        assert_eq!(host_name("été à la mer/"), "t----la-mer");
        assert_eq!(host_name("..."), "machine");
        assert_eq!(host_name(&"x".repeat(100)).len(), 63);
    }

    #[test]
    fn the_console_is_read_from_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let machine = MachineFolder::new(folder.path().to_owned());
        assert_eq!(machine.read_console().unwrap(), "");
        let text = "a".repeat(100_000) + "the end";
        fs::write(folder.path().join("console.log"), text).unwrap();
        let console = machine.read_console().unwrap();
        assert_eq!(console.len() as u64, CONSOLE_BYTES_MAX);
        assert!(console.ends_with("the end"));
    }

    #[test]
    fn a_folder_without_a_record_is_no_machine() {
        let folder = tempfile::tempdir().unwrap();
        let machine = MachineFolder::new(folder.path().join("machine"));
        assert_eq!(machine.read_record().unwrap(), None);
        fs::create_dir(folder.path().join("machine")).unwrap();
        assert_eq!(machine.read_record().unwrap(), None);
        machine.remove(&folder.path().join("trash")).unwrap();
        assert_eq!(fs::read_dir(folder.path().join("trash")).unwrap().count(), 0);
    }
}
