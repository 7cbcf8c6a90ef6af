//! A run that stands still uses up none of its time.

use crate::saga_parallel::{intended, plan, run_of, started};
use crate::sample::{at, incident};
use ocim_domain::saga::{Cause, Directive, Event, Facts, Run, explain, next};

fn held_up(second: i64) -> Event {
    Event::HeldUp { incident: incident(), why: "region north is paused".to_owned(), at: at(second) }
}

/// The seconds since the beginning of the samples' time.
fn since_start(time: Option<ocim_domain::Timestamp>) -> i64 {
    (time.unwrap() - at(0)).num_seconds()
}

fn first(run: &Run, second: i64) -> Directive {
    next(&plan(), run, at(second)).remove(0)
}

#[test]
fn its_deadline_does_not_pass_meanwhile_and_moves_on_with_it() {
    let history = [started(), intended("first"), held_up(900)];
    let run = run_of(&history);
    assert!(matches!(first(&run, 50_000), Directive::Resume { .. }), "its time stands still");
    let run = run_of(&[&history[..], &[Event::LetGo { at: at(50_000) }]].concat());
    assert_eq!(since_start(run.deadline), 1_000 + 50_000 - 900);
    assert!(matches!(first(&run, 50_099), Directive::Resume { .. }));
    assert_eq!(first(&run, 50_100), Directive::Unwind(Cause::Deadline));
    // So do the time of its attempt, and all that its limits count from.
    let Directive::Resume { deadline, .. } = first(&run, 50_001) else { panic!() };
    assert_eq!(since_start(Some(deadline)), 500 + 50_000 - 900);
    assert_eq!(since_start(run.effort("first").since), 50_000 - 900);
}

#[test]
fn a_clock_that_was_set_back_meanwhile_takes_no_time_away() {
    let run = run_of(&[started(), held_up(900), Event::LetGo { at: at(100) }]);
    assert_eq!(since_start(run.deadline), 1_000);
    assert!(run.held.is_none());
}

#[test]
fn nobody_who_dies_meanwhile_died_of_what_it_was_at() {
    let lease = |epoch| Event::LeaseTaken { node: uuid::Uuid::nil(), epoch, orderly: false };
    let mut history = vec![started(), intended("first"), held_up(10)];
    history.extend((1..=20).map(lease));
    assert_eq!(run_of(&history).effort("first").deaths, 0);
}

#[test]
fn its_explanation_names_the_incident_and_since_when() {
    let run = run_of(&[started(), intended("first"), held_up(10)]);
    let told = explain(&plan(), &run, at(70), &Facts::default());
    for words in ["the end of a pause", "region north is paused", &incident().to_string()] {
        assert!(told.sentence.contains(words), "{}", told.sentence);
    }
    assert_eq!((since_start(told.since), told.until), (10, None));
    let facts = Facts { incidents: vec!["DNS keeps failing".to_owned()], ..Facts::default() };
    let told = explain(&plan(), &run_of(&[started(), intended("first")]), at(70), &facts);
    assert!(told.sentence.contains("known trouble: DNS keeps failing"), "{}", told.sentence);
}

#[test]
fn no_pause_is_longer_by_a_clock_that_was_set_back() {
    let mut run = run_of(&[started(), intended("first")]);
    let Directive::Resume { deadline, .. } = first(&run, 0) else { panic!() };
    let length = deadline - run.effort("first").began_at.unwrap();
    run.bound_times(at(-5_000));
    let Directive::Resume { deadline, .. } = first(&run, -5_000) else { panic!() };
    assert_eq!(deadline, at(-5_000) + length);
    assert_eq!(since_start(run.effort("first").since), -5_000, "nothing began after now");
    // By one that goes as it should, nothing changes.
    let run = run_of(&[started(), intended("first")]);
    let mut later = run.clone();
    later.bound_times(at(10));
    assert_eq!(later, run);
}
