//! The runner itself: it takes up what was asked for, goes on after trouble, and stops.

use super::crash_store::{Harm, Mark, Moment};
use super::scenarios::{assert_sound, look};
use super::stage::{BALANCER, SITE, Stage, somebody};
use futures_util::StreamExt;
use ocim::app::{LaunchAsk, Launched};
use ocim::processes::update_monitors::UPDATE_MONITORS;
use ocim_domain::event::{Position, Recorded};
use ocim_domain::ids::RunId;
use ocim_domain::instance::{Attempts, OnSuccess};
use ocim_domain::saga::{Phase, Saga};
use ocim_engine::store::{Filter, SubscriptionEvent};
use std::collections::BTreeSet;
use std::time::Duration;

/// Virtual time: far more than any run of these tests takes.
pub(crate) const LONG: Duration = Duration::from_secs(7 * 24 * 3600);
const BOTH: LaunchAsk = LaunchAsk {
    queue: false,
    then: OnSuccess { activate: true, deactivate_others: true },
    attempts: Attempts::ONE,
};

async fn ask(stage: &Stage) -> Launched {
    stage.app().launch_appserver(&somebody(), stage.instance, BOTH).await.unwrap().value
}

/// How runs end, or come to rest.
pub(crate) const ENDS: [&str; 3] = ["saga.completed", "saga.unwound", "saga.stuck"];

/// Whether a run is one that people ask for, and not one that follows traffic whenever it comes to that.
pub(crate) async fn is_asked_for(stage: &Stage, ended: &Recorded) -> bool {
    stage.run(RunId(ended.stream.id())).await.definition != UPDATE_MONITORS.name
}

/// Waits until so many runs have ended that people ask for; tells which.
pub(crate) async fn await_ends(stage: &Stage, count: usize) -> BTreeSet<RunId> {
    let filter = Filter { kinds: ENDS.map(str::to_owned).to_vec(), ..Filter::default() };
    let mut events = stage.app().journal().store().subscribe_all(Position::START, filter);
    let mut ended = BTreeSet::new();
    let all = async {
        while ended.len() < count {
            if let Some(SubscriptionEvent::Event(event)) = events.next().await
                && is_asked_for(stage, &event).await
            {
                ended.insert(RunId(event.stream.id()));
            }
        }
    };
    tokio::time::timeout(LONG, all).await.expect("the runs do not end");
    ended
}

async fn assert_all_completed(stage: &Stage, runs: BTreeSet<RunId>) {
    for id in runs {
        let run = stage.app().journal().load::<Saga>(&id.stream()).await.unwrap().state.unwrap();
        assert_eq!(run.phase, Phase::Completed, "{}", run.definition);
        assert_sound(&look(stage, id, &run).await, &run.definition);
    }
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_launch_and_its_activation_are_taken_up_and_their_logs_are_closed() {
    let stage = Stage::new().await;
    let runner = stage.start_runner();
    let launched = ask(&stage).await;
    let runs = await_ends(&stage, 2).await;
    // A log is closed right after its run has ended: following it ends then.
    let follow = stage.world.logs.follow(launched.run, 1).collect::<Vec<_>>();
    let lines = tokio::time::timeout(LONG, follow).await.expect("the log stays open");
    assert!(lines.iter().any(|line| line.line.text == "PLAY RECAP"), "{lines:?}");
    runner.stop().await;
    assert_all_completed(&stage, runs).await;
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_while_nobody_ran_is_taken_up_at_the_start() {
    let stage = Stage::new().await;
    ask(&stage).await;
    let runner = stage.start_runner();
    let runs = await_ends(&stage, 2).await;
    runner.stop().await;
    assert_all_completed(&stage, runs).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_written_although_the_store_seemed_away_fences_nobody() {
    for moment in [Moment::Before, Moment::After] {
        let stage = Stage::new().await;
        let mark = Mark::Step(&["saga.step_done"], "create_server");
        stage.store.order(mark, moment, Harm::Outage);
        let runner = stage.start_runner();
        ask(&stage).await;
        let runs = await_ends(&stage, 2).await;
        assert!(stage.store.struck());
        runner.stop().await;
        assert_all_completed(&stage, runs).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_runner_leaves_its_runs_to_the_next_one() {
    let stage = Stage::new().await;
    stage.cloud.set_boot_reads(1_000);
    let runner = stage.start_runner();
    let launched = ask(&stage).await;
    let filter = Filter { kinds: vec!["server.machine_recorded".to_owned()], ..Filter::default() };
    let mut events = stage.app().journal().store().subscribe_all(Position::START, filter);
    while !matches!(events.next().await, Some(SubscriptionEvent::Event(_))) {}
    runner.stop().await;
    let run = stage.app().journal().load::<Saga>(&launched.run.stream()).await.unwrap().state;
    assert_eq!(run.unwrap().phase, Phase::Forward);
    let runner = stage.start_runner();
    let runs = await_ends(&stage, 2).await;
    runner.stop().await;
    assert_all_completed(&stage, runs).await;
}

#[tokio::test(start_paused = true)]
async fn a_cancel_wakes_a_run_that_waits() {
    let stage = Stage::new().await;
    stage.cloud.set_boot_reads(u32::MAX);
    let runner = stage.start_runner();
    let launched = ask(&stage).await;
    let filter = Filter { kinds: vec!["server.machine_recorded".to_owned()], ..Filter::default() };
    let mut events = stage.app().journal().store().subscribe_all(Position::START, filter);
    while !matches!(events.next().await, Some(SubscriptionEvent::Event(_))) {}
    stage.cancel(launched.run).await;
    assert_eq!(await_ends(&stage, 1).await, BTreeSet::from([launched.run]));
    runner.stop().await;
    assert!(stage.cloud.machines().is_empty());
}
