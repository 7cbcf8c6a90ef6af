//! Names in the DNS by dynamic updates, against a real BIND: set, changed by somebody else, removed; and what its
//! refusals and silences mean.

mod gandi;
mod program;
mod proxy;

use crate::support::bind::Bind;
use ocim_adapters::dns::rfc2136::{Rfc2136, Rfc2136Access};
use ocim_adapters::dns::{Dns, Lead, NameToSet, OwnName, TTL_SECONDS, TakenName, Target};
use ocim_adapters::system::{FixedClock, SystemClock};
use ocim_domain::port_error::{Blame, Class, PortError};
use ocim_domain::saga::ErrorCode;
use ocim_domain::system::Clock;
use proxy::{Act, Proxy};
use std::sync::Arc;

pub(crate) const SECRET: &str = "b2NpbS1rZXktb2YtdGhlLXRlc3RzLXNoYTI1Ni0wMDE=";
const BALANCER: &str = "lb.example.net";
const SITE: &str = "alpha.example.test";

fn access(server: String) -> Rfc2136Access {
    Rfc2136Access {
        server,
        zones: ["example.test", "sites.example.test"].map(str::to_owned).into(),
        key_name: "ocim".to_owned(),
        algorithm: "hmac-sha256".to_owned(),
        secret: SECRET.to_owned(),
    }
}

fn client(access: &Rfc2136Access) -> Rfc2136 {
    Rfc2136::new(access, Arc::new(SystemClock)).unwrap()
}

fn of(bind: &Bind) -> Rfc2136 {
    client(&access(bind.address()))
}

pub(crate) fn target(text: &str) -> Target {
    text.parse().unwrap()
}

pub(crate) fn to_set(name: &str, leads_to: &str, formerly: &[&str]) -> NameToSet {
    NameToSet {
        name: name.to_owned(),
        target: target(leads_to),
        formerly: formerly.iter().map(|text| target(text)).collect(),
        ttl_seconds: TTL_SECONDS,
    }
}

pub(crate) fn own(name: &str, targets: &[&str]) -> OwnName {
    let targets = targets.iter().map(|text| target(text)).collect();
    OwnName { name: name.to_owned(), targets }
}

pub(crate) fn taken(name: &str, is: &str) -> TakenName {
    TakenName { name: name.to_owned(), is: is.to_owned() }
}

fn aliases(bind: &Bind, name: &str) -> Vec<String> {
    bind.dig(name, "CNAME")
}

#[tokio::test]
async fn the_names_of_a_site_come_and_go_with_one_update_each_zone() {
    let bind = Bind::start();
    let dns = of(&bind);
    let names: Vec<_> = [SITE, "studio.alpha.example.test", "Preview.Alpha.example.test"]
        .map(|name| to_set(name, BALANCER, &[]))
        .into_iter()
        .chain([to_set("beta.sites.example.test", "LB.example.net.", &[])])
        .collect();
    assert_eq!(dns.set_names(&names).await.unwrap(), []);
    assert_eq!(aliases(&bind, SITE), ["alpha.example.test. 1200 IN CNAME lb.example.net."]);
    let beta = aliases(&bind, "beta.sites.example.test");
    assert_eq!(beta, ["beta.sites.example.test. 1200 IN CNAME lb.example.net."]);
    assert!(bind.has("preview.alpha.example.test"), "in lower case, as all others");
    let serials = || [bind.serial("example.test"), bind.serial("sites.example.test")];
    assert_eq!(serials(), [2, 2], "one update each");

    // Again: by who has forgotten that they are there, and by who has not.
    for formerly in [vec![], vec![target(BALANCER)]] {
        let again = names.iter().cloned();
        let again: Vec<_> =
            again.map(|it| NameToSet { formerly: formerly.clone(), ..it }).collect();
        assert_eq!(dns.set_names(&again).await.unwrap(), []);
        assert_eq!(serials(), [2, 2], "nothing is changed");
    }
    let found = dns.find_name(&own(SITE, &[BALANCER])).await.unwrap();
    assert_eq!(found, Lead::Ours(target(BALANCER)));

    let several = [own(SITE, &[BALANCER]), own("no.example.test", &[BALANCER]), own(SITE, &[])];
    let found = dns.find_names(&several).await.unwrap();
    let foreign = Lead::Foreign("CNAME lb.example.net".to_owned());
    assert_eq!(found, [Lead::Ours(target(BALANCER)), Lead::Nowhere, foreign]);

    let all: Vec<_> = names.iter().map(|it| own(&it.name, &[BALANCER])).collect();
    dns.remove_names(&all).await.unwrap();
    assert_eq!(serials(), [3, 3], "one update each");
    for name in &all {
        assert_eq!(dns.find_name(name).await.unwrap(), Lead::Nowhere, "{name:?}");
        assert!(!bind.has(&name.name), "{name:?}");
    }
    dns.remove_names(&all).await.unwrap();
    assert_eq!(serials(), [3, 3], "absent is success");
    dns.set_names(&[]).await.unwrap();
    dns.remove_names(&[]).await.unwrap();
}

#[tokio::test]
async fn a_name_moves_from_where_we_had_it_and_between_the_versions_of_addresses() {
    let bind = Bind::start();
    let dns = of(&bind);
    let vm = "vm1.alpha.example.test";
    dns.set_names(&[to_set(vm, "192.0.2.1", &[]), to_set(SITE, BALANCER, &[])]).await.unwrap();
    assert_eq!(bind.dig(vm, "A"), ["vm1.alpha.example.test. 1200 IN A 192.0.2.1"]);
    let moved =
        [to_set(vm, "192.0.2.2", &["192.0.2.1"]), to_set(SITE, "lb2.example.net", &[BALANCER])];
    dns.set_names(&moved).await.unwrap();
    assert_eq!(bind.dig(vm, "A"), ["vm1.alpha.example.test. 1200 IN A 192.0.2.2"]);
    assert_eq!(aliases(&bind, SITE), ["alpha.example.test. 1200 IN CNAME lb2.example.net."]);
    // Of two that it may lead to, it led to the second.
    let moved = [to_set(vm, "2001:db8::3", &["192.0.2.1", "192.0.2.2"])];
    assert_eq!(dns.set_names(&moved).await.unwrap(), []);
    assert_eq!(bind.dig(vm, "AAAA"), ["vm1.alpha.example.test. 1200 IN AAAA 2001:db8::3"]);
    assert!(bind.dig(vm, "A").is_empty());
    let found = dns.find_name(&own(vm, &["192.0.2.2", "2001:db8::3"])).await.unwrap();
    assert_eq!(found, Lead::Ours(target("2001:db8::3")));
}

#[tokio::test]
async fn what_somebody_else_has_stays_is_told_and_holds_up_no_other() {
    let bind = Bind::start();
    let dns = of(&bind);
    bind.somebody(&[
        "update add studio.alpha.example.test 600 CNAME elsewhere.example.net",
        "update add vm1.alpha.example.test 600 A 192.0.2.9",
        "update add text.example.test 600 TXT hers",
    ]);
    let names = [
        to_set(SITE, BALANCER, &[]),
        to_set("studio.alpha.example.test", BALANCER, &[]),
        to_set("vm1.alpha.example.test", "192.0.2.1", &["192.0.2.2"]),
        to_set("text.example.test", BALANCER, &[]),
        to_set("example.test", BALANCER, &[]),
    ];
    let expected = [
        taken("studio.alpha.example.test", "CNAME elsewhere.example.net"),
        taken("vm1.alpha.example.test", "A 192.0.2.9"),
        taken("text.example.test", "records of other types"),
        taken("example.test", "records of other types"),
    ];
    assert_eq!(dns.set_names(&names).await.unwrap(), expected);
    assert!(bind.has(SITE));
    // She changes ours, and takes one away.
    dns.set_names(&[to_set("preview.alpha.example.test", BALANCER, &[])]).await.unwrap();
    bind.somebody(&["update add alpha.example.test 600 CNAME hers.example.net"]);
    bind.somebody(&["update delete preview.alpha.example.test"]);
    let foreign = Lead::Foreign("CNAME hers.example.net".to_owned());
    assert_eq!(dns.find_name(&own(SITE, &[BALANCER])).await.unwrap(), foreign);
    let gone = dns.find_name(&own("preview.alpha.example.test", &[BALANCER])).await.unwrap();
    assert_eq!(gone, Lead::Nowhere, "though a wildcard answers for it");
    let names = [SITE, "preview.alpha.example.test"];
    let again = names.map(|name| to_set(name, BALANCER, &[BALANCER]));
    let told = dns.set_names(&again).await.unwrap();
    assert_eq!(told, [taken(SITE, "CNAME hers.example.net")]);
    assert!(bind.has("preview.alpha.example.test"), "it is there again");
    let ours = names.map(|name| own(name, &[BALANCER]));
    dns.remove_names(&ours).await.unwrap();
    assert_eq!(aliases(&bind, SITE), ["alpha.example.test. 600 IN CNAME hers.example.net."]);
    assert!(!bind.has("preview.alpha.example.test"));
}

#[tokio::test]
async fn who_changes_a_name_between_our_look_and_our_write_is_first() {
    let bind = Arc::new(Bind::start());
    let takes = |order: &'static str| {
        let bind = Arc::clone(&bind);
        Act::First(Box::new(move || bind.somebody(&[order])))
    };
    // The second name is not as we know it, so that all are looked at; then she takes the first.
    bind.somebody(&["update add studio.alpha.example.test 600 CNAME lb.example.net"]);
    let acts = vec![
        Act::Pass,
        Act::Pass,
        Act::Pass,
        Act::Pass,
        takes("update add alpha.example.test 600 CNAME hers.example.net"),
    ];
    let proxy = Proxy::start(bind.port, acts).await;
    let dns = client(&access(proxy.address.clone()));
    let names = [SITE, "studio.alpha.example.test"].map(|name| to_set(name, BALANCER, &[]));
    let error = dns.set_names(&names).await.unwrap_err();
    assert_eq!((error.class, error.blame), (Class::Transient, Blame::Caller));
    assert!(error.message.contains("somebody else changes example.test"), "{}", error.message);
    assert_eq!(aliases(&bind, SITE), ["alpha.example.test. 600 IN CNAME hers.example.net."]);
    // The next try sees it.
    let told = dns.set_names(&names).await.unwrap();
    assert_eq!(told, [taken(SITE, "CNAME hers.example.net")]);
}

fn refused(error: &PortError, part: &str) {
    let expected = (Class::Permanent, Some(ErrorCode::DnsRefused), Blame::Caller);
    assert_eq!((error.class.clone(), error.code, error.blame), expected, "{error}");
    assert!(error.message.contains(part) && error.message.contains("127.0.0.1"), "{error}");
    assert!(!error.message.contains(SECRET), "{error}");
}

#[tokio::test]
async fn each_refusal_says_which_setting_is_wrong() {
    let bind = Bind::start();
    let right = access(bind.address());
    assert!(!format!("{right:?}{:?}", client(&right)).contains(SECRET));
    assert_eq!(client(&right).list_zones().await.unwrap(), right.zones);
    let sha512 = Rfc2136Access {
        zones: vec!["example.test".to_owned()],
        key_name: "OCIM-512.".to_owned(),
        algorithm: "hmac-sha512".to_owned(),
        secret: "b2NpbS1rZXktb2YtdGhlLXRlc3RzLXNoYTUxMi0wMDI=".to_owned(),
        ..right.clone()
    };
    assert_eq!(client(&sha512).list_zones().await.unwrap(), sha512.zones);
    let zones = |zone: &str| Rfc2136Access { zones: vec![zone.to_owned()], ..right.clone() };
    let unknown = Rfc2136Access { key_name: "nobody".to_owned(), ..right.clone() };
    let other = Rfc2136Access { secret: "b3RoZXI=".to_owned(), ..right.clone() };
    let algorithm = Rfc2136Access { algorithm: "hmac-sha384".to_owned(), ..right.clone() };
    for (access, part) in [
        (unknown, "(BADKEY): see OCIM_DNS_KEY_NAME"),
        (algorithm, "(BADKEY): see OCIM_DNS_KEY_NAME and OCIM_DNS_KEY_ALGORITHM"),
        (other, "(BADSIG): see OCIM_DNS_KEY_SECRET"),
        (zones("closed.test"), "change closed.test (REFUSED)"),
        (zones("nowhere.test"), "does not have the zone nowhere.test (NOTAUTH)"),
    ] {
        let (dns, name) = (client(&access), format!("alpha.{}", access.zones[0]));
        refused(&dns.list_zones().await.unwrap_err(), part);
        refused(&dns.set_names(&[to_set(&name, BALANCER, &[])]).await.unwrap_err(), part);
        refused(&dns.find_name(&own(&name, &[BALANCER])).await.unwrap_err(), part);
        refused(&dns.remove_names(&[own(&name, &[BALANCER])]).await.unwrap_err(), part);
    }
    let names = [to_set(SITE, BALANCER, &[]), to_set("alpha.example.org", BALANCER, &[])];
    let error = client(&right).set_names(&names).await.unwrap_err();
    assert_eq!(error.code, Some(ErrorCode::DnsZoneMissing));
    assert!(error.message.starts_with("alpha.example.org is in no zone"), "{error}");
    assert!(!bind.has(SITE), "nothing is written then");
    for (wrong, setting) in [
        (Rfc2136Access { server: "a b".to_owned(), ..right.clone() }, "OCIM_DNS_SERVER"),
        (Rfc2136Access { key_name: String::new(), ..right.clone() }, "OCIM_DNS_KEY_NAME"),
        (Rfc2136Access { algorithm: "md5".to_owned(), ..right.clone() }, "OCIM_DNS_KEY_ALGORITHM"),
        (Rfc2136Access { secret: "no!".to_owned(), ..right.clone() }, "OCIM_DNS_KEY_SECRET"),
    ] {
        let error = Rfc2136::new(&wrong, Arc::new(SystemClock)).unwrap_err();
        assert!(error.message.contains(setting), "{error}");
    }
}

#[tokio::test]
async fn what_may_pass_by_itself_costs_nobody_an_attempt_for_good() {
    let bind = Bind::start();
    let transient = |error: &PortError, part: &str| {
        assert_eq!((&error.class, error.blame), (&Class::Transient, Blame::Provider), "{error}");
        assert!(error.message.contains(part) && error.message.contains("127.0.0.1"), "{error}");
    };
    let broken = Rfc2136Access { zones: vec!["broken.test".to_owned()], ..access(bind.address()) };
    let names = [to_set("alpha.broken.test", BALANCER, &[])];
    transient(&client(&broken).set_names(&names).await.unwrap_err(), "SERVFAIL");
    // Our clock is an hour ahead.
    let late = SystemClock.now() + chrono::TimeDelta::hours(1);
    let dns = Rfc2136::new(&access(bind.address()), Arc::new(FixedClock::new(late))).unwrap();
    let error = dns.list_zones().await.unwrap_err();
    transient(&error, "(BADTIME)");
    let seconds: u64 = error.message.split(' ').find_map(|word| word.parse().ok()).unwrap();
    assert!((3590..=3610).contains(&seconds), "{error}");
    // Nobody listens there.
    let address = bind.address();
    drop(bind);
    let error = client(&access(address)).set_names(&[to_set(SITE, BALANCER, &[])]).await;
    transient(&error.unwrap_err(), "does not answer");
}

#[tokio::test]
async fn a_write_without_a_whole_answer_may_have_been_done_and_is_not_done_twice() {
    let bind = Bind::start();
    let mut unsigned = vec![0; 12];
    unsigned[2] = 0xa8; // An answer to an update, and all is well.
    for act in
        [Act::Silence, Act::Cut, Act::Garble, Act::Replace(unsigned), Act::Replace(vec![0; 3])]
    {
        let is_silence = matches!(act, Act::Silence);
        let proxy = Proxy::start(bind.port, vec![act]).await;
        let dns = client(&access(proxy.address.clone()));
        if is_silence {
            tokio::time::pause();
        }
        let error = dns.set_names(&[to_set(SITE, BALANCER, &[])]).await.unwrap_err();
        if is_silence {
            tokio::time::resume();
        }
        assert_eq!((&error.class, error.blame), (&Class::Ambiguous, Blame::Provider), "{error}");
        assert!(error.message.contains("the DNS server 127.0.0.1"), "{error}");
        let serial = bind.serial("example.test");
        let found = dns.find_name(&own(SITE, &[BALANCER])).await.unwrap();
        assert_eq!(found, Lead::Ours(target(BALANCER)), "it was done");
        assert_eq!(dns.set_names(&[to_set(SITE, BALANCER, &[])]).await.unwrap(), []);
        assert_eq!(bind.serial("example.test"), serial);
        dns.remove_names(&[own(SITE, &[BALANCER])]).await.unwrap();
    }
    // A question that nobody answers is asked again.
    let proxy = Proxy::start(bind.port, vec![Act::Cut]).await;
    let error = client(&access(proxy.address.clone())).list_zones().await.unwrap_err();
    assert_eq!(error.class, Class::Transient, "{error}");
}
