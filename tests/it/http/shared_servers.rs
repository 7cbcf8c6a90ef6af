//! Servers that sites share, as a client of the API adds, changes and retires them.

use crate::support::api_server::ApiServer;
use ocim::app::Caller;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::InstanceId;
use ocim_domain::port_error::Class;
use ocim_domain::shared_server::{Command, Kind, Mysql, SharedServer};
use serde_json::{Value, json};
use uuid::Uuid;

const SECRET: &str = "nobody sees this";

async fn send(server: &ApiServer, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let answer = server.ask(method, path).json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// A body for each kind, a change of it, and what is shown of it then.
fn kinds() -> [(&'static str, Value, Value, Value); 3] {
    [
        (
            "mysql_servers",
            json!({ "host": "DB.example.com", "username": "root" }),
            json!({ "port": 3307 }),
            json!({
                "name": "db.example.com", "host": "db.example.com", "port": 3307,
                "url": "mysql://root@db.example.com:3307",
            }),
        ),
        (
            "mongodb_servers",
            json!({ "hosts": ["a.example.com", "b.example.com"], "replica_set": "rs0" }),
            json!({ "hosts": ["b.example.com", "c.example.com"], "primary": "c.example.com" }),
            json!({
                "name": "rs0", "hosts": ["b.example.com", "c.example.com"], "replica_set": "rs0",
                "primary": "c.example.com", "port": 27017, "url": "mongodb://c.example.com",
            }),
        ),
        (
            "rabbitmq_servers",
            json!({
                "api_url": "https://mq.example.com:15671/", "instance_host": "mq.example.com",
                "username": "admin", "name": "messages",
            }),
            json!({ "instance_host": "mq2.example.com" }),
            json!({
                "name": "messages", "api_url": "https://mq.example.com:15671",
                "instance_host": "mq2.example.com", "instance_port": 5671,
                "url": "amqps://admin@mq2.example.com",
            }),
        ),
    ]
}

#[tokio::test]
async fn servers_of_each_kind_are_added_changed_and_retired_and_show_no_password() {
    let server = ApiServer::start().await;
    for (kind, mut body, change, expected) in kinds() {
        body["password"] = json!(SECRET);
        body["reason"] = json!("a new rack");
        let added = server.ask("POST", &format!("/{kind}")).json(&body).send().await.unwrap();
        assert_eq!(added.status(), 201, "{kind}");
        let place = added.headers()["location"].to_str().unwrap().to_owned();
        let id = added.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
        assert_eq!(place, format!("/api/v1/{kind}/{id}"));
        let shown = server.get(&format!("/{kind}/{id}")).await;
        assert_eq!(shown["accepts_new_clients"], false, "by itself it is given to nobody: {shown}");
        assert_eq!((&shown["instance_count"], &shown["retired"]), (&json!(0), &Value::Null));

        let (status, problem) = send(&server, "POST", &format!("/{kind}"), &body).await;
        assert_eq!((status, problem["type"].as_str()), (409, Some("/problems/name_taken")));
        assert!(problem.to_string().contains(&id), "{problem}");

        let path = format!("/{kind}/{id}");
        let (status, shown) = send(&server, "PATCH", &path, &change).await;
        assert_eq!(status, 200, "{shown}");
        for (field, value) in expected.as_object().unwrap() {
            assert_eq!(shown[field], *value, "{kind}: {field}");
        }
        let open = json!({ "accepts_new_clients": true, "description": "in the cellar" });
        let (_, shown) = send(&server, "PATCH", &path, &open).await;
        assert_eq!(shown["accepts_new_clients"], true, "{shown}");
        assert_eq!(server.get(&format!("/{kind}")).await["items"], json!([shown]));

        let (status, problem) =
            send(&server, "POST", &format!("{path}/retire"), &json!({ "reason": " " })).await;
        assert_eq!(status, 422, "{problem}");
        let why = json!({ "reason": "all sites have moved" });
        let (status, shown) = send(&server, "POST", &format!("{path}/retire"), &why).await;
        assert_eq!(status, 200, "{shown}");
        assert!(shown["retired"].is_string(), "{shown}");
        let (status, problem) = send(&server, "PATCH", &path, &change).await;
        assert_eq!(status, 409, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("add it again"), "{problem}");
        let (status, again) = send(&server, "POST", &format!("/{kind}"), &body).await;
        assert_eq!((status, &again["id"]), (201, &json!(id)), "{again}");
        assert_eq!(server.get(&path).await["retired"], Value::Null);
    }
    let told = server.get("/events?limit=200").await.to_string();
    assert!(told.contains("a new rack") && told.contains("all sites have moved"), "{told}");
    assert!(!told.contains(SECRET), "{told}");
    let log = server.database.client().await;
    let rows = log.query("select e::text from es.events as e", &[]).await.unwrap();
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| !row.get::<_, String>(0).contains(SECRET)), "sealed");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_instances_use_is_not_retired_and_says_who_they_are() {
    let server = ApiServer::start().await;
    let body = json!({ "host": "db.example.com", "accepts_new_clients": true });
    let (_, added) = send(&server, "POST", "/mysql_servers", &body).await;
    let id = added["id"].as_str().unwrap().to_owned();
    let stream = Mysql::stream(id.parse().unwrap());
    let (journal, meta) = (server.app.journal(), Caller::new("system").metadata());
    for number in 1..=102 {
        let client = InstanceId(Uuid::from_u128(number));
        let command = Command::Admit { client, account: format!("account{number}") };
        journal.execute::<SharedServer<Mysql>>(&stream, &meta, command).await.unwrap();
    }
    let shown = server.get(&format!("/mysql_servers/{id}")).await;
    assert_eq!(shown["instance_count"], 102);
    let listed = shown["instances"].as_array().unwrap();
    let first = InstanceId(Uuid::from_u128(1)).to_string();
    assert_eq!((listed.len(), &listed[0]), (100, &json!(first)), "no more than a hundred");

    let path = format!("/mysql_servers/{id}/retire");
    let (status, problem) = send(&server, "POST", &path, &json!({ "reason": "old" })).await;
    assert_eq!(status, 409, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(&first) && detail.ends_with("and 92 more"), "{detail}");
    server.stop().await;
}

#[tokio::test]
async fn a_server_is_tried_and_what_is_wrong_is_told_in_a_sentence() {
    let server = ApiServer::start().await;
    let body = json!({ "host": "db.example.com", "tls": true });
    let (_, added) = send(&server, "POST", "/mysql_servers", &body).await;
    let path = format!("/mysql_servers/{}", added["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await["tls"], true);
    let test = format!("{path}/test");
    assert_eq!(server.get(&test).await, json!({ "problem": null }));
    server.servers.faults.fail_always("check", Fault::Before(Class::Permanent));
    assert_eq!(server.get(&test).await, json!({ "problem": "`check` failed as ordered" }));
    let unknown = "/rabbitmq_servers/rbmq_00000000-0000-5000-8000-000000000001/test";
    let (status, problem) = send(&server, "GET", unknown, &json!({})).await;
    assert_eq!(status, 404, "{problem}");
    server.stop().await;
}

#[tokio::test]
async fn what_makes_no_server_is_refused_field_by_field() {
    let server = ApiServer::start().await;
    for (path, body, fields) in [
        ("/mysql_servers", json!({}), vec!["name", "host"]),
        ("/mysql_servers", json!({ "host": "db.example.com:3306" }), vec!["host"]),
        ("/mysql_servers", json!({ "host": "db", "port": 0 }), vec!["port"]),
        ("/mysql_servers", json!({ "host": "db", "port": 70_000 }), vec!["port"]),
        ("/mysql_servers", json!({ "host": "db", "hostname": "db" }), vec!["hostname"]),
        ("/mongodb_servers", json!({ "hosts": ["a", "b"] }), vec!["replica_set"]),
        ("/mongodb_servers", json!({ "hosts": ["a"], "primary": "b" }), vec!["primary"]),
        (
            "/rabbitmq_servers",
            json!({ "api_url": "https://u:p@mq", "instance_host": "mq" }),
            vec!["username", "password", "api_url"],
        ),
    ] {
        let (status, problem) = send(&server, "POST", path, &body).await;
        assert_eq!(status, 422, "{body}: {problem}");
        let errors = problem["errors"].as_array().unwrap().iter();
        let named: Vec<_> = errors.map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(named, fields, "{body}: {problem}");
    }
    let one = json!({ "hosts": ["a.example.com", "z.example.com"], "replica_set": "rs0" });
    assert_eq!(send(&server, "POST", "/mongodb_servers", &one).await.0, 201);
    let other = json!({ "hosts": ["y.example.com", "Z.example.com"], "replica_set": "rs0" });
    let (status, problem) = send(&server, "POST", "/mongodb_servers", &other).await;
    assert_eq!(status, 409, "a host belongs to one deployment: {problem}");
    let unknown = "/mysql_servers/msql_00000000-0000-5000-8000-000000000001";
    for (method, path) in [
        ("GET", unknown.to_owned()),
        ("PATCH", unknown.to_owned()),
        ("POST", format!("{unknown}/retire")),
    ] {
        let (status, problem) = send(&server, method, &path, &json!({ "reason": "x" })).await;
        assert_eq!(status, 404, "{method} {path}: {problem}");
    }
    server.stop().await;
}
