//! Steps beside each other, timers, limits over all attempts, and nodes that die.

use crate::sample::at;
use ocim_domain::decider::Decider;
use ocim_domain::saga::{
    Action, Cause, Command, DEATHS_MAX, Direction, Directive, ErrorClass, ErrorCode, Event, Kind,
    Plan, Rejected, Run, Saga, StepPlan, StuckCode, UNDO_TIME, may_retry_undo, next,
};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

pub(crate) fn step(path: &str, kind: Kind) -> StepPlan {
    StepPlan { path: path.to_owned(), attempts_max: 2, max_elapsed: None, kind, watches: false }
}

pub(crate) fn undone() -> Kind {
    Kind::Compensable { keep_after: None }
}

/// A step, two branches of which one has two steps, the pivot, and one after it.
pub(crate) fn plan() -> Plan {
    let plan = Plan::new(vec![
        step("first", undone()),
        step("make/net/port", undone()),
        step("make/net/address", undone()),
        step("make/disk", undone()),
        step("publish", Kind::Pivot("it is public".to_owned())),
        step("tell", Kind::Retryable("it was told".to_owned())),
    ]);
    assert_eq!(plan.check(), []);
    plan
}

pub(crate) fn started() -> Event {
    Event::Started {
        definition: "launch".to_owned(),
        version: 1,
        input: json!({}),
        subject: "apps_x".to_owned(),
        deadline: Some(at(1000)),
    }
}

pub(crate) fn intended(step: &str) -> Event {
    let (step, key) = (step.to_owned(), Uuid::from_u128(5));
    Event::StepIntended { step, attempt: 1, key, deadline: at(500), at: Some(at(0)) }
}

pub(crate) fn done(step: &str) -> Event {
    Event::StepDone { step: step.to_owned(), output: json!(step) }
}

pub(crate) fn failed(step: &str) -> Event {
    let (step, error) = (step.to_owned(), "no".to_owned());
    let (class, code) = (ErrorClass::Permanent, Some(ErrorCode::MachineFailed));
    Event::StepFailed { step, attempt: 1, class, code, error, retry_at: None, at: None }
}

pub(crate) fn undo_intended(step: &str) -> Event {
    Event::UndoIntended { step: step.to_owned(), attempt: 1, deadline: at(500), at: Some(at(0)) }
}

pub(crate) fn undo_done(step: &str) -> Event {
    Event::UndoDone { step: step.to_owned(), note: None }
}

pub(crate) fn run_of(events: &[Event]) -> Run {
    Saga::fold(events).unwrap()
}

fn run(step: &str) -> Directive {
    Directive::Run { step: step.to_owned(), attempt: 1, doubt: false }
}

fn undo(step: &str) -> Directive {
    Directive::Undo { step: step.to_owned(), attempt: 1 }
}

#[track_caller]
fn check(events: &[Event], now: i64, expected: &[Directive]) {
    assert_eq!(next(&plan(), &run_of(events), at(now)), expected);
}

fn first_done() -> Vec<Event> {
    vec![started(), intended("first"), done("first")]
}

#[test]
fn branches_begin_together_and_the_next_block_waits_for_all_of_them() {
    let mut events = first_done();
    check(&events, 0, &[run("make/net/port"), run("make/disk")]);
    events.extend([intended("make/net/port"), intended("make/disk"), done("make/net/port")]);
    let disk = Directive::Resume { step: "make/disk".to_owned(), attempt: 1, deadline: at(500) };
    check(&events, 0, &[run("make/net/address"), disk.clone()]);
    events.extend([intended("make/net/address"), done("make/net/address")]);
    check(&events, 0, &[disk]);
    events.push(done("make/disk"));
    check(&events, 0, &[run("publish")]);
}

#[test]
fn a_failed_branch_turns_the_run_back_and_branches_are_undone_together_each_in_reverse() {
    let mut events = first_done();
    for path in ["make/net/port", "make/net/address"] {
        events.extend([intended(path), done(path)]);
    }
    events.extend([intended("make/disk"), failed("make/disk")]);
    let cause = Cause::StepFailed { step: "make/disk".to_owned(), error: "no".to_owned() };
    check(&events, 0, &[Directive::Unwind(cause.clone())]);
    events.push(Event::UnwindBegan(cause));
    check(&events, 0, &[undo("make/net/address"), undo("make/disk")]);
    events.extend([undo_intended("make/disk"), undo_done("make/disk")]);
    check(&events, 0, &[undo("make/net/address")]);
    events.extend([undo_intended("make/net/address"), undo_done("make/net/address")]);
    check(&events, 0, &[undo("make/net/port")]);
    events.extend([undo_intended("make/net/port"), undo_done("make/net/port")]);
    check(&events, 0, &[undo("first")]);
}

#[test]
fn what_can_be_undone_beside_a_failed_undo_is_undone_first() {
    let mut events = first_done();
    for path in ["make/net/port", "make/disk"] {
        events.extend([intended(path), done(path)]);
    }
    events.push(Event::UnwindBegan(Cause::Deadline));
    let (step, error) = ("make/disk".to_owned(), "no".to_owned());
    let gave_up = Event::UndoFailed {
        step: step.clone(),
        attempt: 9,
        class: ErrorClass::Timeout,
        code: Some(ErrorCode::TimedOut),
        error: error.clone(),
        retry_at: None,
        at: None,
    };
    events.extend([undo_intended("make/disk"), gave_up]);
    check(&events, 0, &[undo("make/net/port")]);
    events.push(undo_done("make/net/port"));
    let code = StuckCode::UndoFailed;
    check(&events, 0, &[Directive::DeclareStuck { step, code, why: error }]);
}

#[test]
fn a_cancel_wins_over_the_last_result_where_there_is_a_way_back() {
    let plan = Plan::new(vec![step("only", undone())]);
    let next_after = |events: &[Event]| next(&plan, &run_of(events), at(1000));
    let cancel = Event::CancelRequested { reason: "enough".to_owned() };
    let cause = Cause::Cancelled { reason: "enough".to_owned() };
    let cancelled = next_after(&[started(), intended("only"), cancel, done("only")]);
    assert_eq!(cancelled, [Directive::Unwind(cause)]);
    // Whatever is done by then is done, however late.
    assert_eq!(next_after(&[started(), intended("only"), done("only")]), [Directive::Complete]);
}

#[test]
fn a_timer_is_waited_for_fired_and_then_the_same_attempt_goes_on() {
    let (step, due) = ("first".to_owned(), at(90));
    let mut events = vec![started(), intended("first"), Event::TimerSet { step, due, at: None }];
    let step = || "first".to_owned();
    check(&events, 89, &[Directive::Wait { step: step(), until: at(90) }]);
    check(&events, 90, &[Directive::FireTimer { step: step() }]);
    events.push(Event::TimerFired { step: step() });
    // It may have been put off while it was in doubt.
    check(&events, 90, &[Directive::Run { step: step(), attempt: 1, doubt: true }]);
    events.truncate(2);
    events.push(Event::TimerSet { step: step(), due: at(5000), at: None });
    check(&events, 89, &[Directive::Wait { step: step(), until: at(1000) }]);
    check(&events, 1000, &[Directive::Unwind(Cause::Deadline)]);
}

#[test]
fn attempts_and_time_of_a_step_run_out_but_a_retryable_step_has_no_end_of_attempts() {
    let at_attempt = |attempt| {
        let (step, key) = ("tell".to_owned(), Uuid::nil());
        let deadline = at(5);
        let intended = Event::StepIntended { step, attempt, key, deadline, at: Some(at(0)) };
        run_of(&[started(), intended]).effort("tell")
    };
    let class = ErrorClass::Transient;
    let compensable = step("tell", undone());
    assert!(compensable.may_retry(&at_attempt(1), class, at(1)));
    assert!(!compensable.may_retry(&at_attempt(2), class, at(1)));
    assert!(!compensable.may_retry(&at_attempt(1), ErrorClass::Permanent, at(1)));
    let retryable = step("tell", Kind::Retryable("so".to_owned()));
    assert!(retryable.may_retry(&at_attempt(1000), class, at(1)));
    let timed = StepPlan { max_elapsed: Some(Duration::from_secs(60)), ..retryable };
    assert!(timed.may_retry(&at_attempt(1), class, at(59)));
    assert!(!timed.may_retry(&at_attempt(1), class, at(60)));
}

#[test]
fn an_undo_is_tried_for_a_day() {
    let mut events = first_done();
    events.extend([Event::UnwindBegan(Cause::Deadline), undo_intended("first")]);
    let run = run_of(&events);
    assert!(may_retry_undo(&run, "first", at(0) + UNDO_TIME - Duration::from_secs(1)));
    assert!(!may_retry_undo(&run, "first", at(0) + UNDO_TIME));
}

fn taken(epoch: u64, orderly: bool) -> Event {
    Event::LeaseTaken { node: Uuid::from_u128(1), epoch, orderly }
}

fn resumed(step: &str) -> Event {
    Event::StepResumed { step: step.to_owned() }
}

#[test]
fn nodes_that_die_one_after_another_at_a_step_leave_the_run_stuck_unless_it_ends() {
    let mut events = vec![started(), intended("first")];
    for epoch in 1..=u64::from(DEATHS_MAX) {
        events.extend([taken(epoch, false), resumed("first")]);
    }
    assert_eq!(next(&plan(), &run_of(&events), at(0)).len(), 1);
    let mut looping = events.clone();
    looping.push(taken(9, false));
    let directives = next(&plan(), &run_of(&looping), at(0));
    let [Directive::DeclareStuck { step, code, .. }] = &directives[..] else {
        panic!("{directives:?}")
    };
    assert_eq!((step.as_str(), *code), ("first", StuckCode::CrashLoop));
    events.extend([done("first"), taken(9, false)]);
    check(&events, 0, &[run("make/net/port"), run("make/disk")]);
}

#[test]
fn nodes_that_die_one_after_another_at_an_undo_leave_the_run_stuck() {
    let turned = Event::UnwindBegan(Cause::Deadline);
    let mut events = vec![started(), intended("first"), done("first"), turned];
    events.push(undo_intended("first"));
    for epoch in 1..=u64::from(DEATHS_MAX) {
        events.extend([taken(epoch, false), resumed("first")]);
    }
    let stays = |events: &[Event]| next(&plan(), &run_of(events), at(0));
    assert!(!matches!(stays(&events)[..], [Directive::DeclareStuck { .. }]));
    events.push(taken(9, false));
    let directives = stays(&events);
    let [Directive::DeclareStuck { step, code, .. }] = &directives[..] else {
        panic!("{directives:?}")
    };
    assert_eq!((step.as_str(), *code), ("first", StuckCode::CrashLoop));
}

#[test]
fn nodes_that_die_before_they_come_to_a_step_or_give_it_back_did_not_die_of_it() {
    let mut events = vec![started(), intended("first")];
    for epoch in 1..100 {
        events.push(taken(epoch, false));
    }
    assert_eq!(run_of(&events).effort("first").deaths, 1, "only the first one was at it");
    let mut events = vec![started(), intended("first")];
    for epoch in 1..100 {
        events.extend([taken(epoch, true), resumed("first")]);
    }
    assert_eq!(run_of(&events).effort("first").deaths, 0);
    // Between two attempts nobody is at it, however often Ocim is killed.
    let error = Event::StepFailed {
        step: "first".to_owned(),
        attempt: 1,
        class: ErrorClass::Transient,
        code: None,
        error: "no answer".to_owned(),
        retry_at: Some(at(60)),
        at: None,
    };
    let mut events = vec![started(), intended("first"), error];
    for epoch in 1..100 {
        events.push(taken(epoch, false));
    }
    events.push(intended("first"));
    assert_eq!(run_of(&events).effort("first").deaths, 0);
}

#[test]
fn a_lease_is_taken_with_a_higher_epoch_alone() {
    let take = |node: u128, epoch| {
        let state = Saga::fold(&[
            started(),
            Event::LeaseTaken { node: Uuid::from_u128(1), epoch: 3, orderly: false },
        ]);
        let command = Command::TakeLease { node: Uuid::from_u128(node), epoch, orderly: true };
        Saga::decide(&state, command, at(0))
    };
    assert_eq!(take(1, 3), Ok(vec![]));
    assert_eq!(take(2, 3), Err(Rejected::LeaseLost));
    assert_eq!(take(1, 2), Err(Rejected::LeaseLost));
    assert_eq!(take(2, 4).unwrap().len(), 1);
}

#[test]
fn intents_without_a_time_count_from_their_deadline() {
    use ocim_domain::event::DomainEvent;
    let data = json!({ "step": "first", "attempt": 1, "key": Uuid::nil(), "deadline": at(500) });
    let old = Event::decode("saga.step_intended", 1, &data).unwrap();
    assert_eq!(run_of(&[started(), old]).effort("first").since, Some(at(500)));
    let stuck = json!({ "step": "first", "why": "no" });
    let old = Event::decode("saga.stuck", 1, &stuck).unwrap();
    assert_eq!(old, Event::Stuck { step: "first".to_owned(), why: "no".to_owned(), code: None });
}

#[test]
fn a_late_report_does_not_change_a_step_that_is_settled() {
    let mut events = first_done();
    let late =
        |events: &[Event], event| Saga::decide(&Saga::fold(events), Command::Report(event), at(0));
    let other = Event::StepDone { step: "first".to_owned(), output: Value::Null };
    assert_eq!(late(&events, other), Err(Rejected::Unfitting));
    events.extend([Event::UnwindBegan(Cause::Deadline), undo_done("first")]);
    assert_eq!(late(&events, undo_done("first")), Err(Rejected::Unfitting));
}

#[test]
fn whoever_takes_a_hand_in_a_run_and_its_way_back_begin_with_no_deaths() {
    let history = [started(), intended("first"), taken(1, false)];
    assert_eq!(run_of(&history).effort("first").deaths, 1);
    let acted = Event::OperatorActed {
        action: Action::ForceUnwind,
        direction: Direction::Unwinding,
        step: None,
        output: None,
        actor: "token:alice".to_owned(),
        reason: "it hangs".to_owned(),
    };
    for turn in [acted, Event::UnwindBegan(Cause::Deadline)] {
        let run = run_of(&[&history[..], &[turn]].concat());
        assert_eq!(run.effort("first").deaths, 0);
    }
}
