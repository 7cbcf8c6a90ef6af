//! `provision_load_balancer`: makes a machine of a region a balancer of our own, and registers it.

use super::machines::look_at_machine;
use super::playbook_steps::{Play, follow_playbook, forget_playbooks};
use super::step::{
    Definition, Found, Kind, Progress, StartRequest, Step, StepContext, StepError, done, found,
    undone,
};
use super::world::Limits;
use crate::app::{App, AppError, Caller};
use ocim_adapters::balancer::{https_port, install_variables};
use ocim_adapters::cloud::MachineSpec;
use ocim_adapters::playbooks::{PlaybookRun, Source, Target};
use ocim_domain::Timestamp;
use ocim_domain::event::{DecodeError, DomainEvent, Recorded};
use ocim_domain::ids::RunId;
use ocim_domain::load_balancer::Registration;
use ocim_domain::run_record::{MachineId, ProvisionLoadBalancer, ReachedMachine};
use ocim_domain::saga::{Command, Event, Phase, Run, step_key};
use ocim_domain::server::ServerAddress;
use ocim_engine::call;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The step that makes the machine, and gives the cloud's id of it.
pub const CREATE_MACHINE: &str = "create_machine";

/// The key of the machine that a run makes, if this event starts such a run, and its input.
///
/// # Errors
/// When the event can't be read.
pub fn started_with(
    recorded: &Recorded,
) -> Result<Option<(Uuid, ProvisionLoadBalancer)>, DecodeError> {
    let event = Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
    let Event::Started { definition, input, .. } = event else { return Ok(None) };
    if definition != PROVISION_LOAD_BALANCER.name {
        return Ok(None);
    }
    let key = step_key(RunId(recorded.stream.id()), CREATE_MACHINE);
    Ok(serde_json::from_value(input).ok().map(|input| (key, input)))
}

/// The cloud's id of the machine that a run has made, once it is known.
#[must_use]
pub fn machine_made(run: &Run) -> Option<String> {
    run.outputs.get(CREATE_MACHINE)?.as_str().map(str::to_owned)
}

/// Whether a run that has ended left no balancer: a machine with its key is nobody's then. An
/// abandoned one may have registered its balancer without having come to say so.
///
/// # Errors
/// What the store says.
pub async fn has_given_up(app: &App, run: &Run) -> Result<bool, AppError> {
    match run.phase {
        Phase::Unwound(_) => Ok(true),
        Phase::Abandoned { .. } => {
            let Some(address) = address_reached(run) else { return Ok(true) };
            let balancers = app.list_registered_balancers().await?;
            Ok(balancers.iter().all(|(_, known)| known.address != address))
        }
        Phase::Forward | Phase::Unwinding(_) | Phase::Stuck { .. } | Phase::Completed => Ok(false),
    }
}

fn address_reached(run: &Run) -> Option<ServerAddress> {
    let reached = run.outputs.get("await_machine")?.clone();
    let reached: ReachedMachine = serde_json::from_value(reached).ok()?;
    Some(reached.address)
}

/// The process.
///
/// Failure policy: a failure or a cancel before `register_balancer` takes the machine away. Another
/// run tries again after a pause.
pub static PROVISION_LOAD_BALANCER: Definition = Definition {
    name: "provision_load_balancer",
    version: 1,
    deadline: Some(|limits| limits.launch_time),
    on_abandoned: None,
    settles_on_undo: false,
    steps: &[
        Step {
            probe: Some(call!(probe_create_machine)),
            ..Step::new(
                CREATE_MACHINE,
                call!(create_machine),
                Kind::Compensable(call!(undo_create_machine)),
                5,
                // Its undo stops the machine in an orderly way.
                |limits| limits.shutdown_wait + Duration::from_secs(300),
            )
        },
        Step::watching(
            "await_machine",
            call!(await_machine),
            Kind::NoUndo("it only watches"),
            1,
            |limits| limits.server_wait,
        ),
        Step::watching(
            "install_balancer",
            call!(install_balancer),
            Kind::Compensable(call!(undo_install_balancer)),
            3,
            |limits| limits.playbook_timeout + Duration::from_secs(900),
        ),
        Step::new(
            "register_balancer",
            call!(register_balancer),
            Kind::Pivot("the balancer is ready for use"),
            20,
            |_| Duration::from_secs(60),
        ),
    ],
};

async fn create_machine(context: StepContext) -> Result<Progress, StepError> {
    let input: ProvisionLoadBalancer = context.input()?;
    let spec = MachineSpec {
        key: context.key,
        name: input.domain,
        flavor: input.flavor,
        image: input.image,
        keyname: String::new(),
        security_groups: vec![],
    };
    let cloud = context.world.cloud(&input.region)?;
    cloud.check_selectors(&spec.flavor, &spec.image).await?;
    done(MachineId(cloud.create_machine(&spec).await?.id))
}

async fn probe_create_machine(context: StepContext) -> Result<Found, StepError> {
    let input: ProvisionLoadBalancer = context.input()?;
    let machine = context.world.cloud(&input.region)?.find_machine(context.key).await?;
    machine.map_or(Ok(Found::Absent), |machine| found(MachineId(machine.id)))
}

async fn undo_create_machine(context: StepContext) -> Result<Progress, StepError> {
    let input: ProvisionLoadBalancer = context.input()?;
    let cloud = context.world.cloud(&input.region)?;
    let key = step_key(context.run, CREATE_MACHINE);
    match cloud.find_machine(key).await? {
        None => undone("the machine is gone"),
        Some(machine) => {
            cloud.delete_machine(&machine.id).await?;
            Ok(Progress::NotYet { again_in: context.world.limits.poll_interval })
        }
    }
}

async fn await_machine(context: StepContext) -> Result<Progress, StepError> {
    let input: ProvisionLoadBalancer = context.input()?;
    let MachineId(machine) = context.need(CREATE_MACHINE)?;
    match look_at_machine(&context, &input.region, &machine).await? {
        Some((address, host_keys, _)) => done(ReachedMachine { address, host_keys }),
        None => Ok(Progress::NotYet { again_in: context.world.limits.poll_interval }),
    }
}

/// The start of a run that makes this balancer, with the time that the process has.
#[must_use]
pub fn start_provision(
    run: RunId,
    balancer: &ProvisionLoadBalancer,
    now: Timestamp,
    limits: &Limits,
) -> Command {
    let request = StartRequest {
        run,
        definition: PROVISION_LOAD_BALANCER.name,
        input: json!(balancer),
        subject: balancer.domain.clone(),
    };
    PROVISION_LOAD_BALANCER.start(request, now, limits)
}

async fn install_balancer(context: StepContext) -> Result<Progress, StepError> {
    let play = Play {
        compose: |context| Box::pin(async move { compose_install(context) }),
        masker: |context| {
            Box::pin(async move { Ok(Arc::clone(&context.world.deployment.own_masker)) })
        },
    };
    follow_playbook(&context, play).await
}

fn compose_install(context: &StepContext) -> Result<PlaybookRun, StepError> {
    let input: ProvisionLoadBalancer = context.input()?;
    let reached: ReachedMachine = context.need("await_machine")?;
    let also: Vec<SocketAddr> = input.also_listens.into_iter().collect();
    let variables = install_variables(&reached.address, &also, https_port(&reached.address));
    Ok(PlaybookRun {
        key: context.key,
        source: Source::Bundled("load_balancer".to_owned()),
        playbook: "install.yml".to_owned(),
        requirements: "requirements.txt".to_owned(),
        target: Target {
            groups: vec!["load-balancer".to_owned()],
            address: reached.address,
            host_keys: reached.host_keys,
        },
        variables,
        line_timeout: context.world.limits.line_timeout,
        total_timeout: context.world.limits.playbook_timeout,
        traceparent: None,
    })
}

async fn undo_install_balancer(context: StepContext) -> Result<Progress, StepError> {
    context.world.ports.playbooks.cancel_playbook(context.key).await?;
    context.world.ports.playbooks.forget_playbook(context.key).await?;
    undone("no playbook of this step is running")
}

async fn register_balancer(context: StepContext) -> Result<Progress, StepError> {
    forget_playbooks(&context, &["install_balancer"]).await?;
    let input: ProvisionLoadBalancer = context.input()?;
    let reached: ReachedMachine = context.need("await_machine")?;
    let registration = Registration {
        domain: input.domain,
        address: reached.address,
        also_listens: input.also_listens,
        host_keys: reached.host_keys,
        fragment_name_prefix: context.world.deployment.fragment_prefix.clone(),
        fragment_name_postfix: input.fragment_name_postfix,
        accepts_new_backends: true,
    };
    let app = &context.world.app;
    let registered = app.register_load_balancer(&Caller::of_run(context.run), registration).await?;
    done(registered.value)
}
