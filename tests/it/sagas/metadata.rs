//! What others read of a site: it follows what visitors get, is never what it was, and goes with the site.

use super::scenarios::confirmed;
use super::stage::{SITE, Stage, because, somebody};
use ocim::app::AppError;
use ocim::app::lifecycle::LifecycleAsk;
use ocim::processes::started_by;
use ocim_adapters::faults::Fault;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Run, Saga, Verb};
use ocim_domain::server::{self, BootCause, Server, ServerAddress};
use ocim_domain::timer::{Job, Outcome};
use ocim_engine::sagas::host::Host;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const KINDS: [&str; 8] = [
    "instance.created",
    "instance.creation_abandoned",
    "instance.settings_changed",
    "instance.traffic_released",
    "instance.archived",
    "instance.unarchived",
    "instance.deleted",
    "instance.lifecycle_run_stopped",
];

/// What is read of a site under a key; blank where there is nothing.
fn told(stage: &Stage, key: &str) -> String {
    let part = stage.metadata.part(&stage.instance.0.to_string());
    String::from_utf8(part.get(key).cloned().unwrap_or_default()).unwrap()
}

/// Starts the last run that tells of the site.
async fn begin_last(stage: &Stage) -> RunId {
    let run = started_by(stage.events(&KINDS).await.last().unwrap()).unwrap();
    assert_eq!(run.definition, "publish_metadata");
    stage.start(run.run).await;
    run.run
}

async fn complete(stage: &Stage, run: RunId) {
    let run = stage.drive(run).await;
    assert_eq!(run.phase, Phase::Completed, "{run:#?}");
}

async fn settle(stage: &Stage) {
    let run = begin_last(stage).await;
    complete(stage, run).await;
}

/// Drives all runs that were asked for and tell of the site, the oldest first.
async fn settle_all(stage: &Stage) {
    for asked in stage.events(&KINDS).await.iter().filter_map(started_by) {
        let known = stage.app().journal().load::<Saga>(&asked.run.stream()).await.unwrap().state;
        if known.is_none() {
            stage.start(asked.run).await;
        }
        complete(stage, asked.run).await;
    }
}

async fn change(stage: &Stage, ask: LifecycleAsk) {
    let run = stage.begin_change(ask).await;
    complete(stage, run).await;
}

async fn rename(stage: &Stage, name: &str) {
    let Value::Object(settings) = json!({ "name": name }) else { panic!() };
    let changed = stage.app().change_settings(&somebody(), stage.instance, settings, None).await;
    changed.unwrap();
}

async fn update_all(stage: &Stage) -> Outcome {
    let run = stage.app().run_timer(&somebody(), Job::UpdateMetadata).await.unwrap().value;
    stage.start(run).await;
    complete(stage, run).await;
    stage.app().read_timer(Job::UpdateMetadata).await.unwrap().last.unwrap().outcome.unwrap()
}

fn updated(instances: u64, changed: u64, removed: u64) -> Outcome {
    Outcome::MetadataUpdated { instances, changed, removed, failed: 0 }
}

#[tokio::test(start_paused = true)]
async fn others_read_who_serves_and_each_change_is_one_version() {
    let stage = Stage::told().await;
    settle(&stage).await;
    assert_eq!(
        (told(&stage, "domain"), told(&stage, "version")),
        (SITE.to_owned(), "1".to_owned())
    );
    assert_eq!(told(&stage, "active_app_servers"), "[]");
    stage.launch_active().await;
    settle(&stage).await;
    let first = told(&stage, "active_app_servers");
    let first: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((first[0]["id"].clone(), first.as_array().unwrap().len()), (json!(1), 1));
    assert!(first[0]["public_ip"].is_string(), "{first}");
    stage.launch_active().await;
    settle(&stage).await;
    assert_eq!(told(&stage, "health_checks_enabled"), "true");
    rename(&stage, "Ça va 例").await;
    settle(&stage).await;
    assert_eq!((told(&stage, "name"), told(&stage, "version")), ("Ça va 例".into(), "4".into()));
    // What changes nothing that is read changes no version.
    let Value::Object(settings) = json!({ "edx_platform_commit": "other" }) else { panic!() };
    let changed = stage.app().change_settings(&somebody(), stage.instance, settings, None).await;
    changed.unwrap();
    settle(&stage).await;
    assert_eq!(told(&stage, "version"), "4");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_of_a_site_that_is_archived_or_deleted_whatever_comes_late() {
    let stage = Stage::told().await;
    stage.launch_active().await;
    let late = begin_last(&stage).await;
    change(&stage, LifecycleAsk::Archive).await;
    settle(&stage).await;
    assert_eq!(told(&stage, "version"), "");
    // A run that began while the site served writes nothing any more.
    complete(&stage, late).await;
    assert_eq!(told(&stage, "version"), "");
    settle_all(&stage).await;
    assert_eq!(told(&stage, "version"), "");
    change(&stage, LifecycleAsk::Unarchive { launch: false }).await;
    settle(&stage).await;
    assert_eq!((told(&stage, "domain"), told(&stage, "version")), (SITE.into(), "1".into()));
    let ask = confirmed();
    let deletion = stage.begin_change(LifecycleAsk::Delete(ask)).await;
    stage.drive_until(deletion, |run| run.steps.contains_key("withdraw_traffic")).await;
    stage.cancel(deletion).await;
    stage.drive(deletion).await;
    settle(&stage).await;
    assert_ne!(told(&stage, "version"), "", "it is not deleted");
    for lifecycle in [LifecycleAsk::Archive, LifecycleAsk::Delete(confirmed())] {
        change(&stage, lifecycle).await;
        // Whichever run comes, and whenever: all but the last are older than that.
        settle_all(&stage).await;
        assert_eq!(told(&stage, "version"), "");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_anew_while_what_was_archived_is_deleted() {
    let stage = Stage::told().await;
    stage.launch_active().await;
    change(&stage, LifecycleAsk::Archive).await;
    settle_all(&stage).await;
    let deletion = stage.begin_change(LifecycleAsk::Delete(confirmed())).await;
    let is_free = |run: &Run| run.steps.get("release_traffic").is_some_and(|it| it.is_finished());
    stage.drive_until(deletion, is_free).await;
    settle_all(&stage).await;
    assert_eq!(told(&stage, "version"), "");
    assert_eq!(update_all(&stage).await, updated(0, 0, 0));
    assert_eq!(told(&stage, "version"), "");
    complete(&stage, deletion).await;
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_came_back_elsewhere_is_told_of_with_its_new_address() {
    let stage = Stage::told().await;
    let launched = stage.launch_active().await;
    settle(&stage).await;
    let before = told(&stage, "active_app_servers");
    let journal = stage.app().journal();
    let appserver = journal.load::<Appserver>(&launched.appserver.stream()).await.unwrap().state;
    let server = appserver.present().unwrap().launched.server;
    let known = journal.load::<Server>(&server.stream()).await.unwrap().state;
    let known = known.present().unwrap().address.clone().unwrap();
    let address = ServerAddress { ip: [198, 51, 100, 77].into(), ..known };
    let lost = server::Command::LoseSight { reason: "away".to_owned() };
    stage.app().observe_server(server, lost).await.unwrap();
    let boots =
        server::Command::StartBooting { address: Some(address), cause: BootCause::FoundAgain };
    stage.app().observe_server(server, boots).await.unwrap();
    let asked = stage.events(&["server.booting_started"]).await;
    let run = started_by(asked.last().unwrap()).unwrap().run;
    stage.start(run).await;
    complete(&stage, run).await;
    let now = told(&stage, "active_app_servers");
    assert!(now != before && now.contains("198.51.100.77"), "{before} {now}");
}

#[tokio::test(start_paused = true)]
async fn a_daily_look_that_is_interrupted_is_made_again_and_what_is_refused_is_counted() {
    let stage = Stage::told().await;
    let begin = async || {
        let run = stage.app().run_timer(&somebody(), Job::UpdateMetadata).await.unwrap().value;
        stage.start(run).await;
        run
    };
    let outcome =
        async || stage.app().read_timer(Job::UpdateMetadata).await.unwrap().last.unwrap().outcome;
    stage.metadata.faults.fail_always("write_site", Fault::Before(Class::Transient));
    let run = begin().await;
    stage.drive_until(run, |run| run.efforts.get("do_work").is_some_and(|it| it.attempt > 2)).await;
    assert_eq!(outcome().await, None);
    stage.metadata.faults.clear();
    complete(&stage, run).await;
    assert_eq!(outcome().await, Some(updated(1, 1, 0)));
    rename(&stage, "Other").await;
    stage.metadata.faults.fail_always("write_site", Fault::Before(Class::Permanent));
    let run = begin().await;
    complete(&stage, run).await;
    let refused = Outcome::MetadataUpdated { instances: 1, changed: 0, removed: 0, failed: 1 };
    assert_eq!(outcome().await, Some(refused));
}

#[tokio::test(start_paused = true)]
async fn what_happened_long_ago_is_left_to_the_daily_look() {
    let stage = Stage::told().await;
    let runner = stage.start_runner();
    stage.launch_by_runner().await;
    runner.stop().await;
    let asked = stage.events(&["instance.created"]).await;
    assert!(stage.world.started_by(&asked[0]).is_some());
    tokio::time::sleep(Duration::from_secs(3 * 24 * 3600)).await;
    assert!(stage.world.started_by(&asked[0]).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_or_refuses_keeps_nobody_from_anything() {
    let stage = Stage::told().await;
    stage.metadata.faults.fail_always("write_site", Fault::Before(Class::Transient));
    let first = begin_last(&stage).await;
    stage.drive_until(first, |run| run.efforts.contains_key("write_metadata")).await;
    stage.launch_active().await;
    stage.metadata.faults.clear();
    complete(&stage, first).await;
    assert_ne!(told(&stage, "active_app_servers"), "[]", "it tells what is now");
    stage.metadata.faults.fail_always("write_site", Fault::Before(Class::Permanent));
    rename(&stage, "Other").await;
    let run = begin_last(&stage).await;
    assert!(stage.drive(run).await.phase.is_stuck());
    stage.metadata.faults.clear();
    let verb = Verb::RetryStep { step: "write_metadata".to_owned() };
    stage.app().operate_run(&because(), run, verb, "mended".to_owned(), false).await.unwrap();
    complete(&stage, run).await;
    assert_eq!(told(&stage, "name"), "Other");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_or_altered_there_is_written_again_and_what_is_left_over_goes() {
    let stage = Stage::told().await;
    assert_eq!(update_all(&stage).await, updated(1, 1, 0));
    assert_eq!(update_all(&stage).await, updated(1, 0, 0));
    let id = stage.instance.0.to_string();
    stage.metadata.change(|parts| drop(parts.get_mut(&id).unwrap().remove("domain")));
    assert_eq!(update_all(&stage).await, updated(1, 1, 0));
    assert_eq!(told(&stage, "domain"), SITE);
    // Of another Ocim, of the original, and nobody's.
    let strangers = [InstanceId(Uuid::from_u128(7)).0.to_string(), "120".into(), "x y".into()];
    stage.metadata.change(|parts| {
        parts.extend(strangers.iter().map(|id| (id.clone(), Default::default())));
    });
    change(&stage, LifecycleAsk::Archive).await;
    // Nobody told of it when it was archived.
    assert_ne!(told(&stage, "version"), "");
    assert_eq!(update_all(&stage).await, updated(0, 0, 1));
    assert_eq!(told(&stage, "version"), "");
    stage.metadata.change(|parts| {
        assert!(parts.keys().eq({
            let mut sorted: Vec<_> = strangers.iter().collect();
            sorted.sort();
            sorted
        }))
    });
}

#[tokio::test(start_paused = true)]
async fn nobody_is_told_where_no_service_is_configured() {
    let stage = Stage::new().await;
    let runner = stage.start_runner();
    stage.launch_by_runner().await;
    runner.stop().await;
    let runs = stage.events(&["saga.started"]).await;
    assert!(runs.iter().all(|run| run.data["definition"] != "publish_metadata"));
    let asked = stage.app().run_timer(&somebody(), Job::UpdateMetadata).await;
    assert!(matches!(asked, Err(AppError::Rejected { .. })), "{asked:?}");
    assert!(!stage.app().jobs().contains(&Job::UpdateMetadata), "nor is it listed");
    let mut stage = Stage::told().await;
    let run = begin_last(&stage).await;
    Arc::get_mut(&mut stage.world).unwrap().ports.metadata = None;
    complete(&stage, run).await;
    assert_eq!(told(&stage, "version"), "");
}
