//! Each step of each process fails once, always, or with its reply lost, in whatever an error can mean.

use super::ends::{
    appserver_left, assert_nothing_left, assert_undone_in_order, is_before_pivot, with_undo,
};
use super::former::definitions;
use super::matrix::{Matrix, place_of};
use super::recording::{Recording, beginnings};
use super::scenarios::{Outcome, Scenario, look};
use super::stage::{Stage, somebody};
use super::tamper::{self, Harm, ORDERED, Order, RATE_PAUSE, Side};
use ocim::processes::step::{Kind, Step};
use ocim::processes::world::Limits;
use ocim_domain::saga::{Cause, ErrorClass, Phase, Run, StuckCode, Verb};
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) const CLASSES: [ErrorClass; 6] = [
    ErrorClass::Transient,
    ErrorClass::RateLimited,
    ErrorClass::Conflict,
    ErrorClass::Permanent,
    ErrorClass::Ambiguous,
    ErrorClass::Timeout,
];

/// How often, and on which side of the effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Once,
    Always,
    /// Once, but what was to be done is done.
    Lost,
}

pub(super) const MODES: [Mode; 3] = [Mode::Once, Mode::Always, Mode::Lost];

/// What must become of the run.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    /// It goes on as if nothing had been.
    GoesOn,
    /// The step is tried for as long as it takes.
    Persists,
    /// The step has failed for good after so many attempts.
    GivesUp(RangeInclusive<usize>),
}

#[tokio::test(start_paused = true)]
async fn a_step_of_a_launch_that_fails_is_named_and_undone_as_its_row_says() {
    check_all("errors in launches", |scenario| scenario.definition().name == "launch_appserver")
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_step_of_any_other_process_that_fails_is_named_and_undone_as_its_row_says() {
    check_all("errors in other processes", |scenario| {
        scenario.definition().name != "launch_appserver"
    })
    .await;
}

async fn check_all(name: &str, wanted: fn(&Scenario) -> bool) {
    let known: Vec<_> =
        Scenario::FORWARD.map(|it| (it.definition().name, it.definition().version)).to_vec();
    assert!(definitions().iter().all(|it| known.contains(&(it.name, it.version))), "{known:?}");
    let (mut matrix, mut steps) = (Matrix::default(), 0);
    for scenario in Scenario::FORWARD.iter().filter(|scenario| wanted(scenario)) {
        let recording = Recording::make(*scenario, beginnings).await;
        for step in recording.definition.steps {
            for mode in MODES {
                for class in CLASSES {
                    let cell = Cell { recording: &recording, step, mode, class };
                    let place = place_of(recording.definition, step.path);
                    matrix.cell(place, || cell.name(), cell.check()).await;
                }
            }
            steps += 1;
        }
    }
    assert_eq!(matrix.finish(name), steps * MODES.len() * CLASSES.len());
}

struct Cell<'a> {
    recording: &'a Recording,
    step: &'static Step,
    mode: Mode,
    class: ErrorClass,
}

impl Cell<'_> {
    fn name(&self) -> String {
        let Self { recording, step, mode, class } = self;
        format!("{:?}, {}: {mode:?} {class:?}", recording.scenario, step.path)
    }

    fn fate(&self) -> Fate {
        let is_tried_on = matches!(self.step.kind, Kind::Retryable(_));
        let attempts = self.step.attempts_max as usize;
        match self.mode {
            _ if self.class == ErrorClass::Permanent => Fate::GivesUp(1..=1),
            Mode::Once | Mode::Lost if is_tried_on || attempts > 1 => Fate::GoesOn,
            Mode::Once | Mode::Lost => Fate::GivesUp(1..=1),
            // Its time is up first.
            Mode::Always if self.longest().is_some() => Fate::GivesUp(self.least()..=attempts),
            Mode::Always if is_tried_on => Fate::Persists,
            Mode::Always => Fate::GivesUp(attempts..=attempts),
        }
    }

    /// The longest that all its attempts together may take.
    fn longest(&self) -> Option<Duration> {
        self.step.max_elapsed.map(|longest| longest(&Limits::default()))
    }

    /// As many attempts are made at least in the time that there is for all of them.
    fn least(&self) -> usize {
        let (longest, one) = (self.longest().unwrap(), (self.step.timeout)(&Limits::default()));
        let at_their_longest = usize::try_from(longest.as_secs() / one.as_secs()).unwrap();
        if self.class == ErrorClass::Timeout { at_their_longest.min(20) } else { 20 }
    }

    /// Whether the run's own time is up before the step has failed as often as it may.
    fn outlasts_run(&self) -> bool {
        let limits = Limits::default();
        let all = (self.step.timeout)(&limits) * self.step.attempts_max;
        let longest = self.recording.definition.deadline.map(|longest| longest(&limits));
        (self.mode, self.class) == (Mode::Always, ErrorClass::Timeout)
            && longest.is_some_and(|longest| longest < all)
    }

    async fn check(&self) {
        let (cell, id, path) = (self.name(), self.recording.id, self.step.path);
        let stage = self.recording.before_step(path).resume_with(tamper::registry());
        let harm = match self.mode {
            Mode::Once | Mode::Always => Harm::Fail(self.class),
            Mode::Lost => Harm::Lose(self.class),
        };
        let always = self.mode == Mode::Always;
        // Fewer attempts in the time that there is.
        let pause = self.longest().map(|longest| longest / 24);
        let order = Order { step: path, side: Side::Run, harm, always, pause };
        tamper::order(self.recording.definition, order);
        let fate = self.fate();
        let enough = self.step.attempts_max + 2;
        let run = stage
            .drive_until(id, |run| fate == Fate::Persists && run.effort(path).attempt > enough)
            .await;
        assert!(tamper::count_strikes() > 0, "{cell}: nothing happened");
        self.assert_recorded(&stage, &cell).await;
        match fate {
            Fate::GoesOn => {
                assert_eq!(run.effort(path).attempt, 2, "{cell}");
                self.assert_undisturbed(&stage, &run, &cell).await;
            }
            Fate::Persists => {
                assert_eq!(run.phase, Phase::Forward, "{cell}");
                tamper::mend();
                let run = stage.drive(id).await;
                self.assert_undisturbed(&stage, &run, &cell).await;
            }
            Fate::GivesUp(attempts) => {
                let made = run.effort(path).attempt as usize;
                assert!(attempts.contains(&made) || self.outlasts_run(), "{cell}: {made}");
                if is_before_pivot(self.recording.definition, path) {
                    self.assert_unwound(&stage, &run, &cell).await;
                } else {
                    self.assert_stuck_and_mended(&stage, &run, &cell).await;
                }
            }
        }
    }

    /// The log tells the class; nobody is asked again before the time that it asked for.
    async fn assert_recorded(&self, stage: &Stage, cell: &str) {
        let events = stage.events(&["saga.step_failed"]).await;
        let of_step = events.iter().filter(|event| {
            event.stream == self.recording.id.stream() && event.data["step"] == self.step.path
        });
        let classes: Vec<_> = of_step.map(|event| event.data["class"].clone()).collect();
        assert!(!classes.is_empty() || self.outlasts_run(), "{cell}");
        let class = serde_json::to_value(self.class).unwrap();
        assert!(classes.iter().all(|told| *told == class), "{cell}: {classes:?}");
        if self.class == ErrorClass::RateLimited {
            let calls: Vec<_> = tamper::calls()
                .into_iter()
                .filter(|it| it.step == self.step.path && it.side == Side::Run)
                .collect();
            for pair in calls.windows(2).filter(|pair| pair[0].struck) {
                let waited = (pair[1].at - pair[0].at).to_std().unwrap();
                assert!(waited >= RATE_PAUSE, "{cell}: asked again after {waited:?}");
            }
        }
    }

    async fn assert_undisturbed(&self, stage: &Stage, run: &Run, cell: &str) {
        let outcome = look(stage, self.recording.id, run).await;
        assert_eq!(outcome, self.expected(), "{cell}");
        let own = self.recording.definition.steps.iter().map(|step| step.path);
        for later in own.skip_while(|path| *path != self.step.path).skip(1) {
            assert_eq!(tamper::count_ends(later, Side::Run), 1, "{cell}: {later}");
        }
    }

    /// The one exception: a reboot that is said not to have happened is asked for again. What a person
    /// has tried again is looked at first.
    fn expected(&self) -> Outcome {
        let mut expected = self.recording.outcome.clone();
        let is_denied = self.mode == Mode::Lost
            && !matches!(
                self.class,
                ErrorClass::Ambiguous | ErrorClass::Timeout | ErrorClass::Permanent
            );
        if self.step.path == "reboot_server" && is_denied {
            let console = &mut expected.machines[0];
            // A launch has rebooted once before, and a restart comes after a launch.
            *console = match self.recording.scenario {
                Scenario::Restart => console.replace("booted 3 times", "booted 4 times"),
                _ => console.replace("booted 2 times", "booted 3 times"),
            };
        }
        expected
    }

    async fn assert_unwound(&self, stage: &Stage, run: &Run, cell: &str) {
        let Phase::Unwound(cause) = &run.phase else { panic!("{cell}: {run:#?}") };
        match cause {
            Cause::Deadline if self.outlasts_run() => {}
            Cause::StepFailed { step, error } => {
                let told =
                    if self.class == ErrorClass::Timeout { "its time was up" } else { ORDERED };
                assert_eq!((step.as_str(), error.as_str()), (self.step.path, told), "{cell}");
            }
            _ => panic!("{cell}: {cause:?}"),
        }
        let (id, definition) = (self.recording.id, self.recording.definition);
        assert_undone_in_order(stage, id, definition, self.step.path, cell).await;
        let history = stage.history(id).await;
        for step in with_undo(definition) {
            let is_undone = history.contains(&("saga.undo_done".to_owned(), step.to_owned()));
            let ends = tamper::count_ends(step, Side::Undo);
            assert_eq!(ends, usize::from(is_undone), "{cell}: the undo of {step}");
        }
        let outcome = look(stage, id, run).await;
        let has_effect = self.mode == Mode::Lost;
        let left = appserver_left(definition, cause, self.step.path, has_effect);
        assert_nothing_left(self.recording, &outcome, left, cell);
    }

    /// Past the point of no return a person is called, mends the cause and has it tried again.
    async fn assert_stuck_and_mended(&self, stage: &Stage, run: &Run, cell: &str) {
        let Phase::Stuck { step, code, cause, .. } = &run.phase else { panic!("{cell}: {run:#?}") };
        assert_eq!((step.as_str(), *code), (self.step.path, StuckCode::StepFailed), "{cell}");
        assert_eq!(*cause, None, "{cell}");
        tamper::mend();
        let verb = Verb::RetryStep { step: self.step.path.to_owned() };
        let (id, why) = (self.recording.id, "it is mended".to_owned());
        stage.app().operate_run(&somebody(), id, verb, why, false).await.unwrap();
        let run = stage.drive(id).await;
        self.assert_undisturbed(stage, &run, cell).await;
    }
}
