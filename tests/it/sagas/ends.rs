//! How a run must have ended that turned back: undone in order, once, and nothing of it left.

use super::recording::Recording;
use super::scenarios::{Outcome, assert_sound};
use super::stage::Stage;
use ocim::processes::step::{Definition, Kind};
use ocim_domain::appserver::Status;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, Phase};

/// The place of a step in its process.
pub(crate) fn place(definition: &Definition, path: &str) -> usize {
    definition.steps.iter().position(|step| step.path == path).unwrap()
}

/// Whether a step stands before the point of no return.
pub(crate) fn is_before_pivot(definition: &Definition, path: &str) -> bool {
    place(definition, path) < place(definition, definition.pivot().unwrap().path)
}

/// The steps of a process that have an undo.
pub(crate) fn with_undo(definition: &Definition) -> impl Iterator<Item = &'static str> {
    let steps = definition.steps.iter();
    steps.filter(|step| step.kind.undo().is_some()).map(|step| step.path)
}

/// Each step that began was undone once or kept, the last one first; `last` is the last that began.
pub(crate) async fn assert_undone_in_order(
    stage: &Stage,
    id: RunId,
    definition: &Definition,
    last: &str,
    cell: &str,
) {
    let history = stage.history(id).await;
    let of = |kind: &str| -> Vec<&str> {
        let these = history.iter().filter(|(known, _)| known == kind);
        these.map(|(_, step)| step.as_str()).collect()
    };
    let (begun, skipped) = (of("saga.step_intended"), of("saga.step_skipped"));
    assert_eq!(begun.last(), Some(&last), "{cell}");
    let rows = definition.steps.iter().rev();
    let taken_back =
        rows.filter(|step| begun.contains(&step.path) && !skipped.contains(&step.path));
    let expected: Vec<_> = taken_back.clone().map(|step| step.path).collect();
    let is_record = |kind: &str| kind == "saga.undo_done" || kind == "saga.undo_skipped";
    let records = history.iter().filter(|(kind, _)| is_record(kind));
    let undone: Vec<_> = records.map(|(_, step)| step.as_str()).collect();
    assert_eq!(undone, expected, "{cell}");
    let performed = of("saga.undo_done");
    let mut with_undo = taken_back.filter(|step| matches!(step.kind, Kind::Compensable(_)));
    assert!(with_undo.all(|step| performed.contains(&step.path)), "{cell}");
    assert_eq!(of("saga.undo_intended"), performed, "{cell}: each undo begins once");
}

/// What stands outside of the run itself.
fn standing(outcome: &Outcome) -> Outcome {
    Outcome {
        phase: Phase::Forward,
        launches_in_queue: 0,
        traffic_claimed: false,
        in_region: 0,
        created: 0,
        starts: vec![],
        output_lines: 0,
        facts: vec![],
        // Before the run, it was asked for already.
        stage: Default::default(),
        maintenance: (outcome.maintenance.0, false, outcome.maintenance.2),
        // What a preparation has put right stays right.
        is_as_recorded: false,
        ..outcome.clone()
    }
}

/// All is as it was before the run. A launch leaves its Appserver, to tell what became of it: its
/// status, and whether its machine is gone.
pub(crate) fn assert_nothing_left(
    recording: &Recording,
    outcome: &Outcome,
    appserver: Option<(Status, bool)>,
    cell: &str,
) {
    assert_sound(outcome, cell);
    if recording.definition.name != "launch_appserver" {
        assert_eq!(standing(outcome), standing(&recording.before), "{cell}");
        return;
    }
    let left = outcome.appservers.get(&1).map(|end| (end.status, end.server_gone));
    assert_eq!(left, appserver, "{cell}");
    let machines = usize::from(appserver.is_some_and(|(_, is_gone)| !is_gone));
    assert_eq!(outcome.machines.len(), machines, "{cell}");
}

/// What a launch that turned back leaves of its Appserver: its status, and whether its machine is
/// gone. `has_effect` says whether the last step that began had its effect.
pub(crate) fn appserver_left(
    definition: &Definition,
    cause: &Cause,
    last: &str,
    has_effect: bool,
) -> Option<(Status, bool)> {
    if definition.name != "launch_appserver" {
        return None;
    }
    let had_effect = |step: &str| match place(definition, last).cmp(&place(definition, step)) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => has_effect,
        std::cmp::Ordering::Greater => true,
    };
    if !had_effect("create_appserver") {
        return None;
    }
    let is_kept = matches!(cause, Cause::StepFailed { .. })
        && place(definition, last) >= place(definition, "run_main_playbook");
    let status = match cause {
        Cause::Cancelled { .. } => Status::Cancelled,
        _ if had_effect("start_configuring") => Status::Failed,
        _ => Status::Error,
    };
    Some((status, !is_kept))
}
