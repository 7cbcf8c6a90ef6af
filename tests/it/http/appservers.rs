//! Appservers that are asked for and not made yet, as a client of the API meets them.

use crate::support::api_server::ApiServer;
use serde_json::json;

#[tokio::test]
async fn an_appserver_that_is_shown_as_new_is_found_by_every_order_with_its_launch() {
    let server = ApiServer::start().await;
    let instance = server.given_instance("alpha").await;
    let launch = server.ask("POST", &format!("/instances/{instance}/appservers"));
    let launched = launch.json(&json!({})).send().await.unwrap();
    assert_eq!(launched.status(), 202);
    let launched: serde_json::Value = launched.json().await.unwrap();
    let (appserver, run) = (&launched["appserver"], launched["run"].as_str().unwrap());
    let path = format!("/appservers/{}", appserver.as_str().unwrap());
    assert_eq!(server.get(&path).await["status"], "new", "nobody drives runs here");

    let reason = json!({ "reason": "not needed" });
    let until = json!({ "reason": "to look at it", "until": "2036-11-22T12:00:00Z" });
    for (order, body) in [
        ("activate", &json!({})),
        ("deactivate", &json!({})),
        ("terminate", &json!({})),
        ("terminate", &json!({ "force": true, "reason": "at once" })),
        ("keep", &until),
        ("clean_up", &reason),
    ] {
        let answer = server.ask("POST", &format!("{path}/{order}")).json(body);
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.status(), 409, "{order}");
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(problem["run"], run, "{order}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("ocim run cancel {run}")), "{order}: {detail}");
    }
    // As it says: the launch can be cancelled.
    let cancel = server.ask("POST", &format!("/runs/{run}/cancel")).json(&reason);
    // Nobody has taken the run up here, so that it has no log of its own yet.
    assert!([200, 404].contains(&cancel.send().await.unwrap().status().as_u16()));
    let nobody = "/appservers/apps_00000000-0000-7000-8000-000000000009/terminate";
    assert_eq!(server.ask("POST", nobody).json(&json!({})).send().await.unwrap().status(), 404);
    server.stop().await;
}
