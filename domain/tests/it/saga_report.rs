//! Which reports of a runner fit a run: by its phase, and by where the step stands.

use crate::saga_parallel::{done, failed, intended, run_of, started, undo_done, undo_intended};
use crate::sample::{at, incident};
use ocim_domain::decider::Decider;
use ocim_domain::event::DomainEvent;
use ocim_domain::saga::{Cause, Command, ErrorClass, Event, Rejected, Run, Saga, StuckCode};
use std::collections::BTreeSet;

const STEP: &str = "first";

fn text(text: &str) -> String {
    text.to_owned()
}

fn skipped() -> Event {
    Event::StepSkipped { step: text(STEP), reason: text("no need") }
}

fn undo_skipped() -> Event {
    Event::UndoSkipped { step: text(STEP), reason: text("it stays") }
}

fn undo_failed() -> Event {
    let (class, retry_at) = (ErrorClass::Transient, Some(at(60)));
    let (step, error) = (text(STEP), text("no"));
    Event::UndoFailed { step, attempt: 1, class, code: None, error, retry_at, at: None }
}

fn turned_back() -> Event {
    Event::UnwindBegan(Cause::Cancelled { reason: text("a mistake") })
}

fn stuck() -> Event {
    Event::Stuck { step: text(STEP), why: text("no"), code: Some(StuckCode::UndoFailed) }
}

/// One report of each kind that a runner makes.
fn reports() -> Vec<Event> {
    vec![
        intended(STEP),
        done(STEP),
        skipped(),
        failed(STEP),
        Event::TimerSet { step: text(STEP), due: at(60), at: None },
        Event::TimerFired { step: text(STEP) },
        Event::StepResumed { step: text(STEP) },
        Event::StepOutlived { step: text(STEP) },
        Event::HeldUp { incident: incident(), why: text("paused"), at: at(1) },
        Event::LetGo { at: at(2) },
        turned_back(),
        stuck(),
        Event::Completed {},
        undo_intended(STEP),
        undo_done(STEP),
        undo_skipped(),
        undo_failed(),
        Event::Unwound {},
    ]
}

const OF_A_STEP: [&str; 6] = [
    "saga.step_intended",
    "saga.step_done",
    "saga.step_skipped",
    "saga.step_failed",
    "saga.timer_set",
    "saga.timer_fired",
];
const OF_A_CALL: [&str; 2] = ["saga.step_resumed", "saga.step_outlived"];
const OF_A_RUN: [&str; 4] = ["saga.held_up", "saga.unwind_began", "saga.stuck", "saga.completed"];
const OF_AN_UNDO: [&str; 4] =
    ["saga.undo_intended", "saga.undo_done", "saga.undo_skipped", "saga.undo_failed"];
const OF_A_RUN_BACK: [&str; 3] = ["saga.held_up", "saga.stuck", "saga.unwound"];

fn report(run: &Run, event: Event) -> Result<Vec<Event>, Rejected> {
    Saga::decide(&Some(run.clone()), Command::Report(event), at(0))
}

/// What fits after this history, by kind; all else is refused as unfitting.
#[track_caller]
fn assert_fits(history: &[Event], expected: &[&[&str]]) {
    let run = run_of(history);
    let mut fits = BTreeSet::new();
    for event in reports() {
        let kind = event.encode().unwrap().0;
        match report(&run, event.clone()) {
            Ok(told) => {
                assert_eq!(told, [event]);
                fits.insert(kind);
            }
            Err(refused) => assert_eq!(refused, Rejected::Unfitting, "{kind}"),
        }
    }
    let expected: BTreeSet<_> =
        expected.iter().flat_map(|it| it.iter()).copied().map(text).collect();
    assert_eq!(fits, expected, "after {history:#?}");
}

#[test]
fn forward_a_step_is_reported_until_it_is_finished_and_a_call_while_it_is_under_way() {
    assert_fits(&[started()], &[&OF_A_STEP, &OF_A_RUN]);
    assert_fits(&[started(), intended(STEP)], &[&OF_A_STEP, &OF_A_CALL, &OF_A_RUN]);
    let timer = Event::TimerSet { step: text(STEP), due: at(60), at: None };
    assert_fits(&[started(), intended(STEP), timer], &[&OF_A_STEP, &OF_A_RUN]);
    assert_fits(&[started(), intended(STEP), failed(STEP)], &[&OF_A_STEP, &OF_A_RUN]);
    for finished in [done(STEP), skipped()] {
        assert_fits(&[started(), intended(STEP), finished], &[&OF_A_RUN]);
    }
}

#[test]
fn back_an_undo_is_reported_until_the_step_is_settled_and_a_call_while_it_is_under_way() {
    let back = |further: &[Event]| {
        let begin = [started(), intended(STEP), done(STEP), turned_back()];
        [&begin[..], further].concat()
    };
    assert_fits(&back(&[]), &[&OF_AN_UNDO, &OF_A_RUN_BACK]);
    let under_way = back(&[undo_intended(STEP)]);
    assert_fits(&under_way, &[&OF_AN_UNDO, &OF_A_CALL, &OF_A_RUN_BACK]);
    assert_fits(&back(&[undo_intended(STEP), undo_failed()]), &[&OF_AN_UNDO, &OF_A_RUN_BACK]);
    for settled in [undo_done(STEP), undo_skipped()] {
        assert_fits(&back(&[undo_intended(STEP), settled]), &[&OF_A_RUN_BACK]);
    }
}

#[test]
fn nothing_fits_one_that_is_stuck_and_one_that_is_over_says_so() {
    assert_fits(&[started(), intended(STEP), stuck()], &[]);
    let abandoned = Event::Abandoned { reason: text("enough"), left_behind: vec![] };
    for end in [vec![Event::Completed {}], vec![turned_back(), Event::Unwound {}], vec![abandoned]]
    {
        let run = run_of(&[vec![started()], end].concat());
        for event in reports() {
            assert_eq!(report(&run, event), Err(Rejected::Over));
        }
    }
}

#[test]
fn what_came_of_a_call_has_happened_and_all_else_is_a_choice() {
    let told: BTreeSet<_> = reports()
        .iter()
        .filter(|event| event.tells_an_outcome())
        .map(|event| event.encode().unwrap().0)
        .collect();
    let outcomes = ["step_done", "step_skipped", "step_failed", "timer_set"];
    let of_undos = ["undo_done", "undo_skipped", "undo_failed"];
    let expected = outcomes.iter().chain(&of_undos).map(|kind| format!("saga.{kind}"));
    assert_eq!(told, expected.collect());
}

#[test]
fn a_run_is_at_rest_once_it_is_over_or_stuck() {
    let rests = |events: &[Event]| run_of(events).phase.is_at_rest();
    assert!(!rests(&[started()]) && !rests(&[started(), turned_back()]));
    assert!(rests(&[started(), stuck()]) && rests(&[started(), Event::Completed {}]));
    assert!(rests(&[started(), turned_back(), Event::Unwound {}]));
}

#[test]
fn one_that_stands_still_goes_on_and_does_not_stand_still_twice() {
    let held = Event::HeldUp { incident: incident(), why: text("paused"), at: at(1) };
    let of_a_run = ["saga.let_go", "saga.unwind_began", "saga.stuck", "saga.completed"];
    assert_fits(&[started(), held.clone()], &[&OF_A_STEP, &of_a_run]);
    let of_a_run_back = ["saga.let_go", "saga.stuck", "saga.unwound"];
    assert_fits(&[started(), turned_back(), held], &[&OF_AN_UNDO, &of_a_run_back]);
}

#[test]
fn why_a_run_turned_back_is_told_in_a_sentence() {
    let (step, error) = (text(STEP), text("no answer"));
    assert_eq!(Cause::StepFailed { step, error }.describe(), "first: no answer");
    assert_eq!(Cause::Cancelled { reason: text("enough") }.describe(), "cancelled: enough");
    assert_eq!(Cause::Deadline.describe(), "its time was up");
}
