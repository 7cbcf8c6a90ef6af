//! Work on a site from the command line: holds, maintenance, restarts and test links.

use super::{answer, refusal, run};
use crate::support::api_server::ApiServer;
use serde_json::Value;

const WHY: [&str; 2] = ["--reason", "moving the database"];

/// In time for as long as holds and maintenance may last.
fn tomorrow(server: &ApiServer) -> String {
    (server.app.journal().now() + chrono::TimeDelta::days(1)).to_rfc3339()
}

#[tokio::test]
async fn an_instance_is_held_shown_as_held_and_released() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    let until = tomorrow(&server);
    let hold = [&["instance", "hold", "alpha", "--until", &until][..], &WHY].concat();
    let told = answer(&server, &hold).await;
    assert!(told.starts_with("nobody else changes it until 2"), "{told}");
    let shown = answer(&server, &["instance", "show", "alpha", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["hold"]["reason"], "moving the database");
    let status = answer(&server, &["status"]).await;
    assert!(status.contains("in force (1):"), "{status}");
    assert!(status.contains("see `ocim instance release alpha.example.com`"), "{status}");
    let wide = answer(&server, &["instance", "list", "-o", "wide"]).await;
    assert!(wide.contains("HELD BY"), "{wide}");
    let late = [&["instance", "hold", "alpha", "--until", "2020-01-01T00:00:00Z"][..], &WHY];
    let (code, line) = refusal(&server, &late.concat()).await;
    assert!(code == 2 && line.contains("--until"), "{line}");
    let blind = ["instance", "release", "alpha", "--force"];
    assert_eq!(run(&server, &blind).await.status.code(), Some(2), "force needs a reason");
    // Who holds it goes on, and releases it.
    answer(&server, &["instance", "set", "alpha", "name=Alpha"]).await;
    answer(&server, &["instance", "release", "alpha"]).await;
    let (code, line) = refusal(&server, &["instance", "release", "alpha"]).await;
    assert!(code == 4 && line.contains("nothing to release"), "{line}");
    assert!(!answer(&server, &["status"]).await.contains("in force"));
    server.stop().await;
}

#[tokio::test]
async fn what_can_not_be_is_refused_with_what_to_do() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    let until = tomorrow(&server);
    let on =
        ["instance", "maintenance", "alpha", "on", "--until", &until, "--message", "Back soon."];
    let (code, line) = refusal(&server, &on).await;
    assert!(code == 4 && line.contains("launch it first"), "{line}");
    let (code, line) = refusal(&server, &["instance", "maintenance", "alpha", "off"]).await;
    assert!(code == 4 && line.contains("launch it first"), "{line}");
    let blank = ["instance", "maintenance", "alpha", "on", "--until", &until, "--message", " "];
    let (code, line) = refusal(&server, &blank).await;
    assert!(code == 2 && line.contains("--message"), "{line}");
    answer(&server, &["appserver", "launch", "alpha"]).await;
    for order in [["appserver", "restart", "alpha/1"], ["appserver", "link", "alpha/1"]] {
        let (code, line) = refusal(&server, &order).await;
        assert!(code == 4 && line.contains("is not made yet"), "{line}");
    }
    server.stop().await;
}
