//! `ocim appserver …`

use super::client::Client;
use super::error::CliError;
use super::logs::{LogArgs, print_logs};
use super::output::Output;
use super::runs::wait_for_run;
use super::timeline::{TimelineArgs, print_timeline};
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ocim_api_spec::{
    ActivateAppserver, Appserver, AppserverDetail, CleanUpAppserver, DeactivateAppserver,
    KeepServer, LaunchAppserver, LaunchedAppserver, StartedRun, TerminateAppserver,
};
use serde::Serialize;

/// What one may do with appservers.
#[derive(Debug, Subcommand)]
pub(super) enum AppserverCommand {
    /// Launch an appserver with the instance's settings of now
    Launch {
        /// The instance's id, inst_…
        instance: String,
        /// Bring it into traffic once it runs
        #[arg(long)]
        activate: bool,
        /// Wait for a launch that is under way instead of being refused
        #[arg(long)]
        queue: bool,
        /// Wait until it has ended, and tell its steps
        #[arg(long)]
        wait: bool,
    },
    /// List an instance's appservers, newest first
    List {
        /// The instance's id, inst_…
        instance: String,
    },
    /// Show an appserver with the settings it was made from
    Show {
        /// Its id, apps_…
        id: String,
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
    /// Take an appserver out of traffic and its machine away
    Terminate(Ask),
    /// Keep a failed appserver's machine until another date
    Keep {
        /// Its id, apps_…
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
        /// Its id, apps_…
        id: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Wait until it has ended, and tell its steps
        #[arg(long)]
        wait: bool,
    },
    /// Print the log of an appserver's launch
    Logs(LogArgs),
    /// Tell what happened to an appserver, its machine and its runs
    Timeline(TimelineArgs),
}

/// What all changes of an appserver share.
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// Its id, apps_…
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
        AppserverCommand::Launch { instance, activate, queue, wait } => {
            let body = LaunchAppserver { activate_on_success: activate, queue };
            let path = format!("/instances/{instance}/appservers");
            let launched: LaunchedAppserver = client.post(&path, &body).await?;
            if wait {
                output.progress(format!("AppServer {} {}", launched.number, launched.appserver))?;
                return wait_for_run(&launched.run, client, output).await;
            }
            output.record(&launched)
        }
        AppserverCommand::List { instance } => list_appservers(&instance, client, output).await,
        AppserverCommand::Show { id } => {
            let detail: AppserverDetail = client.get(&format!("/appservers/{id}")).await?;
            output.record(&detail)
        }
        AppserverCommand::Activate { deactivate_others, ask } => {
            let (force, reason) = (ask.force, ask.reason.clone());
            let body = ActivateAppserver { deactivate_others, force, reason };
            start_run(&ask, "activate", &body, client, output).await
        }
        AppserverCommand::Deactivate(ask) => {
            let body = DeactivateAppserver { force: ask.force, reason: ask.reason.clone() };
            start_run(&ask, "deactivate", &body, client, output).await
        }
        AppserverCommand::Terminate(ask) => {
            let body = TerminateAppserver { force: ask.force, reason: ask.reason.clone() };
            start_run(&ask, "terminate", &body, client, output).await
        }
        AppserverCommand::Keep { id, until, reason } => {
            let path = format!("/appservers/{id}/keep");
            client.post_without_answer(&path, &KeepServer { until, reason }).await?;
            let said = format!("its machine stays until {}", until.format("%F %T UTC"));
            if output.json { Ok(()) } else { output.line(said) }
        }
        AppserverCommand::CleanUp { id, reason, wait } => {
            let ask = Ask { id, force: false, reason: Some(reason.clone()), wait };
            start_run(&ask, "clean_up", &CleanUpAppserver { reason }, client, output).await
        }
        AppserverCommand::Logs(args) => print_logs("appservers", &args, client, output).await,
        AppserverCommand::Timeline(args) => {
            print_timeline("appservers", &args, client, output).await
        }
    }
}

async fn list_appservers(
    instance: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = format!("/instances/{instance}/appservers");
    let items: Vec<Appserver> = client.get_all(&path, &[]).await?;
    output.table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("NAME", &|it| it.name.clone()),
            ("STATUS", &|it| it.status_name.clone()),
            ("ACTIVE", &|it| if it.is_active { "yes" } else { "" }.to_owned()),
            ("CREATED", &|it| it.created.format("%F %T").to_string()),
        ],
    )
}

async fn start_run(
    ask: &Ask,
    verb: &str,
    body: &impl Serialize,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let started: StartedRun = client.post(&format!("/appservers/{}/{verb}", ask.id), body).await?;
    if ask.wait {
        return wait_for_run(&started.run, client, output).await;
    }
    output.record(&started)
}
