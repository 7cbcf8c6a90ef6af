//! Instances that are archived, un-archived and deleted, as a client of the API meets them.

use crate::support::api_server::ApiServer;
use ocim::app::Caller;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::lifecycle::Command as Life;
use ocim_domain::instance::{Command, Instance};
use ocim_domain::ledger::{self, Kind, Resource, ResourceKey};
use serde_json::{Value, json};

const WHY: &str = "the course is over";

/// Status and body of a POST; null where there is none.
async fn post(server: &ApiServer, path: &str, body: &Value) -> (u16, Value) {
    let answer = server.ask("POST", path).json(body).send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or_default())
}

/// Records what the run of the request would, were it driven here.
pub(crate) async fn record(server: &ApiServer, instance: &str, command: Life) {
    let id: InstanceId = instance.parse().unwrap();
    let meta = Caller::new("system").metadata();
    let command = Command::Lifecycle(command);
    server.app.journal().execute::<Instance>(&id.stream(), &meta, command).await.unwrap();
}

fn run_of(answer: &Value) -> RunId {
    answer["run"].as_str().unwrap().parse().unwrap()
}

async fn listed(server: &ApiServer, query: &str) -> Vec<String> {
    let page = server.get(&format!("/instances{query}")).await;
    let items = page["items"].as_array().unwrap().iter();
    items.map(|it| it["domain"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_instance_is_archived_hidden_found_and_brought_back() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    server.given_instance("beta").await;
    let path = format!("/instances/{alpha}");
    let archive = format!("{path}/archive");
    let (status, problem) = post(&server, &archive, &json!({})).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("reason")), "{problem}");
    let (status, plan) = post(&server, &archive, &json!({ "reason": WHY, "dry_run": true })).await;
    assert_eq!(status, 200);
    assert!(
        plan["would"].as_array().unwrap().iter().any(|it| it.as_str().unwrap().contains("kept"))
    );
    let (status, begun) = post(&server, &archive, &json!({ "reason": WHY })).await;
    assert_eq!(status, 202);
    let run = run_of(&begun);
    let shown = server.get(&path).await;
    assert_eq!(
        (&shown["lifecycle"], &shown["lifecycle_run"]),
        (&json!("archiving"), &begun["run"])
    );

    let edit = server.ask("PATCH", &path).json(&json!({ "name": "Beta" })).send().await.unwrap();
    assert_eq!(edit.status(), 409);
    let problem: Value = edit.json().await.unwrap();
    assert_eq!(problem["run"], begun["run"], "{problem}");
    for (order, body) in [
        ("appservers", json!({})),
        ("archive", json!({ "reason": WHY })),
        ("unarchive", json!({ "reason": WHY })),
        ("delete", json!({ "reason": WHY, "confirm": "alpha.example.com" })),
    ] {
        let (status, problem) = post(&server, &format!("{path}/{order}"), &body).await;
        assert_eq!((status, &problem["run"]), (409, &begun["run"]), "{order}: {problem}");
    }

    record(&server, &alpha, Life::RecordArchived { run }).await;
    assert_eq!(listed(&server, "").await, ["beta.example.com"]);
    assert_eq!(listed(&server, "?lifecycle=archived").await, ["alpha.example.com"]);
    assert_eq!(listed(&server, "?lifecycle=live").await, ["beta.example.com"]);
    assert_eq!(listed(&server, "?all=true").await, ["beta.example.com", "alpha.example.com"]);
    let wrong = server.ask("GET", "/instances?lifecycle=gone").send().await.unwrap();
    assert_eq!(wrong.status(), 400);
    let (status, problem) = post(&server, &format!("{path}/appservers"), &json!({})).await;
    assert!(status == 409 && problem["detail"].as_str().unwrap().contains("un-archive it first"));

    let (status, begun) =
        post(&server, &format!("{path}/unarchive"), &json!({ "reason": WHY, "launch": false }))
            .await;
    assert_eq!(status, 202);
    record(&server, &alpha, Life::RecordUnarchived { run: run_of(&begun) }).await;
    assert_eq!(listed(&server, "").await.len(), 2);
    let (status, _) = post(&server, &format!("{path}/unarchive"), &json!({ "reason": WHY })).await;
    assert_eq!(status, 409, "it is live");
    let timeline = server.get(&format!("{path}/timeline")).await.to_string();
    assert!(timeline.contains("asked to archive") && timeline.contains(WHY), "{timeline}");
    server.stop().await;
}

#[tokio::test]
async fn a_deletion_asks_for_the_domain_and_what_it_left_is_resolved() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let delete = format!("/instances/{alpha}/delete");
    let body = |confirm: &str, ignore: Value| json!({ "confirm": confirm, "reason": WHY, "ignore": ignore });
    let (status, problem) = post(&server, &delete, &body("alpha", json!([]))).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("confirm")), "{problem}");
    let (status, _) = post(&server, &delete, &body("alpha.example.com", json!(["moon"]))).await;
    assert!([400, 422].contains(&status), "no such kind");
    let (status, begun) =
        post(&server, &delete, &body("Alpha.example.com", json!(["dns_name", "machine"]))).await;
    assert_eq!(status, 202, "{begun}");

    let id = ResourceKey::new(Kind::DnsName, "alpha.example.com");
    let (name, place) = ("alpha.example.com".to_owned(), "balancer.example.com".to_owned());
    let wanted = Resource { id: id.clone(), name, place, owner: alpha.clone() };
    let instance: InstanceId = alpha.parse().unwrap();
    server.app.observe_resource(instance, ledger::Command::Want(wanted)).await.unwrap();
    let residue = vec![id];
    record(&server, &alpha, Life::RecordDeleted { run: run_of(&begun), residue }).await;
    server.app.release_reserved_names(&Caller::new("system").metadata(), instance).await.unwrap();
    assert_eq!(listed(&server, "").await, Vec::<String>::new());
    assert_eq!(listed(&server, "?lifecycle=deleted").await, ["alpha.example.com"]);
    // What has its name now is found by it.
    let next = server.given_instance("alpha").await;
    let found = server.get("/references?text=alpha&kind=instance").await;
    let found: Vec<_> = found["items"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    assert_eq!(found, [&json!(next)]);

    let resolve = async |id: &str, reason: &str| {
        post(&server, "/resources/resolve", &json!({ "id": id, "reason": reason })).await.0
    };
    let id = format!("{alpha}/dns_name/alpha.example.com");
    assert_eq!(resolve(&id, "").await, 422);
    assert_eq!(resolve("alpha", WHY).await, 422);
    assert_eq!(resolve(&format!("{alpha}/dns_name/other.example.com"), WHY).await, 409);
    assert_eq!(resolve(&id, WHY).await, 204);
    let left = server.get(&format!("/resources?instance={alpha}")).await;
    assert_eq!(left["items"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn all_appservers_of_an_instance_without_any_are_refused_to_be_terminated() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let path = format!("/instances/{alpha}/appservers");
    let body = json!({ "force": true, "reason": WHY });
    let (status, problem) = post(&server, &format!("{path}/terminate"), &body).await;
    assert_eq!(status, 409, "{problem}");
    let (_, launched) = post(&server, &path, &json!({})).await;
    let (status, problem) = post(&server, &format!("{path}/terminate"), &body).await;
    assert_eq!((status, &problem["run"]), (409, &launched["run"]), "{problem}");
    server.stop().await;
}
