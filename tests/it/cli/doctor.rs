//! `ocim doctor`: each finding is tried, has a code, and says what to do.

use super::ocim;
use crate::support::api_server::ApiServer;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// The findings by their codes, and the exit code.
async fn examine(server: &ApiServer, variables: &[(&str, &str)]) -> (i32, BTreeMap<String, Value>) {
    server.catch_up().await;
    let mut command = ocim(server.data_dir(), &["doctor", "--json"]);
    command.env("PATH", "/usr/bin:/bin").env("DATABASE_URL", server.database.url());
    command.env("DEFAULT_CONFIGURATION_REPO_URL", "bundled:demo_site");
    command.env("ANSIBLE_APPSERVER_REPO", "").envs(variables.iter().copied());
    let output = command.output().await.unwrap();
    let findings: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let named = findings.into_iter().map(|it| (it["code"].as_str().unwrap().to_owned(), it));
    (output.status.code().unwrap(), named.collect())
}

#[track_caller]
fn assert_fails(findings: &BTreeMap<String, Value>, code: &str, words: &str) {
    let finding = &findings[code];
    assert_eq!(finding["is_fine"], false, "{finding}");
    assert!(finding["says"].as_str().unwrap().contains(words), "{finding}");
    assert!(!finding["advice"].as_str().unwrap().is_empty(), "{finding}");
}

#[tokio::test]
async fn what_is_well_is_told_and_nothing_is_written() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    let list = || {
        let mut files: Vec<_> = std::fs::read_dir(server.data_dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        files.sort();
        files
    };
    let before = (list(), server.get("/events").await);
    let key = ("SECRET_KEY", "a key that nothing is bound to yet");
    let (code, findings) = examine(&server, &[key]).await;
    assert_eq!(code, 0, "{findings:#?}");
    for code in ["program_git", "program_ssh", "program_python", "event_log", "database", "disk"] {
        assert_eq!(findings[code]["is_fine"], true, "{code}: {findings:#?}");
    }
    assert!(findings["program_git"]["says"].as_str().unwrap().starts_with("git version"));
    assert_eq!(before, (list(), server.get("/events").await), "it has written something");
    server.stop().await;
}

#[tokio::test]
async fn settings_of_the_original_that_nothing_reads_are_told_with_why_and_fail_nothing() {
    let server = ApiServer::start().await;
    let key = ("SECRET_KEY", "a key that nothing is bound to yet");
    let unread = [
        ("REDIS_URL", "redis://:hidden@cache/0"),
        ("GITHUB_ACCESS_TOKEN", "a secret"),
        ("DEBUG", " "),
    ];
    let (code, findings) = examine(&server, &[&[key], &unread[..]].concat()).await;
    assert_eq!(code, 0, "{findings:#?}");
    for (setting, reason) in [
        ("setting_redis_url", "there is no Redis"),
        ("setting_github_access_token", "sandboxes from pull requests"),
    ] {
        let finding = &findings[setting];
        assert_eq!(finding["is_fine"], true, "{finding}");
        assert!(finding["says"].as_str().unwrap().contains(reason), "{finding}");
    }
    assert!(!findings.contains_key("setting_debug"), "a blank one is not set");
    assert!(!findings.keys().any(|code| code == "setting_secret_key"), "it is read");
    let told = format!("{findings:?}");
    assert!(!told.contains("hidden@") && !told.contains("a secret"), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_key_and_a_broken_log_are_found() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    let client = server.database.pool().get().await.unwrap();
    let bind = "insert into es.key_check (value) values (decode(repeat('07', 16), 'hex'))";
    client.execute(bind, &[]).await.unwrap();
    let key = ("SECRET_KEY", "not the key of this database");
    let (code, findings) = examine(&server, &[key]).await;
    assert_eq!(code, 1);
    assert_fails(&findings, "secret_key", "another secret key");
    assert_eq!(findings["event_log"]["is_fine"], true, "{findings:#?}");

    let tamper = "alter table es.events disable trigger events_are_final; \
                  update es.events set kind = 'instance.forged' where pos = 1";
    client.batch_execute(tamper).await.unwrap();
    let (code, findings) = examine(&server, &[key]).await;
    assert_eq!(code, 1);
    assert_fails(&findings, "event_log", "broken at position");
    server.stop().await;
}

#[tokio::test]
async fn programs_are_run_and_repositories_are_asked() {
    let server = ApiServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    // One that is there, but does nothing.
    let fake = folder.path().join("python");
    std::fs::write(&fake, "").unwrap();
    let repository = folder.path().join("repository");
    make_repository(&repository);
    let url = repository.display().to_string();
    let (code, findings) = examine(
        &server,
        &[
            ("ANSIBLE_PYTHON_PATH", fake.to_str().unwrap()),
            ("DEFAULT_CONFIGURATION_REPO_URL", &url),
            ("DEFAULT_CONFIGURATION_VERSION", "release"),
            ("ANSIBLE_APPSERVER_REPO", &url),
            ("ANSIBLE_APPSERVER_VERSION", "no-such-branch"),
        ],
    )
    .await;
    assert_eq!(code, 1);
    assert_fails(&findings, "program_python", "python");
    assert_fails(&findings, "repository_common", "no branch or tag `no-such-branch`");
    assert_eq!(findings["repository_configuration"]["is_fine"], true, "{findings:#?}");
    let gone = folder.path().join("gone").display().to_string();
    let (_, findings) = examine(&server, &[("DEFAULT_CONFIGURATION_REPO_URL", &gone)]).await;
    assert_fails(&findings, "repository_configuration", "does not answer");
    let (code, findings) = examine(&server, &[("OCIM_HTTP_PORT", "many")]).await;
    assert_eq!(code, 1);
    assert_fails(&findings, "configuration", "OCIM_HTTP_PORT");
    server.stop().await;
}

/// A repository with a branch `release`.
fn make_repository(path: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=T", "-c", "user.email=t@example.com"]).args(arguments);
        assert!(command.current_dir(path).output().unwrap().status.success(), "{arguments:?}");
    };
    std::fs::create_dir(path).unwrap();
    git(&["init", "--quiet", "--initial-branch", "release"]);
    git(&["commit", "--quiet", "--allow-empty", "--message", "first"]);
}
