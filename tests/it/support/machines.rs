//! The machines of a server's local cloud, seen from outside.

use super::ocim::{Ground, text};
use super::processes::{end_processes, find_descendants, list_pids, read};
use ocim_adapters::cloud::local::{LocalCloud, LocalCloudConfig};
use ocim_adapters::cloud::{Cloud, Machine};
use ocim_adapters::shell::Shell;
use ocim_adapters::shell::ssh::SshShell;
use serde_json::Value;
use std::time::Duration;

/// The file on a machine that makes its play wait.
const PLAY_HELD: &str = "~/play-held";
/// Where the demo site's play leaves a line each time it runs, for root and for others.
const MARKERS: &str = "/var/lib/ocim-demo/marker ~/ocim-demo/marker";

/// All machines there are, the balancer's included.
pub(crate) async fn list_machines(ground: &Ground) -> Vec<Machine> {
    open_cloud(ground).list_machines().await.unwrap()
}

/// The machines that belong to an appserver, by their names.
pub(crate) async fn list_machines_of(ground: &Ground, appserver: &str) -> Vec<Machine> {
    let servers = ground.get("/api/v1/servers").await;
    let of_it = |server: &&Value| server["appserver"] == appserver;
    let items = servers["items"].as_array().unwrap();
    let names: Vec<String> = items.iter().filter(of_it).map(|it| text(it, "name")).collect();
    assert!(names.len() <= 1, "{appserver} has the servers {names:?}");
    let all = list_machines(ground).await;
    all.into_iter().filter(|machine| names.contains(&machine.name)).collect()
}

/// The one machine of an appserver, once the read model knows its name.
pub(crate) async fn machine_of(ground: &Ground, appserver: &str) -> Machine {
    let what = format!("the machine of {appserver}");
    let mut machines = ground
        .wait_for(&what, async || {
            let machines = list_machines_of(ground, appserver).await;
            (!machines.is_empty()).then_some(machines)
        })
        .await;
    assert_eq!(machines.len(), 1, "{machines:?}");
    machines.remove(0)
}

/// The machine that the balancer runs on: no appserver has it.
pub(crate) async fn balancer_machine(ground: &Ground) -> Machine {
    let servers = ground.get("/api/v1/servers").await;
    let is_server = |machine: &Machine| {
        servers["items"].as_array().unwrap().iter().any(|server| server["name"] == machine.name)
    };
    let mut others = list_machines(ground).await;
    others.retain(|machine| !is_server(machine));
    assert_eq!(others.len(), 1, "{others:?}");
    others.remove(0)
}

/// What a command prints on a machine.
pub(crate) async fn run_on(ground: &Ground, machine: &Machine, command: &str) -> String {
    let shell = SshShell::new(ground.data().join("ssh/id_ed25519"), ground.root().join("ssh"));
    let address = machine.address.as_ref().unwrap();
    shell.run(address, &machine.host_keys, command, b"").await.unwrap().trim().to_owned()
}

/// Ends the machine's sshd with all of its sessions, at once; the machine itself goes on.
pub(crate) fn kill_sshd(machine: &Machine) {
    let address = machine.address.as_ref().unwrap();
    let listens = [format!("ListenAddress={}", address.ip), address.ssh_port.to_string()];
    let is_it = |pid: &i32| {
        let line = read(*pid, "cmdline");
        // It writes its command line anew, as one text.
        let words: Vec<_> = line.split(['\0', ' ']).collect();
        words.contains(&"-D") && listens.iter().all(|word| words.contains(&word.as_str()))
    };
    let sshd: Vec<_> = list_pids().into_iter().filter(is_it).collect();
    assert!(!sshd.is_empty(), "there is no sshd: {machine:?}");
    let sessions = sshd.iter().flat_map(|pid| find_descendants(*pid));
    let all: Vec<_> = sshd.iter().copied().chain(sessions).collect();
    end_processes(&all);
}

/// Makes the play of a machine wait.
pub(crate) async fn hold_play(ground: &Ground, machine: &Machine) {
    run_on(ground, machine, &format!("touch {PLAY_HELD}")).await;
}

/// Lets it go on.
pub(crate) async fn release_play(ground: &Ground, machine: &Machine) {
    run_on(ground, machine, &format!("rm {PLAY_HELD}")).await;
}

/// How often a play came to its marker on this machine.
pub(crate) async fn count_marks(ground: &Ground, machine: &Machine) -> usize {
    let marks = run_on(ground, machine, &format!("cat {MARKERS} 2>/dev/null || true")).await;
    marks.lines().count()
}

fn open_cloud(ground: &Ground) -> LocalCloud {
    LocalCloud::new(LocalCloudConfig {
        folder: ground.cloud(),
        region: "local".to_owned(),
        authorized_key: String::new(),
        hidden: vec![],
        isolation: None,
        account: "ubuntu".to_owned(),
        shutdown_timeout: Duration::from_secs(8),
    })
}
