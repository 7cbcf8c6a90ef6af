//! Orders that a run carries out: looked at first, then given, then waited for.

use super::client::Client;
use super::error::CliError;
use super::output::Output;
use super::runs::wait_for_run;
use clap::Args;
use ocim_api_spec::StartedRun;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// How one is given.
#[derive(Debug, Args)]
pub(super) struct OrderArgs {
    /// Why
    #[arg(long)]
    pub(super) reason: String,
    /// Only tell what would be done
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Wait until it has ended, and tell its steps
    #[arg(long)]
    wait: bool,
}

impl OrderArgs {
    /// Sends it to `path`. Tells the `Plan` of a dry run; else the run that begins, and with `--wait`
    /// how that goes.
    ///
    /// # Errors
    /// What the server says; with `--wait` as [`wait_for_run`].
    pub(super) async fn give<Plan: Serialize + DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        client: &Client,
        output: &mut Output,
    ) -> Result<(), CliError> {
        if self.dry_run {
            let plan: Plan = client.post(path, body).await?;
            return output.record(&plan);
        }
        let started: StartedRun = client.post(path, body).await?;
        if self.wait {
            return wait_for_run(&started.run, client, output).await;
        }
        output.record(&started)
    }
}
