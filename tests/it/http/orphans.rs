//! What nothing accounts for, from outside: scanned, deleted and adopted, with what is refused.

use crate::sagas::reconciler::stray;
use crate::support::api_server::ApiServer;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{Command, Kind, Resource, ResourceKey};
use ocim_domain::port_error::Class;
use serde_json::{Value, json};
use uuid::Uuid;

const WHY: &str = "left by a test";

async fn given_machine(server: &ApiServer) -> String {
    server.cloud.create_machine(&stray(7)).await.unwrap().id
}

async fn post(server: &ApiServer, path: &str, body: &Value) -> (u16, Value) {
    let response = server.ask("POST", path).json(body).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap_or_default())
}

#[tokio::test]
async fn orphans_are_scanned_and_deleted_by_a_run_and_a_repeated_order_is_the_same() {
    let server = ApiServer::start().await;
    let machine = given_machine(&server).await;
    let id = format!("machine/local/{machine}");
    let found = server.get("/resources/scan").await;
    assert_eq!((&found["missing"], &found["unanswered"]), (&json!([]), &json!([])), "{found}");
    let orphan = &found["orphans"][0];
    assert_eq!((&orphan["id"], &orphan["kind"]), (&json!(id), &json!("machine")), "{found}");
    assert_eq!(orphan["provider"], "region local");
    let names = server.get("/resources/scan?kind=dns_name").await;
    assert_eq!(names["orphans"], json!([]));

    let body = json!({ "id": id, "reason": WHY, "dry_run": true });
    let (status, plan) = post(&server, "/resources/delete", &body).await;
    assert_eq!(status, 200, "{plan}");
    assert!(plan["would"].as_str().unwrap().contains("(`edxapp-stray`) at local"), "{plan}");
    let body = json!({ "id": id, "reason": WHY });
    let order = async || {
        let order = server.ask("POST", "/resources/delete").header("Idempotency-Key", "once");
        let response = order.json(&body).send().await.unwrap();
        assert_eq!(response.status(), 202);
        response.json::<Value>().await.unwrap()
    };
    let begun = order().await;
    assert_eq!(order().await, begun);
    let (status, problem) = post(&server, "/resources/delete", &body).await;
    assert_eq!(
        (status, &problem["type"]),
        (409, &json!("/problems/command_rejected")),
        "{problem}"
    );
    server.catch_up().await;
    let found = server.get("/resources/scan?kind=machine").await;
    assert_eq!(found["orphans"][0]["deletion_run"], begun["run"], "{found}");
    let orphans = server.get("/servers/orphans").await;
    assert_eq!(orphans["items"][0]["deletion_run"], begun["run"], "{orphans}");
    let told = server.get("/events?kind=inventory.orphan_deletion_requested").await;
    assert!(told.to_string().contains(WHY), "{told}");
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_order_about_an_orphan_is_a_problem_by_its_field() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    for path in ["/resources/delete", "/resources/adopt"] {
        let body = |id: &str, reason: &str| match path {
            "/resources/adopt" => json!({ "id": id, "instance": alpha, "reason": reason }),
            _ => json!({ "id": id, "reason": reason }),
        };
        for (id, reason, field) in
            [("alpha", WHY, "id"), ("dns_name/dns/a.example.com", "", "reason")]
        {
            let (status, problem) = post(&server, path, &body(id, reason)).await;
            assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
        }
        for id in ["dns_name/dns/a.example.com", "swift_container/elsewhere/alpha"] {
            let (status, problem) = post(&server, path, &body(id, WHY)).await;
            assert_eq!((status, &problem["type"]), (409, &json!("/problems/command_rejected")));
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("no instance ever had it"), "{problem}");
        }
    }
    let nobody = InstanceId(Uuid::nil()).to_string();
    for (instance, expected) in [(nobody.as_str(), 404), ("alpha", 422)] {
        let id = "dns_name/dns/a.example.com";
        let body = json!({ "id": id, "instance": instance, "reason": WHY });
        let (status, problem) = post(&server, "/resources/adopt", &body).await;
        assert_eq!(status, expected, "{problem}");
    }
    for wrong in ["kind=moon", "instance=alpha"] {
        let path = format!("/resources/scan?{wrong}");
        assert_eq!(server.ask("GET", &path).send().await.unwrap().status(), 400, "{wrong}");
    }
    let machine = given_machine(&server).await;
    let id = format!("machine/local/{machine}");
    server.cloud.faults.fail_always("list_machines", Fault::Before(Class::Transient));
    let (status, problem) =
        post(&server, "/resources/delete", &json!({ "id": id, "reason": WHY })).await;
    assert_eq!((status, &problem["type"]), (503, &json!("/problems/unavailable")), "{problem}");
    let found = server.get("/resources/scan").await;
    assert_eq!(found["unanswered"][0]["provider"], "region local", "{found}");
    server.stop().await;
}

#[tokio::test]
async fn what_nobody_knows_how_to_reach_any_more_is_told_of() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let (place, name) = ("elsewhere".to_owned(), "alpha".to_owned());
    let id = ResourceKey::new(Kind::SwiftContainer, "elsewhere/alpha");
    let resource = Resource { id: id.clone(), name, place, owner: alpha.clone() };
    let instance: InstanceId = alpha.parse().unwrap();
    let provider_id = "alpha".to_owned();
    for seen in [Command::Want(resource), Command::FindPresent { id, provider_id }] {
        server.app.observe_resource(instance, seen).await.unwrap();
    }
    let found = server.get("/resources/scan").await;
    let silent = &found["unanswered"][0];
    assert_eq!(silent["provider"], "elsewhere", "{found}");
    assert!(silent["error"].as_str().unwrap().contains("account of Swift"), "{found}");
    assert_eq!(found["missing"], json!([]));
    server.stop().await;
}
