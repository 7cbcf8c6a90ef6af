//! The configured balancer is registered once, however long its host takes to be found.

use super::outside::Outside;
use super::stage::{REGION, Stage, registration, somebody};
use async_trait::async_trait;
use ocim::app::LaunchAsk;
use ocim::app::load_balancers::load_balancer_id;
use ocim::balancer_keeper::{BalancerKeeper, KeeperTask, Progress, Wanted};
use ocim_adapters::hosts::Hosts;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::load_balancer::Registration;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::{Cause, Phase, Verb};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Finds its host from the call after `failures` on.
#[derive(Debug, Default)]
struct SlowHosts {
    failures: u32,
    calls: AtomicU32,
}

#[async_trait]
impl Hosts for SlowHosts {
    async fn find_addresses(&self, _domain: &str) -> Result<Vec<IpAddr>, PortError> {
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.failures {
            return Err(PortError::transient("it is not found"));
        }
        Ok(vec!["192.0.2.77".parse().unwrap()])
    }

    async fn read_host_keys(&self, _ip: IpAddr, _port: u16) -> Result<Vec<String>, PortError> {
        Ok(vec!["ssh-ed25519 SHOWN".to_owned()])
    }
}

fn given(stage: &Stage, hosts: &Arc<SlowHosts>, user: &str, host_keys: &[&str]) -> BalancerKeeper {
    let wanted = Wanted::Given {
        user: user.to_owned(),
        domain: "lb.example.com".to_owned(),
        host_keys: host_keys.iter().map(|key| (*key).to_owned()).collect(),
        fragment_name_prefix: "ocim-".to_owned(),
    };
    BalancerKeeper::new(stage.app().clone(), hosts.clone(), wanted, stage.world.limits.clone())
}

#[tokio::test(start_paused = true)]
async fn a_configured_balancer_is_registered_once_and_what_is_registered_stands() {
    for (configured, expected) in
        [(vec![], "ssh-ed25519 SHOWN"), (vec!["ssh-rsa OURS"], "ssh-rsa OURS")]
    {
        let (stage, hosts) = (Stage::new().await, Arc::new(SlowHosts::default()));
        let keeper = given(&stage, &hosts, "ubuntu", &configured);
        for _ in 0..2 {
            assert_eq!(keeper.attempt().await.unwrap(), Progress::There);
        }
        given(&stage, &hosts, "somebody", &[]).attempt().await.unwrap();
        let known = stage.app().list_registered_balancers().await.unwrap();
        let id = load_balancer_id("lb.example.com");
        let (_, balancer) = known.into_iter().find(|(other, _)| *other == id).unwrap();
        assert_eq!(balancer.host_keys, [expected]);
        let address = balancer.address;
        assert_eq!((address.ssh_user.as_str(), address.ssh_port), ("ubuntu", 22));
        let changes = ["load_balancer.registered", "load_balancer.registration_changed"];
        assert_eq!(stage.events(&changes).await.len(), 2, "the stage's own and this one");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_found_is_looked_for_again_with_growing_pauses() {
    let stage = Stage::new().await;
    let hosts = Arc::new(SlowHosts { failures: 3, ..SlowHosts::default() });
    let task = KeeperTask::start(given(&stage, &hosts, "ubuntu", &[]));
    // Pauses of 30, 60 and 120 seconds lie between the four looks.
    tokio::time::sleep(Duration::from_secs(209)).await;
    assert_eq!(stage.app().list_registered_balancers().await.unwrap().len(), 1);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(stage.app().list_registered_balancers().await.unwrap().len(), 2);
    assert_eq!(hosts.calls.load(Ordering::Relaxed), 4);
    task.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_next_attempt_at_a_balancer_has_the_same_links_as_the_one_before() {
    let stage = Stage::resume(Outside::new(), InstanceId(Uuid::nil()));
    let wanted = Wanted::Made {
        region: REGION.to_owned(),
        simulated: false,
        flavor: json!({}),
        image: json!({}),
    };
    let (app, limits) = (stage.app().clone(), stage.world.limits.clone());
    let keeper = BalancerKeeper::new(app, Arc::new(SlowHosts::default()), wanted, limits);
    let mut addresses = vec![];
    for attempt in 1..=3 {
        assert_eq!(keeper.attempt().await.unwrap(), Progress::UnderWay);
        let started = stage.events(&["saga.started"]).await;
        assert_eq!(started.len(), attempt);
        let input = &started.last().unwrap().data["input"];
        addresses.push(input["also_listens"].as_str().unwrap().to_owned());
        let run = RunId(started.last().unwrap().stream.id());
        let given_up = Verb::Abandon;
        stage.app().operate_run(&somebody(), run, given_up, "no".to_owned(), false).await.unwrap();
    }
    addresses.dedup();
    assert_eq!(addresses.len(), 1, "{addresses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_launch_waits_for_the_next_attempts_at_a_balancer_but_not_for_ever() {
    for (failures, is_waited_for) in [(2, true), (3, false)] {
        let stage = Stage::new().await;
        let full = Registration { accepts_new_backends: false, ..registration() };
        stage.app().register_load_balancer(&somebody(), full).await.unwrap();
        let hosts = Arc::new(SlowHosts { failures, ..SlowHosts::default() });
        let task = KeeperTask::start(given(&stage, &hosts, "ubuntu", &[]));
        let launched = stage.begin_launch(LaunchAsk::default()).await;
        let run = stage.drive(launched.run).await;
        task.stop().await;
        match run.phase {
            Phase::Completed => assert!(is_waited_for),
            Phase::Unwound(Cause::StepFailed { step, .. }) => {
                assert!(!is_waited_for);
                assert_eq!(step, "assign_load_balancer");
            }
            other => panic!("{other:?}"),
        }
    }
}
