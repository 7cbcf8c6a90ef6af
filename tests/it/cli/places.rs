//! Which server a command asks, and that looking makes nothing.

use crate::support::api_server::ApiServer;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Commands that work on the data folder of this machine.
const LOCAL: &[&[&str]] = &[
    &["serve"],
    &["demo"],
    &["doctor"],
    &["check"],
    &["events", "tail"],
    &["events", "verify"],
    &["projections", "status"],
    &["projections", "rebuild", "runs"],
    &["machine", "list"],
    &["machine", "stop"],
];

/// The program of somebody with this home, and nothing else.
fn program(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocim"));
    command.env_clear().env("HOME", home).env("PATH", "/usr/bin:/bin").current_dir("/");
    command.env("OCIM_DATA_DIR", home.join("data")).args(arguments).stdin(Stdio::null());
    command.kill_on_drop(true);
    command
}

async fn code(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().await.unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn is_empty(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path()).unwrap().next().is_none()
}

#[tokio::test]
async fn a_command_on_the_data_folder_is_refused_for_another_server() {
    let home = tempfile::tempdir().unwrap();
    for local in LOCAL {
        let remote = [local, &["--server", "http://127.0.0.1:9"][..]].concat();
        let mut named = program(home.path(), local);
        named.env("OCIM_SERVER", "http://127.0.0.1:9");
        for command in [program(home.path(), &remote), named] {
            let (code, said) = code(command).await;
            assert_eq!(code, Some(2), "{local:?}: {said}");
            assert!(said.contains("http://127.0.0.1:9") && said.contains("--data-dir"), "{said}");
            assert!(is_empty(&home), "{local:?} has made something");
        }
    }
}

#[tokio::test]
async fn a_command_that_looks_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    for (command, expected) in [
        (&["events", "verify"][..], Some(5)),
        (&["events", "tail"], Some(5)),
        (&["projections", "status"], Some(5)),
        (&["projections", "rebuild", "runs"], Some(5)),
        (&["instance", "list"], Some(5)),
        (&["status"], Some(5)),
        (&["machine", "list"], Some(0)),
        (&["servers"], Some(0)),
        (&["logout"], Some(3)),
        (&["completion", "bash"], Some(0)),
        (&["doctor"], None),
    ] {
        let mut command_line = program(home.path(), command);
        command_line.env("DEFAULT_CONFIGURATION_REPO_URL", "bundled:demo_site");
        command_line.env("ANSIBLE_APPSERVER_REPO", "").env("OCIM_HTTP_PORT", "0");
        let (code, said) = code(command_line).await;
        assert!(expected.is_none() || code == expected, "{command:?}: {code:?} {said}");
        assert!(is_empty(&home), "{command:?} has made something");
    }
}

/// Runs a command whose standard input holds this.
async fn with_input(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    child.wait_with_output().await.unwrap()
}

#[tokio::test]
async fn a_login_is_kept_for_its_owner_until_the_logout() {
    let server = ApiServer::start().await;
    let site = server.given_instance("alpha").await;
    server.catch_up().await;
    let home = tempfile::tempdir().unwrap();
    let log_in = || program(home.path(), &["login", &format!("{}/", server.url)]);
    let refused = with_input(log_in(), "ocim_wrong\n").await;
    assert_eq!(refused.status.code(), Some(6), "{refused:?}");
    assert!(is_empty(&home), "a token that is not valid is not kept");
    let taken = with_input(log_in(), &format!("{}\n", server.token)).await;
    assert!(taken.status.success(), "{taken:?}");

    let file = home.path().join(".config/ocim/servers.json");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let folder = file.parent().unwrap().metadata().unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    for arguments in [&["instance", "list", "-o", "name"][..], &["servers", "-o", "name"]] {
        let output = program(home.path(), arguments).output().await.unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let expected = if arguments[0] == "servers" { &server.url } else { &site };
        assert_eq!(said.trim(), expected, "{arguments:?}");
    }
    let (refused, said) = code(program(home.path(), &["events", "verify"])).await;
    assert_eq!(refused, Some(2), "commands go elsewhere now: {said}");
    assert!(program(home.path(), &["logout"]).status().await.unwrap().success());
    let (none, _) = code(program(home.path(), &["instance", "list"])).await;
    assert_eq!(none, Some(5), "it is forgotten");

    let mut named = program(home.path(), &["instance", "list", "-o", "name"]);
    named.env("OCIM_SERVER", &server.url).env("OCIM_TOKEN", &server.token);
    assert_eq!(String::from_utf8(named.output().await.unwrap().stdout).unwrap().trim(), site);
    let (without, said) =
        code(program(home.path(), &["instance", "list", "--server", &server.url])).await;
    assert_eq!(without, Some(6), "{said}");
    assert!(said.contains("ocim login"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn who_uses_the_local_token_is_named_in_events() {
    let server = ApiServer::start().await;
    let create = ["instance", "create", "--sub-domain", "alpha", "--reason", "a customer asked"];
    let site = super::answer(&server, &create).await;
    let set = ["instance", "set", "alpha", "name=B", "--reason", "they renamed it"];
    super::answer(&server, &set).await;
    let by = format!("local:{}", ocim::http::os_user());
    let events = server.get("/events?kind=instance.created,instance.settings_changed").await;
    let items = events["items"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> =
        items.iter().map(|it| (&it["actor"], &it["reason"])).collect();
    assert_eq!(told.len(), 2, "{site}: {events}");
    for (actor, reason) in told {
        assert_eq!(actor, &by);
        assert!(["a customer asked", "they renamed it"].contains(&reason.as_str().unwrap()));
    }
    server.stop().await;
}
