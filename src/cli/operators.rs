//! `ocim run explain`, and what operators do to runs.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::Output;
use clap::{Args, Subcommand};
use ocim_api_spec::{OperateRun, RunExplanation, RunOperation, RunVerb};
use serde_json::Value;

/// What one may do to a run that can't go on by itself, or goes the wrong way.
#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Say where a run stands, and what comes next
    Explain {
        /// Its id, run_…
        id: String,
    },
    /// Try a step, or its undo, at once, with all its attempts and all its time
    RetryStep(StepArgs),
    /// Count the step whose turn it is as done
    SkipStep {
        #[command(flatten)]
        step: StepArgs,
        /// What it counts as having given, as JSON
        #[arg(long, value_name = "JSON", default_value = "null")]
        output: String,
    },
    /// Count a step as undone whose undo does not come to an end
    MarkUndone(StepArgs),
    /// Turn a run back from wherever it is, or have one go on turning back that is stuck between undos
    ForceUnwind(RunArgs),
    /// Turn a run forward again that is stuck or turning back
    ResumeForward(RunArgs),
    /// Give a run up as it is, and list what stays behind
    Abandon(RunArgs),
}

/// Which run, and why.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Its id, run_…
    id: String,
    #[command(flatten)]
    order: Order,
}

/// Which step of which run, and why.
#[derive(Debug, Args)]
pub(super) struct StepArgs {
    /// Its id, run_…
    id: String,
    /// The step, as `ocim run show` names it
    step: String,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, Args)]
struct Order {
    /// Why; it stands in the run's timeline
    #[arg(long)]
    reason: String,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: OperatorCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let (id, order, operation) = match command {
        OperatorCommand::Explain { id } => return explain(&id, client, output).await,
        OperatorCommand::RetryStep(StepArgs { id, step, order }) => {
            (id, order, RunVerb::RetryStep { step })
        }
        OperatorCommand::SkipStep { step: StepArgs { id, step, order }, output: text } => {
            let output: Value = serde_json::from_str(&text).map_err(|error| {
                CliError::new(Kind::Usage, format!("--output is not JSON: {error}"))
            })?;
            (id, order, RunVerb::SkipStep { step, output })
        }
        OperatorCommand::MarkUndone(StepArgs { id, step, order }) => {
            (id, order, RunVerb::MarkUndone { step })
        }
        OperatorCommand::ForceUnwind(RunArgs { id, order }) => (id, order, RunVerb::ForceUnwind {}),
        OperatorCommand::ResumeForward(RunArgs { id, order }) => {
            (id, order, RunVerb::ResumeForward {})
        }
        OperatorCommand::Abandon(RunArgs { id, order }) => (id, order, RunVerb::Abandon {}),
    };
    let Order { reason, dry_run } = order;
    let body = OperateRun { operation, reason, dry_run };
    let told: RunOperation = client.post(&format!("/runs/{id}/operate"), &body).await?;
    if output.json {
        return output.document(&told);
    }
    output.line(if told.done { "Done:" } else { "It would:" })?;
    told.sentences.iter().try_for_each(|sentence| output.line(format!("- {sentence}")))
}

/// Says where a run stands.
///
/// # Errors
/// What the server says.
pub(super) async fn explain(
    id: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let told: RunExplanation = client.get(&format!("/runs/{id}/explain")).await?;
    if output.json {
        return output.document(&told);
    }
    output.line(&told.sentence)?;
    told.next.iter().skip(1).try_for_each(|then| output.line(format!("- then it will {then}")))
}
