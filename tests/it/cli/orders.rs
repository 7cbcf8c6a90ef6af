//! Orders to many runs: first what they would do, then that.

use super::{answer, refusal, run};
use crate::http::operators::{get_stuck, given_stuck_run};
use crate::support::api_server::ApiServer;
use ocim_adapters::system::SystemIds;
use ocim_domain::ids::RunId;
use ocim_domain::system::Ids;
use serde_json::Value;

async fn phase(server: &ApiServer, run: RunId) -> String {
    server.get(&format!("/runs/{run}")).await["phase"].as_str().unwrap().to_owned()
}

/// A stuck launch of an appserver of this site.
async fn given_stuck_launch(server: &ApiServer, site: &str) -> RunId {
    let launch = ["appserver", "launch", site, "--json", "--reason", "a test"];
    let launched: Value = serde_json::from_str(&answer(server, &launch).await).unwrap();
    let run = RunId(SystemIds.new_id());
    server.start_run(run, launched["appserver"].as_str().unwrap()).await;
    get_stuck(server, run).await;
    run
}

#[tokio::test]
async fn an_order_to_many_says_what_it_would_do_and_does_it_when_told_so() {
    let server = ApiServer::start().await;
    server.given_instance("alpha").await;
    let ours = given_stuck_launch(&server, "alpha").await;
    let other = given_stuck_run(&server).await;
    let running = server.given_run().await;
    let retry = ["run", "retry-step", "--reason", "the cloud is back", "--where"];
    let order = |more: &[&'static str]| [&retry[..], more].concat();

    let would = answer(&server, &order(&["stuck provider=local"])).await;
    assert!(would.contains(&format!("{ours} (alpha.example.com/1) it would:")), "{would}");
    assert!(!would.contains(&other.to_string()), "{would}");
    assert!(would.ends_with("1 would be done, 0 refused; with --yes they are"), "{would}");
    assert_eq!(phase(&server, ours).await, "stuck", "only looked at");
    let did = answer(&server, &order(&["stuck provider=local", "--yes"])).await;
    assert!(did.ends_with("1 done, 0 refused"), "{did}");
    assert_eq!(phase(&server, ours).await, "unwinding");
    assert_eq!(phase(&server, other).await, "stuck", "it is not of that provider");

    // One that does not fit refuses, the others do it all the same.
    let abandon = ["run", "force-unwind", "--reason", "enough", "--where"];
    let fits = [&abandon[..], &["definition=launch_appserver", "--yes"]].concat();
    let output = run(&server, &fits).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{told}");
    assert!(told.contains(&format!("{running} (apps_test) done:")), "{told}");
    assert!(told.contains("refused"), "{told}");

    let (code, line) = refusal(&server, &order(&["stuck provider=elsewhere"])).await;
    assert_eq!(code, 3, "{line}");
    let (code, line) = refusal(&server, &order(&["stuck colour=red"])).await;
    assert_eq!(code, 2, "{line}");
    for wrong in [&["open"][..], &["stuck", "run_1"]] {
        assert_eq!(run(&server, &order(wrong)).await.status.code(), Some(2), "{wrong:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_step_that_a_run_is_at_need_not_be_named() {
    let server = ApiServer::start().await;
    let stuck = given_stuck_run(&server).await;
    let id = stuck.to_string();
    let retry = ["run", "retry-step", &id[..38], "--reason", "the cloud is back"];
    let told = answer(&server, &retry).await;
    assert!(told.starts_with("Done:\n- `create_server` is due at once"), "{told}");
    assert_eq!(phase(&server, stuck).await, "unwinding");
    server.stop().await;
}
