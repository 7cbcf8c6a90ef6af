//! Traffic that does not go where it should.

use super::Desk;
use super::node::Node;
use crate::sagas::stage::{BALANCER, somebody};
use ocim::reconciler::balancers::BalancerWatch;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{Command, Instance, NameTrouble};
use ocim_domain::port_error::Class;
use serde_json::{Value, json};
use std::sync::Arc;

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_seen_and_asked_for_again() {
    let desk = Desk::open("Visitors do not reach a site by one of its names").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    let instance = desk.server.given_instance("alpha").await;
    let (appserver, run) = desk.given_launch(&instance).await;
    assert_eq!(desk.await_end(&run).await, "completed");
    desk.tell(&["appserver", "activate", &appserver, "--wait"]).await;

    let (name, trouble) =
        ("studio.alpha.example.com".to_owned(), "the answer has status 503".to_owned());
    let troubles = vec![NameTrouble { name: name.clone(), trouble: trouble.clone() }];
    let stream = instance.parse::<InstanceId>().unwrap().stream();
    let (meta, command) = (somebody().metadata(), Command::ObserveNames { troubles });
    let journal = desk.server.app.journal();
    journal.execute::<Instance>(&stream, &meta, command).await.unwrap();
    desk.finds(&desk.tell(&["instance", "list"]).await, &["WRONG NAMES"]);
    let shown = desk.tell(&["instance", "show", &instance, "--json"]).await;
    desk.finds(&shown, &["name_troubles"]);
    assert!(shown.contains(&name) && shown.contains(&trouble), "{shown}");

    desk.tell(&["appserver", "activate", &appserver, "--wait"]).await;
    let shown = desk.tell(&["instance", "show", &instance, "--json"]).await;
    assert!(!shown.contains(&trouble), "{shown}");
    node.stop(desk).await;
}

/// What `ocim status` tells, which ends with 8 while something needs somebody.
async fn status(desk: &Desk) -> String {
    let output = desk.ocim(&["status"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    let needs = if told.starts_with("nothing needs you") { 0 } else { 8 };
    assert_eq!(output.status.code(), Some(needs), "{told}");
    told
}

#[tokio::test]
async fn a_balancer_that_no_run_puts_right_is_told_and_prepared_by_order() {
    let desk = Desk::open("A balancer is not as it should be").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    let mut watch = BalancerWatch::new(Arc::clone(&node.world));
    node.balancer.faults.fail_always("prepare_balancer", Fault::Before(Class::Permanent));
    node.balancer.stop_haproxy(BALANCER);
    watch.look().await.unwrap();
    let matter = "HAProxy is not running";
    desk.finds(&desk.tell(&["balancer", "list"]).await, &["TROUBLES", matter]);
    let told = status(&desk).await;
    assert!(told.contains(BALANCER) && told.contains(matter), "{told}");

    let list = ["run", "list", "--definition", "prepare_load_balancer", "--json"];
    let listed: Value = serde_json::from_str(&desk.tell(&list).await).unwrap();
    let run = listed[0]["id"].as_str().expect("it is to be put right by itself");
    assert_eq!(desk.await_end(run).await, "unwound");
    assert!(desk.explain(run).await.contains("failed as ordered"));

    node.balancer.faults.clear();
    let prepare = ["balancer", "prepare", BALANCER, "--reason", "the host is mended"];
    desk.tell(&[&prepare[..], &["--dry-run"]].concat()).await;
    assert!(status(&desk).await.contains(matter), "only looked at");
    desk.tell(&[&prepare[..], &["--wait"]].concat()).await;
    let listed: Value =
        serde_json::from_str(&desk.tell(&["balancer", "list", "--json"]).await).unwrap();
    assert_eq!(listed[0]["troubles"], json!([]), "{listed}");
    assert!(status(&desk).await.starts_with("nothing needs you"));

    node.balancer.faults.fail_always("read_balancer", Fault::Before(Class::Transient));
    for _ in 0..2 {
        watch.look().await.unwrap();
    }
    desk.finds(&status(&desk).await, &["does not answer"]);
    node.balancer.faults.clear();
    watch.look().await.unwrap();
    assert!(status(&desk).await.starts_with("nothing needs you"));
    node.stop(desk).await;
}
