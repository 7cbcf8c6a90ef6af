//! A cloud that is dead: many runs make few calls, wait, lose no attempt, and go on when it is back.

use super::runner::await_ends;
use super::stage::{REGION, Stage, VirtualClock};
use ocim_adapters::breaker::{BreakerLimits, BreakerSnapshot, BreakerState, Breakers, Guarded};
use ocim_adapters::faults::Fault;
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Step};
use std::sync::Arc;
use std::time::Duration;

/// A stage whose cloud and playbooks stand behind breakers, with room for all.
pub(crate) async fn guarded_stage() -> (Stage, Breakers) {
    let mut made = None;
    let stage = Stage::build(|world| {
        let breakers = Breakers::new(Arc::new(VirtualClock::start()), BreakerLimits::default());
        for (region, cloud) in &mut world.ports.clouds {
            *cloud =
                Arc::new(Guarded::new(Arc::clone(cloud), &breakers, format!("region {region}")));
        }
        let playbooks = Arc::clone(&world.ports.playbooks);
        world.ports.playbooks = Arc::new(Guarded::per_call(playbooks, &breakers));
        world.limits.launches_max_default = 1_000;
        made = Some(breakers);
    })
    .await;
    (stage, made.unwrap())
}

fn of_region(breakers: &Breakers) -> BreakerSnapshot {
    let provider = format!("region {REGION}");
    breakers.snapshot().into_iter().find(|breaker| breaker.provider == provider).unwrap()
}

#[tokio::test(start_paused = true)]
async fn five_hundred_runs_against_a_dead_cloud_make_few_calls() {
    let (stage, breakers) = guarded_stage().await;
    stage.cloud.faults.fail_always("ensure_security_groups", Fault::Before(Class::Transient));
    let asked = stage.ask_many(500).await;
    let runner = stage.start_runner();
    tokio::time::sleep(Duration::from_secs(1200)).await;
    runner.stop().await;
    let calls = stage.cloud.faults.calls("ensure_security_groups");
    // Five to open it, then a probe after 10, 20, 40, 80 and each 120 seconds.
    assert!((10..=20).contains(&calls), "{calls}");
    let mut attempts = 0;
    for launched in asked {
        let run = stage.run(launched.run).await;
        assert_eq!(run.phase, Phase::Forward);
        attempts += match run.steps.get("ensure_security_groups") {
            Some(
                Step::Intended { attempt, .. }
                | Step::Waiting { attempt, .. }
                | Step::TimerSet { attempt, .. }
                | Step::TimerFired { attempt },
            ) => *attempt,
            other => panic!("{other:?}"),
        };
    }
    assert!(attempts <= 500 + calls, "a call that was not made cost an attempt: {attempts}");
    let shown = of_region(&breakers);
    assert!(matches!(shown.state, BreakerState::Open { .. }), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn when_the_cloud_is_back_all_go_on_and_none_has_failed() {
    let (stage, breakers) = guarded_stage().await;
    stage.cloud.faults.fail_always("create_machine", Fault::After(Class::Ambiguous));
    stage.cloud.faults.fail_always("find_machine", Fault::Before(Class::Transient));
    stage.ask_many(30).await;
    let runner = stage.start_runner();
    tokio::time::sleep(Duration::from_secs(600)).await;
    stage.cloud.faults.clear();
    let ended = await_ends(&stage, 30).await;
    runner.stop().await;
    for run in ended {
        assert_eq!(stage.run(run).await.phase, Phase::Completed);
    }
    assert_eq!(stage.cloud.machines().len(), 30, "one machine a key");
    assert_eq!(of_region(&breakers).state, BreakerState::Closed);
}
