//! The data folder, its disk, its SSH key, and the address to listen on.

use super::{Finding, fault};
use crate::cli::machines::list_regions;
use crate::config::Config;
use crate::data_folder::DataFolder;
use nix::sys::statvfs::statvfs;
use nix::unistd::{AccessFlags, access};
use ocim_adapters::cloud::Power;
use ocim_adapters::cloud::local::{Found, list_all};
use ocim_domain::error_chain::chain;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Less room than this, in MiB, and the first launch fills the disk.
const ROOM_MIN_MIB: u64 = 1024;

/// Looks at this machine's part.
pub(super) fn look(config: &Config) -> Vec<Finding> {
    let root = &config.data_dir;
    let running = DataFolder::find_server(root);
    let is_running = matches!(running, Ok(Some(_)));
    let server = match running {
        Ok(Some(record)) => Ok(format!("process {} answers at {}", record.pid, record.address)),
        Ok(None) => Ok(format!("none runs on {}", root.display())),
        Err(error) => Err(fault(chain(&error), "start the server anew")),
    };
    let mut findings = vec![
        Finding::new("data_folder", look_at_folder(root)),
        Finding::new("disk", look_at_disk(root)),
        Finding::new("server", server),
    ];
    if !is_running {
        findings.push(Finding::new("port", look_at_port(config)));
    }
    findings.extend(look_at_machines(config));
    if root.join("postgres").exists() {
        findings.push(Finding::new("ssh_key", look_at_key(root)));
    }
    findings
}

/// The nearest folder that exists: what is to come is made there.
fn nearest(root: &Path) -> &Path {
    root.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

fn look_at_folder(root: &Path) -> Result<String, super::Fault> {
    let place = nearest(root);
    if access(place, AccessFlags::W_OK | AccessFlags::X_OK).is_err() || !place.is_dir() {
        let says = format!("{} can't be written to", place.display());
        return Err(fault(says, "change its owner, or name another folder in OCIM_DATA_DIR"));
    }
    if place != root {
        return Ok(format!("{} is made by `ocim serve`", root.display()));
    }
    let is_used = std::fs::read_dir(root).is_ok_and(|mut entries| entries.next().is_some());
    if is_used && !root.join("lock").exists() {
        let says = format!("{} is not empty and no data folder of Ocim", root.display());
        return Err(fault(says, "name another folder in OCIM_DATA_DIR"));
    }
    Ok(root.display().to_string())
}

fn look_at_disk(root: &Path) -> Result<String, super::Fault> {
    let place = nearest(root);
    let disk = statvfs(place)
        .map_err(|error| fault(format!("can't be looked at: {error}"), "look at the disk"))?;
    let free = disk.blocks_available() * disk.fragment_size() / 1024 / 1024;
    if free < ROOM_MIN_MIB {
        let says = format!("{free} MiB are free at {}", place.display());
        return Err(fault(says, format!("make room: a launch needs {ROOM_MIN_MIB} MiB")));
    }
    Ok(format!("{free} MiB are free at {}", place.display()))
}

/// One finding for each local machine of which nothing can be known.
fn look_at_machines(config: &Config) -> Vec<Finding> {
    let regions = list_regions(config).unwrap_or_default();
    let machines = regions.iter().flat_map(|region| list_all(region).unwrap_or_default());
    let unknown = machines.filter(|machine| machine.power == Power::Unknown);
    let tell = |machine: Found| {
        let says = format!("{}: {}", machine.id, machine.fault.unwrap_or_default());
        let advice = "put its `machine.json` back; until then nothing is done to the machine";
        Finding::new("machine_unreadable", Err(fault(says, advice)))
    };
    unknown.map(tell).collect()
}

fn look_at_port(config: &Config) -> Result<String, super::Fault> {
    let address = SocketAddr::new(config.http_address, config.http_port);
    match TcpListener::bind(address) {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => Err(fault(
            format!("{address} can't be listened on: {error}"),
            "end who has it, or choose another with OCIM_HTTP_ADDRESS and OCIM_HTTP_PORT",
        )),
    }
}

fn look_at_key(root: &Path) -> Result<String, super::Fault> {
    let path = root.join("ssh/id_ed25519");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.contains("PRIVATE KEY") => Ok(path.display().to_string()),
        Ok(_) => {
            let says = format!("{} holds no private key", path.display());
            Err(fault(says, "put the right one back: no machine lets another one in"))
        }
        Err(error) => Err(fault(
            format!("{} can't be read: {error}", path.display()),
            "put it back: no machine lets another one in",
        )),
    }
}
