//! Containers in the Swift of a real OpenStack.

use super::{PATIENCE, use_stack};
use crate::provisioning::assert_refused;
use ocim_adapters::provisioning::Provisioning;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_domain::provisioning::{Item, Service, SwiftAccount};
use std::time::Instant;

#[tokio::test]
async fn a_real_swift_has_the_container_and_lets_everybody_read_until_it_goes() {
    let stack = use_stack().await;
    let user = stack.user();
    let service = Service::Swift(SwiftAccount {
        user: user["OS_USERNAME"].clone(),
        password: user["OS_PASSWORD"].clone(),
        tenant: user["OS_PROJECT_NAME"].clone(),
        auth_url: user["OS_AUTH_URL"].clone(),
        region: "RegionOne".to_owned(),
    });
    let servers = SharedServers::default();
    let item = Item::SwiftContainer("alpha_real_test".to_owned());
    let id = item.id();
    servers.check(&service).await.unwrap();
    for _ in 0..2 {
        servers.ensure(&service, std::slice::from_ref(&item)).await.unwrap();
    }
    assert!(servers.find(&service, &id).await.unwrap());
    let fill = "store = cloud.object_store
for name in ('a', 'b/../c', 'ü ?#%2e', 'a b'):
    store.upload_object(container='alpha_real_test', name=name, data=b'seen')
print(store.get_endpoint())";
    let place = stack.client(&user, fill);
    let anybody = reqwest::Client::builder().no_proxy().build().unwrap();
    let shown = anybody.get(format!("{place}/alpha_real_test/a%20b")).send().await.unwrap();
    assert_eq!((shown.status().as_u16(), shown.text().await.unwrap().as_str()), (200, "seen"));
    let begun = Instant::now();
    while servers.find(&service, &id).await.unwrap() {
        servers.remove(&service, &id).await.unwrap();
        assert!(begun.elapsed() < PATIENCE, "it is still there");
    }
    let left = stack.client(&user, "print(*[it.name for it in cloud.object_store.containers()])");
    assert!(!left.contains("alpha_real_test"), "{left}");
    servers.remove(&service, &id).await.unwrap();
    let wrong = "wrong-password".to_owned();
    let Service::Swift(account) = service else { panic!() };
    let wrong = Service::Swift(SwiftAccount { password: wrong, ..account });
    let words = ["answers 401", "the account in `swift_openstack_*` is refused"];
    assert_refused(servers.check(&wrong).await, &words, &["wrong-password"]);
}
