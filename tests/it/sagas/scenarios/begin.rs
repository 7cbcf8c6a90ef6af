//! How the runs of scenarios that take more than one request begin.

use crate::sagas::bulk;
use crate::sagas::reconciler::stray;
use crate::sagas::stage::{BALANCER, REGION, Stage, because, somebody};
use ocim::app::lifecycle::LifecycleAsk;
use ocim::app::{CleanUpRequest, LaunchAsk};
use ocim::processes::started_by;
use ocim::reconciler::RegionWatch;
use ocim::reconciler::balancers::BalancerWatch;
use ocim_adapters::balancer::Fragment;
use ocim_adapters::cloud::Cloud;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::bulk::Pace;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::run_record::ProvisionLoadBalancer;
use ocim_domain::timer::Job;
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

/// In which what is of no use becomes obsolete.
const DAYS: Duration = Duration::from_secs(3 * 24 * 3600);

/// What can't be redeployed, one after the other.
pub(crate) async fn begin_bulk(stage: &Stage, frequency_seconds: u32) -> RunId {
    stage.launch().await;
    let fixed = r#"{"internal_lms_domain": "other.example.com"}"#;
    let work = bulk::after_sql(bulk::redeployment(1, Some(fixed)), &["DELETE FROM t"]);
    let instances = [stage.instance, InstanceId(Uuid::from_u128(77))];
    let pace = Pace { frequency_seconds, ..bulk::pace(1) };
    bulk::request(stage, work, &instances, pace).await;
    stage.start(bulk::RUN).await;
    bulk::RUN
}

/// One that serves, and one that does not.
pub(crate) async fn launch_two(stage: &Stage) {
    stage.launch_active().await;
    stage.launch().await;
}

/// Takes away what a failed configuration left.
pub(crate) async fn begin_clean_up(stage: &Stage) -> RunId {
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive(launched.run).await;
    let asked = stage.app().clean_up_appserver(&because(), launched.appserver).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    run
}

/// Takes away the older one of two that run, days later.
pub(crate) async fn begin_obsolete(stage: &Stage) -> RunId {
    let old = stage.launch().await.appserver;
    stage.launch().await;
    tokio::time::sleep(DAYS).await;
    let (run, meta) = (RunId(stage.app().journal().new_id()), somebody().metadata());
    let asked =
        stage.app().clean_up_obsolete(&meta, old, run, "goes, because it is old".to_owned());
    assert_eq!(asked.await.unwrap(), CleanUpRequest::Requested);
    stage.start(run).await;
    run
}

/// Looks at three that run, days later.
pub(crate) async fn begin_daily_clean_up(stage: &Stage) -> RunId {
    for _ in 0..3 {
        stage.launch().await;
    }
    tokio::time::sleep(DAYS).await;
    let asked = stage.app().run_timer(&somebody(), Job::CleanUpAppservers).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    run
}

/// Tells of a launch that failed.
pub(crate) async fn begin_mail(stage: &Stage) -> RunId {
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive(launched.run).await;
    let settled = stage.events(&["instance.launch_settled"]).await;
    let run = settled.iter().find_map(started_by).expect("a mail is asked for").run;
    stage.start(run).await;
    run
}

/// Has a site be watched that begins to serve.
pub(crate) async fn begin_monitors(stage: &Stage) -> RunId {
    let named = json!({ "additional_monitoring_emails": ["ops@example.com"] });
    let Value::Object(settings) = named else { panic!() };
    let changed = stage.app().change_settings(&somebody(), stage.instance, settings, None).await;
    changed.unwrap();
    stage.launch_active().await;
    let moved = stage.events(&["instance.traffic_assigned"]).await;
    let run = moved.iter().find_map(started_by).expect("a run is asked for").run;
    stage.start(run).await;
    run
}

/// Has what watches a site be quiet, because visitors get a page.
pub(crate) async fn begin_muting(stage: &Stage) -> RunId {
    let first = begin_monitors(stage).await;
    stage.drive(first).await;
    let page = stage.begin_maintenance(true).await;
    stage.drive(page).await;
    begin_last(stage, "instance.maintenance_changed").await
}

/// Has others read that one serves.
pub(crate) async fn begin_publishing(stage: &Stage) -> RunId {
    stage.launch_active().await;
    begin_last(stage, "instance.traffic_released").await
}

/// Has others read nothing any more of a site that was archived.
pub(crate) async fn begin_withdrawing(stage: &Stage) -> RunId {
    let first = begin_publishing(stage).await;
    stage.drive(first).await;
    let archived = stage.begin_change(LifecycleAsk::Archive).await;
    stage.drive(archived).await;
    begin_last(stage, "instance.archived").await
}

/// Starts what the last event of that kind asks for.
async fn begin_last(stage: &Stage, kind: &str) -> RunId {
    let told = stage.events(&[kind]).await;
    let run = told.iter().rev().find_map(started_by).expect("a run is asked for").run;
    stage.start(run).await;
    run
}

/// Deletes the log of a launch that ended long ago.
pub(crate) async fn begin_timer(stage: &Stage) -> RunId {
    let launched = stage.launch_active().await;
    stage.world.logs.finish(launched.run).await.unwrap();
    tokio::time::sleep(stage.world.limits.logs_kept + Duration::from_secs(60)).await;
    let asked = stage.app().run_timer(&somebody(), Job::DeleteOldLogs).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    run
}

/// Takes away a machine that nobody accounts for.
pub(crate) async fn begin_orphan_deletion(stage: &Stage) -> RunId {
    let machine = stage.cloud.create_machine(&stray(7)).await.unwrap().id;
    let mut watch = RegionWatch::new(stage.world.clone(), REGION);
    watch.look().await.unwrap();
    watch.look().await.unwrap();
    let asked = stage.app().delete_orphan(&because(), REGION, &machine).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    run
}

/// Puts right what somebody has changed on the balancer behind our back.
pub(crate) async fn begin_preparation(stage: &Stage) -> RunId {
    stage.launch_active().await;
    let mut changed = stage.balancer.fragments(BALANCER).into_values().next().unwrap();
    changed.configuration.push_str("    # by hand\n");
    stage.balancer.tamper(BALANCER, &changed);
    let stray = Fragment {
        name: "ocim--main-nobody".to_owned(),
        configuration: "backend be-nobody\n".to_owned(),
        map: String::new(),
    };
    stage.balancer.tamper(BALANCER, &stray);
    let mut watch = BalancerWatch::new(stage.world.clone());
    watch.look().await.unwrap();
    watch.look().await.unwrap();
    let asked = stage.events(&["load_balancer.preparation_requested"]).await;
    let run = asked.iter().find_map(started_by).expect("a run is asked for").run;
    stage.start(run).await;
    run
}

pub(crate) async fn begin_provision(stage: &Stage) -> RunId {
    let run = RunId(stage.app().journal().new_id());
    let input = ProvisionLoadBalancer {
        region: REGION.to_owned(),
        domain: "second.example.com".to_owned(),
        fragment_name_postfix: "-second".to_owned(),
        flavor: json!({}),
        image: json!({}),
        also_listens: None,
    };
    let input = serde_json::to_value(input).unwrap();
    stage.start_run(run, "provision_load_balancer", input, "second.example.com".to_owned()).await;
    run
}
