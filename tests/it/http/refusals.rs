//! Every refusal is a problem: of tokens, of bad input, of the framework's own, of a lost database.

use crate::support::api_server::ApiServer;
use crate::support::postgres::Database;
use chrono::{DateTime, Utc};
use ocim::app::tokens::TokenError;
use ocim_adapters::system::SystemClock;
use ocim_domain::system::Clock;
use ocim_domain::token::Scope;
use reqwest::Response;
use serde_json::{Value, json};
use std::time::Duration;

async fn problem(response: Response) -> Value {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{response:?}");
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status, "{problem}");
    assert!(problem["type"].as_str().unwrap().starts_with("/problems/"), "{problem}");
    problem
}

#[tokio::test]
async fn only_a_valid_token_comes_in() {
    let server = ApiServer::start().await;
    let made = server.tokens.create_token("ci", Scope::All, None).await.unwrap().expose();
    let tampered = format!("{}x", &made[..made.len() - 1]);
    for token in [None, Some("nonsense"), Some(tampered.as_str())] {
        let request = server.bare("GET", "/api/v1/instances");
        let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
        let refused = request.send().await.unwrap();
        assert_eq!(refused.status(), 401, "{token:?}");
        assert!(refused.headers()["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
        problem(refused).await;
    }
    let welcome = server.bare("GET", "/api/v1/instances").bearer_auth(&made).send().await.unwrap();
    assert_eq!(welcome.status(), 200);
    for open in ["/health", "/ready", "/docs/", "/api/v1/openapi.json"] {
        assert_eq!(server.bare("GET", open).send().await.unwrap().status(), 200, "{open}");
    }
    let again = server.tokens.create_token("ci", Scope::All, None).await;
    assert!(matches!(again, Err(TokenError::NameTaken { .. })), "{again:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_token_expires_and_the_database_holds_no_secret() {
    let server = ApiServer::start().await;
    let client = server.database.client().await;
    let later: DateTime<Utc> = SystemClock.now() + Duration::from_secs(60);
    let token =
        server.tokens.create_token("short", Scope::All, Some(later)).await.unwrap().expose();
    assert!(server.tokens.find_holder(&token).await.unwrap().is_some());
    let expire = "update access.tokens set created_at = created_at - interval '1 hour',
                  expires_at = now() - interval '1 second' where name = 'short'";
    assert_eq!(client.execute(expire, &[]).await.unwrap(), 1);
    assert_eq!(server.tokens.find_holder(&token).await.unwrap(), None);
    let rows = client.query("select t::text from access.tokens as t", &[]).await.unwrap();
    let secret = token.rsplit('_').next().unwrap();
    assert!(rows.iter().all(|row| !row.get::<_, String>(0).contains(secret)));
    server.stop().await;
}

#[tokio::test]
async fn the_frameworks_own_refusals_are_problems() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let post = |path: &str| server.ask("POST", path);
    let json_body = ("content-type", "application/json");
    let send = async |request: reqwest::RequestBuilder| request.send().await.unwrap();

    let refused = send(post("/instances").header(json_body.0, json_body.1).body("{\"na")).await;
    assert_eq!(problem(refused).await["status"], 400);
    let refused = send(post("/instances").header("content-type", "text/plain").body("hi")).await;
    assert_eq!(problem(refused).await["status"], 415);
    // As `gzip` makes it of `{}`: nobody decodes it, whichever operation it is sent to.
    let gzipped = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3];
    let gzipped = [&gzipped[..], &[2, 0, 0, 0]].concat();
    let run = "/runs/run_01936f0e-8d5a-7000-8000-000000000000/cancel";
    for path in ["/instances", run, &format!("/instances/{id}/appservers")] {
        for coding in ["gzip", "identity, br"] {
            let coded = post(path).header(json_body.0, json_body.1);
            let coded = coded.header("content-encoding", coding).body(gzipped.clone());
            let refused = problem(send(coded).await).await;
            assert_eq!(refused["status"], 415, "{path} {coding}: {refused}");
        }
    }
    let plain = post("/instances").header(json_body.0, json_body.1);
    let plain = send(plain.header("content-encoding", "identity").body("{\"na")).await;
    assert_eq!(problem(plain).await["status"], 400);
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(600_000));
    let refused = send(post("/instances").header(json_body.0, json_body.1).body(large)).await;
    assert_eq!(problem(refused).await["status"], 413);
    let refused = send(server.ask("GET", "/nowhere")).await;
    assert_eq!(problem(refused).await["status"], 404);
    let refused = send(server.bare("GET", "/elsewhere")).await;
    assert_eq!(problem(refused).await["status"], 404);
    let refused = send(server.ask("DELETE", "/instances")).await;
    assert_eq!(refused.headers()["allow"], "GET, HEAD, POST");
    assert_eq!(problem(refused).await["status"], 405);
    let refused = send(server.ask("GET", "/instances?limit=many")).await;
    let refused = problem(refused).await;
    assert_eq!(
        (&refused["status"], &refused["errors"][0]["field"]),
        (&json!(400), &json!("limit"))
    );
    for path in ["/instances/7", "/appservers/inst_x", &format!("/runs/{id}")] {
        let refused = problem(send(server.ask("GET", path)).await).await;
        assert_eq!(refused["status"], 404, "{path}");
        let rule = refused["errors"][0]["rule"].as_str().unwrap();
        assert!(rule.contains("is not an identifier of the form"), "{rule}");
    }
    let unknown = "inst_00000000-0000-7000-8000-000000000000";
    for (method, path) in
        [("GET", ""), ("PATCH", ""), ("GET", "/appservers"), ("POST", "/appservers")]
    {
        let request = server.ask(method, &format!("/instances/{unknown}{path}")).json(&json!({}));
        assert_eq!(problem(send(request).await).await["status"], 404, "{method} {path}");
    }
    let request = server.ask("PATCH", &format!("/instances/{id}")).header("If-Match", "W/\"1\"");
    let refused = problem(send(request.json(&json!({}))).await).await;
    assert_eq!(refused["errors"][0]["field"], "If-Match");
    server.stop().await;
}

#[tokio::test]
async fn a_lost_database_is_a_503_that_ends_when_it_is_back() {
    let server = ApiServer::start().await;
    set_reachable(&server.database, false).await;
    let refused = server.until(|it| it.status() == 503, || server.ask("GET", "/instances")).await;
    assert!(refused.headers().contains_key("retry-after"));
    let refused = problem(refused).await;
    assert_eq!(refused["type"], "/problems/unavailable");
    assert!(refused["retry_after_s"].as_u64().unwrap() > 0);
    let refused = server.until(|it| it.status() == 503, || server.bare("GET", "/ready")).await;
    assert!(!problem(refused).await["errors"].as_array().unwrap().is_empty());
    assert_eq!(server.bare("GET", "/health").send().await.unwrap().status(), 200);
    set_reachable(&server.database, true).await;
    server.until(|it| it.status() == 200, || server.ask("GET", "/instances")).await;
    server.until(|it| it.status() == 200, || server.bare("GET", "/ready")).await;
    server.given_instance("back").await;
    server.stop().await;
}

/// Cuts the database off from all its clients, or lets them in again.
async fn set_reachable(database: &Database, reachable: bool) {
    let name = database.config().get_dbname().unwrap().to_owned();
    let mut config = database.config();
    config.dbname("postgres");
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let sql = format!("alter database {name} allow_connections {reachable}");
    client.batch_execute(&sql).await.unwrap();
    if !reachable {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
        client.query(cut, &[&name]).await.unwrap();
    }
    drop(client);
    connection.await.unwrap().unwrap();
}
