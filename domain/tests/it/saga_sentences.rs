//! What people read of a run: what it will do, how far away a time is, and where it stands.

use crate::golden::is_blessing;
use crate::saga_parallel::{
    done, failed, intended, plan, run_of, started, undo_done, undo_intended,
};
use crate::sample::at;
use ocim_domain::saga::{
    Cause, Directive, ErrorClass, Event, Facts, Holder, PutOff, StuckCode, Verb, explain, preview,
    tell_directive,
};
use std::path::PathBuf;
use uuid::Uuid;

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn each_directive_is_told_as_what_is_done() {
    use Directive as D;
    let step = || text("create_server");
    let cause = Cause::Cancelled { reason: text("a mistake") };
    let stuck = |step: &str| D::DeclareStuck {
        step: text(step),
        code: StuckCode::UndoFailed,
        why: text("no answer"),
    };
    for (directive, expected) in [
        (D::Run { step: step(), attempt: 1, doubt: false }, "run `create_server`"),
        (D::Run { step: step(), attempt: 1, doubt: true }, "run `create_server`"),
        (D::Run { step: step(), attempt: 2, doubt: false }, "run `create_server`, attempt 2"),
        (
            D::Run { step: step(), attempt: 2, doubt: true },
            "look whether `create_server` has happened, and else run it, attempt 2",
        ),
        (
            D::Resume { step: step(), attempt: 1, deadline: at(9) },
            "look how far `create_server` is, and go on with it",
        ),
        (D::FireTimer { step: step() }, "ask `create_server` again"),
        (
            D::Wait { step: step(), until: at(300) },
            "wait for `create_server` until 2023-11-14 22:18:20 UTC (in 5 min)",
        ),
        (D::Unwind(cause), "turn back, because somebody cancelled it: a mistake"),
        (D::Unwind(Cause::Deadline), "turn back, because its time was up"),
        (D::Undo { step: step(), attempt: 1 }, "undo `create_server`"),
        (D::Undo { step: step(), attempt: 3 }, "undo `create_server`, attempt 3"),
        (
            D::ResumeUndo { step: step(), attempt: 1, deadline: at(9) },
            "go on with the undo of `create_server`",
        ),
        (
            D::SkipUndo { step: step(), reason: text("it is looked at") },
            "keep `create_server`: it is looked at",
        ),
        (stuck(""), "declare itself stuck: no answer"),
        (stuck("create_server"), "declare itself stuck at `create_server`: no answer"),
        (D::Complete, "complete"),
        (D::FinishUnwind, "end, with all undone or kept for its reason"),
    ] {
        assert_eq!(tell_directive(&directive, at(0)), expected);
    }
}

#[test]
fn how_far_a_time_is_away_is_told_in_the_unit_that_suits_it() {
    for (seconds, expected) in [
        (0, "(in 0 s)"),
        (119, "(in 119 s)"),
        (120, "(in 2 min)"),
        (7_199, "(in 119 min)"),
        (7_200, "(in 2 h)"),
        (172_799, "(in 47 h)"),
        (172_800, "(in 2 days)"),
        (-1, "(1 s ago)"),
        (-3_600, "(60 min ago)"),
        (-86_400, "(24 h ago)"),
    ] {
        let wait = Directive::Wait { step: text("a"), until: at(seconds) };
        let told = tell_directive(&wait, at(0));
        assert!(told.ends_with(expected), "{told}");
    }
}

/// Situations of a run: what it is called, its events, and what is known beside them.
fn situations() -> Vec<(&'static str, Vec<Event>, Facts)> {
    let none = Facts::default;
    let retry = |step: &str, seconds| match failed(step) {
        Event::StepFailed { step, attempt, error, .. } => Event::StepFailed {
            step,
            attempt,
            class: ErrorClass::Transient,
            code: None,
            error,
            retry_at: Some(at(seconds)),
            at: None,
        },
        other => other,
    };
    let undo_failed = Event::UndoFailed {
        step: text("first"),
        attempt: 1,
        class: ErrorClass::Transient,
        code: None,
        error: text("no answer"),
        retry_at: Some(at(60)),
        at: None,
    };
    let stuck = |step: &str| Event::Stuck {
        step: text(step),
        why: text("its undo failed"),
        code: Some(StuckCode::UndoFailed),
    };
    let cancel = Event::CancelRequested { reason: text("a mistake") };
    let back = Event::UnwindBegan(Cause::Cancelled { reason: text("a mistake") });
    let began = || vec![started(), intended("first")];
    let with = |more: Vec<Event>| [began(), more].concat();
    let node = Uuid::from_u128(4);
    let held = Facts { holder: Holder::Node { node, until: at(40) }, ..none() };
    let line = Facts { lines: [(text("first"), text("second of two"))].into(), ..none() };
    let since = Facts { steps_changed: [(text("first"), at(5))].into(), ..none() };
    let put_off = PutOff { until: at(40), why: text("the circuit of region north is open") };
    let circuit = Facts { put_off: [(text("first"), put_off)].into(), ..none() };
    let timer = |due| Event::TimerSet { step: text("first"), due: at(due), at: None };
    let beside = with(vec![done("first"), intended("make/disk"), intended("make/net/port")]);
    vec![
        ("before its first step", vec![started()], none()),
        ("a step under way", began(), held),
        ("a step that waits in line", with(vec![timer(60)]), line),
        ("a step whose time has come", with(vec![timer(5)]), none()),
        ("a step under way for a while", began(), since),
        ("a step put off", began(), circuit),
        ("a step that is tried again", with(vec![retry("first", 60)]), none()),
        ("a step that failed for good", with(vec![failed("first")]), none()),
        ("two branches", beside, none()),
        ("cancelled", with(vec![done("first"), cancel]), none()),
        ("an undo to come", with(vec![done("first"), back.clone()]), none()),
        (
            "an undo under way",
            with(vec![done("first"), back.clone(), undo_intended("first")]),
            none(),
        ),
        (
            "an undo that is tried again",
            with(vec![done("first"), back.clone(), undo_intended("first"), undo_failed]),
            none(),
        ),
        ("stuck at a step", with(vec![stuck("first")]), none()),
        ("stuck at none", with(vec![stuck("")]), none()),
        ("completed", vec![started(), Event::Completed {}], none()),
        (
            "turned back",
            with(vec![done("first"), back, undo_done("first"), Event::Unwound {}]),
            none(),
        ),
        (
            "abandoned",
            with(vec![Event::Abandoned { reason: text("enough"), left_behind: vec![] }]),
            none(),
        ),
    ]
}

/// In `explanations.txt`. `BLESS=1` writes it anew: read what has changed.
#[test]
fn where_a_run_stands_is_told_as_somebody_has_read_it() {
    let mut page = String::new();
    for (name, events, facts) in situations() {
        let told = explain(&plan(), &run_of(&events), at(10), &facts);
        page += &format!("{name}\n  {}\n", told.sentence);
        page += &format!("  waits for: {}\n", told.waits_for.as_deref().unwrap_or("nothing"));
        page += &format!(
            "  steps: {}; since {:?}; until {:?}\n",
            told.steps.join(", "),
            told.since,
            told.until
        );
        page += &format!(
            "  code {:?}; cause {:?}; last error {:?}\n",
            told.code, told.cause, told.last_error
        );
        page += &format!("  then: {}\n", told.next.join(" | "));
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/explanations.txt");
    if is_blessing() {
        std::fs::write(&path, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), page);
}

#[test]
fn a_preview_says_first_what_the_act_does_itself() {
    let stuck = Event::Stuck {
        step: text("first"),
        why: text("its undo failed"),
        code: Some(StuckCode::UndoFailed),
    };
    let back = Event::UnwindBegan(Cause::Deadline);
    let forward =
        [started(), intended("first"), failed("first"), stuck.clone()].map(|event| event).to_vec();
    let turning =
        vec![started(), intended("first"), done("first"), back, undo_intended("first"), stuck];
    let step = || text("first");
    let output = serde_json::json!({"ip": "192.0.2.1"});
    for (events, verb, expected) in [
        (
            &forward,
            Verb::RetryStep { step: step() },
            "`first` is due at once, with all its attempts and all its time",
        ),
        (
            &forward,
            Verb::SkipStep { step: step(), output },
            "`first` counts as done, and as having given {\"ip\":\"192.0.2.1\"}",
        ),
        (&turning, Verb::MarkUndone { step: step() }, "`first` counts as undone"),
        (&forward, Verb::ForceUnwind, "the run turns back at once"),
        (
            &forward,
            Verb::Abandon,
            "the run ends at once; nothing is undone, only others' turns come",
        ),
    ] {
        let told = preview(&plan(), &run_of(events), verb, "a test", at(0)).unwrap();
        assert_eq!(told[0], expected, "{told:?}");
    }
}
