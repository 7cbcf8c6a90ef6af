//! `delete_instance`: takes all away that a site has, frees its names and makes its secrets unreadable.

use super::archive_instance::OUT_OF_SERVICE;
use super::lifecycle::{give_up, record, recording, removal};
use super::resource::removal::{entries_of, remove_data, resolve};
use super::step::{Definition, Progress, Step, StepContext, StepError, done};
use ocim_domain::instance::lifecycle::Command;
use ocim_domain::ledger::{Kind, Ledger, ledger_id};
use ocim_domain::run_record::LifecycleInput;
use ocim_engine::call;

/// The process.
///
/// Failure policy: until the traffic has moved, a failure or a cancel leaves the site as it was. From
/// `record_traffic` on it only goes forward: who does not answer is asked again. What can't be removed
/// and is of a kind that the request ignores is left, and stays in the ledger. One that is abandoned
/// leaves the instance half deleted: it can be deleted again.
pub static DELETE_INSTANCE: Definition = Definition {
    name: "delete_instance",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.traffic_time),
    on_abandoned: Some(call!(give_up)),
    settles_on_undo: false,
    steps: &ROWS,
};

const ROWS: [Step; 15] = {
    let [confirm, claim, plan, withdraw, record, fragments, release, names, servers, monitors] =
        OUT_OF_SERVICE;
    let data = removal("remove_data", call!(remove_data));
    let shared =
        recording("leave_shared", call!(leave_shared), "what others have, too, is not its own");
    let deleted = recording("record_deleted", call!(record_deleted), "nothing of it is left");
    let free = recording("release_names", call!(release_names), "its names are free");
    let shred =
        recording("shred_secrets", call!(shred_secrets), "a deleted key does not come back");
    [
        confirm, claim, plan, withdraw, record, fragments, release, names, servers, monitors, data,
        shared, deleted, free, shred,
    ]
};

/// Lets go of what other instances use, too.
async fn leave_shared(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    for known in entries_of(&context, input.instance, Kind::SecurityGroups).await? {
        let reason = "all machines of the region share them";
        resolve(&context, input.instance, known.resource, reason).await?;
    }
    let (app, meta) = (&context.world.app, context.metadata());
    app.release_balancers(&meta, input.instance).await?;
    app.release_servers(&meta, input.instance).await?;
    done(())
}

/// From here on others may have its names.
async fn record_deleted(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    let stream = ledger_id(input.instance).stream();
    let ledger = context.world.app.journal().load::<Ledger>(&stream).await?.state;
    let residue: Vec<_> = ledger.entries.into_keys().collect();
    for id in &residue {
        context.say(format!("left over: the {} {}", id.kind, id.key)).await;
    }
    record(&context, Command::RecordDeleted { run: context.run, residue }).await?;
    done(())
}

async fn release_names(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    context.world.app.release_reserved_names(&context.metadata(), input.instance).await?;
    done(())
}

async fn shred_secrets(context: StepContext) -> Result<Progress, StepError> {
    let input: LifecycleInput = context.input()?;
    context.world.app.shred_secrets(input.instance).await?;
    context.say("its secrets can't be read any more").await;
    done(())
}
