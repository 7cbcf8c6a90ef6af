//! What people ask for, by seed: sites, launches, changes of mind. Some of it is refused.

use super::stage::{REGION, Stage, limits, somebody};
use super::{Plan, SimulationError};
use crate::app::lifecycle::{DeleteAsk, LifecycleAsk};
use crate::app::{ActivateAsk, AppError, DetailsAsk, ForceAsk, LaunchAsk, Launched};
use crate::processes::provision_load_balancer::start_provision;
use ocim_adapters::simulated::dice::Dice;
use ocim_domain::Timestamp;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::{Attempts, OnSuccess};
use ocim_domain::ledger::Kind;
use ocim_domain::run_record::ProvisionLoadBalancer;
use ocim_domain::saga::Saga;
use serde_json::{Map, Value, json};
use std::collections::VecDeque;

/// Launches that share an instance.
const LAUNCHES_PER_INSTANCE: u32 = 4;
/// Within this time all launches are asked for, seconds.
const LAUNCH_PERIOD: u64 = 4 * 3600;

/// One wish.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Balancer,
    Launch { launch: usize, activate: bool },
    Cancel(usize),
    Activate { launch: usize, alone: bool },
    Deactivate(usize),
    Terminate(usize),
    Archive(usize),
    Unarchive { instance: usize, launch: bool },
    Delete { instance: usize, ignores_machines: bool },
}

/// Everybody, with what they want and what they got.
#[derive(Debug)]
pub(super) struct People {
    wishes: VecDeque<(Timestamp, Wish)>,
    pub(super) instances: Vec<InstanceId>,
    launched: Vec<Option<Launched>>,
    /// Wishes that were refused, which is no fault.
    pub(super) refused: u32,
}

impl People {
    /// Plans all wishes, and makes the instances.
    pub(super) async fn new(plan: &Plan, stage: &Stage) -> Result<Self, SimulationError> {
        let mut instances = Vec::new();
        for number in 0..plan.launches.div_ceil(LAUNCHES_PER_INSTANCE).max(1) {
            let (app, settings) = (&stage.app, settings_of(number));
            let made = app.create_instance(&somebody(), settings, DetailsAsk::default()).await?;
            instances.push(made.value);
        }
        let mut wishes = vec![(stage.now(), Wish::Balancer)];
        for launch in 0..plan.launches {
            plan_launch(Dice::new(plan.seed), launch, stage.now(), &mut wishes);
        }
        for instance in 0..instances.len() {
            plan_instance(Dice::new(plan.seed), instance, stage.now(), &mut wishes);
        }
        // Stable: who comes at the same time keeps the order of the plan.
        wishes.sort_by_key(|(time, _)| *time);
        let launched = vec![None; plan.launches as usize];
        Ok(Self { wishes: wishes.into(), instances, launched, refused: 0 })
    }

    /// When somebody wants something next.
    pub(super) fn next_time(&self) -> Option<Timestamp> {
        self.wishes.front().map(|(time, _)| *time)
    }

    /// Asks for what is wanted next.
    pub(super) async fn act(&mut self, stage: &Stage) -> Result<(), SimulationError> {
        let Some((_, wish)) = self.wishes.pop_front() else { return Ok(()) };
        match self.ask(stage, wish).await {
            Ok(()) => {}
            Err(AppError::Rejected { .. } | AppError::NotFound { .. }) => self.refused += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    async fn ask(&mut self, stage: &Stage, wish: Wish) -> Result<(), AppError> {
        let (app, by) = (&stage.app, somebody());
        let force = ForceAsk { force: true };
        let launched = |launch: usize| {
            let known = self.launched.get(launch).copied().flatten();
            known.ok_or_else(|| AppError::rejected("it was never launched"))
        };
        match wish {
            Wish::Balancer => provision_balancer(stage).await?,
            Wish::Launch { launch, activate } => {
                let instance = self.instances[launch % self.instances.len()];
                let ask = LaunchAsk {
                    queue: true,
                    then: OnSuccess { activate, deactivate_others: activate },
                    attempts: Attempts::ONE,
                };
                let done = app.launch_appserver(&by, instance, ask).await?;
                if let Some(place) = self.launched.get_mut(launch) {
                    *place = Some(done.value);
                }
            }
            Wish::Cancel(launch) => {
                let run = launched(launch)?.run;
                app.cancel_run(&by, run, "changed their mind".to_owned(), false).await?;
            }
            Wish::Activate { launch, alone } => {
                let ask = ActivateAsk { deactivate_others: alone, force: false };
                app.activate_appserver(&by, launched(launch)?.appserver, ask).await?;
            }
            Wish::Deactivate(launch) => {
                app.deactivate_appserver(&by, launched(launch)?.appserver, force).await?;
            }
            Wish::Terminate(launch) => {
                app.terminate_appserver(&by, launched(launch)?.appserver, force).await?;
            }
            Wish::Archive(instance) => self.change(stage, instance, LifecycleAsk::Archive).await?,
            Wish::Unarchive { instance, launch } => {
                self.change(stage, instance, LifecycleAsk::Unarchive { launch }).await?;
            }
            Wish::Delete { instance, ignores_machines } => {
                let (site, _) = app.load_instance(self.instances[instance]).await?;
                let confirmation = site.confirming_name();
                let ignore = if ignores_machines { vec![Kind::Machine] } else { vec![] };
                let ask = DeleteAsk { confirmation, ignore };
                self.change(stage, instance, LifecycleAsk::Delete(ask)).await?;
            }
        }
        Ok(())
    }
}

impl People {
    async fn change(
        &self,
        stage: &Stage,
        instance: usize,
        ask: LifecycleAsk,
    ) -> Result<(), AppError> {
        let id = self.instances[instance];
        stage.app.change_lifecycle(&somebody(), id, ask).await.map(drop)
    }
}

/// What a site is made of; every other one keeps its uploads in Swift.
fn settings_of(number: u32) -> Map<String, Value> {
    let own = [("name", format!("Site {number}")), ("sub_domain", format!("site{number}"))];
    let swift = [
        ("storage_type", "swift"),
        ("swift_openstack_auth_url", "https://swift.invalid:5000/v3"),
        ("swift_openstack_tenant", "sites"),
        ("swift_openstack_user", "ocim"),
        ("swift_openstack_password", "simulated"),
        ("swift_openstack_region", REGION),
    ];
    let swift = swift.into_iter().filter(|_| number.is_multiple_of(2));
    let swift = swift.map(|(name, value)| (name, value.to_owned()));
    own.into_iter().chain(swift).map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// What is wanted of one instance.
fn plan_instance(
    dice: Dice,
    instance: usize,
    start: Timestamp,
    wishes: &mut Vec<(Timestamp, Wish)>,
) {
    let key = format!("instance {instance}");
    let after =
        |from: Timestamp, least, most, what: &str| from + dice.span(least, most, &key, what, 0);
    let wants = |share, what: &str| dice.happens(share, &key, what, 1);
    let archived = after(start, 20_000, 70_000, "archive");
    if wants(0.5, "archive") {
        wishes.push((archived, Wish::Archive(instance)));
    }
    if wants(0.4, "unarchive") {
        let launch = wants(0.7, "launch");
        let time = after(archived, 1_000, 40_000, "unarchive");
        wishes.push((time, Wish::Unarchive { instance, launch }));
    }
    if wants(0.4, "delete") {
        let ignores_machines = wants(0.5, "ignore machines");
        let time = after(archived, 10_000, 90_000, "delete");
        wishes.push((time, Wish::Delete { instance, ignores_machines }));
    }
}

/// What is wanted of one Appserver.
fn plan_launch(dice: Dice, launch: u32, start: Timestamp, wishes: &mut Vec<(Timestamp, Wish)>) {
    let key = format!("launch {launch}");
    let after =
        |from: Timestamp, least, most, what: &str| from + dice.span(least, most, &key, what, 0);
    let wants = |share, what: &str| dice.happens(share, &key, what, 1);
    let asked = after(start, 0, LAUNCH_PERIOD, "launch");
    let index = launch as usize;
    wishes.push((asked, Wish::Launch { launch: index, activate: wants(0.5, "activate at once") }));
    if wants(0.2, "cancel") {
        wishes.push((after(asked, 0, 7_200, "cancel"), Wish::Cancel(index)));
    }
    if wants(0.4, "activate") {
        let alone = wants(0.5, "alone");
        let time = after(asked, 3_600, 28_800, "activate");
        wishes.push((time, Wish::Activate { launch: index, alone }));
    }
    if wants(0.2, "deactivate") {
        wishes.push((after(asked, 7_200, 36_000, "deactivate"), Wish::Deactivate(index)));
    }
    if wants(0.4, "terminate") {
        wishes.push((after(asked, 7_200, 43_200, "terminate"), Wish::Terminate(index)));
    }
}

/// A second balancer, made by a run.
async fn provision_balancer(stage: &Stage) -> Result<(), AppError> {
    let journal = stage.app.journal();
    let domain = "second.example.com";
    let balancer = ProvisionLoadBalancer {
        region: REGION.to_owned(),
        domain: domain.to_owned(),
        fragment_name_postfix: "-second".to_owned(),
        flavor: json!({}),
        image: json!({}),
        also_listens: None,
    };
    let run = RunId(journal.new_id());
    let command = start_provision(run, &balancer, journal.now(), &limits());
    journal.execute::<Saga>(&run.stream(), &somebody().metadata(), command).await?;
    Ok(())
}
