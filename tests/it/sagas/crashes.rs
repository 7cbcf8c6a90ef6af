//! The process dies at every point of every step, and the run ends as if it had not.

use super::crash_store::{Harm, Mark, Moment};
use super::scenarios::{Outcome, Scenario, assert_sound, look};
use ocim::sagas::definitions;
use ocim::sagas::step::Definition;
use std::collections::BTreeSet;

const RESULTS: &[&str] = &["saga.step_done", "saga.step_skipped", "saga.step_failed"];
const UNDO_RESULTS: &[&str] = &["saga.undo_done", "saga.undo_skipped", "saga.undo_failed"];

/// Where a step can be interrupted: name, the record beside which it lies, and on which side.
const POINTS: [(&str, &[&str], Moment); 8] = [
    ("before intent", &["saga.step_intended"], Moment::Before),
    ("after intent", &["saga.step_intended"], Moment::After),
    ("after effect", RESULTS, Moment::Before),
    ("after result", RESULTS, Moment::After),
    ("before undo", &["saga.undo_intended"], Moment::Before),
    ("after undo intent", &["saga.undo_intended"], Moment::After),
    ("after undo effect", UNDO_RESULTS, Moment::Before),
    ("after undo record", UNDO_RESULTS, Moment::After),
];

fn definition_of(scenario: Scenario) -> &'static Definition {
    definitions().into_iter().find(|found| found.name == scenario.definition()).unwrap()
}

/// What the run comes to if nothing disturbs it, and the records it makes on its way.
async fn undisturbed(scenario: Scenario) -> (Outcome, BTreeSet<(String, String)>) {
    let (stage, id) = scenario.prepare().await;
    let before = stage.history(id).await.len();
    let run = stage.drive(id).await;
    let outcome = look(&stage, id, &run).await;
    assert_sound(&outcome, &format!("{scenario:?}"));
    let records = stage.history(id).await.split_off(before);
    (outcome, records.into_iter().collect())
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_point_of_any_step_changes_nothing() {
    let mut cells = 0;
    let mut covered = BTreeSet::new();
    for scenario in Scenario::ALL {
        let (expected, records) = undisturbed(scenario).await;
        for step in definition_of(scenario).steps {
            for (point, kinds, moment) in POINTS {
                let recorded =
                    |kind: &&str| records.contains(&((*kind).to_owned(), step.path.to_owned()));
                if !kinds.iter().any(recorded) {
                    continue; // The run does not come there.
                }
                let cell = format!("{scenario:?}, {}, {point}", step.path);
                let (stage, id) = scenario.prepare().await;
                stage.store.order(Mark::Step(kinds, step.path), moment, Harm::Crash);
                let run = stage.drive(id).await;
                assert!(stage.store.struck(), "{cell}: was not reached");
                assert_eq!(look(&stage, id, &run).await, expected, "{cell}");
                covered.insert((scenario.definition(), step.path, point));
                cells += 1;
            }
        }
    }
    assert_eq!(covered, all_points(), "some points were never reached");
    println!("crash matrix: {cells} cells, {} points", covered.len());
}

/// Every step is begun and ended; every step with an undo is undone; others are skipped.
fn all_points() -> BTreeSet<(&'static str, &'static str, &'static str)> {
    let mut all = BTreeSet::new();
    for definition in definitions() {
        let pivot = definition.pivot().unwrap().path;
        let pivot = definition.steps.iter().position(|step| step.path == pivot).unwrap();
        for (index, step) in definition.steps.iter().enumerate() {
            for (at, (point, ..)) in POINTS.into_iter().enumerate() {
                let is_undone = step.kind.undo().is_some();
                let reaches = match at {
                    0..4 => true,
                    4..6 => index < pivot && is_undone,
                    _ => index < pivot && (is_undone || leaves_a_record(step.path)),
                };
                if reaches {
                    all.insert((definition.name, step.path, point));
                }
            }
        }
    }
    all
}

/// A step that is skipped here has nothing to be undone, not even for a stated reason.
fn leaves_a_record(step: &str) -> bool {
    !(step.starts_with("provision_") || step == "run_users_playbook")
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_changes_nothing() {
    let mut cells = 0;
    for scenario in Scenario::ALL {
        let (expected, _) = undisturbed(scenario).await;
        for moment in [Moment::Before, Moment::After] {
            for nth in 0.. {
                let cell = format!("{scenario:?}, {moment:?} append {nth}");
                let (stage, id) = scenario.prepare().await;
                stage.store.order(Mark::Nth(nth), moment, Harm::Crash);
                let run = stage.drive(id).await;
                if !stage.store.struck() {
                    break;
                }
                assert_eq!(look(&stage, id, &run).await, expected, "{cell}");
                cells += 1;
            }
        }
    }
    println!("crashes at appends: {cells} cells");
}

#[tokio::test(start_paused = true)]
async fn a_new_driver_for_every_single_thing_changes_nothing() {
    for scenario in Scenario::ALL {
        let (expected, _) = undisturbed(scenario).await;
        let (stage, id) = scenario.prepare().await;
        let run = stage.drive_by_many(id).await;
        assert_eq!(look(&stage, id, &run).await, expected, "{scenario:?}");
    }
}
