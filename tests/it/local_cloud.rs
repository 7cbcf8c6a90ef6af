//! The local cloud with real machines, real sshd and the real `ssh` client.
//!
//! As root the tests exercise full isolation (overlay and namespaces), and run themselves again
//! as an ordinary user for the two kinds that ordinary users get. An ordinary user who runs them
//! exercises only what ordinary users get.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use ocim_adapters::cloud::local::{Isolation, LocalCloud, LocalCloudConfig, destroy_all};
use ocim_adapters::cloud::{Cloud, Machine, MachineSpec, Power};
use ocim_adapters::shell::Shell;
use ocim_adapters::shell::ssh::{SshShell, known_hosts_lines};
use ocim_domain::port_error::{Blame, Class};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(60);
/// A user whom the host does not know.
const TESTER: &str = "61234";

/// A data folder with a secret, a manager's key pair and a cloud, all removed at the end.
struct Lab {
    data: TempDir,
    isolation: Option<Isolation>,
    cloud: LocalCloud,
    shell: SshShell,
}

impl Lab {
    fn new(isolation: Option<Isolation>) -> Self {
        let data = scratch_folder();
        fs::write(data.path().join("secret"), "hush").unwrap();
        let key = data.path().join("key");
        let mut made = Command::new("ssh-keygen");
        made.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        assert!(made.arg(&key).status().unwrap().success());
        let shell = SshShell::new(&key, data.path().join("ssh"));
        let cloud = open_cloud(data.path(), isolation);
        Self { data, isolation, cloud, shell }
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join("cloud")
    }

    /// Another cloud object on the same folder, as after a restart.
    fn reopen(&self) -> LocalCloud {
        open_cloud(self.data.path(), self.isolation)
    }

    /// The same cloud, whose machines get so long to stop.
    fn with_shutdown(mut self, timeout: Duration) -> Self {
        let config = cloud_config(self.data.path(), self.isolation);
        let config = LocalCloudConfig { shutdown_timeout: timeout, ..config };
        self.cloud = LocalCloud::new(config);
        self
    }

    fn control(&self, file: &str, text: &str) {
        let control = self.folder().join("control");
        fs::create_dir_all(&control).unwrap();
        fs::write(control.join(file), text).unwrap();
    }

    async fn create(&self) -> Machine {
        self.cloud.create_machine(&spec(Uuid::from_u128(rand::random()))).await.unwrap()
    }

    async fn read(&self, machine: &Machine) -> Machine {
        self.cloud.read_machine(&machine.id).await.unwrap().unwrap()
    }

    /// Runs a command as soon as the machine can be logged in to.
    async fn run(&self, machine: &Machine, command: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let machine = self.read(machine).await;
            let address = machine.address.as_ref().unwrap();
            match self.shell.run(address, &machine.host_keys, command, b"").await {
                Ok(output) => return output.trim().to_owned(),
                Err(error) if Instant::now() > deadline => {
                    let console = self.cloud.read_console(&machine.id).await.unwrap();
                    panic!("{command}: {error}\n{console}");
                }
                Err(error) if error.class == Class::Permanent && !machine.host_keys.is_empty() => {
                    panic!("{command}: {error}");
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Runs a command until it prints what is wanted: what starts at boot starts beside sshd.
    async fn run_until(&self, machine: &Machine, command: &str, wanted: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.run(machine, command).await;
            if printed == wanted {
                return;
            }
            assert!(Instant::now() < deadline, "{command} printed {printed:?}, not {wanted:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn boot_id(&self, machine: &Machine) -> String {
        self.run(machine, "true").await;
        let machine = self.read(machine).await;
        self.shell.read_boot_id(&machine.address.unwrap(), &machine.host_keys).await.unwrap()
    }

    /// Waits for a boot id other than the one given.
    async fn next_boot_id(&self, machine: &Machine, old: &str) -> String {
        let machine = self.read(machine).await;
        let (address, keys) = (machine.address.unwrap(), machine.host_keys);
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.shell.read_boot_id(&address, &keys).await {
                Ok(new) if new != old => return new,
                _ => assert!(Instant::now() < deadline, "it does not come back"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let destroyed = destroy_all(&self.folder());
        if !std::thread::panicking() {
            destroyed.unwrap();
        }
    }
}

/// Not below `/tmp`, which machines never share: else hiding the folder would not be tested.
/// Only where that is not ours to write to, it is.
fn scratch_folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).or_else(|_| TempDir::new()).unwrap()
}

fn open_cloud(data: &Path, isolation: Option<Isolation>) -> LocalCloud {
    LocalCloud::new(cloud_config(data, isolation))
}

fn cloud_config(data: &Path, isolation: Option<Isolation>) -> LocalCloudConfig {
    LocalCloudConfig {
        folder: data.join("cloud"),
        region: "here".to_owned(),
        authorized_key: fs::read_to_string(data.join("key.pub")).unwrap(),
        hidden: vec![data.to_owned()],
        isolation,
        account: "ubuntu".to_owned(),
        shutdown_timeout: Duration::from_secs(8),
    }
}

fn spec(key: Uuid) -> MachineSpec {
    MachineSpec {
        key,
        name: "edxapp-alpha-1".to_owned(),
        flavor: serde_json::json!({}),
        image: serde_json::json!({}),
        keyname: String::new(),
        security_groups: vec![],
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs one test of this binary again as an ordinary user, whom only that run knows.
fn run_as_tester(test: &str) {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    fs::copy(std::env::current_exe().unwrap(), at("it")).unwrap();
    fs::create_dir(at("home")).unwrap();
    let passwd = fs::read_to_string("/etc/passwd").unwrap();
    let tester = format!("ocim-tester:x:{TESTER}:{TESTER}::{}:/bin/bash\n", at("home"));
    fs::write(at("passwd"), passwd + &tester).unwrap();
    // The mount is in a namespace that ends with the test.
    let script = r#"set -e
        chmod 755 "$1" && chown "$2:$2" "$1/home" && mount --bind "$1/passwd" /etc/passwd && cd "$1/home"
        exec setpriv --reuid="$2" --regid="$2" --clear-groups --reset-env "$1/it" --exact "$3" --nocapture"#;
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "bash", "-c", script, "as-tester"])
        .args([&folder.path().display().to_string(), TESTER, test])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "as tester:\n{text}");
}

/// Pids of the host's processes whose command line contains the text.
fn processes_with(text: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has_text = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    pids.filter(has_text).collect()
}

/// Everything that holds for all kinds of isolation, in the order of a machine's life.
async fn live_through(lab: &Lab) {
    let machine = lab.create().await;
    assert_eq!((machine.power, machine.name.as_str()), (Power::Active, "edxapp-alpha-1"));
    let key = machine.key.unwrap();
    assert_eq!(lab.run(&machine, "whoami").await, machine.address.clone().unwrap().ssh_user);
    let booted = lab.boot_id(&machine).await;
    assert_ne!(booted, fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap().trim());

    lab.run(&machine, "echo kept > ~/note").await;
    lab.run(
        &machine,
        r#"printf '#!/bin/sh\necho "$$ ran" >> ~/boots\necho service speaks\n' > $OCIM_BOOT_FOLDER/10-service
           chmod +x $OCIM_BOOT_FOLDER/10-service; echo exit 1 > $OCIM_BOOT_FOLDER/20-not-executable"#,
    )
    .await;
    for boots in ["1", "2"] {
        let before = lab.boot_id(&machine).await;
        lab.cloud.reboot_machine(&machine.id).await.unwrap();
        let after = lab.next_boot_id(&machine, &before).await;
        assert_ne!(after, booted);
        assert_eq!(lab.run(&machine, "cat ~/note").await, "kept");
        lab.run_until(&machine, "grep -c ran ~/boots || true", boots).await;
    }
    let read = lab.read(&machine).await;
    assert_eq!((read.power, read.host_keys.len()), (Power::Active, 1), "the host key stays");
    let console = lab.cloud.read_console(&machine.id).await.unwrap();
    assert_eq!(console.matches("-----BEGIN SSH HOST KEY KEYS-----").count(), 3, "{console}");
    assert!(console.contains(&read.host_keys[0]) && console.contains("service speaks"));

    let restarted = lab.reopen();
    assert_eq!(restarted.find_machine(key).await.unwrap(), Some(read.clone()));
    assert_eq!(restarted.create_machine(&spec(key)).await.unwrap(), read, "found, not made");
    assert_eq!(restarted.list_machines().await.unwrap(), std::slice::from_ref(&read));

    let mark = format!("86400.{}", rand::random::<u32>());
    lab.run(&machine, &format!("setsid sh -c 'trap \"\" TERM; sleep {mark}' > /dev/null 2>&1 &"))
        .await;
    let deadline = Instant::now() + PATIENCE;
    while processes_with(&mark).is_empty() {
        assert!(Instant::now() < deadline, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    restarted.delete_machine(&machine.id).await.unwrap();
    assert_eq!(processes_with(&mark), Vec::<u32>::new());
    assert_eq!(lab.cloud.find_machine(key).await.unwrap(), None);
    assert_eq!(lab.cloud.list_machines().await.unwrap(), []);
    lab.cloud.delete_machine(&machine.id).await.unwrap();
    for left in ["machines", "trash"] {
        assert_eq!(fs::read_dir(lab.folder().join(left)).unwrap().count(), 0, "{left}");
    }
}

/// What `tty` says in a login with a terminal, such as Ansible may ask for.
fn name_terminal(lab: &Lab, machine: &Machine) -> String {
    let address = machine.address.as_ref().unwrap();
    let known_hosts = lab.data.path().join("known_hosts");
    fs::write(&known_hosts, known_hosts_lines(address, &machine.host_keys)).unwrap();
    let output = Command::new("ssh")
        .args(["-F", "none", "-tt", "-o", "BatchMode=yes", "-o", "IdentityAgent=none", "-i"])
        .arg(lab.data.path().join("key"))
        .args(["-o", &format!("UserKnownHostsFile={}", known_hosts.display())])
        .args(["-p", &address.ssh_port.to_string(), "-l", &address.ssh_user])
        .args([&address.ip.to_string(), "tty"])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// What an ordinary user's machine may and may not.
async fn cannot_become_root(lab: &Lab) {
    let machine = lab.create().await;
    let address = machine.address.clone().unwrap();
    assert!(!address.may_become_root);
    assert_ne!(address.ssh_user, "root");
    assert_ne!(lab.run(&machine, "id -u").await, "0");
    let became = lab.run(&machine, "sudo -n id -u || su -c 'id -u' || echo no").await;
    assert_eq!(became, "no");
}

/// Nothing of the manager's is seen in there, and nothing from in there is seen outside.
async fn is_kept_apart(lab: &Lab) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let machine = lab.create().await;
    let data = lab.data.path().display();
    let look = format!("ls -A {data}; cat {data}/secret {data}/key || true");
    let list = lab.run(&machine, &look).await;
    assert!(!list.contains("hush") && !list.contains("PRIVATE KEY"), "{list}");
    assert!(!list.lines().any(|name| ["secret", "key", "key.pub"].contains(&name)), "{list}");
    let terminal = name_terminal(lab, &lab.read(&machine).await);
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let me = std::process::id();
    let see = format!("cat /proc/{me}/cmdline 2>/dev/null | tr '\\0' ' '; cat /proc/1/cmdline");
    let seen = lab.run(&machine, &see).await;
    assert!(!seen.contains(&std::env::current_exe().unwrap().display().to_string()), "{seen}");
    assert!(seen.contains("machine.sh"), "its first process is its own: {seen}");
    assert_eq!(lab.run(&machine, "hostname").await, "edxapp-alpha-1");
    let file = format!("/tmp/ocim-leak-{}", rand::random::<u64>());
    lab.run(&machine, &format!("touch {file}")).await;
    assert!(!Path::new(&file).exists());
    assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
}

#[tokio::test]
async fn a_machine_lives_reboots_is_found_again_and_goes() {
    live_through(&Lab::new(None)).await;
}

#[tokio::test]
async fn a_machine_of_an_ordinary_user_lives_and_is_kept_apart() {
    if is_root() {
        return run_as_tester("local_cloud::a_machine_of_an_ordinary_user_lives_and_is_kept_apart");
    }
    let lab = Lab::new(Some(Isolation::User));
    live_through(&lab).await;
    cannot_become_root(&lab).await;
    is_kept_apart(&lab).await;
}

#[tokio::test]
async fn a_machine_without_namespaces_lives() {
    if is_root() {
        return run_as_tester("local_cloud::a_machine_without_namespaces_lives");
    }
    let lab = Lab::new(Some(Isolation::Plain));
    live_through(&lab).await;
    cannot_become_root(&lab).await;
}

#[tokio::test]
async fn nothing_leaks_in_or_out() {
    let lab = Lab::new(None);
    is_kept_apart(&lab).await;
    if is_root() {
        let machine = &lab.cloud.list_machines().await.unwrap()[0];
        let name = format!("ocim-leak-{}", rand::random::<u64>());
        for folder in ["/etc", "/usr/local/bin", "/var/lib", "/root", "/home", "/run", "/dev/shm"] {
            let file = format!("{folder}/{name}");
            lab.run(machine, &format!("echo leak > {file} && cat {file}")).await;
            assert!(!Path::new(&file).exists(), "{file}");
        }
        let own = lab.run(machine, "cut -d' ' -f5 /proc/self/mountinfo").await;
        assert!(!own.contains("host") && !own.contains("upper"), "{own}");
        lab.run(machine, "id ubuntu && test -z \"$(ls /etc/ssh/ssh_host_* 2>/dev/null)\"").await;
        let ubuntu = ocim_adapters::cloud::Address {
            ssh_user: "ubuntu".to_owned(),
            ..machine.address.clone().unwrap()
        };
        let whoami = lab.shell.run(&ubuntu, &machine.host_keys, "whoami; pwd", b"").await.unwrap();
        assert_eq!(whoami, "ubuntu\n/home/ubuntu\n");
    }
}

#[tokio::test]
async fn a_stranger_at_the_address_is_refused() {
    let lab = Lab::new(None);
    let (one, two) = (lab.create().await, lab.create().await);
    lab.run(&one, "true").await;
    lab.run(&two, "true").await;
    let (one, two) = (lab.read(&one).await, lab.read(&two).await);
    let (here, there) = (one.address.unwrap(), two.address.unwrap());
    assert_ne!(here.ip, there.ip);
    for ip in [here.ip, there.ip] {
        assert!(ip.is_loopback() && ip.to_string() != "127.0.0.1", "{ip}");
    }
    let error = lab.shell.run(&here, &two.host_keys, "true", b"").await.unwrap_err();
    assert_eq!(error.class, Class::Permanent, "{error}");
    assert!(error.message.contains("host key"), "{error}");
    let known: Vec<_> = two.host_keys.iter().chain(&one.host_keys).cloned().collect();
    assert_eq!(lab.shell.run(&here, &known, "echo yes", b"").await.unwrap(), "yes\n");
}

#[tokio::test]
async fn many_creates_with_one_key_make_one_machine() {
    let lab = Lab::new(None);
    let spec = spec(Uuid::from_u128(rand::random()));
    let other = lab.reopen();
    let (a, b, c) = tokio::join!(
        lab.cloud.create_machine(&spec),
        other.create_machine(&spec),
        lab.cloud.create_machine(&spec)
    );
    let ids = [a.unwrap().id, b.unwrap().id, c.unwrap().id];
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(lab.cloud.list_machines().await.unwrap().len(), 1);
    let supervisors = processes_with(&format!("{}/machine.sh\0supervise", ids[0]));
    assert_eq!(supervisors.len(), 1);
}

#[tokio::test]
async fn a_create_that_a_crash_cut_short_is_finished_by_the_next() {
    let lab = Lab::new(None);
    let machine = lab.create().await;
    let spec = spec(machine.key.unwrap());
    let folder = lab.folder().join("machines").join(&machine.id);
    let record = fs::read(folder.join("machine.json")).unwrap();
    lab.cloud.delete_machine(&machine.id).await.unwrap();

    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("authorized_keys"), "half a k").unwrap();
    assert_eq!(lab.cloud.find_machine(spec.key).await.unwrap(), None, "no record, no machine");
    let again = lab.cloud.create_machine(&spec).await.unwrap();
    assert_eq!(lab.run(&again, "echo up").await, "up");
    let key = fs::read(folder.join("authorized_keys")).unwrap();
    lab.cloud.delete_machine(&machine.id).await.unwrap();

    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("authorized_keys"), key).unwrap();
    fs::write(folder.join("machine.json"), record).unwrap();
    assert_eq!(lab.read(&machine).await.power, Power::Building, "never powered on");
    let again = lab.cloud.create_machine(&spec).await.unwrap();
    assert_eq!((again.power, again.address), (Power::Active, machine.address.clone()));
    assert_eq!(lab.run(&machine, "echo up").await, "up");
}

#[tokio::test]
async fn a_removal_that_a_kill_cut_short_is_finished_at_the_next_start() {
    let lab = Lab::new(None);
    let machine = lab.create().await;
    let trash = lab.folder().join("trash");
    assert_eq!(lab.reopen().empty_trash().await.unwrap(), 0);
    // As a kill between the move and the removal leaves it: with what the site's files hold.
    let left = trash.join("local-00000000000070008000000000000001");
    fs::create_dir_all(left.join("disk/read-only")).unwrap();
    fs::write(left.join("disk/read-only/secrets.yml"), "hush").unwrap();
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o500);
    fs::set_permissions(left.join("disk/read-only"), closed).unwrap();
    fs::create_dir_all(trash.join("local-00000000000070008000000000000002")).unwrap();
    assert_eq!(lab.reopen().empty_trash().await.unwrap(), 2);
    assert_eq!(fs::read_dir(&trash).unwrap().count(), 0);
    assert_eq!(lab.run(&machine, "echo up").await, "up", "machines are left alone");
}

#[tokio::test]
async fn a_power_cut_keeps_the_disk() {
    let lab = Lab::new(None);
    let machine = lab.create().await;
    lab.run(&machine, "echo kept > ~/note").await;
    let before = lab.boot_id(&machine).await;
    let init = lab.folder().join("machines").join(&machine.id).join("supervisor");
    let pid = fs::read_to_string(init).unwrap();
    let pid = pid.split(' ').next().unwrap().parse::<i32>().unwrap();
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while lab.read(&machine).await.power != Power::Shutoff {
        assert!(Instant::now() < deadline, "it still runs");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let found = lab.cloud.create_machine(&spec(machine.key.unwrap())).await.unwrap();
    assert_eq!(found.power, Power::Shutoff, "what was stopped is not started by asking for it");
    lab.cloud.reboot_machine(&machine.id).await.unwrap();
    lab.next_boot_id(&machine, &before).await;
    assert_eq!(lab.run(&machine, "cat ~/note").await, "kept");
}

#[tokio::test]
async fn control_files_break_it() {
    let lab = Lab::new(None);
    lab.control("create_error", "No valid host was found.\n");
    let failed = lab.create().await;
    assert_eq!((failed.power, failed.address.clone()), (Power::Error, None));
    assert_eq!(failed.fault.as_deref(), Some("No valid host was found."));
    assert_eq!(lab.cloud.reboot_machine(&failed.id).await.unwrap_err().class, Class::Permanent);
    lab.cloud.delete_machine(&failed.id).await.unwrap();
    assert_eq!(lab.cloud.read_machine(&failed.id).await.unwrap(), None);
    fs::remove_file(lab.folder().join("control/create_error")).unwrap();

    lab.control("hold_boot", "");
    lab.control("never_ssh", "");
    let started = Instant::now();
    let mute = lab.create().await;
    assert_eq!((mute.power, mute.host_keys.len()), (Power::Active, 0), "still booting");
    fs::remove_file(lab.folder().join("control/hold_boot")).unwrap();
    while lab.read(&mute).await.host_keys.is_empty() {
        assert!(started.elapsed() < PATIENCE, "no host keys");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mute = lab.read(&mute).await;
    let login = lab.shell.run(&mute.address.unwrap(), &mute.host_keys, "true", b"").await;
    assert_eq!(login.unwrap_err().class, Class::Transient);
}

/// Runs on after it was asked to end.
const STUBBORN: &str = "trap '' TERM; (while :; do sleep 0.2; done) >/dev/null 2>&1 & echo ok";

#[tokio::test]
async fn a_machine_gets_the_time_to_stop_that_was_given_and_no_more() {
    let lab = Lab::new(None).with_shutdown(Duration::from_secs(11));
    let machine = lab.create().await;
    assert_eq!(lab.run(&machine, STUBBORN).await, "ok");
    let started = Instant::now();
    lab.cloud.delete_machine(&machine.id).await.unwrap();
    let left = lab.cloud.read_machine(&machine.id).await.unwrap();
    assert!(left.is_some(), "it was ended by force after {:?}", started.elapsed());
    // Others need not wait until it has stopped.
    let other = lab.create().await;
    while lab.cloud.read_machine(&machine.id).await.unwrap().is_some() {
        assert!(started.elapsed() < PATIENCE, "it does not go");
        lab.cloud.delete_machine(&machine.id).await.unwrap();
    }
    assert!(started.elapsed() >= Duration::from_secs(11), "{:?}", started.elapsed());
    assert!(lab.cloud.read_machine(&other.id).await.unwrap().is_some());
}

#[tokio::test]
async fn a_machine_may_get_no_time_to_stop() {
    let lab = Lab::new(None).with_shutdown(Duration::ZERO);
    let machine = lab.create().await;
    assert_eq!(lab.run(&machine, STUBBORN).await, "ok");
    lab.cloud.delete_machine(&machine.id).await.unwrap();
    assert_eq!(lab.cloud.read_machine(&machine.id).await.unwrap(), None);
}

/// What a play left on the host, which took it for a machine, until this is dropped.
struct Leftover(PathBuf);

impl Drop for Leftover {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[tokio::test]
async fn a_machine_does_not_begin_with_what_a_play_left_on_the_host() {
    if !is_root() {
        return; // The playbooks write there as root only.
    }
    let name = format!("left-{}", Uuid::from_u128(rand::random()));
    let places = ["/etc/ocim", "/var/lib/ocim-balancer", "/var/lib/ocim-demo"];
    let _left = places.map(|place| {
        let left = Path::new(place).join(&name);
        fs::create_dir_all(&left).unwrap();
        Leftover(left)
    });
    let lab = Lab::new(Some(Isolation::Full));
    let machine = lab.create().await;
    let seen = lab.run(&machine, "ls -d /etc/ocim/* /var/lib/ocim-*/* 2>/dev/null || true").await;
    assert!(seen.contains("/etc/ocim/boot.d") && !seen.contains("left-"), "{seen}");
    // What it makes itself is there after the next boot.
    assert_eq!(lab.run(&machine, "mkdir /var/lib/ocim-demo && echo made").await, "made");
    let before = lab.boot_id(&machine).await;
    lab.cloud.reboot_machine(&machine.id).await.unwrap();
    lab.next_boot_id(&machine, &before).await;
    assert_eq!(lab.run(&machine, "ls -d /var/lib/ocim-demo").await, "/var/lib/ocim-demo");
}

#[tokio::test]
async fn a_cloud_is_destroyed_whole() {
    let lab = Lab::new(None);
    let ids = [lab.create().await.id, lab.create().await.id];
    destroy_all(&lab.folder()).unwrap();
    for id in ids {
        assert_eq!(processes_with(&id), Vec::<u32>::new());
    }
    assert!(!lab.folder().exists());
    destroy_all(&lab.folder()).unwrap();
}

#[tokio::test]
async fn strange_ids_are_nobodys() {
    let lab = Lab::new(None);
    for id in
        ["", "local-", "../../etc", "local-../..", "local-00000000-0000-0000-0000-000000000000"]
    {
        assert_eq!(lab.cloud.read_machine(id).await.unwrap(), None, "{id}");
        lab.cloud.delete_machine(id).await.unwrap();
        assert_eq!(lab.cloud.reboot_machine(id).await.unwrap_err().class, Class::Permanent);
    }
    assert!(lab.cloud.lacks_security_groups().unwrap().contains("no security groups"));
    assert!(!lab.cloud.find_security_groups(&["ssh".to_owned()]).await.unwrap());
}

#[tokio::test]
async fn trouble_with_one_machine_is_not_charged_to_its_region() {
    let data = scratch_folder();
    fs::write(data.path().join("key.pub"), "ssh-ed25519 AAAA").unwrap();
    let cloud = open_cloud(data.path(), None);
    let (folder, id) = (data.path().join("cloud/machines"), format!("local-{:032x}", 7));
    fs::create_dir_all(folder.join(&id)).unwrap();
    fs::write(folder.join(&id).join("machine.json"), "not what was written").unwrap();
    let looked = cloud.read_machine(&id).await.map(drop);
    for outcome in [looked, cloud.reboot_machine(&id).await, cloud.delete_machine(&id).await] {
        let error = outcome.unwrap_err();
        assert_eq!((&error.class, error.blame), (&Class::Transient, Blame::Caller), "{error}");
    }
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "in the way").unwrap();
    let error = cloud.list_machines().await.unwrap_err();
    assert_eq!((&error.class, error.blame), (&Class::Transient, Blame::Provider), "{error}");
}
