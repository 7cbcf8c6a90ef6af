//! The project's quota is used up in the middle of a launch: that is told, and the launch goes on once there is room.

use super::launch::{borrow, variables};
use super::{PATIENCE, POLL, access, config, own_stack};
use crate::support::credentials::CredentialWatch;
use crate::support::ocim::Ground;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::cloud::openstack::{OpenStackCloud, OpenStackConfig};
use serde_json::json;
use std::time::Instant;

const CREATE: &str = "launch_appserver.create_server.after_intent";

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_used_up_in_the_middle_is_told_and_waited_for() {
    let stack = own_stack().await;
    let owner = "quota";
    let variables = variables(&stack, owner);
    let user = stack.user();
    let watch = CredentialWatch::start(&[("the password", &user["OS_PASSWORD"])]);
    let ground = Ground::serve_with(&borrow(&variables)).await;
    ground.await_balancer().await;
    let instance = ground.create_instance("alpha").await;
    ground.hold(CREATE);
    let (_, run) = ground.launch(&instance).await;
    ground.await_hold(CREATE).await;
    let set_quota = |instances: u32| {
        let project = &user["OS_PROJECT_NAME"];
        let script = format!("cloud.set_compute_quotas('{project}', instances={instances})");
        stack.client(&stack.administrator(), &script);
    };
    set_quota(0);
    ground.release(CREATE);
    let path = format!("/api/v1/runs/{run}");
    let told = ground
        .wait_for("the launch to tell of the quota", async || {
            let shown = ground.get(&path).await.to_string();
            shown.contains("Quota exceeded").then_some(shown)
        })
        .await;
    set_quota(100);
    assert!(told.contains("region north"), "{told}");
    assert!(told.contains("have the project's quota raised"), "{told}");
    let config = OpenStackConfig { owner: owner.to_owned(), ..config(access(&stack, None), owner) };
    let cloud = OpenStackCloud::new(config).unwrap();
    let list = async || cloud.list_machines().await.unwrap();
    let begun = Instant::now();
    while list().await.is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(POLL).await;
    }
    // Somebody has seen enough: nothing is left, and the ledger says so.
    ground.post(&format!("/runs/{run}/cancel"), json!({ "reason": "a test" })).await;
    assert_eq!(ground.await_run(&run).await, "unwound");
    assert!(list().await.is_empty());
    let left = ground.get(&format!("/api/v1/resources?instance={instance}&kind=machine")).await;
    assert_eq!(left["items"], json!([]));
    watch.assert_nowhere(&ground, &[told]).await;
}
