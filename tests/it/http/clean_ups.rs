//! What becomes of machines that serve nobody, and the rule of one instance.

use crate::support::api_server::ApiServer;
use chrono::{DateTime, TimeDelta, Utc};
use ocim::app::Caller;
use ocim_domain::appserver::{self, Appserver, Launched};
use ocim_domain::ids::{AppserverId, InstanceId, RunId, ServerId};
use ocim_domain::instance::{Instance, LaunchOutcome};
use ocim_domain::protected::Protected;
use serde_json::{Value, json};
use uuid::Uuid;

/// An Appserver of the instance that runs, as its launch records it; it is in traffic if it `serves`.
pub(crate) async fn given_running(server: &ApiServer, instance: &str, serves: bool) -> AppserverId {
    let asked = server.ask("POST", &format!("/instances/{instance}/appservers"));
    let asked: Value = asked.json(&json!({})).send().await.unwrap().json().await.unwrap();
    let (journal, meta) = (server.app.journal(), Caller::new("local:test").metadata());
    let id: AppserverId = asked["appserver"].as_str().unwrap().parse().unwrap();
    let run: RunId = asked["run"].as_str().unwrap().parse().unwrap();
    let instance: InstanceId = instance.parse().unwrap();
    let loaded = journal.load::<Instance>(&instance.stream()).await.unwrap().state;
    let nothing = || Protected::new(instance.to_string(), "{}");
    let launched = Launched {
        instance,
        number: u32::try_from(asked["number"].as_u64().unwrap()).unwrap(),
        server: ServerId(Uuid::new_v4()),
        run,
        settings: Box::new(loaded.present().unwrap().settings.clone()),
        settings_version: 1,
        variables: nothing(),
        provenance: nothing(),
        users_variables: nothing(),
        common_variables: nothing(),
        hostname: "alpha-1".to_owned(),
        configuration_commit: None,
    };
    let mut commands = vec![
        appserver::Command::Launch(Box::new(launched)),
        appserver::Command::StartWaiting,
        appserver::Command::StartConfiguring,
        appserver::Command::StartRunning,
    ];
    commands.extend(serves.then_some(appserver::Command::Activate));
    for command in commands {
        journal.execute::<Appserver>(&id.stream(), &meta, command).await.unwrap();
    }
    let settle = ocim_domain::instance::Command::SettleLaunch {
        appserver: id,
        outcome: LaunchOutcome::Running,
        next: (id, run),
    };
    journal.execute::<Instance>(&instance.stream(), &meta, settle).await.unwrap();
    server.catch_up().await;
    id
}

async fn change(server: &ApiServer, instance: &str, body: &Value) -> (u16, Value) {
    let asked = server.ask("POST", &format!("/instances/{instance}/clean_up"));
    let answer = asked.json(body).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap_or_default())
}

fn time(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_becomes_of_each_machine_is_told_and_follows_the_instances_rule() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    server.given_instance("beta").await;
    assert_eq!(server.get("/clean_up").await["items"], json!([]), "nobody has a machine");
    let first = given_running(&server, &alpha, false).await;
    let serving = given_running(&server, &alpha, true).await;
    let newest = given_running(&server, &alpha, false).await;

    let plan = server.get("/clean_up").await;
    let [plan] = &plan["items"].as_array().unwrap()[..] else { panic!("{plan}") };
    assert_eq!((&plan["instance"], &plan["days"]), (&json!(alpha), &json!(2)));
    assert_eq!(plan["instance_name"], "alpha.example.com");
    let told = |plan: &Value| -> Vec<_> {
        let all = plan["appservers"].as_array().unwrap();
        all.iter().map(|it| (it["id"].clone(), it["why"].clone(), it["goes"].clone())).collect()
    };
    let whys = |whys: [&str; 3]| {
        let all = [first, serving, newest].into_iter().zip(whys);
        all.map(|(id, why)| (json!(id), json!(why), json!(false))).collect::<Vec<_>>()
    };
    assert_eq!(told(plan), whys(["fallback", "serves", "release_candidate"]));
    // The list and the page of each say the same, and until when.
    let shown = server.get(&format!("/appservers/{first}")).await;
    let clean_up = &shown["clean_up"];
    assert_eq!(clean_up["told"], plan["appservers"][0]["told"]);
    let since = time(&server.get(&format!("/appservers/{serving}")).await["last_activated"]);
    assert_eq!(time(&clean_up["until"]), since + TimeDelta::days(2));
    let until = (since + TimeDelta::days(2)).format("kept as fallback until %A %F %H:%M UTC");
    let sentence = clean_up["told"].as_str().unwrap();
    assert!(sentence.starts_with(&until.to_string()), "{sentence}");
    assert!(sentence.contains("because AppServer 2 serves only since"), "{sentence}");
    let listed = server.get("/appservers").await;
    let listed: Vec<_> =
        listed["items"].as_array().unwrap().iter().rev().map(|it| &it["clean_up"]["why"]).collect();
    assert_eq!(listed, ["fallback", "serves", "release_candidate"]);
    assert_eq!(
        server.get(&format!("/instances/{alpha}")).await["clean_up"],
        json!({ "days": 2, "is_own": false })
    );

    let reason = "their exam is in a week";
    let days = json!({ "mode": "days", "days": 9, "reason": reason });
    assert_eq!(change(&server, &alpha, &days).await.0, 204);
    let shown = server.get(&format!("/appservers/{first}")).await;
    assert_eq!(time(&shown["clean_up"]["until"]), since + TimeDelta::days(9));
    let own = json!({ "days": 9, "is_own": true });
    assert_eq!(server.get(&format!("/instances/{alpha}")).await["clean_up"], own);
    let off = json!({ "mode": "off", "reason": reason });
    assert_eq!(change(&server, &alpha, &off).await.0, 204);
    let plan = server.get("/clean_up").await;
    assert_eq!(told(&plan["items"][0]), whys(["off", "serves", "off"]));
    assert_eq!(plan["items"][0]["days"], Value::Null);
    let default = json!({ "mode": "default", "reason": reason });
    assert_eq!(change(&server, &alpha, &default).await.0, 204);
    let plan = server.get("/clean_up").await;
    assert_eq!(told(&plan["items"][0]), whys(["fallback", "serves", "release_candidate"]));
    let timeline = server.get(&format!("/instances/{alpha}/timeline")).await.to_string();
    for sentence in ["go after 9 days", "stay, however old", "when those of all other sites do"] {
        assert!(timeline.contains(sentence) && timeline.contains(reason), "{timeline}");
    }
    // Nothing was done by all that.
    let asked = server.get("/events?kind=appserver.clean_up_requested").await;
    assert_eq!(asked["items"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_rule_that_is_none_is_refused_by_its_field_and_changes_nothing() {
    let server = ApiServer::start().await;
    let alpha = server.given_instance("alpha").await;
    for (body, field) in [
        (json!({ "mode": "days", "days": 0, "reason": "a" }), "days"),
        (json!({ "mode": "days", "days": 366, "reason": "a" }), "days"),
        (json!({ "mode": "days", "days": 70_000, "reason": "a" }), "days"),
        (json!({ "mode": "days", "days": -1, "reason": "a" }), "days"),
        (json!({ "mode": "days", "reason": "a" }), "days"),
        (json!({ "mode": "off", "days": 3, "reason": "a" }), "days"),
        (json!({ "mode": "never", "reason": "a" }), "mode"),
        (json!({ "reason": "a" }), "mode"),
        (json!({ "mode": "off" }), "reason"),
        (json!({ "mode": "off", "reason": " " }), "reason"),
        (json!({ "mode": "off", "reason": "a\u{0}b" }), "reason"),
        (json!({ "mode": "off", "reason": "a", "hours": 3 }), "hours"),
    ] {
        let (status, problem) = change(&server, &alpha, &body).await;
        assert!([400, 422].contains(&status), "{body}: {problem}");
        assert!(problem.to_string().contains(field), "{body}: {problem}");
    }
    let off = json!({ "mode": "off", "reason": "a" });
    let nobody = InstanceId(Uuid::from_u128(7)).to_string();
    assert_eq!(change(&server, &nobody, &off).await.0, 404);
    let rule = json!({ "days": 2, "is_own": false });
    assert_eq!(server.get(&format!("/instances/{alpha}")).await["clean_up"], rule);
    let lost = server.ask("GET", "/clean_up?after=nonsense").send().await.unwrap();
    assert_eq!(lost.status().as_u16(), 400);
    server.stop().await;
}
