//! What a site has on shared servers: made by its launches, kept when it is archived, removed with it.

use super::scenarios::confirmed;
use super::stage::{Stage, because, somebody};
use ocim::app::LaunchAsk;
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim_adapters::faults::Fault;
use ocim_domain::ids::RunId;
use ocim_domain::instance::{self, Instance};
use ocim_domain::ledger::{Kind, Leaves, Sight};
use ocim_domain::port_error::Class;
use ocim_domain::provisioning::{Item, Provisioned};
use ocim_domain::saga::{Phase, Run};
use ocim_domain::shared_server::Mysql;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a site has in MySQL, MongoDB and RabbitMQ together.
const THINGS: usize = 24 + 4 + 3;
const PERMANENT: Fault = Fault::Before(Class::Permanent);

async fn instance(stage: &Stage) -> instance::Present {
    let loaded = stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap();
    loaded.state.present().unwrap().clone()
}

/// Kind and name of all that the servers have.
fn held(stage: &Stage) -> BTreeSet<(Kind, String)> {
    let held = stage.servers.held().into_keys();
    held.map(|(_, id)| (id.kind, id.name)).collect()
}

/// The same by the ledger, if all of it is there.
async fn known(stage: &Stage) -> BTreeSet<(Kind, String)> {
    let entries = stage.app().ledger_of(stage.instance).await.unwrap().into_iter();
    let data = entries.filter(|it| it.resource.id.kind.leaves() == Leaves::WithDeletion);
    data.map(|entry| {
        assert_eq!(entry.sight, Sight::Present, "{entry:?}");
        (entry.resource.id.kind, entry.resource.name)
    })
    .collect()
}

async fn change(stage: &Stage, ask: LifecycleAsk) -> Run {
    let id = stage.begin_change(ask).await;
    stage.drive(id).await
}

fn deletion(ignore: &[Kind]) -> LifecycleAsk {
    LifecycleAsk::Delete(DeleteAsk { ignore: ignore.to_vec(), ..confirmed() })
}

async fn set(stage: &Stage, settings: Value) {
    let Value::Object(settings) = settings else { panic!() };
    let app = stage.app();
    app.change_settings(&somebody(), stage.instance, settings, None).await.unwrap();
}

async fn assert_server_is_free(stage: &Stage) {
    let mysql = instance(stage).await.servers.mysql.unwrap().server;
    let known = stage.app().shared_server::<Mysql>(mysql).await.unwrap();
    assert!(known.clients.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_launch_makes_all_that_the_site_has_and_the_next_one_brings_it_in_line() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    assert_eq!(held(&stage).len(), THINGS);
    assert_eq!(known(&stage).await, held(&stage));
    let made = stage.servers.held();
    let servers = instance(&stage).await.servers;
    let account = servers.mysql.unwrap();
    let names = instance(&stage).await.resources.unwrap();
    for item in Mysql::items(&account, &names).unwrap() {
        assert!(made.values().any(|known| *known == item), "{item:?}");
    }
    // Somebody changes each password, and drops a database.
    stage.servers.change(|held| {
        let name = format!("{}_edxapp", names.database);
        held.retain(|(_, id), _| id.name != name);
        for item in held.values_mut() {
            if let Item::MysqlAccount { password, .. }
            | Item::MongodbAccount { password, .. }
            | Item::RabbitmqUser { password, .. } = item
            {
                "another".clone_into(password);
            }
        }
    });
    let told = stage.events(&["ledger.resource_wanted"]).await.len();
    stage.launch().await;
    assert_eq!(stage.servers.held(), made);
    let machine = 1;
    assert_eq!(stage.events(&["ledger.resource_wanted"]).await.len(), told + machine);
}

#[tokio::test(start_paused = true)]
async fn an_archive_keeps_all_of_it_and_a_deletion_leaves_nothing() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    assert_eq!(change(&stage, LifecycleAsk::Archive).await.phase, Phase::Completed);
    assert_eq!((held(&stage).len(), known(&stage).await.len()), (THINGS, THINGS));
    assert_eq!(change(&stage, deletion(&[])).await.phase, Phase::Completed);
    assert_eq!(held(&stage), BTreeSet::new());
    assert_eq!(known(&stage).await, BTreeSet::new());
    assert_server_is_free(&stage).await;
    // Nobody looked for what a site without such servers does not have.
    assert!(instance(&stage).await.lifecycle.residue.is_empty());
}

/// The server does not let the first two go.
fn refuse_two(stage: &Stage) {
    let ids = stage.servers.held().into_keys().map(|(_, id)| id);
    stage.servers.keep(ids.filter(|id| id.kind == Kind::MysqlAccount).take(2));
}

#[tokio::test(start_paused = true)]
async fn what_one_server_does_not_let_go_keeps_nothing_of_another_and_is_left_where_it_is_ignored()
{
    let stage = Stage::new().await;
    stage.launch().await;
    refuse_two(&stage);
    let stuck = change(&stage, deletion(&[])).await;
    let Phase::Stuck { step, .. } = &stuck.phase else { panic!("{stuck:#?}") };
    assert_eq!(step, "remove_data");
    let left = held(&stage);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().all(|(kind, _)| *kind == Kind::MysqlAccount), "{left:?}");
    assert_eq!(known(&stage).await, left);

    let stage = Stage::new().await;
    stage.launch().await;
    refuse_two(&stage);
    let run = change(&stage, deletion(&[Kind::MysqlAccount])).await;
    assert_eq!(run.phase, Phase::Completed);
    let residue = instance(&stage).await.lifecycle.residue;
    assert_eq!((residue.len(), held(&stage).len()), (2, 2), "{residue:?}");
    // It is deleted again, once the server lets it go.
    stage.servers.keep([]);
    assert_eq!(change(&stage, deletion(&[])).await.phase, Phase::Completed);
    assert_eq!(held(&stage).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_for_good_ends_the_launch_with_its_name_and_nothing_is_forgotten() {
    let stage = Stage::new().await;
    stage.servers.faults.fail("ensure", 5, PERMANENT);
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let run: RunId = launched.run;
    assert!(matches!(stage.drive(run).await.phase, Phase::Unwound(_)));
    let entries = stage.app().ledger_of(stage.instance).await.unwrap();
    let wanted = |sight| {
        let of_mysql = |kind| matches!(kind, Kind::MysqlAccount | Kind::MysqlDatabase);
        let all = entries.iter().filter(|entry| of_mysql(entry.resource.id.kind));
        all.filter(|entry| entry.sight == sight).count()
    };
    // What was made is there; what was refused, and what would have come after it, is not wanted.
    assert_eq!((wanted(Sight::Present), wanted(Sight::Wanted)), (4, 0));
    assert_eq!(held(&stage).len(), 4);
    stage.launch().await;
    assert_eq!(known(&stage).await, held(&stage));
}

#[tokio::test(start_paused = true)]
async fn a_container_goes_from_the_account_that_it_was_made_in_whatever_the_settings_say_since() {
    let account = |tenant: &str| {
        json!({
            "storage_type": "swift",
            "swift_openstack_auth_url": "https://swift.example.com:5000/v3",
            "swift_openstack_tenant": tenant,
            "swift_openstack_user": "university",
            "swift_openstack_password": format!("password of {tenant}"),
            "swift_openstack_region": "RegionTwo",
        })
    };
    let stage = Stage::new().await;
    set(&stage, account("one")).await;
    stage.launch_active().await;
    set(&stage, account("two")).await;
    stage.launch().await;
    let containers = || held(&stage).into_iter().filter(|(kind, _)| *kind == Kind::SwiftContainer);
    // Both have the same name, and one service tells of both.
    assert_eq!(containers().count(), 1);
    let entries = known(&stage).await;
    assert!(entries.iter().any(|(kind, _)| *kind == Kind::SwiftContainer));
    set(&stage, json!({ "storage_type": "filesystem", "swift_openstack_auth_url": "" })).await;
    assert_eq!(change(&stage, deletion(&[])).await.phase, Phase::Completed);
    assert_eq!((held(&stage).len(), known(&stage).await.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_container_in_an_account_that_nobody_knows_is_removed_by_hand_and_said_so() {
    let stage = Stage::new().await;
    stage.launch().await;
    let wanted = ocim_domain::ledger::Resource {
        id: ocim_domain::ledger::ResourceKey::new(Kind::SwiftContainer, "elsewhere/alpha"),
        name: "alpha".to_owned(),
        place: "elsewhere".to_owned(),
        owner: stage.instance.to_string(),
    };
    let id = wanted.id.clone();
    let command = ocim_domain::ledger::Command::Want(wanted);
    stage.app().observe_resource(stage.instance, command).await.unwrap();
    let run = change(&stage, deletion(&[])).await;
    let Phase::Stuck { why, .. } = &run.phase else { panic!("{run:#?}") };
    assert!(why.contains("no settings that can be read name the account of Swift"), "{why}");
    let by = because();
    stage.app().resolve_resource(&by, stage.instance, id).await.unwrap();
    assert_eq!(held(&stage).len(), 0, "all else is gone");
}
