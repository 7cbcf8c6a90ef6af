//! Consul's API, against a service that answers as its manual says (`tests/consul`): what it has of a site, who may
//! write at the same time, and what its refusals and silences mean.

use crate::support::http_double::{Certificate, HttpDouble};
use crate::support::ocim::Ground;
use ocim_adapters::metadata::MetadataStore;
use ocim_adapters::metadata::consul::{Consul, ConsulAccess};
use ocim_domain::names::RoutedNames;
use ocim_domain::port_error::{Blame, Class};
use ocim_domain::saga::ErrorCode;
use ocim_domain::settings::InstanceSettings;
use ocim_domain::site_metadata::{SiteMetadata, WrittenMetadata};
use serde_json::{Value, json};
use std::time::Duration;

const TOKEN: &str = "consul-token";
const ID: &str = "0190d3a0-0000-7000-8000-000000000001";
const PART: &str = "stage/instances/0190d3a0-0000-7000-8000-000000000001";

async fn start() -> HttpDouble {
    HttpDouble::start("consul", TOKEN, None).await
}

fn access(port: u16) -> ConsulAccess {
    ConsulAccess {
        url: format!("http://127.0.0.1:{port}"),
        token: Some(TOKEN.to_owned()),
        ca_file: None,
        verify: true,
        prefix: "stage/instances/{instance}/".to_owned(),
    }
}

fn client(service: &HttpDouble) -> Consul {
    Consul::new(&access(service.port)).unwrap()
}

fn settings() -> InstanceSettings {
    let golden = include_str!("../../domain/tests/golden/settings.v1.json");
    serde_json::from_str(golden).unwrap()
}

/// A site of that name which nobody serves.
fn site(name: &str) -> SiteMetadata {
    let settings = settings();
    let names = RoutedNames::new(&settings);
    SiteMetadata::new(name, &settings, &names, ID, &[]).unwrap()
}

fn written(version: u64, is_changed: bool) -> WrittenMetadata {
    WrittenMetadata { version, is_changed }
}

/// The keys that were written or removed, by the transactions that were taken.
async fn transactions(service: &mut HttpDouble) -> Vec<Value> {
    let requests = service.requests().await.into_iter();
    requests.filter(|it| it["path"] == "/txn").map(|it| it["body"].clone()).collect()
}

#[tokio::test]
async fn a_site_is_told_all_at_once_and_only_what_differs_is_told_again() {
    let mut service = start().await;
    let client = client(&service);
    assert_eq!(client.write_site(ID, &site("Ça va 例")).await.unwrap(), written(1, true));
    let keys = service.order("keys").await;
    let expected = site("Ça va 例");
    for (key, value) in expected.keys() {
        assert_eq!(keys[format!("{PART}/{key}")], *value, "{key}");
    }
    assert_eq!(keys[format!("{PART}/version")], "1");
    assert_eq!(keys.as_object().unwrap().len(), 8);
    assert_eq!(client.write_site(ID, &site("Ça va 例")).await.unwrap(), written(1, false));
    assert_eq!(client.write_site(ID, &site("12345")).await.unwrap(), written(2, true));
    assert_eq!(client.write_site(ID, &site("12345")).await.unwrap(), written(2, false));
    let transactions = transactions(&mut service).await;
    let written = |transaction: &Value| transaction.as_array().unwrap().len() - 1;
    assert_eq!(transactions.iter().map(written).collect::<Vec<_>>(), [8, 2]);
    for request in service.requests().await {
        assert_eq!(request["headers"]["X-Consul-Token"], TOKEN);
    }
}

#[tokio::test]
async fn what_the_original_kept_is_read_and_what_is_not_ours_stays() {
    let mut service = start().await;
    let client = client(&service);
    service.order(&format!("put {PART}/version 6")).await;
    service.order(&format!("put {PART}/note somebody's")).await;
    assert_eq!(client.write_site(ID, &site("a")).await.unwrap(), written(7, true));
    assert_eq!(service.order("keys").await[format!("{PART}/note")], "somebody's");
}

#[tokio::test]
async fn a_site_goes_with_all_its_keys_and_no_other_with_it() {
    let mut service = start().await;
    let client = client(&service);
    let other = format!("{ID}0");
    client.write_site(ID, &site("a")).await.unwrap();
    client.write_site(&other, &site("b")).await.unwrap();
    service.order("put stage/instances/120/name old").await;
    service.order("put stage/instances/loose x").await;
    service.order("put stage/instances2/9/name other").await;
    let mut sites = client.list_sites().await.unwrap();
    sites.sort();
    assert_eq!(sites, [ID.to_owned(), other.clone(), "120".to_owned()]);
    assert_eq!(client.remove_site(ID).await.unwrap(), written(0, true));
    assert_eq!(client.remove_site(ID).await.unwrap(), written(0, false));
    assert_eq!(client.list_sites().await.unwrap(), [other.as_str(), "120"]);
    let keys = service.order("keys").await;
    assert_eq!(keys.as_object().unwrap().len(), 8 + 3);
    // Nothing is there at all.
    let mut empty = start().await;
    assert!(self::client(&empty).list_sites().await.unwrap().is_empty());
    assert!(empty.order("keys").await.as_object().unwrap().is_empty());
}

#[tokio::test]
async fn of_two_that_write_at_once_one_comes_back_and_nothing_is_lost() {
    let mut service = start().await;
    let client = client(&service);
    client.write_site(ID, &site("a")).await.unwrap();
    service.order(&format!("race {PART}/version 9")).await;
    let error = client.write_site(ID, &site("b")).await.unwrap_err();
    assert_eq!((error.class, error.blame), (Class::Transient, Blame::Caller));
    assert_eq!(service.order("keys").await[format!("{PART}/name")], "a", "nothing half done");
    assert_eq!(client.write_site(ID, &site("b")).await.unwrap(), written(10, true));
}

#[tokio::test]
async fn nothing_is_written_while_somebody_holds_the_lock() {
    let mut service = start().await;
    let client = client(&service);
    service.order("lock yes").await;
    let waits = Duration::from_secs(5);
    let error = client.write_site(ID, &site("a")).await.unwrap_err();
    // It costs whoever waits no attempt.
    assert_eq!((error.class, error.free_for), (Class::RateLimited(waits), Some(waits)));
    assert!(error.message.contains("lock/ocim/.lock"), "{}", error.message);
    // Its key stays where nobody holds it.
    service.order("lock no").await;
    assert_eq!(client.write_site(ID, &site("a")).await.unwrap(), written(1, true));
    // Somebody takes it in between.
    service.order("race lock/ocim/.lock x").await;
    let error = client.remove_site(ID).await.unwrap_err();
    assert_eq!(error.class, Class::Transient);
    assert_eq!(client.list_sites().await.unwrap(), [ID]);
}

#[tokio::test]
async fn each_answer_means_what_it_says() {
    let mut service = start().await;
    let client = client(&service);
    let refused = Some(ErrorCode::MetadataRefused);
    for (status, expected) in [
        (400, (Class::Permanent, refused, Blame::Caller)),
        (403, (Class::Permanent, refused, Blame::Caller)),
        (413, (Class::Permanent, refused, Blame::Caller)),
        (429, (Class::RateLimited(Duration::from_secs(2)), None, Blame::Caller)),
        (301, (Class::Transient, None, Blame::Provider)),
        (500, (Class::Transient, None, Blame::Provider)),
    ] {
        service.order(&format!("status {status} No cluster leader")).await;
        let error = client.list_sites().await.unwrap_err();
        assert_eq!((error.class, error.code, error.blame), expected, "{status}");
    }
    // Others answer, too, and say nothing of keys.
    for (status, body) in [(404, "-"), (200, "[]"), (200, "<html>")] {
        service.order(&format!("status {status} {body}")).await;
        let error = client.remove_site(ID).await.unwrap_err();
        assert_eq!(error.class, Class::Transient, "{status} {body}");
        assert!(error.message.contains("CONSUL_HTTP_ADDR"), "{error}");
    }
    let strange = Consul::new(&ConsulAccess { token: None, ..access(service.port) }).unwrap();
    let error = strange.write_site(ID, &site("a")).await.unwrap_err();
    assert_eq!(error.code, refused);
    assert!(error.message.contains("CONSUL_HTTP_TOKEN"), "{error}");
    assert!(!format!("{:?}{client:?}", access(service.port)).contains(TOKEN));
}

#[tokio::test]
async fn a_token_that_may_not_is_refused_and_never_taken_for_an_empty_tree() {
    let mut service = start().await;
    let client = client(&service);
    client.write_site(ID, &site("a")).await.unwrap();
    for denied in [PART, "lock/ocim"] {
        service.order(&format!("deny {denied}")).await;
        for answer in [client.write_site(ID, &site("b")).await, client.remove_site(ID).await] {
            let error = answer.unwrap_err();
            assert_eq!(error.code, Some(ErrorCode::MetadataRefused), "{denied}");
            assert!(error.message.contains("CONSUL_HTTP_TOKEN"), "{error}");
        }
    }
    // Whoever has no token at all is not told that keys are hidden.
    service.order(&format!("deny {PART}")).await;
    service.order("hide unsaid").await;
    let error = client.remove_site(ID).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::MetadataRefused), "{error}");
    service.order("deny elsewhere").await;
    service.order("hide yes").await;
    let refusals = [
        client.write_site(ID, &site("b")).await.map(drop),
        client.remove_site(ID).await.map(drop),
        client.list_sites().await.map(drop),
    ];
    for refused in refusals {
        assert_eq!(refused.unwrap_err().code, Some(ErrorCode::MetadataRefused));
    }
    // No answer repeats what was written.
    service.order("hide no").await;
    service.order("status 400 -").await;
    let token = site("b").keys()["basic_auth"].clone();
    let error = client.write_site(ID, &site("b")).await.unwrap_err();
    assert!(!error.message.contains(&token), "{error}");
    assert_eq!(service.order("keys").await[format!("{PART}/name")], "a");
}

#[tokio::test]
async fn a_write_without_an_answer_may_have_been_done_and_is_not_done_twice() {
    let mut service = start().await;
    let client = client(&service);
    service.order("silence PUT").await;
    let error = client.write_site(ID, &site("a")).await.unwrap_err();
    assert_eq!((error.class, error.blame), (Class::Ambiguous, Blame::Provider));
    assert_eq!(client.write_site(ID, &site("a")).await.unwrap(), written(1, false));
    service.end().await;
    let error = client.write_site(ID, &site("b")).await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "nothing was sent: {error}");
}

#[tokio::test]
async fn nobody_is_believed_whose_certificate_is_not_known_unless_that_is_wanted() {
    let certificate = Certificate::make();
    let mut service = HttpDouble::start("consul", TOKEN, Some(&certificate)).await;
    let url = format!("https://127.0.0.1:{}", service.port);
    let stranger = || ConsulAccess { url: url.clone(), ..access(service.port) };
    let error = Consul::new(&stranger()).unwrap().list_sites().await.unwrap_err();
    assert!(error.message.contains("certificate"), "{error}");
    let known = ConsulAccess { ca_file: Some(certificate.path.clone()), ..stranger() };
    assert!(Consul::new(&known).unwrap().list_sites().await.unwrap().is_empty());
    let blind = ConsulAccess { verify: false, ..stranger() };
    assert!(Consul::new(&blind).unwrap().list_sites().await.unwrap().is_empty());
    let missing =
        ConsulAccess { ca_file: Some(certificate.path.with_file_name("none")), ..stranger() };
    assert!(Consul::new(&missing).unwrap_err().message.contains("CONSUL_CACERT"));
    let unfit = ConsulAccess { prefix: "{instance}/".to_owned(), ..stranger() };
    assert!(Consul::new(&unfit).unwrap_err().message.contains("CONSUL_PREFIX"));
    assert_eq!(service.requests().await.len(), 2, "who was not believed heard nothing");
    assert_eq!(service.order("keys").await, json!({}));
}

/// What the program does with it: by its settings, its runs and its timer.
#[tokio::test]
async fn a_program_that_is_told_to_has_it_know_each_site_from_its_making_to_its_end() {
    let service = tokio::sync::Mutex::new(start().await);
    let address = format!("127.0.0.1:{}", service.lock().await.port);
    let mut ground = Ground::prepare().await;
    ground
        .start_with(&[
            ("OCIM_CLOUDS", r#"{"sim": {"kind": "simulated"}}"#),
            ("CONSUL_ENABLED", "true"),
            ("CONSUL_HTTP_ADDR", &address),
            ("CONSUL_HTTP_TOKEN", TOKEN),
            ("OCIM_ID", "stage"),
        ])
        .await;
    let id = ground.create_instance("alpha").await;
    let version = format!("stage/instances/{}/version", id.trim_start_matches("inst_"));
    let wait = async |what: &str, wanted: Option<&str>| {
        ground
            .wait_for(what, async || {
                let keys = service.lock().await.order("keys").await;
                (keys.get(&version).and_then(Value::as_str) == wanted).then_some(())
            })
            .await;
    };
    wait("the new site", Some("1")).await;
    service.lock().await.order(&format!("put {version} 41")).await;
    ground.post("/timers/update_metadata/run", json!({ "reason": "a test" })).await;
    let look = async || {
        let timers = ground.get("/api/v1/timers").await;
        let timers = timers["items"].as_array().unwrap();
        let own = timers.iter().find(|timer| timer["name"] == "update_metadata").unwrap();
        (own["outcome"] == "of 1 sites, 0 told anew, 0 gone removed, 0 refused").then_some(())
    };
    ground.wait_for("the daily look", look).await;
    ground.post(&format!("/instances/{id}/archive"), json!({ "reason": "a test" })).await;
    wait("its end", None).await;
    let shown = ground.read_logs();
    assert!(!shown.contains(TOKEN), "{shown}");
    ground.terminate().await;
}
