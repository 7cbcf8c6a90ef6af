//! Commands that are sent again: carried out once, answered the same.

use crate::support::api_server::ApiServer;
use ocim_domain::token::Scope;
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};

const KEY: &str = "8e03978e-40d5-43e8-bc93-6894a57f9324";

/// What a client can tell two answers apart by.
async fn whole(response: Response) -> (u16, Option<String>, Option<String>, Vec<u8>) {
    let header =
        |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (location, kind) = (header("location"), header("content-type"));
    (response.status().as_u16(), location, kind, response.bytes().await.unwrap().to_vec())
}

fn is_replayed(response: &Response) -> bool {
    response.headers().get("idempotency-replayed").is_some_and(|value| value == "true")
}

async fn send(request: RequestBuilder, key: &str) -> Response {
    request.header("Idempotency-Key", key).send().await.unwrap()
}

async fn problem_of(response: Response) -> (u16, String) {
    let problem: Value = response.json().await.unwrap();
    let kind = problem["type"].as_str().unwrap().to_owned();
    (u16::try_from(problem["status"].as_u64().unwrap()).unwrap(), kind)
}

/// Takes the answers away, as if Ocim had died before it kept them; claims end in so many seconds.
async fn forget_answers(server: &ApiServer, claims_end_in_s: i32) {
    let forget = format!(
        "update access.idempotency_keys set status = null, headers = null, body = null, \
         claimed_until = now() + interval '{claims_end_in_s} seconds'"
    );
    assert!(server.database.client().await.execute(&forget, &[]).await.unwrap() > 0);
}

#[tokio::test]
async fn a_command_that_is_sent_again_gets_the_first_answer_byte_for_byte() {
    let server = ApiServer::start().await;
    let create = |body: &Value| server.ask("POST", "/instances").json(body);
    let body = json!({"sub_domain": "alpha"});
    let first = send(create(&body), KEY).await;
    assert!(first.status() == 201 && !is_replayed(&first), "{first:?}");
    let first = whole(first).await;
    // The draft has the key in quotes; both forms are the same key.
    for key in [KEY.to_owned(), format!("\"{KEY}\"")] {
        let again = send(create(&body), &key).await;
        assert!(is_replayed(&again), "{again:?}");
        assert_eq!(whole(again).await, first);
    }
    assert_eq!(server.get("/instances").await["items"].as_array().unwrap().len(), 1);

    // A refusal is an answer like any other.
    let taken = whole(send(create(&body), "another").await).await;
    assert_eq!(taken.0, 409);
    assert_eq!(whole(send(create(&body), "another").await).await, taken);
    // Without a key, each request counts for itself.
    assert_eq!(create(&body).send().await.unwrap().status(), 409);
    server.stop().await;
}

#[tokio::test]
async fn a_key_stands_for_one_request_of_one_caller() {
    let server = ApiServer::start().await;
    let instance = server.given_instance("alpha").await;
    let launch = format!("/instances/{instance}/appservers");
    let ask = |path: &str, body: Value| server.ask("POST", path).json(&body);
    assert_eq!(send(ask(&launch, json!({})), KEY).await.status(), 202);
    let reused = "/problems/idempotency_key_reused".to_owned();
    for other in [
        ask(&launch, json!({"queue": true})),
        ask(&format!("{launch}?queue=true"), json!({})),
        ask("/instances", json!({})),
    ] {
        assert_eq!(problem_of(send(other, KEY).await).await, (422, reused.clone()));
    }
    let token = server.tokens.create_token("bob", Scope::All, None).await.unwrap().expose();
    let of_bob = server.bare("POST", &format!("/api/v1{launch}?queue=true")).bearer_auth(&token);
    assert_eq!(send(of_bob, KEY).await.status(), 202, "the key of another caller is another key");
    for wrong in ["", "a b", &"x".repeat(256)] {
        let refused = send(ask(&launch, json!({})), wrong).await;
        assert_eq!(refused.status(), 400, "{wrong:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_command_whose_answer_was_lost_in_a_crash_is_found_and_not_done_again() {
    let server = ApiServer::start().await;
    let create = || server.ask("POST", "/instances").json(&json!({"sub_domain": "alpha"}));
    let created: Value = send(create(), "create").await.json().await.unwrap();
    let instance = created["id"].as_str().unwrap();
    let launch = || server.ask("POST", &format!("/instances/{instance}/appservers"));
    let launched: Value = send(launch(), "launch").await.json().await.unwrap();
    let run = server.given_run().await;
    let reason = json!({"reason": "a mistake"});
    let cancel = || server.ask("POST", &format!("/runs/{run}/cancel")).json(&reason);
    assert_eq!(send(cancel(), "cancel").await.status(), 200);
    let head = server.app.store().raw().head().await.unwrap();

    forget_answers(&server, 20).await;
    let under_way = send(launch(), "launch").await;
    assert!(under_way.headers().contains_key("retry-after"), "{under_way:?}");
    let in_use = "/problems/idempotency_key_in_use".to_owned();
    assert_eq!(problem_of(under_way).await, (409, in_use));

    forget_answers(&server, -1).await;
    let again = send(create(), "create").await;
    assert!(again.status() == 201 && !is_replayed(&again), "{again:?}");
    assert_eq!(again.json::<Value>().await.unwrap(), created);
    let again = send(launch(), "launch").await;
    assert_eq!(again.status(), 202);
    assert_eq!(again.json::<Value>().await.unwrap(), launched);
    assert_eq!(send(cancel(), "cancel").await.status(), 200);
    assert_eq!(server.app.store().raw().head().await.unwrap(), head, "nothing was written again");
    // Now the answer is kept.
    assert!(is_replayed(&send(launch(), "launch").await));
    server.stop().await;
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let server = ApiServer::start().await;
    let create = |name: &str| server.ask("POST", "/instances").json(&json!({"sub_domain": name}));
    let first: Value = send(create("alpha"), KEY).await.json().await.unwrap();
    let client = server.database.client().await;
    let age = "update access.idempotency_keys set created_at = created_at - interval '25 hours'";
    client.execute(age, &[]).await.unwrap();
    let second = send(create("beta"), KEY).await;
    assert!(second.status() == 201 && !is_replayed(&second), "{second:?}");
    assert_ne!(second.json::<Value>().await.unwrap(), first);
    let rows = client.query("select from access.idempotency_keys", &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    server.stop().await;
}

#[tokio::test]
async fn the_same_command_twice_at_once_is_carried_out_once() {
    let server = ApiServer::start().await;
    let create = || server.ask("POST", "/instances").json(&json!({"sub_domain": "alpha"}));
    let requests = (0..8).map(|_| send(create(), KEY));
    let mut ids = vec![];
    for answer in futures_util::future::join_all(requests).await {
        match answer.status().as_u16() {
            201 => ids.push(answer.json::<Value>().await.unwrap()["id"].clone()),
            status => assert_eq!(status, 409),
        }
    }
    ids.dedup();
    assert_eq!(ids.len(), 1);
    assert_eq!(server.get("/instances").await["items"].as_array().unwrap().len(), 1);
    server.stop().await;
}
