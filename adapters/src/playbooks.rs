//! Ansible runs that outlive this process. Real: [`ansible`]. Tests: [`fake`], [`simulated`].

pub mod ansible;
pub mod fake;
pub mod simulated;

use crate::breaker::{Answer, Asked, guarded};
use crate::cloud::Address;
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::port_error::PortError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// Where a playbook comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// One that ships inside this binary: the folder's name below `playbooks/`.
    Bundled(String),
    /// A git repository and a branch, tag or commit of it.
    Git {
        /// URL or path.
        repository: String,
        /// Branch, tag or commit.
        version: String,
    },
}

impl std::fmt::Display for Source {
    /// As people are told of it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bundled(name) => write!(f, "bundled:{name}"),
            Self::Git { repository, version } => write!(f, "{repository} at {version}"),
        }
    }
}

/// What has to be there before a playbook can run anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Playable<'a> {
    /// The region of the machine that it is for: a simulated one has playbooks of its own.
    pub region: &'a str,
    /// Where the playbook comes from.
    pub source: &'a Source,
    /// Its path inside the source.
    pub playbook: &'a str,
    /// Path of the pip requirements inside the source.
    pub requirements: &'a str,
}

/// One machine that a playbook works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Inventory groups it stands in, e.g. `openedx-app` with parent `app` (core §7.2).
    pub groups: Vec<String>,
    /// How to reach it.
    pub address: Address,
    /// The host keys it may show.
    pub host_keys: Vec<String>,
}

/// One run of one playbook.
#[derive(Clone, PartialEq)]
pub struct PlaybookRun {
    /// The same for all attempts: starting twice finds the first.
    pub key: Uuid,
    /// Where the playbook comes from.
    pub source: Source,
    /// Its path inside the source.
    pub playbook: String,
    /// Path of the pip requirements inside the source.
    pub requirements: String,
    /// The machine it works on.
    pub target: Target,
    /// Variables, a JSON object. Secret: only the run can read the file they go to.
    pub variables: Value,
    /// Longest silence (`ANSIBLE_LINE_TIMEOUT`).
    pub line_timeout: Duration,
    /// Longest run (`ANSIBLE_GLOBAL_TIMEOUT`).
    pub total_timeout: Duration,
    /// W3C trace context of the play, for callbacks that trace; `TRACEPARENT` in its environment.
    pub traceparent: Option<String>,
}

impl std::fmt::Debug for PlaybookRun {
    /// Without the variables, which hold passwords.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PlaybookRun")
            .field("key", &self.key)
            .field("source", &self.source)
            .field("playbook", &self.playbook)
            .finish_non_exhaustive()
    }
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputLine {
    /// When the run wrote it, where that is known.
    pub at: Option<Timestamp>,
    /// The offset after it.
    pub end: u64,
    /// True for standard error.
    pub is_error: bool,
    /// The line, UTF-8 with replacement, right-trimmed.
    pub text: String,
}

impl OutputLine {
    /// A line that nobody has read yet.
    #[must_use]
    pub fn new(is_error: bool, text: impl Into<String>) -> Self {
        Self { at: None, end: 0, is_error, text: text.into() }
    }
}

/// The task that a playbook failed at. The texts are Ansible's own, and may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// The task's name, with its role.
    pub task: String,
    /// The host as the inventory calls it.
    pub host: String,
    /// What the task said; it may have several lines.
    pub message: String,
}

/// How a run is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunState {
    /// No run with that key was ever started.
    Absent,
    /// Still going.
    Running,
    /// Ended by itself; 0 is success.
    Exited(i32),
    /// Ended by itself because a task failed, or its host could not be reached.
    Failed {
        /// Ansible's exit status.
        status: i32,
        /// Which task.
        at: TaskFailure,
    },
    /// Ended by itself, and well, but none of its plays found a host: nothing was done.
    Unmatched,
    /// Ended by a timeout of ours; the text says which.
    TimedOut(String),
    /// Its processes are gone and it left no exit status (a power cut, a kill -9 of its group).
    Lost,
}

/// Runs Ansible in process groups of their own, found again by key.
#[async_trait]
pub trait Playbooks: Send + Sync + std::fmt::Debug {
    /// Fetches the source and looks whether all is there and can be installed; nothing is started.
    /// The commit that its version means now, `None` where it ships inside this binary.
    ///
    /// Permanent where the repository, the version, a file or a requirement is wrong.
    async fn resolve_playbook(&self, wanted: Playable<'_>) -> Result<Option<String>, PortError>;

    /// Prepares and starts the run, or finds the one started before with the same key.
    async fn start_playbook(&self, run: &PlaybookRun) -> Result<(), PortError>;

    /// How it is doing; ends it when a timeout has passed.
    async fn read_playbook(&self, key: Uuid) -> Result<RunState, PortError>;

    /// Whole lines of output from byte `offset` on, at most about 256 KiB, and the offset after them.
    /// When the run has ended, a last line without a newline counts as whole.
    async fn read_output(
        &self,
        key: Uuid,
        offset: u64,
    ) -> Result<(Vec<OutputLine>, u64), PortError>;

    /// Ends the run's process group, and waits until it is gone. Absent is success.
    async fn cancel_playbook(&self, key: Uuid) -> Result<(), PortError>;

    /// Forgets a run that has ended: its files, variables first. Absent is success.
    async fn forget_playbook(&self, key: Uuid) -> Result<(), PortError>;
}

impl Answer for OutputLine {}
impl Answer for RunState {}

guarded! { Playbooks {} {
    resolve_playbook(wanted: Playable<'_>) -> Option<String>, orders host_of(wanted.source);
    start_playbook(run: &PlaybookRun) -> (), orders host_of(&run.source);
    read_playbook(key: Uuid) -> RunState, asks Asked::Nobody;
    read_output(key: Uuid, offset: u64) -> (Vec<OutputLine>, u64), asks Asked::Nobody;
    cancel_playbook(key: Uuid) -> (), asks Asked::Nobody;
    forget_playbook(key: Uuid) -> (), asks Asked::Nobody;
}}

/// Where a playbook comes from.
fn host_of(source: &Source) -> Asked {
    Asked::Provider(match source {
        Source::Bundled(name) => format!("playbooks bundled:{name}"),
        Source::Git { repository, .. } => format!("playbooks {}", without_login(repository)),
    })
}

/// A repository's URL without user and password: it goes into messages.
fn without_login(repository: &str) -> String {
    match (repository.split_once("://"), repository.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => repository.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_name_holds_no_password() {
        let cases = [
            ("https://user:secret@git.example.com/a.git", "https://git.example.com/a.git"),
            ("https://git.example.com/a.git", "https://git.example.com/a.git"),
            ("git@git.example.com:a.git", "git@git.example.com:a.git"),
        ];
        for (repository, shown) in cases {
            assert_eq!(without_login(repository), shown);
        }
    }
}
