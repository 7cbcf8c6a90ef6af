//! The saga's log and its choice of what is next: forward, doubt, cancel, unwinding, stuck.

use chrono::TimeDelta;
use ocim_domain::Timestamp;
use ocim_domain::decider::Decider;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{
    Cause, Command, Directive, ErrorClass, ErrorCode, Event, Kind, Phase, Plan, Rejected, Run,
    Saga, StepPlan, StuckCode, next, step_key,
};
use serde_json::json;

fn time(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn step(path: &str, kind: Kind) -> StepPlan {
    StepPlan { path: path.to_owned(), attempts_max: 3, max_elapsed: None, kind, watches: false }
}

fn plan() -> Plan {
    let undone = || Kind::Compensable { keep_after: None };
    let reason = || "nothing to undo".to_owned();
    let keep_after = Some(("configure".to_owned(), "kept for debugging".to_owned()));
    Plan::new(vec![
        step("reserve", undone()),
        step("create", Kind::Compensable { keep_after }),
        step("watch", Kind::NoUndo(reason())),
        step("configure", undone()),
        step("publish", Kind::Pivot(reason())),
        step("tell", Kind::Retryable(reason())),
    ])
}

fn started() -> Event {
    Event::Started {
        definition: "launch".to_owned(),
        version: 1,
        input: json!({}),
        subject: "apps_x".to_owned(),
        deadline: Some(time(1000)),
    }
}

fn intended(step: &str) -> Event {
    let key = step_key(RunId(uuid::Uuid::nil()), step);
    Event::StepIntended {
        step: step.to_owned(),
        attempt: 1,
        key,
        deadline: time(500),
        at: Some(time(0)),
    }
}

fn done(step: &str) -> Event {
    Event::StepDone { step: step.to_owned(), output: json!(step) }
}

fn failed(step: &str, class: ErrorClass, retry_at: Option<Timestamp>) -> Event {
    let (step, error) = (step.to_owned(), "no".to_owned());
    let code = retry_at.is_none().then_some(ErrorCode::MachineFailed);
    Event::StepFailed { step, attempt: 1, class, code, error, retry_at, at: None }
}

fn undone(step: &str) -> [Event; 2] {
    let step = step.to_owned();
    [
        Event::UndoIntended {
            step: step.clone(),
            attempt: 1,
            deadline: time(500),
            at: Some(time(0)),
        },
        Event::UndoDone { step, note: None },
    ]
}

fn done_up_to(last: &str) -> Vec<Event> {
    let paths: Vec<String> = plan().steps().map(|step| step.path.clone()).collect();
    let count = paths.iter().position(|path| path == last).expect("a step of the plan") + 1;
    let steps = paths[..count].iter().flat_map(|path| [intended(path), done(path)]);
    std::iter::once(started()).chain(steps).collect()
}

fn folded(events: &[Event]) -> Run {
    Saga::fold(events).expect("the run has started")
}

fn cancelled() -> Cause {
    Cause::Cancelled { reason: "enough".to_owned() }
}

#[track_caller]
fn check(events: &[Event], now: i64, expected: Directive) {
    assert_eq!(next(&plan(), &folded(events), time(now)), [expected]);
}

#[track_caller]
fn check_at_rest(events: &[Event]) {
    assert_eq!(next(&plan(), &folded(events), time(9)), []);
}

#[test]
fn forward_runs_each_step_in_turn_and_completes() {
    check(&[started()], 0, Directive::Run { step: "reserve".to_owned(), attempt: 1, doubt: false });
    check(
        &done_up_to("create"),
        0,
        Directive::Run { step: "watch".to_owned(), attempt: 1, doubt: false },
    );
    let mut events = done_up_to("tell");
    check(&events, 0, Directive::Complete);
    events.push(Event::Completed {});
    check_at_rest(&events);
}

#[test]
fn a_skipped_step_is_passed_over_both_ways() {
    let skipped = Event::StepSkipped { step: "reserve".to_owned(), reason: "none".to_owned() };
    let mut events = vec![started(), skipped];
    check(&events, 0, Directive::Run { step: "create".to_owned(), attempt: 1, doubt: false });
    events.push(Event::UnwindBegan(Cause::Deadline));
    check(&events, 0, Directive::FinishUnwind);
}

#[test]
fn an_intent_without_a_result_is_doubt() {
    let events = [started(), intended("reserve")];
    check(
        &events,
        0,
        Directive::Resume { step: "reserve".to_owned(), attempt: 1, deadline: time(500) },
    );
}

#[test]
fn a_retry_waits_for_its_time_and_remembers_doubt() {
    for (class, doubt) in [
        (ErrorClass::Transient, false),
        (ErrorClass::RateLimited, false),
        (ErrorClass::Conflict, false),
        (ErrorClass::Ambiguous, true),
        (ErrorClass::Timeout, true),
    ] {
        let events = [started(), intended("reserve"), failed("reserve", class, Some(time(9)))];
        check(&events, 8, Directive::Wait { step: "reserve".to_owned(), until: time(9) });
        check(&events, 9, Directive::Run { step: "reserve".to_owned(), attempt: 2, doubt });
    }
}

#[test]
fn doubt_outlasts_attempts_that_fail_without_any() {
    let first = failed("reserve", ErrorClass::Ambiguous, Some(time(9)));
    let second = Event::StepFailed {
        step: "reserve".to_owned(),
        attempt: 2,
        class: ErrorClass::Transient,
        code: None,
        error: "no".to_owned(),
        retry_at: Some(time(20)),
        at: None,
    };
    // What the look of the second attempt did not find may have come since.
    let events = [started(), intended("reserve"), first, intended("reserve"), second];
    check(&events, 20, Directive::Run { step: "reserve".to_owned(), attempt: 3, doubt: true });
}

#[test]
fn a_step_that_failed_for_good_unwinds_the_run() {
    let mut events = done_up_to("reserve");
    events.extend([intended("create"), failed("create", ErrorClass::Permanent, None)]);
    let cause = Cause::StepFailed { step: "create".to_owned(), error: "no".to_owned() };
    check(&events, 0, Directive::Unwind(cause.clone()));
    events.push(Event::UnwindBegan(cause.clone()));
    check(&events, 0, Directive::Undo { step: "create".to_owned(), attempt: 1 });
    events.extend(undone("create"));
    check(&events, 0, Directive::Undo { step: "reserve".to_owned(), attempt: 1 });
    events.extend(undone("reserve"));
    check(&events, 0, Directive::FinishUnwind);
    events.push(Event::Unwound {});
    check_at_rest(&events);
    assert_eq!(folded(&events).phase, Phase::Unwound(cause));
}

#[test]
fn a_cancel_wins_over_whatever_is_under_way_and_undoes_it() {
    let mut events = done_up_to("create");
    events.push(intended("watch"));
    events.push(Event::CancelRequested { reason: "enough".to_owned() });
    check(&events, 0, Directive::Unwind(cancelled()));
    events.push(Event::UnwindBegan(cancelled()));
    check(
        &events,
        0,
        Directive::SkipUndo { step: "watch".to_owned(), reason: "nothing to undo".to_owned() },
    );
}

#[test]
fn a_late_report_does_not_override_a_cancel() {
    let mut events = done_up_to("reserve");
    events.extend([intended("create"), Event::UnwindBegan(cancelled())]);
    let late = Saga::decide(&Saga::fold(&events), Command::Report(done("create")), time(0));
    assert_eq!(late, Err(Rejected::Unfitting));
}

#[test]
fn the_deadline_of_a_run_unwinds_it() {
    check(
        &done_up_to("create"),
        999,
        Directive::Run { step: "watch".to_owned(), attempt: 1, doubt: false },
    );
    check(&done_up_to("create"), 1000, Directive::Unwind(Cause::Deadline));
}

#[test]
fn a_machine_is_kept_only_when_configuration_failed() {
    let failed_at = |step: &str| {
        let mut events = done_up_to("watch");
        let cause = Cause::StepFailed { step: step.to_owned(), error: "no".to_owned() };
        events.push(Event::UnwindBegan(cause));
        events.push(Event::UndoSkipped { step: "watch".to_owned(), reason: "…".to_owned() });
        events
    };
    let kept =
        Directive::SkipUndo { step: "create".to_owned(), reason: "kept for debugging".to_owned() };
    check(&failed_at("configure"), 0, kept);
    check(&failed_at("watch"), 0, Directive::Undo { step: "create".to_owned(), attempt: 1 });
    let mut stopped = done_up_to("create");
    stopped.push(Event::UnwindBegan(cancelled()));
    check(&stopped, 0, Directive::Undo { step: "create".to_owned(), attempt: 1 });
}

#[test]
fn from_the_intent_of_the_pivot_on_a_run_only_goes_forward() {
    let mut events = done_up_to("configure");
    events.extend([intended("publish"), Event::CancelRequested { reason: "late".to_owned() }]);
    check(
        &events,
        2000,
        Directive::Resume { step: "publish".to_owned(), attempt: 1, deadline: time(500) },
    );
    events.push(failed("publish", ErrorClass::Permanent, None));
    check(
        &events,
        0,
        Directive::DeclareStuck {
            step: "publish".to_owned(),
            code: StuckCode::StepFailed,
            why: "no".to_owned(),
        },
    );
}

#[test]
fn an_undo_is_retried_then_leaves_the_run_stuck() {
    let mut events = done_up_to("reserve");
    events.push(Event::UnwindBegan(Cause::Deadline));
    events.push(Event::UndoIntended {
        step: "reserve".to_owned(),
        attempt: 1,
        deadline: time(5),
        at: None,
    });
    check(
        &events,
        0,
        Directive::ResumeUndo { step: "reserve".to_owned(), attempt: 1, deadline: time(5) },
    );
    let failing = |retry_at: Option<Timestamp>| {
        let (step, error) = ("reserve".to_owned(), "no".to_owned());
        let class = ErrorClass::Transient;
        let code = retry_at.is_none().then_some(ErrorCode::AttemptsExhausted);
        Event::UndoFailed { step, attempt: 1, class, code, error, retry_at, at: None }
    };
    events.push(failing(Some(time(9))));
    check(&events, 8, Directive::Wait { step: "reserve".to_owned(), until: time(9) });
    check(&events, 9, Directive::Undo { step: "reserve".to_owned(), attempt: 2 });
    events.push(failing(None));
    check(
        &events,
        9,
        Directive::DeclareStuck {
            step: "reserve".to_owned(),
            code: StuckCode::UndoFailed,
            why: "no".to_owned(),
        },
    );
    events.push(Event::Stuck { step: "reserve".to_owned(), why: "no".to_owned(), code: None });
    check_at_rest(&events);
}

#[test]
fn a_run_is_started_once_and_cancelled_while_it_goes_forward() {
    let start = Command::Start {
        definition: "launch".to_owned(),
        version: 1,
        input: json!({}),
        subject: "apps_x".to_owned(),
        deadline: Some(time(1000)),
    };
    let cancel = Command::Cancel { reason: "enough".to_owned(), plan: plan() };
    assert_eq!(Saga::decide(&None, start.clone(), time(0)), Ok(vec![started()]));
    assert_eq!(Saga::decide(&None, cancel.clone(), time(0)), Err(Rejected::Absent));
    let mut events = vec![started()];
    let decide = |events: &[Event], command| Saga::decide(&Saga::fold(events), command, time(0));
    assert_eq!(decide(&events, start), Err(Rejected::Exists));
    let asked = Event::CancelRequested { reason: "enough".to_owned() };
    assert_eq!(decide(&events, cancel.clone()), Ok(vec![asked.clone()]));
    events.push(asked);
    assert_eq!(decide(&events, cancel.clone()), Ok(vec![]));
    events.push(Event::UnwindBegan(cancelled()));
    assert_eq!(decide(&events, cancel.clone()), Err(Rejected::Unwinding));
    events.push(Event::Unwound {});
    assert_eq!(decide(&events, cancel), Err(Rejected::Over));
}

#[test]
fn a_run_past_its_point_of_no_return_can_not_be_cancelled() {
    let mut events = vec![started()];
    for step in ["reserve", "create", "watch", "configure"] {
        events.push(intended(step));
        events.push(Event::StepDone { step: step.to_owned(), output: json!({}) });
    }
    let cancel = |plan| {
        let command = Command::Cancel { reason: "enough".to_owned(), plan };
        let events = events.clone();
        move |more: Vec<Event>| {
            Saga::decide(&Saga::fold(&[events.clone(), more].concat()), command.clone(), time(0))
        }
    };
    let asked = || Ok(vec![Event::CancelRequested { reason: "enough".to_owned() }]);
    assert_eq!(cancel(plan())(vec![]), asked());
    let begun = vec![intended("publish")];
    assert_eq!(cancel(plan())(begun.clone()), Err(Rejected::PastPivot));
    assert_eq!(cancel(Plan::default())(begun), asked(), "nobody knows the process");
}
