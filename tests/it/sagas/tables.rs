//! The tables of the processes, what starts them, and the points where tests hold them.

use super::stage::Stage;
use crate::support::counts::report_count;
use futures_util::FutureExt;
use ocim::app::LaunchAsk;
use ocim::sagas::step::{Definition, Kind, Progress, Step, done};
use ocim::sagas::{Holds, TRIGGERS, definitions, started_by};
use ocim_domain::instance::OnSuccess;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

const fn step(path: &'static str) -> Step {
    Step {
        path,
        run: |_| Box::pin(async { done(Value::Null) }),
        probe: None,
        kind: Kind::NoUndo("it does nothing"),
        attempts_max: 1,
        timeout: |_| Duration::from_secs(1),
        max_elapsed: None,
        only_waits: false,
        on_skipped: None,
    }
}

const fn definition(steps: &'static [Step]) -> Definition {
    Definition {
        name: "test",
        version: 1,
        steps,
        deadline: None,
        on_abandoned: None,
        settles_on_undo: false,
    }
}

const A: Step = step("a");
const B: Step = step("b");
const PIVOT: Step = Step { kind: Kind::Pivot("there is no way back"), ..step("p") };
const SECOND_PIVOT: Step = Step { path: "q", ..PIVOT };
const PIVOT_IN_BLOCK: Step = Step { path: "x/p", ..PIVOT };
const COMPENSABLE: Step = Step { kind: Kind::Compensable(skip), ..A };
const RETRYABLE: Step = Step { kind: Kind::Retryable("later"), ..A };
const NEVER: Step = Step { attempts_max: 0, ..A };
const WORDLESS: Step = Step { kind: Kind::NoUndo(" "), ..A };
const KEPT_FOR_NOTHING: Step =
    Step { kind: Kind::CompensableUnlessFailedAfter(skip, "a", ""), ..A };
const KEPT_AFTER_NOBODY: Step =
    Step { kind: Kind::CompensableUnlessFailedAfter(skip, "b", "kept"), ..A };

fn skip(
    _: ocim::sagas::step::StepContext,
) -> futures_util::future::BoxFuture<'static, Result<Progress, ocim::sagas::step::StepError>> {
    Box::pin(async { Ok(Progress::Skipped("not here".to_owned())) })
}

#[test]
fn every_process_is_sound_and_its_names_are_its_own() {
    let mut names = BTreeSet::new();
    for definition in definitions() {
        definition.check().unwrap();
        assert!(names.insert((definition.name, definition.version)), "{}", definition.name);
        assert!(
            !definition.steps.is_empty() && definition.pivot().is_some(),
            "{}",
            definition.name
        );
    }
    report_count("definitions", "checked", names.len());
}

#[test]
fn a_broken_table_is_refused_with_its_fault() {
    let broken: [(Definition, &str); 13] = [
        (definition(&[A, A]), "test.a: the path is used twice"),
        (definition(&[NEVER]), "test.a: it would never run"),
        (definition(&[WORDLESS]), "test.a: it gives no reason for having no undo"),
        (definition(&[KEPT_FOR_NOTHING]), "test.a: it gives no reason for being kept"),
        (definition(&[KEPT_AFTER_NOBODY]), "test.a: it is kept after `b`, which does not exist"),
        (
            definition(&[PIVOT, COMPENSABLE]),
            "test.a: it is compensable, but stands after the pivot",
        ),
        (definition(&[PIVOT, A]), "test.a: it stands after the pivot, so it must be retryable"),
        (definition(&[RETRYABLE]), "test.a: it is retryable, but does not stand after a pivot"),
        (definition(&[PIVOT, SECOND_PIVOT]), "test.q: it is a second pivot beside `p`"),
        (
            definition(&[PIVOT_IN_BLOCK]),
            "test.x/p: it is the pivot, but stands in a parallel block",
        ),
        (
            definition(const { &[step("x/a/b/c")] }),
            "test.x/a/b/c: its path is not `step`, `block/step` or `block/branch/step`",
        ),
        (
            definition(const { &[step("x/a"), B, step("x/b")] }),
            "test.x/b: its block is written in two places, or named like a step",
        ),
        (
            definition(const { &[step("x/a/1"), step("x/b/1"), step("x/a/2")] }),
            "test.x/a/2: its branch is written in two places",
        ),
    ];
    definition(const { &[A, step("x/a"), step("x/b/c"), PIVOT] }).check().unwrap();
    for (table, fault) in broken {
        assert_eq!(table.check().unwrap_err(), [fault]);
    }
}

#[tokio::test(start_paused = true)]
async fn each_trigger_starts_its_process_with_the_run_that_it_names() {
    let stage = Stage::new().await;
    let ask =
        LaunchAsk { queue: false, then: OnSuccess { activate: true, deactivate_others: true } };
    let launched = stage.begin_launch(ask).await;
    stage.drive(launched.run).await;
    let second = stage.launch_active().await;
    let deactivation = {
        let activation = stage.begin_activation(launched.appserver, false).await;
        stage.drive(activation).await;
        stage.begin_deactivation(second.appserver).await
    };
    stage.drive(deactivation).await;
    let termination = stage.begin_termination(second.appserver).await;
    let mut kinds = BTreeSet::new();
    for event in stage.events(&[]).await {
        let request = started_by(&event);
        assert_eq!(request.is_some(), TRIGGERS.contains(&event.kind.as_str()), "{}", event.kind);
        let Some(request) = request else { continue };
        kinds.insert((event.kind.clone(), request.definition));
        let definition = definitions().into_iter().find(|it| it.name == request.definition);
        assert!(definition.is_some(), "{}", request.definition);
        if request.run == launched.run {
            assert_eq!(request.subject, launched.appserver.to_string());
            assert_eq!(request.input["instance"], stage.instance.to_string());
            assert_eq!(request.input["number"], 1);
            assert_eq!(request.input["activate_on_success"], true);
        }
        if request.run == termination {
            assert_eq!(request.subject, second.appserver.to_string());
            assert_eq!(request.input["force"], false);
        }
    }
    let kinds: Vec<_> = kinds.iter().map(|(kind, name)| (kind.as_str(), *name)).collect();
    let expected = [
        ("appserver.activation_requested", "activate_appserver"),
        ("appserver.deactivation_requested", "deactivate_appserver"),
        ("appserver.termination_requested", "terminate_appserver"),
        ("instance.launch_requested", "launch_appserver"),
    ];
    assert_eq!(kinds, expected);
}

#[tokio::test(start_paused = true)]
async fn a_held_point_says_so_and_waits_until_its_file_is_gone() {
    Holds::default().pass("any.point").now_or_never().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let holds = Holds::new(Some(folder.path().to_owned()));
    holds.pass("another.point").now_or_never().unwrap();
    let (file, reached) = (folder.path().join("a.b.c"), folder.path().join("a.b.c.reached"));
    std::fs::write(&file, "").unwrap();
    let mut held = Box::pin(holds.pass("a.b.c"));
    let waited = tokio::time::timeout(Duration::from_secs(3600), &mut held).await;
    assert!(waited.is_err() && reached.exists());
    std::fs::remove_file(&file).unwrap();
    tokio::time::timeout(Duration::from_secs(1), held).await.unwrap();
}
