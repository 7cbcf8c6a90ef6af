//! `ocim balancer …`, by the balancer's name.

use super::{answer, refusal, run};
use crate::sagas::stage::{BALANCER, registration, somebody};
use crate::support::api_server::ApiServer;
use serde_json::Value;

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
