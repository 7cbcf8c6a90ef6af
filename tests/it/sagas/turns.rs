//! Each run of each process is cancelled, or runs out of time, at each of its steps.

use super::crash_store::{Moment, Sight};
use super::ends::{appserver_left, assert_nothing_left, assert_undone_in_order, place};
use super::former::definitions;
use super::matrix::{Matrix, place_of};
use super::recording::Recording;
use super::scenarios::{Scenario, look};
use super::stage::somebody;
use ocim::processes::step::Step;
use ocim_domain::saga::{Cause, Phase, Verb};
use std::time::Duration;

const INTENT: &[&str] = &["saga.step_intended"];
const RESULT: &[&str] = &["saga.step_done", "saga.step_skipped"];

/// Before a step begins, while it is in doubt, after its effect, and once that is recorded.
const POINTS: [(&[&str], Moment); 4] = [
    (INTENT, Moment::Before),
    (INTENT, Moment::After),
    (RESULT, Moment::Before),
    (RESULT, Moment::After),
];

/// Why the run is to turn back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Cancel,
    Deadline,
}

fn is_point(sight: &Sight<'_>) -> bool {
    INTENT.contains(&sight.kind()) || RESULT.contains(&sight.kind())
}

#[tokio::test(start_paused = true)]
async fn a_run_can_be_turned_back_at_every_step_up_to_its_pivot_and_at_none_after_it() {
    let mut matrix = Matrix::default();
    for scenario in Scenario::FORWARD {
        let recording = Recording::make(scenario, is_point).await;
        for step in recording.definition.steps {
            for point in 0..POINTS.len() {
                for turn in [Turn::Cancel, Turn::Deadline] {
                    let cell = Cell { recording: &recording, step, point, turn };
                    let place = place_of(recording.definition, step.path);
                    matrix.cell(place, || cell.name(), cell.check()).await;
                }
            }
        }
    }
    let steps: usize = definitions().iter().map(|definition| definition.steps.len()).sum();
    assert_eq!(matrix.finish("cancels and deadlines"), steps * POINTS.len() * 2);
}

/// Whether a step was under way that has less time than its run.
fn step_ended(step: &Step, turn: Turn, point: usize) -> bool {
    step.max_elapsed.is_some() && turn == Turn::Deadline && point == 1
}

struct Cell<'a> {
    recording: &'a Recording,
    step: &'static Step,
    point: usize,
    turn: Turn,
}

impl Cell<'_> {
    fn name(&self) -> String {
        let Self { recording, step, point, turn } = self;
        format!("{:?}, {}: {turn:?} at point {point}", recording.scenario, step.path)
    }

    async fn check(&self) {
        let (cell, path, id) = (self.name(), self.step.path, self.recording.id);
        let definition = self.recording.definition;
        let (kinds, moment) = POINTS[self.point];
        let cut = self.recording.find(kinds, path, moment);
        let stage = cut.expect("the run comes to every step").snapshot.resume();
        // The pivot is passed once its intent is recorded.
        let pivot = place(definition, definition.pivot().unwrap().path);
        let index = place(definition, path);
        let is_past_pivot = index > pivot || (index == pivot && self.point > 0);
        match self.turn {
            Turn::Cancel => {
                let cancelled = stage
                    .app()
                    .cancel_run(&somebody(), id, "changed my mind".to_owned(), false)
                    .await;
                assert_eq!(cancelled.is_err(), is_past_pivot, "{cell}");
            }
            Turn::Deadline => {
                let deadline = stage.run(id).await.deadline.expect("every process has an end");
                stage.sleep_until(deadline + Duration::from_secs(1)).await;
            }
        }
        let run = stage.drive(id).await;
        let outcome = look(&stage, id, &run).await;
        if is_past_pivot {
            let outcome = match run.phase {
                // The time for all attempts of the step was up as well: a person has it go on.
                Phase::Stuck { .. } if step_ended(self.step, self.turn, self.point) => {
                    let (verb, why) =
                        (Verb::RetryStep { step: path.to_owned() }, "go on".to_owned());
                    stage.app().operate_run(&somebody(), id, verb, why, false).await.unwrap();
                    let run = stage.drive(id).await;
                    look(&stage, id, &run).await
                }
                _ => outcome,
            };
            assert_eq!(outcome, self.recording.outcome, "{cell}");
            return;
        }
        let Phase::Unwound(cause) = &run.phase else { panic!("{cell}: {run:#?}") };
        let expected = match self.turn {
            Turn::Cancel => Cause::Cancelled { reason: "changed my mind".to_owned() },
            Turn::Deadline => Cause::Deadline,
        };
        assert_eq!(*cause, expected, "{cell}");
        // The first step is begun in any case, so that its undo can settle what was asked for.
        let has_begun = self.point > 0 || index == 0;
        let last = if has_begun { path } else { definition.steps[index - 1].path };
        let has_effect = self.point > 1 || !has_begun;
        assert_undone_in_order(&stage, id, definition, last, &cell).await;
        let left = appserver_left(definition, cause, last, has_effect);
        assert_nothing_left(self.recording, &outcome, left, &cell);
    }
}
