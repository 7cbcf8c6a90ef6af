//! What people may do to a run, what they are refused, what a dry run says, and explanations.

use crate::saga_parallel::{
    done, failed, intended, plan, run_of, started, undo_done, undo_intended,
};
use crate::sample::at;
use ocim_domain::decider::Decider;
use ocim_domain::saga::{
    Cause, Command, Direction, Directive, ErrorClass, ErrorCode, Event, Explanation, Facts, Holder,
    Operation, Phase, Plan, PutOff, Rejected, Saga, Step, StuckCode, Verb, describe_outcome,
    explain, next, preview, preview_cancel,
};
use serde_json::json;
use uuid::Uuid;

fn act(events: &[Event], verb: Verb) -> Result<Vec<Event>, Rejected> {
    let (actor, reason) = ("token:alice".to_owned(), "it was seen to".to_owned());
    let operation = Operation { verb, actor, reason, plan: plan() };
    let told = preview(&plan(), &run_of(events), operation.verb.clone(), "a test", at(0));
    let acted = Saga::decide(&Saga::fold(events), Command::Operate(Box::new(operation)), at(0));
    assert_eq!(told.err(), acted.as_ref().err().cloned(), "a dry run is refused like the act");
    acted
}

#[track_caller]
fn after(events: &[Event], verb: Verb) -> Vec<Event> {
    let acted = act(events, verb).unwrap();
    events.iter().cloned().chain(acted).collect()
}

fn next_of(events: &[Event]) -> Vec<Directive> {
    next(&plan(), &run_of(events), at(0))
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn retry(step: &str) -> Verb {
    Verb::RetryStep { step: text(step) }
}

fn skip(step: &str) -> Verb {
    Verb::SkipStep { step: text(step), output: json!("by hand") }
}

fn mark(step: &str) -> Verb {
    Verb::MarkUndone { step: text(step) }
}

fn stuck(step: &str) -> Event {
    Event::Stuck { step: text(step), why: text("no"), code: None }
}

/// Everything up to the pivot is done, and the pivot has failed for good.
fn stuck_at_pivot() -> Vec<Event> {
    let mut events = vec![started()];
    for path in ["first", "make/net/port", "make/net/address", "make/disk"] {
        events.extend([intended(path), done(path)]);
    }
    events.extend([intended("publish"), failed("publish"), stuck("publish")]);
    events
}

/// Turned back because of the disk; the undo of the port has failed for a day.
fn stuck_unwinding() -> Vec<Event> {
    let mut events = vec![started()];
    for path in ["first", "make/net/port"] {
        events.extend([intended(path), done(path)]);
    }
    let cause = Cause::StepFailed { step: text("make/disk"), error: text("no") };
    events.extend([intended("make/disk"), failed("make/disk"), Event::UnwindBegan(cause)]);
    events.extend([undo_intended("make/disk"), undo_done("make/disk")]);
    let (step, error) = (text("make/net/port"), text("in use"));
    events.push(undo_intended("make/net/port"));
    let (class, code) = (ErrorClass::Transient, Some(ErrorCode::AttemptsExhausted));
    events.push(Event::UndoFailed {
        step,
        attempt: 1,
        class,
        code,
        error,
        retry_at: None,
        at: None,
    });
    events.push(stuck("make/net/port"));
    events
}

#[test]
fn a_failed_step_is_retried_at_once_with_a_look_first_and_all_its_attempts() {
    let events = after(&stuck_at_pivot(), retry("publish"));
    let run = run_of(&events);
    assert_eq!(run.phase, Phase::Forward);
    let again = Directive::Run { step: text("publish"), attempt: 2, doubt: true };
    assert_eq!(next_of(&events), [again]);
    let publish = plan().step("publish").unwrap().clone();
    let mut effort = run.effort("publish");
    effort.attempt = 2;
    assert!(publish.may_retry(&effort, ErrorClass::Transient, at(0)), "its attempts count anew");
    assert_eq!(effort.since, None, "its time counts anew");
}

#[test]
fn a_failed_undo_is_retried_and_the_run_goes_on_turning_back() {
    let events = after(&stuck_unwinding(), retry("make/net/port"));
    assert_eq!(next_of(&events), [Directive::Undo { step: text("make/net/port"), attempt: 2 }]);
    assert_eq!(run_of(&events).effort("make/net/port").undo_since, None);
    assert!(matches!(run_of(&events).phase, Phase::Unwinding(Cause::StepFailed { .. })));
}

#[test]
fn a_skipped_step_counts_as_done_with_the_output_that_was_given() {
    let events = after(&stuck_at_pivot(), skip("publish"));
    assert_eq!(next_of(&events), [Directive::Run { step: text("tell"), attempt: 1, doubt: false }]);
    assert_eq!(run_of(&events).outputs["publish"], "by hand");
}

#[test]
fn a_step_marked_as_undone_lets_the_rest_be_undone() {
    let events = after(&stuck_unwinding(), mark("make/net/port"));
    assert_eq!(next_of(&events), [Directive::Undo { step: text("first"), attempt: 1 }]);
}

#[test]
fn a_forced_unwind_past_the_pivot_undoes_what_it_can_and_keeps_the_rest() {
    let mut events = after(&stuck_at_pivot(), Verb::ForceUnwind);
    let kept = Directive::SkipUndo { step: text("publish"), reason: text("it is public") };
    assert_eq!(next_of(&events), [kept]);
    events.push(Event::UndoSkipped { step: text("publish"), reason: text("it is public") });
    let undo = |step: &str| Directive::Undo { step: text(step), attempt: 1 };
    assert_eq!(next_of(&events), [undo("make/net/address"), undo("make/disk")]);
}

#[test]
fn a_resumed_run_repeats_only_what_was_undone_and_looks_at_what_is_between() {
    let mut events = stuck_unwinding();
    events.push(Event::CancelRequested { reason: text("late") });
    let events = after(&events, Verb::ResumeForward);
    let run = run_of(&events);
    assert_eq!((&run.phase, &run.cancel, run.deadline), (&Phase::Forward, &None, None));
    assert!(matches!(run.steps["first"], Step::Done { .. }), "what stands stays");
    let looked_at = Directive::Run { step: text("make/net/port"), attempt: 2, doubt: true };
    let repeated = Directive::Run { step: text("make/disk"), attempt: 1, doubt: false };
    assert_eq!(next_of(&events), [looked_at, repeated]);
}

#[test]
fn a_kept_step_is_looked_at_again_when_the_run_is_resumed() {
    let mut events = after(&stuck_at_pivot(), Verb::ForceUnwind);
    events.push(Event::UndoSkipped { step: text("publish"), reason: text("it is public") });
    let again = [Directive::Run { step: text("publish"), attempt: 2, doubt: true }];
    assert_eq!(next_of(&after(&events, Verb::ResumeForward)), again, "it never was done");

    let mut events = after(&stuck_at_pivot(), skip("publish"));
    events = after(&events, Verb::ForceUnwind);
    events.push(Event::UndoSkipped { step: text("publish"), reason: text("it is public") });
    assert_eq!(next_of(&after(&events, Verb::ResumeForward)), again, "what it did may be gone");
}

#[test]
fn an_abandoned_run_lists_what_stays_behind_and_is_over() {
    let events = after(&stuck_unwinding(), Verb::Abandon);
    let Phase::Abandoned { left_behind, .. } = run_of(&events).phase else { panic!() };
    let steps: Vec<_> = left_behind.iter().map(|left| left.step.as_str()).collect();
    assert_eq!(steps, ["first", "make/net/port"]);
    assert_eq!(left_behind[0].key, Some(Uuid::from_u128(5)));
    assert_eq!(left_behind[0].output.as_deref(), Some("\"first\""));
    assert_eq!(next_of(&events), []);
    assert_eq!(act(&events, Verb::Abandon), Err(Rejected::Over));
    // Even where nobody knows the process any more.
    let (actor, reason, plan) = (text("token:alice"), text("gone"), Plan::default());
    let operation = Operation { verb: Verb::Abandon, actor, reason, plan };
    let state = Saga::fold(&stuck_unwinding());
    assert!(Saga::decide(&state, Command::Operate(Box::new(operation)), at(0)).is_ok());
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let forward = [started(), intended("first")];
    let step = text;
    let refused = |events: &[Event], verb, why: Rejected| {
        assert_eq!(act(events, verb), Err(why));
    };
    refused(&forward, retry("first"), Rejected::UnderWay { step: step("first") });
    refused(&forward, retry("nowhere"), Rejected::UnknownStep { step: step("nowhere") });
    refused(&forward, retry("tell"), Rejected::NotItsTurn { step: step("tell") });
    refused(&forward, skip("tell"), Rejected::NotItsTurn { step: step("tell") });
    refused(&forward, mark("first"), Rejected::GoingForward);
    refused(&forward, Verb::ResumeForward, Rejected::GoingForward);
    let pivot = stuck_at_pivot();
    refused(&pivot, retry("first"), Rejected::AlreadyDone { step: step("first") });
    refused(&pivot, mark("first"), Rejected::GoingForward);
    let back = stuck_unwinding();
    refused(&back, skip("first"), Rejected::TurningBack);
    refused(&back, retry("first"), Rejected::NotUndoing { step: step("first") });
    refused(&back, mark("first"), Rejected::NotUndoing { step: step("first") });
    refused(&back, Verb::ForceUnwind, Rejected::Unwinding);
    let (actor, reason, plan) = (text("token:alice"), text(" "), plan());
    let operation = Operation { verb: Verb::Abandon, actor, reason, plan };
    let answer = Saga::decide(&Saga::fold(&back), Command::Operate(Box::new(operation)), at(0));
    assert_eq!(answer, Err(Rejected::NoReason));
}

#[test]
fn a_dry_run_tells_the_whole_way_from_there() {
    let told =
        preview(&plan(), &run_of(&stuck_unwinding()), mark("make/net/port"), "a test", at(0));
    let whole = [
        "`make/net/port` counts as undone",
        "undo `first`",
        "end, with all undone or kept for its reason",
    ];
    assert_eq!(told.unwrap(), whole);
    let told = preview(&plan(), &run_of(&stuck_at_pivot()), skip("publish"), "a test", at(0));
    let whole =
        ["`publish` counts as done, and as having given \"by hand\"", "run `tell`", "complete"];
    assert_eq!(told.unwrap(), whole);
    let told =
        preview(&plan(), &run_of(&stuck_at_pivot()), Verb::Abandon, "a test", at(0)).unwrap();
    assert_eq!(told.len(), 1 + 5, "{told:?}");
    let key = Uuid::from_u128(5);
    let first = format!("`first` stays behind, its key is {key}, it gave \"first\"");
    assert_eq!(told[1], first);
    let told = preview(&plan(), &run_of(&[started()]), Verb::Abandon, "a test", at(0)).unwrap();
    assert_eq!(told[1..], ["nothing stays behind"]);
}

#[test]
fn a_dry_run_of_a_cancel_folds_what_the_cancel_writes_and_is_refused_where_it_is() {
    let cancel = |plan: &Plan, events: &[Event]| {
        let reason = text("a mistake");
        Saga::decide(&Saga::fold(events), Command::Cancel { reason, plan: plan.clone() }, at(0))
    };
    let forward = vec![started(), intended("first"), done("first"), intended("make/disk")];
    let mut asked = forward.clone();
    asked.push(Event::CancelRequested { reason: text("an earlier one") });
    let mut past = stuck_at_pivot();
    past.truncate(past.len() - 2);
    let mut over = stuck_unwinding();
    over.extend(act(&over, Verb::Abandon).unwrap());
    let unknown = Plan::default();
    for (plan, events, refusal) in [
        (plan(), vec![started()], None),
        (plan(), forward.clone(), None),
        (plan(), asked.clone(), None),
        (unknown, forward.clone(), None),
        (plan(), past, Some(Rejected::PastPivot)),
        (plan(), stuck_at_pivot(), Some(Rejected::Stuck)),
        (plan(), stuck_unwinding(), Some(Rejected::Unwinding)),
        (plan(), over, Some(Rejected::Over)),
    ] {
        let told = preview_cancel(&plan, &run_of(&events), "a mistake", at(0));
        assert_eq!(told.as_ref().err(), refusal.as_ref(), "{events:?}");
        let did = cancel(&plan, &events).map(|written| {
            let after = run_of(&[&events[..], &written].concat());
            describe_outcome(&plan, after, &written, at(0))
        });
        assert_eq!(told, did, "{events:?}");
    }
    let told =
        |events: &[Event]| preview_cancel(&plan(), &run_of(events), "a mistake", at(0)).unwrap();
    let whole = [
        "the run is asked to stop, and to undo what it did",
        "turn back, because somebody cancelled it: a mistake",
        "undo `make/disk`",
        "undo `first`",
        "end, with all undone or kept for its reason",
    ];
    assert_eq!(told(&forward), whole);
    let first = told(&asked).remove(0);
    assert_eq!(first, "turn back, because somebody cancelled it: an earlier one", "once is enough");
}

#[test]
fn an_explanation_says_what_is_waited_for_since_when_until_when_and_what_comes_next() {
    let told = |events: &[Event], now| {
        let mut facts = Facts::default();
        for (index, event) in events.iter().enumerate() {
            facts.note(event, at(i64::try_from(index).unwrap()));
        }
        explain(&plan(), &run_of(events), at(now), &facts)
    };
    let (step, error) = (text("first"), text("no room"));
    let (class, retry_at) = (ErrorClass::Transient, Some(at(60)));
    let failing =
        Event::StepFailed { step, attempt: 1, class, code: None, error, retry_at, at: None };
    let node = Uuid::from_u128(3);
    let lease = Event::LeaseTaken { node, epoch: 1, orderly: true };
    let waiting = told(&[started(), lease, intended("first"), failing], 10);
    assert_eq!(waiting.waits_for.as_deref(), Some("attempt 2 of `first`"));
    assert_eq!((waiting.since, waiting.until), (Some(at(3)), Some(at(60))));
    assert_eq!((waiting.holder, waiting.last_error.as_deref()), (Some(node), Some("no room")));
    for part in ["goes forward", "attempt 2 of `first`", "no room", "in 50 s"] {
        assert!(waiting.sentence.contains(part), "{part}: {}", waiting.sentence);
    }
    let stuck = told(&stuck_unwinding(), 100);
    assert_eq!(stuck.code, Some(StuckCode::UndoFailed));
    assert!(stuck.sentence.contains("stuck at `make/net/port`"), "{}", stuck.sentence);
    assert!(stuck.cause.unwrap().contains("`make/disk` failed"));
    let over = told(&after(&stuck_unwinding(), Verb::Abandon), 100);
    assert_eq!((over.waits_for, over.holder, over.next), (None, None, vec![]));
    let two = told(&[started(), intended("first"), done("first")], 5);
    assert_eq!(two.steps, ["make/net/port", "make/disk"]);
}

/// Turned back because of the disk, and stuck where no undo is under way.
fn stuck_between_undos(code: StuckCode) -> Vec<Event> {
    let mut events = stuck_unwinding();
    events.truncate(events.len() - 3);
    events.push(Event::Stuck { step: text(""), why: text("nobody knows it"), code: Some(code) });
    events
}

#[test]
fn a_run_that_is_stuck_between_two_undos_goes_on_with_its_cause_when_it_is_forced() {
    for code in [StuckCode::UnknownDefinition, StuckCode::CrashLoop] {
        let events = after(&stuck_between_undos(code), Verb::ForceUnwind);
        let Phase::Unwinding(cause) = run_of(&events).phase else { panic!("{events:?}") };
        assert!(matches!(cause, Cause::StepFailed { step, .. } if step == "make/disk"));
        assert_eq!(next_of(&events), [Directive::Undo { step: text("make/net/port"), attempt: 1 }]);
    }
    // A forward one that nobody knows turns back for the reason that is given.
    let stuck = Event::Stuck {
        step: text(""),
        why: text("nobody knows it"),
        code: Some(StuckCode::UnknownDefinition),
    };
    let events = after(&[started(), intended("first"), done("first"), stuck], Verb::ForceUnwind);
    let reason = text("it was seen to");
    assert_eq!(run_of(&events).phase, Phase::Unwinding(Cause::Cancelled { reason }));
}

#[test]
fn a_run_whose_process_is_unknown_does_nothing_and_nothing_is_foretold() {
    let unknown = Plan::default();
    let mut back = stuck_unwinding();
    back.truncate(back.len() - 3);
    for events in [vec![started(), intended("first"), done("first")], back] {
        let run = run_of(&events);
        assert_eq!(next(&unknown, &run, at(0)), [], "above all it does not end");
        let told = explain(&unknown, &run, at(0), &Facts::default());
        assert_eq!(told.next, [""; 0]);
        assert!(told.waits_for.unwrap().starts_with("a node that knows `"), "{}", told.sentence);
        assert!(told.sentence.contains("can't be described"), "{}", told.sentence);
    }
    for verb in [Verb::ResumeForward, Verb::ForceUnwind] {
        let run = run_of(&stuck_between_undos(StuckCode::UnknownDefinition));
        let told = preview(&unknown, &run, verb, "a test", at(0)).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[1].contains("is unknown here"), "{told:?}");
    }
    let run = run_of(&stuck_between_undos(StuckCode::UnknownDefinition));
    let told = preview(&unknown, &run, Verb::Abandon, "a test", at(0)).unwrap();
    assert!(told.iter().all(|told| !told.contains("described")), "it is over then: {told:?}");
    assert_eq!(unknown.check().len(), 1, "no definition is without steps");
}

#[test]
fn an_explanation_says_that_a_cancel_came_past_the_point_of_no_return() {
    let cancel = Event::CancelRequested { reason: text("a mistake") };
    let too_late = "; a cancel came too late: it is past its point of no return";
    let says_so =
        |events: &[Event]| explained(events, &Facts::default()).sentence.contains(too_late);
    let mut events = stuck_at_pivot();
    events.truncate(events.len() - 2);
    assert!(!says_so(&events), "nobody cancels");
    events.push(cancel.clone());
    assert!(says_so(&events));
    events.extend([failed("publish"), stuck("publish")]);
    let back = after(&events, Verb::ForceUnwind);
    assert!(!says_so(&back), "it turns back, though not for the cancel");
    assert!(!says_so(&[started(), intended("first"), cancel]), "it is obeyed");
}

fn explained(events: &[Event], facts: &Facts) -> Explanation {
    explain(&plan(), &run_of(events), at(10), facts)
}

#[test]
fn an_explanation_names_who_holds_the_run_now_and_not_who_took_it_once() {
    let once = Uuid::from_u128(3);
    let lease = Event::LeaseTaken { node: once, epoch: 1, orderly: true };
    let events = [started(), lease, intended("first")];
    let holder = |holder| Facts { holder, ..Facts::default() };
    let told = explained(&events, &holder(Holder::Unasked));
    assert_eq!(told.holder, Some(once));
    assert!(told.sentence.contains(&format!("node {once} took it last")), "{}", told.sentence);
    let (node, until) = (Uuid::from_u128(4), at(30));
    let told = explained(&events, &holder(Holder::Node { node, until }));
    assert_eq!((told.holder, told.held_until), (Some(node), Some(until)));
    assert!(told.sentence.contains(&format!("node {node} holds it, until ")), "{}", told.sentence);
    let told = explained(&events, &holder(Holder::Nobody));
    assert_eq!((told.holder, told.held_until), (None, None));
    assert!(told.sentence.contains("no node holds it"), "{}", told.sentence);
    // One that is stuck, or over, needs none.
    for resting in [vec![started(), stuck("first")], vec![started(), Event::Completed {}]] {
        let told = explained(&resting, &holder(Holder::Nobody));
        assert!(!told.sentence.contains("holds it"), "{}", told.sentence);
    }
    // A lease that is still there says nothing of one that is over.
    let over = [started(), Event::Completed {}];
    let told = explained(&over, &holder(Holder::Node { node, until }));
    assert_eq!((told.holder, told.held_until), (None, None));
}

#[test]
fn an_explanation_says_which_circuit_a_step_waits_for() {
    let put_off = PutOff { until: at(40), why: text("the circuit of region north is open") };
    let facts =
        Facts { put_off: [(text("first"), put_off)].into_iter().collect(), ..Facts::default() };
    let timer = Event::TimerSet { step: text("first"), due: at(40), at: None };
    for events in [vec![started(), intended("first")], vec![started(), intended("first"), timer]] {
        let told = explained(&events, &facts);
        assert_eq!((told.steps, told.until), (vec![text("first")], Some(at(40))));
        let why = "waits for `first`, which is put off: the circuit of region north is open";
        assert!(told.sentence.contains(why), "{}", told.sentence);
    }
    let waiting = explained(&[started()], &facts);
    assert!(!waiting.sentence.contains("put off"), "it has not begun: {}", waiting.sentence);
}

#[test]
fn a_run_that_has_settled_by_its_undoing_goes_forward_no_more() {
    let plan = Plan { settles_on_undo: true, ..plan() };
    let resume = |events: &[Event]| {
        preview(&plan, &run_of(events), Verb::ResumeForward, "a test", at(0)).err()
    };
    assert_eq!(resume(&stuck_unwinding()), Some(Rejected::Settled));
    // Nothing is undone yet.
    let turned = [started(), intended("first"), done("first"), Event::UnwindBegan(Cause::Deadline)];
    assert_eq!(resume(&turned), None);
}

#[test]
fn each_directive_names_its_step_and_is_alone_where_it_has_none() {
    let step = || text("first");
    let (until, deadline, attempt) = (at(1), at(1), 1);
    for directive in [
        Directive::Run { step: step(), attempt, doubt: false },
        Directive::Resume { step: step(), attempt, deadline },
        Directive::FireTimer { step: step() },
        Directive::Wait { step: step(), until },
        Directive::Undo { step: step(), attempt },
        Directive::ResumeUndo { step: step(), attempt, deadline },
        Directive::SkipUndo { step: step(), reason: text("kept") },
    ] {
        assert_eq!((directive.step(), directive.is_alone()), (Some("first"), false));
    }
    let (code, why) = (StuckCode::StepFailed, text("no"));
    let stuck = Directive::DeclareStuck { step: step(), code, why };
    assert_eq!((stuck.step(), stuck.is_alone()), (Some("first"), true));
    let of_the_run =
        [Directive::Unwind(Cause::Deadline), Directive::Complete, Directive::FinishUnwind];
    for directive in of_the_run {
        assert_eq!((directive.step(), directive.is_alone()), (None, true));
    }
}

#[test]
fn a_call_that_nobody_is_at_is_retried() {
    let crash_loop = || Event::Stuck {
        step: text("first"),
        why: text("nodes died"),
        code: Some(StuckCode::CrashLoop),
    };
    let timer = Event::TimerSet { step: text("first"), due: at(0), at: None };
    let fired = Event::TimerFired { step: text("first") };
    for under_way in [vec![], vec![timer, fired]] {
        let events = [vec![started(), intended("first")], under_way].concat();
        assert_eq!(act(&events, retry("first")), Err(Rejected::UnderWay { step: text("first") }));
        assert!(act(&[events, vec![crash_loop()]].concat(), retry("first")).is_ok());
    }
}

#[test]
fn an_undo_that_somebody_is_at_is_left_to_its_end() {
    let turned = [started(), intended("first"), done("first"), Event::UnwindBegan(Cause::Deadline)];
    let under_way = [&turned[..], &[undo_intended("first")]].concat();
    for verb in [mark("first"), retry("first")] {
        assert_eq!(act(&under_way, verb), Err(Rejected::UnderWay { step: text("first") }));
    }
    // Nobody is, once the run is stuck.
    assert!(act(&[under_way, vec![stuck("first")]].concat(), mark("first")).is_ok());
}

#[test]
fn an_act_says_which_way_the_run_goes_from_there() {
    let way = |events: &[Event], verb| match &act(events, verb).unwrap()[0] {
        Event::OperatorActed { direction, .. } => *direction,
        other => panic!("{other:?}"),
    };
    assert_eq!(way(&stuck_at_pivot(), Verb::ForceUnwind), Direction::Unwinding);
    assert_eq!(way(&stuck_at_pivot(), skip("publish")), Direction::Forward);
    assert_eq!(way(&stuck_unwinding(), Verb::ResumeForward), Direction::Forward);
    assert_eq!(way(&stuck_unwinding(), mark("make/net/port")), Direction::Unwinding);
}
