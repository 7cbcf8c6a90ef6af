//! Traffic that does not go where it should.

use super::Desk;
use super::node::Node;
use crate::sagas::stage::somebody;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance::{Command, Instance, NameTrouble};

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
