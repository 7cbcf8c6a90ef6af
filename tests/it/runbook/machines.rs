//! Machines and regions in trouble, and read models that stand still.

use super::Desk;
use super::node::{Node, REGION};
use crate::sagas::reconciler::stray;
use ocim::reconciler::RegionWatch;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::faults::Fault;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::event::{Metadata, NewEvent};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use ocim_engine::store::{EventStore, Expected};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn the_machine_of_a_failed_launch_is_kept_longer_or_taken_away() {
    let desk = Desk::open("A launch failed, its machine is there").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    let end = RunState::Exited(2);
    node.playbooks.set_default_script(Script { end, ..Script::default() });
    let instance = desk.server.given_instance("alpha").await;
    let (appserver, run) = desk.given_launch(&instance).await;
    assert_eq!(desk.await_end(&run).await, "unwound");
    let listed = desk.tell(&["appserver", "list", &instance]).await;
    desk.finds(&listed, &["failed"]);
    let shown = desk.tell(&["appserver", "show", &appserver, "--json"]).await;
    desk.finds(&shown, &["failure", "keeps_server_until"]);
    assert!(desk.tell(&["appserver", "logs", &appserver]).await.contains("PLAY RECAP"));
    let needs = desk.server.get("/status").await["needs"].clone();
    assert_eq!(needs[0]["code"], "failed_launch_kept", "{needs}");
    assert_eq!(needs[0]["advice"], "ocim appserver logs alpha.example.com/1");
    let date = "2036-11-22T12:00:00Z";
    let why = ["--reason", "I look at it"];
    let keep = ["appserver", "keep", &appserver, "--until", date];
    desk.tell(&[&keep[..], &why].concat()).await;
    let shown = desk.tell(&["appserver", "show", &appserver, "--json"]).await;
    assert!(shown.contains(date), "{shown}");
    assert_eq!(node.cloud.machines().len(), 1);
    let clean_up = ["appserver", "clean-up", &appserver, "--wait"];
    desk.tell(&[&clean_up[..], &why].concat()).await;
    assert!(node.cloud.machines().is_empty());
    node.stop(desk).await;
}

#[tokio::test]
async fn a_vanished_machine_is_seen_replaced_and_terminated() {
    let desk = Desk::open("A machine vanished").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    let instance = desk.server.given_instance("alpha").await;
    let (first, run) = desk.given_launch(&instance).await;
    assert_eq!(desk.await_end(&run).await, "completed");
    let mut watch = RegionWatch::new(node.world.clone(), REGION);
    node.look(&mut watch).await;
    node.cloud.vanish_machine(&node.cloud.machines()[0].id);
    node.look(&mut watch).await;
    desk.finds(&desk.tell(&["server", "list"]).await, &["Vanished"]);
    desk.tell(&["appserver", "launch", &instance, "--wait"]).await;
    let list = ["appserver", "list", &instance, "--json"];
    let listed: Value = serde_json::from_str(&desk.tell(&list).await).unwrap();
    let second = listed[0]["id"].as_str().unwrap();
    desk.tell(&["appserver", "activate", second, "--wait"]).await;
    desk.tell(&["appserver", "terminate", &first, "--wait"]).await;
    let listed: Value = serde_json::from_str(&desk.tell(&list).await).unwrap();
    let statuses = [&listed[0]["status"], &listed[1]["status"]];
    assert_eq!(statuses, ["running", "terminated"], "{listed}");
    node.stop(desk).await;
}

#[tokio::test]
async fn a_machine_that_nobody_accounts_for_is_listed_and_deleted() {
    let desk = Desk::open("A machine that nobody accounts for").await;
    let node = Node::start(&desk).await;
    let machine = node.cloud.create_machine(&stray(7)).await.unwrap().id;
    node.look(&mut RegionWatch::new(node.world.clone(), REGION)).await;
    let listed = desk.tell(&["server", "orphans"]).await;
    assert!(listed.contains(&machine) && listed.contains("edxapp-stray"), "{listed}");
    let needs = desk.server.get("/status").await["needs"].clone();
    assert_eq!((&needs[0]["code"], &needs[0]["id"]), (&json!("orphan"), &json!(machine)));
    let delete = ["server", "delete-orphan", REGION, &machine, "--wait"];
    desk.tell(&[&delete[..], &["--reason", "nobody's"]].concat()).await;
    assert!(node.cloud.machines().is_empty());
    let listed = desk.tell(&["server", "orphans"]).await;
    assert!(!listed.contains(&machine), "{listed}");
    node.stop(desk).await;
}

#[tokio::test]
async fn what_no_site_has_is_found_and_deleted() {
    let desk = Desk::open("Something that no site has").await;
    let node = Node::start(&desk).await;
    let machine = node.cloud.create_machine(&stray(7)).await.unwrap().id;
    let listed = desk.tell(&["resources", "scan"]).await;
    desk.finds(&listed, &["orphans", "it bears our mark"]);
    let id = format!("machine/{REGION}/{machine}");
    assert!(listed.contains(&id), "{listed}");
    let delete = ["resources", "delete", &id, "--reason", "nobody's"];
    let would = desk.tell(&[&delete[..], &["--dry-run"]].concat()).await;
    assert!(would.contains("a run would remove the machine"), "{would}");
    desk.tell(&[&delete[..], &["--wait"]].concat()).await;
    assert!(node.cloud.machines().is_empty());
    node.cloud.faults.fail_always("list_machines", Fault::Before(Class::Transient));
    assert_eq!(desk.ask(&["resources", "scan"]).await, 8, "one did not answer");
    node.stop(desk).await;
}

#[tokio::test]
async fn what_a_site_misses_is_found_and_made_again() {
    let desk = Desk::open("Something of a site is missing").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    let instance = desk.server.given_instance("alpha").await;
    let (_, run) = desk.given_launch(&instance).await;
    assert_eq!(desk.await_end(&run).await, "completed");
    node.cloud.vanish_machine(&node.cloud.machines()[0].id);
    let listed = desk.tell(&["resources", "scan", &instance, "--kind", "machine"]).await;
    desk.finds(&listed, &["missing", "INSTEAD"]);
    assert!(listed.contains(&format!("{instance}/machine/serv_")), "{listed}");
    node.look(&mut RegionWatch::new(node.world.clone(), REGION)).await;
    desk.tell(&["appserver", "launch", &instance, "--wait"]).await;
    let listed = desk.tell(&["resources", "scan", &instance, "--kind", "machine"]).await;
    assert!(!listed.contains("/machine/serv_"), "{listed}");
    node.stop(desk).await;
}

#[tokio::test]
async fn a_region_that_does_not_answer_is_told_until_it_does() {
    let desk = Desk::open("A region does not answer").await;
    let node = Node::start(&desk).await;
    let mut watch = RegionWatch::new(node.world.clone(), REGION);
    node.cloud.faults.fail_always("list_machines", Fault::Before(Class::Transient));
    node.look(&mut watch).await;
    let looks = desk.tell(&["server", "looks"]).await;
    assert!(looks.contains("failed as ordered"), "{looks}");
    node.cloud.faults.clear();
    node.look(&mut watch).await;
    let looks = desk.tell(&["server", "looks"]).await;
    assert!(looks.contains(REGION) && !looks.contains("failed"), "{looks}");
    node.stop(desk).await;
}

#[tokio::test]
async fn a_read_model_that_stands_still_is_named_with_its_event_and_built_anew() {
    let desk = Desk::open("Pages show old data").await;
    let run = RunId(Uuid::from_u128(5));
    let (kind, meta) = ("saga.completed".to_owned(), Metadata::by("system"));
    // From a future that this version can't read.
    let event = NewEvent { id: Uuid::from_u128(6), kind, schema: 99, data: json!({}), meta };
    let store = desk.server.app.store();
    store.append(&run.stream(), Expected::NoStream, vec![event]).await.unwrap();
    let ready = || desk.server.bare("GET", "/ready");
    let response = desk.server.until(|answer| answer.status() == 503, ready).await;
    let paused = response.text().await.unwrap();
    let event = Uuid::from_u128(6).to_string();
    assert!(paused.contains(&format!("is paused at the event {event}")), "{paused}");
    let status = desk.tell(&["projections", "status", "--json"]).await;
    let status: Value = serde_json::from_str(&status).unwrap();
    let mut all = status.as_array().unwrap().iter();
    let paused = all.find(|it| !it["failure"].is_null()).unwrap();
    let name = paused["name"].as_str().unwrap();
    desk.tell(&["projections", "rebuild", name]).await;
    assert!(desk.tell(&["events", "verify"]).await.contains('1'), "the log is whole");
    assert_eq!(desk.ask(&["projections", "rebuild", "nothing"]).await, 3);
    assert_eq!(paused["failure"]["event"], event.as_str());
    desk.tell(&["projections", "skip", name, &event, "--reason", "people need the pages"]).await;
    desk.server.until(|answer| answer.status() == 200, ready).await;
    desk.server.stop().await;
}

#[tokio::test]
async fn what_a_deletion_left_is_deleted_again_or_resolved() {
    let desk = Desk::open("A site was deleted, and something of it is left").await;
    desk.given_balancer().await;
    let node = Node::start(&desk).await;
    let why = ["--reason", "the course is over"];
    for is_mended in [true, false] {
        node.cloud.faults.fail_always("delete_machine", Fault::Before(Class::Permanent));
        let instance = desk.server.given_instance("alpha").await;
        let (_, run) = desk.given_launch(&instance).await;
        assert_eq!(desk.await_end(&run).await, "completed");
        let delete = ["instance", "delete", &instance, "--confirm", "alpha.example.com", "--wait"];
        let delete = [&delete[..], &why].concat();
        desk.tell(&[&delete[..], &["--ignore", "machine"]].concat()).await;
        let listed = desk.tell(&["resources", "list", &instance, "-o", "wide"]).await;
        desk.finds(&listed, &["WHY"]);
        let id = listed.split_whitespace().find(|word| word.contains("/machine/")).unwrap();
        assert_eq!(desk.server.get("/instances").await["items"], json!([]), "its names are free");
        if is_mended {
            node.cloud.faults.clear();
            desk.tell(&delete).await;
            assert!(node.cloud.machines().is_empty());
        } else {
            desk.tell(&[&["resources", "resolve", id][..], &why].concat()).await;
        }
        let left = desk.server.get(&format!("/resources?instance={instance}")).await;
        assert_eq!(left["items"], json!([]));
    }
    node.stop(desk).await;
}
