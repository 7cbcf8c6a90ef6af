//! Launches that wait for others, and for a balancer.

use super::Desk;
use super::node::{Node, REGION, until};
use async_trait::async_trait;
use ocim::balancer_keeper::{BalancerKeeper, Wanted};
use ocim::processes::world::Limits;
use ocim_adapters::faults::Fault;
use ocim_adapters::hosts::Hosts;
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::ErrorCode;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

#[tokio::test]
async fn a_launch_in_line_is_told_its_place_and_taken_out_of_it() {
    let desk = Desk::open("Waits: for a slot").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    node.cloud.set_boot_reads(u32::MAX);
    let (alpha, beta) =
        (desk.server.given_instance("alpha").await, desk.server.given_instance("beta").await);
    let (_, first) = desk.given_launch(&alpha).await;
    // It has the slot by then.
    let builds =
        async || desk.explain(&first).await.contains("it waits for `await_server`").then_some(());
    until("a machine that is built", builds).await;
    let (_, second) = desk.given_launch(&beta).await;
    desk.await_told(&second, &["it waits for `await_slot` (attempt 1) to come to an end"]).await;
    let place = "waits for a slot in region local: 1 of 1 in line";
    let logged = async || desk.tell(&["run", "logs", &second]).await.contains(place).then_some(());
    until(place, logged).await;
    let regions = desk.tell(&["region", "list"]).await;
    assert!(regions.contains(&format!("1: {second}")), "{regions}");
    desk.tell(&["run", "cancel", &second, "--reason", "not needed"]).await;
    assert_eq!(desk.await_end(&second).await, "unwound");
    let regions = desk.tell(&["region", "list"]).await;
    assert!(!regions.contains(&second), "{regions}");
    node.stop(desk).await;
}

#[tokio::test]
async fn a_launch_that_waits_for_its_turn_follows_the_one_before_it() {
    let desk = Desk::open("Waits: for its turn").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    node.cloud.set_boot_reads(u32::MAX);
    let instance = desk.server.given_instance("alpha").await;
    let (_, first) = desk.given_launch(&instance).await;
    let (_, second) = desk.given_launch(&instance).await;
    desk.await_told(&second, &["it waits for `await_turn` (attempt 1) to come to an end"]).await;
    let open = desk.tell(&["run", "list", "--open"]).await;
    assert!(open.contains(&first), "{open}");
    desk.tell(&["run", "cancel", &first, "--reason", "it hangs"]).await;
    assert_eq!(desk.await_end(&first).await, "unwound");
    let follows = async || (!desk.explain(&second).await.contains("`await_turn`")).then_some(());
    until("the second launch", follows).await;
    node.stop(desk).await;
}

/// There are none to be found.
#[derive(Debug)]
struct NoHosts;

#[async_trait]
impl Hosts for NoHosts {
    async fn find_addresses(&self, _: &str) -> Result<Vec<IpAddr>, PortError> {
        Err(PortError::permanent(ErrorCode::ProgramMissing, "there are no hosts"))
    }

    async fn read_host_keys(&self, _: IpAddr, _: u16) -> Result<Vec<String>, PortError> {
        Err(PortError::permanent(ErrorCode::ProgramMissing, "there are no hosts"))
    }
}

#[tokio::test]
async fn without_a_balancer_the_run_that_makes_one_tells_why_it_failed() {
    let desk = Desk::open("No balancer").await;
    let node = Node::start(&desk).await;
    let instance = desk.server.given_instance("alpha").await;
    let (_, launch) = desk.given_launch(&instance).await;
    assert_eq!(desk.await_end(&launch).await, "unwound");
    let told = desk.explain(&launch).await;
    desk.finds(&told, &["no load balancer accepts instances, and none is being made"]);

    let (flavor, image) = (json!({}), json!({}));
    let wanted = Wanted::Made { region: REGION.to_owned(), simulated: false, flavor, image };
    let keeper =
        BalancerKeeper::new(desk.server.app.clone(), Arc::new(NoHosts), wanted, Limits::default());
    node.cloud.faults.fail_always("create_machine", Fault::Before(Class::Permanent));
    keeper.attempt().await.unwrap();
    let list = ["run", "list", "--definition", "provision_load_balancer"];
    let listed = desk.tell(&[&list[..], &["--json"]].concat()).await;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let making = listed[0]["id"].as_str().unwrap();
    assert_eq!(desk.await_end(making).await, "unwound");
    assert!(desk.explain(making).await.contains("failed as ordered"));
    assert!(desk.tell(&["run", "logs", making]).await.contains("failed as ordered"));

    node.cloud.faults.clear();
    keeper.attempt().await.unwrap();
    let launched = desk.tell(&["appserver", "launch", &instance, "--json"]).await;
    let launched: serde_json::Value = serde_json::from_str(&launched).unwrap();
    let run = launched["run"].as_str().unwrap();
    desk.await_end(run).await;
    let shown = desk.tell(&["run", "show", run]).await;
    assert!(shown.contains("assign_load_balancer done"), "{shown}");
    node.stop(desk).await;
}
