//! Whatever is sent to whichever route: refused as a problem, and nothing stands still afterwards.

use crate::support::api_server::ApiServer;
use crate::support::counts::report_count;
use crate::support::ocim::{Ground, PATIENCE, text};
use ocim::app::{AppError, Caller, DetailsAsk};
use ocim::http::openapi::document;
use ocim_api_spec::texts::{BulkId, MongodbServerId, MysqlServerId, RabbitmqServerId};
use reqwest::{RequestBuilder, Response};
use serde_json::{Map, Value, json};

/// What no text may hold; JSON spells it as an escape.
const NUL: &str = "a\u{0}b";

/// Machines that take no time.
const CLOUDS: &str = r#"{"local": {"kind": "simulated", "speed": 100000}}"#;
/// Where the launch stands while it is shot at.
const STANDS: &str = "launch_appserver.await_turn.after_intent";

/// The real server with one of everything that a path can name.
struct Target {
    ground: Ground,
    http: reqwest::Client,
    instance: String,
    appserver: String,
    run: String,
}

impl Target {
    async fn make() -> Self {
        let mut ground = Ground::prepare().await;
        ground.hold(STANDS);
        ground.start_with(&[("OCIM_CLOUDS", CLOUDS)]).await;
        let body = json!({ "sub_domain": "alpha", "name": "alpha" });
        let instance = text(&ground.post("/instances", body).await, "id");
        let (appserver, run) = ground.launch(&instance).await;
        ground.await_hold(STANDS).await;
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        let http = http.build().unwrap();
        Self { ground, http, instance, appserver, run }
    }

    /// The path with everything that it names, but `poison` in place of one parameter.
    fn fill(&self, path: &str, poison: Option<(&str, &str)>) -> String {
        let mut filled = path.to_owned();
        while let Some((start, end)) = filled.find('{').zip(filled.find('}')) {
            let name = &filled[start + 1..end];
            let value = match poison {
                Some((poisoned, text)) if poisoned == name => text,
                _ if name != "id" => "local",
                _ if path.contains("/instances/") => &self.instance,
                _ if path.contains("/appservers/") => &self.appserver,
                _ if path.contains("/load_balancers/") => {
                    "lbal_01900000-0000-7000-8000-000000000001"
                }
                _ if path.contains("/bulk_operations/") => BulkId::EXAMPLE,
                _ if path.contains("/mysql_servers/") => MysqlServerId::EXAMPLE,
                _ if path.contains("/mongodb_servers/") => MongodbServerId::EXAMPLE,
                _ if path.contains("/rabbitmq_servers/") => RabbitmqServerId::EXAMPLE,
                _ => &self.run,
            };
            filled = format!("{}{value}{}", &filled[..start], &filled[end + 1..]);
        }
        filled
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let (url, token) = self.ground.access();
        let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
        self.http.request(method, format!("{url}{path}")).bearer_auth(token)
    }

    /// Every read model goes on: one that was poisoned would stand still for good.
    async fn finish(self) {
        let after = json!({ "sub_domain": "after", "name": "after" });
        let after = text(&self.ground.post("/instances", after).await, "id");
        let is_shown = async || {
            let (status, ..) = self.ground.try_get(&format!("/api/v1/instances/{after}")).await?;
            (status == 200).then_some(())
        };
        self.ground.wait_for("an instance that is made afterwards", is_shown).await;
        let (status, _, ready) = self.ground.try_get("/ready").await.unwrap();
        assert_eq!(status, 200, "{ready}");
        let builds = self.ground.get("/api/v1/projections").await;
        for build in builds["items"].as_array().unwrap() {
            assert_eq!(build["state"], "running", "{build}");
        }
        self.ground.release(STANDS);
    }
}

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    data: Value,
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = vec![];
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, data) in methods.as_object().unwrap() {
            let (method, path) = (method.clone(), path.clone());
            operations.push(Operation { method, path, data: data.clone() });
        }
    }
    operations
}

impl Operation {
    fn parameters(&self, place: &str) -> Vec<String> {
        let all = self.data["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        let here = all.iter().filter(|it| it["in"] == place);
        here.map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    }

    /// A body that is fine.
    fn example(&self) -> Fields {
        let body = &self.data["requestBody"]["content"]["application/json"]["example"];
        body.as_object().cloned().unwrap_or_default()
    }

    fn body<'a>(&'a self, document: &'a Value) -> Option<&'a Value> {
        let body = &self.data["requestBody"]["content"]["application/json"]["schema"];
        body.is_object().then(|| resolve(document, body))
    }
}

fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

/// A schema's fields, and whether each is required; one list a variant.
type Fields = Map<String, Value>;

fn variants(document: &Value, schema: &Value) -> Vec<(Fields, Vec<Value>)> {
    let schema = resolve(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().flat_map(|choice| variants(document, choice)).collect();
    }
    let own = schema["properties"].as_object().cloned().unwrap_or_default();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let mut all = vec![(own, required)];
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let parts = variants(document, part);
        let join = |(fields, required): &(Fields, Vec<Value>)| {
            let with = |(more, also): &(Fields, Vec<Value>)| {
                let fields = fields.clone().into_iter().chain(more.clone()).collect();
                (fields, [required.clone(), also.clone()].concat())
            };
            parts.iter().map(with).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(join).collect();
    }
    all
}

/// A value that a field takes.
fn sample(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match kind(schema) {
        "string" if schema["format"] == "date-time" => json!("2030-01-01T00:00:00Z"),
        "string" if schema["format"] == "uuid" => json!(uuid::Uuid::nil()),
        "string" if schema["examples"][0].is_string() => schema["examples"][0].clone(),
        "string" => json!("x"),
        "boolean" => json!(false),
        "integer" => json!(1),
        "array" => json!([]),
        _ => {
            let (fields, required) = variants(document, schema).swap_remove(0);
            let filled = required_only(document, &fields, &required);
            if filled.is_empty() { json!({ "name": "x" }) } else { Value::Object(filled) }
        }
    }
}

/// A body with what is required, and no more.
fn required_only(document: &Value, fields: &Fields, required: &[Value]) -> Fields {
    let needed = fields.iter().filter(|(name, _)| required.contains(&json!(name)));
    needed.map(|(name, schema)| (name.clone(), sample(document, schema))).collect()
}

fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().find(|it| *it != "null").unwrap().as_str().unwrap(),
        _ => "",
    }
}

/// Every value with poison in it that a field of this kind could be given.
fn poisons(document: &Value, schema: &Value) -> Vec<Value> {
    let schema = resolve(document, schema);
    match kind(schema) {
        "boolean" | "integer" => vec![],
        "string" => vec![json!(NUL)],
        "array" => vec![json!(["fine", NUL])],
        _ => vec![json!({ "name": NUL }), json!({ (NUL): 1 }), json!({ "a": [{ "b": NUL }] })],
    }
}

async fn assert_refused(response: Response, place: &str) -> Value {
    let status = response.status();
    assert!(status.is_client_error(), "{place}: {status}");
    assert_eq!(response.headers()["content-type"], "application/problem+json", "{place}");
    response.json().await.unwrap()
}

#[tokio::test]
async fn no_field_of_any_body_takes_what_cannot_be_stored() {
    let target = Target::make().await;
    let document = serde_json::to_value(document()).unwrap();
    let (mut tried, mut fields_seen) = (0, std::collections::BTreeSet::new());
    for operation in operations(&document) {
        let Some(schema) = operation.body(&document) else { continue };
        for (fields, required) in variants(&document, schema) {
            let mut body = required_only(&document, &fields, &required);
            for (name, schema) in &fields {
                let place = format!("{} {} {name}", operation.method, operation.path);
                let before = body.get(name).cloned();
                for poison in poisons(&document, schema) {
                    body.insert(name.clone(), poison);
                    let path = target.fill(&operation.path, None);
                    let request = target.request(&operation.method, &path).json(&body);
                    let problem = assert_refused(request.send().await.unwrap(), &place).await;
                    assert_eq!(problem["status"], 422, "{place}: {problem}");
                    let named = problem["errors"][0]["field"].as_str().unwrap();
                    assert!(named.starts_with(name.as_str()), "{place}: {problem}");
                    tried += 1;
                    fields_seen.insert(place.clone());
                }
                match before {
                    Some(value) => body.insert(name.clone(), value),
                    None => body.remove(name),
                };
            }
        }
    }
    assert!(fields_seen.len() >= 60, "{fields_seen:?}");
    report_count("poisoned bodies", "bodies", tried);
    report_count("poisoned bodies", "fields", fields_seen.len());
    target.finish().await;
}

#[tokio::test]
async fn no_parameter_of_any_route_makes_more_than_a_refusal() {
    let target = Target::make().await;
    let document = serde_json::to_value(document()).unwrap();
    let mut tried = 0;
    for operation in operations(&document) {
        let body = json!({});
        let send = async |path: &str, header: Option<(&str, &[u8])>| {
            let mut request = target.request(&operation.method, path);
            if operation.method != "get" && operation.method != "head" {
                request = request.json(&body);
            }
            if let Some((name, value)) = header {
                request = request.header(name, value);
            }
            request.send().await.unwrap()
        };
        let place = |name: &str| format!("{} {} {name}", operation.method, operation.path);
        for name in operation.parameters("path") {
            let path = target.fill(&operation.path, Some((&name, "a%00b")));
            let answer = send(&path, None).await;
            assert!(answer.status().is_client_error(), "{}: {answer:?}", place(&name));
            tried += 1;
        }
        for name in operation.parameters("query") {
            let path = target.fill(&operation.path, None);
            let answer = send(&format!("{path}?{name}=a%00b"), None).await;
            assert_eq!(answer.status(), 400, "{}: {answer:?}", place(&name));
            for text in
                ["-100000-01-01T00:00:00Z", "%2B262142-01-01T00:00:00Z", "%FF", &"x".repeat(4000)]
            {
                let answer = send(&format!("{path}?{name}={text}"), None).await;
                let status = answer.status();
                assert!(!status.is_server_error(), "{}={text}: {answer:?}", place(&name));
                let is_time = ["since", "until"].contains(&name.as_str());
                assert!(!is_time || status == 400, "{}={text}: {answer:?}", place(&name));
            }
            tried += 1;
        }
        for name in operation.parameters("header") {
            let path = target.fill(&operation.path, None);
            for value in [&b"\xff\xfe\x80"[..], &[b'x'; 4000], b"\"99999999999999999999\""] {
                let answer = send(&path, Some((&name, value))).await;
                assert!(!answer.status().is_server_error(), "{}: {answer:?}", place(&name));
            }
            tried += 1;
        }
    }
    assert!(tried >= 90, "{tried}");
    report_count("poisoned parameters", "requests", tried);
    target.finish().await;
}

#[tokio::test]
async fn reasons_have_a_length_wherever_they_are_given() {
    let target = Target::make().await;
    let document = serde_json::to_value(document()).unwrap();
    let mut tried = 0;
    for operation in operations(&document) {
        let Some(schema) = operation.body(&document) else { continue };
        for (fields, required) in variants(&document, schema) {
            if !fields.contains_key("reason") {
                continue;
            }
            let mut body = required_only(&document, &fields, &required);
            // Else another field's rule is told before the reason's.
            let example = operation.example().into_iter();
            body.extend(example.filter(|(name, _)| fields.contains_key(name)));
            let path = target.fill(&operation.path, None);
            for (reason, rule) in [("é".repeat(2001), "2000"), (" \n".to_owned(), "not be blank")]
            {
                body.insert("reason".to_owned(), json!(reason));
                let request = target.request(&operation.method, &path).json(&body);
                let response = request.send().await.unwrap();
                // Some are refused for their state before anybody looks at the reason.
                let problem = assert_refused(response, &operation.path).await;
                if problem["status"] == 422 {
                    assert!(problem["errors"].to_string().contains(rule), "{problem}");
                    tried += 1;
                }
            }
        }
    }
    assert!(tried >= 16, "{tried}");
    let long = json!({ "reason": "é".repeat(2000) });
    let path = format!("/api/v1/runs/{}/cancel", target.run);
    let taken = target.request("POST", &path).json(&long).send().await.unwrap();
    assert_eq!(taken.status(), 200);
    target.finish().await;
}

/// The journal is the door for whoever does not come by HTTP.
#[tokio::test]
async fn the_journal_refuses_what_cannot_be_stored_by_itself() {
    let server = ApiServer::start().await;
    let instance = server.given_instance("alpha").await;
    let launch = server.ask("POST", &format!("/instances/{instance}/appservers"));
    let launched: Value = launch.json(&json!({})).send().await.unwrap().json().await.unwrap();
    let run = server.given_run().await;
    let app = &server.app;
    let refuse = |outcome: Result<(), AppError>, field: &str| match outcome {
        Err(AppError::Invalid(broken)) => assert_eq!(broken[0].field, field),
        other => panic!("{other:?}"),
    };
    let by = Caller::new("token:ci");
    let input = json!({ "sub_domain": "nul", "openstack_server_flavor": { (NUL): 1 } });
    let Value::Object(input) = input else { panic!() };
    let made = app.create_instance(&by, input, DetailsAsk::default()).await.map(drop);
    refuse(made, "openstack_server_flavor.a\u{fffd}b");
    let with_reason = Caller { reason: Some(NUL.to_owned()), ..by.clone() };
    refuse(app.cancel_run(&with_reason, run, NUL.to_owned(), false).await.map(drop), "reason");
    let far = "+20000-01-01T00:00:00Z".parse().unwrap();
    let with_reason = Caller { reason: Some("why".to_owned()), ..by };
    let appserver = text(&launched, "appserver").parse().unwrap();
    refuse(app.keep_server(&with_reason, appserver, far).await.map(drop), "until");
    // The names of the one that was refused are free at once.
    server.given_instance("nul").await;
    server.stop().await;
}

#[tokio::test]
async fn settings_that_no_launch_could_freeze_are_refused_when_they_are_saved() {
    let target = Target::make().await;
    let laughs = ('b'..='j').zip('a'..='i').fold(
        "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned(),
        |text, (name, before)| {
            let items = vec![format!("*{before}"); 9].join(", ");
            format!("{text}{name}: &{name} [{items}]\n")
        },
    );
    let aliases = format!("a: &a {}\nl: [{}]\n", "x".repeat(30_000), vec!["*a"; 40].join(", "));
    let deep = format!("a: {}1{}", "{a: ".repeat(60), "}".repeat(60));
    let nested = (0..110).fold(json!(1), |inner, _| json!({ "name": inner }));
    for (field, value) in [
        ("openstack_server_flavor", nested),
        ("openstack_server_base_image", json!({ "name": "x".repeat(100_000) })),
        ("configuration_extra_settings", json!(laughs)),
        ("configuration_extra_settings", json!(aliases)),
        ("configuration_extra_settings", json!(deep)),
        ("configuration_extra_settings", json!("x".repeat(200_000))),
    ] {
        let mut body = json!({ "sub_domain": "beta" });
        body[field] = value.clone();
        let made = target.request("POST", "/api/v1/instances").json(&body).send().await.unwrap();
        let problem = assert_refused(made, field).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        let path = format!("/api/v1/instances/{}", target.instance);
        let changed = target.request("PATCH", &path).json(&json!({ field: value }));
        let problem = assert_refused(changed.send().await.unwrap(), field).await;
        assert_eq!(
            (&problem["status"], &problem["errors"][0]["field"]),
            (&json!(422), &json!(field))
        );
    }
    // No name was taken on the way.
    target.ground.post("/instances", json!({ "sub_domain": "beta", "name": "beta" })).await;
    target.finish().await;
}
