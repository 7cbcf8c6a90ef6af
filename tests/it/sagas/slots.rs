//! Slots of regions: the limit, the line, and who leaves it when.

use super::nodes::crash_and_restart;
use super::runner::await_ends;
use super::stage::{REGION, Stage, somebody};
use ocim::app::LaunchAsk;
use ocim::processes::slots::set_limits;
use ocim_adapters::faults::Fault;
use ocim_domain::decider::Decider;
use ocim_domain::event::DomainEvent;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use ocim_domain::region::{Event, Place, Region, State, region_id};
use ocim_domain::saga::Phase;
use std::collections::BTreeSet;
use std::time::Duration;

const AN_HOUR: Duration = Duration::from_secs(3600);

async fn narrow_stage(launches_max: u32) -> Stage {
    Stage::build(|world| world.limits.launches_max_default = launches_max).await
}

async fn region(stage: &Stage) -> State {
    let stream = region_id(REGION).stream();
    stage.app().journal().load::<Region>(&stream).await.unwrap().state
}

/// Checks the region's whole history: never more than the limit, first come, first served.
async fn assert_fair(stage: &Stage, limit: usize) -> usize {
    let mut state = State::default();
    let mut most = 0;
    for recorded in stage.events(&[]).await {
        let Ok(event) = Event::decode(&recorded.kind, recorded.schema, &recorded.data) else {
            continue;
        };
        if let Event::RunAdmitted { run } = &event {
            assert_eq!(state.queue.front(), Some(run), "not the first in line");
        }
        state = Region::evolve(state, &event);
        assert!(state.running.len() <= limit, "{state:?}");
        most = most.max(state.running.len());
    }
    most
}

#[tokio::test(start_paused = true)]
async fn many_launches_wait_in_line_and_all_come_to_their_end_whatever_dies() {
    let stage = narrow_stage(3).await;
    stage.cloud.set_boot_reads(30);
    let asked = stage.ask_many(14).await;
    crash_and_restart(&stage, 8).await;
    let completed = stage.events(&["saga.completed"]).await.len();
    assert!((1..14).contains(&completed), "they died too early or too late: {completed}");
    let runner = stage.start_runner();
    let ended = await_ends(&stage, 14).await;
    runner.stop().await;
    for launched in &asked {
        assert!(ended.contains(&launched.run));
        assert_eq!(stage.run(launched.run).await.phase, Phase::Completed);
    }
    assert_eq!(assert_fair(&stage, 3).await, 3, "the slots are used");
    let end = region(&stage).await;
    assert!(end.running.is_empty() && end.queue.is_empty(), "{end:?}");
    assert_eq!(stage.cloud.machines().len(), 14);
}

#[tokio::test(start_paused = true)]
async fn a_run_in_line_tells_its_place_and_leaves_when_it_is_cancelled() {
    let stage = narrow_stage(1).await;
    stage.cloud.set_boot_reads(u32::MAX);
    let asked = stage.ask_many(3).await;
    for launched in &asked {
        stage.start(launched.run).await;
    }
    let begun = |run: &ocim_domain::saga::Run| run.steps.contains_key("await_server");
    stage.drive_until(asked[0].run, begun).await;
    for launched in &asked[1..] {
        let waits = |run: &ocim_domain::saga::Run| run.steps.contains_key("await_slot");
        stage.drive_until(launched.run, waits).await;
    }
    // Drivers that waited for a while have asked for their places.
    let runner = stage.start_runner();
    let places = async || {
        let state = region(&stage).await;
        asked.iter().map(|launched| state.place(launched.run)).collect::<Vec<_>>()
    };
    while places().await[2].is_none() {
        tokio::time::sleep(stage.world.limits.queue_poll).await;
    }
    let before = places().await;
    assert_eq!(before[0], Some(Place::Running));
    let mut queued: Vec<_> = before[1..].to_vec();
    queued.sort_by_key(|place| format!("{place:?}"));
    assert_eq!(queued, [Some(Place::Queued(1)), Some(Place::Queued(2))]);
    let lines = stage.world.logs.read_lines(asked[2].run, 1, usize::MAX).await.unwrap();
    let tells = |text: &str| lines.iter().any(|line| line.line.text.contains(text));
    assert!(tells("waits for a slot in region RegionOne"), "{lines:?}");

    stage.cancel(asked[1].run).await;
    assert_eq!(await_ends(&stage, 1).await, BTreeSet::from([asked[1].run]));
    let after = places().await;
    assert_eq!((after[1], after[2]), (None, Some(Place::Queued(1))));
    // Who has the slot gives it up, and the next one has it at once, without another poll.
    stage.cancel(asked[0].run).await;
    await_ends(&stage, 2).await;
    assert_eq!(places().await, [None, None, Some(Place::Running)]);
    runner.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stuck_run_holds_no_slot() {
    let stage = narrow_stage(1).await;
    stage.cloud.set_boot_fault(Some("No valid host was found."));
    stage.cloud.faults.fail_always("delete_machine", Fault::Before(Class::RateLimited(AN_HOUR)));
    let asked = stage.ask_many(2).await;
    let runner = stage.start_runner();
    let ended = await_ends(&stage, 2).await;
    assert_eq!(ended, asked.iter().map(|launched| launched.run).collect());
    while region(&stage).await.running.len() + region(&stage).await.queue.len() > 0 {
        tokio::time::sleep(stage.world.limits.poll_interval).await;
    }
    runner.stop().await;
    for launched in asked {
        assert!(matches!(stage.run(launched.run).await.phase, Phase::Stuck { .. }));
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_crash_left_in_a_region_is_taken_out_at_the_start() {
    let stage = narrow_stage(2).await;
    let journal = stage.app().journal();
    let ghost = RunId(journal.new_id());
    let (name, limit) = (REGION.to_owned(), 2);
    let enter =
        ocim_domain::region::Command::Enter { region: name, run: ghost, limit, bulk_max: None };
    let stream = region_id(REGION).stream();
    journal.execute::<Region>(&stream, &somebody().metadata(), enter).await.unwrap();
    let runner = stage.start_runner();
    while !region(&stage).await.running.is_empty() {
        tokio::time::sleep(stage.world.limits.poll_interval).await;
    }
    runner.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_configured_limit_is_the_regions_from_the_start() {
    let stage = narrow_stage(4).await;
    set_limits(&stage.world).await.unwrap();
    set_limits(&stage.world).await.unwrap();
    assert_eq!(region(&stage).await.limit, Some(4));
    assert_eq!(stage.events(&["region.limit_set"]).await.len(), 1);
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive(launched.run).await;
    let history = stage.history(launched.run).await;
    let place = |step: &str| history.iter().position(|(_, it)| it == step).unwrap();
    assert!(place("create_appserver") < place("await_slot"));
    assert!(place("await_slot") < place("ensure_security_groups"));
    assert!(place("start_running") < place("leave_slot"));
}
