//! Names, domains and beginnings of ids wherever a command takes an id.

use super::{answer, refusal};
use crate::support::api_server::ApiServer;
use serde_json::{Value, json};

/// The ids that a text stands for.
async fn found(server: &ApiServer, kind: &str, text: &str) -> Vec<String> {
    server.catch_up().await;
    let request = server.ask("GET", "/references").query(&[("kind", kind), ("text", text)]);
    let page: Value = request.send().await.unwrap().json().await.unwrap();
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    items.iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_thing_answers_to_its_names_and_to_the_beginning_of_its_id() {
    let server = ApiServer::start().await;
    let body = json!({
        "sub_domain": "alpha", "name": "The Alpha", "external_lms_domain": "www.alpha.org",
    });
    let created = server.ask("POST", "/instances").json(&body).send().await.unwrap();
    let created: Value = created.json().await.unwrap();
    let alpha = created["id"].as_str().unwrap();
    let beta = server.given_instance("alphabet").await;
    let run = server.given_run().await.to_string();
    let launch = ["appserver", "launch", "alpha", "--json"];
    let launched: Value = serde_json::from_str(&answer(&server, &launch).await).unwrap();
    let appserver = launched["appserver"].as_str().unwrap();

    let beginnings = [&alpha[..40], &alpha["inst_".len()..40]];
    let names = ["alpha", "ALPHA", "alpha.example.com", "the alpha", "www.alpha.org", alpha];
    for text in names.into_iter().chain(beginnings) {
        assert_eq!(found(&server, "instance", text).await, [alpha], "{text}");
        let shown = answer(&server, &["instance", "show", text, "--json"]).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["id"], alpha, "{text}");
    }
    assert_eq!(found(&server, "instance", "alphabet.example.com").await, [beta]);
    for text in ["alpha/1", "alpha 1", "the alpha/1", appserver, &appserver[..40]] {
        assert_eq!(found(&server, "appserver", text).await, [appserver], "{text}");
        let shown = answer(&server, &["appserver", "show", text]).await;
        assert!(shown.contains(appserver), "{text}: {shown}");
    }
    let shown = answer(&server, &["run", "show", &run[..39], "--json"]).await;
    assert!(shown.contains(&run), "{shown}");
    let listed = answer(&server, &["run", "list", "--subject", "alpha/1"]).await;
    assert!(!listed.contains(&run), "{listed}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_ambiguous_or_unknown_is_refused_with_what_there_is() {
    let server = ApiServer::start().await;
    let (one, other) = (server.given_instance("one").await, server.given_instance("two").await);
    let (code, line) = refusal(&server, &["instance", "show", "inst_"]).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains(&one) && line.contains(&other), "{line}");
    assert!(line.contains("one.example.com"), "{line}");
    for unknown in [["instance", "show", "three"], ["appserver", "show", "one/7"]] {
        let (code, line) = refusal(&server, &unknown).await;
        assert_eq!(code, 3, "{line}");
        assert!(line.contains(unknown[2]), "{line}");
    }
    for wrong in ["", " ", "a\u{0}b", &"x".repeat(301)] {
        let request = server.ask("GET", "/references").query(&[("text", wrong)]);
        assert_eq!(request.send().await.unwrap().status(), 400, "{wrong}");
    }
    server.stop().await;
}
