//! Runs on the command line: waited for, shown, counted.

use super::{answer, ocim, refusal, run};
use crate::support::api_server::ApiServer;
use ocim_domain::appserver::activation_after;
use ocim_domain::event::Metadata;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, Command, ErrorClass, ErrorCode, Event, Saga};
use serde_json::json;
use std::process::Stdio;

/// The first attempt at `create_server` begins.
fn intent(run: RunId) -> Event {
    let (step, deadline) = ("create_server".to_owned(), "2036-11-22T12:00:00Z".parse().unwrap());
    let key = ocim_domain::saga::step_key(run, &step);
    Event::StepIntended { step, attempt: 1, key, deadline, at: None }
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
    let event =
        Event::StepFailed { step, attempt: 1, class, code, error, retry_at: None, at: None };
    server.report(failed, event).await;
    let cause = Cause::StepFailed { step: "create_server".into(), error: "no quota".into() };
    server.report(failed, Event::UnwindBegan(cause)).await;
    server.report(failed, Event::Unwound {}).await;
    let output = run(&server, &["run", "wait", &failed.to_string()]).await;
    let told = String::from_utf8(output.stderr).unwrap();
    let line = told.lines().last().unwrap();
    assert_eq!(output.status.code(), Some(7), "{told}");
    assert!(line.contains("failed at create_server: no quota"), "{line}");
    assert!(line.contains("`ocim explain machine_failed`"), "{line}");
    let shown = answer(&server, &["run", "show", &failed.to_string()]).await;
    assert!(shown.contains("failed (machine_failed): no quota"), "{shown}");
    server.stop().await;
}

/// A run that another one started.
async fn start_next(server: &ApiServer, parent: RunId, run: RunId) {
    let start = Command::Start {
        definition: "activate_appserver".to_owned(),
        version: 1,
        input: json!({}),
        subject: "apps_test".to_owned(),
        deadline: None,
    };
    let meta = Metadata::by(format!("saga:{parent}"));
    server.app.journal().execute::<Saga>(&run.stream(), &meta, start).await.unwrap();
}

#[tokio::test]
async fn a_launch_that_is_to_be_activated_is_waited_for_until_it_is() {
    for ends_well in [true, false] {
        let server = ApiServer::start().await;
        let instance = answer(&server, &["instance", "create", "--sub-domain", "alpha"]).await;
        let launch = ["appserver", "launch", &instance, "--activate", "--wait"];
        let mut waiting = ocim(server.data_dir(), &launch)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let launch = loop {
            server.catch_up().await;
            let shown = server.get(&format!("/instances/{instance}")).await;
            if let Some(run) = shown["launches"][0].as_str() {
                break run.parse::<RunId>().unwrap();
            }
            assert!(waiting.try_wait().unwrap().is_none());
            tokio::task::yield_now().await;
        };
        server.start_run(launch, "apps_test").await;
        let activation = activation_after(launch);
        let done = Event::StepDone {
            step: "request_activation".to_owned(),
            output: json!(activation.to_string()),
        };
        server.report(launch, done).await;
        server.report(launch, Event::Completed {}).await;
        start_next(&server, launch, activation).await;
        if ends_well {
            server.report(activation, Event::Completed {}).await;
        } else {
            let (step, error) = ("prove_site".to_owned(), "no answer".to_owned());
            let cause = Cause::StepFailed { step, error };
            server.report(activation, Event::UnwindBegan(cause)).await;
            server.report(activation, Event::Unwound {}).await;
        }
        let waited = waiting.wait_with_output().await.unwrap();
        let said = String::from_utf8(waited.stderr).unwrap();
        assert_eq!(waited.status.code(), Some(if ends_well { 0 } else { 7 }), "{said}");
        assert!(said.contains(&activation.to_string()), "{said}");
        assert!(ends_well || said.contains("no answer"), "{said}");

        server.catch_up().await;
        let shown = server.get(&format!("/runs/{launch}")).await;
        assert_eq!(shown["started_runs"], json!([activation.to_string()]));
        let shown = server.get(&format!("/runs/{activation}")).await;
        assert_eq!(shown["started_by"], launch.to_string());
        assert_eq!(shown["started_runs"], json!([]));
        server.stop().await;
    }
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
    let level = ocim_adapters::logs::Level::Info;
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
    let created = format!("{} created the site", ocim::http::os_user());
    assert!(told.contains(&created), "{told}");
    assert_eq!(answer(&server, &["run", "logs", &id, "--raw"]).await, "one\ntwo");
    assert_eq!(answer(&server, &["run", "logs", &id, "--raw", "--step", "two"]).await, "two");
    let figures = answer(&server, &["run", "statistics"]).await;
    assert!(figures.contains("launch_appserver (1 runs, 1 stuck, 0 undone)"), "{figures}");
    assert!(figures.contains("  create_server") && figures.contains("P99"), "{figures}");
    server.stop().await;
}
