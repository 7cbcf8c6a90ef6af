//! Logs in to machines with the `ssh` client; the host's key is always checked.

use crate::cloud::Address;
use crate::program::{Output, Program, ProgramError};
use crate::shell::Shell;
use async_trait::async_trait;
use ocim_domain::error_chain::chain;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::text::decode_output;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;
use uuid::Uuid;

/// The most that a command may answer, in bytes.
const ANSWER_BYTES: usize = 4 << 20;
/// Default of [`SshShell::with_timeout`].
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// The exit status with which the client reports its own failures.
const CLIENT_FAILED: i32 = 255;
/// A machine whose kernel does not show a boot id of its own names it in the environment.
const READ_BOOT_ID: &str = r#"echo "${OCIM_BOOT_ID:-$(cat /proc/sys/kernel/random/boot_id)}""#;

/// The same for every login: no configuration of the user's or the host's, nothing interactive,
/// nothing forwarded.
const OPTIONS: [&str; 15] = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "VerifyHostKeyDNS=no",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "ForwardAgent=no",
    "ForwardX11=no",
    "ClearAllForwardings=yes",
    "ControlMaster=no",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
];

/// A [`Shell`] that runs the `ssh` client.
#[derive(Debug, Clone)]
pub struct SshShell {
    key_file: PathBuf,
    folder: PathBuf,
    timeout: Duration,
}

impl SshShell {
    /// `key_file` is the manager's private key; `folder`, made if absent, is where the known
    /// host keys are handed to the client.
    pub fn new(key_file: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self { key_file: key_file.into(), folder: folder.into(), timeout: COMMAND_TIMEOUT }
    }

    /// The longest that one command may take, login included. One minute by default.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    fn command(&self, address: &Address, known_hosts: &Path, command: &str) -> Program {
        let mut ssh = Program::new("ssh").of_package("openssh-client");
        ssh.args(["-F", "none", "-T"]);
        ssh.args(login_options(address, known_hosts, &self.key_file));
        ssh.args([&address.ip.to_string(), "--", command]);
        ssh
    }
}

/// A login by hand, on the terminal of whoever calls.
#[derive(Debug)]
pub struct Login {
    address: Address,
    key_file: PathBuf,
    known_hosts: KnownHosts,
}

impl Login {
    /// `folder` holds the manager's key, and for a while the host keys.
    ///
    /// # Errors
    /// When the host keys can't be written there.
    pub fn prepare(folder: &Path, address: &Address, host_keys: &[String]) -> io::Result<Self> {
        let known_hosts = KnownHosts::write(folder, address, host_keys)?;
        Ok(Self { address: address.clone(), key_file: folder.join("id_ed25519"), known_hosts })
    }

    /// Logs in: for a shell, or for one command, whose words reach the machine as they are. Blocks
    /// until it has ended.
    ///
    /// # Errors
    /// When there is no `ssh` client.
    pub fn run(self, command: &[String]) -> io::Result<ExitStatus> {
        let mut ssh = std::process::Command::new("ssh");
        ssh.args(["-F", "none", if command.is_empty() { "-t" } else { "-T" }]);
        ssh.args(login_options(&self.address, &self.known_hosts.0, &self.key_file));
        ssh.arg(self.address.ip.to_string());
        if !command.is_empty() {
            let words: Vec<String> = command.iter().map(|word| quote_word(word)).collect();
            ssh.args(["--", &words.join(" ")]);
        }
        ssh.status()
    }
}

/// How every login of ours is made.
fn login_options(address: &Address, known_hosts: &Path, key_file: &Path) -> Vec<String> {
    let files = [
        format!("UserKnownHostsFile={}", quote_path(known_hosts)),
        format!("IdentityFile={}", quote_path(key_file)),
    ];
    let options = OPTIONS.map(str::to_owned).into_iter().chain(files);
    let target = ["-p", &address.ssh_port.to_string(), "-l", &address.ssh_user].map(str::to_owned);
    options.flat_map(|option| ["-o".to_owned(), option]).chain(target).collect()
}

/// A word as a POSIX shell reads it back.
fn quote_word(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[async_trait]
impl Shell for SshShell {
    async fn run(
        &self,
        address: &Address,
        host_keys: &[String],
        command: &str,
        input: &[u8],
    ) -> Result<String, PortError> {
        let place = format!("{}:{}", address.ip, address.ssh_port);
        if host_keys.is_empty() {
            return Err(PortError::permanent(
                ErrorCode::HostKeyUnknown,
                format!("no host key of {place} is known"),
            ));
        }
        // A file for each login: two logins with different keys must not share one.
        let known_hosts = KnownHosts::write(&self.folder, address, host_keys)
            .map_err(|error| failed_here(format!("cannot write known_hosts: {error}")))?;
        let mut ssh = self.command(address, &known_hosts.0, command);
        match ssh.keep(ANSWER_BYTES).input(input).run_to_end(self.timeout).await {
            Ok(output) => read_output(&place, &output),
            Err(ProgramError::TimedOut { after, .. }) => Err(PortError::transient(format!(
                "a command on {place} took longer than {} s",
                after.as_secs()
            ))),
            Err(ProgramError::TooMuchOutput { limit, .. }) => {
                let text = format!("a command on {place} wrote more than {} MiB", limit >> 20);
                Err(PortError::permanent(ErrorCode::RemoteCommandFailed, text))
            }
            Err(error) => Err(explain_start(&error)),
        }
    }

    async fn read_boot_id(
        &self,
        address: &Address,
        host_keys: &[String],
    ) -> Result<String, PortError> {
        let output = self.run(address, host_keys, READ_BOOT_ID, b"").await?;
        let boot_id = output.trim();
        Uuid::try_parse(boot_id).map(|_| boot_id.to_owned()).map_err(|_| {
            PortError::permanent(
                ErrorCode::RemoteCommandFailed,
                format!("{} shows no boot id", address.ip),
            )
        })
    }
}

/// The `known_hosts` lines for a machine: `[ip]:port type key`, each with a line end.
///
/// Only the first two words of a key are taken, so that none can smuggle in a line of its own.
#[must_use]
pub fn known_hosts_lines(address: &Address, host_keys: &[String]) -> String {
    let host = match address.ssh_port {
        22 => address.ip.to_string(),
        port => format!("[{}]:{port}", address.ip),
    };
    let line = |key: &String| {
        let mut words = key.split_whitespace();
        Some(format!("{host} {} {}\n", words.next()?, words.next()?))
    };
    host_keys.iter().filter_map(line).collect()
}

/// A `known_hosts` file that goes when it is dropped.
#[derive(Debug)]
struct KnownHosts(PathBuf);

impl KnownHosts {
    fn write(folder: &Path, address: &Address, host_keys: &[String]) -> io::Result<Self> {
        use std::io::Write;
        std::fs::create_dir_all(folder)?;
        let name = format!("known_hosts-{}", rand::random::<u64>());
        let file = Self(folder.join(name));
        let mut options = std::fs::OpenOptions::new();
        let mut open = options.write(true).create_new(true).mode(0o600).open(&file.0)?;
        open.write_all(known_hosts_lines(address, host_keys).as_bytes())?;
        Ok(file)
    }
}

impl Drop for KnownHosts {
    fn drop(&mut self) {
        // What cannot be removed holds public keys only.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A path as the client's options take it: blanks are kept, `%` is no token.
pub(crate) fn quote_path(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('%', "%%"))
}

/// The `ssh` client could not be started.
fn explain_start(error: &ProgramError) -> PortError {
    match error {
        ProgramError::Missing { .. } => {
            let text = "the `ssh` client is not installed";
            PortError::permanent(ErrorCode::ProgramMissing, text).blamed_on(Blame::Other)
        }
        _ => failed_here(format!("cannot run the `ssh` client: {}", chain(error))),
    }
}

/// This machine failed; nobody was asked.
fn failed_here(text: String) -> PortError {
    PortError::transient(text).blamed_on(Blame::Other)
}

fn read_output(place: &str, output: &Output) -> Result<String, PortError> {
    if output.status.success() {
        return Ok(decode_output(&output.stdout));
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.trim().lines().last().unwrap_or("it said nothing").trim();
    match output.status.code() {
        Some(CLIENT_FAILED) if is_wrong_host_key(&errors) => Err(PortError::permanent(
            ErrorCode::HostKeyMismatch,
            format!(
                "the host key of {place} is not one that its cloud reported: somebody else answers there"
            ),
        )),
        Some(CLIENT_FAILED) => {
            Err(PortError::transient(format!("cannot log in at {place}: {last}")))
        }
        Some(status) => Err(PortError::permanent(
            ErrorCode::RemoteCommandFailed,
            format!("a command on {place} ended with status {status}: {last}"),
        )),
        None => Err(failed_here(format!("the login at {place} was killed"))),
    }
}

fn is_wrong_host_key(errors: &str) -> bool {
    ["Host key verification failed", "HOST IDENTIFICATION HAS CHANGED", "no matching host key"]
        .iter()
        .any(|text| errors.contains(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::port_error::Class;
    use std::os::unix::process::ExitStatusExt;

    fn address(ssh_port: u16) -> Address {
        Address {
            ip: "127.1.2.3".parse().unwrap(),
            ssh_port,
            http_port: 80,
            ssh_user: "root".to_owned(),
            may_become_root: true,
        }
    }

    #[test]
    fn known_hosts_name_the_port_unless_it_is_22() {
        let keys = ["ssh-ed25519 AAAA root@x".to_owned(), "ssh-rsa BBBB\nevil ssh-rsa CCCC".into()];
        assert_eq!(
            known_hosts_lines(&address(2222), &keys),
            "[127.1.2.3]:2222 ssh-ed25519 AAAA\n[127.1.2.3]:2222 ssh-rsa BBBB\n"
        );
        assert_eq!(known_hosts_lines(&address(22), &keys[..1]), "127.1.2.3 ssh-ed25519 AAAA\n");
        assert_eq!(known_hosts_lines(&address(22), &["nonsense".to_owned()]), "");
    }

    #[test]
    fn failures_are_told_apart_and_charged_to_whom_they_belong() {
        let judged = |error: PortError| (error.class, error.blame);
        let told = |status: i32, stderr: &str| {
            let status = ExitStatus::from_raw(status);
            let output = Output { status, stdout: vec![], stderr: stderr.as_bytes().to_vec() };
            read_output("127.1.2.3:22", &output).map_err(judged)
        };
        assert_eq!(told(0, "Warning: old"), Ok(String::new()));
        let (host, ours) = ((Class::Transient, Blame::Provider), (Class::Transient, Blame::Other));
        let refused = (Class::Permanent, Blame::Caller);
        for (status, stderr, expected) in [
            (255 << 8, "Host key verification failed.\r\n", refused.clone()),
            (255 << 8, "no matching host key type found", refused.clone()),
            (1 << 8, "cat: no such file", refused),
            (255 << 8, "connect: Connection refused\r\n", host.clone()),
            (255 << 8, "root@127.1.2.3: Permission denied (publickey).", host),
            (9, "", ours.clone()),
        ] {
            assert_eq!(told(status, stderr), Err(expected), "{status} {stderr}");
        }
        let program = || "ssh".to_owned();
        let missing = ProgramError::Missing { program: program(), package: None };
        let source = io::ErrorKind::OutOfMemory.into();
        let not_started = ProgramError::NotStarted { program: program(), source };
        assert_eq!(judged(explain_start(&missing)), (Class::Permanent, Blame::Other));
        assert_eq!(judged(explain_start(&not_started)), ours);
    }

    #[tokio::test]
    async fn what_this_machine_lacks_is_not_charged_to_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        std::fs::write(&in_the_way, "").unwrap();
        let shell = SshShell::new(folder.path().join("key"), &in_the_way);
        let keys = ["ssh-ed25519 AAAA".to_owned()];
        let error = shell.run(&address(22), &keys, "true", b"").await.unwrap_err();
        assert_eq!((&error.class, error.blame), (&Class::Transient, Blame::Other), "{error}");
    }

    #[tokio::test]
    async fn nobody_logs_in_without_a_host_key() {
        let folder = tempfile::tempdir().unwrap();
        let shell = SshShell::new(folder.path().join("key"), folder.path());
        let error = shell.run(&address(22), &[], "true", b"").await.unwrap_err();
        assert_eq!(error.class, Class::Permanent);
    }

    #[test]
    fn words_reach_the_machine_as_they_are() {
        for words in [&["a b", "it's", "$HOME", "*", ""][..], &["x\ny", "\"", "\\"][..]] {
            let line: Vec<_> = words.iter().map(|word| quote_word(word)).collect();
            let script = format!("printf '%s\\0' {}", line.join(" "));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            let read = String::from_utf8(output.stdout).unwrap();
            assert_eq!(read.split_terminator('\0').collect::<Vec<_>>(), words);
        }
    }

    #[test]
    fn paths_with_blanks_and_percent_signs_reach_the_client_whole() {
        assert_eq!(quote_path(Path::new("/a b/100%")), "\"/a b/100%%\"");
    }
}
