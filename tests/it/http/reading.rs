//! Reading: HEAD wherever GET is, 304 for what is known, numbers in queries, and what a change shows.

use crate::support::api_server::ApiServer;
use futures_util::future::join_all;
use ocim_api_spec::texts::BulkId;
use serde_json::{Value, json};

/// Every GET of the document with the query parameters that are whole numbers, its ids filled in.
async fn list_reads(server: &ApiServer) -> Vec<(String, Vec<String>)> {
    let (instance, run) = (server.given_instance("alpha").await, server.given_run().await);
    let launch = server.ask("POST", &format!("/instances/{instance}/appservers"));
    let launched: Value = launch.json(&json!({})).send().await.unwrap().json().await.unwrap();
    let appserver = launched["appserver"].as_str().unwrap().to_owned();
    server.catch_up().await;
    let document = serde_json::to_value(ocim::http::openapi::document()).unwrap();
    let mut reads =
        vec![("/docs/".to_owned(), vec![]), ("/api/v1/openapi.json".to_owned(), vec![])];
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(read) = item.get("get") else { continue };
        let id = match path.split('/').nth(3) {
            Some("instances") => instance.clone(),
            Some("appservers") => appserver.clone(),
            _ if path.contains("/bulk_operations/") => BulkId::EXAMPLE.to_owned(),
            _ => run.to_string(),
        };
        let is_number = |it: &&Value| {
            let kind = &it["schema"]["type"];
            it["in"] == "query" && (kind == "integer" || kind[0] == "integer")
        };
        let parameters = read["parameters"].as_array().cloned().unwrap_or_default();
        let numbers = parameters.iter().filter(is_number);
        let names = numbers.map(|it| it["name"].as_str().unwrap().to_owned()).collect();
        reads.push((path.replace("{id}", &id).replace("{name}", "not_found"), names));
    }
    reads
}

#[tokio::test]
async fn head_tells_what_get_would_for_every_address() {
    let server = ApiServer::start().await;
    for (path, _) in list_reads(&server).await {
        let ask = async |method| {
            let request = server.bare(method, &path).bearer_auth(&server.token);
            request.send().await.unwrap()
        };
        let (read, head) = (ask("GET").await, ask("HEAD").await);
        assert_eq!(head.status(), read.status(), "{path}");
        for name in ["content-type", "etag", "link", "x-line-count"] {
            assert_eq!(head.headers().get(name), read.headers().get(name), "{path}: {name}");
        }
        // What has lasted for some time is told with a digit more or less by now.
        let length = |answer: &reqwest::Response| {
            let told = answer.headers().get("content-length")?.to_str().ok()?;
            told.parse::<u64>().ok()
        };
        let (told, wanted) = (length(&head), length(&read));
        let differ = told.zip(wanted).map(|(told, wanted)| told.abs_diff(wanted));
        assert_eq!(told.is_some(), wanted.is_some(), "{path}");
        // The metrics tell of the first of the two requests, too.
        let is_told = path == "/metrics" || differ.is_none_or(|differ| differ <= 8);
        assert!(is_told, "{path}: {told:?} {wanted:?}");
        assert_eq!(head.bytes().await.unwrap().len(), 0, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_is_known_by_its_etag_is_not_sent_again() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    server.catch_up().await;
    let path = format!("/instances/{id}");
    let etag = server.ask("GET", &path).send().await.unwrap().headers()["etag"].clone();
    for method in ["GET", "HEAD"] {
        let ask = |known: &str| server.ask(method, &path).header("If-None-Match", known).send();
        let known = ask(etag.to_str().unwrap()).await.unwrap();
        assert_eq!((known.status().as_u16(), &known.headers()["etag"]), (304, &etag));
        assert_eq!(known.bytes().await.unwrap().len(), 0);
        assert_eq!(ask("\"999\"").await.unwrap().status(), 200);
    }
    let request = server.ask("PATCH", &path).header("If-None-Match", &etag);
    assert_eq!(request.json(&json!({ "name": "Beta" })).send().await.unwrap().status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn a_number_that_is_none_is_refused_in_words_for_its_sender() {
    let server = ApiServer::start().await;
    let mut seen = 0;
    for (path, numbers) in list_reads(&server).await {
        for name in numbers {
            seen += 1;
            for wrong in ["-1", "x", "", "1e3", "99999999999999999999999"] {
                let address = format!("{path}?{name}={wrong}");
                let refused = server.bare("GET", &address).bearer_auth(&server.token);
                let refused = refused.send().await.unwrap();
                assert_eq!(refused.status(), 400, "{address}");
                let problem: Value = refused.json().await.unwrap();
                let told = &problem["errors"][0];
                assert_eq!(told["field"], name.as_str(), "{problem}");
                let rule = told["rule"].as_str().unwrap();
                assert!(rule.contains("whole number") || rule.contains("too large"), "{rule}");
            }
        }
    }
    assert!(seen > 10, "{seen}");
    server.stop().await;
}

#[tokio::test]
async fn a_body_with_a_key_twice_or_a_number_beyond_64_bits_changes_nothing() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let path = format!("/instances/{id}");
    for body in [
        r#"{"name": "one", "name": "two"}"#,
        r#"{"n\u0061me": "one", "name": "two"}"#,
        r#"{"openstack_server_flavor": {"vcpus": 18446744073709551616}}"#,
        r#"{"openstack_server_flavor": {"vcpus": 1, "vcpus": 2}}"#,
    ] {
        let request = server.ask("PATCH", &path).header("content-type", "application/json");
        let refused = request.body(body).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{body}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/bad_request", "{body}");
    }
    assert_eq!(server.get(&path).await["name"], "alpha");
    server.stop().await;
}

#[tokio::test]
async fn the_stream_of_an_unknown_run_is_not_found() {
    let server = ApiServer::start().await;
    let unknown = "/stream?run=run_00000000-0000-7000-8000-000000000000";
    assert_eq!(server.ask("GET", unknown).send().await.unwrap().status(), 404);
    let known = format!("/stream?run={}", server.given_run().await);
    assert_eq!(server.ask("GET", &known).send().await.unwrap().status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn an_answer_to_a_change_shows_that_change_or_says_that_it_does_not() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let path = format!("/instances/{id}");
    let changes = (0..12).map(|number| {
        let name = format!("name {number}");
        let request = server.ask("PATCH", &path).json(&json!({ "name": name }));
        async move { (name, request.send().await.unwrap()) }
    });
    for (name, answer) in join_all(changes).await {
        if answer.status() == 409 {
            continue; // Others were always first: nothing was changed.
        }
        assert_eq!(answer.status(), 200);
        let (is_stale, etag) =
            (answer.headers().contains_key("x-stale"), answer.headers()["etag"].clone());
        let shown: Value = answer.json().await.unwrap();
        assert!(is_stale || shown["name"] == name.as_str(), "{name}: {shown}");
        assert_eq!(etag, format!("\"{}\"", shown["settings_version"]));
    }
    server.stop().await;
}
