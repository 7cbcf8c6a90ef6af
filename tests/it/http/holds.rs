//! An instance that somebody holds, as its holder and others meet it.

use super::tokens::make_token;
use crate::support::api_server::ApiServer;
use chrono::{SecondsFormat, TimeDelta};
use ocim_adapters::system::SystemClock;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::system::Clock;
use serde_json::{Value, json};
use uuid::Uuid;

const WHY: &str = "moving the database";

/// A time of so many days from now.
fn days(days: i64) -> String {
    (SystemClock.now() + TimeDelta::days(days)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Status and body of a request by that token; null where there is none.
async fn send(
    server: &ApiServer,
    token: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> (u16, Value) {
    let request = server.bare(method, &format!("/api/v1{path}")).bearer_auth(token);
    let answer = request.json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

#[tokio::test]
async fn nobody_but_the_holder_changes_a_held_instance_and_each_refusal_says_why() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let (ada, _) = make_token(&server, json!({ "name": "ada", "scope": "all" })).await;
    let (bob, _) = make_token(&server, json!({ "name": "bob", "scope": "all" })).await;
    let path = format!("/instances/{alpha}");
    // What stands in the log of a launch that Bob asked for before, and what it made.
    let (run, appserver) = (RunId(Uuid::from_u128(77)), AppserverId(Uuid::from_u128(78)));
    let id: InstanceId = alpha.parse().unwrap();
    server.start_run(run, &id.to_string()).await;
    let until = days(2);
    let hold = json!({ "reason": WHY, "until": until });
    let (status, answer) = send(&server, &ada, "POST", &format!("{path}/hold"), &hold).await;
    assert_eq!(status, 204, "{answer}");
    let shown = server.get(&path).await;
    assert_eq!(
        shown["hold"],
        json!({ "holder": "token:ada", "reason": WHY, "until": until }),
        "{shown}"
    );
    let status = server.get("/status").await;
    let notice = &status["notices"][0];
    assert_eq!((&notice["code"], &notice["id"]), (&json!("instance_held"), &json!(alpha)));
    let sentence = notice["sentence"].as_str().unwrap();
    assert!(sentence.contains("token:ada") && sentence.contains(WHY), "{sentence}");

    let reason = json!({ "reason": "a reason" });
    let dry = json!({ "reason": "a reason", "dry_run": true });
    let confirmed = json!({ "reason": "a reason", "confirm": "alpha.example.com" });
    let cancel = format!("/runs/{run}/cancel");
    let operate = format!("/runs/{run}/operate");
    let verb = json!({ "operation": { "verb": "abandon" }, "reason": "a reason" });
    let asks = [
        ("PATCH", path.clone(), json!({ "name": "Beta" })),
        ("POST", format!("{path}/settings/restore"), json!({ "version": 1, "reason": "a" })),
        ("POST", format!("{path}/appservers"), json!({})),
        ("POST", format!("{path}/appservers/terminate"), json!({})),
        ("POST", format!("{path}/archive"), reason.clone()),
        ("POST", format!("{path}/archive"), dry),
        ("POST", format!("{path}/delete"), confirmed),
        ("POST", format!("{path}/hold"), json!({ "reason": "mine", "until": days(1) })),
        ("POST", format!("{path}/release"), json!({})),
        ("POST", format!("{path}/clean_up"), json!({ "mode": "off", "reason": "a" })),
        ("POST", cancel, reason.clone()),
        ("POST", operate, verb),
        (
            "POST",
            "/resources/resolve".to_owned(),
            json!({ "id": format!("{alpha}/dns_name/a.example.com"), "reason": "a" }),
        ),
        (
            "POST",
            "/resources/adopt".to_owned(),
            json!({ "id": "dns_name/dns/a.example.com", "instance": alpha, "reason": "a" }),
        ),
    ];
    for (method, path, body) in &asks {
        let (status, problem) = send(&server, &bob, method, path, body).await;
        assert_eq!(status, 409, "{method} {path}: {problem}");
        assert_eq!(problem["type"], "/problems/instance_held", "{method} {path}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        for part in ["token:ada", WHY, &until[..10]] {
            assert!(detail.contains(part), "{method} {path}: {detail}");
        }
    }
    // Another instance is nobody's, and neither is what there is not.
    let beta = server.given_instance("beta").await;
    let name = json!({ "name": "Beta" });
    let (status, _) = send(&server, &bob, "PATCH", &format!("/instances/{beta}"), &name).await;
    assert_eq!(status, 200);
    let nobody = format!("/appservers/{appserver}/terminate");
    let (status, problem) = send(&server, &bob, "POST", &nobody, &json!({})).await;
    assert_eq!(status, 404, "{problem}");

    // The holder goes on.
    let (status, answer) = send(&server, &ada, "PATCH", &path, &json!({ "name": "Beta" })).await;
    assert_eq!(status, 200, "{answer}");
    let launch = format!("{path}/appservers");
    assert_eq!(send(&server, &ada, "POST", &launch, &json!({})).await.0, 202);
    assert_eq!(send(&server, &ada, "POST", &format!("{path}/release"), &json!({})).await.0, 204);
    assert_eq!(server.get(&path).await["hold"], Value::Null);
    assert_eq!(server.get("/status").await["notices"], json!([]));
    assert_eq!(send(&server, &bob, "PATCH", &path, &json!({ "name": "Gamma" })).await.0, 200);
    let told = server.get(&format!("{path}/timeline")).await.to_string();
    for sentence in ["ada holds", "so that nobody else changes it: moving the database"] {
        assert!(told.contains(sentence), "{told}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_hold_of_somebody_else_is_broken_by_force_and_a_reason_and_lies_within_bounds() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    let (ada, _) = make_token(&server, json!({ "name": "ada", "scope": "all" })).await;
    let (bob, _) = make_token(&server, json!({ "name": "bob", "scope": "all" })).await;
    let hold = format!("/instances/{alpha}/hold");
    let release = format!("/instances/{alpha}/release");
    for (body, field) in [
        (json!({ "reason": WHY, "until": days(-1) }), "until"),
        (json!({ "reason": WHY, "until": days(93) }), "until"),
        (json!({ "reason": WHY, "until": "+99999-01-01T00:00:00Z" }), "until"),
        (json!({ "reason": "  ", "until": days(1) }), "reason"),
        (json!({ "reason": "a\u{0}b", "until": days(1) }), "reason"),
    ] {
        let (status, problem) = send(&server, &ada, "POST", &hold, &body).await;
        assert!([400, 422].contains(&status), "{body}: {problem}");
        assert!(problem.to_string().contains(field), "{body}: {problem}");
    }
    let (status, problem) = send(&server, &ada, "POST", &release, &json!({})).await;
    assert_eq!((status, &problem["type"]), (409, &json!("/problems/command_rejected")));

    let body = json!({ "reason": WHY, "until": days(1) });
    assert_eq!(send(&server, &ada, "POST", &hold, &body).await.0, 204);
    let longer = json!({ "reason": WHY, "until": days(3) });
    assert_eq!(send(&server, &ada, "POST", &hold, &longer).await.0, 204, "the holder, anew");
    let (status, problem) = send(&server, &bob, "POST", &release, &json!({ "force": true })).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("reason")), "{problem}");
    let forced = json!({ "force": true, "reason": "she is away, and the exam is today" });
    assert_eq!(send(&server, &bob, "POST", &release, &forced).await.0, 204);
    let told = server.get(&format!("/instances/{alpha}/timeline")).await.to_string();
    assert!(told.contains("which ada held: she is away"), "{told}");
    server.stop().await;
}
