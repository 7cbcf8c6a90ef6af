//! A simulated region of a real server: nothing but PostgreSQL is needed to try Ocim.

use crate::support::ocim::{Ground, text};
use nix::sys::signal::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

const CLOUDS: &str = r#"{"sim": {"kind": "simulated", "seed": 7, "speed": 2000}}"#;

#[tokio::test]
async fn a_served_simulated_region_launches_and_activates() {
    let mut ground = Ground::prepare().await;
    ground.start_with(&[("OCIM_CLOUDS", CLOUDS)]).await;
    let body = json!({ "sub_domain": "alpha", "name": "Alpha" });
    let instance = text(&ground.post("/instances", body).await, "id");
    let (first, run) = ground.launch(&instance).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let run = ground.activate(&first).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    ground.await_appserver(&first, "running", true).await;
    let (second, run) = ground.launch(&instance).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let run = ground.activate(&second).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    ground.await_appserver(&first, "running", false).await;
    let (status, _) = ground.terminate().await;
    assert!(status.success(), "{status:?}");
}

#[tokio::test]
async fn a_draining_server_says_so_and_a_second_signal_ends_it_at_once() {
    let mut ground = Ground::prepare().await;
    ground.start_with(&[("OCIM_CLOUDS", CLOUDS)]).await;
    let body = json!({ "sub_domain": "alpha", "name": "Alpha" });
    let instance = text(&ground.post("/instances", body).await, "id");
    // In the middle of a step, so that it does not come to a boundary.
    let point = "launch_appserver.await_turn.after_intent";
    ground.hold(point);
    ground.launch(&instance).await;
    ground.await_hold(point).await;
    ground.signal(Signal::SIGTERM);
    ground
        .wait_for("a server that drains", async || {
            let (status, _, body) = ground.try_get("/ready").await?;
            if status == 200 {
                return None;
            }
            assert_eq!(status, 503, "{body}");
            assert!(body.to_string().contains("is draining"), "{body}");
            Some(())
        })
        .await;
    let told = Instant::now();
    let why = "what ends at once ends in any order: PostgreSQL may before who is connected to it";
    ground.expected.add(&[
        ("connection was lost", why),
        ("connection closed", why),
        ("administrator command", why),
    ]);
    ground.signal(Signal::SIGTERM);
    let status = ground.await_end().await;
    assert_eq!(status.code(), Some(1), "{status}");
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
}
