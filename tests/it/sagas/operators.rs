//! Operators' verbs on real processes: seen dry, then done, and the run goes on.

use super::former::definitions;
use super::outages::guarded_stage;
use super::runner::await_ends;
use super::scenarios::{Scenario, assert_sound, look};
use super::stage::somebody;
use ocim::app::AppError;
use ocim_adapters::faults::Fault;
use ocim_adapters::logs::LogLine;
use ocim_domain::event::{DomainEvent, NewEvent};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Event, Phase, Run, Step, StuckCode, Verb};
use ocim_engine::sagas::runner::{Pace, Runner};
use serde_json::json;
use uuid::Uuid;

#[tokio::test(start_paused = true)]
async fn a_stuck_termination_is_explained_seen_dry_retried_and_completes() {
    let (stage, id) = Scenario::Terminate.prepare().await;
    stage.cloud.faults.fail_always("read_machine", Fault::Before(Class::Permanent));
    let run = stage.drive(id).await;
    assert!(run.phase.is_stuck(), "{run:?}");
    let told = stage.app().explain_run(&somebody(), id).await.unwrap();
    assert_eq!(told.code, Some(StuckCode::StepFailed));
    assert!(told.sentence.contains("stuck at `delete_server`"), "{}", told.sentence);

    stage.cloud.faults.clear();
    let events = stage.history(id).await.len();
    let retry = |dry_run| {
        let verb = Verb::RetryStep { step: "delete_server".to_owned() };
        let reason = "the cloud is back".to_owned();
        let app = stage.app().clone();
        async move { app.operate_run(&somebody(), id, verb, reason, dry_run).await.unwrap().value }
    };
    let told = retry(true).await;
    assert_eq!(told.last().map(String::as_str), Some("complete"), "{told:?}");
    assert_eq!(stage.history(id).await.len(), events, "a dry run writes nothing");
    assert_eq!(retry(false).await, told);
    let run = stage.drive(id).await;
    assert_eq!(run.phase, Phase::Completed);
    assert_sound(&look(&stage, id, &run).await, "retried");
}

fn assert_blank_refused(outcome: &Result<(), AppError>) {
    let Err(AppError::Invalid(violations)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(violations[0].field, "reason");
    assert_eq!(violations[0].rule, "must not be blank");
}

#[tokio::test(start_paused = true)]
async fn a_verb_that_does_not_fit_is_refused_and_so_is_an_unknown_run() {
    let (stage, id) = Scenario::Launch.prepare().await;
    let app = stage.app();
    let refused =
        app.operate_run(&somebody(), id, Verb::ResumeForward, "on".to_owned(), true).await;
    assert!(matches!(refused, Err(AppError::Rejected { .. })), "{refused:?}");
    for dry_run in [true, false] {
        let refused =
            app.operate_run(&somebody(), id, Verb::Abandon, " ".to_owned(), dry_run).await;
        assert_blank_refused(&refused.map(drop));
        let cancelled = app.cancel_run(&somebody(), id, "\n".to_owned(), dry_run).await;
        assert_blank_refused(&cancelled.map(drop));
    }
    let nobody = RunId(uuid::Uuid::nil());
    let unknown = app.explain_run(&somebody(), nobody).await;
    assert!(matches!(unknown, Err(AppError::NotFound { .. })), "{unknown:?}");
}

#[tokio::test(start_paused = true)]
async fn traffic_that_is_recorded_stays_where_it_is_when_its_run_is_forced_back() {
    for scenario in [Scenario::ActivateSecond, Scenario::Deactivate, Scenario::Terminate] {
        let (stage, id) = scenario.prepare().await;
        let is_recorded =
            |run: &Run| matches!(run.steps.get("record_traffic"), Some(Step::Done { .. }));
        stage.drive_until(id, is_recorded).await;
        let reason = "a mistake".to_owned();
        stage.app().operate_run(&somebody(), id, Verb::ForceUnwind, reason, false).await.unwrap();
        let fails = |step: &Step| matches!(step, Step::UndoWaiting { .. });
        let run = stage.drive_until(id, |run| run.steps.values().any(fails)).await;
        assert!(matches!(run.phase, Phase::Unwound(_)), "{scenario:?}: {run:?}");
        assert_sound(&look(&stage, id, &run).await, &format!("{scenario:?} forced back"));
    }
}

#[tokio::test(start_paused = true)]
async fn what_stays_behind_is_told_as_it_was_recorded_though_a_step_moved_meanwhile() {
    let (stage, id) = Scenario::Launch.prepare().await;
    stage.drive_until(id, |run| run.steps.contains_key("create_server")).await;
    let output = json!({ "machine": "made meanwhile" });
    let event = Event::StepDone { step: "create_server".to_owned(), output };
    let (kind, schema, data) = event.encode().unwrap();
    let meta = somebody().metadata();
    let event = NewEvent { id: Uuid::from_u128(9), kind, schema, data, meta };
    // Between the look at the run and the look that is decided on.
    stage.store.append_meanwhile(id.stream(), 1, event);
    let reason = "enough".to_owned();
    let told = stage.app().operate_run(&somebody(), id, Verb::Abandon, reason, false).await;
    let told = told.unwrap().value;
    let Phase::Abandoned { left_behind, .. } = stage.run(id).await.phase else { panic!() };
    assert_eq!(told.len(), 1 + left_behind.len());
    assert!(told.iter().any(|told| told.contains("made meanwhile")), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_run_is_explained_with_the_node_that_has_its_lease_until_when() {
    let (stage, id) = Scenario::Launch.prepare().await;
    let nobody = stage.app().explain_run(&somebody(), id).await.unwrap();
    assert_eq!((nobody.holder, nobody.held_until), (None, None));
    let (one, two) = (stage.node(1), stage.node(2));
    one.take(id).await.unwrap();
    stage.sleep_until(stage.app().journal().now() + stage.world.limits.lease_ttl).await;
    two.take(id).await.unwrap();
    let told = stage.app().explain_run(&somebody(), id).await.unwrap();
    let until = stage.app().journal().now() + stage.world.limits.lease_ttl;
    assert_eq!((told.holder, told.held_until), (Some(two.node()), Some(until)));
    two.release(id).await;
    let told = stage.app().explain_run(&somebody(), id).await.unwrap();
    assert!(told.sentence.contains("no node holds it"), "{}", told.sentence);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_for_a_circuit_is_explained_with_its_provider() {
    let (stage, _) = guarded_stage().await;
    stage.cloud.faults.fail_always("ensure_security_groups", Fault::Before(Class::Transient));
    let (stage, id) = Scenario::Launch.prepare_on(stage).await;
    let mut driver = stage.open(id).await.unwrap();
    let mut told = stage.app().explain_run(&somebody(), id).await.unwrap();
    for _ in 0..100 {
        let pace = driver.advance().await.unwrap();
        told = stage.app().explain_run(&somebody(), id).await.unwrap();
        match pace {
            _ if told.sentence.contains("put off") => break,
            Pace::At(time) => stage.sleep_until(time).await,
            _ => {}
        }
    }
    assert_eq!(told.steps, ["ensure_security_groups"]);
    let why = "waits for `ensure_security_groups`, which is put off: ";
    let whose = "; the circuit of region RegionOne is open until ";
    assert!(told.sentence.contains(why) && told.sentence.contains(whose), "{}", told.sentence);
    let lines = stage.world.logs.read_lines(id, 1, usize::MAX).await.unwrap();
    let says =
        |line: &LogLine| line.line.text.starts_with("put off: ") && line.line.text.contains(whose);
    assert_eq!(lines.iter().filter(|line| says(line)).count(), 1, "{lines:?}");
    let until = told.until.unwrap();
    stage.sleep_until(until).await;
    let told = stage.app().explain_run(&somebody(), id).await.unwrap();
    assert!(!told.sentence.contains("put off"), "{}", told.sentence);
}

#[tokio::test(start_paused = true)]
async fn a_run_stuck_between_undos_is_forced_to_go_on_and_comes_to_its_end() {
    let (stage, id) = Scenario::LaunchMisconfigured.prepare().await;
    stage.drive_until(id, |run| matches!(run.phase, Phase::Unwinding(_))).await;
    let mut others = definitions();
    others.retain(|known| known.name != "launch_appserver");
    let runner = Runner::start(stage.world.clone(), &others, stage.node(2));
    await_ends(&stage, 1).await;
    runner.stop().await;
    let run = stage.run(id).await;
    let Phase::Stuck { code, cause: Some(cause), .. } = run.phase else { panic!("{run:?}") };
    assert_eq!(code, StuckCode::UnknownDefinition);
    let reason = "it is known again".to_owned();
    stage.app().operate_run(&somebody(), id, Verb::ForceUnwind, reason, false).await.unwrap();
    let run = stage.drive(id).await;
    assert_eq!(run.phase, Phase::Unwound(cause), "what it keeps depends on its cause");
    assert_eq!(stage.cloud.machines().len(), 1, "the machine is kept for debugging");
}
