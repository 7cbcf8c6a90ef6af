//! `vm1`, `vm2`, … in the DNS: they follow the traffic, and leave with it.

use super::stage::{Stage, because, create_instance, somebody};
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim::app::{AppError, DetailsAsk, ForceAsk};
use ocim_adapters::faults::Fault;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::ledger::Kind;
use ocim_domain::port_error::Class;
use ocim_domain::saga::Phase;
use ocim_domain::server::Server;
use serde_json::{Value, json};
use std::net::IpAddr;

const FIRST: &str = "vm1.alpha.example.com";
const SECOND: &str = "vm2.alpha.example.com";

async fn address(stage: &Stage, id: AppserverId) -> IpAddr {
    let journal = stage.app().journal();
    let loaded = journal.load::<Appserver>(&id.stream()).await.unwrap().state;
    let server = loaded.present().unwrap().launched.server;
    let loaded = journal.load::<Server>(&server.stream()).await.unwrap().state;
    loaded.present().unwrap().address.clone().unwrap().ip
}

fn names(stage: &Stage) -> Vec<(String, IpAddr)> {
    stage.dns.addresses().into_iter().collect()
}

/// The names of the ledger that lead to machines.
async fn ledger(stage: &Stage) -> Vec<String> {
    let entries = stage.app().ledger_of(stage.instance).await.unwrap().into_iter();
    let named = entries.map(|entry| entry.resource.id).filter(|id| id.kind == Kind::DnsName);
    named.map(|id| id.key).filter(|key| key.starts_with("vm")).collect()
}

async fn complete(stage: &Stage, run: RunId) {
    let run = stage.drive(run).await;
    assert_eq!(run.phase, Phase::Completed, "{run:#?}");
}

#[tokio::test(start_paused = true)]
async fn names_of_machines_follow_the_traffic_and_leave_with_it() {
    let stage = Stage::new().await;
    let one = stage.launch_active().await.appserver;
    let of_one = (FIRST.to_owned(), address(&stage, one).await);
    assert_eq!(names(&stage), std::slice::from_ref(&of_one));
    let two = stage.launch_active().await.appserver;
    let ip = address(&stage, two).await;
    assert_eq!(names(&stage), [of_one, (SECOND.to_owned(), ip)]);
    assert_eq!(ledger(&stage).await, [FIRST, SECOND]);
    // Who stays moves up, and no name is left over.
    let run = stage.begin_deactivation(one).await;
    complete(&stage, run).await;
    assert_eq!(names(&stage), [(FIRST.to_owned(), ip)]);
    assert_eq!(ledger(&stage).await, [FIRST]);
    let force = ForceAsk { force: true };
    let run = stage.app().terminate_appserver(&because(), two, force).await.unwrap().value;
    stage.start(run).await;
    complete(&stage, run).await;
    assert!(names(&stage).is_empty() && ledger(&stage).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_goes_only_once_its_name_is_gone() {
    let stage = Stage::new().await;
    let one = stage.launch_active().await.appserver;
    let force = ForceAsk { force: true };
    let run = stage.app().terminate_appserver(&because(), one, force).await.unwrap().value;
    stage.start(run).await;
    stage.dns.faults.fail("remove_names", 1, Fault::Before(Class::Transient));
    stage.drive_until(run, |run| run.steps.contains_key("delete_server")).await;
    assert!(names(&stage).is_empty(), "the address may be somebody else's soon");
    complete(&stage, run).await;
    assert!(stage.cloud.machines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_leaves_none_and_a_deleted_one_frees_them() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.launch_active().await;
    let taken = |stage: &Stage| {
        let Value::Object(settings) = json!({ "name": "other", "internal_lms_domain": SECOND })
        else {
            panic!()
        };
        let app = stage.app().clone();
        async move { app.create_instance(&somebody(), settings, DetailsAsk::default()).await }
    };
    assert!(matches!(taken(&stage).await, Err(AppError::NamesTaken(_))));
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert!(names(&stage).is_empty() && ledger(&stage).await.is_empty());
    assert!(matches!(taken(&stage).await, Err(AppError::NamesTaken(_))), "it may come back");
    let ask = DeleteAsk { confirmation: "alpha.example.com".to_owned(), ignore: vec![] };
    let run = stage.begin_change(LifecycleAsk::Delete(ask)).await;
    complete(&stage, run).await;
    assert!(taken(&stage).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_name_that_another_site_has_stays_its_own() {
    let stage = Stage::new().await;
    create_instance(stage.app(), "vm1.alpha").await;
    let one = stage.launch_active().await.appserver;
    assert!(names(&stage).is_empty(), "vm1 is the other site");
    let two = stage.launch_active().await.appserver;
    assert_eq!(names(&stage), [(SECOND.to_owned(), address(&stage, two).await)]);
    let run = stage.begin_deactivation(one).await;
    complete(&stage, run).await;
    assert!(names(&stage).is_empty());
}
