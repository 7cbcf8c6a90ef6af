//! A real sshd on a free port whose logins get a home of their own, and Ansible to reach it.

use crate::support::ports::take_port;
use async_trait::async_trait;
use ocim_adapters::balancer::BalancerHost;
use ocim_adapters::cloud::Address;
use ocim_adapters::playbooks::ansible::{AnsibleConfig, AnsiblePlaybooks, pick_environment};
use ocim_adapters::shell::Shell;
use ocim_domain::port_error::PortError;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The machine; all that ran in it ends with it.
#[derive(Debug)]
pub(crate) struct PrivateSshd {
    folder: TempDir,
    sshd: Child,
    port: u16,
}

impl PrivateSshd {
    pub(crate) fn start() -> Self {
        // A data folder may have a blank in its path, and then everything here has.
        let folder = tempfile::Builder::new().prefix("a machine ").tempdir().unwrap();
        for key in ["host_key", "login_key"] {
            let path = folder.path().join(key);
            run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", path.to_str().unwrap()]);
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(path("home")).unwrap();
        std::fs::copy(path("login_key.pub"), path("authorized_keys")).unwrap();
        if nix::unistd::geteuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = take_port();
        let configuration = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey \"{}\"\nPidFile none\nUsePAM no\n\
             AuthorizedKeysFile \"{}\"\nStrictModes no\nPasswordAuthentication no\n\
             PermitRootLogin prohibit-password\nMaxStartups 100\nSubsystem sftp internal-sftp\n\
             SetEnv \"HOME={}\" \"OCIM_BOOT_FOLDER={}/boot.d\"\n",
            path("host_key"),
            path("authorized_keys"),
            path("home"),
            path("home"),
        );
        std::fs::write(path("sshd_config"), configuration).unwrap();
        let sshd = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f", &path("sshd_config")])
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(path("sshd.log")).unwrap())
            .spawn()
            .expect("sshd is installed");
        let machine = Self { folder, sshd, port };
        wait_for("sshd", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        machine
    }

    /// Nobody becomes root here: everything lies below [`Self::home`].
    pub(crate) fn address(&self, http_port: u16) -> Address {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
        Address {
            ip: Ipv4Addr::LOCALHOST.into(),
            ssh_port: self.port,
            http_port,
            ssh_user: user.name,
            may_become_root: false,
        }
    }

    pub(crate) fn host_keys(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("host_key.pub")).unwrap();
        vec![text.trim().to_owned()]
    }

    /// The machine as a balancer, on free ports.
    pub(crate) fn as_balancer(&self) -> BalancerHost {
        BalancerHost {
            domain: "balancer.localhost".into(),
            address: self.address(take_port()),
            host_keys: self.host_keys(),
            also_listens: None,
            https_port: Some(take_port()),
        }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A folder of the test's own.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ansible_config(&self) -> AnsibleConfig {
        let folder = self.folder.path().join("ansible");
        // Making the virtual environment takes a while and the network: all tests share it.
        let shared = Path::new(env!("CARGO_TARGET_TMPDIR")).join("environments");
        std::fs::create_dir_all(&shared).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        if !folder.join("environments").exists() {
            std::os::unix::fs::symlink(shared, folder.join("environments")).unwrap();
        }
        AnsibleConfig {
            folder,
            private_key: self.folder.path().join("login_key"),
            python: "/usr/bin/python3".into(),
            wheels_dir: None,
            git_logins: vec![],
            environment: pick_environment(std::env::vars()),
        }
    }

    pub(crate) fn playbooks(&self) -> Arc<AnsiblePlaybooks> {
        Arc::new(AnsiblePlaybooks::new(self.ansible_config()))
    }
}

impl Drop for PrivateSshd {
    fn drop(&mut self) {
        for file in ["ocim-balancer/run/haproxy.pid", "ocim-demo/pid"] {
            if let Ok(pid) = std::fs::read_to_string(self.home().join(file)) {
                let pid = nix::unistd::Pid::from_raw(pid.trim().parse().unwrap());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            }
        }
        self.sshd.kill().unwrap();
        self.sshd.wait().unwrap();
    }
}

#[async_trait]
impl Shell for PrivateSshd {
    async fn run(
        &self,
        _: &Address,
        _: &[String],
        command: &str,
        input: &[u8],
    ) -> Result<String, PortError> {
        use tokio::io::AsyncWriteExt;
        let known_hosts = self.folder.path().join("known_hosts");
        let known = format!("[127.0.0.1]:{} {}\n", self.port, self.host_keys()[0]);
        std::fs::write(&known_hosts, known).unwrap();
        let mut ssh = tokio::process::Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o"])
            .arg(format!("UserKnownHostsFile=\"{}\"", known_hosts.display()))
            .arg("-i")
            .arg(self.folder.path().join("login_key"))
            .args(["-p", &self.port.to_string(), "127.0.0.1", command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        ssh.stdin.take().unwrap().write_all(input).await.unwrap();
        let output = ssh.wait_with_output().await.unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8(output.stdout).unwrap()),
            false => Err(PortError::transient(String::from_utf8(output.stderr).unwrap())),
        }
    }

    async fn read_boot_id(&self, address: &Address, keys: &[String]) -> Result<String, PortError> {
        self.run(address, keys, "cat /proc/sys/kernel/random/boot_id", b"").await
    }
}

/// Runs a program to its end, which must be a good one.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Looks again and again, for a minute at most.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
