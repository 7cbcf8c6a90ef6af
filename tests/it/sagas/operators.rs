//! Operators' verbs on real processes: seen dry, then done, and the run goes on.

use super::scenarios::{Scenario, assert_sound, look};
use super::stage::somebody;
use ocim::adapters::faults::Fault;
use ocim::app::AppError;
use ocim::ports::Class;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Phase, Run, Step, StuckCode, Verb};

#[tokio::test(start_paused = true)]
async fn a_stuck_termination_is_explained_seen_dry_retried_and_completes() {
    let (stage, id) = Scenario::Terminate.prepare().await;
    stage.cloud.faults.fail_always("read_machine", Fault::Before(Class::Permanent));
    let run = stage.drive(id).await;
    assert!(run.phase.is_stuck(), "{run:?}");
    let told = stage.app().explain_run(id).await.unwrap();
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
        let Err(AppError::Rejected { detail, .. }) = refused else { panic!("{refused:?}") };
        assert!(detail.contains("give a reason"), "{detail}");
    }
    let nobody = RunId(uuid::Uuid::nil());
    let unknown = app.explain_run(nobody).await;
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
        let run = stage.drive(id).await;
        assert!(matches!(run.phase, Phase::Unwound(_)), "{scenario:?}: {run:?}");
        assert_sound(&look(&stage, id, &run).await, &format!("{scenario:?} forced back"));
    }
}
