//! `ocim token …`: made, listed and revoked through the API.

use super::answer;
use crate::support::api_server::ApiServer;

#[tokio::test]
async fn tokens_are_made_listed_and_revoked() {
    let server = ApiServer::start().await;
    let secret = answer(&server, &["token", "create", "ci", "--scope", "read"]).await;
    let asked = server.bare("GET", "/api/v1/instances").bearer_auth(&secret).send().await;
    assert_eq!(asked.unwrap().status(), 200);
    let listed = answer(&server, &["token", "list", "-o", "wide"]).await;
    let line = listed.lines().find(|line| line.starts_with("ci ")).unwrap().to_owned();
    assert!(line.contains(" read ") && line.contains(" active "), "{listed}");
    answer(&server, &["token", "revoke", "ci"]).await;
    let listed = answer(&server, &["token", "list", "-o", "wide"]).await;
    assert!(listed.lines().any(|it| it.starts_with("ci ") && it.contains(" revoked ")), "{listed}");
    let asked = server.bare("GET", "/api/v1/instances").bearer_auth(&secret).send().await;
    assert_eq!(asked.unwrap().status(), 401);
    server.stop().await;
}
