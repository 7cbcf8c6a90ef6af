//! Instances on the command line, errors and their exit codes.

use super::{answer, ocim, refusal, run};
use crate::support::api_server::ApiServer;
use serde_json::Value;
use std::path::Path;

#[tokio::test]
async fn instances_are_made_listed_shown_and_changed() {
    let server = ApiServer::start().await;
    let create = ["instance", "create", "--name", "Alpha", "--sub-domain", "alpha"];
    let id = answer(&server, &create).await;
    assert!(id.starts_with("inst_"), "{id}");
    let table = answer(&server, &["instance", "list"]).await;
    assert!(table.contains("alpha.example.com"), "{table}");
    let set = ["instance", "set", &id, "deploy_simpletheme:=true", "openedx_release=2019"];
    answer(&server, &set).await;
    let shown = answer(&server, &["instance", "show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let settings = &shown["settings"];
    assert_eq!(settings["deploy_simpletheme"], true);
    assert_eq!(settings["openedx_release"], "2019");
    server.stop().await;
}

#[tokio::test]
async fn errors_are_one_line_and_a_documented_exit_code() {
    let server = ApiServer::start().await;
    let id = answer(&server, &["instance", "create", "--sub-domain", "alpha"]).await;
    let unknown = "inst_00000000-0000-7000-8000-000000000000";
    let (code, line) = refusal(&server, &["instance", "set", &id, "nmae=x"]).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("nmae"), "{line}");
    let (code, line) = refusal(&server, &["instance", "show", unknown]).await;
    assert_eq!(code, 3, "{line}");
    let stale = ["instance", "set", &id, "name=B", "--if-version", "77"];
    let (code, line) = refusal(&server, &stale).await;
    assert_eq!(code, 4, "{line}");
    std::fs::write(server.data_dir().join("cli_token"), "ocim_wrong").unwrap();
    let (code, line) = refusal(&server, &["instance", "list"]).await;
    assert_eq!(code, 6, "{line}");
    let usage = run(&server, &["instance", "frobnicate"]).await;
    assert_eq!(usage.status.code(), Some(2));
    let data_dir = server.data_dir().to_owned();
    server.stop().await;
    let output = ocim(&data_dir, &["instance", "list"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("ocim serve"));
}

#[tokio::test]
async fn the_openapi_document_needs_no_server() {
    let output = ocim(Path::new("/nonexistent"), &["openapi"]).output().await.unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api-spec/openapi.json");
    assert!(output.stdout == std::fs::read(path).unwrap(), "run `make openapi`");
}

#[tokio::test]
async fn a_code_is_explained_without_a_server_and_a_run_by_it() {
    let explain = async |arguments: &[&str]| {
        let arguments: Vec<_> = ["explain"].iter().chain(arguments).copied().collect();
        ocim(Path::new("/nonexistent"), &arguments).output().await.unwrap()
    };
    for name in ["playbook_failed", "stale_version", "/problems/playbook_failed", "crash_loop"] {
        let output = explain(&[name]).await;
        assert!(output.status.success(), "{output:?}");
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(page.starts_with("# ") && page.contains("## What to do"), "{page}");
    }
    let listed = String::from_utf8(explain(&[]).await.stdout).unwrap();
    assert!(listed.lines().any(|line| line.starts_with("no_load_balancer ")), "{listed}");
    let unknown = explain(&["nonsense"]).await;
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");

    let server = ApiServer::start().await;
    let run = server.given_run().await.to_string();
    let told = answer(&server, &["explain", &run]).await;
    assert!(told.starts_with("The run goes forward"), "{told}");
    server.stop().await;
}
