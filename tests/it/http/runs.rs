//! Runs as a client of the API sees them.

use crate::support::api_server::ApiServer;
use chrono::{DateTime, Utc};
use ocim::processes::definitions;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorClass, ErrorCode, Event, StuckCode, step_key};
use serde_json::{Value, json};

fn done(step: &str) -> Event {
    Event::StepDone { step: step.to_owned(), output: json!({}) }
}

fn skipped(step: &str) -> Event {
    Event::StepSkipped { step: step.to_owned(), reason: "nothing to do".to_owned() }
}

#[tokio::test]
async fn a_run_is_listed_read_with_its_steps_and_cancelled() {
    let server = ApiServer::start().await;
    let over = server.given_run().await;
    server.report(over, skipped("choose_balancer")).await;
    server.report(over, done("create_server")).await;
    server.report(over, Event::Completed {}).await;
    let open = server.given_run().await;

    let ids = |page: Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(server.get("/runs").await), [open.to_string(), over.to_string()]);
    assert_eq!(ids(server.get("/runs?open=true").await), [open.to_string()]);
    assert_eq!(ids(server.get("/runs?definition=other").await), [""; 0]);
    assert_eq!(ids(server.get("/runs?subject=apps_test&limit=1").await), [open.to_string()]);

    let detail = server.get(&format!("/runs/{over}")).await;
    assert_eq!(detail["phase"], "completed");
    assert!(detail["ended"].is_string());
    let states: Vec<_> =
        detail["steps"].as_array().unwrap().iter().map(|it| (&it["step"], &it["state"])).collect();
    let expected =
        [(&json!("choose_balancer"), &json!("skipped")), (&json!("create_server"), &json!("done"))];
    assert_eq!(states, expected);

    let cancel = |run| server.ask("POST", &format!("/runs/{run}/cancel"));
    let nameless = cancel(open).json(&json!({})).send().await.unwrap();
    assert_eq!(nameless.status(), 422);
    let reason = json!({"reason": "a mistake"});
    assert_eq!(cancel(open).json(&reason).send().await.unwrap().status(), 200);
    assert_eq!(server.get(&format!("/runs/{open}")).await["cancel_requested"], true);
    let refused = cancel(over).json(&reason).send().await.unwrap();
    assert_eq!(refused.status(), 409);
    server.stop().await;
}

#[tokio::test]
async fn a_cancel_is_seen_dry_and_refused_dry_where_the_act_is() {
    let server = ApiServer::start().await;
    let cancel = async |run: RunId, dry_run: bool| {
        let body = json!({ "reason": "a mistake", "dry_run": dry_run });
        let request = server.ask("POST", &format!("/runs/{run}/cancel")).json(&body);
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let open = server.given_run().await;
    server.report(open, intended(open, "await_turn", 1)).await;
    let head = async || server.app.store().raw().head().await.unwrap();
    let before = head().await;
    let (status, would) = cancel(open, true).await;
    assert_eq!((status, &would["done"]), (200, &json!(false)), "{would}");
    let told = [
        "the run is asked to stop, and to undo what it did",
        "turn back, because somebody cancelled it: a mistake",
        "undo `await_turn`",
        "end, with all undone or kept for its reason",
    ];
    assert_eq!(would["sentences"], json!(told));
    assert_eq!(head().await, before, "it was only looked at");
    let (status, did) = cancel(open, false).await;
    assert_eq!((status, &did["done"]), (200, &json!(true)));
    assert_eq!(did["sentences"], would["sentences"], "it does what it said");

    let over = server.given_run().await;
    server.report(over, Event::Completed {}).await;
    let back = server.given_run().await;
    server.report(back, intended(back, "await_turn", 1)).await;
    server.report(back, Event::UnwindBegan(Cause::Deadline)).await;
    let past = server.given_run().await;
    let steps = definitions().into_iter().find(|it| it.name == "launch_appserver").unwrap().steps;
    for step in steps {
        server.report(past, skipped(step.path)).await;
    }
    for run in [over, back, past] {
        let refused = [cancel(run, true).await, cancel(run, false).await];
        assert_eq!(refused[0], refused[1]);
        assert_eq!(refused[0].0, 409, "{}", refused[0].1);
    }
    server.stop().await;
}

fn intended(run: RunId, step: &str, attempt: u32) -> Event {
    let deadline = "2036-11-22T12:00:00Z".parse().unwrap();
    Event::StepIntended {
        step: step.to_owned(),
        attempt,
        key: step_key(run, step),
        deadline,
        at: None,
    }
}

fn failed(step: &str, attempt: u32, last: bool) -> Event {
    Event::StepFailed {
        step: step.to_owned(),
        attempt,
        class: ErrorClass::Transient,
        code: last.then_some(ErrorCode::AttemptsExhausted),
        error: "no answer".to_owned(),
        retry_at: (!last).then(|| "2026-11-22T12:00:00Z".parse().unwrap()),
        at: None,
    }
}

fn undo(step: &str) -> [Event; 3] {
    let step = || step.to_owned();
    let intend = |attempt| Event::UndoIntended {
        step: step(),
        attempt,
        deadline: "2036-11-22T12:00:00Z".parse().unwrap(),
        at: None,
    };
    let failed = Event::UndoFailed {
        step: step(),
        attempt: 1,
        class: ErrorClass::Transient,
        code: None,
        error: "still there".to_owned(),
        retry_at: Some("2026-11-22T12:00:00Z".parse().unwrap()),
        at: None,
    };
    [intend(1), failed, intend(2)]
}

/// A run that completed in three attempts at one step, and one that is stuck at an undo.
async fn given_history(server: &ApiServer) -> (RunId, RunId) {
    let completed = server.given_run().await;
    let first = [intended(completed, "create_server", 1), failed("create_server", 1, false)];
    let second = [intended(completed, "create_server", 2), failed("create_server", 2, false)];
    let third = [intended(completed, "create_server", 3), done("create_server")];
    for event in first.into_iter().chain(second).chain(third) {
        server.report(completed, event).await;
    }
    server.report(completed, skipped("write_dns_records")).await;
    server.report(completed, Event::Completed {}).await;
    let stuck = server.given_run().await;
    server.report(stuck, intended(stuck, "create_server", 1)).await;
    server.report(stuck, failed("create_server", 1, true)).await;
    let cause = Cause::StepFailed { step: "create_server".into(), error: "no answer".into() };
    server.report(stuck, Event::UnwindBegan(cause)).await;
    for event in undo("create_server") {
        server.report(stuck, event).await;
    }
    let why = "still there".to_owned();
    let event = Event::UndoFailed {
        step: "create_server".to_owned(),
        attempt: 2,
        class: ErrorClass::Transient,
        code: Some(ErrorCode::AttemptsExhausted),
        error: why.clone(),
        retry_at: None,
        at: None,
    };
    server.report(stuck, event).await;
    server.report(stuck, Event::Stuck { step: "create_server".to_owned(), why, code: None }).await;
    (completed, stuck)
}

fn seconds_between(earlier: &Value, later: &Value) -> f64 {
    let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    (time(later) - time(earlier)).as_seconds_f64()
}

#[tokio::test]
async fn a_cancelled_run_that_was_stuck_and_went_on_is_told_as_cancelled() {
    let server = ApiServer::start().await;
    let run = server.given_run().await;
    let step = "create_server".to_owned();
    server.report(run, intended(run, &step, 1)).await;
    let reason = "not needed".to_owned();
    server.report(run, Event::UnwindBegan(Cause::Cancelled { reason })).await;
    let deadline = "2036-11-22T12:00:00Z".parse().unwrap();
    let undo = Event::UndoIntended { step: step.clone(), attempt: 1, deadline, at: None };
    server.report(run, undo).await;
    let (why, code) = ("6 nodes in a row died".to_owned(), Some(StuckCode::CrashLoop));
    server.report(run, Event::Stuck { step: step.clone(), why, code }).await;
    let cause = async || server.get(&format!("/runs/{run}")).await["cause"].clone();
    assert_eq!(cause().await, "stuck at create_server: 6 nodes in a row died");
    let retry = json!({ "verb": "retry_step", "step": step });
    let body = json!({ "operation": retry, "reason": "there is memory again" });
    let operated = server.ask("POST", &format!("/runs/{run}/operate")).json(&body);
    assert_eq!(operated.send().await.unwrap().status(), 200);
    assert_eq!(cause().await, "cancelled: not needed");
    server.report(run, Event::UndoDone { step, note: None }).await;
    server.report(run, Event::Unwound {}).await;
    assert_eq!(cause().await, "cancelled: not needed");
    server.stop().await;
}

#[tokio::test]
async fn a_run_tells_each_attempt_with_its_end_and_error() {
    let server = ApiServer::start().await;
    let (completed, stuck) = given_history(&server).await;
    let run = server.get(&format!("/runs/{completed}")).await;
    assert_eq!(run["duration_s"], seconds_between(&run["created"], &run["ended"]));
    let attempts = run["steps"][0]["attempts"].as_array().unwrap();
    let told: Vec<_> = attempts
        .iter()
        .map(|it| (it["attempt"].as_i64().unwrap(), it["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [(1, "failed"), (2, "failed"), (3, "done")]);
    for attempt in attempts {
        let took = seconds_between(&attempt["started"], &attempt["ended"]);
        assert_eq!(attempt["duration_s"], took, "{attempt}");
        let failed = attempt["outcome"] == "failed";
        assert_eq!(attempt["class"], if failed { json!("transient") } else { json!(null) });
        assert_eq!(attempt["error"], if failed { json!("no answer") } else { json!(null) });
    }
    assert_eq!(run["steps"][1]["attempts"], json!([]));

    let run = server.get(&format!("/runs/{stuck}")).await;
    let attempts = run["steps"][0]["attempts"].as_array().unwrap();
    let undone: Vec<_> = attempts.iter().map(|it| it["is_undo"].as_bool().unwrap()).collect();
    assert_eq!(undone, [false, true, true]);
    let codes: Vec<_> = attempts.iter().map(|it| it["code"].as_str()).collect();
    assert_eq!(codes, [Some("attempts_exhausted"), None, Some("attempts_exhausted")]);
    assert_eq!(
        (&run["error_code"], &attempts[2]["class"]),
        (&codes[0].into(), &json!("transient"))
    );
    let open = server.given_run().await;
    server.report(open, intended(open, "create_server", 1)).await;
    let run = server.get(&format!("/runs/{open}")).await;
    let attempt = &run["steps"][0]["attempts"][0];
    assert_eq!((&attempt["outcome"], &attempt["ended"]), (&json!(null), &json!(null)));
    assert!(run["duration_s"].as_f64().unwrap() >= 0.0);
    server.stop().await;
}

#[tokio::test]
async fn runs_are_found_by_phase_and_age() {
    let server = ApiServer::start().await;
    let (completed, stuck) = given_history(&server).await;
    let open = server.given_run().await;
    let ids = async |query: &str| -> Vec<String> {
        let page = server.get(&format!("/runs?{query}")).await;
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("stuck=true").await, [stuck.to_string()]);
    assert_eq!(ids("phase=stuck").await, [stuck.to_string()]);
    assert_eq!(ids("phase=completed").await, [completed.to_string()]);
    assert_eq!(ids("open=true").await, [open.to_string(), stuck.to_string()]);
    assert_eq!(ids("open=true&phase=forward").await, [open.to_string()]);
    assert_eq!(ids("older_than_s=3600").await, [""; 0]);
    assert_eq!(ids("older_than_s=0").await.len(), 3);
    for wrong in ["phase=sideways", "stuck=true&phase=forward", "older_than_s=-1"] {
        let refused = server.ask("GET", &format!("/runs?{wrong}")).send().await.unwrap();
        assert_eq!(refused.status(), 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn statistics_count_and_measure_what_runs_and_steps_did() {
    let server = ApiServer::start().await;
    let (completed, _) = given_history(&server).await;
    let run = server.get(&format!("/runs/{completed}")).await;
    let attempts = &run["steps"][0]["attempts"];
    let took = seconds_between(&attempts[0]["started"], &attempts[2]["ended"]);
    let statistics = server.get("/runs/statistics").await;
    assert_eq!(statistics["definitions"].as_array().unwrap().len(), 1, "{statistics}");
    let of_launch = &statistics["definitions"][0];
    let counts = ["runs", "open", "stuck", "completed", "unwound"].map(|it| &of_launch[it]);
    assert_eq!(counts, [2, 0, 1, 1, 0].map(|it| json!(it)).each_ref());
    for figure in ["p50_s", "p90_s", "p99_s", "max_s"] {
        let whole = of_launch[figure].as_f64().unwrap();
        assert!((whole - run["duration_s"].as_f64().unwrap()).abs() < 1e-6, "{of_launch}");
        let step = of_launch["steps"][0][figure].as_f64().unwrap();
        assert!((step - took).abs() < 1e-6, "{of_launch}");
    }
    let step = &of_launch["steps"][0];
    assert_eq!(step["step"], "create_server");
    let fields = ["done", "skipped", "attempts", "retries", "failures", "undos", "undo_failures"];
    let counts = fields.map(|it| &step[it]);
    assert_eq!(counts, [1, 0, 4, 2, 3, 0, 2].map(|it| json!(it)).each_ref());
    assert_eq!(of_launch["steps"][1]["skipped"], 1);
    assert_eq!(of_launch["steps"][1]["p50_s"], json!(null));

    let none = server.get("/runs/statistics?since=2036-11-22T12:00:00Z").await;
    assert_eq!(none["definitions"], json!([]));
    let none = server.get("/runs/statistics?definition=other").await;
    assert_eq!(none["definitions"], json!([]));
    server.stop().await;
}
