//! `run_bulk_operation`: works through the instances of a bulk operation, a few at a time.
//!
//! All that it knows is in the log: the operation's own stream says what was begun, the ids of what an
//! instance's work is follow from the run's, and each look does what is missing. So it may die anywhere.

use super::launch_appserver::next_attempt;
use super::preupgrade_sql::run_sql;
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use crate::app::{AppError, Caller, DetailsAsk, ExecuteError};
use ocim_domain::appserver::activation_after;
use ocim_domain::bulk::{self, Bulk, Outcome, ProgressTags, Redeployment, Work};
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::lifecycle;
use ocim_domain::instance::{self, Attempts, Instance, OnSuccess, Stage};
use ocim_domain::run_record::BulkInput;
use ocim_domain::saga::{self, Phase, Saga, step_key, tell_cause};
use ocim_engine::call;
use serde_json::{Map, Value};
use std::time::Duration;

/// Longest time that an operation may take: pauses, and machines that are waited for, included.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Longest time of one attempt: a look that never ends, or is lost, is made anew long before the
/// operation's own time is up.
const ATTEMPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// The process.
///
/// Failure policy: what becomes of one instance is noted, and never stops the others but as the
/// operation's pace says. A cancel leaves what was begun to its own runs, and begins no more.
pub static RUN_BULK_OPERATION: Definition = Definition {
    name: "run_bulk_operation",
    version: 1,
    deadline: Some(|_| LONGEST),
    on_abandoned: Some(call!(leave_off)),
    settles_on_undo: false,
    steps: &[
        Step::watching(
            "advance_instances",
            call!(advance_instances),
            Kind::Compensable(call!(leave_off)),
            100,
            |_| ATTEMPT,
        ),
        Step::new(
            "end_operation",
            call!(end_operation),
            Kind::Pivot("each of its instances is done"),
            20,
            |_| Duration::from_secs(60),
        ),
    ],
};

/// Looks what has become of each that was begun, and begins the next ones.
async fn advance_instances(context: StepContext) -> Result<Progress, StepError> {
    let bulk = record(&context, bulk::Command::TakeUp).await?;
    for instance in &bulk.ongoing {
        advance(&context, &bulk, *instance).await?;
    }
    let next = record(&context, bulk::Command::BeginBatch).await?;
    for instance in next.ongoing.difference(&bulk.ongoing) {
        advance(&context, &next, *instance).await?;
    }
    let bulk = load(&context).await?;
    if bulk.is_done() {
        return done(());
    }
    Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
}

async fn end_operation(context: StepContext) -> Result<Progress, StepError> {
    let bulk = record(&context, bulk::Command::End).await?;
    let count = |is: fn(&Outcome) -> bool| bulk.settled.values().filter(|it| is(it)).count();
    let (succeeded, failed) =
        (count(|it| *it == Outcome::Succeeded), count(|it| matches!(it, Outcome::Failed { .. })));
    let skipped = bulk.settled.len() - succeeded - failed;
    let left = bulk.request.instances.len() - bulk.begun;
    let told = format!(
        "{succeeded} succeeded, {failed} failed, {skipped} were skipped, {left} were never begun"
    );
    context.say(told).await;
    done(())
}

/// Begins no more; what was begun goes on by itself.
async fn leave_off(context: StepContext) -> Result<Progress, StepError> {
    let reason =
        context.cause.as_ref().map_or_else(|| "its run was given up".to_owned(), tell_cause);
    record(&context, bulk::Command::LeaveOff { reason }).await?;
    undone("nothing more begins; what was begun goes on by itself")
}

async fn load(context: &StepContext) -> Result<bulk::Present, StepError> {
    let input: BulkInput = context.input()?;
    let loaded = context.world.app.journal().load::<Bulk>(&input.bulk.stream()).await?;
    let bulk = loaded.state.as_deref().cloned();
    bulk.ok_or_else(|| AppError::not_found("bulk operation", input.bulk).into())
}

async fn record(context: &StepContext, command: bulk::Command) -> Result<bulk::Present, StepError> {
    let input: BulkInput = context.input()?;
    let journal = context.world.app.journal();
    let meta = context.metadata();
    let executed = journal.execute::<Bulk>(&input.bulk.stream(), &meta, command).await;
    let executed = executed.map_err(AppError::from)?;
    let bulk = executed.state.as_deref().cloned();
    bulk.ok_or_else(|| AppError::not_found("bulk operation", input.bulk).into())
}

/// Does what is missing of one instance's work, and notes how it went once it is over.
async fn advance(
    context: &StepContext,
    bulk: &bulk::Present,
    instance: InstanceId,
) -> Result<(), StepError> {
    let outcome = match &bulk.request.work {
        Work::Redeploy(how) => advance_redeployment(context, how, instance).await?,
        Work::Archive => advance_archiving(context, &bulk.request.reason, instance).await?,
    };
    let Some(outcome) = outcome else { return Ok(()) };
    context.say(tell_outcome(instance, &outcome)).await;
    record(context, bulk::Command::SettleInstance { instance, outcome }).await.map(drop)
}

fn tell_outcome(instance: InstanceId, outcome: &Outcome) -> String {
    match outcome {
        Outcome::Succeeded => format!("SUCCESS: {instance}"),
        Outcome::Failed { why } => format!("FAILED: {instance}: {why}"),
        Outcome::Skipped { why } => format!("SKIPPED: {instance}: {why}"),
    }
}

/// What is derived of the run for one instance.
fn key(context: &StepContext, what: &str, instance: InstanceId) -> uuid::Uuid {
    step_key(context.run, &format!("{what} of {instance}"))
}

/// The instance, unless there is none any more.
async fn find(
    context: &StepContext,
    instance: InstanceId,
) -> Result<Option<instance::Present>, StepError> {
    match context.world.app.load_instance(instance).await {
        Ok((present, _)) => Ok(Some(present)),
        Err(AppError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn skipped(why: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::Skipped { why: why.into() })
}

fn failed(why: impl Into<String>) -> Option<Outcome> {
    Some(Outcome::Failed { why: why.into() })
}

async fn advance_redeployment(
    context: &StepContext,
    how: &Redeployment,
    id: InstanceId,
) -> Result<Option<Outcome>, StepError> {
    let Some(instance) = find(context, id).await? else { return Ok(skipped("it is not there")) };
    let tags = ProgressTags::new(&how.tag).map_err(AppError::internal)?;
    let appserver = AppserverId(key(context, "appserver", id));
    let launch = RunId(key(context, "launch", id));
    if !instance.appservers.contains(&appserver) {
        let begun = begin_redeployment(context, how, id, &instance, (appserver, launch)).await?;
        if let Some(Outcome::Failed { .. }) = begun {
            tag(context, id, &[&tags.failure], &[&tags.ongoing, &tags.success]).await?;
        }
        return Ok(begun);
    }
    if instance.launches.iter().any(|it| it.first_run() == launch) {
        tag(context, id, &[&tags.ongoing], &[]).await?;
        return Ok(None);
    }
    let outcome = outcome_of_launch(context, how, launch).await?;
    match &outcome {
        Some(Outcome::Succeeded) => tag(context, id, &[&tags.success], &[&tags.ongoing]).await?,
        Some(_) => tag(context, id, &[&tags.failure], &[&tags.ongoing, &tags.success]).await?,
        None => {}
    }
    Ok(outcome)
}

/// Runs the SQL, changes the settings and asks for the launch; the outcome where that can't be.
async fn begin_redeployment(
    context: &StepContext,
    how: &Redeployment,
    id: InstanceId,
    instance: &instance::Present,
    (appserver, run): (AppserverId, RunId),
) -> Result<Option<Outcome>, StepError> {
    if let Err(why) = instance.check_live() {
        return Ok(skipped(why.to_string()));
    }
    if !instance.successfully_provisioned {
        return Ok(skipped("no launch of it has ever succeeded"));
    }
    let tags = ProgressTags::new(&how.tag).map_err(AppError::internal)?;
    if let Some(tag) = tags.all().into_iter().find(|tag| instance.details.tags.contains(tag)) {
        return Ok(skipped(format!("it is tagged {tag}: another operation of that tag has it")));
    }
    let journal = context.world.app.journal();
    if let Err(why) = instance.check_hold(&context.metadata().actor, journal.now()) {
        return Ok(skipped(why.to_string()));
    }
    if let Some(sql) = &how.sql {
        let outcome = run_sql(context, sql, instance, key(context, "SQL", id)).await?;
        if outcome.is_some() {
            return Ok(outcome);
        }
    }
    let skipped = |why: String| match how.sql {
        Some(_) => skipped(format!("after its SQL had run: {why}")),
        None => skipped(why),
    };
    if let Some(update) = &how.update {
        let Some(update) = update.open() else { return Ok(failed("what to change was erased")) };
        let update: Map<String, Value> =
            serde_json::from_str(update).map_err(AppError::internal)?;
        // Somebody's hold forbids it in the same append, as that of the launch below.
        let by = Caller { passes_holds: false, ..Caller::of_run(context.run) };
        match context.world.app.change_settings(&by, id, update, None).await {
            Ok(_) => {}
            Err(AppError::Held { detail }) => return Ok(skipped(detail)),
            Err(
                error
                @ (AppError::Invalid(_) | AppError::NamesTaken(_) | AppError::Rejected { .. }),
            ) => {
                return Ok(failed(format!(
                    "its settings can't be changed: {}",
                    StepError::from(error)
                )));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let command = instance::Command::RequestLaunch {
        appserver,
        run,
        may_queue: true,
        then: OnSuccess { activate: how.activate, deactivate_others: how.activate },
        attempts: Attempts {
            attempts: how.attempts,
            success_tag: Some(tags.success),
            failure_tag: Some(tags.failure),
            in_bulk: true,
            ..Attempts::ONE
        },
    };
    let command = asked(context, command);
    match journal.execute::<Instance>(&id.stream(), &context.metadata(), command).await {
        Ok(_) => tag(context, id, &[&tags.ongoing], &[]).await.map(|()| None),
        Err(ExecuteError::Rejected(why)) => Ok(skipped(why.to_string())),
        Err(error) => Err(AppError::from(error).into()),
    }
}

/// The command as the operation's, which somebody's hold forbids.
fn asked(context: &StepContext, command: instance::Command) -> instance::Command {
    let actor = context.metadata().actor;
    instance::Command::AskedBy { actor, command: Box::new(command) }
}

/// Has the instance bear these tags, and not those.
async fn tag(
    context: &StepContext,
    id: InstanceId,
    add: &[&instance::Tag],
    remove: &[&instance::Tag],
) -> Result<(), StepError> {
    let texts = |tags: &[&instance::Tag]| tags.iter().map(|tag| tag.to_string()).collect();
    let ask =
        DetailsAsk { add_tags: texts(add), remove_tags: texts(remove), ..DetailsAsk::default() };
    match context.world.app.change_details(&Caller::of_run(context.run), id, ask).await {
        // What is deleted meanwhile, or has too many, bears no more: the operation knows without.
        Ok(_) | Err(AppError::Rejected { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// How a launch went that is not among the instance's any more; none while it has not come to rest.
async fn outcome_of_launch(
    context: &StepContext,
    how: &Redeployment,
    first: RunId,
) -> Result<Option<Outcome>, StepError> {
    let mut run = first;
    let mut why = "it was called off before it began".to_owned();
    for _ in 0..how.attempts.get() {
        let Some(state) = load_run(context, run).await? else { break };
        match &state.phase {
            Phase::Completed if !how.activate => return Ok(Some(Outcome::Succeeded)),
            Phase::Completed => return outcome_of_activation(context, &state, run).await,
            phase => match tell_end(phase) {
                Some(end) => why = end,
                None => return Ok(None),
            },
        }
        run = next_attempt(run).1;
    }
    Ok(failed(why))
}

async fn outcome_of_activation(
    context: &StepContext,
    launch: &saga::Run,
    run: RunId,
) -> Result<Option<Outcome>, StepError> {
    if launch.steps.get("request_activation") == Some(&saga::Step::Skipped) {
        let why = format!("it runs, and its activation was refused: see the log of {run}");
        return Ok(failed(why));
    }
    let Some(state) = load_run(context, activation_after(run)).await? else { return Ok(None) };
    Ok(match &state.phase {
        Phase::Completed => Some(Outcome::Succeeded),
        phase => {
            tell_end(phase).and_then(|why| failed(format!("it runs, but does not serve: {why}")))
        }
    })
}

async fn load_run(context: &StepContext, run: RunId) -> Result<Option<saga::Run>, StepError> {
    Ok(context.world.app.journal().load::<Saga>(&run.stream()).await?.state)
}

/// Why a run ended without coming to its goal; none where it has not ended.
fn tell_end(phase: &Phase) -> Option<String> {
    match phase {
        Phase::Unwound(cause) => Some(tell_cause(cause)),
        Phase::Abandoned { reason, .. } => Some(format!("its run was given up: {reason}")),
        Phase::Forward | Phase::Unwinding(_) | Phase::Stuck { .. } | Phase::Completed => None,
    }
}

async fn advance_archiving(
    context: &StepContext,
    reason: &str,
    id: InstanceId,
) -> Result<Option<Outcome>, StepError> {
    let Some(instance) = find(context, id).await? else { return Ok(skipped("it is not there")) };
    let run = RunId(key(context, "archiving", id));
    if instance.lifecycle.run == Some(run) {
        return Ok(None);
    }
    let state = load_run(context, run).await?;
    match (state, instance.lifecycle.stage) {
        (Some(_), Stage::Archived) => return Ok(Some(Outcome::Succeeded)),
        (None, Stage::Archived) => return Ok(skipped("it is archived already")),
        (Some(state), _) => {
            let end = tell_end(&state.phase);
            return Ok(end.and_then(failed));
        }
        (None, _) => {}
    }
    let command = instance::Command::Lifecycle(lifecycle::Command::RequestArchive {
        run,
        reason: reason.to_owned(),
    });
    let journal = context.world.app.journal();
    match journal
        .execute::<Instance>(&id.stream(), &context.metadata(), asked(context, command))
        .await
    {
        Ok(_) => Ok(None),
        Err(ExecuteError::Rejected(why @ instance::Rejected::Hold(_))) => {
            Ok(skipped(why.to_string()))
        }
        Err(ExecuteError::Rejected(why)) => Ok(failed(why.to_string())),
        Err(error) => Err(AppError::from(error).into()),
    }
}
