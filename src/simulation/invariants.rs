//! What must be true once all is at rest, whatever went wrong on the way.

mod lifecycle;
mod metadata;
mod monitors;
mod provisioned;

use super::people::People;
use super::stage::Stage;
use super::{SimulationError, Watch};
use crate::app::AppError;
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::decider::Decider;
use ocim_domain::event::DomainEvent;
use ocim_domain::ids::{InstanceId, RunId, ServerId};
use ocim_domain::instance::{self, Instance};
use ocim_domain::ledger::{Kind, Ledger, ResourceKey, Sight, ledger_id};
use ocim_domain::names::{self, Service};
use ocim_domain::saga::{Command, Event, Phase, Run, Saga, StuckCode, step_key};
use ocim_domain::server::{self, Server};
use ocim_engine::store::EventStore;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Steps that end stuck when a machine can't be deleted.
const DELETING_STEPS: [&str; 4] =
    ["create_server", "create_machine", "delete_server", "delete_servers"];

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which one.
    pub invariant: &'static str,
    /// The run, Appserver or machine that breaks it.
    pub subject: String,
    /// How.
    pub detail: String,
}

/// What is known at the end.
struct End<'a> {
    stage: &'a Stage,
    runs: BTreeMap<RunId, Run>,
    found: Vec<Violation>,
}

/// Everything that is wrong at the end.
pub(super) async fn check(
    stage: &Stage,
    people: &People,
    watch: &Watch,
) -> Result<Vec<Violation>, SimulationError> {
    let mut end = End { stage, runs: load_runs(stage, watch).await?, found: vec![] };
    for run in &watch.open {
        end.blame("every run is at rest", run, "it goes on for ever");
    }
    end.check_histories().await?;
    end.check_stuck().await?;
    end.check_machines().await?;
    for key in stage.region.played_twice() {
        end.blame("each playbook runs once", key, "it was started again");
    }
    for key in stage.region.running_plays() {
        end.blame("no playbook is left", key, "it is running");
    }
    for instance in &people.instances {
        end.check_instance(*instance).await?;
    }
    end.check_provisioned(&people.instances).await?;
    Ok(end.found)
}

/// Every run that was started, as its events tell.
pub(super) async fn load_runs(
    stage: &Stage,
    watch: &Watch,
) -> Result<BTreeMap<RunId, Run>, AppError> {
    let mut runs = BTreeMap::new();
    for run in &watch.all {
        if let Some(state) = stage.app.journal().load::<Saga>(&run.stream()).await?.state {
            runs.insert(*run, state);
        }
    }
    Ok(runs)
}

impl End<'_> {
    fn blame(&mut self, invariant: &'static str, subject: impl ToString, detail: impl ToString) {
        let (subject, detail) = (subject.to_string(), detail.to_string());
        self.found.push(Violation { invariant, subject, detail });
    }

    /// Each report of a run fits what the run was doing, and nothing follows its end.
    async fn check_histories(&mut self) -> Result<(), SimulationError> {
        let runs: Vec<RunId> = self.runs.keys().copied().collect();
        for run in runs {
            let mut state = None;
            for recorded in self.stage.store.read_stream(&run.stream(), 0).await? {
                let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)
                    .map_err(AppError::internal)?;
                if is_report(&event) {
                    let report = Command::Report(event.clone());
                    if let Err(why) = Saga::decide(&state, report, recorded.recorded_at) {
                        let detail =
                            format!("event {} ({}): {why}", recorded.version, recorded.kind);
                        self.blame("histories are legal", run, detail);
                    }
                }
                state = Saga::evolve(state, &event);
            }
        }
        Ok(())
    }

    /// Nobody is stuck but for machines that can't be deleted, and for processes that died again
    /// and again.
    async fn check_stuck(&mut self) -> Result<(), SimulationError> {
        for (id, run) in self.runs.clone() {
            let Phase::Stuck { step, why, code, .. } = &run.phase else { continue };
            if *code == StuckCode::CrashLoop && self.stage.crashes.count() > 0 {
                continue;
            }
            let machines = match step.as_str() {
                "delete_server" => vec![self.server_of(&run).await?],
                "delete_servers" => self.servers_of(&run).await?,
                _ => vec![step_key(id, step)],
            };
            let is_planned = DELETING_STEPS.contains(&step.as_str());
            if !is_planned || !machines.iter().any(|it| self.stage.region.is_undeletable(*it)) {
                let detail = format!("{} at {step}: {why}", run.definition);
                self.blame("runs are stuck only where undo fails for ever", id, detail);
            }
        }
        Ok(())
    }

    /// The machine's key of the Appserver that a run is about.
    async fn server_of(&self, run: &Run) -> Result<Uuid, SimulationError> {
        let Ok(id) = run.subject.parse::<ocim_domain::ids::AppserverId>() else {
            return Ok(Uuid::nil());
        };
        let loaded = self.stage.app.journal().load::<Appserver>(&id.stream()).await?;
        Ok(loaded.state.present().map_or(Uuid::nil(), |present| present.launched.server.0))
    }

    /// Every machine belongs to somebody, and was made once.
    async fn check_machines(&mut self) -> Result<(), SimulationError> {
        let balancers: BTreeMap<Uuid, RunId> =
            self.runs.keys().map(|run| (step_key(*run, "create_machine"), *run)).collect();
        for key in self.stage.region.existing_keys() {
            let created = self.stage.region.count_created(key);
            if created > 1 {
                self.blame("one machine a key", key, format!("it was made {created} times"));
            }
            if self.stage.region.is_undeletable(key) {
                continue; // Somebody is stuck with it, or will be; that is looked at elsewhere.
            }
            match balancers.get(&key) {
                Some(run) => {
                    let phase = &self.runs[run].phase;
                    let is_accounted_for = *phase == Phase::Completed || phase.is_stuck();
                    if !is_accounted_for {
                        self.blame("no orphan", key, format!("{run} left a balancer's machine"));
                    }
                }
                None => self.check_server(key).await?,
            }
        }
        Ok(())
    }

    async fn check_server(&mut self, key: Uuid) -> Result<(), SimulationError> {
        let journal = self.stage.app.journal();
        let server = journal.load::<Server>(&ServerId(key).stream()).await?.state;
        let Some(server) = server.present() else {
            self.blame("no orphan", key, "no server knows the machine");
            return Ok(());
        };
        if server.status == server::Status::Terminated {
            self.blame("no orphan", key, "its server is recorded as terminated");
        }
        let id = server.requested.appserver;
        let appserver = journal.load::<Appserver>(&id.stream()).await?.state;
        let is_owned = appserver.present().is_some_and(|present| {
            let lives =
                matches!(present.status, appserver::Status::Running | appserver::Status::Failed);
            lives && !present.server_gone
        });
        // Who resolves the stuck run decides about its machine.
        if !is_owned && !self.is_subject_of_stuck_run(&id.to_string()) {
            let status = appserver.present().map(|present| present.status);
            self.blame("no orphan", key, format!("{id} does not keep it: {status:?}"));
        }
        Ok(())
    }

    fn is_subject_of_stuck_run(&self, subject: &str) -> bool {
        self.runs.values().any(|run| run.subject == subject && run.phase.is_stuck())
    }

    fn is_stuck(&self, run: RunId) -> bool {
        self.runs.get(&run).is_some_and(|run| matches!(run.phase, Phase::Stuck { .. }))
    }

    /// The balancer serves who the log says, nobody waits for a turn, and servers are where their
    /// Appservers think.
    async fn check_instance(&mut self, id: InstanceId) -> Result<(), SimulationError> {
        let journal = self.stage.app.journal();
        let loaded = journal.load::<Instance>(&id.stream()).await?.state;
        let Some(site) = loaded.present().cloned() else {
            self.blame("instances stay", id, "it is gone");
            return Ok(());
        };
        let waiting: BTreeSet<_> = site.launches.iter().map(|launch| launch.run).collect();
        if !waiting.is_empty() && !waiting.iter().any(|run| self.is_stuck(*run)) {
            self.blame("no launch waits for ever", id, format!("{waiting:?}"));
        }
        if let Some(run) = site.traffic_run.filter(|run| !self.is_stuck(*run)) {
            self.blame("no claim on traffic is left", id, format!("{run} has it"));
        }
        self.check_traffic(id, &site).await?;
        if site.check_live().is_ok() {
            self.check_names(id, &site).await?;
        }
        self.check_lifecycle(id, &site).await?;
        self.check_ledger(id, &site).await?;
        self.check_monitors(id, &site).await?;
        self.check_metadata(id, &site).await?;
        for appserver in &site.appservers {
            let loaded = self.stage.app.journal().load::<Appserver>(&appserver.stream()).await?;
            let Some(present) = loaded.state.present() else { continue };
            let server = present.launched.server;
            let status = self.stage.app.journal().load::<Server>(&server.stream()).await?.state;
            let status = status.present().map(|server| server.status);
            if present.server_gone != (status == Some(server::Status::Terminated)) {
                let detail = format!("server_gone {}, server {status:?}", present.server_gone);
                self.blame("appservers and servers agree", appserver, detail);
            }
        }
        Ok(())
    }

    async fn check_traffic(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        let Some(balancer) = site.load_balancer else { return Ok(()) };
        let balancers = self.stage.app.list_registered_balancers().await?;
        let domain = names::effective_host(&site.settings, Service::Lms);
        let mut serving = vec![];
        for (_, registration) in balancers.iter().filter(|(known, _)| *known == balancer) {
            serving.extend(self.stage.region.serving(&registration.domain, &domain));
        }
        // Without anybody the balancer shows the preliminary page.
        serving.retain(|name| name.starts_with("appserver-"));
        let position = |wanted| site.appservers.iter().position(|known| known == wanted);
        let numbers = site.active.iter().filter_map(position);
        let mut recorded: Vec<_> =
            numbers.map(|index| format!("appserver-{}", index + 1)).collect();
        recorded.sort();
        if serving != recorded {
            let detail = format!("the balancer has {serving:?}, the log {recorded:?}");
            self.blame("traffic is where it is said to be", id, detail);
        }
        Ok(())
    }

    /// Names are written before an Appserver is frozen; from then on they lead to the balancer.
    async fn check_names(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        let Some(balancer) = site.load_balancer else { return Ok(()) };
        let target = self.stage.app.load_balancer(balancer).await?.domain;
        let mut frozen = false;
        for appserver in &site.appservers {
            let loaded = self.stage.app.journal().load::<Appserver>(&appserver.stream()).await?;
            frozen |= loaded.state.present().is_some();
        }
        for name in names::managed_domains(&site.settings) {
            let alias = self.stage.region.alias(&name);
            if frozen && alias.as_ref() != Some(&target) {
                let detail = format!("{name} leads to {alias:?}, not to {target}");
                self.blame("names lead to the balancer", id, detail);
            }
        }
        Ok(())
    }

    /// The ledger has the machines and names that are there, and no others.
    async fn check_ledger(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        const INVARIANT: &str = "ledgers tell what is there";
        let journal = self.stage.app.journal();
        let ledger = journal.load::<Ledger>(&ledger_id(id).stream()).await?.state;
        let is_present = |kind: Kind, key: &str| {
            let entry = ledger.entries.get(&ResourceKey::new(kind, key));
            entry.is_some_and(|entry| entry.sight == Sight::Present)
        };
        let existing: BTreeSet<Uuid> = self.stage.region.existing_keys().into_iter().collect();
        for appserver in &site.appservers {
            let loaded = self.stage.app.journal().load::<Appserver>(&appserver.stream()).await?;
            let Some(server) = loaded.state.present().map(|present| present.launched.server) else {
                continue;
            };
            let said = is_present(Kind::Machine, &server.to_string());
            let is = existing.contains(&server.0);
            let loaded = self.stage.app.journal().load::<Server>(&server.stream()).await?;
            let status = loaded.state.present().map(|server| server.status);
            // One that vanished by itself is there by all that Ocim has seen.
            let may_be_gone = status != Some(server::Status::Terminated);
            let is_so = said == is || (said && may_be_gone);
            // Who resolves a stuck run decides about its machine.
            let is_stuck = self.is_subject_of_stuck_run(&appserver.to_string())
                || self.is_subject_of_stuck_run(&id.to_string());
            // What a deletion has left is told there; nobody looks at it any more.
            let left = ResourceKey::new(Kind::Machine, server);
            if !is_so && !is_stuck && !site.lifecycle.residue.contains(&left) {
                let detail = format!("{server} ({status:?}): it says {said}, there is {is}");
                self.blame(INVARIANT, id, detail);
            }
        }
        // A run that is stuck half-way may have removed names that it has not looked for since.
        if self.is_subject_of_stuck_run(&id.to_string()) {
            return Ok(());
        }
        // With those of former settings: nobody takes them away.
        for (resource, entry) in ledger.entries {
            let is_said = resource.kind == Kind::DnsName && entry.sight == Sight::Present;
            if is_said && !self.stage.region.has_name(&resource.key) {
                let detail = format!("{} is said to be there, and is not", resource.key);
                self.blame(INVARIANT, id, detail);
            }
        }
        Ok(())
    }
}

/// Whether an event is the runner's own report, which the rules of a run can judge.
fn is_report(event: &Event) -> bool {
    matches!(
        event,
        Event::StepIntended { .. }
            | Event::StepDone { .. }
            | Event::StepSkipped { .. }
            | Event::StepFailed { .. }
            | Event::TimerSet { .. }
            | Event::TimerFired { .. }
            | Event::UnwindBegan(_)
            | Event::UndoIntended { .. }
            | Event::UndoDone { .. }
            | Event::UndoSkipped { .. }
            | Event::UndoFailed { .. }
            | Event::Stuck { .. }
            | Event::Completed {}
            | Event::Unwound {}
    )
}
