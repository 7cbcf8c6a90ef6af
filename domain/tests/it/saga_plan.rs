//! What is wrong with a plan is told, and with nothing else.

use crate::saga_parallel::{step, undone};
use ocim_domain::saga::{Fault, Kind, Plan, StepPlan};

fn text(text: &str) -> String {
    text.to_owned()
}

fn pivot(path: &str) -> StepPlan {
    step(path, Kind::Pivot(text("it is public")))
}

fn retryable(path: &str) -> StepPlan {
    step(path, Kind::Retryable(text("it was told")))
}

fn kept(path: &str, from: &str, reason: &str) -> StepPlan {
    step(path, Kind::Compensable { keep_after: Some((text(from), text(reason))) })
}

fn plain(path: &str) -> StepPlan {
    step(path, undone())
}

/// A plan and what is wrong with which of its steps.
type Case = (Vec<StepPlan>, &'static str, &'static str);

fn cases() -> Vec<Case> {
    const NO_UNDO: &str = "it gives no reason for having no undo";
    const PATH: &str = "its path is not `step`, `block/step` or `block/branch/step`";
    const PLACES: &str = "its block is written in two places, or named like a step";
    let never = StepPlan { attempts_max: 0, ..plain("a") };
    vec![
        (vec![], "", "it has no steps"),
        (vec![never], "a", "it would never run"),
        (vec![plain("a"), plain("a")], "a", "the path is used twice"),
        (vec![step("a", Kind::NoUndo(text(" ")))], "a", NO_UNDO),
        (vec![step("a", Kind::Pivot(text("")))], "a", NO_UNDO),
        (vec![pivot("p"), step("a", Kind::Retryable(text("\t")))], "a", NO_UNDO),
        (vec![kept("a", "a", " ")], "a", "it gives no reason for being kept"),
        (vec![kept("a", "b", "why")], "a", "it is kept after `b`, which does not exist"),
        (vec![pivot("p"), plain("a")], "a", "it is compensable, but stands after the pivot"),
        (
            vec![pivot("p"), step("a", Kind::NoUndo(text("why")))],
            "a",
            "it stands after the pivot, so it must be retryable",
        ),
        (vec![retryable("a")], "a", "it is retryable, but does not stand after a pivot"),
        (vec![pivot("p"), pivot("q")], "q", "it is a second pivot beside `p`"),
        (vec![pivot("x/p")], "x/p", "it is the pivot, but stands in a parallel block"),
        (vec![plain("x/a/b/c")], "x/a/b/c", PATH),
        (vec![plain("x//c")], "x//c", PATH),
        (vec![plain("x/a"), plain("b"), plain("x/b")], "x/b", PLACES),
        (vec![plain("x"), plain("x/b")], "x/b", PLACES),
        (
            vec![plain("x/a/1"), plain("x/b/1"), plain("x/a/2")],
            "x/a/2",
            "its branch is written in two places",
        ),
    ]
}

#[test]
fn each_fault_of_a_plan_is_told_at_its_step_and_no_other() {
    for (steps, path, what) in cases() {
        let expected = Fault { path: text(path), what: text(what) };
        assert_eq!(Plan::new(steps).check(), [expected]);
    }
}

#[test]
fn what_a_sound_plan_may_have_is_no_fault() {
    let reason = || text("why");
    let sound = Plan::new(vec![
        plain("a"),
        kept("b", "x/1", "it is looked at"),
        step("c", Kind::NoUndo(reason())),
        plain("x/1"),
        kept("x/2/a", "a", "it is looked at"),
        plain("x/2/b"),
        pivot("p"),
        retryable("d"),
        retryable("y/1"),
        retryable("y/2"),
    ]);
    assert_eq!(sound.check(), []);
    assert_eq!(Plan::new(vec![step("a", Kind::NoUndo(reason()))]).check(), []);
}
