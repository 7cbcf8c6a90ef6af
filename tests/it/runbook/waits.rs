//! Runs that wait for long: what they wait for is told, and what mends it.

use super::Desk;
use super::stuck::{intended, turned_back, undo_intended};
use ocim_adapters::breaker::{Breaker, BreakerLimits};
use ocim_adapters::system::SystemClock;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::{ErrorClass, Event, PutOff};
use ocim_engine::leases::Leases;
use ocim_engine::leases::postgres::PostgresLeases;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const STEP: &str = "create_server";

#[tokio::test]
async fn a_step_that_waits_for_its_next_attempt_is_tried_at_once() {
    let desk = Desk::open("Waits: for its next attempt").await;
    let at = "2036-11-22T12:00:00Z".parse().unwrap();
    let (step, error, class) = (STEP.to_owned(), "no quota".to_owned(), ErrorClass::Transient);
    let retry_at = Some(at);
    let failed =
        Event::StepFailed { step, attempt: 1, class, code: None, error, retry_at, at: None };
    let (step, error) = (STEP.to_owned(), "in use".to_owned());
    let undo_failed =
        Event::UndoFailed { step, attempt: 1, class, code: None, error, retry_at, at: None };
    let timer = Event::TimerSet { step: STEP.to_owned(), due: at, at: None };
    let before = || -> Vec<Event> {
        let earlier = ocim::processes::launch_appserver::LAUNCH_APPSERVER.steps.iter();
        let earlier = earlier.take_while(|step| step.path != STEP).map(|step| Event::StepSkipped {
            step: step.path.to_owned(),
            reason: "a test".to_owned(),
        });
        earlier.chain([intended(STEP)]).collect()
    };
    for (events, words) in [
        (
            vec![failed],
            &["it waits for attempt 2 of `create_server`", "; the last attempt said: "][..],
        ),
        (vec![turned_back(), undo_intended(STEP), undo_failed], &["attempt 2 of the undo of"]),
        (vec![timer], &["the time that `"]),
    ] {
        let run = desk.given_run("launch_appserver", 1, [before(), events].concat()).await;
        let told = desk.explain(&run).await;
        desk.finds(&told, words);
        desk.order(&["run", "retry-step", &run, STEP]).await;
        let told = desk.explain(&run).await;
        assert!(told.contains("it waits for a node, to "), "{told}");
    }
    desk.server.stop().await;
}

#[tokio::test]
async fn the_circuit_that_a_step_waits_for_is_named() {
    let desk = Desk::open("Waits: for a circuit").await;
    let run = desk.given_run("launch_appserver", 1, vec![intended("await_turn")]).await;
    let limits = BreakerLimits { failures_max: 1, ..BreakerLimits::default() };
    let breaker = Breaker::new("region local", Arc::new(SystemClock), limits);
    let failure = async { Err::<(), _>(PortError::transient("no route")) };
    let opens = breaker.call(failure).await.unwrap_err().message;
    let finds_it_open = breaker.call(async { Ok(()) }).await.unwrap_err().message;
    let mut told = String::new();
    for why in [opens, finds_it_open] {
        let now = desk.server.app.journal().now();
        let put_off = PutOff { until: now + Duration::from_secs(60), why };
        desk.server.app.put_offs().note(run.parse().unwrap(), "await_turn", put_off, now);
        told += &desk.explain(&run).await;
    }
    desk.finds(&told, &["; the circuit of region "]);
    desk.finds(
        &told,
        &["`, which is put off: region ", " keeps failing: its circuit is open until "],
    );
    assert!(told.contains("region local"), "{told}");
    desk.server.stop().await;
}

#[tokio::test]
async fn who_holds_a_run_and_until_when_is_told_even_if_nobody_does() {
    let desk = Desk::open("Waits: for a node").await;
    let run = desk.given_run("launch_appserver", 1, vec![]).await;
    let told = desk.explain(&run).await;
    desk.finds(&told, &["it waits for a node, to ", "no node holds it"]);
    let leases = PostgresLeases::new(desk.server.database.pool());
    let id: RunId = run.parse().unwrap();
    let node = Uuid::from_u128(7);
    leases.acquire(id.0, node, Duration::from_secs(30)).await.unwrap();
    let told = desk.explain(&run).await;
    desk.finds(&told, &["holds it"]);
    assert!(told.contains(&format!("node {node} holds it, until ")), "{told}");
    desk.server.stop().await;
}
