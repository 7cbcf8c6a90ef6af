//! Timers and mails over the API: listed, had done now, and refused by a name that there is not.

use crate::support::api_server::ApiServer;
use ocim_domain::event::{DomainEvent, Metadata, NewEvent};
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::mail::{About, Event};
use ocim_domain::timer::Job;
use ocim_engine::store::Expected;
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn what_comes_by_itself_is_listed_and_had_done_now() {
    let server = ApiServer::start().await;
    let find = async |name: &str| {
        let all = server.get("/timers").await["items"].clone();
        let items = all.as_array().unwrap().clone();
        items.into_iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("{all}"))
    };
    for job in Job::ALL {
        let before = find(job.word()).await;
        assert_eq!((&before["is_runnable"], &before["run"]), (&json!(true), &Value::Null));
        assert!(before["next"].is_string(), "{before}");
        let path = format!("/timers/{}/run", job.word());
        let asked = server.ask("POST", &path).json(&json!({ "reason": "the disk is full" }));
        let answer = asked.send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let started: Value = answer.json().await.unwrap();
        let after = find(job.word()).await;
        assert_eq!((&after["run"], &after["outcome"]), (&started["run"], &json!("under way")));
    }
    for name in ["nothing", "..%2Ftokens", "%00", "delete_old_logs%20"] {
        let asked = server.ask("POST", &format!("/timers/{name}/run")).json(&json!({}));
        let status = asked.send().await.unwrap().status();
        assert!([400, 404, 422].contains(&status.as_u16()), "{name}: {status}");
    }
    server.stop().await;
}

#[tokio::test]
async fn mails_are_listed_by_state_and_instance_the_newest_first() {
    let server = ApiServer::start().await;
    let instance = InstanceId(Uuid::from_u128(1));
    let mut ids = vec![];
    for number in 1..=3 {
        let about = About::LaunchFailed {
            instance: if number == 3 { InstanceId(Uuid::from_u128(9)) } else { instance },
            appserver: AppserverId(Uuid::from_u128(number)),
            launch: RunId(Uuid::from_u128(number)),
        };
        let (id, run) = (about.mail_id(), about.mail_run());
        let mut events = vec![Event::Requested { about, run, recipients: 2 }];
        events.extend((number == 1).then_some(Event::Delivered { refused: 1 }));
        let events = events.iter().enumerate().map(|(index, event)| {
            let (kind, schema, data) = event.encode().unwrap();
            let id = Uuid::from_u128(number * 100 + index as u128);
            NewEvent { id, kind, schema, data, meta: Metadata::by("system") }
        });
        let store = server.app.journal().store();
        store.append(&id.stream(), Expected::NoStream, events.collect()).await.unwrap();
        ids.insert(0, id.to_string());
    }
    server.catch_up().await;
    let listed = async |query: &str| {
        let page = server.get(&format!("/mails{query}")).await;
        let items = page["items"].as_array().unwrap().clone();
        items.into_iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ids);
    assert_eq!(listed("?state=waiting").await, ids[..2]);
    assert_eq!(listed("?state=delivered").await, ids[2..]);
    assert_eq!(listed(&format!("?instance={instance}")).await, ids[1..]);
    let first = server.get("/mails?limit=1").await;
    assert_eq!(listed(&format!("?after={}", first["next"].as_str().unwrap())).await, ids[1..]);
    assert_eq!(server.get("/mails?state=delivered").await["items"][0]["refused"], 1);
    server.stop().await;
}
