//! `ocim balancer …`, by the balancer's name.

use super::{answer, refusal, run};
use crate::sagas::stage::{BALANCER, registration, somebody};
use crate::support::api_server::ApiServer;
use serde_json::{Value, json};

const PREPARE: [&str; 5] = ["balancer", "prepare", BALANCER, "--reason", "a new host"];

#[tokio::test]
async fn a_balancer_is_prepared_by_order_and_a_dry_run_only_tells_of_it() {
    let server = ApiServer::start().await;
    server.app.register_load_balancer(&somebody(), registration()).await.unwrap();
    let list = async || -> Value {
        let listed = answer(&server, &["balancer", "list", "--json"]).await;
        serde_json::from_str(&listed).unwrap()
    };
    let would = answer(&server, &[&PREPARE[..], &["--dry-run"]].concat()).await;
    assert!(would.contains(BALANCER), "{would}");
    assert_eq!(list().await[0]["preparation_run"], Value::Null, "only told");

    let did = answer(&server, &PREPARE).await;
    let by = list().await[0]["preparation_run"].as_str().expect("a run").to_owned();
    assert!(did.contains(&by), "{did}");
    let wide = answer(&server, &["balancer", "list", "-o", "wide"]).await;
    assert!(wide.contains(&by) && wide.contains(BALANCER), "{wide}");
    let (code, line) = refusal(&server, &PREPARE).await;
    assert_eq!(code, 4, "one at a time: {line}");

    let elsewhere = ["balancer", "prepare", "elsewhere", "--reason", "a typing error"];
    let (code, line) = refusal(&server, &elsewhere).await;
    assert_eq!(code, 3, "{line}");
    assert_eq!(run(&server, &PREPARE[..3]).await.status.code(), Some(2), "it wants a reason");
    server.stop().await;
}

#[tokio::test]
async fn a_balancer_is_added_edited_and_retired() {
    let server = ApiServer::start().await;
    let add = ["balancer", "add", "lb.example.com", "--public-ip", "192.0.2.7"];
    let key = ["--host-key", "ssh-ed25519 AAAA", "--ssh-username", "ubuntu"];
    let (code, line) = refusal(&server, &add).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("--ssh-username") && line.contains("--host-key"), "{line}");
    let id = answer(&server, &[&add[..], &key].concat()).await;
    let show = async || -> Value {
        let shown = answer(&server, &["balancer", "show", "lb.example.com", "--json"]).await;
        serde_json::from_str(&shown).unwrap()
    };
    let shown = show().await;
    assert_eq!((&shown["id"], &shown["accepts_new_backends"]), (&json!(id), &json!(false)));
    assert_eq!((&shown["ssh_port"], &shown["http_port"]), (&json!(22), &json!(80)));
    assert_eq!(refusal(&server, &[&add[..], &key].concat()).await.0, 4, "it is there already");

    let edit = ["balancer", "edit", "lb.example.com", "--ssh-port", "2222"];
    answer(&server, &[&edit[..], &["--accepts-new-backends", "true"]].concat()).await;
    let shown = show().await;
    assert_eq!((&shown["ssh_port"], &shown["accepts_new_backends"]), (&json!(2222), &json!(true)));
    let retire = ["balancer", "retire", "lb.example.com", "--reason", "a newer one"];
    answer(&server, &retire).await;
    assert!(show().await["retired"].is_string());
    assert!(answer(&server, &["balancer", "list"]).await.contains("retired"));
    assert_eq!(refusal(&server, &edit).await.0, 4, "it is retired");
    let back = answer(&server, &[&add[..], &key].concat()).await;
    assert_eq!(back, id, "who wants it back adds it again");
    server.stop().await;
}
