//! Machines that change behind Ocim's back: told once, never touched.

use super::stage::{REGION, Stage, somebody};
use ocim::app::lifecycle::LifecycleAsk;
use ocim::app::{Caller, LaunchAsk, Launched};
use ocim::reconciler::{Reconciler, RegionWatch};
use ocim_adapters::cloud::local::{LocalCloud, LocalCloudConfig, destroy_all};
use ocim_adapters::cloud::{Cloud, Machine, MachineSpec};
use ocim_adapters::faults::Fault;
use ocim_adapters::shell::ssh::SshShell;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{RunId, ServerId};
use ocim_domain::inventory::{self, Orphan};
use ocim_domain::ledger::{Kind, Ledger, ResourceKey, Sight, ledger_id};
use ocim_domain::port_error::Class;
use ocim_domain::right::ReadScope;
use ocim_domain::saga::{Cause, Phase, Run, Step, Verb};
use ocim_domain::server::{Command, Power, Present, Server, Status};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const FACTS: [&str; 4] =
    ["server.vanished", "server.came_back", "server.power_changed", "server.error_seen"];
const TROUBLES: [&str; 2] = ["appserver.machine_troubled", "appserver.machine_recovered"];
const INVENTORIES: [&str; 5] = [
    "inventory.sight_lost",
    "inventory.sight_regained",
    "inventory.orphan_found",
    "inventory.orphan_settled",
    "inventory.orphan_deletion_requested",
];

fn watch(stage: &Stage) -> RegionWatch {
    RegionWatch::new(stage.world.clone(), REGION)
}

async fn kinds(stage: &Stage, kinds: &[&str]) -> Vec<String> {
    stage.events(kinds).await.into_iter().map(|event| event.kind).collect()
}

async fn server_id_of(stage: &Stage, launched: &Launched) -> ServerId {
    let stream = launched.appserver.stream();
    let loaded = stage.app().journal().load::<Appserver>(&stream).await.unwrap();
    loaded.state.present().unwrap().launched.server
}

/// What the ledger says of a launch's machine.
async fn ledger_of(stage: &Stage, launched: &Launched) -> Option<Sight> {
    let server = server_id_of(stage, launched).await;
    let stream = ledger_id(stage.instance).stream();
    let ledger = stage.app().journal().load::<Ledger>(&stream).await.unwrap().state;
    ledger.entries.get(&ResourceKey::new(Kind::Machine, server)).map(|entry| entry.sight)
}

#[tokio::test(start_paused = true)]
async fn what_a_stop_left_unsaid_in_a_ledger_is_said_by_the_first_look() {
    let stage = Stage::new().await;
    let launched = stage.launch_active().await;
    let server = server_id_of(&stage, &launched).await;
    // As after a stop between the two appends.
    stage.app().observe_server(server, Command::Vanish).await.unwrap();
    assert_eq!(ledger_of(&stage, &launched).await, Some(Sight::Present));
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    stage.cloud.vanish_machine(&machine);
    let mut watch = watch(&stage);
    look(&mut watch, 1).await;
    assert_eq!(ledger_of(&stage, &launched).await, None);
    // It is said once.
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &["ledger.resource_absent"]).await.len(), 1);
}

async fn look(watch: &mut RegionWatch, times: u32) {
    for _ in 0..times {
        watch.look().await.unwrap();
    }
}

async fn server_of(stage: &Stage, launched: &Launched) -> Present {
    let (journal, id) = (stage.app().journal(), server_id_of(stage, launched).await);
    journal.load::<Server>(&id.stream()).await.unwrap().state.present().unwrap().clone()
}

async fn trouble_of(stage: &Stage, launched: &Launched) -> Option<String> {
    let stream = launched.appserver.stream();
    let loaded = stage.app().journal().load::<Appserver>(&stream).await.unwrap().state;
    loaded.present().unwrap().trouble.clone()
}

pub(crate) fn stray(key: u128) -> MachineSpec {
    MachineSpec {
        key: Uuid::from_u128(key),
        name: "edxapp-stray".to_owned(),
        flavor: json!({}),
        image: json!({}),
        keyname: String::new(),
        security_groups: vec![],
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_vanishes_at_the_second_look_and_is_told_once() {
    let stage = Stage::new().await;
    let launched = stage.launch_active().await;
    let mut watch = watch(&stage);
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0], "nothing has changed");
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    stage.cloud.vanish_machine(&machine);
    look(&mut watch, 1).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0], "one look is none");
    look(&mut watch, 4).await;
    let told = stage.events(&FACTS).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(
        (told[0].kind.as_str(), &told[0].data["before"]),
        ("server.vanished", &json!("ready"))
    );
    assert_eq!(server_of(&stage, &launched).await.status, Status::Vanished);
    assert_eq!(kinds(&stage, &TROUBLES).await, ["appserver.machine_troubled"]);
    assert!(trouble_of(&stage, &launched).await.unwrap().contains(REGION));
    // Another node, or this one after a restart, has nothing to add.
    look(&mut RegionWatch::new(stage.world.clone(), REGION), 3).await;
    assert_eq!(stage.events(&FACTS).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_takes_its_machine_away_is_left_alone() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    let run = stage.begin_termination(launched.appserver).await;
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    stage.cloud.vanish_machine(&machine);
    let mut watch = watch(&stage);
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
    // So is a launch, at every point of it.
    stage.cloud.set_boot_reads(3);
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    for step in ["create_server", "await_server", "run_main_playbook", "reboot_server"] {
        stage.drive_until(launched.run, |run| run.steps.contains_key(step)).await;
        look(&mut watch, 2).await;
    }
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    look(&mut watch, 2).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_goes_with_its_archived_site_is_left_alone() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    // Some clouds take minutes to stop a machine, which stands in their lists meanwhile.
    stage.cloud.faults.fail("delete_machine", 1, Fault::Before(Class::Transient));
    stage.drive_until(run, |run| run.steps.contains_key("delete_servers")).await;
    stage.cloud.break_machine(&machine, "it is being deleted");
    look(&mut watch(&stage), 3).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_error_is_told_with_its_fault_and_its_end() {
    let stage = Stage::new().await;
    let launched = stage.launch_active().await;
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    let mut watch = watch(&stage);
    stage.cloud.break_machine(&machine, "the host burnt down");
    look(&mut watch, 3).await;
    let told = stage.events(&FACTS).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].data, json!({"before": "active", "fault": "the host burnt down"}));
    assert!(trouble_of(&stage, &launched).await.unwrap().contains("the host burnt down"));
    assert_eq!(server_of(&stage, &launched).await.power, Some(Power::Error));
}

#[tokio::test(start_paused = true)]
async fn a_cloud_that_does_not_answer_says_nothing_about_machines() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    let mut watch = watch(&stage);
    look(&mut watch, 1).await;
    let seen_at = stage.app().looks().of(REGION, ReadScope::Everything).last_seen_at;
    assert!(seen_at.is_some());
    stage.cloud.vanish_machine(&machine);
    look(&mut watch, 1).await;
    stage.cloud.faults.fail_always("list_machines", Fault::Before(Class::Transient));
    look(&mut watch, 5).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
    assert_eq!(kinds(&stage, &INVENTORIES).await, ["inventory.sight_lost"], "told once");
    assert!(stage.app().looks().of(REGION, ReadScope::Everything).error.is_some());
    stage.cloud.faults.clear();
    look(&mut watch, 1).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0], "two looks in a row begin anew");
    look(&mut watch, 1).await;
    assert_eq!(kinds(&stage, &FACTS).await, ["server.vanished"]);
    let told = kinds(&stage, &INVENTORIES).await;
    assert_eq!(told, ["inventory.sight_lost", "inventory.sight_regained"]);
    let look = stage.app().looks().of(REGION, ReadScope::Everything);
    assert_eq!((look.error, look.machines), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn an_orphan_is_told_once_and_goes_by_hand_alone() {
    let stage = Stage::new().await;
    stage.launch().await;
    let id = stage.cloud.create_machine(&stray(7)).await.unwrap().id;
    let mut watch = watch(&stage);
    look(&mut watch, 1).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0]);
    look(&mut watch, 4).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, ["inventory.orphan_found"]);
    let orphans = stage.app().list_orphans(REGION).await.unwrap();
    assert_eq!((orphans.len(), orphans[0].made_with), (1, Some(Uuid::from_u128(7))));
    assert_eq!(stage.cloud.machines().len(), 2, "it is not touched");

    let by = Caller { reason: Some("a leftover".to_owned()), ..somebody() };
    assert!(stage.app().delete_orphan(&somebody(), REGION, &id).await.is_err(), "no reason");
    assert!(stage.app().delete_orphan(&by, REGION, "fake-001").await.is_err(), "it has an owner");
    let planned = stage.app().plan_orphan_deletion(&by, REGION, &id).await.unwrap();
    assert_eq!(planned.id.key, id);
    let run = stage.app().delete_orphan(&by, REGION, &id).await.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_eq!(stage.cloud.machines().len(), 1);
    look(&mut watch, 3).await;
    let told = kinds(&stage, &INVENTORIES).await;
    let expected = [
        "inventory.orphan_found",
        "inventory.orphan_deletion_requested",
        "inventory.orphan_settled",
    ];
    assert_eq!(told, expected);
}

#[tokio::test(start_paused = true)]
async fn the_machine_of_an_ended_server_is_an_orphan_and_a_balancers_is_none() {
    let stage = Stage::new().await;
    let (run, mut watch) = (super::scenarios::begin_provision(&stage).await, watch(&stage));
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let launched = stage.launch().await;
    let key = {
        let stream = launched.appserver.stream();
        let loaded = stage.app().journal().load::<Appserver>(&stream).await.unwrap().state;
        loaded.present().unwrap().launched.server.0
    };
    let run = stage.begin_termination(launched.appserver).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0]);
    stage.cloud.create_machine(&stray(key.as_u128())).await.unwrap();
    look(&mut watch, 2).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, ["inventory.orphan_found"]);
}

async fn abandon(stage: &Stage, run: RunId) {
    let reason = "it helps nobody".to_owned();
    stage.app().operate_run(&somebody(), run, Verb::Abandon, reason, false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_machine_of_an_abandoned_balancer_is_an_orphan_and_goes_by_hand() {
    let stage = Stage::new().await;
    let (run, mut watch) = (super::scenarios::begin_provision(&stage).await, watch(&stage));
    stage.drive_until(run, |run| run.steps.contains_key("install_balancer")).await;
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0]);
    abandon(&stage, run).await;
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, ["inventory.orphan_found"]);
    let machine = stage.app().list_orphans(REGION).await.unwrap().remove(0).id.key;
    let by = Caller { reason: Some("a leftover".to_owned()), ..somebody() };
    let run = stage.app().delete_orphan(&by, REGION, &machine).await.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(stage.cloud.machines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_was_registered_before_its_run_was_abandoned_keeps_its_machine() {
    let stage = Stage::new().await;
    let (run, mut watch) = (super::scenarios::begin_provision(&stage).await, watch(&stage));
    let is_registered =
        |run: &Run| matches!(run.steps.get("register_balancer"), Some(Step::Done { .. }));
    assert_eq!(stage.drive_until(run, is_registered).await.phase, Phase::Forward);
    abandon(&stage, run).await;
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0]);
}

/// Whoever reported it did not know better, or knew less than is known by now.
#[tokio::test(start_paused = true)]
async fn a_balancers_machine_that_was_taken_for_an_orphan_is_not_deleted() {
    for step in ["create_machine", "install_balancer", "register_balancer"] {
        let stage = Stage::new().await;
        let run = super::scenarios::begin_provision(&stage).await;
        stage.drive_until(run, |run| run.steps.contains_key(step)).await;
        let machine = stage.cloud.machines().remove(0);
        let Machine { id, name, key, .. } = machine.clone();
        let orphan = Orphan {
            id: ResourceKey::new(Kind::Machine, &id),
            name,
            made_with: key,
            power: Some(Power::Active),
            owner: None,
        };
        let place = REGION.to_owned();
        let seen = inventory::Command::ReportOrphan { place, orphan };
        stage.app().observe_inventory(REGION, seen).await.unwrap();
        let by = Caller { reason: Some("a leftover".to_owned()), ..somebody() };
        let deletion = stage.app().delete_orphan(&by, REGION, &id).await.unwrap().value;
        stage.start(deletion).await;
        let ended = stage.drive(deletion).await.phase;
        let Phase::Unwound(Cause::StepFailed { error, .. }) = &ended else { panic!("{ended:?}") };
        assert!(error.contains(&format!("balancer's machine of {run}")), "{step}: {error}");
        assert_eq!(stage.cloud.machines()[0].id, id, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_timer_looks_at_each_region_until_it_is_stopped() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    stage.cloud.vanish_machine(&server_of(&stage, &launched).await.machine.unwrap());
    let before = stage.cloud.faults.calls("list_machines");
    let reconciler = Reconciler::start(&stage.world, Duration::from_secs(60));
    tokio::time::sleep(Duration::from_secs(600)).await;
    reconciler.stop().await;
    let looks = stage.cloud.faults.calls("list_machines") - before;
    assert!((9..=11).contains(&looks), "{looks}");
    assert_eq!(kinds(&stage, &FACTS).await, ["server.vanished"]);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(stage.cloud.faults.calls("list_machines") - before, looks);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_comes_back_boots_until_it_answers() {
    let stage = Stage::new().await;
    let launched = stage.launch_active().await;
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    let mut watch = watch(&stage);
    stage.cloud.hide_machine(&machine, true);
    look(&mut watch, 3).await;
    stage.cloud.hide_machine(&machine, false);
    stage.shell.faults.fail_always("read_boot_id", Fault::Before(Class::Transient));
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &FACTS).await, ["server.vanished", "server.came_back"]);
    // Its ledger tells the same, once.
    let told = ["ledger.resource_absent", "ledger.resource_wanted", "ledger.resource_present"];
    let in_ledger = kinds(&stage, &told).await;
    assert_eq!(in_ledger[in_ledger.len() - 3..], told, "{in_ledger:?}");
    assert_eq!(in_ledger.iter().filter(|kind| **kind == told[0]).count(), 1);
    assert_eq!(server_of(&stage, &launched).await.status, Status::Booting);
    stage.shell.faults.clear();
    look(&mut watch, 2).await;
    assert_eq!(server_of(&stage, &launched).await.status, Status::Ready);
    assert_eq!(kinds(&stage, &TROUBLES).await, TROUBLES);
    assert_eq!(trouble_of(&stage, &launched).await, None);
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_which_nothing_is_known_is_neither_gone_nor_an_orphan() {
    let stage = Stage::new().await;
    let launched = stage.launch_active().await;
    let stray = stage.cloud.create_machine(&stray(7)).await.unwrap().id;
    let machine = server_of(&stage, &launched).await.machine.unwrap();
    let mut watch = watch(&stage);
    for id in [&machine, &stray] {
        stage.cloud.obscure_machine(id, true);
    }
    look(&mut watch, 4).await;
    let told = stage.events(&["server.sight_lost"]).await;
    assert_eq!(told.len(), 1, "told once");
    assert_eq!(told[0].data, json!({"reason": "its record can't be read"}));
    assert_eq!(server_of(&stage, &launched).await.status, Status::Unknown);
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0], "it has not vanished");
    assert_eq!(kinds(&stage, &INVENTORIES).await, [""; 0], "nobody is offered to delete it");
    assert_eq!(ledger_of(&stage, &launched).await, Some(Sight::Unknown));
    for id in [&machine, &stray] {
        stage.cloud.obscure_machine(id, false);
    }
    look(&mut watch, 3).await;
    assert_eq!(server_of(&stage, &launched).await.status, Status::Ready);
    assert_eq!(ledger_of(&stage, &launched).await, Some(Sight::Present));
    let found = ["inventory.orphan_found"];
    assert_eq!(kinds(&stage, &INVENTORIES).await, found);
    // One that was reported is not settled because nothing is known of it for a while.
    stage.cloud.obscure_machine(&stray, true);
    look(&mut watch, 4).await;
    assert_eq!(kinds(&stage, &INVENTORIES).await, found);
}

/// On real time, with a real machine and a real login.
#[tokio::test]
async fn a_local_machine_whose_folder_is_removed_by_hand_has_vanished() {
    let data = tempfile::TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (key, folder) = (data.path().join("key"), data.path().join("cloud"));
    let mut made = std::process::Command::new("ssh-keygen");
    made.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
    assert!(made.arg(&key).status().unwrap().success());
    let cloud = LocalCloud::new(LocalCloudConfig {
        folder: folder.clone(),
        region: REGION.to_owned(),
        authorized_key: std::fs::read_to_string(data.path().join("key.pub")).unwrap(),
        hidden: vec![data.path().to_owned()],
        isolation: None,
        account: "ubuntu".to_owned(),
        shutdown_timeout: Duration::from_secs(8),
    });
    let mut stage = Stage::new().await;
    let world = Arc::get_mut(&mut stage.world).unwrap();
    world.ports.clouds.insert(REGION.to_owned(), Arc::new(cloud));
    world.ports.shell = Arc::new(SshShell::new(&key, data.path().join("ssh")));
    let launched = stage.launch().await;
    let mut watch = watch(&stage);
    look(&mut watch, 2).await;
    assert_eq!(kinds(&stage, &FACTS).await, [""; 0]);
    destroy_all(&folder).unwrap();
    look(&mut watch, 3).await;
    assert_eq!(kinds(&stage, &FACTS).await, ["server.vanished"]);
    assert_eq!(server_of(&stage, &launched).await.status, Status::Vanished);
}
