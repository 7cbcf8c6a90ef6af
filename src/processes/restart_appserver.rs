//! `restart_appserver`: restarts an Appserver's machine, and waits until its site answers again.

use super::lifecycle::recording;
use super::machines::{
    await_heartbeat_of, await_other_boot, load_server, look_by_ssh, probe_reboot, reboot,
};
use super::step::{Definition, Found, Kind, Progress, Step, StepContext, StepError, done, undone};
use super::terminate_appserver::record;
use ocim_domain::appserver::{self, Command};
use ocim_domain::instance;
use ocim_domain::run_record::{BootId, CreatedServer, TrafficInput};
use ocim_domain::saga::ErrorCode;
use ocim_engine::call;
use std::time::Duration;

/// What is left of the step's time when a machine that does not answer is restarted as it is.
const MARGIN: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// The process. The traffic stays as it is: with others beside it, the balancer leaves the machine
/// out while it does not answer.
///
/// Failure policy: until the machine is asked to reboot, a failure or a cancel changes nothing. From
/// `reboot_server` on it only goes forward: one that does not come back needs a person.
pub static RESTART_APPSERVER: Definition = Definition {
    name: "restart_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.launch_time),
    on_abandoned: Some(call!(call_off)),
    settles_on_undo: false,
    steps: &[
        Step::new(
            "confirm_request",
            call!(confirm_request),
            Kind::Compensable(call!(call_off)),
            5,
            |_| Duration::from_secs(60),
        ),
        Step::watching("note_boot", call!(note_boot), Kind::NoUndo("it only looks"), 3, |_| {
            Duration::from_secs(120)
        }),
        Step {
            probe: Some(call!(probe_reboot_server)),
            ..Step::new(
                "reboot_server",
                call!(reboot_server),
                Kind::Pivot("the machine reboots: from here the run only goes forward"),
                20,
                |_| Duration::from_secs(300),
            )
        },
        Step::watching(
            "await_reboot",
            call!(await_reboot),
            Kind::Retryable("it only waits"),
            3,
            |limits| limits.server_wait,
        ),
        Step::watching(
            "await_heartbeat",
            call!(await_heartbeat),
            Kind::Retryable("it only waits"),
            3,
            |limits| limits.heartbeat_wait,
        ),
        recording("record_restart", call!(record_restart), "the site answers again"),
    ],
};

/// The Appserver, if its machine may still be restarted, and the machine.
async fn load(context: &StepContext) -> Result<(appserver::Present, CreatedServer), StepError> {
    let input: TrafficInput = context.input()?;
    let appserver = context.world.app.load_appserver(input.appserver).await?;
    let server = appserver.launched.server;
    let machine = load_server(context, server).await?.machine.ok_or_else(|| {
        StepError::permanent(ErrorCode::MachineVanished, "the appserver has no machine")
    })?;
    Ok((appserver, CreatedServer { server, machine }))
}

/// Refuses to take the last one that serves away from its visitors, unless somebody insisted: others
/// may have left, or be restarted, since it was asked for.
async fn check_not_last(
    context: &StepContext,
    appserver: &appserver::Present,
) -> Result<(), StepError> {
    let input: TrafficInput = context.input()?;
    let app = &context.world.app;
    let (instance, _) = app.load_instance(appserver.launched.instance).await?;
    if input.force || !app.is_last(&instance, input.appserver).await? {
        return Ok(());
    }
    let why = instance::Rejected::LastActive.to_string();
    Err(StepError::permanent(ErrorCode::LastActiveAppserver, why))
}

async fn confirm_request(context: StepContext) -> Result<Progress, StepError> {
    let (appserver, _) = load(&context).await?;
    let stands = appserver.check_restart();
    stands.map_err(|why| StepError::permanent(ErrorCode::AppserverLeaving, why.to_string()))?;
    check_not_last(&context, &appserver).await?;
    if appserver.restart_run == Some(context.run) {
        return done(());
    }
    let why = "the restart is not asked for any more";
    Err(StepError::permanent(ErrorCode::StateForbids, why))
}

/// Another restart may be asked for.
async fn call_off(context: StepContext) -> Result<Progress, StepError> {
    record(&context, Command::StopRestart { run: context.run }).await?;
    undone("the restart is called off")
}

/// Notes which boot the machine is in. One that does not answer, which may be why it is restarted, is
/// in the one that it was last seen in.
async fn note_boot(context: StepContext) -> Result<Progress, StepError> {
    let (appserver, created) = load(&context).await?;
    check_not_last(&context, &appserver).await?;
    if let Some((.., boot_id)) = look_by_ssh(&context, &created).await? {
        return done(BootId(boot_id));
    }
    if context.deadline - context.time.now() > MARGIN {
        return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
    }
    let seen = load_server(&context, created.server).await?.boot_id.ok_or_else(|| {
        StepError::permanent(ErrorCode::AddressUnknown, "the machine was never seen to be up")
    })?;
    context.say("the machine does not answer: it is restarted as it is").await;
    done(BootId(seen))
}

async fn reboot_server(context: StepContext) -> Result<Progress, StepError> {
    let (_, created) = load(&context).await?;
    reboot(&context, &created, context.need("note_boot")?).await
}

async fn probe_reboot_server(context: StepContext) -> Result<Found, StepError> {
    let (_, created) = load(&context).await?;
    probe_reboot(&context, &created, context.need("note_boot")?).await
}

async fn await_reboot(context: StepContext) -> Result<Progress, StepError> {
    let (_, created) = load(&context).await?;
    await_other_boot(&context, &created).await
}

async fn await_heartbeat(context: StepContext) -> Result<Progress, StepError> {
    let input: TrafficInput = context.input()?;
    await_heartbeat_of(&context, input.appserver).await
}

async fn record_restart(context: StepContext) -> Result<Progress, StepError> {
    record(&context, Command::RecordRestart { run: context.run }).await?;
    context.say("the machine was restarted, and the site answers").await;
    done(())
}
