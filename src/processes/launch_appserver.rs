//! `launch_appserver`: from a request to a running site, in the order of core §3.4 and §3.5.

use super::balancers::{Lineup, Site, apply_lineup_locked, assign_load_balancer};
use super::failure::{record_server_gone, settle_appserver, settle_status, undo_by_settling};
use super::machines::{
    await_heartbeat, await_reboot, await_server, await_ssh, probe_reboot_server, reboot_server,
    record_server, server_of, undo_create_server,
};
use super::playbook_steps::{
    PLAYBOOK_STEPS, end_playbook, end_playbooks, forget_playbooks, run_common_playbook,
    run_main_playbook, run_users_playbook, undo_playbook,
};
use super::resolve_playbooks::{RESOLVE_PLAYBOOKS, commit_for, resolve_playbooks};
use super::resource::dns_name::DnsName;
use super::resource::machine::ServerMachine;
use super::resource::provisioned::{provision, provision_storage};
use super::resource::security_groups::SecurityGroups;
use super::resource::{ensure, probe};
use super::shared_servers::{assign_servers, find_services};
use super::slots::{await_slot, leave_slot};
use super::step::{Definition, Kind, Progress, Step, StepContext, StepError, done, undone};
use crate::app::{AppError, ExecuteError};
use ocim_adapters::logs::Level;
use ocim_domain::appserver::{self, Appserver, Launched, activation_after};
use ocim_domain::configuration::playbook_variables::{common_variables, users_variables};
use ocim_domain::configuration::secret_values::warn_of_weak_secrets;
use ocim_domain::configuration::{
    Composition, ConfigurationError, CronTime, LayerContext, Variables, compose_variables,
};
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::instance::{self, Instance, LaunchOutcome};
use ocim_domain::protected::Protected;
use ocim_domain::run_record::{CreatedServer, LaunchInput};
use ocim_domain::saga::{Cause, ErrorCode, step_key};
use ocim_domain::settings::{InstanceSettings, StorageType, storage_type};
use ocim_domain::shared_server::{Mongodb, Mysql, Rabbitmq};
use ocim_domain::{names, server};
use ocim_engine::call;
use ocim_engine::sagas::host::Host;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

const WATCHES: Kind = Kind::NoUndo("it only watches");
/// Why there is no page before the first site.
pub const NO_PAGE: &str = "PRELIMINARY_PAGE_SERVER_IP is not set";
/// Why nobody asks for traffic.
pub const NO_ACTIVATION: &str = "activation was not asked for";
const KEPT: &str = "the machine is kept for debugging until the date on the appserver";

/// The process.
///
/// Failure policy: a failure before `run_main_playbook`, and a cancel before `start_running`, undo
/// everything. A failed configuration takes the Appserver out of traffic, where somebody forced it
/// in, and keeps the machine for debugging until the date on the Appserver; `clean_up_appserver`
/// takes it away then. What is the instance's (balancer, page, names) stays for its next launch.
pub static LAUNCH_APPSERVER: Definition = Definition {
    name: "launch_appserver",
    version: 1,
    deadline: Some(|limits| limits.turn_wait + limits.launch_time),
    on_abandoned: Some(call!(give_turn_back)),
    settles_on_undo: true,
    steps: &ROWS,
};

/// Its rows, in order.
pub const ROWS: [Step; 29] = [
    Step::waiting_in_line(
        "await_turn",
        call!(await_turn),
        Kind::Compensable(call!(undo_launch)),
        1,
        |l| l.turn_wait,
    ),
    Step {
        max_elapsed: Some(|l| l.source_wait),
        ..Step::watching(
            RESOLVE_PLAYBOOKS,
            call!(resolve_playbooks),
            WATCHES,
            // The time is its bound.
            200,
            |l| l.source_wait / 2,
        )
    },
    Step::new(
        "assign_load_balancer",
        call!(assign_load_balancer),
        Kind::NoUndo("the balancer stays the instance's, for its next launch"),
        5,
        |_| Duration::from_secs(600),
    ),
    Step::new(
        "publish_preliminary_page",
        call!(publish_preliminary_page),
        Kind::NoUndo("the page stays until a site takes its place"),
        3,
        |_| Duration::from_secs(300),
    ),
    Step::new(
        "write_dns_records",
        call!(ensure::<DnsName>),
        Kind::NoUndo("the names stay the instance's, for its next launch"),
        4,
        |_| Duration::from_secs(300),
    ),
    Step::new(
        "name_resources",
        call!(name_resources),
        Kind::NoUndo("the names stay the instance's, for good"),
        5,
        brief,
    ),
    Step::new(
        "assign_servers",
        call!(assign_servers),
        Kind::NoUndo("the servers stay the instance's, for its next launch"),
        5,
        brief,
    ),
    provisioning("provision_mysql", call!(provision::<Mysql>)),
    provisioning("provision_mongodb", call!(provision::<Mongodb>)),
    provisioning("provision_storage", call!(provision_storage)),
    provisioning("provision_rabbitmq", call!(provision::<Rabbitmq>)),
    Step::new(
        "create_appserver",
        call!(create_appserver),
        Kind::Compensable(call!(undo_create_appserver)),
        5,
        brief,
    ),
    // Only what comes after it touches the cloud.
    Step::waiting_in_line(
        "await_slot",
        call!(await_slot),
        Kind::Compensable(call!(leave_slot)),
        5,
        |l| l.turn_wait,
    ),
    Step::new(
        "ensure_security_groups",
        call!(ensure::<SecurityGroups>),
        Kind::NoUndo("the groups are shared by all machines of the region"),
        5,
        brief,
    ),
    Step::new(
        "start_waiting",
        call!(start_waiting),
        Kind::Compensable(call!(undo_by_settling)),
        5,
        brief,
    ),
    Step {
        probe: Some(call!(probe::<ServerMachine>)),
        ..Step::new(
            "create_server",
            call!(ensure::<ServerMachine>),
            Kind::CompensableUnlessFailedAfter(
                call!(undo_create_server),
                // Before that step it is not certain that the appserver got its date.
                "run_main_playbook",
                KEPT,
            ),
            5,
            // Its undo stops the machine in an orderly way.
            |l| l.shutdown_wait + Duration::from_secs(300),
        )
    },
    Step::watching("await_server", call!(await_server), WATCHES, 1, |l| l.server_wait),
    Step::watching("await_ssh", call!(await_ssh), WATCHES, 1, |l| l.server_wait),
    Step::new(
        "start_configuring",
        call!(start_configuring),
        Kind::Compensable(call!(undo_by_settling)),
        5,
        brief,
    ),
    playbook("run_main_playbook", call!(run_main_playbook)),
    playbook("run_users_playbook", call!(run_users_playbook)),
    playbook("run_common_playbook", call!(run_common_playbook)),
    Step {
        probe: Some(call!(probe_reboot_server)),
        ..Step::new(
            "reboot_server",
            call!(reboot_server),
            Kind::NoUndo("a reboot leaves nothing behind"),
            5,
            |_| Duration::from_secs(300),
        )
    },
    Step::watching("await_reboot", call!(await_reboot), WATCHES, 1, |l| l.server_wait),
    Step::watching("await_heartbeat", call!(await_heartbeat), WATCHES, 1, |l| l.heartbeat_wait),
    Step::new(
        "start_running",
        call!(start_running),
        Kind::Pivot("the site runs: from here the launch only goes forward"),
        20,
        brief,
    ),
    Step::new("leave_slot", call!(leave_slot), Kind::Retryable("its slot was released"), 20, brief),
    Step::new(
        "settle_launch",
        call!(settle_launch),
        Kind::Retryable("the launch has ended"),
        20,
        brief,
    ),
    Step::new(
        "request_activation",
        call!(request_activation),
        Kind::Retryable("the activation is a run of its own"),
        20,
        brief,
    ),
];

/// Each attempt begins anew with all that the site has there, of which each may fail in passing.
const fn provisioning(path: &'static str, run: super::step::RunFn) -> Step {
    let undo = Kind::NoUndo("what is there stays the instance's, for its next launch");
    Step::new(path, run, undo, 20, |_| Duration::from_secs(600))
}

/// The play's processes are its own, and outlive Ocim; its preparation is bounded by its time.
const fn playbook(path: &'static str, run: super::step::RunFn) -> Step {
    let undo = Kind::Compensable(call!(undo_playbook));
    Step {
        on_skipped: Some(call!(end_playbook)),
        // What it can fail of in passing, before its end, is this machine: all that has to be fetched
        // was fetched by the first look, before the launch took a slot.
        ..Step::watching(path, run, undo, 10, with_preparation)
    }
}

/// A playbook's own limit ends it first; the rest is for its virtual environment and its clone.
fn with_preparation(limits: &super::world::Limits) -> Duration {
    limits.playbook_timeout + limits.source_wait
}

fn brief(_: &super::world::Limits) -> Duration {
    Duration::from_secs(120)
}

/// Waits until all earlier launches of the instance have settled.
async fn await_turn(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let (instance, _) = context.world.app.load_instance(input.instance).await?;
    match instance.launches.iter().position(|launch| launch.appserver == input.appserver) {
        Some(0) => done(()),
        Some(_) => Ok(Progress::NotYet { again_in: context.world.limits.poll_interval }),
        None => {
            Err(StepError::permanent(ErrorCode::LaunchSettled, "the launch has settled already"))
        }
    }
}

/// The last undo of a launch: the next one may begin.
async fn undo_launch(context: StepContext) -> Result<Progress, StepError> {
    settle_appserver(&context).await?;
    settle_as_shown(&context).await?;
    undone("the next launch may begin")
}

/// What an abandoned launch releases: the next one may begin, and the Appserver can be
/// terminated, which takes the machine away. Whoever it serves is served on.
async fn give_turn_back(context: StepContext) -> Result<Progress, StepError> {
    settle_status(&context).await?;
    settle_as_shown(&context).await?;
    end_playbooks(&context, &PLAYBOOK_STEPS).await?;
    undone("the next launch may begin, and no playbook of this one is running")
}

/// Settles the launch by what its Appserver shows.
async fn settle_as_shown(context: &StepContext) -> Result<(), StepError> {
    let input: LaunchInput = context.input()?;
    let loaded = context.world.app.journal().load::<Appserver>(&input.appserver.stream()).await?;
    let outcome = match loaded.state.present().map(|present| present.status) {
        // It was abandoned after that.
        Some(appserver::Status::Running) => LaunchOutcome::Running,
        Some(appserver::Status::Failed) => LaunchOutcome::Failed,
        Some(appserver::Status::Error) => LaunchOutcome::Error,
        // It failed before there was an Appserver to tell of it.
        None if !matches!(context.cause, Some(Cause::Cancelled { .. })) => LaunchOutcome::Error,
        _ => LaunchOutcome::Cancelled,
    };
    settle(context, outcome).await
}

async fn settle(context: &StepContext, outcome: LaunchOutcome) -> Result<(), StepError> {
    let input: LaunchInput = context.input()?;
    let next = next_attempt(context.run);
    let command = instance::Command::SettleLaunch { appserver: input.appserver, outcome, next };
    let journal = context.world.app.journal();
    let stream = input.instance.stream();
    let settled = journal.execute::<Instance>(&stream, &context.metadata(), command).await;
    settled.map(|_| ()).map_err(|error| AppError::from(error).into())
}

/// The Appserver and the run of another attempt after this run's: the same however often it is asked.
pub(super) fn next_attempt(run: RunId) -> (AppserverId, RunId) {
    let key = |name| step_key(run, name);
    (AppserverId(key("appserver of the next attempt")), RunId(key("next attempt")))
}

/// Shows visitors that the site is being prepared, while nothing is active.
async fn publish_preliminary_page(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    if context.world.deployment.preliminary_page_ip.is_none() {
        return Ok(Progress::Skipped(NO_PAGE.to_owned()));
    }
    let Some(site) = Site::load(&context, input.instance).await? else {
        return Ok(Progress::Skipped("the instance has no load balancer".to_owned()));
    };
    let lock = context.world.lock(&site.fragment());
    let _one_at_a_time = lock.lock().await;
    // Looked at again under the lock: somebody may have begun to serve meanwhile.
    match Site::load(&context, input.instance).await? {
        Some(site) if site.instance.active.is_empty() && site.instance.traffic_run.is_none() => {
            apply_lineup_locked(&context, &site, &Lineup::recorded(&site.instance)).await?;
            done(())
        }
        _ => Ok(Progress::Skipped("the site is being served".to_owned())),
    }
}

/// Gives the instance's databases, buckets and accounts their names, unless they have them.
async fn name_resources(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let prefixes = &context.world.deployment.resource_prefixes;
    let meta = context.metadata();
    let names = context.world.app.name_resources(&meta, input.instance, prefixes).await?;
    done(names)
}

/// Freezes the instance's settings into an Appserver and the wish for its Server.
async fn create_appserver(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    let app = &context.world.app;
    let frozen = app.journal().load::<Appserver>(&input.appserver.stream()).await?;
    if frozen.state.present().is_some() {
        return done(server_of(&context)); // What is frozen stays as it is, whatever changed since.
    }
    let (instance, _) = app.load_instance(input.instance).await?;
    let server = server_of(&context);
    let services = find_services(app, &instance.servers).await?;
    let resources = context.need("name_resources")?;
    let of = LayerContext {
        instance: input.instance,
        appserver_number: input.number,
        clearsessions_cron: draw_cron(context.key),
        resources,
        services,
        successfully_provisioned: instance.successfully_provisioned,
        site_wide: context.world.deployment.site_wide.clone(),
    };
    let settings = instance.settings;
    let composed = compose(&settings, &of)?;
    let variables = &composed.site.variables;
    for warning in list_warnings(&settings, variables) {
        context.world.say(context.run, context.step, Level::Warning, warning).await;
    }
    let hostname = names::server_hostname(&settings, input.number);
    let name = names::machine_name(&settings, input.appserver);
    let mut security_groups = vec![context.world.deployment.security_group.clone()];
    security_groups.extend(settings.additional_security_groups.clone());
    let requested = server::Requested {
        appserver: input.appserver,
        region: settings.openstack_region.clone(),
        name,
        flavor: settings.openstack_server_flavor.clone(),
        image: settings.openstack_server_base_image.clone(),
        keyname: settings.openstack_server_ssh_keyname.clone(),
        security_groups,
    };
    let loaded = app.journal().load::<server::Server>(&server.stream()).await?;
    if loaded.state.present().is_none() {
        record_server(&context, server, server::Command::Request(Box::new(requested))).await?;
    }
    let configuration_commit = commit_for(&context, &settings).await?;
    let provenance = serde_json::to_value(&composed.site.provenance).map_err(AppError::internal)?;
    let protect = |text: String| Protected::new(input.instance.to_string(), text);
    let launched = Launched {
        instance: input.instance,
        number: input.number,
        server,
        run: context.run,
        settings: Box::new(settings),
        settings_version: instance.settings_version,
        variables: protect(Value::Object(composed.site.variables).to_string()),
        provenance: protect(provenance.to_string()),
        users_variables: protect(Value::Object(composed.users).to_string()),
        common_variables: protect(Value::Object(composed.common).to_string()),
        hostname,
        configuration_commit,
    };
    move_appserver(&context, appserver::Command::Launch(Box::new(launched))).await?;
    context.say(format!("AppServer {} is frozen", input.number)).await;
    done(server)
}

/// The variables of all playbooks of one Appserver.
#[derive(Debug)]
pub struct Composed {
    /// Of the site's own.
    pub site: Composition,
    /// Of the one that makes LMS users.
    pub users: Variables,
    /// Of the one that all sites share.
    pub common: Variables,
}

/// Composes the variables of all playbooks.
///
/// # Errors
/// Permanent where the settings make none.
pub fn compose(settings: &InstanceSettings, of: &LayerContext) -> Result<Composed, StepError> {
    let all = || -> Result<Composed, ConfigurationError> {
        Ok(Composed {
            site: compose_variables(settings, of)?,
            users: users_variables(settings, of)?,
            common: common_variables(settings, of),
        })
    };
    all().map_err(|error| {
        StepError::permanent(ErrorCode::InvalidVariables, ocim_domain::error_chain::chain(&error))
    })
}

/// When the sessions of an Appserver are cleared that is made under this key.
fn draw_cron(key: Uuid) -> CronTime {
    let key = key.into_bytes();
    CronTime { hour: key[0] % 24, minute: key[1] % 60 }
}

/// What is to be said of these settings and the variables that they make.
#[must_use]
pub fn list_warnings(settings: &InstanceSettings, variables: &Variables) -> Vec<String> {
    warn_of_storage(settings, variables)
        .into_iter()
        .chain(warn_of_weak_secrets(variables))
        .collect()
}

/// What to tell of where uploads go.
fn warn_of_storage(settings: &InstanceSettings, variables: &Variables) -> Option<String> {
    match storage_type(settings) {
        StorageType::Filesystem => Some(
            "uploads are kept on the appserver's own machine, and go with it: see the setting \
             `storage_type`"
                .to_owned(),
        ),
        StorageType::S3 if !variables.contains_key("EDXAPP_AWS_STORAGE_BUCKET_NAME") => Some(
            "uploads go to no bucket: `s3_access_key`, `s3_secret_access_key` and \
             `s3_bucket_name` are not all set"
                .to_owned(),
        ),
        StorageType::S3 | StorageType::Swift => None,
    }
}

/// Settles the Appserver; a Server that was never asked of the cloud is given up with it.
async fn undo_create_appserver(context: StepContext) -> Result<Progress, StepError> {
    settle_appserver(&context).await?;
    let id = server_of(&context);
    let loaded = context.world.app.journal().load::<server::Server>(&id.stream()).await?;
    let status = loaded.state.present().map(|present| present.status);
    if matches!(status, Some(server::Status::Pending | server::Status::Terminated)) {
        record_server(&context, id, server::Command::Terminate).await?;
        record_server_gone(&context).await?;
    }
    undone("the appserver shows how its launch ended")
}

async fn move_appserver(
    context: &StepContext,
    command: appserver::Command,
) -> Result<(), StepError> {
    let input: LaunchInput = context.input()?;
    let journal = context.world.app.journal();
    let stream = input.appserver.stream();
    let moved = journal.execute::<Appserver>(&stream, &context.metadata(), command).await;
    moved.map(|_| ()).map_err(|error| AppError::from(error).into())
}

async fn start_waiting(context: StepContext) -> Result<Progress, StepError> {
    move_appserver(&context, appserver::Command::StartWaiting).await?;
    done(())
}

async fn start_configuring(context: StepContext) -> Result<Progress, StepError> {
    move_appserver(&context, appserver::Command::StartConfiguring).await?;
    done(())
}

async fn start_running(context: StepContext) -> Result<Progress, StepError> {
    move_appserver(&context, appserver::Command::StartRunning).await?;
    let created: CreatedServer = context.need("create_server")?;
    context.say(format!("the site runs on machine {}", created.machine)).await;
    done(())
}

async fn settle_launch(context: StepContext) -> Result<Progress, StepError> {
    forget_playbooks(&context, &PLAYBOOK_STEPS).await?;
    settle(&context, LaunchOutcome::Running).await?;
    done(())
}

/// Hands over to a run of its own, whose id follows from this one: asked for once.
async fn request_activation(context: StepContext) -> Result<Progress, StepError> {
    let input: LaunchInput = context.input()?;
    if !input.then.activate {
        return Ok(Progress::Skipped(NO_ACTIVATION.to_owned()));
    }
    let run = activation_after(context.run);
    let deactivate_others = input.then.deactivate_others;
    let command = appserver::Command::RequestActivation { run, deactivate_others, force: false };
    let stream = input.appserver.stream();
    let journal = context.world.app.journal();
    match journal.execute::<Appserver>(&stream, &context.metadata(), command).await {
        Ok(_) => {
            context.say(format!("{run} brings it into traffic")).await;
            done(run)
        }
        // E.g. somebody has terminated it since it ran: the launch has succeeded all the same.
        Err(ExecuteError::Rejected(why)) => Ok(Progress::Skipped(why.to_string())),
        Err(error) => Err(AppError::from(error).into()),
    }
}
