//! Playbook runs in memory: each follows a script, one stage further at every look at its state.

use crate::faults::Faults;
use crate::playbooks::{OutputLine, Playable, PlaybookRun, Playbooks, RunState, Source};
use async_trait::async_trait;
use ocim_domain::ids::NAMESPACE;
use ocim_domain::port_error::{Class, PortError};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// All it prints, spread evenly over its life.
    pub output: Vec<OutputLine>,
    /// At which look at its state it turns out to have ended; 0 for a run that never ends.
    pub looks: u32,
    /// How it ends.
    pub end: RunState,
}

impl Default for Script {
    /// Prints one line, is seen running once, and succeeds.
    fn default() -> Self {
        let output = vec![OutputLine::new(false, "PLAY RECAP")];
        Self { output, looks: 2, end: RunState::Exited(0) }
    }
}

/// Runs playbooks by script.
#[derive(Debug, Default)]
pub struct FakePlaybooks {
    /// What is to fail.
    pub faults: Faults,
    state: Mutex<State>,
}

#[derive(Debug, Default, Clone)]
struct State {
    default_script: Script,
    scripts: BTreeMap<Uuid, Script>,
    runs: BTreeMap<Uuid, FakeRun>,
    /// Processes started, in order, forgotten ones included.
    started: Vec<PlaybookRun>,
    /// How long a start prepares before it has any effect.
    preparation: Duration,
    /// The commits of versions that were moved, by repository and version.
    commits: BTreeMap<(String, String), String>,
}

impl State {
    fn commit_of(&self, source: &Source) -> Option<String> {
        match source {
            Source::Bundled(_) => None,
            Source::Git { repository, version } => {
                let moved = self.commits.get(&(repository.clone(), version.clone()));
                Some(moved.cloned().unwrap_or_else(|| fake_commit(repository, version)))
            }
        }
    }
}

/// The id of a commit that a name means in a repository that there is not.
pub(crate) fn fake_commit(repository: &str, version: &str) -> String {
    let name = Uuid::new_v5(&NAMESPACE, format!("{repository} {version}").as_bytes());
    format!("{}00000000", name.simple())
}

#[derive(Debug, Clone)]
struct FakeRun {
    script: Script,
    looks: u32,
    state: RunState,
}

impl FakeRun {
    fn look(&mut self) -> RunState {
        if self.state == RunState::Running {
            self.looks += 1;
            if self.looks == self.script.looks {
                self.state = self.script.end.clone();
            }
        }
        self.state.clone()
    }

    fn end(&mut self, state: RunState) {
        if self.state == RunState::Running {
            self.state = state;
        }
    }

    /// What it has printed up to now.
    fn printed(&self) -> &[OutputLine] {
        let all = self.script.output.len();
        let has_ended_itself = self.state == self.script.end;
        let count = match self.script.looks {
            _ if has_ended_itself => all,
            0 => all,
            looks => all * self.looks as usize / looks as usize,
        };
        &self.script.output[..count]
    }
}

/// The lines from the offset on, and the offset after them: a line end is one byte.
pub(crate) fn read_printed(printed: &[OutputLine], offset: u64) -> (Vec<OutputLine>, u64) {
    let mut end = 0;
    let mut unread = Vec::new();
    for line in printed {
        let start = end;
        end += line.text.len() as u64 + 1;
        if start >= offset {
            unread.push(OutputLine { end, ..line.clone() });
        }
    }
    (unread, end.max(offset))
}

impl FakePlaybooks {
    /// Runs like these are now, which go their own way from here on.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self { faults: self.faults.fork(), state: Mutex::new(self.lock().clone()) }
    }

    /// The script of all later runs that have none of their own.
    pub fn set_default_script(&self, script: Script) {
        self.lock().default_script = script;
    }

    /// How long starts prepare (a clone, a virtual environment) from now on.
    pub fn set_preparation(&self, preparation: Duration) {
        self.lock().preparation = preparation;
    }

    /// Moves a branch or tag of a repository to that commit.
    pub fn move_version(&self, repository: &str, version: &str, commit: &str) {
        let name = (repository.to_owned(), version.to_owned());
        self.lock().commits.insert(name, commit.to_owned());
    }

    /// The script of the run that will be started with this key.
    pub fn set_script(&self, key: Uuid, script: Script) {
        self.lock().scripts.insert(key, script);
    }

    /// The processes of this run die without a word.
    pub fn lose_run(&self, key: Uuid) {
        if let Some(run) = self.lock().runs.get_mut(&key) {
            run.end(RunState::Lost);
        }
    }

    /// How often processes were started for this key: more than 1 is a run done twice.
    pub fn count_starts(&self, key: Uuid) -> usize {
        self.lock().started.iter().filter(|run| run.key == key).count()
    }

    /// Every run for which processes were started, in order.
    pub fn list_started(&self) -> Vec<PlaybookRun> {
        self.lock().started.clone()
    }

    /// The keys of the runs whose processes live.
    pub fn list_running(&self) -> Vec<Uuid> {
        let state = self.lock();
        let running = state.runs.iter().filter(|(_, run)| run.state == RunState::Running);
        running.map(|(key, _)| *key).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Playbooks for FakePlaybooks {
    async fn resolve_playbook(&self, wanted: Playable<'_>) -> Result<Option<String>, PortError> {
        self.faults.before("resolve_playbook").await?;
        let preparation = self.lock().preparation;
        if !preparation.is_zero() {
            tokio::time::sleep(preparation).await;
        }
        self.faults.after("resolve_playbook")?;
        Ok(self.lock().commit_of(wanted.source))
    }

    async fn start_playbook(&self, run: &PlaybookRun) -> Result<(), PortError> {
        self.faults.before("start_playbook").await?;
        let preparation = self.lock().preparation;
        if !preparation.is_zero() {
            tokio::time::sleep(preparation).await;
        }
        {
            let state = &mut *self.lock();
            if !state.runs.contains_key(&run.key) {
                let script = state.scripts.get(&run.key).unwrap_or(&state.default_script).clone();
                let fake = FakeRun { script, looks: 0, state: RunState::Running };
                state.runs.insert(run.key, fake);
                state.started.push(run.clone());
            }
        }
        self.faults.after("start_playbook")
    }

    async fn read_playbook(&self, key: Uuid) -> Result<RunState, PortError> {
        self.faults.before("read_playbook").await?;
        let state = self.lock().runs.get_mut(&key).map_or(RunState::Absent, FakeRun::look);
        self.faults.after("read_playbook")?;
        Ok(state)
    }

    async fn read_output(
        &self,
        key: Uuid,
        offset: u64,
    ) -> Result<(Vec<OutputLine>, u64), PortError> {
        self.faults.before("read_output").await?;
        let state = self.lock();
        let printed = state.runs.get(&key).map(FakeRun::printed).unwrap_or_default();
        Ok(read_printed(printed, offset))
    }

    async fn cancel_playbook(&self, key: Uuid) -> Result<(), PortError> {
        self.faults.before("cancel_playbook").await?;
        self.lose_run(key);
        self.faults.after("cancel_playbook")
    }

    async fn forget_playbook(&self, key: Uuid) -> Result<(), PortError> {
        self.faults.before("forget_playbook").await?;
        {
            let runs = &mut self.lock().runs;
            if runs.get(&key).is_some_and(|run| run.state == RunState::Running) {
                return Err(PortError::new(Class::Conflict, "the playbook is still running"));
            }
            runs.remove(&key);
        }
        self.faults.after("forget_playbook")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Address;
    use crate::faults::Fault;
    use crate::playbooks::Target;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    fn run(key: u128) -> PlaybookRun {
        let address = Address {
            ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ssh_port: 2222,
            http_port: 8080,
            ssh_user: "ubuntu".to_owned(),
            may_become_root: false,
        };
        PlaybookRun {
            key: Uuid::from_u128(key),
            source: Source::Bundled("site".to_owned()),
            playbook: "site.yml".to_owned(),
            requirements: "requirements.txt".to_owned(),
            target: Target { groups: vec!["app".to_owned()], address, host_keys: vec![] },
            variables: serde_json::json!({}),
            line_timeout: Duration::from_secs(1),
            total_timeout: Duration::from_secs(1),
            traceparent: None,
        }
    }

    fn script(looks: u32, end: RunState) -> Script {
        let line = |n: u32| OutputLine::new(n.is_multiple_of(2), format!("line {n}"));
        Script { output: (1..=4).map(line).collect(), looks, end }
    }

    #[tokio::test]
    async fn a_lost_reply_does_not_start_it_twice() {
        let fake = FakePlaybooks::default();
        fake.faults.fail("start_playbook", 1, Fault::After(Class::Ambiguous));
        let run = run(1);
        assert_eq!(fake.start_playbook(&run).await.unwrap_err().class, Class::Ambiguous);
        assert!(fake.start_playbook(&run).await.is_ok());
        assert_eq!((fake.count_starts(run.key), fake.list_running()), (1, vec![run.key]));
    }

    #[tokio::test]
    async fn it_prints_while_it_runs_and_each_line_is_read_once() {
        let fake = FakePlaybooks::default();
        let run = run(1);
        fake.set_script(run.key, script(2, RunState::Exited(2)));
        assert_eq!(fake.read_playbook(run.key).await.unwrap(), RunState::Absent);
        fake.start_playbook(&run).await.unwrap();

        assert_eq!(fake.read_playbook(run.key).await.unwrap(), RunState::Running);
        let (first, offset) = fake.read_output(run.key, 0).await.unwrap();
        assert_eq!((first.len(), offset), (2, 14));
        assert_eq!(fake.read_playbook(run.key).await.unwrap(), RunState::Exited(2));
        let (rest, offset) = fake.read_output(run.key, offset).await.unwrap();
        assert_eq!(rest.first().unwrap().text, "line 3");
        assert_eq!(fake.read_output(run.key, offset).await.unwrap(), (vec![], 28));
    }

    #[tokio::test]
    async fn an_endless_run_ends_by_cancel_and_can_then_be_forgotten() {
        let fake = FakePlaybooks::default();
        fake.set_default_script(script(0, RunState::Exited(0)));
        let run = run(1);
        fake.start_playbook(&run).await.unwrap();
        for _ in 0..10 {
            assert_eq!(fake.read_playbook(run.key).await.unwrap(), RunState::Running);
        }
        let refused = fake.forget_playbook(run.key).await.unwrap_err();
        assert_eq!(refused.class, Class::Conflict);
        fake.cancel_playbook(run.key).await.unwrap();
        assert_eq!(fake.read_playbook(run.key).await.unwrap(), RunState::Lost);
        fake.forget_playbook(run.key).await.unwrap();
        fake.forget_playbook(run.key).await.unwrap();
        assert_eq!(fake.read_playbook(run.key).await.unwrap(), RunState::Absent);
    }

    #[tokio::test]
    async fn a_run_that_has_ended_can_be_neither_cancelled_nor_lost() {
        let fake = FakePlaybooks::default();
        let end = RunState::TimedOut("no output for 1 s".to_owned());
        fake.set_default_script(script(1, end.clone()));
        let run = run(1);
        fake.start_playbook(&run).await.unwrap();
        assert_eq!(fake.read_playbook(run.key).await.unwrap(), end);
        fake.cancel_playbook(run.key).await.unwrap();
        fake.lose_run(run.key);
        assert_eq!(fake.read_playbook(run.key).await.unwrap(), end);
    }
}
