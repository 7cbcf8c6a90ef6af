//! Instances and their appservers, as a client of the API sees them.

use crate::support::api_server::ApiServer;
use ocim_domain::appserver::activation_after;
use ocim_domain::event::Metadata;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::{Command, Instance, NameTrouble};
use reqwest::header::{ETAG, LOCATION};
use serde_json::{Value, json};

#[tokio::test]
async fn an_instance_is_created_read_and_changed() {
    let server = ApiServer::start().await;
    let body = json!({"sub_domain": "alpha", "name": "Alpha", "email": "staff@alpha.com"});
    let created = server.ask("POST", "/instances").json(&body).send().await.unwrap();
    assert_eq!(created.status(), 201);
    assert!(!created.headers().contains_key("X-Stale"));
    let location = created.headers()[LOCATION].to_str().unwrap().to_owned();
    let etag = created.headers()[ETAG].clone();

    let read = server.bare("GET", &location).bearer_auth(&server.token).send().await.unwrap();
    assert_eq!((read.status().as_u16(), &read.headers()[ETAG]), (200, &etag));
    let text = read.text().await.unwrap();
    let detail: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(detail["domain"], "alpha.example.com");
    assert_eq!(detail["settings"]["email"], "staff@alpha.com");
    for secret in ["secret_key_b64encoded", "secret_key_rsa_private"] {
        assert_eq!(detail["settings"][secret], "***", "there is one, and nobody sees it");
    }
    assert!(!text.contains("BEGIN RSA"), "{text}");

    let patch = || server.bare("PATCH", &location).bearer_auth(&server.token);
    let change = json!({"openedx_release": "open-release/ironwood.2"});
    let changed = patch().header("If-Match", &etag).json(&change).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    let newer = changed.headers()[ETAG].clone();
    assert_ne!(newer, etag);
    let detail: Value = changed.json().await.unwrap();
    assert_eq!(detail["settings"]["openedx_release"], "open-release/ironwood.2");
    assert_eq!(format!("\"{}\"", detail["settings_version"]), newer.to_str().unwrap());

    let stale = patch().header("If-Match", &etag).json(&change).send().await.unwrap();
    assert_eq!(stale.status(), 412);
    let problem: Value = stale.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/stale_version");
    // It says who changed what since.
    assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{problem}");
    assert_eq!(problem["errors"][0]["field"], "openedx_release");
    let rule = problem["errors"][0]["rule"].as_str().unwrap();
    assert!(rule.starts_with("changed by local:"), "{rule}");
    let version = detail["settings_version"].to_string();
    assert_eq!(version, "2", "they are counted 1, 2, 3, whatever else happens to the instance");
    assert!(rule.ends_with(&format!("(version {version})")), "{rule}");
    assert!(problem["detail"].as_str().unwrap().contains(&format!("version {version} now")));
    let unconditional = patch().json(&change).send().await.unwrap();
    assert_eq!(unconditional.status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn settings_are_cloned_told_version_by_version_and_restored() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let path = format!("/instances/{id}");
    let change = async |settings: Value| {
        let changed = server.ask("PATCH", &path).json(&settings).send().await.unwrap();
        assert_eq!(changed.status(), 200, "{settings}");
    };
    change(json!({ "openedx_release": "ironwood", "reason": "they asked" })).await;
    change(json!({ "configuration_extra_settings": "PASSWORD: hunter2", "name": "Beta" })).await;
    let history = server.get(&format!("{path}/settings")).await;
    let versions = history["items"].as_array().unwrap();
    assert_eq!((versions.len(), &history["next"]), (3, &Value::Null));
    assert_eq!(versions[2]["changes"], json!([]));
    let released = json!([{
        "setting": "openedx_release", "is_protected": false, "before": "master", "since": "ironwood",
    }]);
    assert_eq!(
        (&versions[1]["changes"], &versions[1]["reason"]),
        (&released, &json!("they asked"))
    );
    let hidden = &versions[0]["changes"][1];
    assert_eq!(hidden["setting"], "configuration_extra_settings");
    assert_eq!((&hidden["is_protected"], &hidden["since"]), (&json!(true), &Value::Null));
    assert!(!history.to_string().contains("hunter2"));
    let page = server.get(&format!("{path}/settings?limit=1&before=3")).await;
    assert_eq!((&page["items"][0]["version"], &page["next"]), (&json!(2), &json!(2)));

    let restore = async |body: Value| {
        server.ask("POST", &format!("{path}/settings/restore")).json(&body).send().await.unwrap()
    };
    assert_eq!(restore(json!({ "version": 9, "reason": "x" })).await.status(), 422);
    assert_eq!(restore(json!({ "version": 2, "reason": " " })).await.status(), 422);
    let restored = restore(json!({ "version": 2, "reason": "it was better" })).await;
    let restored: Value = restored.json().await.unwrap();
    assert_eq!(restored["settings_version"], 4, "{restored}");
    assert_eq!(restored["settings"]["name"], versions[0]["changes"][0]["before"]);
    assert_eq!(restored["settings"]["configuration_extra_settings"], "");

    let clone = async || {
        let request = server.ask("POST", &format!("{path}/clone"));
        let body = json!({ "sub_domain": "gamma", "purpose": "production" });
        request.json(&body).send().await.unwrap()
    };
    assert_lacks(clone().await, &["no MySQL server", "no MongoDB server"]).await;
    given_server(&server, "mysql_servers", json!({ "host": "db.example.com" })).await;
    assert_lacks(clone().await, &["no MongoDB server"]).await;
    let retired =
        given_server(&server, "mongodb_servers", json!({ "hosts": ["old.example.com"] })).await;
    let retire = server.ask("POST", &format!("/mongodb_servers/{retired}/retire"));
    let retire = retire.json(&json!({ "reason": "old" })).send().await.unwrap();
    assert!(retire.status().is_success(), "{retire:?}");
    assert_lacks(clone().await, &["no MongoDB server"]).await;
    given_server(&server, "mongodb_servers", json!({ "hosts": ["db.example.com"] })).await;
    let cloned = clone().await;
    assert_eq!(cloned.status(), 201);
    let cloned: Value = cloned.json().await.unwrap();
    let clone = server.get(&format!("/instances/{}", cloned["id"].as_str().unwrap())).await;
    assert_eq!(clone["domain"], "gamma.example.com");
    assert_eq!(clone["settings"]["openedx_release"], "ironwood", "it has what the other one has");
    let nameless = server.ask("POST", &format!("{path}/clone")).json(&json!({})).send().await;
    assert_eq!(nameless.unwrap().status(), 422);
    let s3 = json!({ "sub_domain": "delta", "purpose": "production", "storage_type": "s3" });
    let refused = server.ask("POST", "/instances").json(&s3).send().await.unwrap();
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["errors"][0]["field"], "storage_type", "{refused}");
    server.stop().await;
}

/// A server that sites share: its id.
async fn given_server(server: &ApiServer, kind: &str, place: Value) -> String {
    let response = server.ask("POST", &format!("/{kind}")).json(&place).send().await.unwrap();
    assert_eq!(response.status(), 201, "{response:?}");
    let made: Value = response.json().await.unwrap();
    made["id"].as_str().unwrap().to_owned()
}

/// Sees that a production instance is refused for just these reasons.
async fn assert_lacks(refused: reqwest::Response, reasons: &[&str]) {
    assert_eq!(refused.status(), 422);
    let problem: Value = refused.json().await.unwrap();
    let errors = problem["errors"].as_array().unwrap();
    assert_eq!(errors.len(), reasons.len(), "{problem}");
    for (error, reason) in errors.iter().zip(reasons) {
        assert_eq!(error["field"], "purpose", "{problem}");
        assert!(error["rule"].as_str().unwrap().contains(reason), "{problem}");
    }
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_shown_with_their_instance() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let path = format!("/instances/{id}");
    assert_eq!(server.get(&path).await["name_troubles"], json!([]));
    let troubles = vec![NameTrouble {
        name: "studio.alpha.example.com".to_owned(),
        trouble: "the answer has status 503".to_owned(),
    }];
    let observe = async |troubles: Vec<NameTrouble>| {
        let (meta, command) = (Metadata::by("system"), Command::ObserveNames { troubles });
        let stream = id.parse::<InstanceId>().unwrap().stream();
        server.app.journal().execute::<Instance>(&stream, &meta, command).await.unwrap();
    };
    observe(troubles.clone()).await;
    server.catch_up().await;
    let expected = serde_json::to_value(&troubles).unwrap();
    assert_eq!(server.get(&path).await["name_troubles"], expected);
    assert_eq!(server.get("/instances").await["items"][0]["name_troubles"], expected);
    let need = server.get("/status").await["needs"][0].clone();
    assert_eq!((&need["code"], &need["id"]), (&json!("site_in_trouble"), &json!(id)));
    let sentence =
        "visitors do not reach it as studio.alpha.example.com (the answer has status 503)";
    assert_eq!(need["sentence"], sentence);
    observe(vec![]).await;
    server.catch_up().await;
    assert_eq!(server.get(&path).await["name_troubles"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_launch_names_the_run_of_its_activation() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let launch = async |body: Value| {
        let path = format!("/instances/{id}/appservers");
        server.ask("POST", &path).json(&body).send().await.unwrap()
    };
    let refused = launch(json!({"deactivate_others": true})).await;
    assert_eq!(refused.status(), 422);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["errors"][0]["field"], "deactivate_others");

    let body = json!({"activate_on_success": true, "deactivate_others": true});
    let launched: Value = launch(body).await.json().await.unwrap();
    let run: RunId = launched["run"].as_str().unwrap().parse().unwrap();
    assert_eq!(launched["activation_run"], activation_after(run).to_string());
    let queued: Value = launch(json!({"queue": true})).await.json().await.unwrap();
    assert_eq!(queued["activation_run"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn fields_that_break_rules_are_all_named_and_nothing_is_written() {
    let server = ApiServer::start().await;
    let post = |body: Value| server.ask("POST", "/instances").json(&body).send();
    let fields = |problem: &Value| -> Vec<String> {
        let errors = problem["errors"].as_array().unwrap().iter();
        errors.map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    };
    let cases = [
        (json!({"sub_domain": "alpha", "nmae": "x", "email": 3}), vec!["nmae", "email"]),
        (json!({"sub_domain": "alpha", "name": "x".repeat(251)}), vec!["name"]),
        (json!({"sub_domain": "alpha", "openstack_region": "moon"}), vec!["openstack_region"]),
    ];
    for (body, expected) in cases {
        let refused = post(body.clone()).await.unwrap();
        assert_eq!(refused.status(), 422, "{body}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(fields(&problem), expected, "{problem}");
    }
    assert_eq!(server.get("/instances").await["items"], json!([]));
    server.given_instance("taken").await;
    let id = server.given_instance("ext").await;
    let change = |id: &str, name: &str| {
        let body = json!({"external_lms_domain": name});
        server.ask("PATCH", &format!("/instances/{id}")).json(&body).send()
    };
    let refusals = [
        (post(json!({"sub_domain": "TAKEN"})).await.unwrap(), "internal_lms_domain"),
        (change(&id, "studio.taken.example.com").await.unwrap(), "external_lms_domain"),
    ];
    for (refused, field) in refusals {
        assert_eq!(refused.status(), 409);
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "/problems/name_taken");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        let rule = problem["errors"][0]["rule"].as_str().unwrap().to_lowercase();
        assert!(rule.contains("taken.example.com"), "{rule}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_site_goes_by_the_name_that_visitors_see() {
    let server = ApiServer::start().await;
    let id = server.given_instance("alpha").await;
    let path = format!("/instances/{id}");
    assert_eq!(server.get(&path).await["domain"], "alpha.example.com");
    let body = json!({"external_lms_domain": "école.example.org"});
    let changed = server.ask("PATCH", &path).json(&body).send().await.unwrap();
    assert_eq!(changed.status(), 200);
    server.catch_up().await;
    let shown = server.get(&path).await;
    assert_eq!(shown["domain"], "école.example.org");
    assert_eq!(shown["settings"]["internal_lms_domain"], "alpha.example.com");
    assert_eq!(server.get("/instances").await["items"][0]["domain"], "école.example.org");
    assert_eq!(shown["resources"], Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn lists_come_in_pages_newest_first() {
    let server = ApiServer::start().await;
    let mut expected = vec![];
    for name in ["one", "two", "three"] {
        expected.insert(0, server.given_instance(name).await);
    }
    let mut seen = vec![];
    let mut path = "/instances?limit=2".to_owned();
    let mut pages = 0;
    loop {
        let page = server.get(&path).await;
        pages += 1;
        let items = page["items"].as_array().unwrap().iter();
        seen.extend(items.map(|item| item["id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => path = format!("/instances?limit=2&after={next}"),
            None => break,
        }
    }
    assert_eq!((seen, pages), (expected, 2));
    server.stop().await;
}

#[tokio::test]
async fn appservers_come_in_pages_and_a_page_leads_to_the_next() {
    let server = ApiServer::start().await;
    let instance = server.given_instance("alpha").await;
    let path = format!("/instances/{instance}/appservers");
    for _ in 0..3 {
        let queued = server.ask("POST", &format!("{path}?queue=true")).send().await.unwrap();
        assert_eq!(queued.status(), 202);
    }
    server.catch_up().await;
    let mut numbers = vec![];
    let mut next = Some(format!("/api/v1{path}?limit=2"));
    while let Some(target) = next {
        let answer = server.bare("GET", &target).bearer_auth(&server.token).send().await.unwrap();
        let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
        next = link.map(|link| link[1..].split('>').next().unwrap().to_owned());
        let page: Value = answer.json().await.unwrap();
        assert_eq!(page["next"].is_string(), next.is_some());
        let items = page["items"].as_array().unwrap().iter();
        numbers.extend(items.map(|item| item["number"].as_u64().unwrap()));
        // What is asked for meanwhile stands before the first page.
        server.ask("POST", &format!("{path}?queue=true")).send().await.unwrap();
    }
    assert_eq!(numbers, [3, 2, 1]);
    for list in ["/servers", "/load_balancers", &path] {
        let refused = server.ask("GET", &format!("{list}?limit=0")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{list}");
        assert!(server.get(&format!("{list}?limit=200")).await["items"].is_array(), "{list}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_second_launch_is_refused_with_the_run_unless_it_may_queue() {
    let server = ApiServer::start().await;
    let instance = server.given_instance("alpha").await;
    let path = format!("/instances/{instance}/appservers");
    let first = server.ask("POST", &path).send().await.unwrap();
    assert_eq!(first.status(), 202);
    // Nobody drives runs here, so none can be read.
    assert_eq!(first.headers()["X-Stale"], "true");
    let location = first.headers()[LOCATION].to_str().unwrap().to_owned();
    let first: Value = first.json().await.unwrap();
    assert_eq!(location, format!("/api/v1/runs/{}", first["run"].as_str().unwrap()));
    assert_eq!((&first["number"], &first["queued"]), (&json!(1), &json!(false)));

    let refused = server.ask("POST", &path).send().await.unwrap();
    assert_eq!(refused.status(), 409);
    let problem: Value = refused.json().await.unwrap();
    assert_eq!(problem["type"], "/problems/command_rejected");
    assert_eq!(problem["run"], first["run"]);

    let queued = server.ask("POST", &format!("{path}?queue=true")).send().await.unwrap();
    assert_eq!(queued.status(), 202);
    let queued: Value = queued.json().await.unwrap();
    assert_eq!((&queued["number"], &queued["queued"]), (&json!(2), &json!(true)));
    let launches = server.get(&format!("/instances/{instance}")).await["launches"].clone();
    assert_eq!(launches, json!([first["run"], queued["run"]]));
    server.stop().await;
}
