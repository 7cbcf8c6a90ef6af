//! Each step of each process is performed twice, and each undo: all is as if it were once.

use super::crash_store::Moment;
use super::ends::with_undo;
use super::former::definitions;
use super::matrix::{Matrix, place_of};
use super::recording::{Recording, beginnings, undo_beginnings};
use super::scenarios::{Scenario, look};
use super::tamper::{self, Harm, Order, Side};

async fn repeat(recording: &Recording, step: &'static str, side: Side) {
    let kind = if side == Side::Run { "saga.step_intended" } else { "saga.undo_intended" };
    let cut = recording.find(&[kind], step, Moment::Before).expect("the run comes there");
    let stage = cut.snapshot.resume_with(tamper::registry());
    let harm = Harm::Repeat;
    tamper::order(recording.definition, Order { step, side, harm, always: false, pause: None });
    let run = stage.drive(recording.id).await;
    assert_eq!(tamper::count_strikes(), 1, "{step}");
    assert_eq!(look(&stage, recording.id, &run).await, recording.outcome, "{step}");
}

/// A step with a probe is looked at instead of being performed again, and is found.
#[tokio::test(start_paused = true)]
async fn an_action_that_is_performed_twice_is_as_good_as_once() {
    let mut matrix = Matrix::default();
    for scenario in Scenario::FORWARD {
        let recording = Recording::make(scenario, beginnings).await;
        for step in recording.definition.steps {
            let name = || format!("{scenario:?}, {}", step.path);
            let place = place_of(recording.definition, step.path);
            matrix.cell(place, name, repeat(&recording, step.path, Side::Run)).await;
        }
    }
    let steps: usize = definitions().iter().map(|definition| definition.steps.len()).sum();
    assert_eq!(matrix.finish("actions twice"), steps);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_performed_twice_is_as_good_as_once() {
    let mut matrix = Matrix::default();
    for scenario in Scenario::BACK {
        let recording = Recording::make(scenario, undo_beginnings).await;
        for step in with_undo(recording.definition) {
            let name = || format!("{scenario:?}, {step}");
            let place = place_of(recording.definition, step);
            matrix.cell(place, name, repeat(&recording, step, Side::Undo)).await;
        }
    }
    let undos: usize =
        definitions().into_iter().map(|definition| with_undo(definition).count()).sum();
    assert_eq!(matrix.finish("undos twice"), undos);
}
