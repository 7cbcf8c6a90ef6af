//! `ocim instance maintenance …`

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::runs::wait_for_run;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use ocim_api_spec::{EndMaintenance, StartMaintenance, StartedRun};

/// What visitors of a site are to get.
#[derive(Debug, Subcommand)]
pub(super) enum MaintenanceCommand {
    /// A page that says that the site is away: 503 under all of its names, until `off`
    On {
        /// Why the site is away, for visitors; at most 500 characters
        #[arg(long)]
        message: String,
        /// When it is expected back, e.g. 2026-11-30T12:00:00Z
        #[arg(long)]
        until: DateTime<Utc>,
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
        /// Wait until it has ended, and tell its steps
        #[arg(long)]
        wait: bool,
    },
    /// The site, served by those who receive its traffic
    Off {
        /// Why, for the timeline
        #[arg(long)]
        reason: Option<String>,
        /// Wait until it has ended, and tell its steps
        #[arg(long)]
        wait: bool,
    },
}

pub(super) async fn change_maintenance(
    id: &str,
    what: MaintenanceCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let path = format!("/instances/{id}/maintenance");
    let (started, wait): (StartedRun, bool) = match what {
        MaintenanceCommand::On { message, until, reason, wait } => {
            let body = StartMaintenance { message, until, reason };
            (client.post(&format!("{path}/start"), &body).await?, wait)
        }
        MaintenanceCommand::Off { reason, wait } => {
            (client.post(&format!("{path}/end"), &EndMaintenance { reason }).await?, wait)
        }
    };
    if wait {
        return wait_for_run(&started.run, client, output).await;
    }
    output.record(&started)
}
