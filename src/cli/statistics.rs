//! `ocim run statistics`: how runs and their steps went, and how long they took.

use super::client::Client;
use super::error::{CliError, Kind};
use super::output::{Output, time};
use chrono::TimeDelta;
use clap::Args;
use ocim_api_spec::{Durations, RunStatistics};

/// Which runs the figures are about.
#[derive(Debug, Args)]
pub(super) struct StatisticsArgs {
    /// Only runs that do this, e.g. `launch_appserver`
    #[arg(long)]
    definition: Option<String>,
    /// Only runs that started since then, e.g. 2026-11-22T10:00:00Z; 30 days back when left out
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
}

/// One line of the table.
#[derive(Debug, serde::Serialize)]
struct Line {
    name: String,
    done: i64,
    attempts: String,
    retries: String,
    undos: String,
    durations: Durations,
}

/// Prints the figures.
///
/// # Errors
/// What the server says.
pub(super) async fn print_statistics(
    args: &StatisticsArgs,
    client: &Client,
    output: &mut Output,
) -> Result<(), CliError> {
    let mut query = vec![];
    query.extend(args.definition.clone().map(|it| ("definition", it)));
    query.extend(args.since.clone().map(|it| ("since", it)));
    let statistics: RunStatistics = client.get_with("/runs/statistics", &query).await?;
    if output.json {
        return output.document(&statistics);
    }
    output.line(format!("runs since {}", time(statistics.since)))?;
    let mut lines = vec![];
    for it in &statistics.definitions {
        let (runs, stuck, unwound) = (it.runs, it.stuck, it.unwound);
        lines.push(Line {
            name: format!("{} ({runs} runs, {stuck} stuck, {unwound} undone)", it.definition),
            done: it.completed,
            attempts: String::new(),
            retries: String::new(),
            undos: String::new(),
            durations: it.durations,
        });
        lines.extend(it.steps.iter().map(|step| Line {
            name: format!("  {}", step.step),
            done: step.done,
            attempts: step.attempts.to_string(),
            retries: step.retries.to_string(),
            undos: step.undos.to_string(),
            durations: step.durations,
        }));
    }
    output.table(
        &lines,
        &[
            ("RUNS AND STEPS", &|it| it.name.clone()),
            ("DONE", &|it| it.done.to_string()),
            ("ATTEMPTS", &|it| it.attempts.clone()),
            ("RETRIES", &|it| it.retries.clone()),
            ("UNDOS", &|it| it.undos.clone()),
            ("P50", &|it| seconds(it.durations.p50_s)),
            ("P90", &|it| seconds(it.durations.p90_s)),
            ("P99", &|it| seconds(it.durations.p99_s)),
            ("MAX", &|it| seconds(it.durations.max_s)),
        ],
    )
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map(ocim_projections::timeline::duration).unwrap_or_default()
}

/// Reads an age: `90`, `90s`, `15m`, `2h`, `3d`; in seconds.
///
/// # Errors
/// For anything else.
pub(super) fn read_age(text: &str) -> Result<u32, CliError> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        None => (text, "s"),
        Some(end) => text.split_at(end),
    };
    let age = match (number.parse::<u32>().map(i64::from), unit) {
        (Ok(number), "s") => Some(TimeDelta::seconds(number)),
        (Ok(number), "m") => Some(TimeDelta::minutes(number)),
        (Ok(number), "h") => Some(TimeDelta::hours(number)),
        (Ok(number), "d") => Some(TimeDelta::days(number)),
        _ => None,
    };
    age.and_then(|age| u32::try_from(age.num_seconds()).ok()).ok_or_else(|| {
        CliError::new(Kind::Usage, format!("`{text}` is no age: write e.g. 90s, 15m, 2h or 3d"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_a_unit() {
        let read = |text| read_age(text).ok();
        assert_eq!(
            ["90", "90s", "15m", "2h", "3d"].map(read),
            [Some(90), Some(90), Some(900), Some(7_200), Some(259_200)]
        );
        for wrong in ["", "h", "1w", "-3s", "4294967295d"] {
            assert_eq!(read_age(wrong).unwrap_err().kind, Kind::Usage, "{wrong}");
        }
    }
}
