//! Runs as a client of the API sees them.

use crate::support::api_server::ApiServer;
use ocim_domain::saga::Event;
use serde_json::{Value, json};

fn done(step: &str) -> Event {
    Event::StepDone { step: step.to_owned(), output: json!({}) }
}

fn skipped(step: &str) -> Event {
    Event::StepSkipped { step: step.to_owned(), reason: "nothing to do".to_owned() }
}

#[tokio::test]
async fn a_run_is_listed_read_with_its_steps_and_cancelled() {
    let server = ApiServer::start().await;
    let over = server.given_run().await;
    server.report(over, skipped("choose_balancer")).await;
    server.report(over, done("create_server")).await;
    server.report(over, Event::Completed {}).await;
    let open = server.given_run().await;

    let ids = |page: Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(server.get("/runs").await), [open.to_string(), over.to_string()]);
    assert_eq!(ids(server.get("/runs?open").await), [open.to_string()]);
    assert_eq!(ids(server.get("/runs?definition=other").await), [""; 0]);
    assert_eq!(ids(server.get("/runs?subject=apps_test&limit=1").await), [open.to_string()]);

    let detail = server.get(&format!("/runs/{over}")).await;
    assert_eq!(detail["phase"], "completed");
    assert!(detail["ended"].is_string());
    let states: Vec<_> =
        detail["steps"].as_array().unwrap().iter().map(|it| (&it["step"], &it["state"])).collect();
    let expected =
        [(&json!("choose_balancer"), &json!("skipped")), (&json!("create_server"), &json!("done"))];
    assert_eq!(states, expected);

    let cancel = |run| server.ask("POST", &format!("/runs/{run}/cancel"));
    let nameless = cancel(open).json(&json!({})).send().await.unwrap();
    assert_eq!(nameless.status(), 422);
    let reason = json!({"reason": "a mistake"});
    assert_eq!(cancel(open).json(&reason).send().await.unwrap().status(), 204);
    assert_eq!(server.get(&format!("/runs/{open}")).await["cancel_requested"], true);
    let refused = cancel(over).json(&reason).send().await.unwrap();
    assert_eq!(refused.status(), 409);
    server.stop().await;
}
