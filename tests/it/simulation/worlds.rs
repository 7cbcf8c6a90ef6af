//! Whole worlds by seed, in this process and through the program.

use ocim::simulation::{Plan, Report, simulate};
use serde_json::Value;
use std::process::{Command, Output};

const PLAN: Plan = Plan { seed: 1, launches: 20, faults: 0.3, crashes: 0.0 };

fn report(plan: Plan) -> Report {
    simulate(&plan).unwrap()
}

fn assert_sound(report: &Report) {
    assert_eq!(report.violations, [], "seed {}", report.seed);
}

fn ocim(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocim"));
    command.env_clear().current_dir("/").arg("simulate").args(arguments).output().unwrap()
}

#[test]
fn the_same_seed_gives_the_same_history_in_any_process_and_another_seed_another() {
    let arguments = ["--seed", "3..4", "--launches", "6", "--faults", "0.3", "--json"];
    let first = ocim(&arguments);
    assert!(first.status.success(), "{first:?}");
    assert_eq!(first.stdout, ocim(&arguments).stdout);
    let text = String::from_utf8(first.stdout).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let digests: Vec<_> = lines.iter().map(|line| line["digest"].as_str().unwrap()).collect();
    assert_eq!((lines[0]["seed"].as_u64(), lines[1]["seed"].as_u64()), (Some(3), Some(4)));
    assert_ne!(digests[0], digests[1]);
    let here = report(Plan { seed: 3, launches: 6, ..PLAN });
    assert_eq!(here.digest, digests[0]);
}

#[test]
fn faults_and_deaths_change_the_history_and_each_history_repeats() {
    let calm = report(Plan { launches: 5, faults: 0.0, ..PLAN });
    let rough = report(Plan { launches: 5, ..PLAN });
    let deadly = Plan { launches: 5, crashes: 0.02, ..PLAN };
    let dead = report(deadly);
    assert_eq!(dead, report(deadly));
    assert!(calm.faults.is_empty() && !rough.faults.is_empty() && dead.crashes > 5, "{dead:?}");
    assert!(calm.digest != rough.digest && rough.digest != dead.digest);
    assert_eq!(calm.outcomes.keys().copied().filter(|end| *end != "cancelled").count(), 1);
    [calm, rough, dead].iter().for_each(assert_sound);
}

#[test]
fn twenty_seeds_of_twenty_launches_hold_every_invariant() {
    for seed in 1..=20 {
        let report = report(Plan { seed, ..PLAN });
        assert_sound(&report);
        assert!(report.runs >= 20 && report.outcomes["completed"] > 0, "{report:?}");
        assert!(!report.outcomes.contains_key("open"), "{report:?}");
    }
}

#[test]
fn ten_seeds_of_an_ocim_that_dies_all_the_time_hold_every_invariant() {
    for seed in 1..=10 {
        let report = report(Plan { seed, launches: 8, crashes: 0.03, ..PLAN });
        assert_sound(&report);
        assert!(report.crashes > 10, "{report:?}");
    }
}

#[test]
fn nonsense_is_refused_with_the_exit_code_for_usage() {
    for wrong in [["--seed", "9..1"], ["--faults", "2"], ["--crashes", "1"], ["--launches", "-1"]] {
        let output = ocim(&wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
}
