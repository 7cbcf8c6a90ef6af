//! Tokens: what each allows, how long, and who knows of it.

use crate::support::api_server::ApiServer;
use ocim_domain::right::ReadScope;
use ocim_domain::token::Scope;
use reqwest::Method;
use serde_json::{Value, json};

/// Every operation of the API with a path that could be one: method and path below `/api/v1`.
fn all_operations() -> Vec<(String, String)> {
    let text = ocim::http::openapi::document_text().unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let mut operations = vec![];
    for (path, item) in paths {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        let path = path.replace(['{', '}'], "");
        let methods = ["get", "head", "post", "put", "patch", "delete"];
        let known = methods.into_iter().filter(|method| item.get(method).is_some());
        operations.extend(known.map(|method| (method.to_uppercase(), path.clone())));
    }
    operations
}

/// A token that was made by the API.
pub(super) async fn make_token(server: &ApiServer, body: Value) -> (String, String) {
    let made = server.ask("POST", "/tokens").json(&body).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["secret"]), text(&made["token"]["id"]))
}

async fn status_of(server: &ApiServer, method: &str, path: &str, token: &str) -> u16 {
    let request = server.bare(method, &format!("/api/v1{path}")).bearer_auth(token);
    let request = if method == "POST" { request.json(&json!({})) } else { request };
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_token_that_may_read_is_refused_every_change_and_no_look() {
    let server = ApiServer::start().await;
    let (reader, _) = make_token(&server, json!({"name": "dashboard", "scope": "read"})).await;
    let operations = all_operations();
    assert!(operations.len() > 35, "{operations:?}");
    for (method, path) in operations {
        let is_safe = Method::from_bytes(method.as_bytes()).unwrap().is_safe();
        // A live stream never ends; its answer begins all the same.
        let status = status_of(&server, &method, &path, &reader).await;
        assert_eq!(status == 403, !is_safe, "{method} {path}: {status}");
        assert_ne!(status, 401, "{method} {path}");
    }
    let refused = server.bare("POST", "/api/v1/instances").bearer_auth(&reader).send().await;
    let problem: Value = refused.unwrap().json().await.unwrap();
    assert_eq!(problem["type"], "/problems/forbidden");
    assert!(problem["detail"].as_str().unwrap().contains("scope is `all`"), "{problem}");
    server.stop().await;
}

#[tokio::test]
async fn a_revoked_token_opens_nothing_and_its_name_is_free() {
    let server = ApiServer::start().await;
    let (first, id) = make_token(&server, json!({"name": "ci/main"})).await;
    assert_eq!(status_of(&server, "GET", "/instances", &first).await, 200);
    let taken = server.ask("POST", "/tokens").json(&json!({"name": "ci/main"})).send().await;
    assert_eq!(taken.unwrap().status(), 409);
    for _ in 0..2 {
        let revoked = server.ask("POST", &format!("/tokens/{id}/revoke")).send().await.unwrap();
        assert_eq!(revoked.status(), 200);
        assert_eq!(revoked.json::<Value>().await.unwrap()["state"], "revoked");
    }
    assert_eq!(status_of(&server, "GET", "/instances", &first).await, 401);
    let (second, second_id) = make_token(&server, json!({"name": "ci/main"})).await;
    assert_eq!(status_of(&server, "GET", "/instances", &second).await, 200);
    let by_name = server.ask("POST", "/tokens/ci%2Fmain/revoke").send().await.unwrap();
    assert_eq!(by_name.json::<Value>().await.unwrap()["id"], second_id.as_str());
    assert_eq!(status_of(&server, "GET", "/instances", &second).await, 401);
    let unknown = server.ask("POST", "/tokens/nobody/revoke").send().await.unwrap();
    assert_eq!(unknown.status(), 404);

    let stream = id.replace("tokn_", "token-");
    let events = server.get(&format!("/events?stream={stream}")).await;
    let kinds: Vec<_> =
        events["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 2, "revoking twice is told once: {kinds:?}");
    assert!(kinds.contains(&"token.created") && kinds.contains(&"token.revoked"), "{kinds:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_list_tells_all_of_a_token_but_its_secret() {
    let server = ApiServer::start().await;
    let body = json!({"name": "short", "scope": "read", "expires_in_days": 1});
    let (secret, id) = make_token(&server, body).await;
    let find = async || {
        let list = server.get("/tokens").await;
        assert!(!list.to_string().contains(secret.rsplit('_').next().unwrap()));
        let items = list["items"].as_array().unwrap().clone();
        items.into_iter().find(|it| it["id"] == id.as_str()).unwrap()
    };
    let fresh = find().await;
    assert_eq!((&fresh["name"], &fresh["scope"]), (&json!("short"), &json!("read")));
    assert_eq!((&fresh["state"], &fresh["last_used"]), (&json!("active"), &Value::Null));
    assert_eq!(status_of(&server, "GET", "/instances", &secret).await, 200);
    let used = find().await["last_used"].clone();
    assert!(used.is_string(), "{used}");
    assert_eq!(status_of(&server, "GET", "/instances", &secret).await, 200);
    assert_eq!(find().await["last_used"], used, "uses of the same minute are one note");

    let client = server.database.client().await;
    let expire = "update access.tokens set created_at = created_at - interval '2 days',
                  expires_at = now() - interval '1 second' where name = 'short'";
    client.execute(expire, &[]).await.unwrap();
    assert_eq!(find().await["state"], "expired");
    assert_eq!(status_of(&server, "GET", "/instances", &secret).await, 401);
    let (again, _) = make_token(&server, json!({"name": "short"})).await;
    assert_eq!(status_of(&server, "GET", "/instances", &again).await, 200);
    for days in [0, 3651] {
        let body = json!({"name": "x", "expires_in_days": days});
        let refused = server.ask("POST", "/tokens").json(&body).send().await.unwrap();
        assert_eq!(refused.status(), 422, "{days}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_secret_is_kept_nowhere_though_the_request_has_a_key() {
    let server = ApiServer::start().await;
    let ask = || {
        let request = server.ask("POST", "/tokens").header("Idempotency-Key", "one");
        request.json(&json!({"name": "ci"})).send()
    };
    let made: Value = ask().await.unwrap().json().await.unwrap();
    // Behind the prefix and the id; it may contain what separates them.
    let secret = made["secret"].as_str().unwrap().splitn(3, '_').nth(2).unwrap().to_owned();
    assert!(secret.len() >= 32, "{secret}");
    assert_eq!(ask().await.unwrap().status(), 409, "it is not shown again");
    let client = server.database.client().await;
    for table in ["access.tokens", "access.idempotency_keys", "es.events"] {
        let rows = client.query(&format!("select t::text from {table} as t"), &[]).await.unwrap();
        let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let shows = |row: &tokio_postgres::Row| {
            let text = row.get::<_, String>(0);
            text.contains(&secret) || text.contains(&hex)
        };
        assert!(!rows.iter().any(shows), "{table}");
    }
    let scopes = server.tokens.list_tokens(ReadScope::Everything).await.unwrap();
    assert!(scopes.iter().all(|token| token.scope == Scope::All));
    server.stop().await;
}
