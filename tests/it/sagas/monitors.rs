//! Who watches a site from outside: it follows the traffic, leaves with it, and is silent under maintenance.

use super::stage::{BALANCER, SITE, Stage, because, somebody};
use ocim::app::ForceAsk;
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim_adapters::faults::Fault;
use ocim_adapters::monitoring::Monitoring;
use ocim_domain::ids::RunId;
use ocim_domain::ledger::{Entry, Kind};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Verb};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

const HEARTBEAT: &str = "https://alpha.example.com/heartbeat?extended";
const LMS: &str = "https://alpha.example.com/";
const PREVIEW: &str = "https://preview.alpha.example.com/";
const STUDIO: &str = "https://studio.alpha.example.com/";

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

#[tokio::test(start_paused = true)]
async fn a_site_is_watched_while_it_serves_and_by_nobody_afterwards() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    assert!(watched(&stage).is_empty() && ledger(&stage).await.is_empty(), "nobody serves yet");
    let run = stage.begin_activation(launched.appserver, true).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, STUDIO]);
    let monitors = stage.monitoring.monitors();
    for entry in ledger(&stage).await {
        let id = entry.provider_id.unwrap();
        assert_eq!(monitors[&id].url, entry.resource.id.key);
    }
    // A second one changes nothing, and one of two may leave.
    let two = stage.launch().await.appserver;
    let run = stage.begin_activation(two, false).await;
    complete(&stage, run).await;
    let run = stage.begin_deactivation(launched.appserver).await;
    complete(&stage, run).await;
    assert_eq!(stage.monitoring.monitors(), monitors);
    let force = ForceAsk { force: true };
    let run = stage.app().deactivate_appserver(&because(), two, force).await.unwrap().value;
    stage.start(run).await;
    complete(&stage, run).await;
    assert!(watched(&stage).is_empty() && ledger(&stage).await.is_empty());
    assert_eq!(stage.monitoring.faults.calls("create_monitor"), 4);
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_is_watched_by_nobody_and_one_that_comes_back_is() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert!(watched(&stage).is_empty() && ledger(&stage).await.is_empty());
    let run = stage.begin_change(LifecycleAsk::Unarchive { launch: false }).await;
    complete(&stage, run).await;
    assert!(watched(&stage).is_empty());
    stage.launch_active().await;
    assert_eq!(watched(&stage).len(), 4);
    let ask = DeleteAsk { confirmation: "alpha.example.com".to_owned(), ignore: vec![] };
    let run = stage.begin_change(LifecycleAsk::Delete(ask)).await;
    complete(&stage, run).await;
    assert!(watched(&stage).is_empty());
}

#[tokio::test(start_paused = true)]
async fn administrators_and_whom_the_site_names_are_written_to_and_nobody_is_taken_off() {
    let stage = Stage::build(|world| {
        world.deployment.alert_addresses = vec!["ops@example.com".to_owned()];
    })
    .await;
    change(&stage, json!({ "additional_monitoring_emails": ["Second@example.com"] })).await;
    let one = stage.launch_active().await.appserver;
    let all = ["Second@example.com", "ops@example.com"].map(str::to_owned);
    for url in [LMS, HEARTBEAT, PREVIEW, STUDIO] {
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
    let run = stage.begin_activation(one, false).await;
    complete(&stage, run).await;
    let all = ["own@example.com", "ops@example.com", "second@example.com", "third@example.com"];
    assert_eq!(recipients(&stage, LMS), all.map(str::to_owned).into());
}

#[tokio::test(start_paused = true)]
async fn a_monitor_whose_making_was_not_answered_is_found_and_others_stay_theirs() {
    let stage = Stage::new().await;
    // Somebody watches the same page already.
    let theirs = stage.monitoring.create_monitor(LMS, false).await.unwrap();
    stage.monitoring.faults.fail("create_monitor", 3, Fault::After(Class::Ambiguous));
    stage.launch_active().await;
    assert_eq!(watched(&stage), [LMS, LMS, HEARTBEAT, PREVIEW, STUDIO]);
    let ids: Vec<_> = ledger(&stage).await.into_iter().filter_map(|it| it.provider_id).collect();
    assert!(ids.len() == 4 && !ids.contains(&theirs), "{ids:?}");
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert_eq!(stage.monitoring.monitors().into_keys().collect::<Vec<_>>(), [theirs]);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_changed_at_the_service_is_put_right_by_the_next_activation() {
    let stage = Stage::new().await;
    let one = stage.launch_active().await.appserver;
    stage.monitoring.change(|monitors| {
        monitors.retain(|_, monitor| monitor.url != STUDIO);
        let other = monitors.values_mut().find(|monitor| monitor.url == PREVIEW).unwrap();
        "https://elsewhere.example.org/".clone_into(&mut other.url);
    });
    let run = stage.begin_activation(one, false).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, STUDIO]);
    // The original stopped at one that was gone.
    stage.monitoring.change(|monitors| monitors.clear());
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    complete(&stage, run).await;
    assert!(ledger(&stage).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn new_names_are_watched_once_visitors_are_served_under_them() {
    let stage = Stage::new().await;
    let one = stage.launch_active().await.appserver;
    let two = stage.launch().await.appserver;
    change(&stage, json!({ "external_studio_domain": "studio.example.org" })).await;
    stage.answer("studio.example.org", None);
    let run = stage.begin_activation(two, false).await;
    complete(&stage, run).await;
    let new = "https://studio.example.org/";
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, new]);
    // Settings that are ahead of what visitors get change nothing.
    change(&stage, json!({ "external_studio_domain": "" })).await;
    let run = stage.begin_deactivation(one).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, new]);
    let run = stage.begin_activation(two, false).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, STUDIO]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_written_to_under_maintenance() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    assert_eq!(are_muted(&stage), [false].into());
    let run = stage.begin_maintenance(true).await;
    complete(&stage, run).await;
    assert_eq!(are_muted(&stage), [true].into());
    // What is made meanwhile is silent, too.
    stage.monitoring.change(|monitors| monitors.retain(|_, monitor| monitor.url != LMS));
    stage.launch_active().await;
    assert_eq!((watched(&stage).len(), are_muted(&stage)), (4, [true].into()));
    let run = stage.begin_maintenance(false).await;
    complete(&stage, run).await;
    assert_eq!(are_muted(&stage), [false].into());
}

#[tokio::test(start_paused = true)]
async fn without_a_key_nobody_watches_and_what_is_left_is_told_and_resolved_by_hand() {
    let mut stage = Stage::new().await;
    let launched = stage.launch_active().await;
    Arc::get_mut(&mut stage.world).unwrap().ports.monitoring = None;
    let run = stage.begin_activation(launched.appserver, false).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage).len(), 4, "who has no key changes nothing");
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    let stuck = stage.drive(run).await;
    let Phase::Stuck { step, why, .. } = &stuck.phase else { panic!("{stuck:#?}") };
    assert_eq!(step, "remove_monitors");
    assert!(why.contains("monitoring.example.net") && why.contains(HEARTBEAT), "{why}");
    for entry in ledger(&stage).await {
        let id = entry.resource.id;
        stage.app().resolve_resource(&because(), stage.instance, id).await.unwrap();
    }
    let verb = Verb::RetryStep { step: "remove_monitors".to_owned() };
    let reason = "removed there by hand".to_owned();
    stage.app().operate_run(&because(), run, verb, reason, false).await.unwrap();
    complete(&stage, run).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_away_keeps_no_visitor_from_the_new_appserver() {
    let stage = Stage::new().await;
    let always = Fault::Before(Class::Transient);
    for call in ["create_monitor", "find_monitors", "read_monitor"] {
        stage.monitoring.faults.fail_always(call, always.clone());
    }
    let launched = stage.launch().await;
    let run = stage.begin_activation(launched.appserver, true).await;
    stage.drive_until(run, |run| run.steps.contains_key("update_monitors")).await;
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
    let next = stage.launch().await;
    let second = stage.begin_activation(next.appserver, true).await;
    stage.drive_until(second, |run| run.steps.contains_key("update_monitors")).await;
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-2"], "the traffic is free");
    stage.monitoring.faults.clear();
    complete(&stage, second).await;
    complete(&stage, run).await;
    assert_eq!(watched(&stage), [LMS, HEARTBEAT, PREVIEW, STUDIO]);
}
