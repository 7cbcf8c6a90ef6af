//! Steps on virtual machines: make, wait, reboot, delete, each recorded on the Server.

use super::failure::{record_server_gone, settle_appserver};
use super::heartbeat::request_heartbeat;
use super::resource::machine::ServerMachine;
use super::resource::remove_one;
use super::step::{Found, Progress, StepContext, StepError, done, found, undone};
use crate::app::AppError;
use ocim_adapters::cloud::{Address, Machine, Power};
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{AppserverId, InstanceId, ServerId};
use ocim_domain::names::{self, Service};
use ocim_domain::port_error::Class;
use ocim_domain::run_record::{BootId, CreatedServer, HeartbeatStatus, LaunchInput};
use ocim_domain::saga::{ErrorCode, step_key};
use ocim_domain::server::{self, BootCause, Command, Server};

/// The Server that a launch makes: its id follows from the run.
#[must_use]
pub fn server_of(context: &StepContext) -> ServerId {
    ServerId(step_key(context.run, "create_server"))
}

/// A Server as its events tell.
pub async fn load_server(
    context: &StepContext,
    id: ServerId,
) -> Result<server::Present, StepError> {
    let loaded = context.world.app.journal().load::<Server>(&id.stream()).await?;
    let present = loaded.state.present().cloned();
    Ok(present.ok_or_else(|| AppError::not_found("server", id))?)
}

/// Records something on a Server.
pub async fn record_server(
    context: &StepContext,
    id: ServerId,
    command: Command,
) -> Result<(), StepError> {
    let journal = context.world.app.journal();
    let executed = journal.execute::<Server>(&id.stream(), &context.metadata(), command).await;
    executed.map(|_| ()).map_err(|error| AppError::from(error).into())
}

/// Takes the launch's machine away, and sees that it is gone.
pub async fn undo_create_server(context: StepContext) -> Result<Progress, StepError> {
    settle_appserver(&context).await?;
    let id = server_of(&context);
    let loaded = context.world.app.journal().load::<Server>(&id.stream()).await?;
    if loaded.state.present().is_none() {
        return undone("no machine was asked for");
    }
    if is_serving(&context).await? {
        // Visitors leave first: the run that takes it out of traffic is asked for.
        return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
    }
    let input: LaunchInput = context.input()?;
    let progress = remove_machine(&context, input.instance, id).await?;
    if matches!(progress, Progress::Done(_)) {
        record_server_gone(&context).await?;
    }
    Ok(progress)
}

/// Whether the Appserver being launched receives traffic all the same.
async fn is_serving(context: &StepContext) -> Result<bool, StepError> {
    let input: LaunchInput = context.input()?;
    let loaded = context.world.app.journal().load::<Appserver>(&input.appserver.stream()).await?;
    Ok(loaded.state.present().is_some_and(|present| present.active))
}

/// Deletes a Server's machine, found by its id and by its key, and looks until all are gone. Only
/// observed absence makes a Server `terminated`; a cloud that does not answer makes it `unknown`.
pub async fn remove_machine(
    context: &StepContext,
    instance: InstanceId,
    id: ServerId,
) -> Result<Progress, StepError> {
    let server = load_server(context, id).await?;
    remove_one(context, &ServerMachine { instance, id, server }).await
}

/// Waits until the cloud says that the machine is up, and where.
pub async fn await_server(context: StepContext) -> Result<Progress, StepError> {
    let created: CreatedServer = context.need("create_server")?;
    let region = load_server(&context, created.server).await?.requested.region;
    let cloud = context.world.cloud(&region)?;
    let again_in = context.world.limits.poll_interval;
    match see(cloud.read_machine(&created.machine).await)? {
        Seen::Machine(machine) => match (machine.power, machine.address) {
            (Power::Active, Some(address)) => {
                let command =
                    Command::StartBooting { address: Some(address), cause: BootCause::Built };
                record_server(&context, created.server, command).await?;
                context.say("the machine is up, and boots").await;
                done(())
            }
            (Power::Error, _) => {
                let fault = machine.fault.unwrap_or_else(|| "no fault was given".to_owned());
                let reason = format!("the cloud could not build the machine: {fault}");
                let command = Command::FailBuild { reason: reason.clone() };
                record_server(&context, created.server, command).await?;
                Err(StepError::permanent(ErrorCode::MachineFailed, reason))
            }
            (power, _) => {
                say_waiting(&context, &describe_unready(power)).await;
                Ok(Progress::NotYet { again_in })
            }
        },
        Seen::Gone => Err(StepError::permanent(
            ErrorCode::MachineVanished,
            "the machine vanished while it was being built",
        )),
        Seen::NoAnswer(why) => {
            say_waiting(&context, &why).await;
            Ok(Progress::NotYet { again_in })
        }
    }
}

/// Waits until the machine answers SSH with the host key that its console showed.
pub async fn await_ssh(context: StepContext) -> Result<Progress, StepError> {
    let created: CreatedServer = context.need("create_server")?;
    let Some((address, host_keys, boot_id)) = look_by_ssh(&context, &created).await? else {
        return Ok(Progress::NotYet { again_in: context.world.limits.poll_interval });
    };
    let command = Command::BecomeReady { host_keys, boot_id: boot_id.clone() };
    record_server(&context, created.server, command).await?;
    context.say(format!("{} answers SSH on port {}", address.ip, address.ssh_port)).await;
    done(BootId(boot_id))
}

/// Asks for an orderly reboot, once: the boot id of before tells whether it has happened.
pub async fn reboot_server(context: StepContext) -> Result<Progress, StepError> {
    let created = context.need("create_server")?;
    reboot(&context, &created, context.need("await_ssh")?).await
}

/// As [`reboot_server`], of a machine that was last seen in the boot `before`.
pub async fn reboot(
    context: &StepContext,
    created: &CreatedServer,
    before: BootId,
) -> Result<Progress, StepError> {
    let present = load_server(context, created.server).await?;
    let cloud = context.world.cloud(&present.requested.region)?;
    let machine = cloud.read_machine(&created.machine).await?;
    machine.ok_or_else(|| {
        StepError::permanent(ErrorCode::MachineVanished, "the machine vanished before its reboot")
    })?;
    if present.status == server::Status::Ready {
        let command = Command::StartBooting { address: None, cause: BootCause::Rebooted };
        record_server(context, created.server, command).await?;
    }
    cloud.reboot_machine(&created.machine).await?;
    context.say("the machine reboots").await;
    done(before)
}

/// Looks whether the reboot of unknown outcome has happened: the boot id has changed.
pub async fn probe_reboot_server(context: StepContext) -> Result<Found, StepError> {
    let created = context.need("create_server")?;
    probe_reboot(&context, &created, context.need("await_ssh")?).await
}

/// As [`probe_reboot_server`], of a machine that was last seen in the boot `before`.
pub async fn probe_reboot(
    context: &StepContext,
    created: &CreatedServer,
    before: BootId,
) -> Result<Found, StepError> {
    match look_by_ssh(context, created).await? {
        Some((.., now)) if now != before.0 => found(before),
        Some(_) => Ok(Found::Absent),
        // It may be rebooting right now: a second reboot would cut that short.
        None => Ok(Found::Unknown { again_in: context.world.limits.poll_interval }),
    }
}

/// Waits for a boot id other than the one before the reboot.
pub async fn await_reboot(context: StepContext) -> Result<Progress, StepError> {
    let created = context.need("create_server")?;
    await_other_boot(&context, &created).await
}

/// As [`await_reboot`], of a machine that the step `reboot_server` has rebooted.
pub async fn await_other_boot(
    context: &StepContext,
    created: &CreatedServer,
) -> Result<Progress, StepError> {
    let before: BootId = context.need("reboot_server")?;
    match look_by_ssh(context, created).await? {
        Some((_, host_keys, boot_id)) if boot_id != before.0 => {
            let command = Command::BecomeReady { host_keys, boot_id: boot_id.clone() };
            record_server(context, created.server, command).await?;
            done(BootId(boot_id))
        }
        Some(_) => {
            say_waiting(context, "the machine has not rebooted yet").await;
            Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
        }
        None => Ok(Progress::NotYet { again_in: context.world.limits.poll_interval }),
    }
}

/// Waits until the site answers `OPTIONS /heartbeat` with success, after its redirects (core §3.5
/// step 12).
pub async fn await_heartbeat(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    await_heartbeat_of(&context, input.appserver).await
}

/// As [`await_heartbeat`], of any Appserver whose machine is up.
pub async fn await_heartbeat_of(
    context: &StepContext,
    id: AppserverId,
) -> Result<Progress, StepError> {
    let appserver = context.world.app.load_appserver(id).await?;
    let present = load_server(context, appserver.launched.server).await?;
    let address = present
        .address
        .ok_or_else(|| StepError::permanent(ErrorCode::AddressUnknown, "the address is unknown"))?;
    let settings = &appserver.launched.settings;
    let mut hosts = vec![names::effective_host(settings, Service::Lms)];
    hosts.extend(names::load_balanced_domains(settings));
    let to = (address.ip, address.http_port).into();
    match request_heartbeat(&*context.world.ports.site_probe, to, &hosts).await {
        Ok(answer) if answer.status < 400 => {
            context.say(format!("the heartbeat answers with {}", answer.status)).await;
            done(HeartbeatStatus(answer.status))
        }
        Ok(answer) => {
            say_waiting(context, &format!("the heartbeat answers with {}", answer.status)).await;
            Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
        }
        Err(error) if error.class == Class::Permanent => Err(error.into()),
        Err(error) => {
            say_waiting(context, &format!("no heartbeat yet: {}", error.message)).await;
            Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
        }
    }
}

enum Seen {
    Machine(Machine),
    Gone,
    /// Why, as people are told.
    NoAnswer(String),
}

/// While one waits, a cloud that does not answer for a moment is not a failure.
fn see(
    read: Result<Option<Machine>, ocim_domain::port_error::PortError>,
) -> Result<Seen, StepError> {
    match read {
        Ok(Some(machine)) => Ok(Seen::Machine(machine)),
        Ok(None) => Ok(Seen::Gone),
        Err(error) if error.class == Class::Permanent => Err(error.into()),
        Err(error) => Ok(Seen::NoAnswer(format!("the cloud does not answer: {}", error.message))),
    }
}

/// The machine's address, host keys and boot id, if it answers SSH now.
pub async fn look_by_ssh(
    context: &StepContext,
    created: &CreatedServer,
) -> Result<Option<(Address, Vec<String>, String)>, StepError> {
    let region = load_server(context, created.server).await?.requested.region;
    look_at_machine(context, &region, &created.machine).await
}

/// As [`look_by_ssh`], of any machine of a region.
pub async fn look_at_machine(
    context: &StepContext,
    region: &str,
    machine: &str,
) -> Result<Option<(Address, Vec<String>, String)>, StepError> {
    let cloud = context.world.cloud(region)?;
    let machine = match see(cloud.read_machine(machine).await)? {
        Seen::Machine(machine) if machine.power == Power::Error => {
            let fault = machine.fault.unwrap_or_default();
            return Err(StepError::permanent(
                ErrorCode::MachineFailed,
                format!("the machine is in error: {fault}"),
            ));
        }
        Seen::Machine(machine) => machine,
        Seen::Gone => {
            return Err(StepError::permanent(ErrorCode::MachineVanished, "the machine vanished"));
        }
        Seen::NoAnswer(why) => {
            say_waiting(context, &why).await;
            return Ok(None);
        }
    };
    let Some(address) = machine.address else {
        say_waiting(context, &describe_unready(machine.power)).await;
        return Ok(None);
    };
    if machine.host_keys.is_empty() {
        say_waiting(context, "the machine's console does not show its SSH host keys yet").await;
        return Ok(None);
    }
    match context.world.ports.shell.read_boot_id(&address, &machine.host_keys).await {
        Ok(boot_id) => Ok(Some((address, machine.host_keys, boot_id))),
        Err(error) if error.class == Class::Permanent => Err(error.into()),
        Err(error) => {
            say_waiting(context, &format!("no SSH yet: {}", error.message)).await;
            Ok(None)
        }
    }
}

/// What keeps a machine from being used, as its cloud tells.
fn describe_unready(power: Power) -> String {
    match power {
        Power::Building => "the cloud is building the machine".to_owned(),
        Power::Active => "the machine is up, but has no address yet".to_owned(),
        Power::Shutoff => "the cloud has stopped the machine".to_owned(),
        Power::Error => "the cloud gave up on the machine".to_owned(),
        Power::Unknown => "the cloud can't tell what the machine does".to_owned(),
    }
}

/// Says what the step waits for: when that changes, and every few minutes.
async fn say_waiting(context: &StepContext, text: &str) {
    if context.world.logs.is_news(context.run, context.step, text) {
        context.say(format!("waiting: {text}")).await;
    }
}
