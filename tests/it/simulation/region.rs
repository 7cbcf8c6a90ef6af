//! A simulated region of a real server: nothing but PostgreSQL is needed to try Ocim.

use crate::support::ocim::{Ground, text};
use serde_json::json;

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
    let shown = ground.get(&format!("/api/v1/appservers/{first}")).await;
    assert_eq!(
        (&shown["status"], &shown["is_active"]),
        (&json!("running"), &json!(true)),
        "{shown}"
    );
    let (second, run) = ground.launch(&instance).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let run = ground.activate(&second).await;
    assert_eq!(ground.await_run(&run).await, "completed");
    let shown = ground.get(&format!("/api/v1/appservers/{first}")).await;
    assert_eq!(shown["is_active"], false, "{shown}");
    let (status, _) = ground.terminate().await;
    assert!(status.success(), "{status:?}");
}
