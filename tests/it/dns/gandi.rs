//! Gandi's LiveDNS, against a service that answers as its manual says (`tests/gandi`).

use super::{own, taken, target, to_set};
use crate::support::http_double::{Certificate, HttpDouble};
use ocim_adapters::dns::gandi::{Gandi, GandiAccess, GandiKey};
use ocim_adapters::dns::{Dns, Lead};
use ocim_domain::port_error::{Blame, Class};
use ocim_domain::saga::ErrorCode;
use serde_json::{Value, json};
use std::time::Duration;

const TOKEN: &str = "token-of-gandi";
const BALANCER: &str = "lb.example.net";
const SITE: &str = "alpha.example.test";

/// The service, with two domains, one within the other.
async fn start() -> HttpDouble {
    let mut service = HttpDouble::start("gandi", &format!("Bearer {TOKEN}"), None).await;
    service.order("domain example.test").await;
    service.order("domain sites.example.test").await;
    service
}

fn access(port: u16) -> GandiAccess {
    GandiAccess {
        url: format!("http://127.0.0.1:{port}/v5/livedns"),
        key: GandiKey::Token(TOKEN.to_owned()),
        ca_file: None,
    }
}

fn client(service: &HttpDouble) -> Gandi {
    Gandi::new(&access(service.port)).unwrap()
}

/// The requests that change something: verb and path.
async fn writes(service: &mut HttpDouble) -> Vec<(String, String)> {
    let requests = service.requests().await.into_iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let writes = requests.filter(|it| it["verb"] != "GET");
    writes.map(|it| (text(&it["verb"]), text(&it["path"]))).collect()
}

fn write(verb: &str, path: &str) -> (String, String) {
    (verb.to_owned(), format!("/domains/{path}"))
}

#[tokio::test]
async fn the_names_of_a_site_come_and_go_with_one_request_each() {
    let mut service = start().await;
    let dns = client(&service);
    let names = [
        to_set(SITE, BALANCER, &[]),
        to_set("Studio.Alpha.example.test", BALANCER, &[]),
        to_set("vm1.beta.sites.example.test", "2001:db8::1", &[]),
    ];
    assert_eq!(dns.set_names(&names).await.unwrap(), []);
    assert_eq!(dns.set_names(&names).await.unwrap(), [], "again");
    let expected = [
        write("POST", "example.test/records/alpha/CNAME"),
        write("POST", "example.test/records/studio.alpha/CNAME"),
        write("POST", "sites.example.test/records/vm1.beta/AAAA"),
    ];
    assert_eq!(writes(&mut service).await, expected);
    let alias = json!({ "CNAME": { "rrset_values": ["lb.example.net."], "rrset_ttl": 1200 } });
    let records = service.order("records example.test").await;
    assert_eq!(records, json!({ "alpha": alias, "studio.alpha": alias }));
    for request in service.requests().await {
        assert_eq!(request["headers"]["Authorization"], format!("Bearer {TOKEN}"));
    }
    let found = dns.find_name(&own(SITE, &[BALANCER])).await.unwrap();
    assert_eq!(found, Lead::Ours(target(BALANCER)));
    let several = [own("no.example.test", &[BALANCER]), own(SITE, &[BALANCER])];
    let found = dns.find_names(&several).await.unwrap();
    assert_eq!(found, [Lead::Nowhere, Lead::Ours(target(BALANCER))]);

    // One moves within its type, one to another, one is kept longer than it should be.
    service.order("put example.test studio.alpha CNAME lb.example.net.").await;
    let moved = [
        to_set(SITE, "lb2.example.net", &[BALANCER]),
        to_set("studio.alpha.example.test", BALANCER, &[BALANCER]),
        to_set("vm1.beta.sites.example.test", "192.0.2.1", &["2001:db8::1"]),
    ];
    assert_eq!(dns.set_names(&moved).await.unwrap(), []);
    let expected = [
        write("PUT", "example.test/records/alpha/CNAME"),
        write("PUT", "example.test/records/studio.alpha/CNAME"),
        write("DELETE", "sites.example.test/records/vm1.beta/AAAA"),
        write("POST", "sites.example.test/records/vm1.beta/A"),
    ];
    assert_eq!(writes(&mut service).await[3..], expected);

    let all = [
        own(SITE, &["lb2.example.net", BALANCER]),
        own("studio.alpha.example.test", &[BALANCER]),
        own("vm1.beta.sites.example.test", &["192.0.2.1"]),
    ];
    dns.remove_names(&all).await.unwrap();
    dns.remove_names(&all).await.unwrap();
    assert_eq!(writes(&mut service).await.len(), 3 + 4 + 3);
    for zone in ["example.test", "sites.example.test"] {
        assert_eq!(service.order(&format!("records {zone}")).await, json!({}));
    }
    for name in &all {
        assert_eq!(dns.find_name(name).await.unwrap(), Lead::Nowhere);
    }
}

#[tokio::test]
async fn what_somebody_else_has_stays_whenever_it_came() {
    let mut service = start().await;
    let dns = client(&service);
    service.order("put example.test studio.alpha CNAME elsewhere.example.net.").await;
    service.order("put example.test text TXT hers").await;
    service.order("put example.test @ A 192.0.2.9").await;
    // She takes the first just before it is written.
    service.order("race POST example.test alpha CNAME hers.example.net.").await;
    let names = [
        to_set(SITE, BALANCER, &[]),
        to_set("studio.alpha.example.test", BALANCER, &[]),
        to_set("text.example.test", "192.0.2.1", &[]),
        to_set("example.test", "192.0.2.1", &["192.0.2.2"]),
        to_set("preview.alpha.example.test", BALANCER, &[]),
    ];
    let expected = [
        taken(SITE, "CNAME hers.example.net."),
        taken("studio.alpha.example.test", "CNAME elsewhere.example.net."),
        taken("text.example.test", "TXT hers"),
        taken("example.test", "A 192.0.2.9"),
    ];
    assert_eq!(dns.set_names(&names).await.unwrap(), expected);
    // Somebody wrote the very same one first.
    service.order("race POST example.test gamma CNAME lb.example.net.").await;
    assert_eq!(dns.set_names(&[to_set("gamma.example.test", BALANCER, &[])]).await.unwrap(), []);
    let ours = own("preview.alpha.example.test", &[BALANCER]);
    service.order("put example.test preview.alpha CNAME hers.example.net.").await;
    let foreign = Lead::Foreign("CNAME hers.example.net.".to_owned());
    assert_eq!(dns.find_name(&ours).await.unwrap(), foreign);
    dns.remove_names(&[ours]).await.unwrap();
    let records = service.order("records example.test").await;
    assert_eq!(records["preview.alpha"]["CNAME"]["rrset_values"], json!(["hers.example.net."]));
    assert_eq!(records["alpha"]["CNAME"]["rrset_values"], json!(["hers.example.net."]));
}

#[tokio::test]
async fn an_account_of_many_domains_is_read_page_by_page_and_again_for_a_new_one() {
    let mut service = start().await;
    let dns = client(&service);
    service.order("per_page 2").await;
    for number in 0..5 {
        service.order(&format!("domain d{number}.test")).await;
    }
    let zones = dns.list_zones().await.unwrap();
    assert_eq!(zones.len(), 7, "{zones:?}");
    assert_eq!(service.requests().await.len(), 4);
    dns.set_names(&[to_set("a.d4.test", BALANCER, &[])]).await.unwrap();
    let asked = service.requests().await;
    let listings = asked.iter().filter(|it| it["path"] == "/domains").count();
    assert_eq!(listings, 4, "what is known is not listed again");
    let error = dns.set_names(&[to_set("a.new.test", BALANCER, &[])]).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::DnsZoneMissing));
    service.order("domain new.test").await;
    assert_eq!(dns.set_names(&[to_set("a.new.test", BALANCER, &[])]).await.unwrap(), []);
    // Where one is in none, none is written.
    let names = [to_set("b.d4.test", BALANCER, &[]), to_set("b.example.org", BALANCER, &[])];
    dns.set_names(&names).await.unwrap_err();
    assert_eq!(service.order("records d4.test").await.as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_whose_domain_has_left_the_account_is_not_gone() {
    let mut service = start().await;
    let dns = client(&service);
    let ours = own(SITE, &[BALANCER]);
    dns.set_names(&[to_set(SITE, BALANCER, &[])]).await.unwrap();
    service.order("drop example.test alpha CNAME").await;
    assert_eq!(dns.find_name(&ours).await.unwrap(), Lead::Nowhere, "it alone has left");
    service.order("leave example.test").await;
    // By the domains that are known, and by those that are asked for then.
    for part in ["example.test is no domain", "alpha.example.test is in no zone"] {
        let error = dns.find_name(&ours).await.unwrap_err();
        let expected = (Class::Permanent, Some(ErrorCode::DnsZoneMissing));
        assert_eq!((error.class, error.code), expected, "{}", error.message);
        assert!(error.message.starts_with(part), "{}", error.message);
    }
    service.order("domain example.test").await;
    dns.set_names(&[to_set(SITE, BALANCER, &[])]).await.unwrap();
    service.order("leave example.test").await;
    let error = dns.remove_names(&[ours]).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::DnsZoneMissing), "{error}");
}

#[tokio::test]
async fn each_answer_means_what_it_says() {
    let mut service = start().await;
    let dns = client(&service);
    dns.list_zones().await.unwrap();
    let refused = Some(ErrorCode::DnsRefused);
    for (status, expected) in [
        (400, (Class::Permanent, refused, Blame::Caller)),
        (401, (Class::Permanent, refused, Blame::Caller)),
        (403, (Class::Permanent, refused, Blame::Caller)),
        (429, (Class::RateLimited(Duration::from_secs(2)), None, Blame::Caller)),
        (301, (Class::Transient, None, Blame::Provider)),
        (500, (Class::Transient, None, Blame::Provider)),
        (503, (Class::Transient, None, Blame::Provider)),
    ] {
        service.order(&format!("status {status} {{\"message\":\"why\"}}")).await;
        let error = dns.find_name(&own(SITE, &[BALANCER])).await.unwrap_err();
        assert_eq!((error.class, error.code, error.blame), expected, "{status}");
        assert!(error.message.contains("why"), "{status}: {}", error.message);
    }
    // Whoever else answers there says nothing of names.
    for (status, body) in [(404, "-"), (404, "{}"), (200, "<html>")] {
        service.order(&format!("status {status} {body}")).await;
        let error = dns.find_name(&own(SITE, &[BALANCER])).await.unwrap_err();
        assert_eq!(error.class, Class::Transient, "{status} {body}");
    }
    // What is wrong with a body is told by its field.
    let long = to_set("@.example.test", BALANCER, &[]);
    let error = dns.set_names(&[long]).await.unwrap_err();
    assert!(error.message.contains("items: invalid CNAME"), "{error}");
    for (key, setting) in [
        (GandiKey::Token("other".to_owned()), "OCIM_GANDI_TOKEN is refused"),
        (GandiKey::ApiKey("other".to_owned()), "GANDI_API_KEY is refused"),
    ] {
        let stranger = Gandi::new(&GandiAccess { key, ..access(service.port) }).unwrap();
        let error = stranger.list_zones().await.unwrap_err();
        assert_eq!(error.code, refused);
        assert!(error.message.contains(setting), "{error}");
    }
    assert!(!format!("{:?}{dns:?}", access(service.port)).contains(TOKEN));
    let mut old = HttpDouble::start("gandi", "Apikey old-key", None).await;
    old.order("domain example.test").await;
    let key = GandiKey::ApiKey("old-key".to_owned());
    let known = Gandi::new(&GandiAccess { key, ..access(old.port) }).unwrap();
    assert_eq!(known.list_zones().await.unwrap(), ["example.test"]);
}

#[tokio::test]
async fn a_write_without_an_answer_may_have_been_done_and_is_not_done_twice() {
    let mut service = start().await;
    let dns = client(&service);
    let name = [to_set(SITE, BALANCER, &[])];
    service.order("silence POST").await;
    let error = dns.set_names(&name).await.unwrap_err();
    assert_eq!((error.class, error.blame), (Class::Ambiguous, Blame::Provider));
    assert_eq!(dns.set_names(&name).await.unwrap(), []);
    service.order("silence DELETE").await;
    let error = dns.remove_names(&[own(SITE, &[BALANCER])]).await.unwrap_err();
    assert_eq!(error.class, Class::Ambiguous);
    assert_eq!(dns.find_name(&own(SITE, &[BALANCER])).await.unwrap(), Lead::Nowhere);
    assert_eq!(writes(&mut service).await.len(), 2);
    service.end().await;
    let error = dns.set_names(&name).await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "nothing was sent: {error}");
}

#[tokio::test]
async fn nobody_is_believed_whose_certificate_is_not_known() {
    let certificate = Certificate::make();
    let key = format!("Bearer {TOKEN}");
    let mut service = HttpDouble::start("gandi", &key, Some(&certificate)).await;
    let url = format!("https://127.0.0.1:{}/v5/livedns", service.port);
    let stranger = || GandiAccess { url: url.clone(), ..access(service.port) };
    let error = Gandi::new(&stranger()).unwrap().list_zones().await.unwrap_err();
    assert!(error.message.contains("certificate"), "{error}");
    let known = GandiAccess { ca_file: Some(certificate.path.clone()), ..stranger() };
    assert!(Gandi::new(&known).unwrap().list_zones().await.unwrap().is_empty());
    assert_eq!(service.requests().await.len(), 1, "who was not believed heard nothing");
}
