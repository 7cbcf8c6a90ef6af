//! Slots of regions: so many launches at a time in each, the others wait in a fair queue.

use super::machines::{load_server, server_of};
use super::step::{Progress, StepContext, StepError, done};
use super::world::World;
use crate::app::{AppError, Journal};
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Metadata, Recorded};
use ocim_domain::ids::RunId;
use ocim_domain::region::{Command, Event, Place, Region, region_id};
use ocim_domain::run_record::LaunchInput;
use ocim_domain::saga::Saga;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The kinds of events that tell a run that its slot is free.
pub const WAKERS: &[&str] = &["region.run_admitted"];

/// The run that this event lets in.
#[must_use]
pub fn woken_by(event: &Recorded) -> Option<RunId> {
    match Event::decode(&event.kind, event.schema, &event.data) {
        Ok(Event::RunAdmitted { run }) => Some(run),
        Ok(_) | Err(_) => None,
    }
}

/// Who may launch in which region: the regions themselves are their streams.
#[derive(Debug, Default)]
pub struct Slots {
    /// One command at a time of this process to each region, so that they do not get in each other's
    /// way; other nodes' are met by the version of the stream.
    regions: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// The place that each run's log told last.
    told: Mutex<BTreeMap<RunId, usize>>,
}

impl Slots {
    /// Puts a command to a region; returns its state after that.
    ///
    /// # Errors
    /// What the store says, and the region's refusal.
    pub async fn execute(
        &self,
        journal: &Journal,
        meta: &Metadata,
        region: &str,
        command: &Command,
    ) -> Result<<Region as Decider>::State, AppError> {
        let stream = region_id(region).stream();
        let region = self.region(region);
        let _one_at_a_time = region.lock().await;
        Ok(journal.execute::<Region>(&stream, meta, command.clone()).await?.state)
    }

    /// Whoever is in the region and will not leave by itself: it has ended, or is stuck.
    async fn find_ended(&self, world: &World, region: &str) -> Result<Vec<RunId>, AppError> {
        let journal = world.app.journal();
        let fold = journal.load::<Region>(&region_id(region).stream()).await?.state;
        let mut ended = vec![];
        for run in fold.running.into_iter().chain(fold.queue) {
            let state = journal.load::<Saga>(&run.stream()).await?.state;
            if state.is_none_or(|run| run.phase.is_at_rest()) {
                ended.push(run);
            }
        }
        Ok(ended)
    }

    fn region(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut all = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(name.to_owned()).or_default())
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<RunId, usize>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Step: waits for a slot of the region that the launch's machine is to be in.
pub async fn await_slot(context: StepContext) -> Result<Progress, StepError> {
    let world = &context.world;
    let region = load_server(&context, server_of(&context)).await?.requested.region;
    let limit = world.limits.launches_max(&region);
    let (run, name) = (context.run, region.clone());
    let input: LaunchInput = context.input()?;
    let bulk_max = input.in_bulk.then_some(world.limits.bulk_launches_max);
    let command = Command::Enter { region: name, run, limit, bulk_max };
    let (journal, meta) = (world.app.journal(), context.metadata());
    let state = world.slots.execute(journal, &meta, &region, &command).await?;
    match state.place(run) {
        Some(Place::Queued(place)) => {
            let of = state.queue.len();
            if world.slots.told().insert(run, place) != Some(place) {
                context
                    .say(format!("waits for a slot in region {region}: {place} of {of} in line"))
                    .await;
            }
            Ok(Progress::NotYet { again_in: world.limits.queue_poll })
        }
        Some(Place::Running) | None => {
            world.slots.told().remove(&run);
            done(())
        }
    }
}

/// Step, and undo of [`await_slot`]: the next one in line may begin.
pub async fn leave_slot(context: StepContext) -> Result<Progress, StepError> {
    let region = load_server(&context, server_of(&context)).await?.requested.region;
    leave_region(&context.world, &context.metadata(), &region, context.run).await?;
    done(())
}

/// Makes the configured limits those of the regions, except where a person has set another one.
///
/// # Errors
/// What the store says.
pub async fn set_limits(world: &World) -> Result<(), AppError> {
    for region in world.ports.clouds.keys() {
        let limit = world.limits.launches_max(region);
        let command = Command::Configure { region: region.clone(), limit };
        let meta = Metadata::by("system");
        world.slots.execute(world.app.journal(), &meta, region, &command).await?;
    }
    Ok(())
}

/// Takes a run that has ended or is stuck out of every region that it is still in.
///
/// # Errors
/// What the store says.
pub async fn leave_regions(world: &World, run: RunId) -> Result<(), AppError> {
    for region in world.ports.clouds.keys() {
        leave_region(world, &Metadata::by("system"), region, run).await?;
    }
    Ok(())
}

/// Does so for all runs that are at rest: what a crash may have left.
///
/// # Errors
/// What the store says.
pub async fn sweep_regions(world: &World) -> Result<(), AppError> {
    for region in world.ports.clouds.keys() {
        for run in world.slots.find_ended(world, region).await? {
            leave_region(world, &Metadata::by("system"), region, run).await?;
        }
    }
    Ok(())
}

async fn leave_region(
    world: &World,
    meta: &Metadata,
    region: &str,
    run: RunId,
) -> Result<(), AppError> {
    world.slots.told().remove(&run);
    let command = Command::Leave { run };
    world.slots.execute(world.app.journal(), meta, region, &command).await.map(|_| ())
}
