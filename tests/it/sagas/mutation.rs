//! Bugs planted in the product itself: each must turn a compact suite red, and a table tells how soon.
//!
//! The feature `planted-bugs` puts one `if` beside the right code for each bug (`PlantedBug` in the
//! domain). Tests alone are built with it: the package depends on itself with it, for tests.

use super::crash_store::{Harm, Mark, Moment};
use super::scenarios::{Scenario, assert_sound, look};
use super::stage::PLANTED;
use super::{launches, nodes, random};
use crate::support::counts::{report_count, report_table};
use ocim_domain::saga::{Phase, Planted, PlantedBug};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

/// How many random processes the suite has; after them come the directed checks.
const CASES: usize = 120;

/// Checks with the real definitions: each panics where something is wrong.
const DIRECTED: [(&str, fn()); 5] = [
    ("launches survive crashes", launches_survive_crashes),
    ("the slower driver is fenced", || {
        launches::the_slower_of_two_drivers_is_fenced_and_has_no_further_effect();
    }),
    ("nothing begins without the lease", || nodes::nothing_is_begun_once_the_lease_has_ended()),
    ("a dead node's runs go on", || {
        nodes::when_a_node_dies_the_other_one_takes_its_runs_over_once_the_leases_end();
    }),
    ("a zombie makes nothing twice", || {
        nodes::a_zombie_that_comes_back_writes_nothing_and_makes_nothing_twice();
    }),
];

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn launches_survive_crashes() {
    for nth in (3..30).step_by(5) {
        let (stage, id) = Scenario::Launch.prepare().await;
        stage.store.order(Mark::Nth(nth), Moment::After, Harm::Crash);
        let run = stage.drive(id).await;
        assert!(stage.store.struck(), "append {nth}");
        assert_eq!(run.phase, Phase::Completed, "append {nth}");
        assert_sound(&look(&stage, id, &run).await, &format!("append {nth}"));
    }
}

/// The first check that is red, and how many were run until then.
struct Red {
    cells: usize,
    check: String,
    why: String,
}

/// Runs the suite until a check is red.
fn find_red(cases: &[random::Case], planted: Planted) -> Option<Red> {
    PLANTED.set(planted);
    let random = cases.iter().map(|case| {
        let red = random::play(case).err();
        red.map(|why| ("random process".to_owned(), why))
    });
    let directed = DIRECTED.iter().map(|(name, check)| {
        let panic = catch_unwind(AssertUnwindSafe(check)).err()?;
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Some(((*name).to_owned(), text.unwrap_or_default()))
    });
    let mut checks = random.chain(directed).enumerate();
    let red = checks.find_map(|(index, red)| {
        let (check, why) = red?;
        Some(Red { cells: index + 1, check, why })
    });
    PLANTED.set(Planted::default());
    red
}

fn row(bug: &str, cells: &str, check: &str, why: &str) -> String {
    const WHY_CHARS: usize = 70;
    let why: String = why.lines().next().unwrap_or_default().chars().take(WHY_CHARS).collect();
    format!("{bug:<20} {cells:>5}  {check:<32} {why}")
}

#[test]
fn every_planted_bug_turns_the_suite_red() {
    let cases = random::draw(CASES);
    let sound = find_red(&cases, Planted::default());
    assert!(sound.is_none(), "without a bug: {}", sound.unwrap().why);
    let mut table = vec![row("planted bug", "cells", "first red check", "what it says")];
    let mut missed = vec![];
    for bug in PlantedBug::ALL {
        let name = format!("{bug:?}");
        table.push(match find_red(&cases, Planted::bug(bug)) {
            Some(Red { cells, check, why }) => row(&name, &cells.to_string(), &check, &why),
            None => {
                missed.push(bug);
                row(&name, "all", "none", "")
            }
        });
    }
    report_table("planted-bugs", &table);
    report_count("planted bugs", "found", PlantedBug::ALL.len() - missed.len());
    assert!(missed.is_empty(), "nobody found {missed:?}:\n{}", table.join("\n"));
}

#[test]
fn only_tests_are_built_with_planted_bugs() {
    let who_wants = |edges: &str| {
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--locked", "--offline", "--package", "ocim", "--edges", edges]);
        tree.args(["--invert", "ocim-domain"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let output = tree.output().expect("cargo");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert!(who_wants("features").contains("planted-bugs"));
    assert!(!who_wants("features,no-dev").contains("planted-bugs"));
}
