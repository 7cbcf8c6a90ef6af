//! What is paused over the API: told, refused, resumed, and remembered.

use crate::support::api_server::ApiServer;
use reqwest::Response;
use serde_json::{Value, json};

async fn send(server: &ApiServer, verb: &str, body: Value) -> (u16, Value) {
    let path = format!("/incidents/{verb}");
    let answer: Response = server.ask("POST", &path).json(&body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn work_is_paused_told_everywhere_and_resumed_and_both_are_remembered() {
    let server = ApiServer::start().await;
    assert_eq!(server.get("/incidents").await["items"], json!([]));
    let pause = json!({ "about": "region", "name": "local", "reason": "works" });
    let (status, paused) = send(&server, "pause", pause.clone()).await;
    assert_eq!((status, &paused["number"], &paused["reason"]), (200, &json!(1), &json!("works")));
    assert_eq!((&paused["trouble"], &paused["ended"]), (&json!("pause"), &Value::Null));
    // Said again, nothing is new.
    assert_eq!(send(&server, "pause", pause).await.1, paused);
    let needs = server.get("/status").await["needs"].clone();
    let need = needs.as_array().unwrap().iter().find(|need| need["code"] == "work_paused").unwrap();
    assert_eq!((&need["id"], &need["name"]), (&paused["id"], &json!("region local")));
    assert!(need["sentence"].as_str().unwrap().contains("works"), "{need}");

    let resume =
        |rate: Value| json!({ "about": "region", "name": "local", "rate_per_minute": rate });
    for rate in [0, 10_001] {
        let (status, refused) = send(&server, "resume", resume(json!(rate))).await;
        assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("rate_per_minute")));
    }
    let (status, eased) = send(&server, "resume", resume(json!(60))).await;
    assert_eq!((status, &eased["rate_per_minute"]), (200, &json!(60)));
    let (status, ended) = send(&server, "resume", resume(Value::Null)).await;
    assert_eq!(status, 200);
    assert!(ended["ended"].is_string(), "{ended}");
    let (status, refused) = send(&server, "resume", resume(Value::Null)).await;
    assert_eq!(status, 409, "{refused}");
    assert!(refused["detail"].as_str().unwrap().contains("not paused"), "{refused}");

    let (_, second) = send(&server, "pause", json!({ "about": "all", "reason": "again" })).await;
    let listed = server.get("/incidents").await["items"].clone();
    assert_eq!(listed, json!([second, ended]));
    assert_eq!(server.get("/incidents?is_open=true").await["items"], json!([second]));
    assert_eq!(server.get("/incidents?is_open=false").await["items"], json!([ended]));
    let page = server.get("/incidents?limit=1").await;
    let next = page["next"].as_str().unwrap();
    assert_eq!(server.get(&format!("/incidents?after={next}")).await["items"], json!([ended]));
    server.stop().await;
}

#[tokio::test]
async fn what_can_not_be_paused_is_refused_by_its_field_and_pauses_nothing() {
    let server = ApiServer::start().await;
    let long = "balancer ".to_owned() + &"x".repeat(300);
    let refused = [
        (json!({ "about": "all", "reason": " " }), "reason"),
        (json!({ "about": "all", "name": "local", "reason": "x" }), "name"),
        (json!({ "about": "region", "reason": "x" }), "name"),
        (json!({ "about": "region", "name": "nowhere", "reason": "x" }), "name"),
        (json!({ "about": "provider", "name": "somebody", "reason": "x" }), "name"),
        (json!({ "about": "provider", "name": long, "reason": "x" }), "name"),
        (json!({ "about": "provider", "name": "DNS2", "reason": "x" }), "name"),
        (json!({ "about": "provider", "name": "balancer ", "reason": "x" }), "name"),
        (json!({ "about": "all", "until": "2001-01-01T00:00:00Z", "reason": "x" }), "until"),
    ];
    for (body, field) in refused {
        let (status, problem) = send(&server, "pause", body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let (status, problem) = send(&server, "resume", json!({ "about": "all", "reason": "" })).await;
    assert_eq!(status, 422, "{problem}");
    assert_eq!(server.get("/incidents").await["items"], json!([]));
    server.stop().await;
}
