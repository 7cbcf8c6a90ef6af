//! Rates of the store and the logs as ratios to what PostgreSQL itself does in the same minute.
//!
//! Absolute numbers say more about the machine than about Ocim, so each line is measured beside its
//! baseline. The goals are those of the release profile; with `--gate` the process fails when a
//! ratio is below its goal. `--only growth` (or `store`, `logs`) measures one part.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that fails should panic")]

mod growth;
mod logs;
mod measure;
#[allow(dead_code, unreachable_pub, reason = "it belongs to the tests, which need more of it")]
#[path = "../../tests/it/support/postgres.rs"]
mod postgres;
mod store;

use measure::Ratio;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let mut ratios: Vec<Ratio> = Vec::new();
    let only = std::env::args().skip_while(|argument| argument != "--only").nth(1);
    let is_wanted = |part: &str| only.as_deref().is_none_or(|only| only == part);
    if is_wanted("store") {
        ratios.extend(store::measure_store().await);
    }
    if is_wanted("logs") {
        ratios.extend(logs::measure_logs().await);
    }
    if is_wanted("growth") {
        ratios.extend(growth::measure_growth().await);
    }
    println!("{}", Ratio::HEADER);
    for ratio in &ratios {
        println!("{ratio}");
    }
    let is_gate = std::env::args().any(|argument| argument == "--gate");
    let all_met = ratios.iter().all(Ratio::is_met);
    if is_gate && !all_met { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
