//! Playbooks of a simulated region: tasks that take their time, one of which may fail.

use crate::playbooks::fake::{fake_commit, read_printed};
use crate::playbooks::{
    OutputLine, Playable, PlaybookRun, Playbooks, RunState, Source, TaskFailure,
};
use crate::simulated::machine::SimulatedMachine;
use crate::simulated::{FaultKind, SimulatedRegion};
use async_trait::async_trait;
use ocim_domain::Timestamp;
use ocim_domain::port_error::{Class, PortError};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Ansible's exit status when a task failed.
const FAILED: i32 = 2;
/// Ansible's exit status when a machine could not be reached.
const UNREACHABLE: i32 = 4;

/// A playbook that was started, and how it will go.
#[derive(Debug)]
pub(crate) struct Play {
    /// The machine it works on.
    machine: Uuid,
    started_at: Timestamp,
    ends_at: Timestamp,
    status: i32,
    /// The task that it fails at.
    failure: Option<TaskFailure>,
    /// What it prints, spread evenly over its time.
    output: Vec<OutputLine>,
    /// The Appserver whose site is there when it has succeeded.
    site: Option<String>,
    cancelled: bool,
}

impl Play {
    /// When it ends and with which status; a machine that dies takes it along.
    fn end(&self, machines: &BTreeMap<Uuid, SimulatedMachine>) -> (Timestamp, i32) {
        let dies_at = machines.get(&self.machine).and_then(SimulatedMachine::dies_at);
        match dies_at.filter(|time| *time < self.ends_at) {
            Some(time) => (time, UNREACHABLE),
            None => (self.ends_at, self.status),
        }
    }

    fn state(&self, now: Timestamp, machines: &BTreeMap<Uuid, SimulatedMachine>) -> RunState {
        match self.end(machines) {
            (ends_at, status) if ends_at <= now => match &self.failure {
                Some(at) if status == FAILED => RunState::Failed { status, at: at.clone() },
                _ => RunState::Exited(status),
            },
            _ if self.cancelled => RunState::Lost,
            _ => RunState::Running,
        }
    }

    pub(crate) fn is_running(
        &self,
        now: Timestamp,
        machines: &BTreeMap<Uuid, SimulatedMachine>,
    ) -> bool {
        self.state(now, machines) == RunState::Running
    }

    /// What it has printed up to now.
    fn printed(&self, now: Timestamp) -> &[OutputLine] {
        let (gone, all) = (now - self.started_at, self.ends_at - self.started_at);
        let (gone, all) = (gone.num_milliseconds().max(0), all.num_milliseconds().max(1));
        let lines = i64::try_from(self.output.len()).unwrap_or(i64::MAX);
        let count = usize::try_from(lines.saturating_mul(gone) / all).unwrap_or(usize::MAX);
        &self.output[..count.min(self.output.len())]
    }
}

impl SimulatedRegion {
    /// How a playbook that starts now will go.
    fn plan_play(&self, run: &PlaybookRun, machine: Uuid) -> Play {
        let key = run.key.to_string();
        let tasks = self.dice.number(6, 20, &key, "tasks");
        let failing = self.trouble.failing_task(run.key, tasks);
        let last = failing.unwrap_or(tasks);
        let whole = self.dice.span(120, 2_400, &key, "play", 0);
        let took = self.scaled(whole).mul_f64(f64::from(last) / f64::from(tasks));
        let name = |task: u32| format!("simulated : {task} of {tasks}");
        let failure = failing.map(|task| TaskFailure {
            task: name(task),
            host: run.target.address.ip.to_string(),
            message: "it was to fail".to_owned(),
        });
        let mut output = vec![line(format!("PLAY [{}]", run.playbook))];
        output.extend((1..=last).map(|task| line(format!("TASK [{}]", name(task)))));
        if let Some(task) = failing {
            output.push(OutputLine::new(true, format!("fatal: task {task} failed")));
        }
        output.push(line("PLAY RECAP".to_owned()));
        let now = self.clock.now();
        Play {
            machine,
            started_at: now,
            ends_at: now + took,
            status: if failing.is_some() { FAILED } else { 0 },
            failure,
            output,
            site: run.variables["OCIM_APPSERVER_ID"].as_str().map(str::to_owned),
            cancelled: false,
        }
    }
}

fn line(text: String) -> OutputLine {
    OutputLine::new(false, text)
}

#[async_trait]
impl Playbooks for SimulatedRegion {
    async fn resolve_playbook(&self, wanted: Playable<'_>) -> Result<Option<String>, PortError> {
        self.ask(&wanted.source.to_string(), "resolve_playbook").await?;
        Ok(match wanted.source {
            Source::Bundled(_) => None,
            Source::Git { repository, version } => Some(fake_commit(repository, version)),
        })
    }

    async fn start_playbook(&self, run: &PlaybookRun) -> Result<(), PortError> {
        let call = self.act(&run.key.to_string(), "start_playbook").await?;
        {
            let mut state = self.lock();
            if !state.plays.contains_key(&run.key) {
                // A machine that nobody knows is one that does not answer.
                let machine = state.keys_by_ip.get(&run.target.address.ip).copied();
                let play = self.plan_play(run, machine.unwrap_or_default());
                state.plays.insert(run.key, play);
                *state.starts.entry(run.key).or_default() += 1;
            }
        }
        call.end().await
    }

    async fn read_playbook(&self, key: Uuid) -> Result<RunState, PortError> {
        self.ask(&key.to_string(), "read_playbook").await?;
        let now = self.clock.now();
        let state = &mut *self.lock();
        let Some(play) = state.plays.get(&key) else { return Ok(RunState::Absent) };
        let found = play.state(now, &state.machines);
        match found {
            RunState::Exited(0) => {
                if let Some(machine) = state.machines.get_mut(&play.machine) {
                    machine.site = play.site.clone().or_else(|| machine.site.take());
                }
            }
            RunState::Failed { .. } => self.trouble.strike_once(FaultKind::PlayFailed, key),
            _ => {}
        }
        Ok(found)
    }

    async fn read_output(
        &self,
        key: Uuid,
        offset: u64,
    ) -> Result<(Vec<OutputLine>, u64), PortError> {
        self.ask(&key.to_string(), "read_output").await?;
        let now = self.clock.now();
        let state = self.lock();
        let printed = state.plays.get(&key).map(|play| play.printed(now)).unwrap_or_default();
        Ok(read_printed(printed, offset))
    }

    async fn cancel_playbook(&self, key: Uuid) -> Result<(), PortError> {
        let call = self.act(&key.to_string(), "cancel_playbook").await?;
        if let Some(play) = self.lock().plays.get_mut(&key) {
            play.cancelled = true;
        }
        call.end().await
    }

    async fn forget_playbook(&self, key: Uuid) -> Result<(), PortError> {
        let call = self.act(&key.to_string(), "forget_playbook").await?;
        let now = self.clock.now();
        {
            let state = &mut *self.lock();
            if state.plays.get(&key).is_some_and(|play| play.is_running(now, &state.machines)) {
                return Err(PortError::new(Class::Conflict, "the playbook is still running"));
            }
            state.plays.remove(&key);
        }
        call.end().await
    }
}
