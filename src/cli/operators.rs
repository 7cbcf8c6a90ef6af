//! `ocim run explain`, and what operators do to runs: to one, or to all that fit a description.

use super::client::Client;
use super::conditions::Conditions;
use super::error::{CliError, Kind};
use super::output::Output;
use clap::{Args, Subcommand};
use ocim_api_spec::{
    CancelRun, OperateRun, ReferenceKind, Run, RunDetail, RunExplanation, RunOperation, RunVerb,
};
use serde::Serialize;
use serde_json::Value;

/// What one may do to a run that can't go on by itself, or goes the wrong way.
#[derive(Debug, Subcommand)]
pub(super) enum OperatorCommand {
    /// Say where a run stands, and what comes next
    Explain {
        /// Its id, run_…, or the beginning of it
        id: String,
    },
    /// Ask a run to stop and undo what it did
    Cancel(RunArgs),
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
    /// Its id, run_…, or the beginning of it
    #[arg(required_unless_present = "conditions")]
    id: Option<String>,
    #[command(flatten)]
    order: Order,
}

/// Which step of which run, and why.
#[derive(Debug, Args)]
pub(super) struct StepArgs {
    /// Its id, run_…, or the beginning of it
    #[arg(required_unless_present = "conditions")]
    id: Option<String>,
    /// The step, as `ocim run show` names it; the one that it is at when left out
    step: Option<String>,
    #[command(flatten)]
    order: Order,
}

#[derive(Debug, Args)]
struct Order {
    /// Not one run, but all open ones that fit, e.g. `stuck provider=local`; only says what would
    /// happen, unless with --yes
    #[arg(long = "where", value_name = "CONDITIONS", conflicts_with = "id")]
    conditions: Option<Conditions>,
    /// With --where: do it
    #[arg(long, requires = "conditions", conflicts_with = "dry_run")]
    yes: bool,
    /// Why; it stands in the run's timeline
    #[arg(long)]
    reason: String,
    /// Only say what would happen
    #[arg(long)]
    dry_run: bool,
}

/// What is to be done to a run.
enum Operation {
    Cancel,
    /// At this step, or the one that the run is at.
    AtStep(Option<String>, Box<dyn Fn(String) -> RunVerb>),
    Whole(RunVerb),
}

/// What became of one run.
#[derive(Debug, Serialize)]
struct Outcome {
    run: String,
    name: String,
    done: bool,
    sentences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
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
    use OperatorCommand as C;
    let at = |StepArgs { id, step, order }, verb: fn(String) -> RunVerb| {
        (id, order, Operation::AtStep(step, Box::new(verb)))
    };
    let (id, order, operation) = match command {
        C::Explain { id } => return explain(&id, client, output).await,
        C::Cancel(RunArgs { id, order }) => (id, order, Operation::Cancel),
        C::RetryStep(args) => at(args, |step| RunVerb::RetryStep { step }),
        C::MarkUndone(args) => at(args, |step| RunVerb::MarkUndone { step }),
        C::SkipStep { step: StepArgs { id, step, order }, output: text } => {
            let given: Value = serde_json::from_str(&text).map_err(|error| {
                CliError::new(Kind::Usage, format!("--output is not JSON: {error}"))
            })?;
            let verb = move |step| RunVerb::SkipStep { step, output: given.clone() };
            (id, order, Operation::AtStep(step, Box::new(verb)))
        }
        C::ForceUnwind(RunArgs { id, order }) => {
            (id, order, Operation::Whole(RunVerb::ForceUnwind {}))
        }
        C::ResumeForward(RunArgs { id, order }) => {
            (id, order, Operation::Whole(RunVerb::ResumeForward {}))
        }
        C::Abandon(RunArgs { id, order }) => (id, order, Operation::Whole(RunVerb::Abandon {})),
    };
    match (id, &order.conditions) {
        (Some(id), _) => {
            let id = client.find_id(ReferenceKind::Run, &id).await?;
            let detail: RunDetail = client.get(&format!("/runs/{id}")).await?;
            let told = order_run(&detail.run, &operation, &order, order.dry_run, client).await?;
            if output.json {
                return output.document(&told);
            }
            output.line(if told.done { "Done:" } else { "It would:" })?;
            told.sentences.iter().try_for_each(|sentence| output.line(format!("- {sentence}")))
        }
        (None, Some(conditions)) => {
            let runs = conditions.find_runs(client).await?;
            order_all(&runs, &operation, &order, client, output).await
        }
        (None, None) => {
            Err(CliError::new(Kind::Usage, "name a run, or describe some with --where"))
        }
    }
}

/// Gives the order to one run, or asks what it would do.
async fn order_run(
    run: &Run,
    operation: &Operation,
    order: &Order,
    dry_run: bool,
    client: &Client,
) -> Result<RunOperation, CliError> {
    let (id, reason) = (&run.id, order.reason.clone());
    let verb = match operation {
        Operation::Cancel => {
            let body = CancelRun { reason, dry_run };
            return client.post(&format!("/runs/{id}/cancel"), &body).await;
        }
        Operation::Whole(verb) => verb.clone(),
        Operation::AtStep(step, verb) => {
            let at = || CliError::new(Kind::Usage, format!("{id} is at no step: name one"));
            verb(step.clone().or_else(|| run.current_step.clone()).ok_or_else(at)?)
        }
    };
    let body = OperateRun { operation: verb, reason, dry_run };
    client.post(&format!("/runs/{id}/operate"), &body).await
}

/// Gives the order to all of them with `--yes`; else says what each would do.
async fn order_all(
    runs: &[Run],
    operation: &Operation,
    order: &Order,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut outcomes = vec![];
    for run in runs {
        let told = order_run(run, operation, order, !order.yes, client).await;
        let (done, sentences, refusal) = match told {
            Ok(told) => (told.done, told.sentences, None),
            Err(error) if [Kind::Refused, Kind::NotFound, Kind::Usage].contains(&error.kind) => {
                (false, vec![], Some(error.message))
            }
            Err(error) => return Err(error),
        };
        let name = run.subject_name.clone().unwrap_or_else(|| run.subject.clone());
        outcomes.push(Outcome { run: run.id.clone(), name, done, sentences, refusal });
    }
    if output.json {
        output.document(&outcomes)?;
    } else {
        outcomes.iter().try_for_each(|outcome| print(outcome, output))?;
        let refused = outcomes.iter().filter(|it| it.refusal.is_some()).count();
        let count = outcomes.len() - refused;
        output.line(if order.yes {
            format!("{count} done, {refused} refused")
        } else {
            format!("{count} would be done, {refused} refused; with --yes they are")
        })?;
    }
    match outcomes.iter().filter(|it| it.refusal.is_some()).count() {
        0 => Ok(()),
        count => Err(CliError::new(Kind::Refused, format!("{count} runs refused the order"))),
    }
}

fn print(outcome: &Outcome, output: &mut Output) -> Result<(), CliError> {
    let Outcome { run, name, done, sentences, refusal } = outcome;
    let what = match (refusal, done) {
        (Some(why), _) => format!("refused: {why}"),
        (None, true) => "done:".to_owned(),
        (None, false) => "it would:".to_owned(),
    };
    output.line(format!("{run} ({name}) {what}"))?;
    sentences.iter().try_for_each(|sentence| output.line(format!("- {sentence}")))
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
    let id = client.find_id(ReferenceKind::Run, id).await?;
    let told: RunExplanation = client.get(&format!("/runs/{id}/explain")).await?;
    if output.json {
        return output.document(&told);
    }
    output.line(&told.sentence)?;
    told.next.iter().skip(1).try_for_each(|then| output.line(format!("- then it will {then}")))
}
