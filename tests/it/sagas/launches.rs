//! Launches beside each other, cancelled, failed, and fought over by two runners.

use super::crash_store::{Harm, Mark, Moment};
use super::scenarios::{Scenario, assert_sound, look};
use super::stage::{BALANCER, SITE, Stage, somebody};
use ocim::app::{AppError, ForceAsk, LaunchAsk};
use ocim_adapters::faults::Fault;
use ocim_adapters::playbooks::fake::Script;
use ocim_adapters::playbooks::{RunState, TaskFailure};
use ocim_domain::appserver::Status;
use ocim_domain::instance::{Attempts, Instance, OnSuccess};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Cause, Phase, Step};
use ocim_engine::sagas::runner::{DriveError, Pace};

const QUEUED: LaunchAsk = LaunchAsk {
    queue: true,
    then: OnSuccess { activate: false, deactivate_others: false },
    attempts: Attempts::ONE,
};

#[tokio::test(start_paused = true)]
pub(super) async fn the_slower_of_two_drivers_is_fenced_and_has_no_further_effect() {
    let (stage, id) = Scenario::Launch.prepare().await;
    let mut slow = stage.open(id).await.unwrap();
    while !slow.run().steps.contains_key("create_server") {
        slow.advance().await.unwrap();
    }
    let run = stage.drive(id).await;
    assert_eq!(run.phase, Phase::Completed);
    let expected = look(&stage, id, &run).await;
    let calls = stage.cloud.faults.calls("read_machine");
    for _ in 0..3 {
        assert!(matches!(slow.advance().await, Err(DriveError::Fenced)));
    }
    assert_eq!(stage.cloud.faults.calls("read_machine"), calls);
    assert_eq!(look(&stage, id, &run).await, expected);
}

#[tokio::test(start_paused = true)]
async fn two_drivers_in_turn_on_one_run_leave_one_of_them() {
    let (stage, id) = Scenario::Launch.prepare().await;
    let (mut first, mut second) = (stage.open(id).await.unwrap(), stage.open(id).await.unwrap());
    let mut fenced = 0;
    for _ in 0..200 {
        let outcomes = [first.advance().await, second.advance().await];
        fenced += outcomes.iter().filter(|it| matches!(it, Err(DriveError::Fenced))).count();
        for outcome in outcomes {
            if let Ok(Pace::At(time)) = outcome {
                stage.sleep_until(time).await;
            }
        }
    }
    let run = stage.drive(id).await;
    assert_eq!(run.phase, Phase::Completed);
    assert!(fenced > 100, "{fenced}");
    assert_sound(&look(&stage, id, &run).await, "two drivers");
}

#[tokio::test(start_paused = true)]
async fn a_second_launch_is_refused_with_the_run_in_the_way_or_waits_for_its_turn() {
    let stage = Stage::new().await;
    let first = stage.begin_launch(LaunchAsk::default()).await;
    let ask = LaunchAsk::default();
    let refused = stage.app().launch_appserver(&somebody(), stage.instance, ask).await;
    let Err(AppError::Rejected { run: Some(run), .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(run, first.run);

    let second = stage.begin_launch(QUEUED).await;
    assert!(second.queued && second.number == 2);
    let mut waiting = stage.open(second.run).await.unwrap();
    for _ in 0..10 {
        if let Pace::At(time) = waiting.advance().await.unwrap() {
            stage.sleep_until(time).await;
        }
    }
    let step = &waiting.run().steps["await_turn"];
    assert!(matches!(step, Step::Intended { .. }), "{step:?}");
    assert_eq!(waiting.run().steps.len(), 1);
    assert!(stage.cloud.machines().is_empty());

    assert_eq!(stage.drive(first.run).await.phase, Phase::Completed);
    let run = stage.drive(second.run).await;
    let outcome = look(&stage, second.run, &run).await;
    assert_sound(&outcome, "the second launch");
    assert_eq!(outcome.machines.len(), 2);
    assert!(outcome.appservers.values().all(|end| end.status == Status::Running));
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_fails_or_is_cancelled_lets_the_next_one_begin() {
    for is_cancelled in [false, true] {
        let stage = Stage::new().await;
        let first = stage.begin_launch(LaunchAsk::default()).await;
        let second = stage.begin_launch(QUEUED).await;
        if is_cancelled {
            // Before it did anything at all.
            stage.cancel(first.run).await;
        } else {
            stage.cloud.set_boot_fault(Some("No valid host was found."));
        }
        let phase = stage.drive(first.run).await.phase;
        assert!(matches!(phase, Phase::Unwound(_)), "{phase:?}");
        stage.cloud.set_boot_fault(None);
        let run = stage.drive(second.run).await;
        let outcome = look(&stage, second.run, &run).await;
        assert_sound(&outcome, "the second launch");
        assert_eq!(outcome.appservers[&2].status, Status::Running);
        assert_eq!(outcome.machines.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_playbook_is_told_by_its_task_and_words() {
    let stage = Stage::new().await;
    let site = stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap();
    let master = &site.state.present().unwrap().settings;
    let master = master.secret_key_b64encoded.open().unwrap().to_owned();
    let at = TaskFailure {
        task: "nginx : install".to_owned(),
        host: "127.1.2.3".to_owned(),
        message: format!("no package\nfor {master}"),
    };
    let end = RunState::Failed { status: 2, at };
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let run = stage.drive(launched.run).await;
    let Phase::Unwound(Cause::StepFailed { step, error }) = &run.phase else { panic!("{run:?}") };
    assert_eq!(step, "run_main_playbook");
    assert_eq!(error, "task 'nginx : install' on 127.1.2.3: no package for ***");
}

#[tokio::test(start_paused = true)]
async fn a_failed_configuration_keeps_its_machine_until_somebody_terminates_it() {
    let stage = Stage::new().await;
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let run = stage.drive(launched.run).await;
    let Phase::Unwound(Cause::StepFailed { step, error }) = &run.phase else { panic!("{run:?}") };
    assert_eq!(step, "run_main_playbook");
    assert!(error.contains("exit status 2"), "{error}");

    let log = stage.app().journal().store();
    let events = log.read_stream(&launched.run.stream(), 0).await.unwrap();
    let of_server = events
        .iter()
        .find(|it| it.kind.starts_with("saga.undo") && it.data["step"] == "create_server");
    let kept = of_server.unwrap();
    assert_eq!(kept.kind, "saga.undo_skipped");
    assert!(kept.data["reason"].as_str().unwrap().contains("kept for debugging"));
    let failed = stage.events(&["appserver.configuration_failed"]).await.remove(0);
    assert!(failed.data["keeps_server_until"].is_string(), "{failed:?}");
    let outcome = look(&stage, launched.run, &run).await;
    assert_sound(&outcome, "kept");
    assert_eq!((outcome.machines.len(), outcome.appservers[&1].status), (1, Status::Failed));

    let termination = stage.begin_termination(launched.appserver).await;
    let run = stage.drive(termination).await;
    let outcome = look(&stage, termination, &run).await;
    assert_sound(&outcome, "terminated");
    assert!(outcome.machines.is_empty() && outcome.appservers[&1].server_gone);
    assert_eq!(outcome.appservers[&1].status, Status::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_launch_completes_though_its_appserver_is_terminated_at_once() {
    let (stage, id) = Scenario::Launch.prepare().await;
    stage
        .drive_until(id, |run| matches!(run.steps.get("settle_launch"), Some(Step::Done { .. })))
        .await;
    let state =
        stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap().state;
    let appserver = state.present().unwrap().appservers[0];
    let termination = stage.begin_termination(appserver).await;
    assert_eq!(stage.drive(termination).await.phase, Phase::Completed);
    assert_eq!(stage.drive(id).await.phase, Phase::Completed);
}

#[tokio::test(start_paused = true)]
async fn what_ended_while_nobody_looked_is_seen_even_after_its_time() {
    for (scenario, step) in [
        (Scenario::Launch, "await_server"),
        (Scenario::Launch, "run_main_playbook"),
        (Scenario::Launch, "await_heartbeat"),
        (Scenario::ActivateSecond, "drain_connections"),
    ] {
        let (stage, id) = scenario.prepare().await;
        let expected = {
            let (stage, id) = scenario.prepare().await;
            let run = stage.drive(id).await;
            look(&stage, id, &run).await
        };
        // One look finds it.
        stage.playbooks.set_default_script(Script { looks: 1, ..Script::default() });
        let mark = Mark::Step(&["saga.step_intended"], step);
        stage.store.order(mark, Moment::After, Harm::Crash);
        assert!(stage.drive_to_crash(id).await);
        tokio::time::sleep(std::time::Duration::from_secs(4 * 3600)).await;
        let run = stage.drive(id).await;
        let outcome = look(&stage, id, &run).await;
        assert_eq!(outcome.phase, expected.phase, "{step}");
        assert_eq!(outcome.serving, expected.serving, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_active_appserver_leaves_by_force_alone() {
    let stage = Stage::new().await;
    let only = stage.launch_active().await;
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
    let ask = ForceAsk::default();
    let refused = stage.app().deactivate_appserver(&somebody(), only.appserver, ask).await;
    assert!(matches!(refused, Err(AppError::Rejected { .. })), "{refused:?}");
    let by = ocim::app::Caller { reason: Some("moving".to_owned()), ..somebody() };
    let ask = ForceAsk { force: true };
    let id = stage.app().deactivate_appserver(&by, only.appserver, ask).await.unwrap().value;
    stage.start(id).await;
    let run = stage.drive(id).await;
    assert_eq!(run.phase, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["preliminary-page"]);
    assert_sound(&look(&stage, id, &run).await, "forced");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_may_be_rebooting_is_not_rebooted_again() {
    let stage = Stage::new().await;
    stage.cloud.faults.fail("reboot_machine", 1, Fault::After(Class::Ambiguous));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until(launched.run, |run| run.steps.contains_key("reboot_server")).await;
    // Its reply is lost, and for a while nobody answers.
    let logins = stage.shell.faults.calls("read_boot_id");
    for nth in logins + 1..logins + 20 {
        stage.shell.faults.fail("read_boot_id", nth, Fault::Before(Class::Transient));
    }
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    assert!(stage.shell.faults.calls("read_boot_id") > logins + 20);
    assert_eq!(stage.cloud.faults.calls("reboot_machine"), 1);
}
