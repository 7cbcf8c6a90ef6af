//! A cloud on this very host: each machine is a folder, a loopback address and an sshd of its own.
//!
//! Machines outlive this process and are found again by their folders. See [`Isolation`] for how
//! far they are kept apart from the host, and `local/machine.sh` for what they do.
//!
//! Programs in a machine's boot folder are started at each boot, in order and in the background,
//! their output goes to the console. It is `/etc/ocim/boot.d` where one may become root; every
//! login finds it in the variable `OCIM_BOOT_FOLDER`. The network is the host's: services in a
//! machine listen on the machine's own address and HTTP port, never on all addresses.
//!
//! Tests and people break it through files in the cloud's `control` folder: `create_error` (its
//! text becomes the fault of machines made while it is there), `hold_boot` (machines boot no further
//! than their first line while it is there), `never_ssh`.

mod address;
mod isolation;
mod machine_folder;
mod process;

pub use isolation::{Isolation, missing_programs};

use crate::cloud::{Cloud, FloatingAddress, Machine, MachineSpec, Power, Quota, is_simulated};
use crate::file_work::work_aside;
use address::choose_place;
use async_trait::async_trait;
use machine_folder::{MachineFolder, Record, is_absent, remove_tree};
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use process::wait_until;
use serde_json::Value;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use uuid::Uuid;

/// How long one change waits for others to be done.
const LOCK_TIMEOUT: Duration = Duration::from_secs(120);

/// Why there are no security groups.
const NO_SECURITY_GROUPS: &str = "a local cloud has no security groups";

/// One local cloud.
#[derive(Debug, Clone)]
pub struct LocalCloudConfig {
    /// Where its machines live; of this cloud alone, made if absent. It needs room for what the
    /// machines write, and for [`Isolation::Full`] it must not lie on an overlay itself.
    pub folder: PathBuf,
    /// The region's name.
    pub region: String,
    /// The manager's public key, `ssh-ed25519 AAAA…`: who may log in.
    pub authorized_key: String,
    /// Folders that machines must not see, the manager's data folder first of all. The cloud's
    /// own folder need not be named.
    pub hidden: Vec<PathBuf>,
    /// `None` is the strongest that is possible here.
    pub isolation: Option<Isolation>,
    /// The account that a machine of root's gets, beside root, whom one logs in as.
    pub account: String,
    /// How long a machine may take to stop in an orderly way before it is ended by force.
    pub shutdown_timeout: Duration,
}

/// A [`Cloud`] of processes on this host. Cloning is cheap; several may share one folder.
#[derive(Debug, Clone)]
pub struct LocalCloud(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: LocalCloudConfig,
    isolation: OnceLock<Isolation>,
}

impl LocalCloud {
    /// The cloud in that folder, with the machines that are there already.
    #[must_use]
    pub fn new(config: LocalCloudConfig) -> Self {
        Self(Arc::new(Inner { config, isolation: OnceLock::new() }))
    }

    /// Removes for good what a kill in the middle of a removal left in the trash; tells how many
    /// machines' folders that were.
    ///
    /// # Errors
    /// The first folder that could not be removed; the others are removed all the same.
    pub async fn empty_trash(&self) -> Result<usize, PortError> {
        self.work("empty the trash", |cloud| {
            let folder = &cloud.config.folder;
            let _lock = lock(folder).map_err(failed("empty the trash"))?;
            empty_trash(folder).map_err(failed("empty the trash"))
        })
        .await
    }

    /// Runs work that blocks, away from the runtime's own threads.
    async fn work<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Inner) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, PortError> {
        let inner = Arc::clone(&self.0);
        work_aside(what, move || work(&inner)).await
    }
}

#[async_trait]
impl Cloud for LocalCloud {
    fn lacks_security_groups(&self) -> Option<&'static str> {
        Some(NO_SECURITY_GROUPS)
    }

    fn is_reachable_from(&self, balancer: IpAddr) -> bool {
        !is_simulated(balancer)
    }

    async fn ensure_security_groups(&self, _names: &[String]) -> Result<(), PortError> {
        Ok(())
    }

    async fn find_security_groups(&self, _names: &[String]) -> Result<bool, PortError> {
        Ok(false)
    }

    /// Its machines are folders of this computer: they come in one size.
    async fn check_selectors(&self, _: &Value, _: &Value) -> Result<(), PortError> {
        Ok(())
    }

    async fn read_quotas(&self, _: &Value) -> Result<Vec<Quota>, PortError> {
        Ok(vec![])
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError> {
        let (key, name) = (spec.key, spec.name.clone());
        self.work("create the machine", move |cloud| cloud.create_machine(key, &name)).await
    }

    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError> {
        self.read_machine(&id_of(key)).await
    }

    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError> {
        let id = id.to_owned();
        self.work("read the machine", move |cloud| {
            let Some(folder) = cloud.machine(&id) else { return Ok(None) };
            let record = folder.read_record().map_err(of_machine("read the machine"))?;
            Ok(record.map(|record| folder.describe(&record)))
        })
        .await
    }

    async fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        let id = id.to_owned();
        self.work("reboot the machine", move |cloud| cloud.reboot_machine(&id)).await
    }

    async fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        let id = id.to_owned();
        self.work("delete the machine", move |cloud| cloud.delete_machine(&id)).await
    }

    async fn read_console(&self, id: &str) -> Result<String, PortError> {
        let id = id.to_owned();
        self.work("read the console", move |cloud| {
            let folder = cloud.machine(&id).ok_or_else(|| no_such_machine(&id))?;
            folder.read_console().map_err(of_machine("read the console"))
        })
        .await
    }

    async fn list_floating_addresses(&self) -> Result<Vec<FloatingAddress>, PortError> {
        Ok(vec![])
    }

    async fn release_floating_address(&self, _: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        self.work("list the machines", |cloud| {
            let all = list_folders(&cloud.config.folder).map_err(failed("list the machines"))?;
            Ok(all.iter().map(Entry::describe).collect())
        })
        .await
    }
}

impl Inner {
    fn create_machine(&self, key: Uuid, name: &str) -> Result<Machine, PortError> {
        let what = "create the machine";
        let _lock = lock(&self.config.folder).map_err(failed(what))?;
        let isolation = self.isolation()?;
        let id = id_of(key);
        let folder = MachineFolder::new(machines(&self.config.folder).join(&id));
        let record = match folder.read_record().map_err(of_machine(what))? {
            Some(record) => record,
            None => {
                // What a crash left before the record was written is of no use.
                folder.remove(&trash(&self.config.folder)).map_err(failed(what))?;
                let record = self.new_record(id, key, name, isolation)?;
                folder.create(&record, &self.config.authorized_key).map_err(failed(what))?;
                record
            }
        };
        if record.fault.is_none() && !folder.was_started() {
            self.start(&folder, &record).map_err(failed("start the machine"))?;
        }
        Ok(folder.describe(&record))
    }

    fn new_record(
        &self,
        id: String,
        key: Uuid,
        name: &str,
        isolation: Isolation,
    ) -> Result<Record, PortError> {
        let what = "find a free address";
        let others = list_folders(&self.config.folder).map_err(failed(what))?;
        let is_taken = |ip: IpAddr| {
            others.iter().any(|other| other.record.as_ref().is_ok_and(|record| record.ip == ip))
        };
        let seed = format!("{} {key}", self.config.folder.display());
        let place = choose_place(&seed, is_taken).map_err(failed(what))?;
        let fault = fs::read_to_string(self.config.folder.join("control/create_error")).ok();
        Ok(Record {
            id,
            key,
            region: self.config.region.clone(),
            name: name.to_owned(),
            isolation,
            ip: place.ip,
            ssh_port: place.ssh_port,
            http_port: place.http_port,
            ssh_user: isolation.ssh_user(),
            fault: fault.map(|text| text.trim().to_owned()),
        })
    }

    fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        let what = "reboot the machine";
        let _lock = lock(&self.config.folder).map_err(failed(what))?;
        let folder = self.machine(id).ok_or_else(|| no_such_machine(id))?;
        let record = folder.read_record().map_err(of_machine(what))?;
        let record = record.ok_or_else(|| no_such_machine(id))?;
        if let Some(fault) = &record.fault {
            return Err(PortError::permanent(
                ErrorCode::MachineFailed,
                format!("machine {id} has failed: {fault}"),
            ));
        }
        if folder.request_reboot().map_err(of_machine(what))? {
            return Ok(());
        }
        folder.stop(&record).map_err(of_machine(what))?;
        self.start(&folder, &record).map_err(of_machine(what))
    }

    fn start(&self, folder: &MachineFolder, record: &Record) -> io::Result<()> {
        let Self { config: LocalCloudConfig { account, shutdown_timeout, .. }, .. } = self;
        folder.start(record, &self.hidden(), account, *shutdown_timeout)
    }

    fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        let what = "delete the machine";
        let _lock = lock(&self.config.folder).map_err(failed(what))?;
        let Some(folder) = self.machine(id) else { return Ok(()) };
        if let Some(record) = folder.read_record().map_err(of_machine(what))? {
            // Nobody else may wait for the lock as long as a machine may take to stop: whoever wants
            // it gone asks again.
            if folder.is_stopping(self.config.shutdown_timeout).map_err(of_machine(what))? {
                return Ok(());
            }
            folder.stop(&record).map_err(of_machine(what))?;
        }
        folder.remove(&trash(&self.config.folder)).map_err(of_machine(what))
    }

    /// The folder of the machine with that id; `None` for what can be no id of ours.
    fn machine(&self, id: &str) -> Option<MachineFolder> {
        let key = Uuid::try_parse(id.strip_prefix(ID_PREFIX)?).ok()?;
        (id_of(key) == id).then(|| MachineFolder::new(machines(&self.config.folder).join(id)))
    }

    /// Found out once, at the first machine.
    fn isolation(&self) -> Result<Isolation, PortError> {
        if let Some(known) = self.config.isolation.or(self.isolation.get().copied()) {
            return Ok(known);
        }
        let found = Isolation::detect(&self.config.folder)
            .map_err(|text| PortError::permanent(ErrorCode::ProgramMissing, text))?;
        Ok(*self.isolation.get_or_init(|| found))
    }

    /// Real paths of the folders that no machine may see.
    fn hidden(&self) -> Vec<PathBuf> {
        let own = std::iter::once(&self.config.folder);
        own.chain(&self.config.hidden).filter_map(|path| fs::canonicalize(path).ok()).collect()
    }
}

/// Ends and removes every machine of the cloud in `folder`, whoever made it; then the folder.
/// Absent is success. Blocks.
///
/// # Errors
/// The first machine that could not be removed; the others are removed all the same.
pub fn destroy_all(folder: &Path) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let lock = lock(folder)?;
    let mut outcome = Ok(());
    for Entry { machine, record, .. } in list_folders(folder)? {
        let stopped = record.and_then(|record| machine.stop(&record));
        outcome = outcome.and(stopped.and_then(|()| machine.remove(&trash(folder))));
    }
    outcome?;
    drop(lock);
    remove_tree(folder)
}

/// Stops every machine of the cloud in `folder`; their disks stay. Absent is success. Blocks.
///
/// # Errors
/// The first machine that could not be stopped; the others are stopped all the same.
pub fn stop_all(folder: &Path) -> io::Result<()> {
    stop_machines(folder, |_| true)
}

/// As [`stop_all`], but only the machines whose ids are wanted.
///
/// # Errors
/// As [`stop_all`].
pub fn stop_machines(folder: &Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let _lock = lock(folder)?;
    let wanted = list_folders(folder)?.into_iter().filter(|entry| is_wanted(&entry.id));
    let stop = |Entry { machine, record, .. }| record.and_then(|record| machine.stop(&record));
    wanted.map(stop).fold(Ok(()), io::Result::and)
}

/// A machine that was found in a cloud's folder.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// Name shown by the cloud; its id where that can't be read.
    pub name: String,
    /// Its region, where that can be read.
    pub region: Option<String>,
    /// Its address, where that can be read.
    pub ip: Option<IpAddr>,
    /// What it does.
    pub power: Power,
    /// Why it failed, or can't be read.
    pub fault: Option<String>,
}

/// Every machine of the cloud in `folder`; changes nothing. Absent is an empty cloud.
///
/// # Errors
/// When the folder can't be read.
pub fn list_all(folder: &Path) -> io::Result<Vec<Found>> {
    let show = |entry: &Entry| {
        let Machine { id, name, power, fault, .. } = entry.describe();
        let record = entry.record.as_ref().ok();
        let region = record.map(|record| record.region.clone());
        Found { id, name, region, ip: record.map(|record| record.ip), power, fault }
    };
    Ok(list_folders(folder)?.iter().map(show).collect())
}

const ID_PREFIX: &str = "local-";

/// The id follows from the key: so there cannot be two machines with one key.
fn id_of(key: Uuid) -> String {
    format!("{ID_PREFIX}{}", key.simple())
}

fn machines(folder: &Path) -> PathBuf {
    folder.join("machines")
}

fn trash(folder: &Path) -> PathBuf {
    folder.join("trash")
}

/// Removes what lies in the trash; whoever calls it holds the cloud's lock.
fn empty_trash(folder: &Path) -> io::Result<usize> {
    let entries = match fs::read_dir(trash(folder)) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = Ok(0);
    for entry in entries {
        let gone = entry.and_then(|entry| remove_tree(&entry.path()));
        removed = removed.and_then(|count| gone.map(|()| count + 1));
    }
    removed
}

/// Keeps everybody else, this process included, from changing the cloud until it is dropped.
fn lock(folder: &Path) -> io::Result<File> {
    fs::create_dir_all(folder)?;
    let file = File::create(folder.join("lock"))?;
    if wait_until(LOCK_TIMEOUT, || file.try_lock().is_ok()) {
        Ok(file)
    } else {
        Err(io::Error::other("another change takes too long"))
    }
}

/// A folder that is a machine, whether its record can be read or not.
struct Entry {
    id: String,
    machine: MachineFolder,
    record: io::Result<Record>,
}

impl Entry {
    fn describe(&self) -> Machine {
        match &self.record {
            Ok(record) => self.machine.describe(record),
            Err(error) => describe_unreadable(&self.id, error),
        }
    }
}

/// A machine of whose record nothing is known: it is there, and nobody else is the worse for it.
fn describe_unreadable(id: &str, error: &io::Error) -> Machine {
    Machine {
        id: id.to_owned(),
        key: id.strip_prefix(ID_PREFIX).and_then(|key| Uuid::try_parse(key).ok()),
        name: id.to_owned(),
        power: Power::Unknown,
        fault: Some(format!("its `machine.json` can't be read: {error}")),
        address: None,
        host_keys: vec![],
        made_at: None,
    }
}

fn list_folders(folder: &Path) -> io::Result<Vec<Entry>> {
    let entries = match fs::read_dir(machines(folder)) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        let machine = MachineFolder::new(entry.path());
        if let Some(record) = machine.read_record().transpose() {
            let id = entry.file_name().to_string_lossy().into_owned();
            all.push(Entry { id, machine, record });
        }
    }
    Ok(all)
}

/// That concerns the region: no other machine would fare better.
fn failed(what: &'static str) -> impl Fn(io::Error) -> PortError {
    move |error| PortError::transient(format!("could not {what}: {error}"))
}

/// That concerns one machine alone: processes of it that do not end, files of it that can't be read.
/// Its site is to blame; the region is well.
fn of_machine(what: &'static str) -> impl Fn(io::Error) -> PortError {
    move |error| failed(what)(error).blamed_on(Blame::Caller)
}

fn no_such_machine(id: &str) -> PortError {
    PortError::permanent(ErrorCode::MachineVanished, format!("there is no machine {id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str) -> Record {
        Record {
            id: id.to_owned(),
            key: Uuid::from_u128(1),
            region: "here".to_owned(),
            name: "edxapp-alpha-1".to_owned(),
            isolation: Isolation::Plain,
            ip: IpAddr::from([127, 1, 2, 3]),
            ssh_port: 22,
            http_port: 80,
            ssh_user: "root".to_owned(),
            fault: None,
        }
    }

    #[tokio::test]
    async fn one_record_that_cannot_be_read_hides_no_other_machine() {
        let data = tempfile::tempdir().unwrap();
        let [good, bad] = [1, 2].map(|key| id_of(Uuid::from_u128(key)));
        let good_folder = MachineFolder::new(machines(data.path()).join(&good));
        good_folder.create(&record(&good), "ssh-ed25519 KEY").unwrap();
        let bad_folder = machines(data.path()).join(&bad);
        fs::create_dir(&bad_folder).unwrap();
        fs::write(bad_folder.join("machine.json"), "{\"id\": ").unwrap();
        let cloud = LocalCloud::new(LocalCloudConfig {
            folder: data.path().to_owned(),
            region: "here".to_owned(),
            authorized_key: String::new(),
            hidden: vec![],
            isolation: Some(Isolation::Plain),
            account: String::new(),
            shutdown_timeout: Duration::ZERO,
        });
        let mut listed = cloud.list_machines().await.unwrap();
        listed.sort_by_key(|machine| machine.key);
        let powers: Vec<_> = listed.iter().map(|it| (it.id.as_str(), it.power)).collect();
        assert_eq!(powers, [(&*good, Power::Building), (&*bad, Power::Unknown)]);
        assert_eq!(listed[1].key, Some(Uuid::from_u128(2)), "its name tells whose it is");
        assert!(listed[1].fault.as_ref().unwrap().contains("machine.json"));
        let shown = list_all(data.path()).unwrap();
        assert_eq!(shown.iter().filter(|it| it.power == Power::Unknown).count(), 1);
        // What stops all machines tells of it, and stops the others.
        assert!(stop_all(data.path()).is_err());
        assert!(stop_machines(data.path(), |id| id == good).is_ok());
    }
}
