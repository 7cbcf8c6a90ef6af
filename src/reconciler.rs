//! Compares what the log believes of machines with what their clouds answer, on a timer; of balancers
//! with what is there (`balancers`).
//!
//! In reading order: `crate::processes::beliefs` is what the log says, `compare` finds what differs, and here each
//! difference is recorded, decided on the aggregate's own stream. Nothing is deleted here, nothing is
//! recorded twice, and a cloud that does not answer says nothing about its machines. A late duplicate
//! of a machine in use is the one thing that is not left to people: a run is asked to take it away.

pub mod balancers;
pub mod compare;
mod ledgers;

use crate::app::{App, AppError};
use crate::processes::beliefs::Beliefs;
use crate::processes::provision_load_balancer::{has_given_up, machine_made};
use crate::processes::world::World;
use balancers::BalancerWatch;
use compare::{Finding, Memory};
use futures_util::{StreamExt, TryStreamExt, stream};
use ledgers::follow_server;
use ocim_adapters::cloud::Machine;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{AppserverId, ServerId};
use ocim_domain::inventory;
use ocim_domain::ledger::{Kind, ResourceKey};
use ocim_domain::port_error::PortError;
use ocim_domain::saga::{ErrorCode, Phase, Saga};
use ocim_domain::server::{BootCause, Command, Event, Power};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

/// The longest that a cloud may take to list its machines.
const LIST_TIMEOUT: Duration = Duration::from_secs(120);
/// Machines that are looked into at a time, in one region.
const CONCURRENCY: usize = 8;
/// Processes that make or take away machines: while one is under way, its machine is its own.
const OWNERS: [&str; 5] = [
    "launch_appserver",
    "terminate_appserver",
    "clean_up_appserver",
    "archive_instance",
    "delete_instance",
];

/// One region under watch.
#[derive(Debug)]
pub struct RegionWatch {
    world: Arc<World>,
    region: String,
    beliefs: Beliefs,
    memory: Memory,
    /// Whether ledgers say what Servers say: a stop may have come between the two.
    has_followed: bool,
}

impl RegionWatch {
    /// Knows nothing before its first look.
    #[must_use]
    pub fn new(world: Arc<World>, region: &str) -> Self {
        let beliefs = Beliefs::new(world.app.journal(), region);
        Self {
            world,
            region: region.to_owned(),
            beliefs,
            memory: Memory::default(),
            has_followed: false,
        }
    }

    /// Looks once, and records what is different.
    ///
    /// # Errors
    /// When the store does not answer: look again later. That the cloud does not is no error.
    pub async fn look(&mut self) -> Result<(), AppError> {
        let listed = match self.list_machines().await {
            Ok(listed) => listed,
            Err(error) => return self.lose_sight(error).await,
        };
        let (app, region) = (&self.world.app, &self.region);
        app.looks().note_answer(region, listed.len(), app.journal().now());
        let regained = inventory::Command::RegainSight { region: region.clone() };
        let known = app.observe_inventory(region, regained).await?;
        if !known.events.is_empty() {
            tracing::info!(region, "the region answers again");
        }
        // After the list: whoever made a machine that stands in it, has recorded that by now.
        self.beliefs.refresh().await?;
        let provisioned = provisioned_keys(&self.world.app, &self.beliefs).await?;
        let reported = machines_of(&known.state);
        let mut findings = self.memory.compare(&self.beliefs, &provisioned, &listed, &reported);
        if !self.has_followed {
            findings.extend(self.beliefs.servers().map(|(server, present)| Finding::Unfollowed {
                server,
                appserver: present.requested.appserver,
            }));
        }
        stream::iter(findings.into_iter().map(|finding| self.record(finding)))
            .buffer_unordered(CONCURRENCY)
            .try_collect::<Vec<()>>()
            .await?;
        self.has_followed = true;
        self.beliefs.refresh().await?;
        for (appserver, trouble) in self.beliefs.untold_troubles() {
            self.world.app.observe_machine(appserver, trouble).await?;
        }
        Ok(())
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        let Some(cloud) = self.world.ports.clouds.get(&self.region) else {
            return Err(PortError::permanent(
                ErrorCode::RegionNotConfigured,
                "the region is not configured: see OCIM_CLOUDS",
            ));
        };
        let too_late = |_| PortError::transient("its machines were not listed in time");
        tokio::time::timeout(LIST_TIMEOUT, cloud.list_machines()).await.map_err(too_late)?
    }

    async fn lose_sight(&mut self, error: PortError) -> Result<(), AppError> {
        // "Two looks in a row" begins anew.
        self.memory = Memory::default();
        let (region, app) = (self.region.clone(), &self.world.app);
        let error = self.world.deployment.own_masker.mask(&error.message);
        app.looks().note_silence(&region, &error);
        let lost = inventory::Command::LoseSight { region: region.clone(), error: error.clone() };
        if !app.observe_inventory(&region, lost).await?.events.is_empty() {
            tracing::warn!(region, error, "the region does not answer");
        }
        Ok(())
    }

    async fn record(&self, finding: Finding) -> Result<(), AppError> {
        match self.try_record(finding).await {
            // A newer program's, which looks at it itself.
            Err(AppError::Newer(_)) => Ok(()),
            recorded => recorded,
        }
    }

    async fn try_record(&self, finding: Finding) -> Result<(), AppError> {
        let (app, region) = (&self.world.app, self.region.clone());
        match finding {
            Finding::Server { server, appserver, seen } => {
                if self.is_owned(appserver).await? {
                    return Ok(());
                }
                for event in app.observe_server(server, seen).await? {
                    if is_trouble(&event) {
                        tracing::warn!(region, %server, ?event, "a machine is not as it was");
                    } else {
                        tracing::info!(region, %server, ?event, "a machine is back");
                    }
                }
                follow_server(app, server, appserver).await?;
            }
            Finding::Boots { server, appserver, machine } => {
                if !self.is_owned(appserver).await? {
                    self.try_ssh(server, &machine).await?;
                    follow_server(app, server, appserver).await?;
                }
            }
            Finding::Unfollowed { server, appserver } => {
                follow_server(app, server, appserver).await?;
            }
            Finding::Orphan(orphan) => {
                let machine = orphan.id.key.clone();
                let seen = inventory::Command::ReportOrphan { place: region.clone(), orphan };
                if !app.observe_inventory(&region, seen).await?.events.is_empty() {
                    tracing::warn!(region, machine, "nothing accounts for a machine with our mark");
                }
            }
            Finding::Duplicate(orphan) => {
                let machine = orphan.id.key.clone();
                if app.remove_duplicate(&region, orphan).await? {
                    tracing::warn!(region, machine, "a second machine with one key is taken away");
                }
            }
            Finding::OrphanSettled(machine) => {
                let id = ResourceKey::new(Kind::Machine, machine);
                app.observe_inventory(&region, inventory::Command::SettleOrphan { id }).await?;
            }
        }
        Ok(())
    }

    /// Whether a run makes the Appserver's machine or takes it away. One that is stuck does not.
    async fn is_owned(&self, id: AppserverId) -> Result<bool, AppError> {
        let journal = self.world.app.journal();
        let loaded = journal.load::<Appserver>(&id.stream()).await?;
        // Its launch has recorded the wish for a machine, and is about to freeze the Appserver.
        let Some(appserver) = loaded.state.present() else { return Ok(true) };
        let (launch, other) = (Some(appserver.launched.run), appserver.run_in_flight);
        // A run of the whole instance that takes it away is none of its own.
        for run in [launch, other, appserver.termination_run].into_iter().flatten() {
            let run = journal.load::<Saga>(&run.stream()).await?.state;
            // One that was asked for and has not started has touched nothing yet.
            let is_owner = run.is_some_and(|run| {
                OWNERS.contains(&run.definition.as_str())
                    && matches!(run.phase, Phase::Forward | Phase::Unwinding(_))
            });
            if is_owner {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A machine that boots is ready once it answers SSH.
    async fn try_ssh(&self, server: ServerId, machine: &Machine) -> Result<(), AppError> {
        let Some(address) = &machine.address else { return Ok(()) };
        let app = &self.world.app;
        // It may have come back elsewhere.
        let address_seen = Some(address.clone());
        let boots = Command::StartBooting { address: address_seen, cause: BootCause::FoundAgain };
        app.observe_server(server, boots).await?;
        let host_keys = &machine.host_keys;
        match self.world.ports.shell.read_boot_id(address, host_keys).await {
            Ok(boot_id) => {
                let ready = Command::BecomeReady { host_keys: host_keys.clone(), boot_id };
                app.observe_server(server, ready).await?;
            }
            Err(error) => tracing::debug!(%server, %error, "a machine does not answer SSH yet"),
        }
        Ok(())
    }
}

/// The keys that balancers' machines were, or are being, made with, and which these are.
///
/// # Errors
/// What the store says.
pub async fn provisioned_keys(
    app: &App,
    beliefs: &Beliefs,
) -> Result<BTreeMap<Uuid, Option<String>>, AppError> {
    let mut keys = BTreeMap::new();
    for (key, run) in beliefs.provisions() {
        let run = app.journal().load::<Saga>(&run.stream()).await?.state;
        if let Some(run) = &run
            && has_given_up(app, run).await?
        {
            continue;
        }
        keys.insert(key, run.as_ref().and_then(machine_made));
    }
    Ok(keys)
}

/// The machines that were reported as orphans.
fn machines_of(inventory: &inventory::State) -> BTreeSet<String> {
    let ids = inventory.orphans().map(|known| &known.orphan.id);
    ids.filter(|id| id.kind == Kind::Machine).map(|id| id.key.clone()).collect()
}

/// Whether a machine is worse off by what was seen, so that people should hear of it.
fn is_trouble(event: &Event) -> bool {
    match event {
        Event::CameBack { after: power } | Event::PowerChanged { after: power, .. } => {
            matches!(power, Power::Shutoff | Power::Error)
        }
        Event::BootingStarted { .. } | Event::FoundBuilding {} | Event::BecameReady { .. } => false,
        _ => true,
    }
}

/// Watches every configured region until it is stopped.
#[derive(Debug)]
pub struct Reconciler {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Reconciler {
    /// Starts to look, about every `interval` at each region and at the balancers, each at a time of
    /// its own.
    #[must_use]
    pub fn start(world: &Arc<World>, interval: Duration) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for region in world.ports.clouds.keys() {
            let watch = RegionWatch::new(Arc::clone(world), region);
            tasks.spawn(watch_region(watch, interval, stopped.clone()));
        }
        tasks.spawn(watch_balancers(Arc::clone(world), interval, stopped));
        Self { stop, tasks }
    }

    /// Stops; a look that is under way is given up, the next start looks again.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a watch ended abnormally");
            }
        }
    }
}

async fn watch_balancers(
    world: Arc<World>,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let mut watch = BalancerWatch::new(Arc::clone(&world));
    let (app, name) = (world.app.clone(), "look at balancers");
    app.rounds().begin(name, interval);
    loop {
        let look = async {
            tokio::time::sleep(jittered(&world, interval)).await;
            watch.look().await
        };
        let looked = tokio::select! {
            _ = stopped.changed() => return,
            looked = look => looked,
        };
        let error = looked.err().map(|error| ocim_domain::error_chain::chain(&error));
        if let Some(error) = &error {
            tracing::warn!(error, "the balancers could not be compared with the log");
        }
        app.rounds().note(name, app.journal().now(), error);
    }
}

async fn watch_region(
    mut watch: RegionWatch,
    interval: Duration,
    mut stopped: watch::Receiver<bool>,
) {
    let (app, name) = (watch.world.app.clone(), format!("look at region {}", watch.region));
    app.rounds().begin(&name, interval);
    loop {
        let pause = jittered(&watch.world, interval);
        tokio::select! {
            _ = stopped.changed() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let looked = tokio::select! {
            _ = stopped.changed() => return,
            looked = watch.look() => looked,
        };
        let error = looked.err().map(|error| ocim_domain::error_chain::chain(&error));
        if let Some(error) = &error {
            let region = &watch.region;
            tracing::warn!(region, error, "a region could not be compared with the log");
        }
        app.rounds().note(&name, app.journal().now(), error);
    }
}

/// Between nine and eleven tenths of it, so that nodes and regions do not march in step.
fn jittered(world: &World, interval: Duration) -> Duration {
    let mut random = [0; 1];
    world.app.journal().fill_random(&mut random);
    interval.mul_f64(0.9 + 0.2 * f64::from(random[0]) / 255.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::server::Status;

    #[test]
    fn only_what_is_worse_than_before_is_a_warning() {
        for (event, expected) in [
            (Event::CameBack { after: Power::Active }, false),
            (Event::CameBack { after: Power::Shutoff }, true),
            (Event::PowerChanged { before: Some(Power::Error), after: Power::Active }, false),
            (Event::PowerChanged { before: None, after: Power::Building }, false),
            (Event::PowerChanged { before: Some(Power::Active), after: Power::Shutoff }, true),
            (Event::BootingStarted { address: None, cause: BootCause::FoundAgain }, false),
            (Event::FoundBuilding {}, false),
            (Event::Vanished { before: Status::Ready }, true),
            (Event::SightLost { reason: "unreadable".to_owned() }, true),
            (Event::ErrorSeen { before: None, fault: "no disk".to_owned() }, true),
        ] {
            assert_eq!(is_trouble(&event), expected, "{event:?}");
        }
    }
}
