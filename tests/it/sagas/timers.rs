//! What comes every day: once for each time, by whichever node, and what it deletes.

use super::runner::await_ends;
use super::stage::{Stage, somebody};
use ocim::processes::started_by;
use ocim::timers::Timers;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use ocim_domain::saga::Phase;
use ocim_domain::timer::{Job, Outcome};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn fallen_due(stage: &Stage) -> usize {
    stage.events(&["timer.fell_due"]).await.len()
}

/// The runs that timers have asked for, in order.
async fn runs(stage: &Stage) -> Vec<RunId> {
    let asked = stage.events(&["timer.fell_due", "timer.run_requested"]).await;
    asked.iter().map(|event| started_by(event).unwrap().run).collect()
}

#[tokio::test(start_paused = true)]
async fn a_time_is_done_once_by_whichever_node_looks_and_caught_up_with_after_an_outage() {
    let stage = Stage::new().await;
    let (mut one, mut other) = (Timers::new(stage.app().clone()), Timers::new(stage.app().clone()));
    one.look().await;
    assert_eq!(fallen_due(&stage).await, 0, "what was before the log began was not missed");
    let midnight = Job::DeleteOldLogs.next_due(stage.app().journal().now());
    stage.sleep_until(midnight - Duration::from_millis(1)).await;
    tokio::join!(one.look(), other.look());
    assert_eq!(fallen_due(&stage).await, 0);
    stage.sleep_until(midnight).await;
    tokio::join!(one.look(), other.look());
    // One that has just started knows it from the log.
    Timers::new(stage.app().clone()).look().await;
    assert_eq!(fallen_due(&stage).await, 1);
    assert_eq!(runs(&stage).await, [Job::DeleteOldLogs.run_at(midnight)]);
    // The other one comes an hour later.
    stage.sleep_until(midnight + Duration::from_secs(3600)).await;
    tokio::join!(one.look(), other.look());
    let clean_up = Job::CleanUpAppservers.run_at(stage.app().journal().now());
    assert_eq!(runs(&stage).await[1..], [clean_up]);
    tokio::time::sleep(9 * DAY).await;
    let mut restarted = Timers::new(stage.app().clone());
    restarted.look().await;
    tokio::join!(one.look(), other.look(), restarted.look());
    assert_eq!(fallen_due(&stage).await, 4);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_at_midnight_is_asked_again() {
    let stage = Stage::new().await;
    let mut timers = Timers::new(stage.app().clone());
    timers.look().await;
    stage.sleep_until(Job::DeleteOldLogs.next_due(stage.app().journal().now())).await;
    stage.store.refuse_facts(true);
    timers.look().await;
    assert_eq!(fallen_due(&stage).await, 0);
    stage.store.refuse_facts(false);
    timers.look().await;
    assert_eq!(fallen_due(&stage).await, 1);
}

#[tokio::test(start_paused = true)]
async fn logs_of_runs_that_ended_long_ago_are_deleted_and_a_line_says_so() {
    let stage = Stage::new().await;
    let runner = stage.start_runner();
    let old = stage.launch_by_runner().await;
    let lines = stage.world.logs.count_lines(old).await.unwrap();
    tokio::time::sleep(59 * DAY).await;
    let young = stage.launch_by_runner().await;
    let kept = stage.world.logs.count_lines(young).await.unwrap();
    assert!(lines > 1 && kept > 1);
    tokio::time::sleep(2 * DAY).await;
    let run = stage.app().run_timer(&somebody(), Job::DeleteOldLogs).await.unwrap().value;
    await_ends(&stage, 3).await;
    runner.stop().await;
    let [line] = &stage.world.logs.read_lines(old, 1, 100).await.unwrap()[..] else {
        panic!("one line stands in its place")
    };
    let told = format!("{lines} lines were deleted here by {run}");
    assert!(line.line.text.starts_with(&told), "{}", line.line.text);
    assert_eq!(stage.world.logs.count_lines(young).await.unwrap(), kept);
    let state = stage.app().read_timer(Job::DeleteOldLogs).await.unwrap().last.unwrap();
    assert_eq!((state.run, state.due, state.failure), (run, None, None));
    let Some(Outcome::LogsDeleted { runs: 1, lines: told, .. }) = state.outcome else {
        panic!("{:?}", state.outcome)
    };
    assert_eq!(told, lines);
    assert_eq!(stage.events(&["timer.run_finished"]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_deleted_before_a_failure_is_counted_and_not_deleted_again() {
    let stage = Stage::new().await;
    for _ in 0..3 {
        let launched = stage.launch().await;
        stage.world.logs.finish(launched.run).await.unwrap();
    }
    tokio::time::sleep(61 * DAY).await;
    stage.lines.faults.fail("replace_log", 2, Fault::After(Class::Ambiguous));
    stage.lines.faults.fail("replace_log", 3, Fault::Before(Class::Transient));
    let run = stage.app().run_timer(&somebody(), Job::DeleteOldLogs).await.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let finished = stage.events(&["timer.run_finished"]).await;
    assert_eq!(finished[0].data["runs"], 3);
    assert_eq!(stage.lines.faults.calls("replace_log"), 4);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_cancelled_says_so_and_comes_again() {
    let stage = Stage::new().await;
    let run = stage.app().run_timer(&somebody(), Job::DeleteOldLogs).await.unwrap().value;
    stage.start(run).await;
    stage.cancel(run).await;
    assert!(matches!(stage.drive(run).await.phase, Phase::Unwound(_)));
    let state = stage.app().read_timer(Job::DeleteOldLogs).await.unwrap();
    assert!(state.last_due.is_none(), "its own time comes all the same");
}
