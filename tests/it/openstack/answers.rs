//! Answers that can't be had of an OpenStack at will: one in between spoils those of the real one.

use super::{open_through, spec, start_double, use_stack};
use crate::support::http_double::{Certificate, HttpDouble};
use chrono::{DateTime, TimeDelta};
use ocim_adapters::cloud::openstack::{OpenStackAccess, OpenStackCloud};
use ocim_adapters::cloud::{Cloud, Machine};
use ocim_domain::port_error::{Blame, Class};
use ocim_domain::saga::ErrorCode;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The next calls like that are answered so.
async fn spoil(double: &mut HttpDouble, verb: &str, path: &str, how: &Value) {
    let mut order = json!({"verb": verb, "path": path});
    order.as_object_mut().unwrap().extend(how.as_object().unwrap().clone());
    double.order(&order.to_string()).await;
}

fn answer(status: u16, headers: &Value, times: u32) -> Value {
    let body = json!({"overLimit": {"code": status, "message": "slow down"}}).to_string();
    json!({"do": "answer", "status": status, "headers": headers, "body": body, "times": times})
}

async fn count(double: &mut HttpDouble, request: &str) -> usize {
    let asked = double.order(r#"{"do": "requests"}"#).await;
    asked.as_array().unwrap().iter().filter(|it| it.as_str().unwrap().starts_with(request)).count()
}

const SERVERS: &str = "/servers/detail";

#[tokio::test]
async fn a_token_that_is_refused_is_renewed() {
    let stack = use_stack().await;
    let mut double = start_double().await;
    let cloud = open_through(&stack, &double, "token");
    cloud.list_machines().await.unwrap();
    assert_eq!(count(&mut double, "POST /v3/auth/tokens").await, 1);
    cloud.list_machines().await.unwrap();
    assert_eq!(count(&mut double, "POST /v3/auth/tokens").await, 0, "it is kept");
    spoil(&mut double, "GET", SERVERS, &answer(401, &json!({}), 1)).await;
    cloud.list_machines().await.unwrap();
    assert_eq!(count(&mut double, "POST /v3/auth/tokens").await, 1);
    // In the middle of work that is done once, too.
    spoil(&mut double, "POST", "/servers$", &answer(401, &json!({}), 1)).await;
    let made = cloud.create_machine(&spec("token")).await.unwrap();
    assert_eq!(count(&mut double, "POST /v3/auth/tokens").await, 1);
    super::remove(&cloud, &made.id).await;
    spoil(&mut double, "GET", SERVERS, &answer(401, &json!({}), 2)).await;
    cloud.list_machines().await.unwrap();
    spoil(&mut double, "GET", SERVERS, &answer(401, &json!({}), 3)).await;
    let error = cloud.list_machines().await.unwrap_err();
    assert_eq!((error.class, error.code), (Class::Permanent, Some(ErrorCode::CloudRefused)));
}

#[tokio::test]
async fn whoever_asks_for_patience_gets_it() {
    let stack = use_stack().await;
    let mut double = start_double().await;
    let cloud = open_through(&stack, &double, "patience");
    for status in [429, 413, 503] {
        let asked = json!({"Retry-After": "1"});
        spoil(&mut double, "GET", SERVERS, &answer(status, &asked, 2)).await;
        let begun = Instant::now();
        cloud.list_machines().await.unwrap();
        assert!(begun.elapsed() >= Duration::from_secs(2), "{status}");
        // Who asks for more than a call may take, is asked again later by whoever called.
        let asked = json!({"Retry-After": "120"});
        spoil(&mut double, "GET", SERVERS, &answer(status, &asked, 1)).await;
        let error = cloud.list_machines().await.unwrap_err();
        assert_eq!(error.class, Class::RateLimited(Duration::from_secs(120)));
    }
    // What is done once is asked for again where it was not done.
    spoil(&mut double, "POST", "/servers$", &answer(429, &json!({"Retry-After": "1"}), 1)).await;
    let made = cloud.create_machine(&spec("patience")).await.unwrap();
    assert_eq!(cloud.list_machines().await.unwrap().len(), 1);
    super::remove(&cloud, &made.id).await;
}

#[tokio::test]
async fn a_question_is_asked_again_and_an_order_is_not() {
    let stack = use_stack().await;
    let mut double = start_double().await;
    let cloud = open_through(&stack, &double, "again");
    for how in [answer(502, &json!({}), 3), json!({"do": "drop", "times": 3})] {
        spoil(&mut double, "GET", SERVERS, &how).await;
        cloud.list_machines().await.unwrap();
        assert_eq!(count(&mut double, &format!("GET /v2.1{SERVERS}")).await, 4, "{how}");
    }
    spoil(&mut double, "GET", SERVERS, &json!({"do": "garble"})).await;
    let error = cloud.list_machines().await.unwrap_err();
    assert_eq!((error.class, error.blame), (Class::Transient, Blame::Provider));
    for how in [answer(500, &json!({}), 1), answer(503, &json!({"Retry-After": "1"}), 1)] {
        spoil(&mut double, "POST", "/servers$", &how).await;
        let error = cloud.create_machine(&spec("again")).await.unwrap_err();
        assert_eq!((error.class, error.blame), (Class::Ambiguous, Blame::Provider), "{how}");
        assert_eq!(count(&mut double, "POST /v2.1/servers").await, 1, "{how}");
    }
    assert!(cloud.list_machines().await.unwrap().is_empty());
}

/// Waits until so many machines are listed: Nova does not show a new one for a moment, while its cell takes it over.
async fn await_listed(cloud: &OpenStackCloud, count: usize) -> Vec<Machine> {
    let begun = Instant::now();
    loop {
        let listed = cloud.list_machines().await.unwrap();
        if listed.len() == count {
            return listed;
        }
        assert!(begun.elapsed() < super::PATIENCE, "{listed:?}");
        tokio::time::sleep(super::POLL).await;
    }
}

#[tokio::test]
async fn a_server_whose_answer_was_lost_is_found_again_and_a_second_one_shows_in_the_list() {
    let stack = use_stack().await;
    let mut double = start_double().await;
    let test = "lost";
    let (cloud, spec) = (open_through(&stack, &double, test), spec(test));
    spoil(&mut double, "POST", "/servers$", &json!({"do": "cut"})).await;
    let error = cloud.create_machine(&spec).await.unwrap_err();
    assert_eq!(error.class, Class::Ambiguous, "{}", error.message);
    let found = await_listed(&cloud, 1).await.pop().unwrap();
    assert_eq!(found.key, Some(spec.key));
    assert_eq!(cloud.create_machine(&spec).await.unwrap().id, found.id);
    assert_eq!(cloud.list_machines().await.unwrap().len(), 1);
    // A request that was held up on its way finds nothing of the other, as that one did not.
    let body = json!({"servers": []}).to_string();
    let blind = json!({"do": "answer", "status": 200, "body": body});
    spoil(&mut double, "GET", SERVERS, &blind).await;
    let late = cloud.create_machine(&spec).await.unwrap();
    assert_ne!(late.id, found.id);
    let mut listed = await_listed(&cloud, 2).await;
    listed.sort_by_key(|machine| machine.id != found.id);
    let keys: Vec<_> = listed.iter().map(|machine| (machine.id.clone(), machine.key)).collect();
    assert_eq!(keys, [(found.id.clone(), Some(spec.key)), (late.id.clone(), Some(spec.key))]);
    let first = cloud.find_machine(spec.key).await.unwrap().unwrap();
    for id in [&late.id, &found.id] {
        super::remove(&cloud, id).await;
    }
    assert!([&found.id, &late.id].contains(&&first.id));
}

#[tokio::test]
async fn a_server_that_can_not_be_deleted_is_deleted_by_force() {
    let stack = use_stack().await;
    let mut double = start_double().await;
    let test = "force";
    let cloud = open_through(&stack, &double, test);
    let made = cloud.create_machine(&spec(test)).await.unwrap();
    super::await_power(&cloud, &made.id, ocim_adapters::cloud::Power::Active).await;
    let busy = json!({"do": "answer", "status": 409, "body":
        r#"{"conflictingRequest": {"code": 409, "message": "it is in the middle of something"}}"#});
    spoil(&mut double, "DELETE", "/servers/", &busy).await;
    count(&mut double, "").await;
    cloud.delete_machine(&made.id).await.unwrap();
    // It was stopped before.
    assert!(count(&mut double, &format!("POST /v2.1/servers/{}/action", made.id)).await >= 2);
    super::await_machine(&cloud, &made.id, |machine| machine.is_none()).await;
}

#[tokio::test]
async fn what_does_not_come_to_its_end_is_asked_for_with_more_force() {
    let stack = use_stack().await;
    let mut double = start_double().await;
    let cloud = open_through(&stack, &double, "slow");
    let made = cloud.create_machine(&spec("slow")).await.unwrap();
    super::await_power(&cloud, &made.id, ocim_adapters::cloud::Power::Active).await;
    let server = format!("/servers/{}", made.id);
    let shown = |state: Value, seconds: i64| {
        let mut server = json!({"id": made.id, "updated": "2026-01-01T00:00:00Z"});
        server.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap();
        let date = (now + TimeDelta::seconds(seconds)).to_rfc2822();
        let body = json!({ "server": server }).to_string();
        json!({"do": "answer", "status": 200, "headers": {"Date": date}, "body": body})
    };
    let done = json!({"do": "answer", "status": 202});
    let restarts = json!({"status": "REBOOT"});
    let goes = json!({"status": "ACTIVE", "OS-EXT-STS:task_state": "deleting"});
    let reboot = r#"{"reboot":{"type":"HARD"}}"#;
    for (state, seconds, asked) in [
        (&restarts, 179, None),
        (&restarts, 180, Some(reboot)),
        (&goes, 59, None),
        (&goes, 60, Some(r#"{"forceDelete":null}"#)),
        (&json!({"status": "SOFT_DELETED"}), 1, Some(r#"{"forceDelete":null}"#)),
    ] {
        spoil(&mut double, "GET", &format!("{server}$"), &shown(state.clone(), seconds)).await;
        if asked.is_some() {
            spoil(&mut double, "POST", "/action$", &done).await;
        }
        count(&mut double, "").await;
        match state == &restarts {
            true => cloud.reboot_machine(&made.id).await.unwrap(),
            false => cloud.delete_machine(&made.id).await.unwrap(),
        }
        let actions = double.order(r#"{"do": "requests"}"#).await;
        let actions = actions.as_array().unwrap().iter().filter_map(|it| {
            let (_, body) = it.as_str()?.split_once("/action ")?;
            Some(body.to_owned())
        });
        assert_eq!(actions.collect::<Vec<_>>(), Vec::from_iter(asked), "{state} {seconds}");
    }
    super::remove(&cloud, &made.id).await;
}

#[tokio::test]
async fn a_keystone_that_speaks_tls_is_believed_by_its_authority_alone() {
    let stack = use_stack().await;
    let certificate = Certificate::make();
    let mut double = HttpDouble::start("openstack", "", Some(&certificate)).await;
    let access = super::access(&stack, Some(&double));
    let auth_url = access.auth_url.replace("http://", "https://");
    let access = OpenStackAccess { auth_url, ..access };
    let open = |access: &OpenStackAccess| {
        OpenStackCloud::new(super::config(access.clone(), "tls")).unwrap()
    };
    let error = open(&access).list_machines().await.unwrap_err();
    assert!(error.message.contains("certificate"), "{error}");
    assert_eq!(count(&mut double, "").await, 0, "who was not believed heard nothing");
    let by_authority =
        OpenStackAccess { ca_file: Some(certificate.path.clone()), ..access.clone() };
    assert!(open(&by_authority).list_machines().await.unwrap().is_empty());
    let unseen = OpenStackAccess { verify: false, ..access };
    assert!(open(&unseen).list_machines().await.unwrap().is_empty());
    assert!(count(&mut double, "POST /v3/auth/tokens").await == 2);
}
