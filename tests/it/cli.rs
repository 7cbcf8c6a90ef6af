//! The real binary, pointed at a server through its data folder.

use crate::support::api_server::ApiServer;
use crate::support::processes::signal_process;
use chrono::TimeDelta;
use nix::sys::signal::Signal;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, Command, ErrorClass, ErrorCode, Event, Saga};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};

/// The program, without this process's own configuration.
fn ocim(data_dir: &Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ocim"));
    command.env_clear().env("HOME", "/nonexistent").current_dir("/").kill_on_drop(true);
    command.arg("--data-dir").arg(data_dir).args(arguments).stdin(Stdio::null());
    command
}

/// What becomes of a command that finds the read models up to date.
async fn run(server: &ApiServer, arguments: &[&str]) -> Output {
    server.catch_up().await;
    ocim(server.data_dir(), arguments).output().await.unwrap()
}

/// Standard output of a command that must succeed.
async fn answer(server: &ApiServer, arguments: &[&str]) -> String {
    let output = run(server, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Exit code and the one line on standard error of a command that must fail.
async fn refusal(server: &ApiServer, arguments: &[&str]) -> (i32, String) {
    let output = run(server, arguments).await;
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    (output.status.code().unwrap(), line)
}

/// The first attempt at `create_server` begins.
fn intent(run: RunId) -> Event {
    let (step, deadline) = ("create_server".to_owned(), "2036-11-22T12:00:00Z".parse().unwrap());
    let key = ocim_domain::saga::step_key(run, &step);
    Event::StepIntended { step, attempt: 1, key, deadline, at: None }
}

#[tokio::test]
async fn instances_are_made_listed_shown_and_changed() {
    let server = ApiServer::start().await;
    let create = ["instance", "create", "--name", "Alpha", "--sub-domain", "alpha"];
    let id = answer(&server, &create).await;
    assert!(id.starts_with("inst_"), "{id}");
    let table = answer(&server, &["instance", "list"]).await;
    assert!(table.contains("alpha.example.com"), "{table}");
    let set = ["instance", "set", &id, "deploy_simpletheme:=true", "openedx_release=2019"];
    answer(&server, &set).await;
    let shown = answer(&server, &["instance", "show", &id, "--json"]).await;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let settings = &shown["settings"];
    assert_eq!(settings["deploy_simpletheme"], true);
    assert_eq!(settings["openedx_release"], "2019");
    server.stop().await;
}

#[tokio::test]
async fn errors_are_one_line_and_a_documented_exit_code() {
    let server = ApiServer::start().await;
    let id = answer(&server, &["instance", "create", "--sub-domain", "alpha"]).await;
    let unknown = "inst_00000000-0000-7000-8000-000000000000";
    let (code, line) = refusal(&server, &["instance", "set", &id, "nmae=x"]).await;
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("nmae"), "{line}");
    let (code, line) = refusal(&server, &["instance", "show", unknown]).await;
    assert_eq!(code, 3, "{line}");
    let stale = ["instance", "set", &id, "name=B", "--if-version", "77"];
    let (code, line) = refusal(&server, &stale).await;
    assert_eq!(code, 4, "{line}");
    std::fs::write(server.data_dir().join("cli_token"), "ocim_wrong").unwrap();
    let (code, line) = refusal(&server, &["instance", "list"]).await;
    assert_eq!(code, 6, "{line}");
    let usage = run(&server, &["instance", "frobnicate"]).await;
    assert_eq!(usage.status.code(), Some(2));
    let data_dir = server.data_dir().to_owned();
    server.stop().await;
    let output = ocim(&data_dir, &["instance", "list"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("ocim serve"));
}

#[tokio::test]
async fn a_run_is_waited_for_to_its_end() {
    let server = ApiServer::start().await;
    let run_id = server.given_run().await;
    let step = |name: &str| Event::StepDone { step: name.to_owned(), output: json!({}) };
    server.report(run_id, step("create_server")).await;
    let id = run_id.to_string();
    let waiting = ocim(server.data_dir(), &["run", "wait", &id])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    server.report(run_id, step("await_ready")).await;
    server.report(run_id, Event::Completed {}).await;
    let waited = waiting.wait_with_output().await.unwrap();
    assert!(waited.status.success(), "{waited:?}");
    let told = String::from_utf8(waited.stderr).unwrap();
    assert!(told.contains("create_server done") && told.contains("await_ready done"), "{told}");

    let failed = server.given_run().await;
    server.report(failed, intent(failed)).await;
    let (step, error) = ("create_server".to_owned(), "no quota".to_owned());
    let (class, code) = (ErrorClass::Permanent, Some(ErrorCode::MachineFailed));
    let event = Event::StepFailed { step, attempt: 1, class, code, error, retry_at: None };
    server.report(failed, event).await;
    let cause = Cause::StepFailed { step: "create_server".into(), error: "no quota".into() };
    server.report(failed, Event::UnwindBegan(cause)).await;
    server.report(failed, Event::Unwound {}).await;
    let output = run(&server, &["run", "wait", &failed.to_string()]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    let line = told.lines().last().unwrap();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(line.contains("no quota") && line.contains("`ocim explain machine_failed`"), "{line}");
    let shown = answer(&server, &["run", "show", &failed.to_string()]).await;
    assert!(shown.contains("failed (machine_failed): no quota"), "{shown}");
    server.stop().await;
}

#[tokio::test]
async fn runs_are_shown_with_attempts_timeline_log_and_statistics() {
    let server = ApiServer::start().await;
    let instance = answer(&server, &["instance", "create", "--sub-domain", "alpha"]).await;
    let run_id = server.given_run().await;
    let id = run_id.to_string();
    let step = || "create_server".to_owned();
    server.report(run_id, intent(run_id)).await;
    server.report(run_id, Event::StepDone { step: step(), output: json!({}) }).await;
    let stuck = Event::Stuck { step: "await_ssh".into(), why: "no answer".into(), code: None };
    server.report(run_id, stuck).await;
    let masker = ocim::logs::masking::Masker::new([]);
    let level = ocim::ports::log_store::Level::Info;
    for text in ["one", "two"] {
        server.app.logs().append(run_id, text, level, text, &masker).await.unwrap();
    }

    let listed = answer(&server, &["run", "list", "--stuck"]).await;
    assert!(listed.contains(&id) && listed.contains("TOOK"), "{listed}");
    let none = answer(&server, &["run", "list", "--stuck", "--older-than", "2h"]).await;
    assert!(!none.contains(&id), "{none}");
    assert_eq!(refusal(&server, &["run", "list", "--older-than", "long"]).await.0, 2);
    let shown = answer(&server, &["run", "show", &id]).await;
    assert!(shown.contains("    attempt 1 at ") && shown.contains("s: done"), "{shown}");
    let told = answer(&server, &["run", "timeline", &id]).await;
    let last = answer(&server, &["run", "timeline", &id, "--last", "1"]).await;
    assert_eq!(told.lines().count(), 4, "{told}");
    assert_eq!(told.lines().last(), Some(last.as_str()));
    assert!(last.ends_with("is stuck at “await ssh” and needs somebody: no answer"), "{last}");
    let told = answer(&server, &["instance", "timeline", &instance]).await;
    assert!(told.contains("local created the site"), "{told}");
    assert_eq!(answer(&server, &["run", "logs", &id, "--raw"]).await, "one\ntwo");
    assert_eq!(answer(&server, &["run", "logs", &id, "--raw", "--step", "two"]).await, "two");
    let figures = answer(&server, &["run", "statistics"]).await;
    assert!(figures.contains("launch_appserver (1 runs, 1 stuck, 0 undone)"), "{figures}");
    assert!(figures.contains("  create_server") && figures.contains("P99"), "{figures}");
    server.stop().await;
}

/// The events that a tail prints up to this one.
async fn tail_until(server: &ApiServer, filter: &[&str], last: u64) -> Vec<(String, u64)> {
    let arguments = [&["events", "tail", "--from-start", "--json"], filter].concat();
    let mut command = ocim(server.data_dir(), &arguments);
    command.env("DATABASE_URL", server.database.url());
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut told = vec![];
    while told.last() != Some(&("token:alice".to_owned(), last)) {
        let line = lines.next_line().await.unwrap().expect("it goes on until it is interrupted");
        let event: Value = serde_json::from_str(&line).unwrap();
        let actor = event["meta"]["actor"].as_str().unwrap().to_owned();
        told.push((actor, event["version"].as_u64().unwrap()));
    }
    signal_process(tail.id().unwrap(), Signal::SIGINT);
    assert!(tail.wait().await.unwrap().success());
    told
}

#[tokio::test]
async fn the_tail_of_events_shows_those_that_are_asked_for() {
    let server = ApiServer::start().await;
    let (one, other) = (server.given_run().await, server.given_run().await);
    let mut since = String::new();
    for (run, actor, correlation, step) in [
        (one, "token:bob", "first", "create_server"),
        (other, "token:alice", "second", "create_server"),
        (one, "token:bob", "second", "await_server"),
        (other, "token:alice", "second", "await_server"),
    ] {
        let correlation_id = Some(correlation.to_owned());
        let meta = Metadata { correlation_id, ..Metadata::by(actor) };
        let done = Event::StepDone { step: step.to_owned(), output: json!({}) };
        let (journal, report) = (server.app.journal(), Command::Report(done));
        journal.execute::<Saga>(&run.stream(), &meta, report).await.unwrap();
        if since.is_empty() {
            let recorded = journal.store().read_stream(&run.stream(), 1).await.unwrap();
            // To the microsecond, as it is stored: whatever comes later is later.
            since = (recorded[0].recorded_at + TimeDelta::microseconds(1)).to_rfc3339();
        }
    }
    let (stream, by) = (other.stream().to_string(), |name: &str| format!("token:{name}"));
    let (alice, bob, system) = (by("alice"), by("bob"), || "system".to_owned());
    for (filter, expected) in [
        (["--stream", &stream], vec![(system(), 0), (alice.clone(), 1), (alice.clone(), 2)]),
        (["--actor", "token:alice"], vec![(alice.clone(), 1), (alice.clone(), 2)]),
        (
            ["--kind", "saga.step_done"],
            [&bob, &alice, &bob, &alice].into_iter().cloned().zip([1, 1, 2, 2]).collect(),
        ),
        (
            ["--correlation", "second"],
            [&alice, &bob, &alice].into_iter().cloned().zip([1, 2, 2]).collect(),
        ),
        (["--since", &since], [&alice, &bob, &alice].into_iter().cloned().zip([1, 2, 2]).collect()),
    ] {
        assert_eq!(tail_until(&server, &filter, 2).await, expected, "{filter:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_openapi_document_needs_no_server() {
    let output = ocim(Path::new("/nonexistent"), &["openapi"]).output().await.unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("api-spec/openapi.json");
    assert!(output.stdout == std::fs::read(path).unwrap(), "run `make openapi`");
}

#[tokio::test]
async fn a_code_is_explained_without_a_server_and_a_run_by_it() {
    let explain = async |arguments: &[&str]| {
        let arguments: Vec<_> = ["explain"].iter().chain(arguments).copied().collect();
        ocim(Path::new("/nonexistent"), &arguments).output().await.unwrap()
    };
    for name in ["playbook_failed", "stale_version", "/problems/playbook_failed", "crash_loop"] {
        let output = explain(&[name]).await;
        assert!(output.status.success(), "{output:?}");
        let page = String::from_utf8(output.stdout).unwrap();
        assert!(page.starts_with("# ") && page.contains("## What to do"), "{page}");
    }
    let listed = String::from_utf8(explain(&[]).await.stdout).unwrap();
    assert!(listed.lines().any(|line| line.starts_with("no_load_balancer ")), "{listed}");
    let unknown = explain(&["nonsense"]).await;
    assert_eq!(unknown.status.code(), Some(3), "{unknown:?}");

    let server = ApiServer::start().await;
    let run = server.given_run().await.to_string();
    let told = answer(&server, &["explain", &run]).await;
    assert!(told.starts_with("The run goes forward"), "{told}");
    server.stop().await;
}
