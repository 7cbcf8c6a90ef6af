//! The process dies at every point of every step, and the run ends as if it had not.

use super::crash_store::Moment;
use super::former::definitions;
use super::matrix::place_of;
use super::recording::{Cut, Recording};
use super::scenarios::{Scenario, look};
use crate::support::counts::report_counts;
use std::collections::{BTreeMap, BTreeSet};

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

/// A step of a version of a process, and one of the points.
type Point = (&'static str, u16, String, &'static str);

/// A process that starts with what was there at any append, before it or after it, comes to the
/// same end: the points of all steps are among them.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_append_changes_nothing() {
    let mut cells = BTreeMap::new();
    let mut covered = BTreeSet::new();
    for scenario in Scenario::ALL {
        let recording = Recording::make(scenario, |_| true).await;
        for cut in &recording.cuts {
            let Cut { moment, nth, kind, step, .. } = cut;
            let cell = format!("{scenario:?}, {moment:?} append {nth}: {kind} {step}");
            let stage = cut.snapshot.resume();
            let run = stage.drive(recording.id).await;
            assert_eq!(look(&stage, recording.id, &run).await, recording.outcome, "{cell}");
            covered.extend(points_at(&recording, cut));
            *cells.entry(place_of(recording.definition, step)).or_default() += 1;
        }
    }
    assert_eq!(covered, all_points(), "some points were never reached");
    report_counts("crashes at appends", &cells);
    let mut points = BTreeMap::new();
    for (name, version, step, _) in covered {
        *points.entry(format!("{name} v{version} {step}")).or_default() += 1;
    }
    report_counts("crash points", &points);
}

fn points_at<'a>(recording: &'a Recording, cut: &'a Cut) -> impl Iterator<Item = Point> {
    let definition = recording.definition;
    let here = POINTS
        .into_iter()
        .filter(|(_, kinds, moment)| kinds.contains(&cut.kind.as_str()) && cut.moment == *moment);
    here.map(|(point, ..)| (definition.name, definition.version, cut.step.clone(), point))
}

/// Every step is begun and ended; every step with an undo is undone; others are skipped.
fn all_points() -> BTreeSet<Point> {
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
                    all.insert((definition.name, definition.version, step.path.to_owned(), point));
                }
            }
        }
    }
    all
}

/// A step that is skipped here has nothing to be undone, not even for a stated reason.
fn leaves_a_record(step: &str) -> bool {
    !["provision_storage", "run_users_playbook", "close_links"].contains(&step)
}

#[tokio::test(start_paused = true)]
async fn a_new_driver_for_every_single_thing_changes_nothing() {
    for scenario in Scenario::ALL {
        let (stage, id) = scenario.prepare().await;
        let run = stage.drive_by_many(id).await;
        let outcome = look(&stage, id, &run).await;
        let recording = Recording::make(scenario, |_| false).await;
        assert_eq!(outcome, recording.outcome, "{scenario:?}");
    }
}
