//! Runs Ansible in sessions of its own, which outlive this process. Port: [`super::Playbooks`].

mod answers;
mod environments;
mod git;
mod leftovers;
mod logins;
mod processes;
mod run_folder;
mod sources;
mod submodules;
mod tools;
mod watch;

use crate::file_work::work_aside;
use crate::playbooks::{OutputLine, Playable, PlaybookRun, Playbooks, RunState, Source};
use crate::program::Program;
use async_trait::async_trait;
use ocim_domain::port_error::{Blame, Class, PortError};
use run_folder::RunFolder;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tools::TellPort;
use uuid::Uuid;
use watch::Watches;

/// How long one start waits for another of the same run, which may be making its environment.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(60 * 60);
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);
/// The variable that marks every process of a run, wherever Ansible put it.
const RUN_KEY_VARIABLE: &str = "OCIM_RUN_KEY";
/// The variable that marks tools by the folder that they work in. A killed Ocim leaves them behind.
const TOOLS_VARIABLE: &str = "OCIM_TOOLS_OF";

/// What Ansible is run with.
#[derive(Debug, Clone)]
pub struct AnsibleConfig {
    /// Where mirrors, environments and runs are kept; absolute.
    pub folder: PathBuf,
    /// The SSH key that machines know.
    pub private_key: PathBuf,
    /// The Python that virtual environments are made with, e.g. `/usr/bin/python3`.
    pub python: PathBuf,
    /// Where pip finds packages without a network; `None` lets it ask its index.
    pub wheels_dir: Option<PathBuf>,
    /// Whom git logs in as at hosts of private repositories, over HTTPS.
    pub git_logins: Vec<GitLogin>,
    /// What git, pip and Ansible get of this process's environment; see [`pick_environment`].
    pub environment: Vec<(String, String)>,
}

/// The variables that tools need to find programs, files and the network. None of our own secrets.
pub fn pick_environment(all: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    const NAMES: [&str; 10] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "SSH_AUTH_SOCK",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "GIT_SSL_CAINFO",
        "XDG_CONFIG_HOME",
    ];
    all.filter(|(name, _)| {
        NAMES.contains(&name.as_str())
            || name.starts_with("PIP_")
            || name.to_ascii_lowercase().ends_with("_proxy")
    })
    .collect()
}

impl AnsibleConfig {
    /// A program that sees what of our environment it needs, and bears our mark.
    /// What it starts ends with it: requirements and repositories run code of strangers.
    fn tool(&self, path: &Path) -> Program {
        self.equip(Program::contained(path))
    }

    /// As [`AnsibleConfig::tool`], for what goes on without us.
    fn detached_tool(&self, path: &Path) -> Program {
        self.equip(Program::new(path))
    }

    fn equip(&self, mut program: Program) -> Program {
        program.envs(self.environment.iter().cloned()).env("LC_ALL", "C.UTF-8");
        program.env(TOOLS_VARIABLE, &self.folder);
        program
    }
}

pub use leftovers::{end_all_runs, end_orphaned_tools};
pub use logins::GitLogin;

/// The real [`Playbooks`].
#[derive(Debug)]
pub struct AnsiblePlaybooks {
    config: AnsibleConfig,
    watches: Watches,
}

impl AnsiblePlaybooks {
    /// Runs are found again by whoever uses the same folder.
    #[must_use]
    pub fn new(config: AnsibleConfig) -> Self {
        Self { config, watches: Watches::default() }
    }

    fn run_folder(&self, key: Uuid) -> RunFolder {
        RunFolder::new(&self.config.folder.join("runs"), key)
    }

    async fn launch(
        &self,
        run: &PlaybookRun,
        folder: &RunFolder,
        environment: &Path,
    ) -> Result<(), PortError> {
        let playbook = sources::find_file(&folder.path("source"), &run.playbook)?;
        let working_folder = playbook.parent().unwrap_or(Path::new("/"));
        let programs = environment.join("bin");
        let mut command = self.config.detached_tool(&self.config.python);
        command
            .env_remove(TOOLS_VARIABLE)
            .arg("-I")
            .arg(folder.path("wrapper.py"))
            .arg(folder.root());
        command.arg(folder.control()).arg(working_folder);
        command.arg(programs.join("ansible-playbook"));
        command.arg("--inventory").arg(folder.path("inventory.json"));
        let mut variables = std::ffi::OsString::from("@");
        variables.push(folder.path("variables.json"));
        command.arg("--extra-vars").arg(variables).arg(&playbook);

        let path = self.config.environment.iter().find(|(name, _)| name == "PATH");
        let path = path.map_or("/usr/bin:/bin", |(_, path)| path.as_str());
        command.env("PATH", format!("{}:{path}", programs.display()));
        command.env("VIRTUAL_ENV", environment).env(RUN_KEY_VARIABLE, run.key.to_string());
        if let Some(traceparent) = &run.traceparent {
            command.env("TRACEPARENT", traceparent);
        }
        let temporary = folder.path("tmp");
        for name in ["TMPDIR", "ANSIBLE_LOCAL_TEMP", "ANSIBLE_HOME"] {
            command.env(name, &temporary);
        }
        // What a source may say itself in its ansible.cfg is the wrapper's to add.
        command.envs([
            ("PYTHONUNBUFFERED", "1"),
            ("ANSIBLE_FORCE_COLOR", "0"),
            ("ANSIBLE_NOCOLOR", "1"),
            ("ANSIBLE_HOST_KEY_CHECKING", "1"),
            ("ANSIBLE_RETRY_FILES_ENABLED", "0"),
            ("ANSIBLE_INVENTORY_ENABLED", "yaml"),
            // Inventories have always said openedx-app, whatever Ansible thinks of hyphens.
            ("ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS", "ignore"),
        ]);
        tools::run_tool(command.outlived(), LAUNCH_TIMEOUT)
            .await
            .map_err(|error| error.transient("Ansible cannot be started"))?;
        Ok(())
    }

    /// Puts the source into `into`, looks for the files, and makes the environment, or for a play
    /// takes the one that the look before it has made; the commit of the source, and the environment.
    async fn prepare(
        &self,
        (source, playbook, requirements): (&Source, &str, &str),
        into: &Path,
        is_look: bool,
    ) -> Result<(Option<String>, PathBuf), PortError> {
        let commit = sources::fetch_source(&self.config, source, into, is_look).await?;
        for name in [playbook, requirements] {
            sources::find_file(into, name)?;
        }
        let (commit, root) = (commit.as_deref(), into);
        let wanted = environments::Wanted { source, commit, root, requirements, is_look };
        let environment = environments::ensure_environment(&self.config, &wanted).await?;
        Ok((commit.map(str::to_owned), environment))
    }

    async fn end(folder: &RunFolder) -> Result<(), PortError> {
        processes::end_processes(folder.key(), &folder.control()).await?;
        folder.remove_control();
        Ok(())
    }

    async fn stop_late(&self, folder: &RunFolder, reason: &str) -> Result<RunState, PortError> {
        // The reason is written first: whoever dies here is not taken for a run that was lost.
        folder.write_timed_out(reason)?;
        Self::end(folder).await?;
        Ok(RunState::TimedOut(reason.to_owned()))
    }
}

/// What the names of folders begin with that are needed for a moment only.
const SCRATCH_PREFIX: &str = "look-";

/// A folder that goes with the answer; at the latest at the next start, where we were killed.
fn make_scratch(config: &AnsibleConfig) -> Result<tempfile::TempDir, PortError> {
    let made = tempfile::Builder::new().prefix(SCRATCH_PREFIX).tempdir_in(&config.folder);
    made.map_err(|error| {
        let text = format!("{}: {error}", config.folder.display());
        PortError::transient(text).blamed_on(Blame::Other)
    })
}

/// How a run ended that has an exit status.
fn read_end(folder: &RunFolder) -> Option<RunState> {
    Some(match (folder.read_exit()?, folder.read_failure()) {
        (0, _) if folder.is_unmatched() => RunState::Unmatched,
        (0, _) => RunState::Exited(0),
        (status, Some(at)) => RunState::Failed { status, at },
        (status, None) => RunState::Exited(status),
    })
}

#[async_trait]
impl Playbooks for AnsiblePlaybooks {
    async fn resolve_playbook(&self, wanted: Playable<'_>) -> Result<Option<String>, PortError> {
        let folder = make_scratch(&self.config)?;
        let Playable { source, playbook, requirements, .. } = wanted;
        let wanted = (source, playbook, requirements);
        let (commit, _) = self.prepare(wanted, &folder.path().join("source"), true).await?;
        Ok(commit)
    }

    async fn start_playbook(&self, run: &PlaybookRun) -> Result<(), PortError> {
        let folder = self.run_folder(run.key);
        folder.create()?;
        let _lock = tools::lock_file(&folder.path("prepare.lock"), PREPARE_TIMEOUT).await?;
        if folder.is_started() {
            return Ok(());
        }
        folder.remove("source").await?;
        let PlaybookRun { source, playbook, requirements, .. } = run;
        let wanted = (source, playbook.as_str(), requirements.as_str());
        let (_, environment) = self.prepare(wanted, &folder.path("source"), false).await?;
        folder.write_inputs(run, &self.config.private_key)?;
        self.launch(run, &folder, &environment).await
    }

    async fn read_playbook(&self, key: Uuid) -> Result<RunState, PortError> {
        let folder = self.run_folder(key);
        if !folder.is_started() {
            return Ok(RunState::Absent);
        }
        if let Some(reason) = folder.read_timed_out() {
            // Whoever wrote it may have died before the end.
            return self.stop_late(&folder, &reason).await;
        }
        if let Some(ended) = read_end(&folder) {
            return Ok(ended);
        }
        if !folder.is_alive()? {
            // It may have ended between the two looks.
            return Ok(read_end(&folder).unwrap_or(RunState::Lost));
        }
        let spans = self.watches.look(key, folder.count_heard());
        match folder.find_timeout(spans)? {
            Some(reason) => self.stop_late(&folder, &reason).await,
            None => Ok(RunState::Running),
        }
    }

    async fn read_output(
        &self,
        key: Uuid,
        offset: u64,
    ) -> Result<(Vec<OutputLine>, u64), PortError> {
        let folder = self.run_folder(key);
        work_aside("read a run's output", move || folder.read_output(offset)).await
    }

    async fn cancel_playbook(&self, key: Uuid) -> Result<(), PortError> {
        let folder = self.run_folder(key);
        if !folder.exists() {
            return Ok(());
        }
        // A start that is still being prepared then finds its run taken.
        folder.claim()?;
        Self::end(&folder).await
    }

    async fn forget_playbook(&self, key: Uuid) -> Result<(), PortError> {
        let folder = self.run_folder(key);
        // With an exit status it is only something left behind that still lives.
        if folder.exists() && folder.is_alive()? && folder.read_exit().is_none() {
            let message = "the run still goes on: cancel it first";
            return Err(PortError::new(Class::Conflict, message));
        }
        self.watches.forget(key);
        folder.remove("variables.json").await?;
        // What a killed wrapper left; a run that is absent has nothing, and needs no look.
        if folder.exists() {
            Self::end(&folder).await?;
        }
        folder.remove("").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_get_no_secrets_of_ours() {
        let all = [("SECRET_KEY", "x"), ("DATABASE_URL", "x"), ("PATH", "/bin"), ("PIP_CERT", "c")];
        let picked = pick_environment(all.map(|(n, v)| (n.to_owned(), v.to_owned())).into_iter());
        let names: Vec<&str> = picked.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["PATH", "PIP_CERT"]);
    }
}
