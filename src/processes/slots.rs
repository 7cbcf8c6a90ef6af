//! Slots of regions: so many launches at a time in each, the others wait in a fair queue.

use super::machines::{load_server, server_of};
use super::step::{Progress, StepContext, StepError, done};
use super::world::World;
use crate::app::{AppError, Journal, JournalError, Loaded};
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Metadata, Position, Recorded, StreamId};
use ocim_domain::ids::RunId;
use ocim_domain::region::{Command, Event, Place, Region, region_id};
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

/// How often a command is decided anew because another node wrote first.
const DECISIONS_MAX: usize = 64;

/// The regions' streams, folded as far as this process has seen: they grow with every launch, and
/// each run of a queue asks for its place.
#[derive(Debug, Default)]
pub struct Slots {
    regions: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Loaded<Region>>>>>,
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
        let cell = self.region(region);
        let mut fold = cell.lock().await;
        for _ in 0..DECISIONS_MAX {
            catch_up(journal, &stream, &mut fold).await?;
            let events = Region::decide(&fold.state, command.clone(), journal.now())
                .map_err(AppError::rejected)?;
            if events.is_empty() {
                return Ok(fold.state.clone());
            }
            match journal.append::<Region>(&stream, meta, fold.clone(), events).await {
                Err(JournalError::VersionConflict) => {}
                Err(error) => return Err(error.into()),
                Ok(executed) => {
                    fold.state = executed.state;
                    fold.version = Some(executed.version);
                    fold.position = executed.position;
                    return Ok(fold.state.clone());
                }
            }
        }
        Err(AppError::VersionConflict)
    }

    /// Whoever is in the region and will not leave by itself: it has ended, or is stuck.
    async fn find_ended(&self, world: &World, region: &str) -> Result<Vec<RunId>, AppError> {
        let journal = world.app.journal();
        let fold = {
            let cell = self.region(region);
            let mut fold = cell.lock().await;
            catch_up(journal, &region_id(region).stream(), &mut fold).await?;
            fold.state.clone()
        };
        let mut ended = vec![];
        for run in fold.running.into_iter().chain(fold.queue) {
            let state = journal.load::<Saga>(&run.stream()).await?.state;
            if state.is_none_or(|run| run.phase.is_at_rest()) {
                ended.push(run);
            }
        }
        Ok(ended)
    }

    fn region(&self, name: &str) -> Arc<tokio::sync::Mutex<Loaded<Region>>> {
        let unread = Loaded { state: Default::default(), version: None, position: Position::START };
        let mut all = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = || Arc::new(tokio::sync::Mutex::new(unread));
        Arc::clone(all.entry(name.to_owned()).or_insert_with(cell))
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<RunId, usize>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Folds what was recorded since the last look.
async fn catch_up(
    journal: &Journal,
    stream: &StreamId,
    fold: &mut Loaded<Region>,
) -> Result<(), AppError> {
    let from = fold.version.map_or(0, |version| version + 1);
    for recorded in journal.store().read_stream(stream, from).await? {
        let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
        fold.state = Region::evolve(std::mem::take(&mut fold.state), &event);
        fold.version = Some(recorded.version);
        fold.position = recorded.position;
    }
    Ok(())
}

/// Step: waits for a slot of the region that the launch's machine is to be in.
pub async fn await_slot(context: StepContext) -> Result<Progress, StepError> {
    let world = &context.world;
    let region = load_server(&context, server_of(&context)).await?.requested.region;
    let limit = world.limits.launches_max(&region);
    let (run, name) = (context.run, region.clone());
    let command = Command::Enter { region: name, run, limit };
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
    for region in world.clouds.keys() {
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
    for region in world.clouds.keys() {
        leave_region(world, &Metadata::by("system"), region, run).await?;
    }
    Ok(())
}

/// Does so for all runs that are at rest: what a crash may have left.
///
/// # Errors
/// What the store says.
pub async fn sweep_regions(world: &World) -> Result<(), AppError> {
    for region in world.clouds.keys() {
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
