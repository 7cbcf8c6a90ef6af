//! SQL before an upgrade: once on each site's database, before anything else is done to the site.

use super::bulk::{
    RUN, after_sql, given_sites, instance, pace, redeployment, request, run_to_end, state, tags,
};
use super::nodes::crash_and_restart;
use super::stage::Stage;
use ocim_adapters::faults::Fault;
use ocim_adapters::provisioning::fake::ScriptState;
use ocim_domain::bulk::{Outcome, Pace, Stop, Work};
use ocim_domain::ids::InstanceId;
use ocim_domain::port_error::Class;
use ocim_domain::provisioning::Script;
use ocim_domain::saga::step_key;
use ocim_domain::shared_server::Mysql;
use std::num::NonZeroU32;
use uuid::Uuid;

const STATEMENTS: [&str; 2] = ["DELETE FROM t WHERE password = 'hush-hush'", "DELETE FROM u"];
const RELEASE: &str = r#"{"openedx_release": "open-release/ironwood.2"}"#;

fn work() -> Work {
    after_sql(redeployment(1, Some(RELEASE)), &STATEMENTS)
}

fn key(site: InstanceId) -> Uuid {
    step_key(RUN, &format!("SQL of {site}"))
}

/// The scripts that all servers have run.
fn scripts(stage: &Stage) -> Vec<Script> {
    let done = stage.servers.scripts().into_values().filter_map(|state| match state {
        ScriptState::Done(script) => Some(script),
        ScriptState::BrokenOff => None,
    });
    done.collect()
}

async fn database(stage: &Stage, site: InstanceId) -> String {
    format!("{}_edxapp", instance(stage, site).await.resources.unwrap().database)
}

/// That the site is as it was, but for its tag.
async fn assert_untouched(stage: &Stage, site: InstanceId, tag: &[&str]) {
    let instance = instance(stage, site).await;
    assert_eq!((instance.appservers.len(), instance.settings_version), (1, 1));
    assert_eq!(tags(stage, site).await, tag);
}

fn why_failed(outcome: &Outcome) -> &str {
    let Outcome::Failed { why } = outcome else { panic!("{outcome:?}") };
    why
}

#[tokio::test(start_paused = true)]
async fn sql_runs_once_on_each_sites_main_database_whenever_the_process_dies() {
    for crashes in [0, 3, 9] {
        let stage = Stage::new().await;
        let sites = given_sites(&stage, 3).await;
        request(&stage, work(), &sites, pace(2)).await;
        crash_and_restart(&stage, crashes).await;
        run_to_end(&stage).await;
        let end = state(&stage).await;
        assert!(end.settled.values().all(|it| *it == Outcome::Succeeded), "{end:?}");
        let ran = scripts(&stage);
        assert_eq!(ran.len(), 3);
        for site in sites {
            let script = ran.iter().find(|script| script.key == key(site)).unwrap();
            assert_eq!(script.database, database(&stage, site).await);
            assert_eq!(script.statements, STATEMENTS);
            assert_eq!(instance(&stage, site).await.settings_version, 2);
        }
        let lines = stage.world.logs.read_lines(RUN, 1, usize::MAX).await.unwrap();
        let lines: Vec<_> = lines.into_iter().map(|line| line.line.text).collect();
        let told = |it: &&String| it.contains("2 statements") && it.contains("MySQL server");
        assert!(lines.iter().filter(told).count() >= 3, "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("hush-hush")), "{lines:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sql_that_fails_ends_its_instance_before_anything_is_done_and_no_other() {
    for failures_max in [None, NonZeroU32::new(1)] {
        let stage = Stage::new().await;
        let sites = given_sites(&stage, 3).await;
        stage.servers.faults.fail("run_script", 2, Fault::Before(Class::Permanent));
        request(&stage, work(), &sites, Pace { failures_max, ..pace(1) }).await;
        run_to_end(&stage).await;
        let end = state(&stage).await;
        assert_eq!(end.settled[&sites[0]], Outcome::Succeeded);
        let why = why_failed(&end.settled[&sites[1]]);
        assert!(why.starts_with("its SQL failed: ") && why.contains("run_script"), "{why}");
        assert_untouched(&stage, sites[1], &["may-failure"]).await;
        let stop = failures_max.map(|_| Stop::Failures { count: 1 });
        assert_eq!((end.settled.len(), end.stopped), (if stop.is_some() { 2 } else { 3 }, stop));
    }
}

#[tokio::test(start_paused = true)]
async fn sql_that_broke_off_in_the_middle_is_left_to_people() {
    let stage = Stage::new().await;
    let sites = given_sites(&stage, 1).await;
    let used = instance(&stage, sites[0]).await.servers.mysql.unwrap();
    let known = stage.app().shared_server::<Mysql>(used.server).await.unwrap();
    let server = format!("MySQL server {}", known.registration.address.host);
    stage.servers.break_script_off(&server, key(sites[0]));
    request(&stage, work(), &sites, pace(1)).await;
    run_to_end(&stage).await;
    let end = state(&stage).await;
    let why = why_failed(&end.settled[&sites[0]]);
    assert!(why.contains("broke off"), "{why}");
    assert_untouched(&stage, sites[0], &["may-failure"]).await;
    assert_eq!(stage.servers.faults.calls("run_script"), 1, "nothing is tried again");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_away_for_a_while_is_asked_again_and_one_that_stays_away_is_a_failure() {
    for (faults, is_failure) in [(3, false), (100, true)] {
        let stage = Stage::new().await;
        let sites = given_sites(&stage, 1).await;
        for nth in 1..=faults {
            let fault = match nth {
                1 => Fault::After(Class::Ambiguous),
                _ => Fault::Before(Class::Transient),
            };
            stage.servers.faults.fail("run_script", nth, fault);
        }
        request(&stage, work(), &sites, pace(1)).await;
        run_to_end(&stage).await;
        let end = state(&stage).await;
        assert_eq!(end.settled[&sites[0]] != Outcome::Succeeded, is_failure, "{end:?}");
        let calls = stage.servers.faults.calls("run_script");
        assert_eq!((calls, scripts(&stage).len()), (if is_failure { 5 } else { 4 }, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_site_without_a_mysql_server_is_left_out_with_the_reason() {
    let stage = Stage::without_instance(|_| {}).await;
    let sites = given_sites(&stage, 1).await;
    request(&stage, work(), &sites, pace(1)).await;
    run_to_end(&stage).await;
    let end = state(&stage).await;
    let Outcome::Skipped { why } = &end.settled[&sites[0]] else { panic!("{end:?}") };
    assert_eq!(why, "no MySQL server is assigned to it to run SQL on");
    assert_untouched(&stage, sites[0], &[]).await;
    assert!(scripts(&stage).is_empty());
}
