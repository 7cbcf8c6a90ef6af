//! Work on many instances: batches, attempts, the one that goes first, crashes.

use super::nodes::crash_and_restart;
use super::stage::{Stage, because, create_instance, somebody};
use ocim::app::LaunchAsk;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::bulk::sql::Sql;
use ocim_domain::bulk::{self, Bulk, Outcome, Pace, Redeployment, Request, Stop, Work};
use ocim_domain::event::DomainEvent;
use ocim_domain::fragment::probe_host;
use ocim_domain::ids::{BulkId, InstanceId, RunId};
use ocim_domain::instance::{self, Instance, Stage as Life};
use ocim_domain::protected::Protected;
use ocim_domain::saga::Phase;
use std::collections::BTreeSet;
use std::num::NonZeroU32;
use uuid::Uuid;

const ID: BulkId = BulkId(Uuid::from_u128(0xb01));
pub(crate) const RUN: RunId = RunId(Uuid::from_u128(0xb02));

/// So many instances that are served, beside the stage's own; the stage's cloud and playbooks are as
/// they are.
pub(super) async fn given_sites(stage: &Stage, count: usize) -> Vec<InstanceId> {
    let mut sites = vec![];
    for number in 0..count {
        let name = format!("site-{number}");
        let instance = create_instance(stage.app(), &name).await;
        stage.answer_as(&format!("{name}.example.com"), None);
        for appserver in 1..=4 {
            stage.answer(&probe_host(instance, appserver), None);
        }
        let launched =
            stage.app().launch_appserver(&somebody(), instance, LaunchAsk::default()).await;
        let run = launched.unwrap().value.run;
        stage.start(run).await;
        assert_eq!(stage.drive(run).await.phase, Phase::Completed);
        sites.push(instance);
    }
    sites
}

/// A launch of each, after settings were changed where `update` says which.
pub(crate) fn redeployment(attempts: u32, update: Option<&str>) -> Work {
    Work::Redeploy(Redeployment {
        tag: "may".parse().unwrap(),
        update: update.map(|text| Protected::new(ID.to_string(), text)),
        sql: None,
        attempts: NonZeroU32::new(attempts).unwrap(),
        activate: true,
    })
}

/// The same work, after SQL on each one's database.
pub(crate) fn after_sql(work: Work, statements: &[&str]) -> Work {
    let Work::Redeploy(how) = work else { panic!("{work:?}") };
    let statements: Vec<_> = statements.iter().map(|it| (*it).to_owned()).collect();
    Work::Redeploy(Redeployment { sql: Sql::new(ID.to_string(), &statements), ..how })
}

pub(crate) fn pace(batch_size: u32) -> Pace {
    let batch_size = NonZeroU32::new(batch_size).unwrap();
    Pace { batch_size, frequency_seconds: 0, canary: false, failures_max: None }
}

/// Asks for it; the run begins where a runner or a test starts it.
pub(crate) async fn request(stage: &Stage, work: Work, instances: &[InstanceId], pace: Pace) {
    let reason = "a new release".to_owned();
    let request = Request { run: RUN, reason, work, instances: instances.to_vec(), pace };
    let command = bulk::Command::Request(Box::new(request));
    let (journal, meta) = (stage.app().journal(), somebody().metadata());
    journal.execute::<Bulk>(&ID.stream(), &meta, command).await.unwrap();
}

pub(super) async fn state(stage: &Stage) -> bulk::Present {
    *stage.app().journal().load::<Bulk>(&ID.stream()).await.unwrap().state.unwrap()
}

pub(super) async fn instance(stage: &Stage, id: InstanceId) -> instance::Present {
    stage
        .app()
        .journal()
        .load::<Instance>(&id.stream())
        .await
        .unwrap()
        .state
        .present()
        .unwrap()
        .clone()
}

pub(super) async fn tags(stage: &Stage, id: InstanceId) -> Vec<String> {
    instance(stage, id).await.details.tags.iter().map(ToString::to_string).collect()
}

/// Has a runner do it, until it is over.
pub(super) async fn run_to_end(stage: &Stage) {
    let runner = stage.start_runner();
    while !state(stage).await.is_over {
        tokio::time::sleep(stage.world.limits.poll_interval).await;
    }
    runner.stop().await;
}

/// How many instances were under way at a time, by the operation's own events.
async fn most_at_a_time(stage: &Stage) -> usize {
    let (mut ongoing, mut most) = (BTreeSet::new(), 0);
    for recorded in stage.events(&["bulk.batch_begun", "bulk.instance_settled"]).await {
        match bulk::Event::decode(&recorded.kind, recorded.schema, &recorded.data).unwrap() {
            bulk::Event::BatchBegun { instances, .. } => ongoing.extend(instances),
            bulk::Event::InstanceSettled { instance, .. } => drop(ongoing.remove(&instance)),
            _ => {}
        }
        most = most.max(ongoing.len());
    }
    most
}

#[tokio::test(start_paused = true)]
async fn instances_are_redeployed_a_few_at_a_time_and_serve_by_what_is_new() {
    let stage = Stage::new().await;
    let sites = given_sites(&stage, 4).await;
    request(&stage, redeployment(1, None), &sites, pace(2)).await;
    run_to_end(&stage).await;
    let end = state(&stage).await;
    assert!(end.settled.values().all(|it| *it == Outcome::Succeeded), "{end:?}");
    assert_eq!((end.settled.len(), most_at_a_time(&stage).await), (4, 2));
    for site in sites {
        let instance = instance(&stage, site).await;
        assert_eq!(instance.active, instance.appservers[1..], "the new one alone serves");
        assert_eq!(tags(&stage, site).await, ["may-success"]);
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_after_any_crash_and_does_nothing_twice() {
    for crashes in [3, 9] {
        let stage = Stage::new().await;
        let sites = given_sites(&stage, 3).await;
        request(&stage, redeployment(1, None), &sites, pace(2)).await;
        crash_and_restart(&stage, crashes).await;
        run_to_end(&stage).await;
        let end = state(&stage).await;
        assert!(end.settled.values().all(|it| *it == Outcome::Succeeded), "{end:?}");
        for site in sites {
            let instance = instance(&stage, site).await;
            assert_eq!(instance.appservers.len(), 2, "one launch each");
            assert_eq!(instance.active, instance.appservers[1..]);
        }
        assert_eq!(stage.events(&["bulk.ended"]).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn each_failure_is_noted_and_the_first_one_alone_stops_the_others_where_it_goes_first() {
    for canary in [true, false] {
        let stage = Stage::new().await;
        let sites = given_sites(&stage, 3).await;
        let end = RunState::Exited(2);
        stage.playbooks.set_default_script(Script { end, ..Script::default() });
        request(&stage, redeployment(2, None), &sites, Pace { canary, ..pace(1) }).await;
        run_to_end(&stage).await;
        let end = state(&stage).await;
        let tried = if canary { 1 } else { 3 };
        assert_eq!(end.settled.len(), tried, "{end:?}");
        assert_eq!(end.stopped, canary.then_some(Stop::Canary));
        let Outcome::Failed { why } = &end.settled[&sites[0]] else { panic!("{end:?}") };
        assert!(why.contains("run_main_playbook"), "{why}");
        assert_eq!(tags(&stage, sites[0]).await, ["may-failure"]);
        let first = instance(&stage, sites[0]).await;
        assert_eq!(first.appservers.len(), 3, "it was attempted twice");
        assert!(first.launches.is_empty());
        assert_eq!(tags(&stage, sites[2]).await.is_empty(), canary, "it was never begun");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_to_be_touched_is_left_out_with_the_reason() {
    let stage = Stage::new().await;
    let sites = given_sites(&stage, 2).await;
    let never = create_instance(stage.app(), "never").await;
    let ask = ocim::app::DetailsAsk {
        add_tags: vec!["may-success".to_owned()],
        ..ocim::app::DetailsAsk::default()
    };
    stage.app().change_details(&somebody(), sites[1], ask).await.unwrap();
    let gone = InstanceId(Uuid::from_u128(77));
    let wanted = [never, sites[1], gone, sites[0]];
    request(&stage, redeployment(1, None), &wanted, pace(4)).await;
    run_to_end(&stage).await;
    let end = state(&stage).await;
    for (site, word) in
        [(never, "no launch of it"), (sites[1], "tagged may-success"), (gone, "not there")]
    {
        let Outcome::Skipped { why } = &end.settled[&site] else { panic!("{site}: {end:?}") };
        assert!(why.contains(word), "{why}");
    }
    assert_eq!(end.settled[&sites[0]], Outcome::Succeeded);
    assert!(instance(&stage, never).await.appservers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn settings_are_changed_before_the_launch_and_what_they_refuse_is_a_failure() {
    let stage = Stage::new().await;
    let sites = given_sites(&stage, 1).await;
    let update = |text: &str| redeployment(1, Some(text));
    let fixed = r#"{"internal_lms_domain": "other.example.com"}"#;
    request(&stage, update(fixed), &sites, pace(1)).await;
    run_to_end(&stage).await;
    let end = state(&stage).await;
    let Outcome::Failed { why } = &end.settled[&sites[0]] else { panic!("{end:?}") };
    assert!(why.contains("internal_lms_domain"), "{why}");
    assert_eq!(tags(&stage, sites[0]).await, ["may-failure"]);

    let stage = Stage::new().await;
    let sites = given_sites(&stage, 1).await;
    let release = r#"{"openedx_release": "open-release/ironwood.2"}"#;
    request(&stage, update(release), &sites, pace(1)).await;
    run_to_end(&stage).await;
    assert_eq!(state(&stage).await.settled[&sites[0]], Outcome::Succeeded);
    let changed = instance(&stage, sites[0]).await;
    assert_eq!(changed.settings.openedx_release, "open-release/ironwood.2");
    assert_eq!(changed.settings_version, 2, "once, however often it was looked at");
}

#[tokio::test(start_paused = true)]
async fn instances_are_archived_a_few_at_a_time() {
    let stage = Stage::new().await;
    let sites = given_sites(&stage, 3).await;
    request(&stage, Work::Archive, &sites, pace(2)).await;
    run_to_end(&stage).await;
    let end = state(&stage).await;
    assert!(end.settled.values().all(|it| *it == Outcome::Succeeded), "{end:?}");
    assert_eq!(most_at_a_time(&stage).await, 2);
    for site in sites {
        assert_eq!(instance(&stage, site).await.lifecycle.stage, Life::Archived);
    }
    assert!(stage.cloud.machines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_cancel_begins_no_more_and_leaves_what_was_begun_to_its_runs() {
    let stage = Stage::new().await;
    let sites = given_sites(&stage, 3).await;
    request(&stage, redeployment(1, None), &sites, pace(1)).await;
    let runner = stage.start_runner();
    while state(&stage).await.ongoing.is_empty() {
        tokio::time::sleep(stage.world.limits.poll_interval).await;
    }
    stage.cancel(RUN).await;
    while !state(&stage).await.is_over || !instance(&stage, sites[0]).await.launches.is_empty() {
        tokio::time::sleep(stage.world.limits.poll_interval).await;
    }
    runner.stop().await;
    assert_eq!(instance(&stage, sites[0]).await.appservers.len(), 2);
    assert_eq!(instance(&stage, sites[2]).await.appservers.len(), 1, "it was never begun");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_somebody_holds_is_left_as_it_is() {
    let renamed = Some(r#"{"name":"new"}"#);
    for work in [redeployment(1, renamed), redeployment(1, None), Work::Archive] {
        let stage = Stage::new().await;
        let sites = given_sites(&stage, 2).await;
        let before = instance(&stage, sites[0]).await;
        let until = stage.app().journal().now() + chrono::TimeDelta::days(1);
        stage.app().hold_instance(&because(), sites[0], until).await.unwrap();
        request(&stage, work, &sites, pace(2)).await;
        run_to_end(&stage).await;
        let end = state(&stage).await;
        let Outcome::Skipped { why } = &end.settled[&sites[0]] else { panic!("{end:?}") };
        assert!(why.contains("token:tests holds the instance"), "{why}");
        assert_eq!(end.settled[&sites[1]], Outcome::Succeeded);
        let after = instance(&stage, sites[0]).await;
        let of = |it: &instance::Present| {
            (it.settings.clone(), it.appservers.clone(), it.lifecycle.stage)
        };
        assert_eq!(of(&after), of(&before));
    }
}
