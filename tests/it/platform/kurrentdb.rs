//! A whole Ocim whose events are in KurrentDB: it deploys, outlives the server's death, and knows its log.

use crate::support::kurrentdb::KurrentDb;
use crate::support::ocim::{Ground, text};
use crate::support::postgres::Database;
use ocim_engine::store::Expected;
use ocim_engine::store::conformance::{new_event, new_stream};
use serde_json::{Value, json};

const CLOUDS: &str = r#"{"sim": {"kind": "simulated", "seed": 7, "speed": 2000}}"#;

/// What a command prints, on both of its outputs, and how it ends.
async fn run(ground: &Ground, url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::from(ground.command(arguments));
    command.env("OCIM_CLOUDS", CLOUDS).env("EVENT_STORE_URL", url).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let both = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&both).into_owned())
}

async fn doctor(ground: &Ground, url: &str) -> Value {
    let (_, told) = run(ground, url, &["doctor", "--json"]).await;
    let end = told.rfind(']').unwrap_or_else(|| panic!("{told}"));
    let findings: Vec<Value> = serde_json::from_str(&told[..=end]).unwrap();
    findings.into_iter().find(|it| it["code"] == "event_log").unwrap_or_else(|| panic!("{told}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_lives_on_a_log_in_kurrentdb() {
    let mut kurrentdb = KurrentDb::start();
    let url = kurrentdb.url();
    let configured = [("OCIM_CLOUDS", CLOUDS), ("EVENT_STORE_URL", &*url)];
    let mut ground = Ground::prepare().await;
    ground.start_with(&configured).await;
    let body = json!({ "sub_domain": "alpha", "name": "Alpha" });
    let instance = text(&ground.post("/instances", body).await, "id");
    let (first, run_id) = ground.launch(&instance).await;
    assert_eq!(ground.await_run(&run_id).await, "completed");
    let activation = ground.activate(&first).await;
    assert_eq!(ground.await_run(&activation).await, "completed");
    ground.await_appserver(&first, "running", true).await;

    // The server dies in the middle of a run, and comes back: no step is lost, none is done twice.
    let (second, run_id) = ground.launch(&instance).await;
    ground.expected.add(&[
        ("KurrentDB", "it dies"),
        ("event store", "it is away"),
        ("a subscription can't read", "it is away"),
    ]);
    kurrentdb.kill();
    let finding = doctor(&ground, &url).await;
    assert_eq!(finding["is_fine"], false, "{finding}");
    assert!(finding["advice"].as_str().unwrap().contains("EVENT_STORE_URL"), "{finding}");
    kurrentdb.revive();
    assert_eq!(ground.await_run(&run_id).await, "completed");
    ground.await_appserver(&second, "running", false).await;

    // What is known of the log outlives Ocim.
    let finding = doctor(&ground, &url).await;
    assert_eq!(finding["is_fine"], true, "{finding}");
    let says = finding["says"].as_str().unwrap();
    assert_eq!(says, "KurrentDB 25.1.0 without TLS: ends no earlier than it did before");
    let (code, told) = run(&ground, &url, &["events", "verify"]).await;
    assert!(code == Some(4) && told.contains("keeps no hash chain"), "{code:?} {told}");
    let (status, _) = ground.terminate().await;
    assert!(status.success(), "{status:?}");
    ground.start_with(&configured).await;
    ground.await_appserver(&first, "running", true).await;
    let (status, _) = ground.terminate().await;
    assert!(status.success(), "{status:?}");

    // Another log is not taken for this one, wherever it is.
    let other = KurrentDb::start();
    let (code, told) = run(&ground, &other.url(), &["serve"]).await;
    assert!(code != Some(0) && told.contains("has seen"), "{code:?} {told}");
    let (code, told) = run(&ground, "", &["serve"]).await;
    assert!(code != Some(0) && told.contains("has seen"), "{code:?} {told}");
    // A KurrentDB that does not answer is named.
    kurrentdb.kill();
    let (code, told) = run(&ground, &url, &["serve"]).await;
    assert!(code != Some(0) && told.contains("check EVENT_STORE_URL"), "{code:?} {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_holds_events_is_not_used_beside_another_log() {
    let database = Database::migrated().await;
    let pool = database.pool();
    let kurrentdb = KurrentDb::start();
    let open = || async {
        ocim_engine::store::open_store(Some(&kurrentdb.url()), &database.address(), &pool).await
    };
    let store = open().await.expect("an empty database");
    assert!(!store.capabilities().hash_chain);
    store.shutdown().await;
    let inside =
        ocim_engine::store::open_store(None, &database.address(), &pool).await.expect("a store");
    assert!(inside.capabilities().hash_chain);
    let event = new_event("test.happened", json!({}));
    inside.append(&new_stream("test"), Expected::NoStream, vec![event]).await.expect("an event");
    inside.shutdown().await;
    let told = open().await.expect_err("two logs").to_string();
    assert!(told.contains("holds events already") && told.contains("unset it"), "{told}");
}
