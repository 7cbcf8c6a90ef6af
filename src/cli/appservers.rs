//! `ocim appserver …`

use super::client::Client;
use super::error::{CliError, Kind};
use super::launch_plans::plan_launch;
use super::list::ListArgs;
use super::logs::{LogArgs, print_logs};
use super::output::{Output, time};
use super::runs::{end_wait, follow_run, wait_for_run};
use super::sites::tell_site;
use super::ssh;
use super::timeline::{TimelineArgs, print_timeline};
use super::variables::explain_variable;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ocim_api_spec::{
    ActivateAppserver, Appserver, AppserverDetail, AppserverStatus, CleanUpAppserver,
    DeactivateAppserver, KeepServer, LaunchAppserver, LaunchedAppserver, MakeTestLink, Page,
    ReferenceKind, RestartAppserver, RunDetail, RunPhase, RunStep, StartedRun, StartedTermination,
    StartedTerminations, StepState, TerminateAppserver, TerminateAppservers, TestLink,
};
use ocim_domain::appserver::activation_after;
use ocim_domain::ids::RunId;
use serde::Serialize;
use std::time::{Duration, Instant};

/// How long an activation that was asked for may take to be seen.
const ACTIVATION_MAX: Duration = Duration::from_secs(30);
/// Pause between two looks.
const POLL: Duration = Duration::from_millis(200);

/// What one may do with appservers.
#[derive(Debug, Subcommand)]
pub(super) enum AppserverCommand {
    /// Launch an appserver with the instance's settings of now
    Launch {
        /// The instance: name, domain, its first label, id or the beginning of it
        instance: String,
        /// Bring it into traffic once it runs, beside those that are in it
        #[arg(long)]
        activate: bool,
        /// Take all others of the instance out of traffic once this one serves
        #[arg(long, requires = "activate")]
        deactivate_others: bool,
        /// Wait for a launch that is under way instead of being refused
        #[arg(long)]
        queue: bool,
        /// How often it is attempted; each attempt makes an appserver and a machine of its own
        #[arg(long, default_value_t = 1, value_name = "NUMBER")]
        attempts: u32,
        /// What the instance is tagged with once an attempt has succeeded
        #[arg(long, value_name = "TAG")]
        success_tag: Option<String>,
        /// What it is tagged with once all attempts have failed
        #[arg(long, value_name = "TAG")]
        failure_tag: Option<String>,
        /// Why; it stands in the timeline
        #[arg(long)]
        reason: Option<String>,
        /// Wait until it has ended, with --activate until the traffic has moved, and tell its steps
        #[arg(long)]
        wait: bool,
    },
    /// Rehearse a launch: what it would make, what differs from what serves now and why, and every
    /// problem that can be seen before; changes nothing
    Plan {
        /// The instance: name, domain, its first label, id or the beginning of it
        instance: String,
        /// As a launch that brings it into traffic
        #[arg(long)]
        activate: bool,
        /// Print all variables, too
        #[arg(long)]
        variables: bool,
    },
    /// List appservers, newest first
    List {
        /// Only those of this instance: name, domain, its first label, id or the beginning of it
        instance: Option<String>,
        #[command(flatten)]
        wanted: ListArgs,
    },
    /// Show an appserver with the settings it was made from
    Show {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
    },
    /// Tell where a variable of an appserver comes from: layers, what they made it of, and who set that
    Explain {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
        /// The variable, e.g. `EDXAPP_LMS_BASE`
        variable: String,
    },
    /// Bring an appserver into traffic
    Activate {
        /// Take all others of the instance out of traffic once this one serves
        #[arg(long)]
        deactivate_others: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Take an appserver out of traffic; its machine stays
    Deactivate(Ask),
    /// Make links that lead one browser to an appserver under the site's own names
    Link {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
        /// For how many minutes; at most seven days
        #[arg(long, default_value_t = 120)]
        minutes: u32,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
    /// Restart an appserver's machine, and wait for its site with --wait; its traffic stays as it is
    Restart(Ask),
    /// Take an appserver out of traffic and its machine away
    Terminate {
        /// All that the instance of this name has; it stays live
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        ask: Ask,
    },
    /// Keep a failed appserver's machine until another date
    Keep {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
        /// Until when, e.g. 2026-11-30T12:00:00Z
        #[arg(long)]
        until: DateTime<Utc>,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Take a failed appserver's machine away before its date
    CleanUp {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Wait until it has ended, and tell its steps
        #[arg(long)]
        wait: bool,
    },
    /// Log in to an appserver's machine, also after a failed launch
    Ssh {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
    },
    /// Run a command on an appserver's machine, and end as it ends
    Exec {
        /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
        id: String,
        /// The command and its arguments
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Print the log of an appserver's launch
    Logs(LogArgs),
    /// Tell what happened to an appserver, its machine and its runs
    Timeline(TimelineArgs),
}

/// What all changes of an appserver share.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Which: `SITE/NUMBER`, e.g. alpha/2, id or the beginning of it
    id: String,
    /// Do it although it is unwise, e.g. for the last active one
    #[arg(long)]
    force: bool,
    /// Why
    #[arg(long)]
    reason: Option<String>,
    /// Wait until it has ended, and tell its steps
    #[arg(long)]
    wait: bool,
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: AppserverCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        AppserverCommand::Launch {
            instance,
            activate,
            deactivate_others,
            queue,
            attempts,
            success_tag,
            failure_tag,
            reason,
            wait,
        } => {
            let body = LaunchAppserver {
                activate_on_success: activate,
                deactivate_others,
                queue,
                attempts,
                success_tag,
                failure_tag,
                reason,
            };
            let instance = client.find_id(ReferenceKind::Instance, &instance).await?;
            let path = format!("/instances/{instance}/appservers");
            let launched: LaunchedAppserver = client.post(&path, &body).await?;
            if wait {
                output.progress(format!("AppServer {} {}", launched.number, launched.appserver))?;
                return wait_for_launch(&launched, client, output).await;
            }
            output.record(&launched)
        }
        AppserverCommand::Plan { instance, activate, variables } => {
            plan_launch(&instance, activate, variables, client, output).await
        }
        AppserverCommand::List { instance, wanted } => {
            list_appservers(instance.as_deref(), &wanted, client, output).await
        }
        AppserverCommand::Show { id } => {
            let id = client.find_id(ReferenceKind::Appserver, &id).await?;
            let detail: AppserverDetail = client.get(&format!("/appservers/{id}")).await?;
            output.record(&detail)
        }
        AppserverCommand::Explain { id, variable } => {
            explain_variable(&id, &variable, client, output).await
        }
        AppserverCommand::Activate { deactivate_others, ask } => {
            let (force, reason) = (ask.force, ask.reason.clone());
            let body = ActivateAppserver { deactivate_others, force, reason };
            let id = client.find_id(ReferenceKind::Appserver, &ask.id).await?;
            start_run(&ask, "activate", &body, client, output).await?;
            if ask.wait { tell_site(&id, client, output).await } else { Ok(()) }
        }
        AppserverCommand::Deactivate(ask) => {
            let body = DeactivateAppserver { force: ask.force, reason: ask.reason.clone() };
            start_run(&ask, "deactivate", &body, client, output).await
        }
        AppserverCommand::Terminate { all: true, ask } => terminate_all(&ask, client, output).await,
        AppserverCommand::Link { id, minutes, reason } => {
            let id = client.find_id(ReferenceKind::Appserver, &id).await?;
            let body = MakeTestLink { minutes, reason };
            let made: TestLink = client.post(&format!("/appservers/{id}/link"), &body).await?;
            output.record(&made)
        }
        AppserverCommand::Restart(ask) => {
            let body = RestartAppserver { force: ask.force, reason: ask.reason.clone() };
            start_run(&ask, "restart", &body, client, output).await
        }
        AppserverCommand::Terminate { all: false, ask } => {
            let body = TerminateAppserver { force: ask.force, reason: ask.reason.clone() };
            start_run(&ask, "terminate", &body, client, output).await
        }
        AppserverCommand::Keep { id, until, reason } => {
            let id = client.find_id(ReferenceKind::Appserver, &id).await?;
            let path = format!("/appservers/{id}/keep");
            client.post_without_answer(&path, &KeepServer { until, reason }).await?;
            let said = format!("its machine stays until {}", time(until));
            if output.json { Ok(()) } else { output.line(said) }
        }
        AppserverCommand::CleanUp { id, reason, wait } => {
            let ask = Ask { id, force: false, reason: Some(reason.clone()), wait };
            start_run(&ask, "clean_up", &CleanUpAppserver { reason }, client, output).await
        }
        AppserverCommand::Ssh { id } => ssh::log_in(&id, &[], client).await,
        AppserverCommand::Exec { id, command } => ssh::log_in(&id, &command, client).await,
        AppserverCommand::Logs(args) => {
            print_logs(ReferenceKind::Appserver, &args, client, output).await
        }
        AppserverCommand::Timeline(args) => {
            print_timeline(ReferenceKind::Appserver, &args, client, output).await
        }
    }
}

/// Waits for a launch and, if it is to be activated, for the traffic; then says where the site is.
async fn wait_for_launch(
    launched: &LaunchedAppserver,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    if launched.queued {
        output.progress("waits in line: an earlier launch of the site has to end first")?;
        await_turn(launched, client).await?;
    }
    let mut last = follow_run(&launched.run, client, output).await?;
    let mut appserver = launched.appserver.clone();
    while last.run.phase != RunPhase::Completed
        && let Some(next) = find_next_attempt(&appserver, client).await?
    {
        output.progress(format!("{} {}", last.run.id, last.run.outcome))?;
        let (attempt, of) = (next.attempt, next.attempts);
        output.progress(format!("attempt {attempt} of {of}: {} {}", next.name, next.id))?;
        last = follow_run(&next.launch_run, client, output).await?;
        appserver = next.id;
    }
    if launched.activation_run.is_some() && last.run.phase == RunPhase::Completed {
        let launch: RunId =
            last.run.id.parse().map_err(|error| CliError::from_error(Kind::Failed, &error))?;
        let activation = activation_after(launch).to_string();
        await_activation(&last, &activation, client).await?;
        output.progress(format!("the traffic is moved by {activation}"))?;
        last = follow_run(&activation, client, output).await?;
    }
    end_wait(&last, output)?;
    tell_site(&appserver, client, output).await
}

/// The attempt that follows that of an Appserver which has failed, where one is left.
async fn find_next_attempt(
    appserver: &str,
    client: &Client,
) -> Result<Option<Appserver>, CliError> {
    let asked = Instant::now();
    while asked.elapsed() < ACTIVATION_MAX {
        let path = format!("/appservers/{appserver}");
        let failed = client.get::<AppserverDetail>(&path).await?.appserver;
        if failed.attempt >= failed.attempts || failed.status == AppserverStatus::Cancelled {
            return Ok(None);
        }
        let path = format!("/instances/{}/appservers?limit=200", failed.instance);
        let page: Page<Appserver> = client.get(&path).await?;
        let is_next =
            |it: &Appserver| it.first_run == failed.first_run && it.attempt == failed.attempt + 1;
        if let Some(next) = page.items.into_iter().find(is_next) {
            return Ok(Some(next));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

/// Waits until the launches before it have ended: then its run begins.
async fn await_turn(launched: &LaunchedAppserver, client: &Client) -> Result<(), CliError> {
    loop {
        match client.get::<RunDetail>(&format!("/runs/{}", launched.run)).await {
            Err(error) if error.kind == Kind::NotFound => {}
            outcome => return outcome.map(drop),
        }
        let path = format!("/appservers/{}", launched.appserver);
        let detail: AppserverDetail = client.get(&path).await?;
        if detail.appserver.status != AppserverStatus::New {
            let status = detail.appserver.status_name;
            let message = format!("{} never began: {status}", launched.appserver);
            return Err(CliError::new(Kind::RunFailed, message));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the run that a launch asks for at its end has begun.
async fn await_activation(
    launch: &RunDetail,
    activation: &str,
    client: &Client,
) -> Result<(), CliError> {
    let is_refused =
        |step: &&RunStep| step.step == "request_activation" && step.state == StepState::Skipped;
    let refused = launch.steps.iter().find(is_refused);
    let asked = Instant::now();
    while refused.is_none() && asked.elapsed() < ACTIVATION_MAX {
        match client.get::<RunDetail>(&format!("/runs/{activation}")).await {
            Err(error) if error.kind == Kind::NotFound => tokio::time::sleep(POLL).await,
            outcome => return outcome.map(drop),
        }
    }
    let why = refused.and_then(|step| step.note.as_deref());
    let why = why.unwrap_or("nothing has begun to activate it");
    let message = format!("{} runs, but gets no traffic: {why}", launch.run.subject);
    Err(CliError::new(Kind::RunFailed, message))
}

async fn list_appservers(
    instance: Option<&str>,
    wanted: &ListArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = match instance {
        Some(instance) => {
            let id = client.find_id(ReferenceKind::Instance, instance).await?;
            format!("/instances/{id}/appservers")
        }
        None => "/appservers".to_owned(),
    };
    let items: Vec<Appserver> = client.list(&path, &[], wanted).await?;
    output.wide_table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("SITE", &|it| it.instance_name.clone()),
            ("NAME", &|it| it.name.clone()),
            ("STATUS", &|it| it.status_name.clone()),
            ("ACTIVE", &|it| tell_traffic(it).to_owned()),
            ("CREATED", &|it| time(it.created)),
            ("WHY", &|it| it.failure.clone().or(it.machine_trouble.clone()).unwrap_or_default()),
        ],
        &[
            ("RELEASE", &|it| it.release.clone().unwrap_or_default()),
            ("ADDRESS", &|it| it.machine_url.clone().unwrap_or_default()),
            ("SERVER", &|it| it.server.clone().unwrap_or_default()),
            ("LAST RUN", &|it| it.latest_run.clone()),
            ("KEPT UNTIL", &|it| {
                it.clean_up.as_ref().and_then(|it| it.until).map(time).unwrap_or_default()
            }),
            ("BY ITSELF", &|it| it.clean_up.as_ref().map(|it| it.told.clone()).unwrap_or_default()),
        ],
    )
}

/// Whether it receives traffic, and what was asked for where that is not so.
fn tell_traffic(appserver: &Appserver) -> &'static str {
    match (appserver.is_active, appserver.is_asked_active) {
        (true, true) => "yes",
        (false, false) => "",
        (true, false) => "yes (asked: no)",
        (false, true) => "no (asked: yes)",
    }
}

/// Takes all Appservers of an instance away; with `--wait` tells how each goes.
async fn terminate_all(ask: &Ask, client: &Client, output: &mut Output) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Instance, &ask.id).await?;
    let body = TerminateAppservers { force: ask.force, reason: ask.reason.clone() };
    let path = format!("/instances/{id}/appservers/terminate");
    let begun: StartedTerminations = client.post(&path, &body).await?;
    if !ask.wait {
        return output.table(
            &begun.started,
            &[("APPSERVER", &|it| it.appserver.clone()), ("RUN", &|it| it.run.clone())],
        );
    }
    for StartedTermination { run, .. } in begun.started {
        wait_for_run(&run, client, output).await?;
    }
    Ok(())
}

async fn start_run(
    ask: &Ask,
    verb: &str,
    body: &impl Serialize,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let id = client.find_id(ReferenceKind::Appserver, &ask.id).await?;
    let started: StartedRun = client.post(&format!("/appservers/{id}/{verb}"), body).await?;
    if ask.wait {
        return wait_for_run(&started.run, client, output).await;
    }
    output.record(&started)
}
