//! `ocim run logs`: lines cut for people, and whole for files.

use super::answer;
use crate::support::api_server::ApiServer;

#[tokio::test]
async fn a_long_line_says_how_to_see_all_of_it() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    let masker = ocim::logs::masking::Masker::new([]);
    let level = ocim_adapters::logs::Level::Info;
    let long = "x".repeat(20_000);
    server.app.logs().append(run, "configure", level, &long, &masker).await.unwrap();
    let id = run.to_string();
    let shown = answer(&server, &["run", "logs", &id]).await;
    let hint = "x… [3616 more bytes: --raw --from 1 --to 1 shows them]";
    assert!(shown.ends_with(hint), "{}", &shown[shown.len() - 100..]);
    let raw = answer(&server, &["run", "logs", &id, "--raw", "--from", "1", "--to", "1"]).await;
    assert!(raw == long, "{} bytes", raw.len());
    server.stop().await;
}
