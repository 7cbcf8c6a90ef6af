//! Real servers that sites share, each private to its test: on a free port, in a folder of its own.

mod mariadb;
mod mongodb;
mod rabbitmq;

pub(crate) use self::mariadb::MariaDb;
pub(crate) use self::mongodb::MongoDb;
pub(crate) use self::rabbitmq::RabbitMq;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// As whom the peers are administered.
pub(crate) const ADMIN: &str = "ocim_admin";
pub(crate) const PASSWORD: &str = "peer-admin-password";
/// A busy computer starts them slowly.
const START: Duration = Duration::from_secs(120);

/// A program that runs in a process group of its own, and ends with this value.
#[derive(Debug)]
struct Program {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it says goes to a file in that folder.
    fn start(name: &'static str, mut command: Command, folder: &Path) -> Self {
        let log = folder.join(format!("{name}.log"));
        let output = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = std::os::unix::process::CommandExt::process_group(&mut command, 0)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}: run scripts/setup.sh --tests"));
        Self { name, child, log }
    }

    /// Sees that it has not ended.
    fn assert_runs(&mut self) {
        if let Some(ended) = self.child.try_wait().unwrap() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            panic!("{} has ended ({ended}): {said}", self.name);
        }
    }

    /// Waits until it is ready.
    fn await_ready(&mut self, mut is_ready: impl FnMut() -> bool) {
        let deadline = Instant::now() + START;
        while !is_ready() {
            self.assert_runs();
            if Instant::now() > deadline {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("{} is not ready: {said}", self.name);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Lets it stand still, or go on.
    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(-i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = Pid::from_raw(-i32::try_from(self.child.id()).unwrap());
        let _ = kill(group, Signal::SIGCONT);
        let _ = kill(group, Signal::SIGTERM);
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            if Instant::now() > deadline {
                let _ = kill(group, Signal::SIGKILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        // What it started, too.
        let _ = kill(group, Signal::SIGKILL);
    }
}

fn is_open(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// Runs a program to its end, which must be a good one.
fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}: run scripts/setup.sh --tests");
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Who the tests run as.
fn own_name() -> String {
    nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap().name
}
