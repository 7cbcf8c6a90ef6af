//! `ocim timers` and `ocim mail`.

use super::{answer, refusal};
use crate::support::api_server::ApiServer;

#[tokio::test]
async fn what_comes_by_itself_is_shown_and_had_done_by_its_name() {
    let server = ApiServer::start().await;
    let table = answer(&server, &["timers"]).await;
    assert!(table.contains("delete_old_logs") && table.contains("every day at"), "{table}");
    let asked = ["timers", "run", "delete_old_logs", "--reason", "the disk is full"];
    let run = answer(&server, &asked).await;
    assert!(run.starts_with("run_"), "{run}");
    let table = answer(&server, &["timers", "list", "-o", "wide"]).await;
    assert!(table.contains("under way") && table.contains(run.trim()), "{table}");
    // What is typed as a name names nothing else.
    for name in ["nothing", "../tokens", "a/b"] {
        let (code, line) = refusal(&server, &["timers", "run", name]).await;
        assert_eq!(code, 3, "{line}");
        assert!(line.contains(&format!("timer {name}")), "{line}");
    }
    assert!(answer(&server, &["mail", "list", "--json"]).await.contains("[]"));
    server.stop().await;
}
