//! What others read of a site: it follows what visitors get, is never what it was, and goes with the site.

use super::stage::{SITE, Stage, because, somebody};
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim::processes::started_by;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::port_error::{Class, PortError};
use ocim_domain::saga::{ErrorCode, Phase, Verb};
use ocim_domain::timer::{Job, Outcome};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

const KINDS: [&str; 7] = [
    "instance.created",
    "instance.creation_abandoned",
    "instance.settings_changed",
    "instance.traffic_released",
    "instance.archived",
    "instance.unarchived",
    "instance.deleted",
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
    let stage = Stage::new().await;
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
    let stage = Stage::new().await;
    stage.launch_active().await;
    let late = begin_last(&stage).await;
    change(&stage, LifecycleAsk::Archive).await;
    settle(&stage).await;
    assert_eq!(told(&stage, "version"), "");
    // A run that began while the site served writes nothing any more.
    complete(&stage, late).await;
    assert_eq!(told(&stage, "version"), "");
    change(&stage, LifecycleAsk::Unarchive { launch: false }).await;
    settle(&stage).await;
    assert_eq!((told(&stage, "domain"), told(&stage, "version")), (SITE.into(), "1".into()));
    let ask = DeleteAsk { confirmation: SITE.to_owned(), ignore: vec![] };
    change(&stage, LifecycleAsk::Delete(ask)).await;
    settle(&stage).await;
    assert_eq!(told(&stage, "version"), "");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_or_refuses_keeps_nobody_from_anything() {
    let stage = Stage::new().await;
    stage.metadata.faults.fail_always("write_site", Fault::Before(Class::Transient));
    let first = begin_last(&stage).await;
    stage.drive_until(first, |run| run.efforts.get("write_metadata").is_some()).await;
    stage.launch_active().await;
    stage.metadata.faults.clear();
    complete(&stage, first).await;
    assert_ne!(told(&stage, "active_app_servers"), "[]", "it tells what is now");
    let refused = PortError::permanent(ErrorCode::MetadataRefused, "CONSUL_HTTP_TOKEN is refused");
    stage.metadata.faults.fail_always("write_site", Fault::Before(refused.class));
    rename(&stage, "Other").await;
    let run = begin_last(&stage).await;
    let phase = stage.drive(run).await.phase;
    assert!(matches!(phase, Phase::Stuck { .. } | Phase::Unwound(_)), "{phase:?}");
    stage.metadata.faults.clear();
    if phase.is_stuck() {
        let verb = Verb::RetryStep { step: "write_metadata".to_owned() };
        stage.app().operate_run(&because(), run, verb, "mended".to_owned(), false).await.unwrap();
        complete(&stage, run).await;
    } else {
        assert_eq!(update_all(&stage).await, updated(1, 1, 0));
    }
    assert_eq!(told(&stage, "name"), "Other");
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_or_altered_there_is_written_again_and_what_is_left_over_goes() {
    let stage = Stage::new().await;
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
    let stage = Stage::build(|world| world.ports.metadata = None).await;
    let runner = stage.start_runner();
    stage.launch_by_runner().await;
    runner.stop().await;
    let runs = stage.events(&["saga.started"]).await;
    assert!(runs.iter().all(|run| run.data["definition"] != "publish_metadata"));
    let mut stage = Stage::new().await;
    let run = begin_last(&stage).await;
    Arc::get_mut(&mut stage.world).unwrap().ports.metadata = None;
    complete(&stage, run).await;
    assert_eq!(told(&stage, "version"), "");
}
