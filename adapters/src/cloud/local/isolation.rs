//! How far a machine is kept apart from its host, and how the machine's script is run.

use nix::unistd::{User, geteuid, getgid, getuid};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

/// The script that supervises a machine and is the first process inside it.
const SCRIPT: &str = include_str!("machine.sh");

/// The script's name in a machine's folder.
const SCRIPT_FILE: &str = "machine.sh";

const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What every machine needs of its host.
const PROGRAMS: [&str; 6] = ["bash", "setsid", "unshare", "flock", "sshd", "ssh-keygen"];

/// Whom one logs in as where the host's name for the user does not matter.
const OWN_NAME: &str = "ocim";

/// How long the script may take for what is done at once.
const SHORT_SECONDS: &str = "20";

/// What the script is asked to do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Verb {
    /// Boot the machine and stay with it, in a session of its own that outlives ours.
    Supervise,
    /// See whether machines are possible.
    Probe,
    /// End what a dead machine left running.
    End,
}

impl Verb {
    fn word(self) -> &'static str {
        match self {
            Self::Supervise => "supervise",
            Self::Probe => "probe",
            Self::End => "end",
        }
    }
}

/// How far a machine is kept apart from its host. The network is shared in all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Needs root: mount, pid, uts and ipc namespaces over an overlay copy of `/`; one logs in
    /// as root or ubuntu.
    Full,
    /// An ordinary user's: the same namespaces and a user namespace over the host's own files,
    /// with a home, `/tmp`, processes and a name (`ocim`) of its own; one logs in as that user only.
    User,
    /// Where namespaces are forbidden: processes are known by a mark, and nothing is hidden.
    Plain,
}

impl Isolation {
    /// The strongest that is possible here. `folder` is where machines are to live.
    ///
    /// # Errors
    /// One sentence for people: what is missing. Root without overlays is refused, because what
    /// is meant for a machine would change the host.
    pub(super) fn detect(folder: &Path) -> Result<Self, String> {
        let missing = missing_programs();
        if !missing.is_empty() {
            return Err(format!(
                "machines need programs that are not installed: {}",
                missing.join(", ")
            ));
        }
        if geteuid().is_root() {
            return Self::Full.probe(folder).map(|()| Self::Full).map_err(|reason| {
                format!(
                    "root cannot mount overlays here, run as an ordinary user instead: {reason}"
                )
            });
        }
        Ok(if Self::User.probe(folder).is_ok() { Self::User } else { Self::Plain })
    }

    fn probe(self, folder: &Path) -> Result<(), String> {
        let place = folder.join(format!("probe-{}", std::process::id()));
        let outcome = fs::create_dir_all(&place)
            .and_then(|()| self.script(&place, Verb::Probe)?.stdout(Stdio::null()).output());
        // An overlay leaves a folder that even its owner may not read, but may remove.
        let removed = fs::remove_dir_all(&place);
        match outcome {
            Ok(output) if output.status.success() => removed.map_err(|error| error.to_string()),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Whom one logs in as.
    pub(super) fn ssh_user(self) -> String {
        match self {
            Self::Full => "root".to_owned(),
            // A name of its own: sshd takes some of the host's accounts, such as nobody, for locked.
            Self::User => OWN_NAME.to_owned(),
            Self::Plain => own_user().map_or(OWN_NAME.to_owned(), |user| user.name),
        }
    }

    /// A command that runs the machine's script in the machine's folder, with an environment of
    /// its own and nothing on standard input. Writes the script there first.
    pub(super) fn script(self, folder: &Path, verb: Verb) -> io::Result<Command> {
        let file = folder.join(SCRIPT_FILE);
        let new = file.with_extension("new");
        fs::write(&new, SCRIPT)?;
        fs::rename(&new, &file)?;
        let launcher: &[&str] = match verb {
            Verb::Supervise => &["setsid", "--fork", "bash"],
            Verb::Probe | Verb::End => &["timeout", SHORT_SECONDS, "bash"],
        };
        let mut command = Command::new(launcher[0]);
        command
            .args(&launcher[1..])
            .arg(file)
            .arg(verb.word())
            .current_dir(folder)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", own_home())
            .env("MACHINE_USER", self.ssh_user())
            .env("MACHINE_UID", getuid().to_string())
            .env("MACHINE_GID", getgid().to_string())
            .env("MACHINE_ISOLATION", self.word());
        Ok(command)
    }

    fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::User => "user",
            Self::Plain => "plain",
        }
    }
}

fn own_user() -> Option<User> {
    User::from_uid(getuid()).ok().flatten()
}

/// The home that a machine must not see; blank where there is none to speak of.
fn own_home() -> String {
    let home = own_user().map(|user| user.dir.display().to_string()).unwrap_or_default();
    if home == "/" { String::new() } else { home }
}

/// The programs that every machine needs, and that are not installed here.
#[must_use]
pub fn missing_programs() -> Vec<&'static str> {
    PROGRAMS.iter().copied().filter(|name| !is_installed(name)).collect()
}

fn is_installed(name: &str) -> bool {
    SEARCH_PATH.split(':').any(|folder| Path::new(folder).join(name).is_file())
}
