//! What a failed launch leaves, and how it goes: kept until its date, then taken away once.

use super::former::definitions;
use super::scenarios::{Scenario, assert_sound, look};
use super::stage::{Stage, somebody};
use ocim::app::{Caller, LaunchAsk};
use ocim::clean_up::KeptServers;
use ocim::processes::step::{Definition, Kind};
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::Timestamp;
use ocim_domain::appserver::{Appserver, Present, Status, clean_up_run};
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::saga::{Phase, Run, Saga};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An Appserver whose configuration failed.
async fn fail_launch(stage: &Stage) -> AppserverId {
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert!(matches!(stage.drive(launched.run).await.phase, Phase::Unwound(_)));
    launched.appserver
}

async fn load(stage: &Stage, id: AppserverId) -> Present {
    let loaded = stage.app().journal().load::<Appserver>(&id.stream()).await.unwrap().state;
    loaded.present().unwrap().clone()
}

async fn requests(stage: &Stage) -> usize {
    stage.events(&["appserver.clean_up_requested"]).await.len()
}

fn because() -> Caller {
    Caller { reason: Some("I look at it".to_owned()), ..somebody() }
}

#[tokio::test(start_paused = true)]
async fn a_failed_configuration_keeps_its_machine_until_its_date_and_one_run_takes_it() {
    let stage = Stage::new().await;
    let id = fail_launch(&stage).await;
    let kept = load(&stage, id).await;
    let due = kept.keeps_server_until.unwrap();
    assert_eq!((kept.status, kept.active, kept.server_gone), (Status::Failed, false, false));
    assert!(kept.failure.unwrap().contains("exit status 2"));
    assert_eq!(stage.cloud.machines().len(), 1);
    let (mut one, mut other) =
        (KeptServers::new(stage.app().clone()), { KeptServers::new(stage.app().clone()) });
    assert_eq!(one.look().await.unwrap(), Some(due));
    stage.sleep_until(due - Duration::from_secs(1)).await;
    one.look().await.unwrap();
    assert_eq!(requests(&stage).await, 0, "it is not over yet");
    stage.sleep_until(due).await;
    // Two nodes, and one that has just started.
    let (first, second) = tokio::join!(one.look(), other.look());
    assert_eq!((first.unwrap(), second.unwrap()), (None, None));
    KeptServers::new(stage.app().clone()).look().await.unwrap();
    assert_eq!(requests(&stage).await, 1);
    let run = clean_up_run(id, due);
    stage.start(run).await;
    let ended = stage.drive(run).await;
    assert_eq!(ended.phase, Phase::Completed);
    assert_sound(&look(&stage, run, &ended).await, "clean-up");
    assert!(stage.cloud.machines().is_empty() && load(&stage, id).await.server_gone);
    one.look().await.unwrap();
    assert_eq!(requests(&stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_keeps_it_longer_calls_the_clean_up_off() {
    let stage = Stage::new().await;
    let id = fail_launch(&stage).await;
    let due = load(&stage, id).await.keeps_server_until.unwrap();
    let mut kept = KeptServers::new(stage.app().clone());
    stage.sleep_until(due).await;
    kept.look().await.unwrap();
    let first = clean_up_run(id, due);
    stage.start(first).await;
    let later: Timestamp = due + DAY;
    assert!(stage.app().keep_server(&somebody(), id, later).await.is_err(), "no reason");
    stage.app().keep_server(&because(), id, later).await.unwrap();
    assert!(matches!(stage.drive(first).await.phase, Phase::Unwound(_)));
    assert_eq!(stage.cloud.machines().len(), 1, "it is there still");
    assert_eq!(kept.look().await.unwrap(), Some(later));
    stage.sleep_until(later).await;
    kept.look().await.unwrap();
    let second = clean_up_run(id, later);
    stage.start(second).await;
    assert_eq!(stage.drive(second).await.phase, Phase::Completed);
    assert!(stage.cloud.machines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_goes_at_once_when_asked_and_a_cancelled_clean_up_leaves_it() {
    let stage = Stage::new().await;
    let id = fail_launch(&stage).await;
    let run = stage.app().clean_up_appserver(&because(), id).await.unwrap().value;
    stage.start(run).await;
    stage.drive_until(run, |run| run.steps.contains_key("start_clean_up")).await;
    assert!(
        stage.app().keep_server(&because(), id, stage.app().journal().now() + DAY).await.is_err()
    );
    stage.cancel(run).await;
    assert!(matches!(stage.drive(run).await.phase, Phase::Unwound(_)));
    let left = load(&stage, id).await;
    assert!(!left.is_leaving() && left.keeps_server_until.is_some());
    assert_eq!(stage.cloud.machines().len(), 1);
    let run = stage.app().clean_up_appserver(&because(), id).await.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(stage.cloud.machines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failed_configuration_is_taken_out_of_traffic() {
    let stage = Stage::new().await;
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until(launched.run, |run| run.steps.contains_key("start_configuring")).await;
    let ask = ocim::app::ActivateAsk { deactivate_others: false, force: true };
    let forced = stage.app().activate_appserver(&somebody(), launched.appserver, ask).await;
    let forced = forced.unwrap().value;
    stage.start(forced).await;
    assert_eq!(stage.drive(forced).await.phase, Phase::Completed);
    stage.drive(launched.run).await;
    let asked = stage.events(&["appserver.deactivation_requested"]).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    let run: RunId = asked[0].data["run"].as_str().unwrap().parse().unwrap();
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let left = load(&stage, launched.appserver).await;
    assert_eq!((left.status, left.active), (Status::Failed, false));
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_ssh_says_what_it_waits_for_now_and_then() {
    let stage = Stage::new().await;
    let fault = ocim_adapters::faults::Fault::Before(ocim_domain::port_error::Class::Transient);
    stage.shell.faults.fail_always("read_boot_id", fault);
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let end = stage.app().journal().now() + Duration::from_secs(20 * 60);
    stage.drive_until(launched.run, |_| stage.app().journal().now() > end).await;
    let lines = stage.world.logs.read_lines(launched.run, 1, usize::MAX).await.unwrap();
    let waits = lines.iter().filter(|line| line.line.text.starts_with("waiting: no SSH yet"));
    let count = waits.count();
    assert!((3..=6).contains(&count), "{count} lines in twenty minutes");
}

#[tokio::test(start_paused = true)]
async fn a_cancel_ends_a_preparation_within_two_seconds() {
    let stage = Stage::new().await;
    stage.playbooks.set_preparation(Duration::from_secs(1800));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let preparing = async {
        // The first thing that git has to do for it.
        while stage.playbooks.faults.calls("resolve_playbook") == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        stage.cancel(launched.run).await;
        stage.app().journal().now()
    };
    let turned = async {
        let turned = |run: &Run| run.phase != Phase::Forward;
        stage.drive_until(launched.run, turned).await;
        stage.app().journal().now()
    };
    let (cancelled, turned) = tokio::join!(preparing, turned);
    assert!(turned - cancelled < chrono::TimeDelta::seconds(2), "{}", turned - cancelled);
    assert!(matches!(stage.drive(launched.run).await.phase, Phase::Unwound(_)));
    assert!(stage.cloud.machines().is_empty() && stage.playbooks.list_running().is_empty());
}

#[tokio::test(start_paused = true)]
async fn both_ways_out_of_a_clean_up_are_the_same_after_a_crash() {
    for scenario in [Scenario::CleanUp, Scenario::CleanUpCancelled] {
        let (stage, id) = scenario.prepare().await;
        let run = stage.drive_by_many(id).await;
        assert_sound(&look(&stage, id, &run).await, &format!("{scenario:?}"));
        let run = stage.app().journal().load::<Saga>(&id.stream()).await.unwrap().state.unwrap();
        assert!(run.phase.is_over());
    }
}

/// What becomes of a definition's steps when its run turns back, as one row of the table.
fn describe(definition: &Definition) -> String {
    let pivot = definition.pivot().unwrap().path;
    let before = definition.steps.iter().take_while(|step| step.path != pivot);
    let (mut undone, mut kept) = (vec![], vec![]);
    for step in before {
        match step.kind {
            Kind::Compensable(_) => undone.push(format!("`{}`", step.path)),
            Kind::CompensableUnlessFailedAfter(_, from, _) => {
                undone.push(format!("`{}`", step.path));
                kept.push(format!("`{}` once `{from}` failed", step.path));
            }
            Kind::NoUndo(_) | Kind::Pivot(_) | Kind::Retryable(_) => {}
        }
    }
    let list = |items: Vec<String>| {
        if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
    };
    format!("| `{}` | {} | {} | `{pivot}` |", definition.name, list(undone), list(kept))
}

#[test]
fn the_document_says_of_each_process_what_its_table_says() {
    let document = include_str!("../../../docs/FAILURES.md");
    assert!(document.lines().count() <= 80);
    let all = definitions();
    let is_newest = |it: &&&Definition| {
        all.iter().all(|other| other.name != it.name || other.version <= it.version)
    };
    for definition in all.iter().filter(is_newest) {
        let row = describe(definition);
        assert!(document.lines().any(|line| line == row), "docs/FAILURES.md lacks\n{row}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_instance_keeps_a_failed_machine_until_the_hold_is_over() {
    let stage = Stage::new().await;
    let id = fail_launch(&stage).await;
    let due = load(&stage, id).await.keeps_server_until.unwrap();
    let hold_ends = due + DAY;
    stage.app().hold_instance(&because(), stage.instance, hold_ends).await.unwrap();
    let mut kept = KeptServers::new(stage.app().clone());
    stage.sleep_until(due).await;
    kept.look().await.unwrap();
    assert_eq!(requests(&stage).await, 0, "somebody looks at it");
    stage.sleep_until(hold_ends).await;
    kept.look().await.unwrap();
    assert_eq!(requests(&stage).await, 1);
}
