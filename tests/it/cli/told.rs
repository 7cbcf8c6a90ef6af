//! Whatever people gave as a name or a reason, a terminal is shown text, one line a thing.

use super::answer;
use crate::support::api_server::ApiServer;
use serde_json::{Value, json};

/// Orders to a terminal, a forged line, a turned direction of writing.
const HOSTILE: &str =
    "why\r\n2026-01-01 00:00:00 root deleted all\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}abc";

#[tokio::test]
async fn no_text_of_people_gives_orders_to_the_terminal() {
    let server = ApiServer::start().await;
    let name = "left\u{202e}right\u{2066}";
    let body = json!({ "sub_domain": "alpha", "name": name });
    let made = server.ask("POST", "/instances").json(&body).send().await.unwrap();
    let instance: Value = made.json().await.unwrap();
    let instance = instance["id"].as_str().unwrap();
    let run = server.given_run().await.to_string();
    let path = format!("/runs/{run}/cancel");
    let cancel = server.ask("POST", &path).json(&json!({ "reason": HOSTILE }));
    assert_eq!(cancel.send().await.unwrap().status(), 200);

    let mut seen = 0;
    for arguments in [
        &["instance", "list"][..],
        &["instance", "show", instance],
        &["instance", "timeline", instance],
        &["run", "show", &run],
        &["run", "timeline", &run],
        &["run", "explain", &run],
        &["run", "list"],
        &["run", "show", &run, "--json"],
        &["instance", "show", instance, "--json"],
        &["run", "timeline", &run, "--json"],
    ] {
        let shown = answer(&server, arguments).await;
        let is_hostile = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}".contains(c);
        assert!(!shown.contains(is_hostile), "{arguments:?}: {shown:?}");
        let forged = shown.lines().any(|line| line.starts_with("2026-01-01"));
        assert!(!forged, "{arguments:?}: {shown}");
        seen += usize::from(shown.contains("owned") || shown.contains("202e"));
    }
    assert!(seen >= 6, "the texts are there: {seen}");
    server.stop().await;
}
