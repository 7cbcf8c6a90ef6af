//! Metrics and traces as Prometheus and a collector see them.

use crate::support::api_server::{ApiServer, DEADLINE};
use crate::support::ocim::POLL;
use actix_web::web::{self, Data, Json};
use actix_web::{App, HttpResponse, HttpServer};
use ocim::app::Caller;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Command, ErrorClass, Event, Saga, step_key};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

const STEP: &str = "run_main_playbook";

fn intended(run: RunId, attempt: u32) -> Event {
    let deadline = chrono::DateTime::UNIX_EPOCH;
    Event::StepIntended {
        step: STEP.to_owned(),
        attempt,
        key: step_key(run, STEP),
        deadline,
        at: None,
    }
}

fn done() -> Event {
    Event::StepDone { step: STEP.to_owned(), output: json!({}) }
}

async fn scrape(server: &ApiServer) -> String {
    let response = server.bare("GET", "/metrics").bearer_auth(&server.token).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

/// Scrapes until the line is there: the log is followed, not waited for.
async fn await_line(server: &ApiServer, line: &str) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let text = scrape(server).await;
        if text.lines().any(|it| it == line) {
            return text;
        }
        assert!(Instant::now() < deadline, "no `{line}` in\n{text}");
        tokio::time::sleep(POLL).await;
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

/// Each family has HELP and TYPE before its samples, each series stands there once, and counters
/// and only they end in `_total`.
fn check_format(text: &str) {
    assert!(text.ends_with('\n'));
    let (mut families, mut series) = (BTreeSet::new(), BTreeSet::new());
    let (mut helped, mut family, mut kind) = ("", "", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(is_name(name) && help.ends_with('.') | name.starts_with("process_"), "{line}");
            helped = name;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            (family, kind) = rest.split_once(' ').unwrap();
            assert_eq!(family, helped, "TYPE without HELP");
            assert!(families.insert(family), "{family} stands there twice");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
        } else {
            let (key, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(key), "{key} stands there twice");
            let name = key.split('{').next().unwrap();
            let suffix = name.strip_prefix(family).unwrap();
            let suffixes: &[&str] =
                if kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(suffixes.contains(&suffix), "{line} is not of {family}");
        }
    }
}

#[tokio::test]
async fn metrics_tell_of_runs_appends_requests_and_read_models() {
    let server = ApiServer::start().await;
    let (run, stuck) = (server.given_run().await, server.given_run().await);
    server.report(run, intended(run, 1)).await;
    let retry_at = Some(chrono::DateTime::UNIX_EPOCH);
    let (class, error) = (ErrorClass::Timeout, "slow".to_owned());
    let (step, code) = (STEP.to_owned(), None);
    let failed = Event::StepFailed { step, attempt: 1, class, code, error, retry_at, at: None };
    server.report(run, failed).await;
    server.report(run, intended(run, 2)).await;
    server.report(run, done()).await;
    let why = "nobody knows".to_owned();
    server.report(stuck, Event::Stuck { step: STEP.to_owned(), why, code: None }).await;
    server.ask("GET", &format!("/runs/{run}")).send().await.unwrap();

    let text = await_line(&server, "ocim_runs_stuck{definition=\"launch_appserver\"} 1").await;
    check_format(&text);
    let step = format!("definition=\"launch_appserver\",outcome=\"done\",step=\"{STEP}\"");
    for line in [
        "ocim_runs_open{definition=\"launch_appserver\"} 1".to_owned(),
        "ocim_runs_known 1".to_owned(),
        "ocim_projection_lag_events{projection=\"runs\"} 0".to_owned(),
        "ocim_appends_total{outcome=\"appended\"} 7".to_owned(),
        format!("ocim_step_duration_seconds_count{{{step}}} 1"),
        format!(
            "ocim_step_failures_total{{class=\"timeout\",definition=\"launch_appserver\",\
             outcome=\"retry\",step=\"{STEP}\"}} 1"
        ),
        "ocim_http_requests_total{method=\"GET\",route=\"/api/v1/runs/{id}\",status=\"200\"} 1"
            .to_owned(),
    ] {
        assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
    }
    assert!(!text.contains("run_0"), "no ids in labels");
    server.report(run, Event::Completed {}).await;
    let ended = "ocim_runs_ended_total{definition=\"launch_appserver\",outcome=\"completed\"} 1";
    let text = await_line(&server, ended).await;
    assert!(!text.contains("ocim_runs_open{definition=\"launch_appserver\"} 1"), "{text}");
    server.stop().await;
}

#[tokio::test]
async fn metrics_take_a_token_unless_they_are_public() {
    let server = ApiServer::start().await;
    assert_eq!(server.bare("GET", "/metrics").send().await.unwrap().status(), 401);
    server.stop().await;
    let server = ApiServer::start_with(None, true).await;
    let text = server.bare("GET", "/metrics").send().await.unwrap().text().await.unwrap();
    check_format(&text);
    assert!(!text.contains(&server.token));
    server.stop().await;
}

type Spans = Arc<Mutex<Vec<Value>>>;

async fn take(spans: Data<Spans>, Json(export): Json<Value>) -> HttpResponse {
    let new = export["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    spans.lock().unwrap().extend(new);
    HttpResponse::Ok().json(json!({}))
}

/// A collector: its URL, and what it was sent.
fn collect() -> (String, Spans) {
    let spans = Spans::default();
    let data = Data::new(Arc::clone(&spans));
    let server = HttpServer::new(move || {
        App::new().app_data(data.clone()).route("/v1/traces", web::post().to(take))
    });
    let server = server.workers(1).disable_signals().bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", server.addrs()[0]);
    tokio::spawn(server.run());
    (url, spans)
}

/// Asks for an Appserver within a trace; the run's id.
async fn launch(server: &ApiServer, traceparent: &str) -> RunId {
    let instance = server.given_instance("traced").await;
    let ask = server.ask("POST", &format!("/instances/{instance}/appservers"));
    let answer = ask.header("traceparent", traceparent).json(&json!({})).send().await.unwrap();
    assert_eq!(answer.status(), 202);
    answer.json::<Value>().await.unwrap()["run"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_trace_links_request_run_step_and_playbook() {
    let (url, spans) = collect();
    let server = ApiServer::start_with(Some(&url), false).await;
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let run = launch(&server, &format!("00-{trace}-b7ad6b7169203331-01")).await;
    // What the runner does: it hands the request's metadata on.
    let log = server.app.journal().store();
    let events = log.read_all(Default::default(), &Default::default(), 100).await.unwrap().0;
    let asked = events.iter().find(|it| it.kind == "instance.launch_requested").unwrap();
    let start = Command::Start {
        definition: "launch_appserver".to_owned(),
        version: 1,
        input: json!({}),
        subject: "apps_test".to_owned(),
        deadline: None,
    };
    let journal = server.app.journal();
    journal.execute::<Saga>(&run.stream(), &asked.meta, start).await.unwrap();
    for event in [intended(run, 1), done(), Event::Completed {}] {
        let (meta, report) = (Caller::new("system").metadata(), Command::Report(event));
        journal.execute::<Saga>(&run.stream(), &meta, report).await.unwrap();
    }
    let of_trace = || -> Vec<Value> {
        let all = spans.lock().unwrap();
        all.iter().filter(|span| span["traceId"] == trace).cloned().collect()
    };
    let deadline = Instant::now() + DEADLINE;
    while of_trace().len() < 4 {
        assert!(Instant::now() < deadline, "{:?}", spans.lock().unwrap());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let all = of_trace();
    assert_eq!(all.len(), 4, "{all:?}");
    let mut parent = json!("b7ad6b7169203331");
    for name in [
        "POST /api/v1/instances/{id}/appservers",
        "run launch_appserver",
        "step run_main_playbook",
        "playbook run_main_playbook",
    ] {
        let span = all.iter().find(|span| span["name"] == name).unwrap();
        assert_eq!(span["parentSpanId"], parent, "{span}");
        let nanos = |field: &str| span[field].as_str().unwrap().parse::<i64>().unwrap();
        assert!(nanos("startTimeUnixNano") <= nanos("endTimeUnixNano"), "{span}");
        parent = span["spanId"].clone();
    }
    server.stop().await;
}

#[tokio::test]
async fn a_collector_that_hangs_or_is_dead_holds_nobody_up() {
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = format!("http://{}", hanging.local_addr().unwrap());
    for collector in [hangs.as_str(), "http://127.0.0.1:9"] {
        let server = ApiServer::start_with(Some(collector), false).await;
        let begun = Instant::now();
        launch(&server, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").await;
        scrape(&server).await;
        tokio::time::timeout(DEADLINE, server.stop()).await.unwrap();
        assert!(begun.elapsed() < DEADLINE);
    }
}
