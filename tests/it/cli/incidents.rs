//! `ocim pause`, `ocim resume` and `ocim incidents`.

use super::{answer, refusal};
use crate::support::api_server::ApiServer;
use serde_json::Value;

#[tokio::test]
async fn work_is_paused_and_resumed_by_its_name() {
    let server = ApiServer::start().await;
    let pause = ["pause", "region", "local", "--reason", "works on the network"];
    let told = answer(&server, &pause).await;
    assert!(told.contains("region local") && told.contains("paused"), "{told}");
    let (code, _) = refusal(&server, &["pause", "region", "nowhere", "--reason", "x"]).await;
    assert_eq!(code, 2);
    let open = answer(&server, &["incidents", "--open", "--json"]).await;
    let open: Value = serde_json::from_str(&open).unwrap();
    assert_eq!(open[0]["reason"], "works on the network", "{open}");
    let told = answer(&server, &["resume", "region", "local", "--rate", "30/min"]).await;
    assert!(told.contains("goes on, 30/min"), "{told}");
    answer(&server, &["resume", "region", "local", "--reason", "all is well"]).await;
    assert_eq!(answer(&server, &["incidents", "--open", "--json"]).await, "[]");
    let all = answer(&server, &["incidents", "-o", "wide"]).await;
    assert!(all.contains("works on the network") && all.contains("ENDED BY"), "{all}");
    let (code, line) = refusal(&server, &["resume", "all"]).await;
    assert_eq!(code, 4, "{line}");
    assert!(line.contains("not paused"), "{line}");
    server.stop().await;
}
