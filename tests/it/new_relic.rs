//! New Relic's API, against a service that answers as its manual says (`tests/new_relic`): what is asked of it,
//! and what its refusals and silences mean.

use crate::support::http_double::{Certificate, HttpDouble};
use ocim_adapters::monitoring::new_relic::{NewRelic, NewRelicAccess};
use ocim_adapters::monitoring::{Monitor, Monitoring};
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::saga::ErrorCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const KEY: &str = "nr-admin-key";
const URL: &str = "https://alpha.example.com/";

/// A service that takes that key.
async fn start_for(key: &str, certificate: Option<&Certificate>) -> HttpDouble {
    HttpDouble::start("new_relic", key, certificate).await
}

async fn start() -> HttpDouble {
    start_for(KEY, None).await
}

impl HttpDouble {
    fn access(&self) -> NewRelicAccess {
        NewRelicAccess {
            url: format!("http://127.0.0.1:{}/synthetics/api/v1", self.port),
            key: KEY.to_owned(),
            ca_file: None,
        }
    }

    fn client(&self) -> NewRelic {
        NewRelic::new(&self.access()).unwrap()
    }
}

const NAME: &str = "https://alpha.example.com/ (Ocim 0a4f6f5d2e11)";

fn shown(id: &str, is_muted: bool) -> Monitor {
    Monitor { id: id.to_owned(), name: NAME.to_owned(), url: URL.to_owned(), is_muted }
}

#[tokio::test]
async fn a_monitor_is_made_found_muted_told_whom_to_write_to_and_removed() {
    let mut service = start().await;
    let client = service.client();
    let id = client.create_monitor(NAME, URL, false).await.unwrap();
    let is = shown(&id, false);
    assert_eq!(client.read_monitor(&id).await.unwrap().as_ref(), Some(&is));
    assert_eq!(client.find_monitors(&[NAME.to_owned()]).await.unwrap(), [is]);
    client.mute_monitor(&id, true).await.unwrap();
    assert_eq!(client.read_monitor(&id).await.unwrap(), Some(shown(&id, true)));
    let emails = ["a@example.com", "b@example.com"].map(str::to_owned);
    assert_eq!(client.list_recipients(&id).await.unwrap(), Some(vec![]));
    client.add_recipients(&id, &emails).await.unwrap();
    assert_eq!(client.list_recipients(&id).await.unwrap(), Some(emails.to_vec()));
    client.remove_monitor(&id).await.unwrap();
    client.remove_monitor(&id).await.unwrap();
    assert_eq!(client.read_monitor(&id).await.unwrap(), None);
    assert_eq!(client.list_recipients(&id).await.unwrap(), None);
    for gone in [
        client.mute_monitor(&id, true).await.unwrap_err(),
        client.add_recipients(&id, &emails).await.unwrap_err(),
    ] {
        assert_eq!((gone.class, gone.blame), (Class::Conflict, Blame::Caller));
    }
    // Whatever an id is made of, it leads nowhere else.
    assert_eq!(client.read_monitor("../monitors?x#y").await.unwrap(), None);
    let last = service.requests().await.pop().unwrap();
    assert_eq!(last["path"], "/monitors/..%2Fmonitors%3Fx%23y");
}

#[tokio::test]
async fn what_somebody_switched_off_is_neither_muted_nor_switched_on() {
    let mut service = start().await;
    let client = service.client();
    let id = client.create_monitor(NAME, URL, true).await.unwrap();
    service.order(&format!("set {id} DISABLED")).await;
    for is_muted in [true, false] {
        client.mute_monitor(&id, is_muted).await.unwrap();
    }
    let requests = service.requests().await;
    assert!(requests.iter().all(|request| request["verb"] != "PUT"), "{requests:?}");
}

#[tokio::test]
async fn one_monitor_is_found_among_hundreds_and_only_by_its_own_name() {
    let mut service = start().await;
    for number in 0..230 {
        service.order(&format!("add {URL} other-{number}")).await;
    }
    let client = service.client();
    let id = client.create_monitor(NAME, URL, false).await.unwrap();
    let found = client.find_monitors(&[NAME.to_owned(), "nobody".to_owned()]).await.unwrap();
    assert_eq!(found, [shown(&id, false)]);
    assert_eq!(service.requests().await.len(), 4, "a page has a hundred");
    // Who gives a hundred and no more can't say that there is no other.
    service.order("pages no").await;
    let error = client.find_monitors(&[NAME.to_owned()]).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MonitoringRefused), "{error}");
}

#[tokio::test]
async fn a_service_without_monitors_is_not_one_that_has_none() {
    let service = start().await;
    let mut elsewhere = service.access();
    elsewhere.url.push_str("/elsewhere");
    let elsewhere = NewRelic::new(&elsewhere).unwrap();
    let names = [NAME.to_owned()];
    for error in [
        elsewhere.find_monitors(&names).await.unwrap_err(),
        elsewhere.create_monitor(NAME, URL, false).await.unwrap_err(),
    ] {
        assert!(error.message.contains("OCIM_NEWRELIC_URL"), "{error}");
    }
}

#[tokio::test]
async fn no_error_tells_the_addresses_of_people() {
    let mut service = start().await;
    let client = service.client();
    service.order("status 400 bad: secret@example.com").await;
    let told = ["secret@example.com".to_owned()];
    let error = client.add_recipients("1", &told).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MonitoringRefused));
    assert!(!error.message.contains("secret"), "{error}");
}

fn recorded() -> Vec<(String, Value)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/instances");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    files.sort();
    let read = |path: PathBuf| {
        let vector: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        (path.display().to_string(), vector["outputs"]["activation"]["newrelic_calls"].clone())
    };
    files.into_iter().map(read).collect()
}

/// The original's requests were recorded by their monitors' ids there; here they have others.
#[tokio::test]
async fn monitors_are_made_and_write_to_people_as_the_originals_did() {
    let mut compared = 0;
    for (file, calls) in recorded() {
        let calls = calls.as_array().unwrap();
        if calls.is_empty() {
            continue;
        }
        compared += 1;
        let key = calls[0]["headers"]["X-Api-Key"].as_str().unwrap();
        let mut service = start_for(key, None).await;
        let access = NewRelicAccess { key: key.to_owned(), ..service.access() };
        let client = NewRelic::new(&access).unwrap();
        let of = |call: &Value| (call["verb"].clone(), call["path"].as_str().unwrap().to_owned());
        let (mut made, mut ids) = (vec![], BTreeMap::new());
        for call in calls.iter().filter(|call| of(call) == (json!("POST"), "/monitors".into())) {
            let url = call["body"]["uri"].as_str().unwrap();
            // The original called them by their pages; here their names tell the instance, too.
            made.push(client.create_monitor(url, url, false).await.unwrap());
        }
        for call in calls {
            let (verb, path) = of(call);
            let Some(theirs) = path.strip_suffix("/notifications") else { continue };
            let count = ids.len();
            let id = ids.entry(theirs.to_owned()).or_insert_with(|| made[count].clone());
            if verb == "GET" {
                client.list_recipients(id).await.unwrap().unwrap();
                continue;
            }
            let emails: Vec<String> =
                serde_json::from_value(call["body"]["emails"].clone()).unwrap();
            client.add_recipients(id, &emails).await.unwrap();
        }
        let plain = |call: &Value, path: String| {
            let body: BTreeMap<String, Value> =
                serde_json::from_value(call["body"].clone()).unwrap_or_default();
            format!("{:?}", (&call["verb"], path, body, &call["headers"]))
        };
        let mut theirs: Vec<_> = calls
            .iter()
            .map(|call| {
                let (_, mut path) = of(call);
                for (theirs, ours) in &ids {
                    path = path.replace(theirs, &format!("/monitors/{ours}"));
                }
                plain(call, path)
            })
            .collect();
        let asked = service.requests().await;
        let mut ours: Vec<_> = asked.iter().map(|call| plain(call, of(call).1)).collect();
        theirs.sort();
        ours.sort();
        assert_eq!(ours, theirs, "{file}");
    }
    assert!(compared > 0, "no recorded instance was monitored");
}

#[tokio::test]
async fn each_answer_means_what_it_says() {
    let mut service = start().await;
    let client = service.client();
    let mut ask = async |status: u16, body: &str| {
        service.order(&format!("status {status} {body}")).await;
        client.read_monitor("1").await
    };
    let is = |answer: Result<Option<Monitor>, PortError>| {
        let error = answer.unwrap_err();
        assert!(!error.message.contains(KEY), "{error}");
        (error.class, error.code, error.blame)
    };
    let refused = Some(ErrorCode::MonitoringRefused);
    for status in [400, 401, 403, 405, 422] {
        let expected = (Class::Permanent, refused, Blame::Caller);
        assert_eq!(is(ask(status, "no").await), expected, "{status}");
    }
    let waits = Class::RateLimited(Duration::from_secs(2));
    assert_eq!(is(ask(429, "no").await), (waits, None, Blame::Caller));
    // The key goes nowhere else.
    for status in [301, 307, 408, 500, 502, 503] {
        let expected = (Class::Transient, None, Blame::Provider);
        assert_eq!(is(ask(status, "no").await), expected, "{status}");
    }
    // No JSON, and no monitor.
    for body in ["<html>", "[1]", "{}"] {
        assert_eq!(is(ask(200, body).await).0, Class::Transient, "{body}");
    }
    let long = "x".repeat(5000);
    let error = ask(400, &long).await.unwrap_err();
    assert!(error.message.chars().count() < 400, "{error}");
    let requests = service.requests().await;
    assert!(requests.iter().all(|it| it["path"] == "/monitors/1"), "{requests:?}");
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_named() {
    let service = start().await;
    let access = NewRelicAccess { key: "another".to_owned(), ..service.access() };
    let error = NewRelic::new(&access).unwrap().create_monitor(NAME, URL, false).await.unwrap_err();
    assert_eq!(
        (error.class.clone(), error.code),
        (Class::Permanent, Some(ErrorCode::MonitoringRefused))
    );
    assert!(error.message.contains("NEWRELIC_ADMIN_USER_API_KEY"), "{error}");
    assert!(!format!("{access:?}{:?}", NewRelic::new(&access)).contains("another"));
    for key in ["a\nb", "\u{0}"] {
        let access = NewRelicAccess { key: key.to_owned(), ..service.access() };
        assert!(NewRelic::new(&access).is_err(), "{key:?}");
    }
}

#[tokio::test]
async fn an_order_without_an_answer_may_have_been_carried_out() {
    let mut service = start().await;
    let client = service.client();
    service.order("silence").await;
    let error = client.create_monitor(NAME, URL, false).await.unwrap_err();
    assert_eq!((error.class, error.blame), (Class::Ambiguous, Blame::Provider));
    let found = client.find_monitors(&[NAME.to_owned()]).await.unwrap();
    assert_eq!(found.len(), 1, "it was made");
    service.order("silence").await;
    assert_eq!(client.read_monitor("1").await.unwrap_err().class, Class::Transient);
    let access = service.access();
    service.end().await;
    let error = NewRelic::new(&access).unwrap().create_monitor(NAME, URL, false).await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "nothing was sent: {error}");
}

#[tokio::test]
async fn nobody_is_believed_whose_certificate_is_not_known() {
    let certificate = Certificate::make();
    let mut service = start_for(KEY, Some(&certificate)).await;
    let url = service.access().url.replace("http:", "https:");
    let stranger = NewRelicAccess { url, ..service.access() };
    let error =
        NewRelic::new(&stranger).unwrap().create_monitor(NAME, URL, false).await.unwrap_err();
    assert_eq!(error.class, Class::Transient);
    assert!(error.message.contains("certificate"), "{error}");
    assert!(service.requests().await.is_empty(), "it heard no key");
    let known = NewRelicAccess { ca_file: Some(certificate.path.clone()), ..stranger };
    NewRelic::new(&known).unwrap().create_monitor(NAME, URL, false).await.unwrap();
    let missing =
        NewRelicAccess { ca_file: Some(certificate.path.with_file_name("none")), ..known };
    let error = NewRelic::new(&missing).unwrap_err();
    assert!(error.message.contains("OCIM_NEWRELIC_CA_FILE"), "{error}");
}
