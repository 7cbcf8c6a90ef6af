//! `ocim appserver …`

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::Output;
use super::runs::wait_for_run;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use ocim_api_spec::{
    ActivateAppserver, Appserver, AppserverDetail, CleanUpAppserver, DeactivateAppserver,
    KeepServer, LaunchAppserver, LaunchedAppserver, LogLine, LogPage, StartedRun,
    TerminateAppserver,
};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Pause before a broken stream is opened again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// How long a server that restarts may be away while a log is followed.
const ABSENCE_MAX: Duration = Duration::from_secs(60);

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
    Logs {
        /// Its id, apps_…
        id: String,
        /// Go on until the launch has ended
        #[arg(long)]
        follow: bool,
        /// Number of the first line
        #[arg(long, default_value_t = 1)]
        from: u64,
    },
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
        AppserverCommand::Logs { id, follow: true, from } => {
            follow_logs(&id, from, client, output).await
        }
        AppserverCommand::Logs { id, follow: false, from } => {
            print_logs(&id, from, client, output).await
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

async fn print_logs(
    id: &str,
    from: u64,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut next = from;
    loop {
        let page: LogPage = client.get(&format!("/appservers/{id}/logs?from={next}")).await?;
        if page.lines.is_empty() {
            return Ok(());
        }
        next = page.next;
        for line in &page.lines {
            print_line(line, output)?;
        }
    }
}

async fn follow_logs(
    id: &str,
    from: u64,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = format!("/appservers/{id}/logs?follow=true&from={from}");
    let mut last_id: Option<String> = None;
    let mut last_seen = Instant::now();
    loop {
        match client.stream(&path, last_id.as_deref()).await {
            Ok(mut messages) => {
                while let Some(message) = messages.next().await {
                    last_seen = Instant::now();
                    if message.event == "end" {
                        return Ok(());
                    }
                    let line = serde_json::from_str(&message.data).map_err(std::io::Error::from)?;
                    print_line(&line, output)?;
                    last_id = message.id.or(last_id);
                }
            }
            Err(error) if error.kind == Kind::Unavailable && last_seen.elapsed() < ABSENCE_MAX => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

fn print_line(line: &LogLine, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return output.json_line(line);
    }
    let time = line.at.format("%T");
    output.line(format!("{:>6} {time} {} | {}", line.number, line.step, line.text))
}
