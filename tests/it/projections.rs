//! The projections on a real database server: exactly once, poison, rebuilds, versions, freshness.

mod fake_log;
pub(crate) mod history;
mod rebuild;
mod skip;
mod tally;

use crate::support::postgres::Database;
use fake_log::FakeLog;
use history::{Site, instance_id, record_all, settings};
use ocim::read_models::{
    AppserverFilter, FRESHNESS_WAIT, InstanceFilter, ReadModels, Reads, RegionRunRow, RunFilter,
    ServerFilter,
};
use ocim_domain::ids::RunId;
use ocim_domain::instance;
use ocim_domain::region::region_id;
use ocim_domain::right::ReadScope;
use ocim_engine::projector::{BuildState, FailureClass, ProjectionStatus, ProjectorRuntime};
use ocim_engine::store::EventStore;
use ocim_projections::ALL;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tokio_postgres::NoTls;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Waits until `condition` gives something.
async fn until<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(it) = condition().await {
            return it;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn serving<'a>(status: &'a [ProjectionStatus], name: &str) -> &'a ProjectionStatus {
    status.iter().find(|it| it.build.name == name && it.serving).unwrap()
}

/// All that the read models hold.
fn reads(models: &ReadModels) -> Reads<'_> {
    models.seen_by(ReadScope::Everything)
}

#[tokio::test]
async fn rows_tell_the_whole_life_of_a_site() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let (one, two) = (Site::new(1), Site::new(2));
    record_all(&log, one.creation());
    record_all(&log, two.creation());
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());

    let end = record_all(&log, one.launch());
    assert!(models.wait_for(end, LONG).await);
    let (instance, detail) =
        reads(&models).read_instance_detail(&one.instance.to_string()).await.unwrap().unwrap();
    assert_eq!(instance.name, "Alpha");
    assert_eq!(detail.settings["email"]["$protected"]["sealed"], "c2VhbGVkIG1haWw=");
    assert_eq!(detail.settings_version, 1);
    assert_eq!(instance.newest, Some(one.appserver.to_string()));
    assert_eq!(instance.load_balancer, Some(one.balancer.to_string()));
    assert_eq!(instance.active_appservers, [one.appserver.to_string()]);
    assert_eq!((instance.appserver_count, &instance.launches[..]), (1, &[][..]));
    assert!(instance.successfully_provisioned);
    let appserver =
        reads(&models).read_appserver(&one.appserver.to_string()).await.unwrap().unwrap();
    assert_eq!((appserver.number, &*appserver.status, appserver.active), (1, "running", true));
    assert_eq!(appserver.server, Some(one.server.to_string()));
    let server = reads(&models).read_server(&one.server.to_string()).await.unwrap().unwrap();
    assert_eq!((&*server.status, server.ssh_port), ("ready", Some(2203)));
    let balancer =
        reads(&models).read_load_balancer(&one.balancer.to_string()).await.unwrap().unwrap();
    assert_eq!(balancer.public_ip, "127.0.3.1");
    let run = reads(&models).read_run(&one.run.to_string()).await.unwrap().unwrap();
    assert_eq!((&*run.phase, &*run.actor), ("completed", "token:tester"));
    let steps = reads(&models).list_run_steps(&one.run.to_string()).await.unwrap();
    let steps: Vec<_> = steps.iter().map(|it| (&*it.step, &*it.state, it.attempt)).collect();
    assert_eq!(steps, [("freeze", "done", 1), ("dns", "skipped", 0), ("server", "done", 2)]);

    let (unfrozen, detail) =
        reads(&models).read_appserver_detail(&two.appserver.to_string()).await.unwrap().unwrap();
    assert_eq!((&*unfrozen.status, detail.settings, unfrozen.server), ("new", None, None));
    let launching = reads(&models).read_instance(&two.instance.to_string()).await.unwrap().unwrap();
    assert_eq!(launching.launches, [two.run.to_string()]);
    let end = record_all(&log, two.cancelled_launch());
    assert!(models.wait_for(end, LONG).await);
    let unfrozen =
        reads(&models).read_appserver(&two.appserver.to_string()).await.unwrap().unwrap();
    assert_eq!(unfrozen.status, "cancelled");
    handle.stop().await;
}

#[tokio::test]
async fn lists_come_newest_first_page_by_page() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let end = record_all(&log, history::mixed_history(7));
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());
    assert!(models.wait_for(end, LONG).await);

    let mut seen: Vec<String> = vec![];
    loop {
        let after = seen.last().map(String::as_str);
        let page =
            reads(&models).list_instances(&InstanceFilter::default(), 3, after).await.unwrap();
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 3);
        seen.extend(page.into_iter().map(|row| row.id));
    }
    let expected: Vec<_> = (1..=7).rev().map(|number| instance_id(number).to_string()).collect();
    assert_eq!(seen, expected);

    let site = Site::new(3);
    let wanted = RunFilter { subject: Some(site.appserver.to_string()), ..RunFilter::default() };
    let runs = reads(&models).list_runs(&wanted, 10, None).await.unwrap();
    assert_eq!(runs.iter().map(|run| &*run.phase).collect::<Vec<_>>(), ["unwound"]);
    let open = RunFilter { open_only: true, ..RunFilter::default() };
    assert_eq!(reads(&models).list_runs(&open, 10, None).await.unwrap(), []);
    assert_eq!(reads(&models).list_runs(&RunFilter::default(), 10, None).await.unwrap().len(), 7);
    let of_site =
        AppserverFilter { instance: Some(site.instance.to_string()), ..AppserverFilter::default() };
    let of_one = reads(&models).list_appservers(&of_site, 10, None).await.unwrap();
    assert_eq!(of_one.len(), 1);
    assert_eq!(
        reads(&models).list_appservers(&AppserverFilter::default(), 10, None).await.unwrap().len(),
        7
    );
    assert_eq!(
        reads(&models).list_servers(&ServerFilter::default(), 10, None).await.unwrap().len(),
        5
    );
    assert_eq!(reads(&models).list_load_balancers(10, None).await.unwrap().len(), 7);
    handle.stop().await;
}

#[tokio::test]
async fn a_poison_event_pauses_its_projection_and_no_other() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let (one, two) = (Site::new(1), Site::new(2));
    record_all(&log, one.creation());
    record_all(&log, one.launch());
    let of_server = log.read_stream(&one.server.stream(), 0).await.unwrap();
    let good = of_server.last().unwrap().position;
    let poison = log.record_raw(&one.server.stream(), "server.sight_lost", json!({"reson": 1}));
    record_all(&log, two.creation());
    let end = record_all(&log, two.launch());
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());

    let paused = until("servers are paused", async || {
        let status = models.projection_status().await.ok()?;
        status.into_iter().find(|it| it.state == BuildState::Paused)
    })
    .await;
    assert_eq!((&*paused.build.name, paused.position, paused.serving), ("servers", good, true));
    let failure = paused.failure.unwrap();
    assert_eq!(failure.position, poison.to_string());
    assert_eq!(failure.kind, "server.sight_lost");
    assert_eq!(failure.stream, one.server.stream().to_string());
    assert_eq!(failure.class, FailureClass::Undecodable);
    assert!(failure.error.contains("reason"), "{}", failure.error);

    until("the others have gone on", async || {
        let status = models.projection_status().await.ok()?;
        let others = status.iter().filter(|it| it.build.name != "servers");
        others.clone().all(|it| it.position == end && it.state == BuildState::Running).then_some(())
    })
    .await;
    let server = reads(&models).read_server(&one.server.to_string()).await.unwrap().unwrap();
    assert_eq!(server.status, "ready", "what came before the poison is there");
    assert_eq!(
        reads(&models).read_server(&two.server.to_string()).await.unwrap(),
        None,
        "never skipped"
    );
    assert!(models.wait_for(good, LONG).await);
    let start = Instant::now();
    assert!(!models.wait_for(end, LONG).await);
    assert!(start.elapsed() < FRESHNESS_WAIT, "nobody waits for what stands still");
    handle.stop().await;
}

#[tokio::test]
async fn rows_that_the_database_refuses_are_poison_too() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let created = |name: &str| instance::Event::Created { settings: settings(name) };
    let good = log.record(&instance_id(1).stream(), &created("Alpha"));
    let poison = log.record(&instance_id(2).stream(), &created("no \0 text"));
    log.record(&instance_id(3).stream(), &created("Gamma"));
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);

    let paused = until("instances are paused", async || {
        let status = handle.status().await.ok()?;
        status.into_iter().find(|it| it.state == BuildState::Paused)
    })
    .await;
    assert_eq!((&*paused.build.name, paused.position), ("instances", good));
    let failure = paused.failure.unwrap();
    assert_eq!((failure.class, failure.position), (FailureClass::Refused, poison.to_string()));
    handle.stop().await;
}

#[tokio::test]
async fn a_store_that_is_gone_is_waited_for() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let site = Site::new(1);
    let start = record_all(&log, site.creation());
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);
    let freshness = handle.freshness();
    assert!(freshness.wait_for(start, LONG).await);
    log.hold_back(Some(start));
    let end = record_all(&log, site.launch());
    assert!(!freshness.wait_for(end, Duration::from_millis(200)).await);
    log.hold_back(None);
    assert!(freshness.wait_for(end, LONG).await);
    handle.stop().await;
}

#[tokio::test]
async fn a_database_that_is_gone_is_waited_for() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let site = Site::new(1);
    let start = record_all(&log, site.creation());
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());
    assert!(models.wait_for(start, LONG).await);

    let config = database.config();
    let name = config.get_dbname().unwrap();
    let (admin, connection) = database.config().dbname("postgres").connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute(&format!("alter database {name} allow_connections false")).await.unwrap();
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
    admin.execute(kill, &[&name]).await.unwrap();
    let end = record_all(&log, site.launch());
    assert!(!models.wait_for(end, Duration::from_millis(200)).await);
    reads(&models).list_servers(&ServerFilter::default(), 10, None).await.unwrap_err();
    admin.batch_execute(&format!("alter database {name} allow_connections true")).await.unwrap();
    assert!(models.wait_for(end, LONG).await);
    assert_eq!(
        reads(&models).list_servers(&ServerFilter::default(), 10, None).await.unwrap().len(),
        1
    );
    handle.stop().await;
}

/// A connection of its own, apart from the pool.
async fn connect(database: &Database) -> tokio_postgres::Client {
    let (client, connection) = database.config().connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A runtime whose log is shared with the test.
fn start(
    log: &Arc<FakeLog>,
    database: &Database,
    registry: &[ocim_projections::Projector],
) -> ocim_engine::projector::ProjectorHandle {
    ProjectorRuntime::start(log.clone(), database.pool(), registry)
}

#[tokio::test]
async fn a_region_shows_who_has_a_slot_and_who_waits_in_which_place() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let handle = ProjectorRuntime::start(log.clone(), database.pool(), ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());
    let run = |number| RunId(uuid::Uuid::from_u128(number));
    let stream = region_id("north").stream();
    log.record_raw(
        &stream,
        "region.limit_set",
        json!({"region": "north", "limit": 1, "configured": true}),
    );
    for number in [3, 2, 4, 1] {
        log.record_raw(&stream, "region.run_queued", json!({"run": run(number)}));
    }
    log.record_raw(&stream, "region.run_admitted", json!({"run": run(3)}));
    let end = log.record_raw(&stream, "region.run_left", json!({"run": run(4)}));
    assert!(models.wait_for(end, LONG).await);
    let regions = reads(&models).list_regions().await.unwrap();
    let [north] = &regions[..] else { panic!("{regions:?}") };
    assert_eq!((&*north.name, north.launches_max), ("north", 1));
    let runs = reads(&models).list_region_runs().await.unwrap();
    let told = |it: &RegionRunRow| {
        assert_eq!(it.region, north.id);
        (it.run.clone(), it.state.clone())
    };
    let expected = [(3, "running"), (2, "queued"), (1, "queued")];
    let expected = expected.map(|(number, state)| (run(number).to_string(), state.to_owned()));
    assert_eq!(runs.iter().map(told).collect::<Vec<_>>(), expected);
    handle.stop().await;
}
