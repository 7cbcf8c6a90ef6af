//! How long the worst texts of extra settings take to be read: at most 50 ms each, of one worker.
//!
//! What bounds it is counted by the parser: values, events and bytes, with every alias written out. With
//! `--gate` the process fails when a text takes longer. The goal is that of the release profile.

#![expect(clippy::print_stdout, reason = "a benchmark prints its results")]

use ocim_domain::configuration::yaml::{YAML_DEPTH_MAX, YAML_VALUES_MAX, parse_mapping};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const GOAL: Duration = Duration::from_millis(50);
/// Each is read so often; the fastest time counts, for the others had company.
const TIMES: usize = 5;
/// Most bytes of extra settings.
const BYTES_MAX: usize = 128 * 1024;

/// Each level says the one below it so many times.
fn levels(number: usize, width: usize) -> String {
    let mut text = format!("x0: &x0 [{}]\n", vec!["a"; width].join(", "));
    for level in 1..number {
        let items = vec![format!("*x{}", level - 1); width].join(", ");
        text += &format!("x{level}: &x{level} [{items}]\n");
    }
    text
}

/// A mapping of so many keys that is merged into so many others.
fn merges(keys: usize, times: usize) -> String {
    let entries: Vec<_> = (0..keys).map(|key| format!("k{key}: {key}")).collect();
    let mut text = format!("base: &base {{{}}}\n", entries.join(", "));
    for number in 0..times {
        text += &format!("m{number}: {{<<: *base, own: 1}}\n");
    }
    text
}

fn texts() -> Vec<(&'static str, String)> {
    let long = "x".repeat(BYTES_MAX - 64);
    let few = YAML_VALUES_MAX / 2 - 8;
    vec![
        ("nine levels of ten aliases", levels(9, 10)),
        ("as deep as may be, two aliases each", levels(YAML_DEPTH_MAX - 2, 2)),
        ("four levels, all within the limit", levels(4, 9)),
        ("as many values as may be", format!("l: [{}]\n", vec!["1.5"; 2 * few].join(", "))),
        ("as many keys as may be", (0..few).map(|key| format!("k{key}: yes\n")).collect()),
        (
            "one long text, said again and again",
            format!("a: &a {long}\nl: [{}]", ["*a"; 8].join(",")),
        ),
        ("one long number", format!("a: {}\n", "1".repeat(BYTES_MAX - 64))),
        ("a mapping merged into many", merges(90, 90)),
        ("half a bracket, again and again", format!("a: {}", "[".repeat(BYTES_MAX - 8))),
        (
            "anchors that nobody refers to",
            (0..few).map(|key| format!("k{key}: &a{key} 1\n")).collect(),
        ),
    ]
}

fn main() -> ExitCode {
    let mut is_met = true;
    for (name, text) in texts() {
        let measure = || {
            let began = Instant::now();
            let outcome = if parse_mapping(&text).is_ok() { "read" } else { "refused" };
            (began.elapsed(), outcome)
        };
        let Some((took, outcome)) = (0..TIMES).map(|_| measure()).min() else { continue };
        is_met &= took <= GOAL;
        let (kib, ms) = (text.len() / 1024, took.as_secs_f64() * 1000.0);
        println!("{ms:7.2} ms  {outcome:7}  {kib:4} KiB  {name}");
    }
    let is_gate = std::env::args().any(|argument| argument == "--gate");
    if is_gate && !is_met { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
