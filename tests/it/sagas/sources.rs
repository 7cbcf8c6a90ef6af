//! Where playbooks come from: looked at first, waited for by all alike, and charged to whom it belongs.

use super::outages::guarded_stage;
use super::runner::await_ends;
use super::stage::{REGION, Stage, somebody};
use ocim::app::{LaunchAsk, Launched};
use ocim::processes::resolve_playbooks::RESOLVE_PLAYBOOKS;
use ocim::processes::world::Limits;
use ocim_adapters::breaker::BreakerState;
use ocim_adapters::faults::Fault;
use ocim_adapters::playbooks::fake::Script;
use ocim_adapters::playbooks::{RunState, Source};
use ocim_domain::appserver::Appserver;
use ocim_domain::port_error::Class;
use ocim_domain::region::{Region, region_id};
use ocim_domain::saga::{Cause, Phase};
use ocim_domain::settings::Defaults;
use serde_json::json;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const OPERATION: &str = "resolve_playbook";

/// That a launch ended before it had made anything, and why.
async fn assert_turned_back(stage: &Stage, launched: &Launched, why: &str) {
    match stage.run(launched.run).await.phase {
        Phase::Unwound(Cause::StepFailed { step, error }) => {
            assert_eq!(step, RESOLVE_PLAYBOOKS);
            assert!(error.contains(why), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

/// How many launches have a slot of the region, and how many wait for one.
async fn slots(stage: &Stage) -> (usize, usize) {
    let stream = region_id(REGION).stream();
    let state = stage.app().journal().load::<Region>(&stream).await.unwrap().state;
    (state.running.len(), state.queue.len())
}

#[tokio::test(start_paused = true)]
async fn what_one_site_asks_for_keeps_no_other_from_its_repository() {
    const WRONG: u32 = 12;
    let (stage, breakers) = guarded_stage().await;
    for nth in 1..=WRONG {
        stage.playbooks.faults.fail(OPERATION, nth, Fault::Before(Class::Permanent));
    }
    let asked = stage.ask_many(WRONG as usize + 1).await;
    let runner = stage.start_runner();
    // Each that failed is told by a mail.
    await_ends(&stage, asked.len() + WRONG as usize).await;
    runner.stop().await;
    let mut completed = 0;
    for launched in &asked {
        match stage.run(launched.run).await.phase {
            Phase::Completed => completed += 1,
            _ => assert_turned_back(&stage, launched, OPERATION).await,
        }
    }
    assert_eq!((completed, stage.cloud.machines().len()), (1, 1));
    let shown = breakers.snapshot();
    assert!(shown.iter().all(|breaker| breaker.state == BreakerState::Closed), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_does_not_answer_is_waited_for_by_one_as_by_many() {
    for count in [1, 3] {
        let (stage, _) = guarded_stage().await;
        stage.playbooks.faults.fail_always(OPERATION, Fault::Before(Class::Transient));
        stage.ask_many(count).await;
        let runner = stage.start_runner();
        tokio::time::sleep(20 * MINUTE).await;
        assert_eq!(slots(&stage).await, (0, 0), "nobody holds a slot meanwhile");
        stage.playbooks.faults.clear();
        for run in await_ends(&stage, count).await {
            assert_eq!(stage.run(run).await.phase, Phase::Completed);
        }
        runner.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_repository_that_never_answers_is_waited_for_no_longer_than_the_longest_wait() {
    for count in [1, 3] {
        let (stage, _) = guarded_stage().await;
        stage.playbooks.faults.fail_always(OPERATION, Fault::Before(Class::Transient));
        let asked = stage.ask_many(count).await;
        let runner = stage.start_runner();
        tokio::time::sleep(Limits::default().source_wait / 2).await;
        for launched in &asked {
            assert_eq!(stage.run(launched.run).await.phase, Phase::Forward);
        }
        tokio::time::sleep(Limits::default().source_wait / 2 + 5 * MINUTE).await;
        runner.stop().await;
        for launched in &asked {
            assert_turned_back(&stage, launched, "failed as ordered").await;
        }
        assert_eq!((slots(&stage).await, stage.cloud.machines().len()), ((0, 0), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn the_commit_that_was_looked_at_is_played_and_told() {
    let stage = Stage::new().await;
    let defaults = Defaults::new("example.com", REGION);
    let repository = &defaults.configuration_source_repo_url;
    let version = &defaults.configuration_version;
    for commit in ["a".repeat(40), "b".repeat(40)] {
        stage.playbooks.move_version(repository, version, &commit);
        let launched = stage.launch().await;
        let stream = launched.appserver.stream();
        let appserver = stage.app().journal().load::<Appserver>(&stream).await.unwrap().state;
        let frozen = &appserver.present().unwrap().launched;
        assert_eq!(frozen.configuration_commit.as_ref(), Some(&commit));
        let run = stage.run(launched.run).await;
        assert_eq!(run.outputs[RESOLVE_PLAYBOOKS]["commit"], *commit);
        let played = stage.playbooks.list_started();
        let expected = Source::Git { repository: repository.clone(), version: commit };
        assert!(played.iter().any(|play| play.source == expected), "{expected} is not played");
    }
}

#[tokio::test(start_paused = true)]
async fn a_bundled_playbook_has_no_versions() {
    let stage = Stage::new().await;
    let set = async |version: &str| {
        let change = json!({
            "configuration_source_repo_url": "bundled:demo_site",
            "configuration_version": version,
        });
        let change = change.as_object().unwrap().clone();
        stage.app().change_settings(&somebody(), stage.instance, change, None).await.unwrap();
        let launched = stage.begin_launch(LaunchAsk::default()).await;
        stage.drive(launched.run).await;
        launched
    };
    let launched = set("v0.0.1").await;
    assert_turned_back(&stage, &launched, "bundled:demo_site has no version \"v0.0.1\"").await;
    let default = Defaults::new("example.com", REGION).configuration_version;
    for version in [&default[..], env!("CARGO_PKG_VERSION")] {
        let launched = set(version).await;
        assert_eq!(stage.run(launched.run).await.phase, Phase::Completed, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_playbook_that_found_no_host_fails_the_launch() {
    let stage = Stage::new().await;
    let script = Script { end: RunState::Unmatched, ..Script::default() };
    stage.playbooks.set_default_script(script);
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    match stage.drive(launched.run).await.phase {
        Phase::Unwound(Cause::StepFailed { step, error }) => {
            assert_eq!(step, "run_main_playbook");
            assert!(error.starts_with("no hosts matched"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}
