//! Regions as a client of the API changes them.

use crate::support::api_server::ApiServer;
use ocim::app::Caller;
use ocim_domain::ids::RunId;
use ocim_domain::region::{Command, Region, region_id};
use serde_json::{Value, json};
use uuid::Uuid;

async fn change(server: &ApiServer, region: &str, body: Value) -> (u16, Value) {
    let request = server.ask("PATCH", &format!("/regions/{region}")).json(&body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn more_launches_at_a_time_are_let_in_without_a_restart() {
    let server = ApiServer::start().await;
    let (stream, meta) = (region_id("local").stream(), Caller::new("system").metadata());
    for number in 1..=3 {
        let run = RunId(Uuid::from_u128(number));
        let command = Command::Enter { region: "local".to_owned(), run, limit: 1, bulk_max: None };
        let journal = server.app.journal();
        journal.execute::<Region>(&stream, &meta, command).await.unwrap();
    }
    let body = json!({ "launches_max": 2, "reason": "a bigger host" });
    let (status, region) = change(&server, "local", body).await;
    assert_eq!((status, &region["launches_max"]), (200, &json!(2)), "{region}");
    let count = |field: &str| region[field].as_array().unwrap().len();
    assert_eq!((count("running"), count("queued")), (2, 1));
    // The next start, whose configuration still says 1, does not take it back.
    let configured = Command::Configure { region: "local".to_owned(), limit: 1 };
    let journal = server.app.journal();
    let again = journal.execute::<Region>(&stream, &meta, configured).await.unwrap();
    assert_eq!(again.events, []);
    let events = server.get("/events?kind=region.limit_set").await;
    let told = events["items"].as_array().unwrap().iter();
    let told = told.clone().find(|event| event["data"]["configured"] == false).unwrap();
    assert_eq!(told["reason"], "a bigger host", "{told}");

    for (region, body, expected) in [
        ("nowhere", json!({ "launches_max": 2 }), 404),
        ("local", json!({ "launches_max": 0 }), 422),
        ("local", json!({ "launches_max": 1001 }), 422),
        ("local", json!({ "launches_max": "many" }), 422),
        ("local", json!({}), 422),
        ("local", json!({ "launches_max": 2, "colour": "red" }), 422),
    ] {
        let (status, problem) = change(&server, region, body.clone()).await;
        assert_eq!(status, expected, "{body}: {problem}");
    }
    server.stop().await;
}
