//! Bulk operations as a client of the API meets them: chosen, asked for, steered.

use crate::support::api_server::ApiServer;
use ocim::app::Caller;
use ocim_domain::bulk::{self, Bulk};
use ocim_domain::ids::{AppserverId, BulkId, InstanceId, RunId};
use ocim_domain::instance::{Attempts, Command, Instance, LaunchOutcome, OnSuccess};
use serde_json::{Value, json};
use uuid::Uuid;

const WHY: &str = "a new release";

async fn post(server: &ApiServer, path: &str, body: &Value) -> (u16, Value) {
    let answer = server.ask("POST", path).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// An instance whose first launch has succeeded, as its log would tell.
async fn given_provisioned(server: &ApiServer, name: &str, number: u128) -> String {
    let id = server.given_instance(name).await;
    let instance: InstanceId = id.parse().unwrap();
    let (appserver, run) = (AppserverId(Uuid::from_u128(number)), RunId(Uuid::from_u128(number)));
    let next = (AppserverId(Uuid::nil()), RunId(Uuid::nil()));
    let request = Command::RequestLaunch {
        appserver,
        run,
        may_queue: false,
        then: OnSuccess::default(),
        attempts: Attempts::ONE,
    };
    let settle = Command::SettleLaunch { appserver, outcome: LaunchOutcome::Running, next };
    let meta = Caller::new("system").metadata();
    for command in [request, settle] {
        let journal = server.app.journal();
        journal.execute::<Instance>(&instance.stream(), &meta, command).await.unwrap();
    }
    server.catch_up().await;
    id
}

/// Has the operation do something that its run would.
async fn record(server: &ApiServer, id: &str, command: bulk::Command) {
    let id: BulkId = id.parse().unwrap();
    let meta = Caller::new("system").metadata();
    server.app.journal().execute::<Bulk>(&id.stream(), &meta, command).await.unwrap();
    server.catch_up().await;
}

#[tokio::test]
async fn instances_are_chosen_by_their_settings_and_tags() {
    let server = ApiServer::start().await;
    let alpha = given_provisioned(&server, "alpha", 1).await;
    let beta = given_provisioned(&server, "beta", 2).await;
    server.given_instance("never").await;
    let chosen = async |filter: Value, exclude: Value| {
        let body = json!({
            "tag": "may", "reason": WHY, "dry_run": true, "filter": filter, "exclude": exclude,
        });
        let (status, plan) = post(&server, "/bulk_operations/redeploy", &body).await;
        assert_eq!(status, 200, "{plan}");
        let ids = plan["instances"].as_array().unwrap().iter();
        ids.map(|it| it["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(chosen(json!({}), json!({})).await, [alpha.clone(), beta.clone()]);
    let name = json!({ "internal_lms_domain__startswith": "alpha" });
    assert_eq!(chosen(name.clone(), json!({})).await, [&*alpha]);
    assert_eq!(chosen(json!({}), name).await, [&*beta]);
    assert_eq!(chosen(json!({ "tags": "pilot" }), json!({})).await, Vec::<String>::new());
    let tag = json!({ "add_tags": ["may-failure", "pilot"] });
    server.ask("PATCH", &format!("/instances/{beta}/details")).json(&tag).send().await.unwrap();
    assert_eq!(
        chosen(json!({}), json!({})).await,
        [alpha],
        "one that has a tag is not tried again"
    );

    let wrong = json!({
        "tag": "two words", "filter": { "colour": 1, "lms_users__isnull": true },
        "exclude": { "name__like": "x" }, "update": { "colour": "red" }, "attempts": 11, "reason": WHY,
    });
    let (status, problem) = post(&server, "/bulk_operations/redeploy", &wrong).await;
    let mut fields: Vec<_> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["field"].as_str().unwrap().to_owned())
        .collect();
    fields.sort_unstable();
    let expected = [
        "attempts",
        "exclude.name__like",
        "filter.colour",
        "filter.lms_users__isnull",
        "tag",
        "update.colour",
    ];
    assert_eq!((status, fields), (422, expected.map(str::to_owned).to_vec()), "{problem}");
    for (field, value) in [("batch_size", 0), ("frequency_seconds", 86_401), ("failures_max", 0)] {
        let body = json!({ "tag": "may", "reason": WHY, field: value });
        let (status, problem) = post(&server, "/bulk_operations/redeploy", &body).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let (status, problem) =
        post(&server, "/bulk_operations/redeploy", &json!({ "tag": "may" })).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("reason")), "{problem}");
    let none = json!({ "tag": "may", "reason": WHY, "filter": { "name": "nobody" } });
    assert_eq!(post(&server, "/bulk_operations/redeploy", &none).await.0, 409);
    server.stop().await;
}

#[tokio::test]
async fn an_operation_is_looked_at_paused_resumed_and_stopped() {
    let server = ApiServer::start().await;
    let alpha = given_provisioned(&server, "alpha", 1).await;
    given_provisioned(&server, "beta", 2).await;
    let body = json!({
        "tag": "may", "reason": WHY, "batch_size": 1, "frequency_seconds": 0,
        "update": { "configuration_extra_settings": "SECRET_PASSWORD: hush-hush" },
    });
    let request =
        || server.ask("POST", "/bulk_operations/redeploy").header("Idempotency-Key", "k1");
    let started: Value = request().json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(started["instance_count"], 2, "{started}");
    let again: Value = request().json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(again, started, "the same request is one operation");
    let id = started["id"].as_str().unwrap();
    let path = format!("/bulk_operations/{id}");
    let shown = server.get(&path).await;
    assert_eq!((&shown["state"], &shown["pending"]), (&json!("running"), &json!(2)), "{shown}");
    assert_eq!(shown["forecast_end"], Value::Null, "none is done");
    let stream = id.replace("bulk_", "bulk-");
    let told = server.get(&format!("/events?stream={stream}")).await.to_string();
    assert!(told.contains("bulk.requested"), "{told}");
    assert!(!told.contains("hush-hush"), "{told}");

    record(&server, id, bulk::Command::BeginBatch).await;
    let why = "`run_main_playbook` failed: no hosts matched".to_owned();
    let outcome = bulk::Outcome::Failed { why };
    let instance = alpha.parse().unwrap();
    record(&server, id, bulk::Command::SettleInstance { instance, outcome }).await;
    let shown = server.get(&path).await;
    assert_eq!((&shown["failed"], &shown["pending"]), (&json!(1), &json!(1)), "{shown}");
    assert!(shown["forecast_end"].is_string(), "{shown}");
    let page = server.get(&format!("{path}/instances?limit=1")).await;
    assert_eq!(page["items"][0]["state"], "failed");
    assert!(page["items"][0]["why"].as_str().unwrap().contains("no hosts matched"), "{page}");
    let next = page["next"].as_str().unwrap();
    let page = server.get(&format!("{path}/instances?limit=1&after={next}")).await;
    assert_eq!((&page["items"][0]["state"], &page["next"]), (&json!("pending"), &Value::Null));

    let (status, _) = post(&server, &format!("{path}/pause"), &json!({})).await;
    assert_eq!(status, 422, "a reason is asked for");
    let (_, shown) = post(&server, &format!("{path}/pause"), &json!({ "reason": "a storm" })).await;
    assert_eq!((&shown["state"], &shown["because"]), (&json!("paused"), &json!("a storm")));
    let (_, shown) = post(&server, &format!("{path}/resume"), &json!({})).await;
    assert_eq!((&shown["state"], &shown["because"]), (&json!("running"), &Value::Null));
    let (_, shown) = post(&server, &format!("{path}/stop"), &json!({ "reason": "enough" })).await;
    assert_eq!(shown["state"], "stopping", "{shown}");
    let (status, problem) = post(&server, &format!("{path}/resume"), &json!({})).await;
    assert_eq!(status, 409, "{problem}");
    record(&server, id, bulk::Command::End).await;
    let listed = server.get("/bulk_operations").await;
    assert_eq!(
        (&listed["items"][0]["id"], &listed["items"][0]["state"]),
        (&json!(id), &json!("ended"))
    );
    let nobody = server.ask("GET", &format!("/bulk_operations/{}", BulkId(Uuid::nil())));
    assert_eq!(nobody.send().await.unwrap().status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn instances_are_archived_by_their_internal_domains() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let domains = ["Alpha.example.com ", "nobody.example.com", ""];
    let body = json!({ "domains": domains, "reason": WHY, "dry_run": true });
    let (status, plan) = post(&server, "/bulk_operations/archive", &body).await;
    assert_eq!((status, &plan["instances"][0]["id"]), (200, &json!(alpha)), "{plan}");
    assert_eq!(plan["unknown"], json!(["nobody.example.com"]));
    let (status, problem) =
        post(&server, "/bulk_operations/archive", &json!({ "domains": [" "], "reason": WHY }))
            .await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("domains")), "{problem}");
    let nobody = json!({ "domains": ["nobody.example.com"], "reason": WHY });
    assert_eq!(post(&server, "/bulk_operations/archive", &nobody).await.0, 409);
    let begun = json!({ "domains": domains, "reason": WHY });
    let (status, started) = post(&server, "/bulk_operations/archive", &begun).await;
    assert_eq!((status, &started["instance_count"]), (202, &json!(1)), "{started}");
    server.stop().await;
}

#[tokio::test]
async fn sql_before_an_upgrade_is_checked_counted_told_of_in_a_rehearsal_and_never_shown() {
    let server = ApiServer::start().await;
    let alpha = given_provisioned(&server, "alpha", 1).await;
    let ask = |sql: &Value, dry_run: bool| json!({ "tag": "may", "reason": WHY, "preupgrade_sql_commands": sql, "dry_run": dry_run });
    for (sql, field) in [
        (json!(["SELECT 1", " "]), "preupgrade_sql_commands[1]"),
        (json!(["commit"]), "preupgrade_sql_commands[0]"),
        (json!(vec!["SELECT 1"; 51]), "preupgrade_sql_commands"),
    ] {
        let (status, problem) = post(&server, "/bulk_operations/redeploy", &ask(&sql, true)).await;
        assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!(field)), "{problem}");
    }
    let sql = json!(["UPDATE auth_user SET password = 'hush-hush'", "DELETE FROM django_session"]);
    let (_, plan) = post(&server, "/bulk_operations/redeploy", &ask(&sql, true)).await;
    let why = "no MySQL server is assigned to it to run SQL on";
    assert_eq!(
        (&plan["instances"][0]["id"], &plan["instances"][0]["left_out"]),
        (&json!(alpha), &json!(why))
    );
    let (_, plan) = post(&server, "/bulk_operations/redeploy", &ask(&json!([]), true)).await;
    assert_eq!(plan["instances"][0]["left_out"], Value::Null, "{plan}");

    let (status, started) = post(&server, "/bulk_operations/redeploy", &ask(&sql, false)).await;
    assert_eq!(status, 202, "{started}");
    let id = started["id"].as_str().unwrap();
    let shown = server.get(&format!("/bulk_operations/{id}")).await;
    assert_eq!(shown["preupgrade_sql_count"], 2, "{shown}");
    let events = server.get(&format!("/events?stream={}", id.replace("bulk_", "bulk-"))).await;
    assert_eq!(events["items"][0]["data"]["work"]["sql"]["count"], 2, "{events}");
    for told in [shown, events, server.get("/bulk_operations").await] {
        assert!(!told.to_string().contains("hush-hush"), "{told}");
    }
    server.stop().await;
}
