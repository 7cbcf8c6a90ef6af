//! Who watches a site from outside: it follows what visitors get, and is silent under maintenance.

use super::stage::{BALANCER, SITE, Stage, because, somebody};
use ocim::app::ForceAsk;
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim::processes::started_by;
use ocim_adapters::faults::Fault;
use ocim_adapters::monitoring::Monitoring;
use ocim_domain::ids::RunId;
use ocim_domain::ledger::{Entry, Kind};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Run, Saga, Verb};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const HEARTBEAT: &str = "https://alpha.example.com/heartbeat?extended";
const LMS: &str = "https://alpha.example.com/";
const PREVIEW: &str = "https://preview.alpha.example.com/";
const STUDIO: &str = "https://studio.alpha.example.com/";
const ALL: [&str; 4] = [LMS, HEARTBEAT, PREVIEW, STUDIO];

/// The pages that are watched, once for each monitor, sorted.
fn watched(stage: &Stage) -> Vec<String> {
    let mut urls: Vec<_> = stage.monitoring.monitors().into_values().map(|it| it.url).collect();
    urls.sort();
    urls
}

fn recipients(stage: &Stage, url: &str) -> BTreeSet<String> {
    let mut monitors = stage.monitoring.monitors().into_values();
    monitors.find(|monitor| monitor.url == url).unwrap().recipients
}

fn are_muted(stage: &Stage) -> BTreeSet<bool> {
    stage.monitoring.monitors().into_values().map(|monitor| monitor.is_muted).collect()
}

async fn ledger(stage: &Stage) -> Vec<Entry> {
    let entries = stage.app().ledger_of(stage.instance).await.unwrap().into_iter();
    entries.filter(|entry| entry.resource.id.kind == Kind::Monitor).collect()
}

async fn change(stage: &Stage, settings: Value) {
    let Value::Object(settings) = settings else { panic!() };
    let changed = stage.app().change_settings(&somebody(), stage.instance, settings, None).await;
    changed.unwrap();
}

async fn complete(stage: &Stage, run: RunId) {
    let run = stage.drive(run).await;
    assert_eq!(run.phase, Phase::Completed, "{run:#?}");
}

/// The last run that sees to the monitors, once it has begun.
async fn begin_last(stage: &Stage) -> RunId {
    let kinds = ["instance.traffic_assigned", "instance.maintenance_changed"];
    let run = started_by(stage.events(&kinds).await.last().unwrap()).unwrap().run;
    let known = stage.app().journal().load::<Saga>(&run.stream()).await.unwrap().state;
    if known.is_none() {
        stage.start(run).await;
    }
    run
}

/// Has it end: what visitors got before that does not matter any more.
async fn settle(stage: &Stage) {
    let run = begin_last(stage).await;
    complete(stage, run).await;
}

async fn activate(stage: &Stage, id: ocim_domain::ids::AppserverId) {
    let run = stage.begin_activation(id, false).await;
    complete(stage, run).await;
    settle(stage).await;
}

async fn deactivate(stage: &Stage, id: ocim_domain::ids::AppserverId) {
    let force = ForceAsk { force: true };
    let run = stage.app().deactivate_appserver(&because(), id, force).await.unwrap().value;
    stage.start(run).await;
    complete(stage, run).await;
    settle(stage).await;
}

async fn maintain(stage: &Stage, on: bool) {
    let run = stage.begin_maintenance(on).await;
    complete(stage, run).await;
    settle(stage).await;
}

/// A site that serves and is watched.
async fn watched_site() -> Stage {
    let stage = Stage::new().await;
    stage.launch_active().await;
    settle(&stage).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn a_site_is_watched_while_it_serves_and_by_nobody_afterwards() {
    let stage = Stage::new().await;
    let one = stage.launch().await.appserver;
    assert!(watched(&stage).is_empty() && ledger(&stage).await.is_empty(), "nobody serves yet");
    activate(&stage, one).await;
    assert_eq!(watched(&stage), ALL);
    let monitors = stage.monitoring.monitors();
    for entry in ledger(&stage).await {
        let id = entry.provider_id.unwrap();
        assert_eq!(monitors[&id].url, entry.resource.id.key);
        assert_eq!(monitors[&id].name, entry.resource.name);
    }
    // A second one changes nothing, and one of two may leave.
    let two = stage.launch().await.appserver;
    activate(&stage, two).await;
    deactivate(&stage, one).await;
    assert_eq!(stage.monitoring.monitors(), monitors);
    deactivate(&stage, two).await;
    assert!(watched(&stage).is_empty() && ledger(&stage).await.is_empty());
    assert_eq!(stage.monitoring.faults.calls("create_monitor"), 4);
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_is_watched_by_nobody_and_one_that_comes_back_is() {
    let stage = watched_site().await;
    // Whoever sees to it first: the run itself leaves nothing.
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert!(watched(&stage).is_empty() && ledger(&stage).await.is_empty());
    settle(&stage).await;
    let run = stage.begin_change(LifecycleAsk::Unarchive { launch: false }).await;
    complete(&stage, run).await;
    let one = stage.launch().await.appserver;
    assert!(watched(&stage).is_empty());
    activate(&stage, one).await;
    assert_eq!(watched(&stage), ALL);
    let ask = DeleteAsk { confirmation: SITE.to_owned(), ignore: vec![] };
    let run = stage.begin_change(LifecycleAsk::Delete(ask)).await;
    complete(&stage, run).await;
    assert!(watched(&stage).is_empty());
    settle(&stage).await;
    assert!(watched(&stage).is_empty());
}

#[tokio::test(start_paused = true)]
async fn administrators_and_whom_the_site_names_are_written_to_and_nobody_is_taken_off() {
    let stage = Stage::build(|world| {
        world.deployment.alert_addresses =
            ["ops@example.com", "Both@example.com"].map(str::to_owned).into();
    })
    .await;
    let named = json!(["Second@example.com", "both@example.com"]);
    change(&stage, json!({ "additional_monitoring_emails": named })).await;
    let one = stage.launch().await.appserver;
    activate(&stage, one).await;
    let all = ["Both@example.com", "Second@example.com", "ops@example.com"].map(str::to_owned);
    for url in ALL {
        assert_eq!(recipients(&stage, url), BTreeSet::from(all.clone()), "{url}");
    }
    // The service knows addresses in any letters, and people of its own.
    stage.monitoring.change(|monitors| {
        for monitor in monitors.values_mut() {
            monitor.recipients =
                ["second@example.com", "own@example.com"].map(str::to_owned).into();
        }
    });
    change(&stage, json!({ "additional_monitoring_emails": ["third@example.com"] })).await;
    let two = stage.launch().await.appserver;
    activate(&stage, two).await;
    let all = ["own", "ops", "Both", "second", "third"].map(|name| format!("{name}@example.com"));
    assert_eq!(recipients(&stage, LMS), all.into());
}

#[tokio::test(start_paused = true)]
async fn one_refused_address_keeps_no_page_from_being_watched() {
    let stage = Stage::build(|world| {
        world.deployment.alert_addresses = vec!["ops@example.com".to_owned()];
    })
    .await;
    stage.monitoring.faults.fail_always("add_recipients", Fault::Before(Class::Permanent));
    stage.launch_active().await;
    let run = begin_last(&stage).await;
    let stuck = stage.drive(run).await;
    assert!(matches!(&stuck.phase, Phase::Stuck { step, .. } if step == "add_recipients"));
    assert_eq!(watched(&stage), ALL);
    assert!(ledger(&stage).await.iter().all(|entry| entry.provider_id.is_some()));
    stage.monitoring.faults.clear();
    retry(&stage, run, "add_recipients").await;
    complete(&stage, run).await;
    assert_eq!(recipients(&stage, STUDIO).len(), 1);
}

async fn retry(stage: &Stage, run: RunId, step: &str) {
    let (verb, reason) = (Verb::RetryStep { step: step.to_owned() }, "it is mended".to_owned());
    stage.app().operate_run(&because(), run, verb, reason, false).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_monitor_whose_making_was_not_answered_is_found_and_others_stay_theirs() {
    let stage = Stage::new().await;
    // Somebody watches the same page already, and calls that by the page as the original did.
    let theirs = stage.monitoring.create_monitor(LMS, LMS, false).await.unwrap();
    for (nth, fault) in [(2, Fault::After(Class::Ambiguous)), (4, Fault::Before(Class::Permanent))]
    {
        stage.monitoring.faults.fail("create_monitor", nth, fault);
    }
    stage.launch_active().await;
    let run = begin_last(&stage).await;
    let began = tokio::time::Instant::now();
    let stuck = stage.drive(run).await;
    assert!(stuck.phase.is_stuck(), "the second attempt is refused: {stuck:#?}");
    assert!(began.elapsed() > Duration::from_secs(100), "it may have been under way still");
    let run_again = run;
    retry(&stage, run_again, "change_monitors").await;
    complete(&stage, run_again).await;
    assert_eq!(watched(&stage), [LMS, LMS, HEARTBEAT, PREVIEW, STUDIO]);
    let ids: Vec<_> = ledger(&stage).await.into_iter().filter_map(|it| it.provider_id).collect();
    assert!(ids.len() == 4 && !ids.contains(&theirs), "{ids:?}");
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert_eq!(stage.monitoring.monitors().into_keys().collect::<Vec<_>>(), [theirs]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_at_the_service_is_put_right_by_the_next_activation() {
    let stage = watched_site().await;
    stage.monitoring.change(|monitors| {
        monitors.retain(|_, monitor| monitor.url != STUDIO);
        let other = monitors.values_mut().find(|monitor| monitor.url == PREVIEW).unwrap();
        "https://elsewhere.example.org/".clone_into(&mut other.url);
        monitors.values_mut().for_each(|monitor| monitor.is_muted = true);
    });
    let two = stage.launch().await.appserver;
    activate(&stage, two).await;
    assert_eq!(
        (watched(&stage), are_muted(&stage)),
        (ALL.map(str::to_owned).into(), [false].into())
    );
    // The original stopped at one that was gone.
    stage.monitoring.change(|monitors| monitors.clear());
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert!(ledger(&stage).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn new_names_are_watched_once_visitors_are_served_under_them() {
    let stage = watched_site().await;
    let two = stage.launch().await.appserver;
    stage.answer("studio.example.org", None);
    change(&stage, json!({ "external_studio_domain": "studio.example.org" })).await;
    activate(&stage, two).await;
    let new = "https://studio.example.org/";
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, new]);
    // Settings that are ahead of what visitors get change nothing.
    change(&stage, json!({ "external_studio_domain": "" })).await;
    maintain(&stage, true).await;
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, new]);
    maintain(&stage, false).await;
    let three = stage.launch().await.appserver;
    activate(&stage, three).await;
    assert_eq!(watched(&stage), ALL);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_written_to_under_maintenance() {
    let stage = watched_site().await;
    assert_eq!(are_muted(&stage), [false].into());
    maintain(&stage, true).await;
    assert_eq!(are_muted(&stage), [true].into());
    // What is made meanwhile is silent, too: also where nobody knew what became of it.
    stage.monitoring.change(|monitors| monitors.retain(|_, monitor| monitor.url != LMS));
    stage.monitoring.faults.fail("create_monitor", 5, Fault::After(Class::Ambiguous));
    let two = stage.launch().await.appserver;
    let run = stage.begin_activation(two, false).await;
    complete(&stage, run).await;
    let under_way = begin_last(&stage).await;
    stage.drive_until(under_way, |run| has_failed(run, "change_monitors")).await;
    assert_eq!((watched(&stage).len(), are_muted(&stage)), (4, [true].into()));
    maintain(&stage, false).await;
    complete(&stage, under_way).await;
    assert_eq!(are_muted(&stage), [false].into());
}

fn has_failed(run: &Run, step: &str) -> bool {
    run.effort(step).attempt > 1
}

#[tokio::test(start_paused = true)]
async fn what_is_left_at_a_service_that_is_not_configured_any_more_is_told() {
    let mut stage = watched_site().await;
    Arc::get_mut(&mut stage.world).unwrap().ports.monitoring = None;
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    let stuck = stage.drive(run).await;
    let Phase::Stuck { step, why, .. } = &stuck.phase else { panic!("{stuck:#?}") };
    assert_eq!(step, "remove_monitors");
    assert!(why.contains("monitoring.example.net") && why.contains(LMS), "{why}");
    assert!(stage.cloud.machines().is_empty(), "all else is gone");
    for entry in ledger(&stage).await {
        let id = entry.resource.id;
        stage.app().resolve_resource(&because(), stage.instance, id).await.unwrap();
    }
    retry(&stage, run, "remove_monitors").await;
    complete(&stage, run).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_that_ignores_monitors_leaves_them_and_tells_of_them() {
    let mut stage = watched_site().await;
    Arc::get_mut(&mut stage.world).unwrap().ports.monitoring = None;
    let ask = DeleteAsk { confirmation: SITE.to_owned(), ignore: vec![Kind::Monitor] };
    let run = stage.begin_change(LifecycleAsk::Delete(ask)).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage), ALL);
    let left: Vec<_> = ledger(&stage).await.into_iter().map(|it| it.resource.id.key).collect();
    assert_eq!(left, ALL);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_keeps_no_visitor_from_the_new_appserver() {
    let stage = Stage::new().await;
    for call in ["create_monitor", "find_monitors", "read_monitor"] {
        stage.monitoring.faults.fail_always(call, Fault::Before(Class::Transient));
    }
    stage.launch_active().await;
    let first = begin_last(&stage).await;
    stage.drive_until(first, |run| has_failed(run, "change_monitors")).await;
    stage.launch_active().await;
    let serving = stage.balancer.serving(BALANCER, SITE);
    assert_eq!(serving, ["appserver-1", "appserver-2"], "nothing waits for it");
    stage.monitoring.faults.clear();
    settle(&stage).await;
    complete(&stage, first).await;
    assert_eq!(watched(&stage), ALL);
}
