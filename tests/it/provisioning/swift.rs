//! Containers in Swift, against a service that answers as the manuals of Keystone and Swift say (`tests/swift`); a
//! real one is in `openstack::swift`.

use super::{assert_away, assert_refused};
use crate::support::http_double::HttpDouble;
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::port_error::Class;
use ocim_domain::provisioning::{Item, Service, SwiftAccount};
use serde_json::json;

const PASSWORD: &str = "swift-password";

fn account(double: &HttpDouble, path: &str, password: &str) -> Service {
    Service::Swift(SwiftAccount {
        user: "user".to_owned(),
        password: password.to_owned(),
        tenant: "tenant".to_owned(),
        auth_url: format!("http://127.0.0.1:{}{path}", double.port),
        region: "RegionOne".to_owned(),
    })
}

fn container() -> Item {
    Item::SwiftContainer("alpha_example_com".to_owned())
}

#[tokio::test]
async fn a_container_is_made_readable_and_goes_with_all_its_objects() {
    let mut swift = HttpDouble::start("swift", PASSWORD, None).await;
    let servers = SharedServers::default();
    let (service, item) = (account(&swift, "/v2.0/", PASSWORD), container());
    let (id, name) = (item.id(), "alpha_example_com");
    servers.check(&service).await.unwrap();
    assert!(!servers.find(&service, &id).await.unwrap());
    for _ in 0..2 {
        servers.ensure(&service, std::slice::from_ref(&item)).await.unwrap();
    }
    assert!(servers.find(&service, &id).await.unwrap());
    let ids = [Item::SwiftContainer("beta".to_owned()).id(), id.clone()];
    assert_eq!(servers.find_among(&service, &ids).await.unwrap(), ids[1..]);
    assert_eq!(swift.order("containers").await, json!({ name: [".r:*", 0] }));
    // As the original asked: what is there is changed, and made where it is not.
    let asked = swift.requests().await;
    let verbs = asked.iter().filter(|it| it["path"].as_str().unwrap().ends_with(name));
    let verbs: Vec<_> = verbs.map(|it| it["verb"].as_str().unwrap().to_owned()).collect();
    assert_eq!(verbs, ["HEAD", "POST", "PUT", "POST", "HEAD"]);

    swift.order(&format!("fill {name} 1500")).await;
    swift.order("expire").await;
    let mut calls = 0;
    while servers.find(&service, &id).await.unwrap() {
        servers.remove(&service, &id).await.unwrap();
        calls += 1;
    }
    assert_eq!(calls, 3, "two pages, and the container");
    assert_eq!(swift.order("containers").await, json!({}));
    servers.remove(&service, &id).await.unwrap();
}

#[tokio::test]
async fn no_failure_is_swallowed() {
    let mut swift = HttpDouble::start("swift", PASSWORD, None).await;
    let servers = SharedServers::default();
    let (service, item) = (account(&swift, "", PASSWORD), container());
    let wrong = account(&swift, "/v3", "wrong-password");
    let words = ["127.0.0.1 answers 401", "the account in `swift_openstack_*` is refused"];
    assert_refused(
        servers.ensure(&wrong, std::slice::from_ref(&item)).await,
        &words,
        &["wrong-password"],
    );
    let Service::Swift(known) = service.clone() else { panic!() };
    let in_clear = "http://keystone.example.com".to_owned();
    let in_clear = SwiftAccount { auth_url: in_clear, ..known.clone() };
    let told = ["over http only to this computer"];
    assert_refused(servers.check(&Service::Swift(in_clear)).await, &told, &[PASSWORD]);
    let elsewhere = SwiftAccount { region: "RegionTwo".to_owned(), ..known };
    let told = ["it has no object store in the region `RegionTwo`"];
    assert_refused(servers.check(&Service::Swift(elsewhere)).await, &told, &[PASSWORD]);

    servers.ensure(&service, std::slice::from_ref(&item)).await.unwrap();
    swift.order("fill alpha_example_com 3").await;
    swift.order("keep yes").await;
    assert_refused(servers.remove(&service, &item.id()).await, &["403"], &[PASSWORD]);
    swift.order("keep no").await;
    swift.order("object alpha_example_com ..").await;
    let told = ["no URL leads to its object `..`"];
    assert_refused(servers.remove(&service, &item.id()).await, &told, &[PASSWORD]);
    assert!(servers.find(&service, &item.id()).await.unwrap());

    swift.order("status 503 busy").await;
    assert_away(servers.find(&service, &item.id()).await, &["503"], &[PASSWORD]);
    swift.order(&format!("status 503 {PASSWORD}")).await;
    assert_away(servers.find(&service, &item.id()).await, &["503", "***"], &[PASSWORD]);
    swift.order("status 429 slowly").await;
    let asked = servers.find(&service, &item.id()).await.unwrap_err();
    assert!(matches!(asked.class, Class::RateLimited(_)), "{asked:?}");
    swift.order("status 404 nothing").await;
    let lost = servers.find(&service, &item.id()).await;
    assert!(lost.is_err(), "a login that leads nowhere is no absence: {lost:?}");
    swift.end().await;
    assert_away(servers.find(&service, &item.id()).await, &["does not answer"], &[PASSWORD]);
}
