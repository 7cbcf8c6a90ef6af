//! `ocim clean-up`, `ocim instance clean-up`.

use super::{answer, refusal, run};
use crate::http::clean_ups::given_running;
use crate::support::api_server::ApiServer;
use serde_json::Value;

#[tokio::test]
async fn one_reads_what_goes_by_itself_and_gives_an_instance_a_rule_of_its_own() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    given_running(&server, &alpha, false).await;
    given_running(&server, &alpha, true).await;
    let told = answer(&server, &["clean-up", "--dry-run", "-o", "wide"]).await;
    assert!(told.contains("AppServer 1") && told.contains("kept as fallback until"), "{told}");
    assert!(!told.contains("receives traffic"), "{told}");
    let told = answer(&server, &["clean-up", "--dry-run", "--json"]).await;
    let plans: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(plans[0]["appservers"][0]["why"], "fallback", "{plans}");
    let wide = answer(&server, &["appserver", "list", "-o", "wide"]).await;
    assert!(wide.contains("BY ITSELF") && wide.contains("kept as fallback until"), "{wide}");
    let shown = answer(&server, &["appserver", "show", "alpha/1"]).await;
    assert!(shown.contains("kept as fallback until"), "{shown}");

    let rule = ["instance", "clean-up", "alpha", "--reason", "their exam"];
    let told = answer(&server, &[&rule[..], &["--days", "7"]].concat()).await;
    assert!(told.contains("go after 7 days"), "{told}");
    answer(&server, &[&rule[..], &["--off"]].concat()).await;
    let told = answer(&server, &["clean-up", "--dry-run", "-o", "wide"]).await;
    assert!(told.contains("clean-up is off for this instance"), "{told}");
    answer(&server, &[&rule[..], &["--default"]].concat()).await;
    let shown = answer(&server, &["instance", "show", "alpha", "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["clean_up"]["days"], 2);
    for wrong in [&["--days", "0"][..], &["--days", "366"], &["--days", "1", "--off"], &[]] {
        let (code, line) = refusal_of(&server, &[&rule[..], wrong].concat()).await;
        assert_eq!(code, Some(2), "{wrong:?}: {line}");
    }
    let (code, line) =
        refusal(&server, &["instance", "clean-up", "beta", "--off", "--reason", "x"]).await;
    assert!(code != 0 && line.contains("beta"), "{line}");

    let started = answer(&server, &["clean-up", "--reason", "space is short"]).await;
    assert!(started.starts_with("run_"), "{started}");
    let timers = answer(&server, &["timers"]).await;
    assert!(timers.contains("clean_up_appservers") && timers.contains("01:00 UTC"), "{timers}");
    server.stop().await;
}

async fn refusal_of(server: &ApiServer, arguments: &[&str]) -> (Option<i32>, String) {
    let output = run(server, arguments).await;
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}
