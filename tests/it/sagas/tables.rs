//! The tables of the processes, what starts them, and the points where tests hold them.

use super::former::definitions;
use super::stage::Stage;
use crate::support::counts::report_count;
use futures_util::FutureExt;
use ocim::app::LaunchAsk;
use ocim::processes::step::{Definition, Kind, Progress, Step, done};
use ocim::processes::world::Limits;
use ocim::processes::{PLAYBOOK_STEPS, started_by, triggers};
use ocim_domain::Timestamp;
use ocim_domain::decider::Decider;
use ocim_domain::instance::{Attempts, OnSuccess};
use ocim_domain::saga::{Cause, Directive, Event, Run, Saga, StuckCode, next};
use ocim_engine::sagas::holds::Holds;
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

const fn step(path: &'static str) -> Step {
    Step {
        path,
        run: |_| Box::pin(async { done(()) }),
        probe: None,
        kind: Kind::NoUndo("it does nothing"),
        attempts_max: 1,
        timeout: |_| Duration::from_secs(1),
        max_elapsed: None,
        watches: false,
        in_line: false,
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
    _: ocim::processes::step::StepContext,
) -> futures_util::future::BoxFuture<'static, Result<Progress, ocim::processes::step::StepError>> {
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

/// Nothing of ours is at work for longer: what takes longer waits, or watches what goes on outside.
const WORK_MAX: Duration = Duration::from_secs(900);

#[test]
fn every_step_that_waits_in_line_is_one_whose_line_is_known() {
    let known = definitions();
    let steps = known.iter().flat_map(|definition| definition.steps).filter(|step| step.in_line);
    let lines: BTreeSet<_> = steps.map(|step| step.path).collect();
    assert_eq!(lines, BTreeSet::from(ocim::app::IN_LINE));
}

#[test]
fn every_step_that_holds_nobodys_process_is_declared_so() {
    let limits = Limits::default();
    let mut watching = 0;
    for definition in definitions() {
        for step in definition.steps {
            let name = format!("{}.{}", definition.name, step.path);
            let waits = ["await_", "claim_", "prove_", "drain_", "note_boot"];
            let watches = waits.iter().any(|begin| step.path.starts_with(begin))
                || PLAYBOOK_STEPS.contains(&step.path)
                || (step.timeout)(&limits) > WORK_MAX;
            assert_eq!(step.watches, watches, "{name}");
            watching += usize::from(watches);
        }
    }
    report_count("steps that only wait or watch", "declared", watching);
}

/// What a run looks like whose nodes died again and again while they were at this step; `outlives`: a
/// call of theirs came back before, and asked to be made again.
fn after_deaths(definition: &Definition, step: &Step, is_undo: bool, outlives: bool) -> Run {
    let name = || step.path.to_owned();
    let (attempt, deadline, at) = (1, Timestamp::MAX_UTC, None);
    let intended = Event::StepIntended { step: name(), attempt, key: Uuid::nil(), deadline, at };
    let started = Event::Started {
        definition: definition.name.to_owned(),
        version: definition.version,
        input: Value::Null,
        subject: String::new(),
        deadline: None,
    };
    let mut events = vec![started];
    let before = definition.steps.iter().take_while(|it| it.path != step.path);
    events.extend(before.map(|it| Event::StepSkipped {
        step: it.path.to_owned(),
        reason: "not needed".to_owned(),
    }));
    events.push(intended);
    if is_undo {
        events.push(Event::UnwindBegan(Cause::Deadline));
        events.push(Event::UndoIntended { step: name(), attempt, deadline, at });
    }
    for epoch in 1..=100 {
        events.push(Event::LeaseTaken { node: Uuid::nil(), epoch, orderly: false });
        events.push(Event::StepResumed { step: name() });
        if outlives {
            events.push(Event::StepOutlived { step: name() });
        }
    }
    Saga::fold(&events).unwrap()
}

#[test]
fn nodes_that_die_leave_a_run_stuck_where_they_work_and_never_where_they_watch() {
    let mut tried = 0;
    for definition in definitions() {
        let plan = definition.plan(&Limits::default());
        for step in definition.steps {
            let ways = [false, true].into_iter().filter(|undo| !undo || step.kind.undo().is_some());
            for is_undo in ways {
                let is_stuck = |outlives| {
                    let run = after_deaths(definition, step, is_undo, outlives);
                    let directives = next(&plan, &run, Timestamp::UNIX_EPOCH);
                    matches!(
                        &directives[..],
                        [Directive::DeclareStuck { code: StuckCode::CrashLoop, step: at, .. }]
                            if at == step.path
                    )
                };
                let name = format!("{}.{} (undo: {is_undo})", definition.name, step.path);
                assert_eq!(is_stuck(false), is_undo || !step.watches, "{name}");
                assert!(!is_stuck(true), "{name}: it waits for what goes on outside");
                tried += 1;
            }
        }
    }
    report_count("steps whose nodes die again and again", "tried", tried);
}

#[tokio::test(start_paused = true)]
async fn each_trigger_starts_its_process_with_the_run_that_it_names() {
    let stage = Stage::new().await;
    let ask = LaunchAsk {
        queue: false,
        then: OnSuccess { activate: true, deactivate_others: true },
        attempts: Attempts::ONE,
    };
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
        // A launch that ended well has no run behind it, nor a machine that boots for the first time.
        let quiet = ["instance.launch_settled", "server.booting_started"];
        let asks = !quiet.contains(&event.kind.as_str());
        let is_trigger = triggers().any(|kind| kind == event.kind);
        assert_eq!(request.is_some(), is_trigger && asks, "{}", event.kind);
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
        ("instance.created", "publish_metadata"),
        ("instance.launch_requested", "launch_appserver"),
        ("instance.traffic_assigned", "update_monitors"),
        ("instance.traffic_released", "publish_metadata"),
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
