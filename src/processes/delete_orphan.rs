//! `delete_orphan`: takes a machine away that bears our mark, but that nothing in the log accounts for.

use super::beliefs::Beliefs;
use super::provision_load_balancer::{has_given_up, machine_made};
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use crate::app::AppError;
use ocim_domain::ids::{RunId, ServerId};
use ocim_domain::inventory::{self, Inventory, Orphan, inventory_id};
use ocim_domain::run_record::OrphanInput;
use ocim_domain::saga::{ErrorCode, Saga};
use ocim_domain::server::{Server, Status};
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: before `delete_machine` nothing was touched, and the machine may be asked for
/// again. From there on it only goes forward: a cloud that does not answer is asked again.
pub static DELETE_ORPHAN: Definition = Definition {
    name: "delete_orphan",
    version: 1,
    deadline: Some(|limits| limits.traffic_time),
    on_abandoned: Some(call!(stop_deletion)),
    settles_on_undo: false,
    steps: &[
        Step::new(
            "confirm_orphan",
            call!(confirm_orphan),
            Kind::Compensable(call!(stop_deletion)),
            5,
            |_| Duration::from_secs(60),
        ),
        Step::new(
            "delete_machine",
            call!(delete_machine),
            Kind::Pivot("a deleted machine does not come back"),
            100,
            |limits| limits.shutdown_wait.saturating_add(Duration::from_secs(300)),
        ),
        Step::new(
            "settle_orphan",
            call!(settle_orphan),
            Kind::Retryable("the machine is gone"),
            20,
            |_| Duration::from_secs(60),
        ),
    ],
};

/// Sees that still nothing accounts for the machine: the report may be a minute old.
async fn confirm_orphan(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let journal = context.world.app.journal();
    let region = journal.load::<Inventory>(&inventory_id(&input.region).stream()).await?.state;
    let Some(inventory::Reported { orphan, .. }) = region.orphans.get(&input.machine) else {
        return Err(StepError::permanent(ErrorCode::NotAnOrphan, "it is no orphan any more"));
    };
    if let Some(server) = find_owner(&context, orphan).await? {
        return Err(StepError::permanent(
            ErrorCode::NotAnOrphan,
            format!("it is the machine of {server}"),
        ));
    }
    if let Some(run) = find_provision(&context, &input.region, orphan).await? {
        return Err(StepError::permanent(
            ErrorCode::NotAnOrphan,
            format!("it is the balancer's machine of {run}"),
        ));
    }
    done(())
}

/// Has the machine offered again to whoever looks at the orphans.
async fn stop_deletion(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let (machine, run) = (input.machine, context.run);
    let command = inventory::Command::StopOrphanDeletion { machine, run };
    let stream = inventory_id(&input.region).stream();
    let journal = context.world.app.journal();
    let stopped = journal.execute::<Inventory>(&stream, &context.metadata(), command).await;
    stopped.map_err(AppError::from)?;
    undone("the machine may be asked for again")
}

/// The Server whose machine it is after all.
async fn find_owner(context: &StepContext, orphan: &Orphan) -> Result<Option<ServerId>, StepError> {
    // A Server's id is the key that its machine is made with.
    let Some(id) = orphan.key.map(ServerId) else { return Ok(None) };
    let loaded = context.world.app.journal().load::<Server>(&id.stream()).await?;
    let owns = loaded.state.present().is_some_and(|server| {
        server.status != Status::Terminated
            && server.machine.as_ref().is_none_or(|machine| *machine == orphan.machine)
    });
    Ok(owns.then_some(id))
}

/// The run that has made a balancer of it, or is making one.
async fn find_provision(
    context: &StepContext,
    region: &str,
    orphan: &Orphan,
) -> Result<Option<RunId>, StepError> {
    let Some(key) = orphan.key else { return Ok(None) };
    let app = &context.world.app;
    let mut known = Beliefs::for_a_look(app.journal(), region);
    known.refresh().await?;
    let Some(id) =
        known.provisions().find_map(|(made_with, run)| (made_with == key).then_some(run))
    else {
        return Ok(None);
    };
    let Some(run) = app.journal().load::<Saga>(&id.stream()).await?.state else { return Ok(None) };
    let owns = machine_made(&run).is_none_or(|machine| machine == orphan.machine)
        && !has_given_up(app, &run).await?;
    Ok(owns.then_some(id))
}

/// Deletes it, and looks until it is gone.
async fn delete_machine(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let cloud = context.world.cloud(&input.region)?;
    if cloud.read_machine(&input.machine).await?.is_none() {
        return done(());
    }
    cloud.delete_machine(&input.machine).await?;
    Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
}

async fn settle_orphan(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let stream = inventory_id(&input.region).stream();
    let command = inventory::Command::SettleOrphan { machine: input.machine.clone() };
    let journal = context.world.app.journal();
    let settled = journal.execute::<Inventory>(&stream, &context.metadata(), command).await;
    settled.map_err(AppError::from)?;
    context.say(format!("machine {} is gone", input.machine)).await;
    done(())
}
