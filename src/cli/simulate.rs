//! `ocim simulate`

use super::error::{CliError, Kind};
use super::output::Output;
use crate::simulation::{Plan, Report, simulate};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// What to simulate.
#[derive(Debug, clap::Args)]
pub(super) struct SimulateArgs {
    /// The seed that everything follows from, or a range of them like 1..200 (both included)
    #[arg(long, value_name = "N|A..B", value_parser = parse_seeds, default_value = "1")]
    seed: RangeInclusive<u64>,
    /// How many appservers are asked for, up to 10000
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(..=10_000))]
    launches: u32,
    /// How much goes wrong in the world, from 0 to 1
    #[arg(long, value_name = "F", default_value_t = 0.1, value_parser = parse_share)]
    faults: f64,
    /// The probability that Ocim dies at each append and each effect, from 0 to 0.2
    #[arg(long, value_name = "F", default_value_t = 0.0, value_parser = parse_crashes)]
    crashes: f64,
}

fn parse_seeds(text: &str) -> Result<RangeInclusive<u64>, String> {
    let (first, last) = text.split_once("..").unwrap_or((text, text));
    let parse = |text: &str| text.parse::<u64>();
    match (parse(first), parse(last.trim_start_matches('='))) {
        (Ok(first), Ok(last)) if first <= last => Ok(first..=last),
        _ => Err("it must be a number, or a range like 1..200".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    parse_up_to(text, 1.0)
}

/// More often, and no process would live long enough to read its log.
fn parse_crashes(text: &str) -> Result<f64, String> {
    parse_up_to(text, 0.2)
}

fn parse_up_to(text: &str, most: f64) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=most).contains(share));
    share.ok_or_else(|| format!("it must be a number from 0 to {most}"))
}

/// Simulates each seed, and tells how it went: one line or JSON object a seed.
///
/// # Errors
/// When an invariant is broken; all seeds are tried first.
pub(super) async fn run(args: SimulateArgs, output: &mut Output) -> Result<(), CliError> {
    let (launches, faults, crashes) = (args.launches, args.faults, args.crashes);
    let mut total = Total::default();
    for seed in args.seed.clone() {
        let plan = Plan { seed, launches, faults, crashes };
        let simulated = tokio::task::spawn_blocking(move || simulate(&plan)).await;
        let failed = |error: &(dyn std::error::Error + 'static)| {
            let error = CliError::from_error(Kind::Failed, error);
            CliError::new(Kind::Failed, format!("seed {seed}: {}", error.message))
        };
        let report = simulated.map_err(|e| failed(&e))?.map_err(|e| failed(&e))?;
        if output.json {
            output.json_line(&report)?;
        } else {
            output.line(describe(&report))?;
        }
        for violation in &report.violations {
            let (invariant, subject) = (violation.invariant, &violation.subject);
            let detail = &violation.detail;
            output.progress(format!("seed {seed}: {subject} breaks `{invariant}`: {detail}"))?;
        }
        total.add(report);
    }
    if args.seed.clone().count() > 1 && !output.json {
        output.line(total.describe())?;
    }
    total.verdict()
}

/// All seeds together.
#[derive(Default)]
struct Total {
    seeds: u64,
    runs: usize,
    events: u64,
    outcomes: BTreeMap<&'static str, u32>,
    broken: Option<String>,
}

impl Total {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.runs += report.runs;
        self.events += report.events;
        for (outcome, count) in report.outcomes {
            *self.outcomes.entry(outcome).or_default() += count;
        }
        if let Some(violation) = report.violations.first() {
            let (invariant, subject) = (violation.invariant, &violation.subject);
            let seed = report.seed;
            let line = || {
                format!(
                    "seed {seed}: {subject} breaks the invariant `{invariant}`: {}",
                    violation.detail
                )
            };
            self.broken.get_or_insert_with(line);
        }
    }

    fn describe(&self) -> String {
        let outcomes = count(&self.outcomes);
        format!("{} seeds: {} runs: {outcomes}; {} events", self.seeds, self.runs, self.events)
    }

    fn verdict(self) -> Result<(), CliError> {
        self.broken.map_or(Ok(()), |line| Err(CliError::new(Kind::Failed, line)))
    }
}

fn describe(report: &Report) -> String {
    let outcomes = count(&report.outcomes);
    let faults: u64 = report.faults.values().sum();
    let (hours, minutes) = (report.virtual_s / 3600, report.virtual_s / 60 % 60);
    format!(
        "seed {}: {} runs: {outcomes}; {faults} faults, {} crashes; {} events in {hours} h {minutes} min \
         of virtual time; digest {}",
        report.seed, report.runs, report.crashes, report.events, report.digest,
    )
}

fn count<K: Display>(counts: &BTreeMap<K, u32>) -> String {
    let parts: Vec<_> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range_with_its_end() {
        assert_eq!(parse_seeds("7"), Ok(7..=7));
        assert_eq!(parse_seeds("1..200"), Ok(1..=200));
        for wrong in ["", "x", "2..1", "1..", "-1"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_stay_in_their_bounds() {
        assert_eq!(parse_share("0.3"), Ok(0.3));
        for wrong in ["1.1", "-0.1", "NaN", "a"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
        assert!(parse_crashes("0.3").is_err());
    }
}
