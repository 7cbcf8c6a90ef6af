//! `ocim appserver plan`.

use super::run;
use crate::support::api_server::ApiServer;
use serde_json::{Value, json};

#[tokio::test]
async fn a_rehearsal_prints_problems_and_steps_and_ends_so_that_scripts_notice() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    server.cloud.set_offers(vec![json!({ "ram": 1 })], vec![]);
    let output = run(&server, &["appserver", "plan", "alpha"]).await;
    let (told, error) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(8), "{told} {error}");
    assert!(error.contains("2 problems would stop this launch"), "{error}");
    for words in [
        "problem at create_server: the region has no flavor that fits",
        "(`ocim explain machine_not_offered`)",
        "no appserver is in traffic to compare it with",
        "  provision_storage: skipped, no account of Swift is given: see the settings `swift_openstack_*`",
        "  run_main_playbook\n",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    assert!(!told.contains("EDXAPP_LMS_BASE"), "{told}");
    let output = run(&server, &["appserver", "plan", "alpha", "--activate", "--variables"]).await;
    let told = text(output.stdout);
    assert!(told.contains("  EDXAPP_LMS_BASE: \"alpha.example.com\""), "{told}");
    assert!(told.contains("  COMMON_HTPASSWD_PASS: \"<protected>\""), "{told}");
    let output = run(&server, &["--json", "appserver", "plan", "alpha"]).await;
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(plan["problems"].as_array().unwrap().len(), 2, "{plan}");
    server.stop().await;
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}
