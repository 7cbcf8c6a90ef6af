//! Abandoned runs end as they are, but others get their turn: nothing waits for them for ever.

use super::crash_store::{Harm, Mark, Moment};
use super::runner::{ENDS, LONG, await_ends, is_asked_for};
use super::scenarios::Scenario;
use super::stage::{BALANCER, SITE, Stage, somebody};
use futures_util::StreamExt;
use ocim::app::{ActivateAsk, ForceAsk, LaunchAsk};
use ocim::clean_up::KeptServers;
use ocim_adapters::faults::Fault;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::appserver::{Appserver, Present, Status};
use ocim_domain::event::Position;
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::instance::{Attempts, OnSuccess};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Verb};
use ocim_engine::store::{Filter, SubscriptionEvent};

/// Runs that have ended of those that people ask for.
async fn count_ends(stage: &Stage) -> usize {
    let mut count = 0;
    for end in stage.events(&ENDS).await {
        count += usize::from(is_asked_for(stage, &end).await);
    }
    count
}

async fn abandon(stage: &Stage, run: RunId) {
    let reason = "it helps nobody".to_owned();
    stage.app().operate_run(&somebody(), run, Verb::Abandon, reason, false).await.unwrap();
}

/// Waits until an event of that kind is in the log.
pub(crate) async fn await_event(stage: &Stage, kind: &str) {
    let filter = Filter { kinds: vec![kind.to_owned()], ..Filter::default() };
    let mut events = stage.app().journal().store().subscribe_all(Position::START, filter);
    let told = async { while !matches!(events.next().await, Some(SubscriptionEvent::Event(_))) {} };
    tokio::time::timeout(LONG, told).await.unwrap_or_else(|_| panic!("no {kind}"));
}

async fn appserver(stage: &Stage, id: AppserverId) -> Option<Present> {
    let loaded = stage.app().journal().load::<Appserver>(&id.stream()).await.unwrap();
    loaded.state.present().cloned()
}

/// Has it launch another Appserver, which is refused while a launch is in the way, and gives it
/// traffic, which waits while another run has that.
async fn assert_launches_and_activates(stage: &Stage) {
    let ended = count_ends(stage).await;
    let ask = LaunchAsk {
        queue: false,
        then: OnSuccess { activate: true, deactivate_others: true },
        attempts: Attempts::ONE,
    };
    let asked = stage.app().launch_appserver(&somebody(), stage.instance, ask).await;
    let launched = asked.unwrap().value;
    await_ends(stage, ended + 2).await;
    assert_eq!(stage.run(launched.run).await.phase, Phase::Completed);
    let serving = stage.balancer.serving(BALANCER, SITE);
    assert_eq!(serving, [format!("appserver-{}", launched.number)]);
}

/// The machine that an abandoned run has left goes with its Appserver.
async fn assert_terminates(stage: &Stage, id: AppserverId) {
    let server = appserver(stage, id).await.unwrap().launched.server;
    let ended = count_ends(stage).await;
    let asked = stage.app().terminate_appserver(&somebody(), id, ForceAsk::default()).await;
    await_ends(stage, ended + 1).await;
    assert_eq!(stage.run(asked.unwrap().value).await.phase, Phase::Completed);
    let machines = stage.cloud.machines();
    assert!(machines.iter().all(|machine| machine.key != Some(server.0)), "{machines:?}");
    assert!(appserver(stage, id).await.unwrap().server_gone);
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_is_abandoned_anywhere_gives_its_turn_and_its_appserver_back() {
    let (cancelled, running) = (Some(Status::Cancelled), Some(Status::Running));
    for (step, status) in [
        ("await_turn", None),
        ("await_slot", cancelled),
        ("start_waiting", cancelled),
        ("create_server", cancelled),
        ("run_main_playbook", cancelled),
        ("await_heartbeat", cancelled),
        ("settle_launch", running),
    ] {
        let stage = Stage::new().await;
        let launched = stage.begin_launch(LaunchAsk::default()).await;
        stage.drive_until(launched.run, |run| run.steps.contains_key(step)).await;
        abandon(&stage, launched.run).await;
        // Nobody ran when that was ordered: it is made up for at the start.
        let runner = stage.start_runner();
        await_event(&stage, "instance.launch_settled").await;
        let shown = appserver(&stage, launched.appserver).await;
        assert_eq!(shown.as_ref().map(|shown| shown.status), status, "{step}");
        assert_launches_and_activates(&stage).await;
        if shown.is_some() {
            assert_terminates(&stage, launched.appserver).await;
        }
        runner.stop().await;
        assert_eq!(stage.cloud.machines().len(), 1, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_is_abandoned_while_it_is_driven_gives_back_though_the_store_is_away() {
    let stage = Stage::new().await;
    let runner = stage.start_runner();
    stage.cloud.set_boot_reads(u32::MAX);
    let ask = LaunchAsk::default();
    let asked = stage.app().launch_appserver(&somebody(), stage.instance, ask).await;
    let launched = asked.unwrap().value;
    await_event(&stage, "server.machine_recorded").await;
    stage.cloud.set_boot_reads(0);
    stage.store.order(Mark::Step(&["instance.launch_settled"], ""), Moment::Before, Harm::Outage);
    abandon(&stage, launched.run).await;
    await_event(&stage, "instance.launch_settled").await;
    assert!(stage.store.struck());
    assert_launches_and_activates(&stage).await;
    assert_terminates(&stage, launched.appserver).await;
    runner.stop().await;
    // Another start finds nothing more to give back.
    let events = stage.events(&[]).await.len();
    let runner = stage.start_runner();
    tokio::time::sleep(LONG).await;
    runner.stop().await;
    assert_eq!(stage.events(&[]).await.len(), events);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_abandoned_with_the_traffic_claimed_lets_the_next_one_move_it() {
    for (scenario, step) in [
        (Scenario::ActivateSecond, "claim_traffic"),
        (Scenario::ActivateSecond, "switch_traffic"),
        (Scenario::Deactivate, "withdraw_traffic"),
        (Scenario::Terminate, "record_traffic"),
        (Scenario::CleanUp, "start_clean_up"),
    ] {
        let (stage, run) = scenario.prepare().await;
        stage.playbooks.set_default_script(Script::default());
        let released = stage.events(&["instance.traffic_released"]).await.len();
        stage.drive_until(run, |run| run.steps.contains_key(step)).await;
        abandon(&stage, run).await;
        assert_eq!(stage.events(&["instance.traffic_released"]).await.len(), released);
        let runner = stage.start_runner();
        assert_launches_and_activates(&stage).await;
        if matches!(scenario, Scenario::Terminate | Scenario::CleanUp) {
            assert_terminates(&stage, stage.run(run).await.subject.parse().unwrap()).await;
        }
        runner.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_launch_leaves_its_visitors_where_they_are() {
    let stage = Stage::new().await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until(launched.run, |run| run.steps.contains_key("await_heartbeat")).await;
    let ask = ActivateAsk { deactivate_others: true, force: true };
    let asked = stage.app().activate_appserver(&somebody(), launched.appserver, ask).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    abandon(&stage, launched.run).await;
    let runner = stage.start_runner();
    await_event(&stage, "instance.launch_settled").await;
    tokio::time::sleep(LONG).await;
    runner.stop().await;
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
    let shown = appserver(&stage, launched.appserver).await.unwrap();
    assert_eq!((shown.status, shown.active), (Status::Cancelled, true));
}

/// The order comes while a call is under way, which claims the traffic after it was given back.
#[tokio::test(start_paused = true)]
async fn a_claim_that_comes_after_its_run_was_abandoned_is_given_back_too() {
    let stage = Stage::new().await;
    let first = stage.launch().await;
    let runner = stage.start_runner();
    let claims = Mark::Step(&["instance.traffic_claimed"], "");
    stage.store.order(claims, Moment::Before, Harm::Slowness);
    let ask = ActivateAsk { deactivate_others: true, force: false };
    let asked = stage.app().activate_appserver(&somebody(), first.appserver, ask).await;
    stage.store.slowness().await;
    abandon(&stage, asked.unwrap().value).await;
    await_event(&stage, "instance.traffic_released").await;
    assert_launches_and_activates(&stage).await;
    runner.stop().await;
}

/// A launch whose main playbook runs until somebody ends it.
async fn begin_endless_play(stage: &Stage) -> RunId {
    stage.playbooks.set_default_script(Script { looks: 0, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let plays = |_: &_| !stage.playbooks.list_running().is_empty();
    stage.drive_until(launched.run, plays).await;
    assert_eq!(stage.playbooks.list_running().len(), 1);
    launched.run
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_launch_ends_its_playbook() {
    let stage = Stage::new().await;
    let run = begin_endless_play(&stage).await;
    abandon(&stage, run).await;
    let runner = stage.start_runner();
    let ended = async {
        while !stage.playbooks.list_running().is_empty() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(LONG, ended).await.expect("the playbook ends");
    runner.stop().await;
}

/// Whoever orders it wants nothing more of the play, which would go on changing the machine.
#[tokio::test(start_paused = true)]
async fn a_playbook_whose_step_is_skipped_ends_before_anything_else_begins() {
    let stage = Stage::new().await;
    let run = begin_endless_play(&stage).await;
    let step = "run_main_playbook".to_owned();
    let verb = Verb::SkipStep { step, output: serde_json::Value::Null };
    let reason = "configured by hand".to_owned();
    // A provider that fails is asked again, and a new driver asks anew.
    stage.playbooks.faults.fail("cancel_playbook", 1, Fault::Before(Class::Transient));
    stage.app().operate_run(&somebody(), run, verb, reason, false).await.unwrap();
    let intents = stage.events(&["saga.step_intended"]).await.len();
    let ends_asked = || stage.playbooks.faults.counts().get("cancel_playbook").copied();
    stage.drive_until(run, |_| ends_asked() == Some(1)).await;
    assert_eq!(stage.playbooks.list_running().len(), 1, "that has failed");
    assert_eq!(stage.events(&["saga.step_intended"]).await.len(), intents);
    let ended = stage.drive_until(run, |_| stage.playbooks.list_running().is_empty()).await;
    assert!(stage.playbooks.list_running().is_empty(), "{ended:#?}");
    stage.playbooks.set_default_script(Script::default());
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_clean_up_comes_again_by_itself_and_leaves_nothing() {
    for step in ["claim_traffic", "start_clean_up", "delete_server"] {
        let (stage, run) = Scenario::CleanUp.prepare().await;
        let id: AppserverId = stage.run(run).await.subject.parse().unwrap();
        stage.drive_until(run, |run| run.steps.contains_key(step)).await;
        abandon(&stage, run).await;
        let runner = stage.start_runner();
        await_event(&stage, "appserver.server_kept").await;
        let due = appserver(&stage, id).await.unwrap().keeps_server_until.expect("a new date");
        let ended = count_ends(&stage).await;
        stage.sleep_until(due).await;
        KeptServers::new(stage.app().clone()).look().await.unwrap();
        await_ends(&stage, ended + 1).await;
        runner.stop().await;
        assert!(appserver(&stage, id).await.unwrap().server_gone, "{step}");
        assert_eq!(stage.cloud.machines().len(), 0, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_waits_in_line_is_explained_with_its_place_and_who_is_before_it() {
    let stage = Stage::new().await;
    let ask = || LaunchAsk { queue: true, ..LaunchAsk::default() };
    let first = stage.begin_launch(ask()).await;
    stage.drive_until(first.run, |run| run.steps.contains_key("create_server")).await;
    let second = stage.begin_launch(ask()).await;
    stage.drive_until(second.run, |run| run.steps.contains_key("await_turn")).await;
    let told = stage.app().explain_run(&somebody(), second.run).await.unwrap().waits_for.unwrap();
    let place = format!("place 2 of 2 in the instance's launches; before it: {}", first.run);
    assert!(told.contains(&place), "{told}");
}
