//! `ocim timers`, `ocim timers run`.

use super::client::{Client, encode};
use super::error::CliError;
use super::list::ListArgs;
use super::output::{Output, time};
use clap::Subcommand;
use ocim_api_spec::{RunTimer, StartedRun, Timer};

/// What one may do with timers.
#[derive(Debug, Subcommand)]
pub(super) enum TimerCommand {
    /// List what comes again and again by itself: when it comes next, and how it went last
    List(ListArgs),
    /// Have something done now that comes every day; prints the run
    Run {
        /// Its name
        name: String,
        /// Why
        #[arg(long)]
        reason: Option<String>,
    },
}

/// Does it.
///
/// # Errors
/// What the server says.
pub(super) async fn run(
    command: Option<TimerCommand>,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let wanted = match command {
        None => ListArgs::default(),
        Some(TimerCommand::List(wanted)) => wanted,
        Some(TimerCommand::Run { name, reason }) => {
            let path = format!("/timers/{}/run", encode(&name));
            let started: StartedRun = client.post(&path, &RunTimer { reason }).await?;
            return if output.json { output.document(&started) } else { output.line(started.run) };
        }
    };
    let items: Vec<Timer> = client.list("/timers", &[], &wanted).await?;
    output.wide_table(
        &items,
        &[
            ("NAME", &|it| it.name.clone()),
            ("SCHEDULE", &|it| it.schedule.clone()),
            ("NEXT", &|it| it.next.map(time).unwrap_or_default()),
            ("LAST", &|it| it.last.map(time).unwrap_or_default()),
            ("OUTCOME", &|it| it.outcome.clone()),
        ],
        &[
            ("RUN", &|it| it.run.clone().unwrap_or_default()),
            ("WHAT", &|it| it.description.clone()),
        ],
    )
}
