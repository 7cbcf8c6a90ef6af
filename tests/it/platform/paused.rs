//! `ocim serve --paused`: work is taken, waits through restarts, and goes on once somebody says so.

use crate::support::ocim::{Ground, text};
use serde_json::{Value, json};

/// Machines that take no time.
const CLOUDS: &[(&str, &str)] =
    &[("OCIM_CLOUDS", r#"{"local": {"kind": "simulated", "speed": 100000}}"#)];

impl Ground {
    /// Where a run stands, once that is told with these words.
    async fn await_told(&self, run: &str, words: &str) -> Value {
        let path = format!("/api/v1/runs/{run}/explain");
        self.wait_for(words, async || {
            let (status, _, told) = self.try_get(&path).await?;
            let is_told = status == 200 && told["sentence"].as_str()?.contains(words);
            is_told.then_some(told)
        })
        .await
    }
}

#[tokio::test]
async fn what_was_asked_of_the_traffic_and_what_is_are_told_apart() {
    let mut ground = Ground::prepare().await;
    ground.start_with(CLOUDS).await;
    let site = json!({ "sub_domain": "alpha", "name": "alpha" });
    let site = text(&ground.post("/instances", site).await, "id");
    let (appserver, run) = ground.launch(&site).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let path = format!("/api/v1/appservers/{appserver}");
    let await_traffic = async |is: bool, asked: bool| {
        ground
            .wait_for(&format!("traffic {is}, asked {asked}"), async || {
                let shown = ground.get(&path).await;
                (shown["is_active"] == is && shown["is_asked_active"] == asked).then_some(())
            })
            .await;
    };
    await_traffic(false, false).await;
    let pause = json!({ "about": "all", "reason": "nothing is to move" });
    ground.post("/incidents/pause", pause).await;
    let run = ground.activate(&appserver).await;
    ground.await_told(&run, "all work is paused").await;
    await_traffic(false, true).await;
    ground.post("/incidents/resume", json!({ "about": "all" })).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    await_traffic(true, true).await;
}

#[tokio::test]
async fn a_server_that_starts_paused_takes_work_and_begins_none_until_it_is_resumed() {
    let mut ground = Ground::prepare().await;
    ground.start_as(&["serve", "--paused"], CLOUDS).await;
    let site = json!({ "sub_domain": "alpha", "name": "alpha" });
    let site = text(&ground.post("/instances", site).await, "id");
    let (_, run) = ground.launch(&site).await;
    ground.await_told(&run, "all work is paused: it was started with --paused").await;
    // Whoever starts it the usual way finds it as it was.
    ground.terminate().await;
    ground.start_with(CLOUDS).await;
    ground.await_told(&run, "all work is paused").await;
    let resume = json!({ "about": "all", "rate_per_minute": 600 });
    ground.post("/incidents/resume", resume).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let over = ground
        .wait_for("the end of the pause", async || {
            let all = ground.get("/api/v1/incidents?is_open=false").await;
            all["items"].as_array().filter(|items| !items.is_empty()).cloned()
        })
        .await;
    assert_eq!((&over[0]["actor"], &over[0]["ended_by"]), (&json!("system"), &json!("system")));
}
