//! `ocim run …`, and waiting for a run wherever a command starts one.

use super::client::Client;
use super::error::{CliError, Kind};
use super::list::ListArgs;
use super::logs::{LogArgs, print_logs};
use super::operators::{self, OperatorCommand};
use super::output::{Output, time};
use super::statistics::{StatisticsArgs, print_statistics, read_age};
use super::timeline::{TimelineArgs, print_timeline};
use clap::Subcommand;
use ocim_api_spec::{
    AttemptOutcome, ReferenceKind, Run, RunAttempt, RunDetail, RunExplanation, RunPhase, RunStep,
};
use ocim_projections::timeline::duration;
use std::time::{Duration, Instant};

/// Pause between two looks at a run.
const POLL: Duration = Duration::from_millis(500);
/// So long after the last move, one wants to know what is waited for.
const QUIET_MAX: Duration = Duration::from_secs(5);
/// How long a server that restarts may be away while a run is waited for.
const ABSENCE_MAX: Duration = Duration::from_secs(60);

/// What one may do with runs.
#[derive(Debug, Subcommand)]
pub(super) enum RunCommand {
    /// List runs, newest first
    List {
        /// Only those about this instance, appserver (`SITE/NUMBER`) or balancer
        #[arg(long)]
        subject: Option<String>,
        /// Only those that do this, e.g. `launch_appserver`
        #[arg(long)]
        definition: Option<String>,
        /// Only those that have not ended
        #[arg(long)]
        open: bool,
        /// Only those that can't go on by themselves
        #[arg(long)]
        stuck: bool,
        /// Only those that started longer ago, e.g. 90s, 15m, 2h or 3d
        #[arg(long, value_name = "AGE")]
        older_than: Option<String>,
        #[command(flatten)]
        wanted: ListArgs,
    },
    /// Show a run with its steps and their attempts
    Show {
        /// Its id, run_…, or the beginning of it
        id: String,
    },
    /// Tell what happened in a run
    Timeline(TimelineArgs),
    /// Print the log of a run
    Logs(LogArgs),
    /// Tell how runs went, and how long they and their steps took
    Statistics(StatisticsArgs),
    /// Wait until a run has ended, and tell its steps
    Wait {
        /// Its id, run_…, or the beginning of it
        id: String,
    },
    #[command(flatten)]
    Operate(OperatorCommand),
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: RunCommand,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    match command {
        RunCommand::Operate(command) => operators::run(command, client, output).await,
        RunCommand::List { subject, definition, open, stuck, older_than, wanted } => {
            let age = older_than.as_deref().map(read_age).transpose()?;
            let age = age.map(|seconds| seconds.to_string());
            let subject = match subject {
                Some(text) => Some(client.find_subject(&text).await?),
                None => None,
            };
            let mut query = vec![];
            query.extend(subject.as_deref().map(|it| ("subject", it)));
            query.extend(definition.as_deref().map(|it| ("definition", it)));
            query.extend(open.then_some(("open", "true")));
            query.extend(stuck.then_some(("stuck", "true")));
            query.extend(age.as_deref().map(|it| ("older_than_s", it)));
            list_runs(client, output, &query, &wanted).await
        }
        RunCommand::Timeline(args) => {
            print_timeline(ReferenceKind::Run, &args, client, output).await
        }
        RunCommand::Logs(args) => print_logs(ReferenceKind::Run, &args, client, output).await,
        RunCommand::Statistics(args) => print_statistics(&args, client, output).await,
        RunCommand::Show { id } => {
            let id = client.find_id(ReferenceKind::Run, &id).await?;
            let detail: RunDetail = client.get(&format!("/runs/{id}")).await?;
            show_run(&detail, output)
        }
        RunCommand::Wait { id } => {
            let id = client.find_id(ReferenceKind::Run, &id).await?;
            wait_for_run(&id, client, output).await
        }
    }
}

async fn list_runs(
    client: &Client,
    output: &mut Output,
    query: &[(&str, &str)],
    wanted: &ListArgs,
) -> Result<(), CliError> {
    let items: Vec<Run> = client.list("/runs", query, wanted).await?;
    output.wide_table(
        &items,
        &[
            ("ID", &|it| it.id.clone()),
            ("DOES", &|it| it.definition.clone()),
            ("ABOUT", &|it| it.subject_name.clone().unwrap_or_else(|| it.subject.clone())),
            ("OUTCOME", &|it| it.outcome.clone()),
            ("STARTED", &|it| time(it.created)),
            ("TOOK", &|it| duration(it.duration_s)),
        ],
        &[
            ("SUBJECT", &|it| it.subject.clone()),
            ("PHASE", &|it| it.phase.word().to_owned()),
            ("STEP", &|it| it.current_step.clone().unwrap_or_default()),
            ("STARTED BY", &|it| it.actor.clone()),
        ],
    )
}

fn show_run(detail: &RunDetail, output: &mut Output) -> Result<(), CliError> {
    if output.json {
        return output.document(detail);
    }
    output.record(&detail.run)?;
    if !detail.started_runs.is_empty() {
        output.line(format!("started: {}", detail.started_runs.join(", ")))?;
    }
    output.line("steps:")?;
    for step in &detail.steps {
        output.line(step_line(step))?;
        for attempt in &step.attempts {
            output.line(attempt_line(attempt))?;
        }
    }
    Ok(())
}

fn attempt_line(attempt: &RunAttempt) -> String {
    let verb = if attempt.is_undo { "undo " } else { "" };
    let began = time(attempt.started);
    let took = attempt.duration_s.map(|seconds| format!(", {}", duration(seconds)));
    let outcome = match attempt.outcome {
        None => "under way",
        Some(AttemptOutcome::Done) => "done",
        Some(AttemptOutcome::Failed) => "failed",
        Some(AttemptOutcome::Superseded) => "superseded",
    };
    let class = attempt.code.as_ref().or(attempt.class.as_ref());
    let class = class.map(|class| format!(" ({class})")).unwrap_or_default();
    let error = attempt.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    let (number, took) = (attempt.attempt, took.unwrap_or_default());
    format!("    {verb}attempt {number} at {began}{took}: {outcome}{class}{error}")
}

fn step_line(step: &RunStep) -> String {
    let state = serde_json::to_value(step.state).unwrap_or_default();
    let attempt =
        if step.attempt > 1 { format!(" (attempt {})", step.attempt) } else { String::new() };
    let note = step.note.as_ref().map(|note| format!(": {note}")).unwrap_or_default();
    format!("  {} {}{attempt}{note}", step.step, state.as_str().unwrap_or_default())
}

/// Tells each step as it moves until the run is at rest; then shows the run.
///
/// # Errors
/// [`Kind::RunFailed`] unless it completed; what the server says.
pub(super) async fn wait_for_run(
    id: &str,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let detail = follow_run(id, client, output).await?;
    end_wait(&detail, output)
}

/// Tells each step as it moves, and what is waited for where nothing moves, until the run is at rest.
///
/// # Errors
/// What the server says.
pub(super) async fn follow_run(
    id: &str,
    client: &Client,
    output: &mut Output,
) -> Result<RunDetail, CliError> {
    let path = format!("/runs/{id}");
    let mut told: Vec<RunStep> = vec![];
    let mut last_wait = String::new();
    let (mut last_seen, mut last_moved) = (Instant::now(), Instant::now());
    loop {
        match client.get::<RunDetail>(&path).await {
            Ok(detail) => {
                last_seen = Instant::now();
                for step in detail.steps.iter().filter(|step| !has_told(&told, step)) {
                    output.progress(step_line(step))?;
                    last_moved = Instant::now();
                }
                if detail.run.phase.is_at_rest() {
                    return Ok(detail);
                }
                told = detail.steps;
            }
            // A server that restarts takes its runs up again.
            Err(error) if error.kind == Kind::Unavailable && last_seen.elapsed() < ABSENCE_MAX => {}
            Err(error) => return Err(error),
        }
        if last_moved.elapsed() > QUIET_MAX {
            last_moved = Instant::now();
            let now = find_wait(&path, client).await;
            if let Some(wait) = now.filter(|wait| *wait != last_wait) {
                output.progress(format!("  waits for {wait}"))?;
                last_wait = wait;
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What a run waits for, e.g. its place in line or a circuit that is open; `None` where nobody can
/// say now.
async fn find_wait(path: &str, client: &Client) -> Option<String> {
    let told: RunExplanation = client.get(&format!("{path}/explain")).await.ok()?;
    told.waits_for
}

fn has_told(told: &[RunStep], step: &RunStep) -> bool {
    let seen = |it: &RunStep| (it.state, it.attempt) == (step.state, step.attempt);
    told.iter().any(|it| it.step == step.step && seen(it))
}

/// Says how a run ended.
///
/// # Errors
/// [`Kind::RunFailed`] unless it completed.
pub(super) fn end_wait(detail: &RunDetail, output: &mut Output) -> Result<(), CliError> {
    let run = &detail.run;
    if output.json {
        output.document(detail)?;
    } else {
        output.line(format!("{} {} {}", run.definition, run.id, run.outcome))?;
    }
    if run.phase == RunPhase::Completed {
        return Ok(());
    }
    let mut message = format!("{} {}", run.id, run.outcome);
    if let Some(code) = &run.error_code {
        message += &format!(" (`ocim explain {code}` says more)");
    }
    Err(CliError::new(Kind::RunFailed, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use ocim_api_spec::StepState;

    fn step(state: StepState, attempt: i32) -> RunStep {
        RunStep {
            step: "create_server".into(),
            state,
            attempt,
            note: (attempt > 1).then(|| "no quota".into()),
            retry_at: None,
            started: DateTime::UNIX_EPOCH,
            modified: DateTime::UNIX_EPOCH,
            attempts: vec![],
        }
    }

    #[test]
    fn a_step_is_told_once_for_each_move() {
        let told = [step(StepState::Intended, 1)];
        assert!(has_told(&told, &step(StepState::Intended, 1)));
        assert!(!has_told(&told, &step(StepState::Done, 1)));
        assert!(!has_told(&told, &step(StepState::Intended, 2)));
        assert_eq!(step_line(&step(StepState::Done, 1)), "  create_server done");
        let failed = step_line(&step(StepState::Failed, 2));
        assert_eq!(failed, "  create_server failed (attempt 2): no quota");
    }
}
