//! `delete_orphan`: takes away what is ours, but what nothing in the log accounts for.

use super::beliefs::Beliefs;
use super::orphans::{Stray, not_an_orphan};
use super::provision_load_balancer::{has_given_up, machine_made};
use super::step::{self, Definition, Progress, Step, StepContext, StepError, done, undone};
use crate::app::AppError;
use ocim_domain::ids::{RunId, ServerId};
use ocim_domain::inventory::{self, Inventory, Orphan, OrphanId, inventory_id};
use ocim_domain::ledger::Kind;
use ocim_domain::run_record::OrphanInput;
use ocim_domain::saga::Saga;
use ocim_domain::server::{Server, Status};
use ocim_engine::call;
use std::time::Duration;

/// The process.
///
/// Failure policy: before `remove_orphan` nothing was touched, and it may be asked for again. From there
/// on it only goes forward: who does not answer is asked again.
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
            step::Kind::Compensable(call!(stop_deletion)),
            5,
            |_| Duration::from_secs(60),
        ),
        Step::new(
            "remove_orphan",
            call!(remove_orphan),
            step::Kind::Pivot("what is removed does not come back"),
            100,
            |limits| limits.shutdown_wait.saturating_add(Duration::from_secs(300)),
        ),
        Step::new(
            "settle_orphan",
            call!(settle_orphan),
            step::Kind::Retryable("it is gone"),
            20,
            |_| Duration::from_secs(60),
        ),
    ],
};

/// Sees that still nothing accounts for it: the report may be a minute old.
async fn confirm_orphan(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    match confirm(&context, &input.id()).await? {
        Some(_) => done(()),
        None => Err(not_an_orphan("it is no orphan any more".to_owned())),
    }
}

/// Whom one asks for it; `None` where it was seen to be gone or accounted for since it was reported.
async fn confirm(context: &StepContext, id: &OrphanId) -> Result<Option<Stray>, StepError> {
    let app = &context.world.app;
    let Some(inventory::Reported { orphan, .. }) = app.reported_orphan(id).await? else {
        return Ok(None);
    };
    if orphan.id.kind == Kind::Machine {
        if let Some(server) = find_owner(context, &orphan).await? {
            return Err(not_an_orphan(format!("it is the machine of {server}")));
        }
        if let Some(run) = find_provision(context, &id.place, &orphan).await? {
            return Err(not_an_orphan(format!("it is the balancer's machine of {run}")));
        }
    }
    Stray::of(&context.world, &app.read_holdings().await?, id).await.map(Some)
}

/// Has it offered again to whoever looks at the orphans.
async fn stop_deletion(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let OrphanId { place, key: id } = input.id();
    let command = inventory::Command::StopOrphanDeletion { id, run: context.run };
    let stream = inventory_id(&place).stream();
    let journal = context.world.app.journal();
    let stopped = journal.execute::<Inventory>(&stream, &context.metadata(), command).await;
    stopped.map_err(AppError::from)?;
    undone("it may be asked for again")
}

/// The Server whose machine it is after all.
async fn find_owner(context: &StepContext, orphan: &Orphan) -> Result<Option<ServerId>, StepError> {
    // A Server's id is the key that its machine is made with.
    let Some(id) = orphan.made_with.map(ServerId) else { return Ok(None) };
    let loaded = context.world.app.journal().load::<Server>(&id.stream()).await?;
    let owns = loaded.state.present().is_some_and(|server| {
        server.status != Status::Terminated
            && server.machine.as_ref().is_none_or(|machine| *machine == orphan.id.key)
    });
    Ok(owns.then_some(id))
}

/// The run that has made a balancer of it, or is making one.
async fn find_provision(
    context: &StepContext,
    region: &str,
    orphan: &Orphan,
) -> Result<Option<RunId>, StepError> {
    let Some(key) = orphan.made_with else { return Ok(None) };
    let app = &context.world.app;
    let mut known = Beliefs::for_a_look(app.journal(), region);
    known.refresh().await?;
    let Some(id) =
        known.provisions().find_map(|(made_with, run)| (made_with == key).then_some(run))
    else {
        return Ok(None);
    };
    let Some(run) = app.journal().load::<Saga>(&id.stream()).await?.state else { return Ok(None) };
    let owns = machine_made(&run).is_none_or(|machine| machine == orphan.id.key)
        && !has_given_up(app, &run).await?;
    Ok(owns.then_some(id))
}

/// Takes it away, and looks until it is gone: each time, that still nothing accounts for it.
async fn remove_orphan(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let Some(stray) = confirm(&context, &input.id()).await? else { return done(()) };
    if stray.find(&context.world).await?.is_none() {
        return done(());
    }
    stray.remove(&context.world).await?;
    Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
}

async fn settle_orphan(context: StepContext) -> Result<Progress, StepError> {
    let input: OrphanInput = context.input()?;
    let OrphanId { place, key: id } = input.id();
    let stream = inventory_id(&place).stream();
    let command = inventory::Command::SettleOrphan { id };
    let journal = context.world.app.journal();
    let settled = journal.execute::<Inventory>(&stream, &context.metadata(), command).await;
    settled.map_err(AppError::from)?;
    context.say(format!("the {} {} is gone, or accounted for", input.kind, input.key)).await;
    done(())
}
