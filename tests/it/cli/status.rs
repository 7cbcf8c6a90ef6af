//! `ocim status`: what needs somebody, and what runs.

use super::{answer, ocim, run};
use crate::http::operators::given_stuck_run;
use crate::sagas::stage::{BALANCER, registration, somebody};
use crate::support::api_server::ApiServer;
use ocim_domain::load_balancer::Trouble;
use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::test]
async fn nothing_needs_anybody_until_something_does() {
    let server = ApiServer::start().await;
    assert_eq!(answer(&server, &["status"]).await, "nothing needs you\nnothing runs");
    let running = server.given_run().await;
    let told = answer(&server, &["status"]).await;
    assert!(told.contains("runs (1):") && told.contains(&running.to_string()), "{told}");

    let stuck = given_stuck_run(&server).await;
    server.app.looks().note_silence("local", "it does not answer");
    let output = run(&server, &["status"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(8), "{told}");
    assert!(told.contains("needs you (2):"), "{told}");
    let words = format!(
        "stuck at create_server: its undo failed for a day; see `ocim run explain {stuck}`"
    );
    assert!(told.contains(&words), "{told}");
    assert!(told.contains("region local did not answer: it does not answer"), "{told}");
    assert_eq!(told.lines().count(), 5, "one line each: {told}");
    let output = run(&server, &["status", "--json"]).await;
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    let codes: Vec<_> = status["needs"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert_eq!(codes, ["run_stuck", "region_silent"]);
    assert_eq!(status["running"][0]["run"], running.to_string());
    server.stop().await;
}

#[tokio::test]
async fn a_balancer_in_trouble_is_named_with_what_is_the_matter_and_what_to_do() {
    let server = ApiServer::start().await;
    let registered = server.app.register_load_balancer(&somebody(), registration()).await;
    let balancer = registered.unwrap().value;
    assert!(answer(&server, &["status"]).await.starts_with("nothing needs you"));
    let preparation = async || {
        let balancers = server.get("/load_balancers").await;
        balancers["items"][0]["preparation_run"].as_str().map(str::to_owned)
    };
    for (trouble, words) in [
        (Trouble::Unreachable, "it does not answer"), // Nobody there to be sent to.
        (Trouble::Stopped, "HAProxy is not running"),
    ] {
        server.app.observe_balancer(balancer, vec![trouble]).await.unwrap();
        let output = run(&server, &["status"]).await;
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(8), "{told}");
        let advice = match preparation().await {
            Some(run) => format!("ocim run explain {run}"),
            None => format!("ocim balancer prepare {BALANCER} --dry-run"),
        };
        let line = told.lines().find(|line| line.contains(BALANCER)).expect("it is named");
        assert!(line.contains(words) && line.contains(&advice), "{told}");
    }
    assert!(preparation().await.is_some(), "a run puts it right");
    server.app.observe_balancer(balancer, vec![]).await.unwrap();
    assert!(answer(&server, &["status"]).await.starts_with("nothing needs you"));
    server.stop().await;
}

#[tokio::test]
async fn a_watch_tells_what_has_changed() {
    let server = ApiServer::start().await;
    let mut watch = ocim(server.data_dir(), &["status", "--watch"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "nothing needs you");
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "nothing runs");
    let stuck = given_stuck_run(&server).await.to_string();
    loop {
        let line = lines.next_line().await.unwrap().expect("it goes on");
        if line.contains(&stuck) && line.contains("ocim run explain") {
            break;
        }
    }
    watch.kill().await.unwrap();
    server.stop().await;
}
