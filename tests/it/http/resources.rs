//! What instances have outside: pages, filters, and what is refused.

use crate::support::api_server::ApiServer;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{Command, Kind, Resource, ResourceKey};
use serde_json::{Value, json};

/// Three of the first instance, of three kinds and in three states, and one of the second.
async fn given_resources(server: &ApiServer) -> [String; 2] {
    let [first, second] =
        [server.given_instance("alpha").await, server.given_instance("beta").await];
    let want = async |instance: &str, kind: Kind, key: &str| {
        let id = ResourceKey::new(kind, key);
        let (name, place) = (key.to_owned(), "north".to_owned());
        let resource = Resource { id: id.clone(), name, place, owner: instance.to_owned() };
        observe(server, instance, Command::Want(resource)).await;
        id
    };
    want(&first, Kind::DnsName, "a/b.example.com").await;
    let id = want(&first, Kind::Fragment, "ocim-1").await;
    let provider_id = "ocim-1".to_owned();
    observe(server, &first, Command::FindPresent { id, provider_id }).await;
    let id = want(&first, Kind::Machine, "serv_1").await;
    observe(server, &first, Command::LoseSight { id, reason: "no answer".to_owned() }).await;
    let id = want(&first, Kind::Machine, "serv_2").await;
    observe(server, &first, Command::FindAbsent { id }).await;
    want(&second, Kind::Machine, "serv_3").await;
    server.catch_up().await;
    [first, second]
}

async fn observe(server: &ApiServer, instance: &str, seen: Command) {
    let instance: InstanceId = instance.parse().unwrap();
    server.app.observe_resource(instance, seen).await.unwrap();
}

fn keys(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn resources_are_listed_until_they_are_gone_by_each_filter_and_in_pages() {
    let server = ApiServer::start().await;
    let [first, second] = given_resources(&server).await;
    let all = ["a/b.example.com", "ocim-1", "serv_1", "serv_3"];
    assert_eq!(keys(&server.get("/resources").await), all);
    for (query, expected) in [
        (format!("instance={first}"), &all[..3]),
        (format!("instance={second}"), &all[3..]),
        ("kind=machine".to_owned(), &all[2..]),
        ("kind=security_groups".to_owned(), &[]),
        ("state=wanted".to_owned(), &["a/b.example.com", "serv_3"]),
        ("state=present".to_owned(), &["ocim-1"]),
        ("state=unknown".to_owned(), &["serv_1"]),
        (format!("state=wanted&kind=machine&instance={first}"), &[]),
    ] {
        let page = server.get(&format!("/resources?{query}")).await;
        assert_eq!(keys(&page), expected, "{query}");
    }
    let mut walked = vec![];
    let mut path = "/resources?limit=1".to_owned();
    for _ in 0..all.len() {
        let page = server.get(&path).await;
        walked.extend(keys(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next"].as_str() else { break };
        let after: String = next.replace('/', "%2F");
        path = format!("/resources?limit=1&after={after}");
    }
    assert_eq!(walked, all);

    let shown = server.get("/resources?state=unknown").await;
    let shown = &shown["items"][0];
    assert_eq!((&shown["reason"], &shown["place"]), (&json!("no answer"), &json!("north")));
    assert_eq!(shown["instance"], first.as_str());
    for wrong in ["instance=alpha", "kind=moon", "state=gone", "after=x", "after=inst_1%2Fa%2Fb"] {
        let refused = server.ask("GET", &format!("/resources?{wrong}")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    server.stop().await;
}
