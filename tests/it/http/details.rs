//! Owner, notes and tags of instances, and lists by them, as a client of the API meets them.

use crate::support::api_server::ApiServer;
use serde_json::{Value, json};

async fn send(server: &ApiServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = server.ask(method, path).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn listed(server: &ApiServer, query: &str) -> Vec<String> {
    let page = server.get(&format!("/instances?{query}")).await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| it["domain"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_instance_is_made_with_owner_notes_and_tags_and_found_by_them() {
    let server = ApiServer::start().await;
    let alpha = json!({
        "sub_domain": "alpha", "name": "Alpha Academy", "owner": "Alpha University",
        "notes": "Courses begin in May.", "tags": ["pilot", "may"],
    });
    let (status, created) = send(&server, "POST", "/instances", &alpha).await;
    assert_eq!(status, 201, "{created}");
    let beta = json!({
        "sub_domain": "beta", "name": "Beta", "external_lms_domain": "learn.beta.example",
        "tags": ["pilot"],
    });
    send(&server, "POST", "/instances", &beta).await;
    let path = format!("/instances/{}", created["id"].as_str().unwrap());
    let shown = server.get(&path).await;
    assert_eq!(
        (&shown["owner"], &shown["tags"]),
        (&json!("Alpha University"), &json!(["may", "pilot"]))
    );
    assert_eq!(shown["notes"], "Courses begin in May.");
    assert!(shown["creator"].as_str().unwrap().starts_with("local:"), "{shown}");
    assert_eq!(shown["is_ahead"], false, "nobody serves it");

    let (alpha, beta) = ("alpha.example.com", "learn.beta.example");
    for (query, found) in [
        ("tag=pilot", vec![beta, alpha]),
        ("tag=may", vec![alpha]),
        ("tag=none", vec![]),
        ("owner=Alpha%20University", vec![alpha]),
        ("name=ACADEMY", vec![alpha]),
        ("name=%25", vec![]),
        ("domain=beta", vec![beta]),
        ("domain=beta.example.com", vec![beta]),
        ("domain=LEARN", vec![beta]),
        ("is_ahead=true", vec![]),
        ("is_ahead=false&tag=may&name=alpha", vec![alpha]),
    ] {
        assert_eq!(listed(&server, query).await, found, "{query}");
    }

    let clone = format!("{path}/clone");
    let (status, copy) = send(&server, "POST", &clone, &json!({ "sub_domain": "gamma" })).await;
    assert_eq!(status, 201, "{copy}");
    let copy = server.get(&format!("/instances/{}", copy["id"].as_str().unwrap())).await;
    assert_eq!((&copy["owner"], &copy["tags"]), (&json!("Alpha University"), &json!([])));
    assert_eq!(copy["notes"], "");
    server.stop().await;
}

#[tokio::test]
async fn tags_come_and_go_one_by_one_and_what_is_wrong_is_named() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let path = format!("/instances/{alpha}/details");
    let change =
        json!({ "add_tags": ["pilot", "may"], "owner": "  Alpha University ", "reason": "sold" });
    let (status, shown) = send(&server, "PATCH", &path, &change).await;
    assert_eq!((status, &shown["tags"]), (200, &json!(["may", "pilot"])), "{shown}");
    assert_eq!(
        (&shown["owner"], &shown["settings_version"]),
        (&json!("Alpha University"), &json!(1))
    );
    let (_, shown) =
        send(&server, "PATCH", &path, &json!({ "remove_tags": ["may", "never"], "owner": "" }))
            .await;
    assert_eq!((&shown["tags"], &shown["owner"]), (&json!(["pilot"]), &json!("")));

    let wrong = json!({
        "add_tags": ["good", "two words"], "remove_tags": [""], "owner": "x".repeat(251),
        "notes": "x".repeat(10_001),
    });
    let (status, problem) = send(&server, "PATCH", &path, &wrong).await;
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|it| it["field"].clone()).collect();
    assert_eq!(status, 422);
    assert_eq!(fields, ["owner", "notes", "add_tags[1]", "remove_tags[0]"], "{problem}");
    let (status, problem) =
        send(&server, "POST", "/instances", &json!({ "sub_domain": "beta", "tags": ["a b"] }))
            .await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("tags[0]")), "{problem}");

    let told = server.get(&format!("/instances/{alpha}/timeline")).await.to_string();
    for sentence in
        ["noted Alpha University as the owner", "tagged", "took may off", "noted that nobody owns"]
    {
        assert!(told.contains(sentence), "{sentence}: {told}");
    }
    server.stop().await;
}
