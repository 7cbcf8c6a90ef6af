//! A stuck run is explained and resolved: by the API, and by the CLI alone.

use crate::support::api_server::ApiServer;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorClass, ErrorCode, Event, StuckCode};
use serde_json::{Value, json};
use std::process::Command;

const STEP: &str = "create_server";

/// A launch whose machine could not be taken away again for a day.
pub(crate) async fn given_stuck_run(server: &ApiServer) -> RunId {
    let run = server.given_run().await;
    get_stuck(server, run).await;
    run
}

/// That becomes of a run that has just started.
pub(crate) async fn get_stuck(server: &ApiServer, run: RunId) {
    let now = server.app.journal().now();
    let key = ocim_domain::saga::step_key(run, STEP);
    let (step, attempt, deadline, at) = (STEP.to_owned(), 1, now, Some(now));
    let error = "the cloud said no".to_owned();
    let why = "its undo failed for a day".to_owned();
    let events = [
        Event::StepIntended { step: step.clone(), attempt, key, deadline, at },
        Event::UnwindBegan(Cause::Cancelled { reason: "a mistake".to_owned() }),
        Event::UndoIntended { step: step.clone(), attempt, deadline, at },
        Event::UndoFailed {
            step: step.clone(),
            attempt,
            class: ErrorClass::Transient,
            code: Some(ErrorCode::AttemptsExhausted),
            error,
            retry_at: None,
            at: None,
        },
        Event::Stuck { step, why, code: Some(StuckCode::UndoFailed) },
    ];
    for event in events {
        server.report(run, event).await;
    }
}

async fn operate(server: &ApiServer, run: RunId, body: Value) -> (u16, Value) {
    let path = format!("/runs/{run}/operate");
    let response = server.ask("POST", &path).json(&body).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing_and_the_verb_then_does_it() {
    let server = ApiServer::start().await;
    let run = given_stuck_run(&server).await;
    let explained = server.get(&format!("/runs/{run}/explain")).await;
    assert_eq!(explained["code"], "undo_failed");
    assert_eq!(explained["steps"], json!([STEP]));
    let sentence = explained["sentence"].as_str().unwrap();
    assert!(sentence.contains("stuck at `create_server`"), "{sentence}");

    let mark = |dry_run: bool| {
        let operation = json!({ "verb": "mark_undone", "step": STEP });
        json!({ "operation": operation, "reason": "deleted by hand", "dry_run": dry_run })
    };
    let (status, would) = operate(&server, run, mark(true)).await;
    assert_eq!((status, &would["done"]), (200, &json!(false)), "{would}");
    assert_eq!(server.get(&format!("/runs/{run}")).await["phase"], "stuck", "only looked at");
    let (status, did) = operate(&server, run, mark(false)).await;
    assert_eq!((status, &did["done"]), (200, &json!(true)));
    assert_eq!(did["sentences"], would["sentences"], "it does what it said");
    assert_eq!(server.get(&format!("/runs/{run}")).await["phase"], "unwinding");
    let (status, problem) = operate(&server, run, mark(false)).await;
    assert_eq!(status, 409, "{problem}");
    let nameless = json!({ "operation": { "verb": "abandon" }, "reason": " " });
    assert_eq!(operate(&server, run, nameless).await.0, 422);
    let unknown = json!({ "operation": { "verb": "hide" }, "reason": "why not" });
    assert_eq!(operate(&server, run, unknown).await.0, 422);
    let mistyped =
        json!({ "operation": { "verb": "abandon" }, "reason": "a test", "dryRun": true });
    assert_eq!(operate(&server, run, mistyped).await.0, 422, "a dry run is never done for real");
    server.stop().await;
}

#[tokio::test]
async fn every_verb_is_taken_or_refused_by_what_the_run_is_doing() {
    let server = ApiServer::start().await;
    for (verb, status) in [
        (json!({ "verb": "retry_step", "step": STEP }), 200),
        (json!({ "verb": "skip_step", "step": STEP, "output": {} }), 409),
        (json!({ "verb": "force_unwind" }), 409),
        // Its first undo has settled the appserver: no dry run promises a site.
        (json!({ "verb": "resume_forward" }), 409),
        (json!({ "verb": "abandon" }), 200),
    ] {
        let run = given_stuck_run(&server).await;
        for dry_run in [true, false] {
            let body = json!({ "operation": verb, "reason": "a test", "dry_run": dry_run });
            let (answered, body) = operate(&server, run, body).await;
            assert_eq!(answered, status, "{verb}: {body}");
        }
    }
    for (verb, phase, next) in [
        (
            json!({ "verb": "skip_step", "step": "await_turn", "output": {} }),
            "forward",
            "resolve_playbooks",
        ),
        (json!({ "verb": "force_unwind" }), "unwinding", "undo `await_turn`"),
    ] {
        let run = server.given_run().await;
        let (step, attempt, now) = ("await_turn".to_owned(), 1, server.app.journal().now());
        let key = ocim_domain::saga::step_key(run, "await_turn");
        let intent = Event::StepIntended { step, attempt, key, deadline: now, at: Some(now) };
        server.report(run, intent).await;
        for dry_run in [true, false] {
            let body = json!({ "operation": verb, "reason": "a test", "dry_run": dry_run });
            let (answered, told) = operate(&server, run, body).await;
            assert_eq!((answered, &told["done"]), (200, &json!(!dry_run)), "{verb}: {told}");
            assert!(told["sentences"][1].as_str().unwrap().contains(next), "{verb}: {told}");
            let shown = server.get(&format!("/runs/{run}")).await;
            assert_eq!(shown["phase"], if dry_run { "forward" } else { phase });
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stuck_run_is_found_explained_and_given_up_with_the_cli_alone() {
    let server = ApiServer::start().await;
    let run = given_stuck_run(&server).await.to_string();
    let data_dir = server.data_dir().to_owned();
    let ocim = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ocim"));
        command.args(arguments).env("OCIM_DATA_DIR", &data_dir);
        server.catch_up().await;
        let ended = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = String::from_utf8(ended.stdout).unwrap();
        let errors = String::from_utf8(ended.stderr).unwrap();
        (ended.status.code().unwrap(), text + &errors)
    };
    let (code, listed) = ocim(&["run", "list", "--stuck"]).await;
    assert!(code == 0 && listed.contains(&run), "{listed}");
    let (code, told) = ocim(&["run", "explain", &run]).await;
    assert!(code == 0 && told.contains("its undo failed for a day"), "{told}");
    let open = server.given_run().await.to_string();
    let cancel = ["run", "cancel", &open, "--reason", "a mistake"];
    let (code, would) = ocim(&[&cancel[..], &["--dry-run"]].concat()).await;
    assert!(code == 0 && would.starts_with("It would:"), "{would}");
    assert!(would.contains("because somebody cancelled it: a mistake"), "{would}");
    let (code, did) = ocim(&cancel).await;
    assert_eq!((code, did), (0, would.replace("It would:", "Done:")), "it does what it said");
    let cancel = ["run", "cancel", &run, "--reason", "too late", "--dry-run"];
    let (code, refused) = ocim(&cancel).await;
    assert!(code == 4 && refused.contains("already turning back"), "{refused}");
    let abandon = ["run", "abandon", &run, "--reason", "the region is gone"];
    let (code, would) = ocim(&[&abandon[..], &["--dry-run"]].concat()).await;
    assert!(code == 0 && would.starts_with("It would:") && would.contains(STEP), "{would}");
    let (code, did) = ocim(&abandon).await;
    assert!(code == 0 && did.starts_with("Done:"), "{did}");
    let (_, listed) = ocim(&["run", "list", "--stuck"]).await;
    assert!(!listed.contains(&run), "{listed}");
    let (code, refused) = ocim(&["run", "retry-step", &run, STEP, "--reason", "too late"]).await;
    assert_eq!(code, 4, "{refused}");
    server.stop().await;
}
