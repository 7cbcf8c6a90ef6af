//! Instances that are archived, un-archived and deleted from the command line.

use super::{answer, refusal, run};
use crate::http::lifecycle::record;
use crate::support::api_server::ApiServer;
use ocim_domain::instance::lifecycle::Command as Life;
use serde_json::Value;

const WHY: [&str; 2] = ["--reason", "the course is over"];

#[tokio::test]
async fn an_archived_instance_is_shown_where_it_is_asked_for_and_comes_back() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let archive = [&["instance", "archive", "alpha"][..], &WHY].concat();
    let would = answer(&server, &[&archive[..], &["--dry-run"]].concat()).await;
    assert!(would.contains("would be kept"), "{would}");
    let begun = answer(&server, &[&archive[..], &["--json"]].concat()).await;
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let archiving = begun["run"].as_str().unwrap().parse().unwrap();
    let (code, line) = refusal(&server, &["appserver", "launch", "alpha"]).await;
    assert_eq!(code, 4, "{line}");
    assert!(line.contains("being archived by run"), "{line}");
    record(&server, &alpha, Life::RecordArchived { run: archiving }).await;

    let has = async |more: &[&str]| {
        let list = [&["instance", "list"][..], more].concat();
        answer(&server, &list).await.contains("alpha.example.com")
    };
    assert!(!has(&[]).await);
    assert!(has(&["--archived"]).await && has(&["--all"]).await);
    assert!(has(&["--lifecycle", "archived"]).await && !has(&["--lifecycle", "live"]).await);
    let wrong = ["instance", "list", "--lifecycle", "gone"];
    assert_eq!(run(&server, &wrong).await.status.code(), Some(2));
    let (code, line) = refusal(&server, &["instance", "set", "alpha", "name=A"]).await;
    assert!(code == 4 && line.contains("un-archive it first"), "{line}");

    let unarchive = [&["instance", "unarchive", "alpha", "--no-launch"][..], &WHY].concat();
    let begun = answer(&server, &[&unarchive[..], &["--json"]].concat()).await;
    let begun: Value = serde_json::from_str(&begun).unwrap();
    let run = begun["run"].as_str().unwrap().parse().unwrap();
    record(&server, &alpha, Life::RecordUnarchived { run }).await;
    assert!(has(&[]).await);
    server.stop().await;
}

#[tokio::test]
async fn a_deletion_wants_the_domain_once_more() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    let delete = [&["instance", "delete", "alpha"][..], &WHY].concat();
    assert_eq!(run(&server, &delete).await.status.code(), Some(2), "--confirm is required");
    let (code, line) = refusal(&server, &[&delete[..], &["--confirm", "beta"]].concat()).await;
    assert!(code == 2 && line.contains("--confirm"), "{line}");
    let confirmed = [&delete[..], &["--confirm", "alpha.example.com"]].concat();
    let ignoring = ["--ignore", "machine", "--ignore", "dns_name", "--dry-run"];
    let would = answer(&server, &[&confirmed[..], &ignoring].concat()).await;
    assert!(
        would.contains("machines and dns names that can't be removed would be left"),
        "{would}"
    );
    let wrong = [&confirmed[..], &["--ignore", "moon"]].concat();
    assert_eq!(run(&server, &wrong).await.status.code(), Some(2));
    answer(&server, &confirmed).await;
    let all = ["appserver", "terminate", "--all", "alpha", "--force", "--reason", "it goes"];
    let (code, line) = refusal(&server, &all).await;
    assert_eq!(code, 4, "{line}");
    let resolve = [&["resources", "resolve", "alpha"][..], &WHY].concat();
    let (code, line) = refusal(&server, &resolve).await;
    assert_eq!(code, 2, "{line}");
    server.stop().await;
}
