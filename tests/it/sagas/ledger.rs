//! What the ledger of an instance says, as its launches come and go.

use super::stage::{BALANCER, REGION, Stage};
use ocim::app::LaunchAsk;
use ocim_adapters::faults::Fault;
use ocim_domain::ledger::{Kind, Ledger, Sight, ledger_id};
use ocim_domain::port_error::Class;
use ocim_domain::saga::Phase;
use std::collections::BTreeMap;

/// Kind and key of each entry, with where it is and whether.
async fn entries(stage: &Stage) -> BTreeMap<(Kind, String), (String, Sight)> {
    let stream = ledger_id(stage.instance).stream();
    let ledger = stage.app().journal().load::<Ledger>(&stream).await.unwrap().state;
    let entry = |(id, entry): (_, ocim_domain::ledger::Entry)| {
        let id: ocim_domain::ledger::ResourceKey = id;
        ((id.kind, id.key), (entry.resource.place, entry.sight))
    };
    ledger.entries.into_iter().map(entry).collect()
}

async fn count(stage: &Stage, kind: Kind) -> usize {
    entries(stage).await.keys().filter(|(known, _)| *known == kind).count()
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_served_has_its_machine_names_groups_and_fragment() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let entries = entries(&stage).await;
    assert!(entries.values().all(|(_, sight)| *sight == Sight::Present), "{entries:#?}");
    let places = |kind: Kind| -> Vec<&str> {
        let of_kind = entries.iter().filter(|((known, _), _)| *known == kind);
        of_kind.map(|(_, (place, _))| place.as_str()).collect()
    };
    assert_eq!(places(Kind::Machine), [REGION]);
    assert_eq!(places(Kind::SecurityGroups), [REGION]);
    assert_eq!(places(Kind::Fragment), [BALANCER]);
    let names = stage.outside.dns.aliases();
    assert!(!names.is_empty());
    let machines = stage.outside.dns.addresses();
    let of_machines = machines.values().map(ToString::to_string);
    let mut led: Vec<_> = vec![BALANCER.to_owned(); names.len()];
    led.extend(of_machines);
    assert_eq!(places(Kind::DnsName), led);
    for name in names.keys().chain(machines.keys()) {
        assert!(entries.contains_key(&(Kind::DnsName, name.clone())), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_launch_adds_its_machine_and_tells_nothing_twice() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let told = stage.events(&["ledger.resource_wanted"]).await.len();
    let second = stage.launch().await;
    assert_eq!(stage.events(&["ledger.resource_wanted"]).await.len(), told + 1);
    assert_eq!(count(&stage, Kind::Machine).await, 2);
    let run = stage.begin_termination(second.appserver).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_eq!(count(&stage, Kind::Machine).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_turns_back_leaves_no_machine() {
    let stage = Stage::new().await;
    stage.cloud.faults.fail_always("create_machine", Fault::After(Class::Permanent));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert!(matches!(stage.drive(launched.run).await.phase, Phase::Unwound(_)));
    assert_eq!(count(&stage, Kind::Machine).await, 0);
    let wanted = stage.events(&["ledger.resource_wanted"]).await;
    let machines = wanted.iter().filter(|event| event.data["resource"]["kind"] == "machine");
    assert_eq!(machines.count(), 1, "it was wanted before it was asked for");
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_does_not_answer_makes_it_unknown_and_absence_alone_ends_that() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    stage.cloud.faults.fail("delete_machine", 1, Fault::Before(Class::Transient));
    let run = stage.begin_termination(launched.appserver).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let kinds = ["ledger.resource_unknown", "ledger.resource_absent"];
    let told: Vec<_> = stage.events(&kinds).await.into_iter().map(|event| event.kind).collect();
    assert_eq!(told, kinds);
    assert_eq!(count(&stage, Kind::Machine).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_its_provider_refuses_for_good_is_wanted_no_more() {
    let stage = Stage::new().await;
    stage.outside.dns.faults.fail_always("set_names", Fault::Before(Class::Permanent));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert!(matches!(stage.drive(launched.run).await.phase, Phase::Unwound(_)));
    assert_eq!(count(&stage, Kind::DnsName).await, 0);
    assert!(!stage.events(&["ledger.resource_wanted"]).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_seen_and_is_not_let_go_is_there() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    stage.cloud.faults.fail_always("delete_machine", Fault::Before(Class::Permanent));
    let run = stage.begin_termination(launched.appserver).await;
    assert!(stage.drive(run).await.phase.is_stuck());
    let machines =
        entries(&stage).await.into_iter().filter(|((kind, _), _)| *kind == Kind::Machine);
    let sights: Vec<_> = machines.map(|(_, (_, sight))| sight).collect();
    assert_eq!(sights, [Sight::Present]);
    assert!(stage.events(&["ledger.resource_unknown", "server.sight_lost"]).await.is_empty());
}
