//! The program itself, whose machines are servers of a real OpenStack: what it looks at before, and a site from its
//! launch to its end.

use super::{KEY, PATIENCE, POLL, access, config, use_stack};
use crate::support::ocim::{Ground, text};
use crate::support::private_openstack::PrivateOpenStack;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::cloud::openstack::{OpenStackCloud, OpenStackConfig};
use serde_json::json;
use std::process::{Command, Output};
use std::time::Instant;

const CLOUDS: &str = r#"{"local": {"kind": "local"}, "north": {"kind": "openstack",
    "region": "RegionOne", "network": "private"}}"#;

/// The configuration of an Ocim whose sites are at OpenStack; its balancer is on this computer.
pub(crate) fn variables(stack: &PrivateOpenStack, owner: &str) -> Vec<(String, String)> {
    let own = [
        ("OCIM_CLOUDS", CLOUDS),
        ("OCIM_ID", owner),
        ("OPENSTACK_REGION", "north"),
        ("OPENSTACK_SANDBOX_FLAVOR", r#"{"ram": 512}"#),
        ("OPENSTACK_SANDBOX_BASE_IMAGE", r#"{"name": "Ubuntu 22.04"}"#),
        ("OPENSTACK_SANDBOX_SSH_KEYNAME", owner),
        ("SHUTDOWN_TIMEOUT", "20"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    stack.user().into_iter().chain(own).collect()
}

pub(crate) fn borrow(variables: &[(String, String)]) -> Vec<(&str, &str)> {
    variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appserver_is_launched_on_a_server_serves_and_goes_with_it() {
    let stack = use_stack().await;
    let owner = "launch";
    let variables = variables(&stack, owner);
    let ground = Ground::serve_with(&borrow(&variables)).await;
    ground.await_balancer().await;
    let instance = ground.create_instance("alpha").await;
    let mut plan = ground.command(&["appserver", "plan", "alpha"]);
    plan.envs(borrow(&variables));
    let plan = run(plan).await;
    let told = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.status.success(), "{told}{}", String::from_utf8_lossy(&plan.stderr));
    assert!(told.contains("of 100 instances are in use, the machine takes 1"), "{told}");
    let (appserver, launched) = ground.launch(&instance).await;
    assert_eq!(ground.await_run(&launched).await, "completed");
    let activated = ground.activate(&appserver).await;
    assert_eq!(ground.await_run(&activated).await, "completed");
    let page = ground.visit("alpha.localhost").await.unwrap();
    assert!(page.contains("Site alpha"), "{page}");
    // It is where Nova has put it, and bears our mark.
    let cloud = OpenStackConfig { owner: owner.to_owned(), ..config(access(&stack, None), owner) };
    let cloud = OpenStackCloud::new(cloud).unwrap();
    let machines = cloud.list_machines().await.unwrap();
    let [machine] = &machines[..] else { panic!("{machines:?}") };
    let shown = ground.get(&format!("/api/v1/appservers/{appserver}")).await;
    assert!(
        shown.to_string().contains(&machine.address.as_ref().unwrap().ip.to_string()),
        "{shown}"
    );
    let why = json!({"reason": "it was a test"});
    let archived = ground.post(&format!("/instances/{instance}/archive"), why).await;
    assert_eq!(ground.await_run(&text(&archived, "run")).await, "completed");
    let begun = Instant::now();
    while !cloud.list_machines().await.unwrap().is_empty() {
        assert!(begun.elapsed() < PATIENCE);
        tokio::time::sleep(POLL).await;
    }
    let password = &stack.user()["OS_PASSWORD"];
    assert!(!ground.read_logs().contains(password));
}

#[tokio::test]
async fn the_doctor_tries_the_credentials_of_each_region() {
    let stack = use_stack().await;
    let ground = Ground::prepare().await;
    let ask = async |variables: &[(String, String)]| {
        let mut command = ground.command(&["doctor"]);
        command.envs(borrow(variables));
        let output = run(command).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = told.lines().find(|line| line.starts_with("region_north"));
        line.unwrap_or_else(|| panic!("{told}")).to_owned()
    };
    let mut variables = variables(&stack, "doctor");
    let line = ask(&variables).await;
    assert!(line.contains(" ok ") && line.contains("takes the credentials"), "{line}");
    variables.push(("OPENSTACK_SANDBOX_FLAVOR".to_owned(), r#"{"vcpus": 1}"#.to_owned()));
    let line = ask(&variables).await;
    assert!(line.contains("FAILS") && line.contains("`m1.tiny` (1)"), "{line}");
    variables.push(("OS_PASSWORD".to_owned(), "hunter2".to_owned()));
    let line = ask(&variables).await;
    assert!(line.contains("FAILS") && line.contains("look at the region's credentials"), "{line}");
    assert!(!line.contains("hunter2") && !line.contains(KEY), "{line}");
}
