//! Each undo of each process fails once, always, or with its reply lost, in whatever an error can mean.

use super::crash_store::Moment;
use super::ends::with_undo;
use super::errors::{CLASSES, MODES, Mode};
use super::former::definitions;
use super::matrix::{Matrix, place_of};
use super::recording::{Recording, undo_beginnings};
use super::scenarios::{Scenario, look};
use super::stage::{Stage, somebody};
use super::tamper::{self, Call, Harm, ORDERED, Order, RATE_PAUSE, Side};
use ocim::processes::world::Limits;
use ocim_domain::saga::{ErrorClass, Phase, Run, StuckCode, Verb};
use ocim_engine::sagas::runner::UNDO_CALL_MAX;
use std::time::Duration;

/// How long an undo is tried.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Fewer attempts in that time.
const PAUSE: Duration = Duration::from_secs(5 * 3600);

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_is_tried_for_a_day_whatever_the_error_means() {
    let mut matrix = Matrix::default();
    for scenario in Scenario::BACK {
        let recording = Recording::make(scenario, undo_beginnings).await;
        for step in with_undo(recording.definition) {
            for mode in MODES {
                for class in CLASSES {
                    let cell = Cell { recording: &recording, step, mode, class };
                    let place = place_of(recording.definition, step);
                    matrix.cell(place, || cell.name(), cell.check()).await;
                }
            }
        }
    }
    let undos = definitions().into_iter().map(|definition| with_undo(definition).count());
    let cells = undos.sum::<usize>() * MODES.len() * CLASSES.len();
    assert_eq!(matrix.finish("errors in undos"), cells);
}

struct Cell<'a> {
    recording: &'a Recording,
    step: &'static str,
    mode: Mode,
    class: ErrorClass,
}

impl Cell<'_> {
    fn name(&self) -> String {
        let Self { recording, step, mode, class } = self;
        format!("{:?}, the undo of {step}: {mode:?} {class:?}", recording.scenario)
    }

    fn told(&self) -> &'static str {
        if self.class == ErrorClass::Timeout { "its time was up" } else { ORDERED }
    }

    /// How long each call may take.
    fn longest_call(&self) -> Duration {
        let row = self.recording.definition.step(self.step).unwrap();
        (row.timeout)(&Limits::default()).min(UNDO_CALL_MAX)
    }

    /// Whether it fails until a person is called.
    fn gets_stuck(&self) -> bool {
        self.mode == Mode::Always
    }

    async fn check(&self) {
        let (cell, id, step) = (self.name(), self.recording.id, self.step);
        let cut = self.recording.find(&["saga.undo_intended"], step, Moment::Before);
        let snapshot = &cut.expect("the run comes there").snapshot;
        let stage = snapshot.resume_with(tamper::registry());
        let harm = match self.mode {
            Mode::Once | Mode::Always => Harm::Fail(self.class),
            Mode::Lost => Harm::Lose(self.class),
        };
        let always = self.mode == Mode::Always;
        let pause = always.then_some(PAUSE);
        tamper::order(
            self.recording.definition,
            Order { step, side: Side::Undo, harm, always, pause },
        );
        let mut run = stage.drive(id).await;
        if self.gets_stuck() {
            self.assert_stuck_after_a_day(&run, &cell);
            tamper::mend();
            let verb = Verb::RetryStep { step: step.to_owned() };
            let why = "it is mended".to_owned();
            stage.app().operate_run(&somebody(), id, verb, why, false).await.unwrap();
            run = stage.drive(id).await;
        } else {
            assert_eq!(run.effort(step).undo_attempt, 2, "{cell}");
        }
        self.assert_recorded(&stage, &cell).await;
        self.assert_undone(&stage, &run, &cell).await;
    }

    /// The calls of the undo that failed.
    fn struck(&self) -> Vec<Call> {
        let is_own = |call: &Call| call.step == self.step && call.side == Side::Undo;
        tamper::calls().into_iter().filter(|call| is_own(call) && call.struck).collect()
    }

    /// It is tried until the next attempt would come too late, whatever the class; then a person is
    /// called.
    fn assert_stuck_after_a_day(&self, run: &Run, cell: &str) {
        let Phase::Stuck { step, why, code, cause } = &run.phase else { panic!("{cell}: {run:?}") };
        assert_eq!((step.as_str(), why.as_str()), (self.step, self.told()), "{cell}");
        assert_eq!((*code, cause.is_some()), (StuckCode::UndoFailed, true), "{cell}");
        let struck = self.struck();
        let (first, last) = (struck[0].at, struck[struck.len() - 1].at);
        let took = (last - first).to_std().unwrap();
        let is_a_day = took < DAY && took + PAUSE + self.longest_call() >= DAY;
        assert!(is_a_day, "{cell}: it was tried for {took:?}");
    }

    /// The log tells each failure; nobody is asked again before the time that it asked for.
    async fn assert_recorded(&self, stage: &Stage, cell: &str) {
        let events = stage.events(&["saga.undo_failed"]).await;
        let of_step = events.iter().filter(|event| {
            event.stream == self.recording.id.stream() && event.data["step"] == self.step
        });
        let errors: Vec<_> = of_step.map(|event| event.data["error"].clone()).collect();
        let struck = self.struck();
        assert_eq!(errors.len(), struck.len(), "{cell}");
        assert!(errors.iter().all(|error| *error == self.told()), "{cell}: {errors:?}");
        let asked = match (self.mode, self.class) {
            (_, ErrorClass::Timeout) => return,
            (Mode::Always, _) => PAUSE,
            (_, ErrorClass::RateLimited) => RATE_PAUSE,
            _ => return,
        };
        let calls: Vec<_> = tamper::calls()
            .into_iter()
            .filter(|call| call.step == self.step && call.side == Side::Undo)
            .collect();
        // A person's order is not put off.
        let waits = struck.len() - usize::from(self.gets_stuck());
        for pair in calls.windows(2).filter(|pair| pair[0].struck).take(waits) {
            let waited = (pair[1].at - pair[0].at).to_std().unwrap();
            assert!(waited >= asked, "{cell}: asked again after {waited:?}");
        }
    }

    /// All is undone, the rest once, and nothing else is left than without the failure.
    async fn assert_undone(&self, stage: &Stage, run: &Run, cell: &str) {
        let outcome = look(stage, self.recording.id, run).await;
        assert_eq!(outcome, self.recording.outcome, "{cell}");
        let ends = if self.mode == Mode::Lost { 2 } else { 1 };
        assert_eq!(tamper::count_ends(self.step, Side::Undo), ends, "{cell}");
        let earlier = with_undo(self.recording.definition).take_while(|step| *step != self.step);
        for step in earlier.filter(|step| run.steps.contains_key(*step)) {
            assert_eq!(tamper::count_ends(step, Side::Undo), 1, "{cell}: the undo of {step}");
        }
    }
}
