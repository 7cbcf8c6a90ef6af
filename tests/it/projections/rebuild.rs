//! Rebuilds: the same rows as live, while readers read; given up, interrupted, asked for from outside.

use super::fake_log::FakeLog;
use super::history::{Site, mixed_history, record_all};
use super::{LONG, connect, serving, start, until};
use crate::support::postgres::Database;
use deadpool_postgres::Pool;
use ocim::read_models::{InstanceFilter, ReadModels};
use ocim_domain::right::ReadScope;
use ocim_engine::projector::{
    BuildState, ProjectorError, ProjectorHandle, ProjectorRuntime, cancel_rebuild, request_rebuild,
};
use ocim_projections::ALL;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A hash of all rows that readers see, by table.
async fn hash_rows(database: &Database) -> BTreeMap<&'static str, String> {
    let client = connect(database).await;
    let mut hashes = BTreeMap::new();
    for table in ALL.iter().flat_map(|projector| projector.tables) {
        let sql = format!(
            "select count(*)::text || ':' || md5(coalesce(string_agg(t::text, '|' order by t::text), '')) \
             from rm.{} as t",
            table.name
        );
        hashes.insert(table.name, client.query_one(&sql, &[]).await.unwrap().get(0));
    }
    hashes
}

async fn until_served(handle: &ProjectorHandle, name: &str, generation: i32) {
    until("readers see the new build", async || {
        let status = handle.status().await.unwrap();
        (serving(&status, name).build.generation == generation).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_gives_the_rows_that_live_reading_gave_while_readers_read() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let handle = start(&log, &database, ALL);
    let models = ReadModels::new(database.pool(), handle.freshness());
    let steps = mixed_history(30);
    for part in steps.chunks(9) {
        let end = record_all(&log, part.to_vec());
        assert!(models.wait_for(end, LONG).await);
    }
    let live = hash_rows(&database).await;
    assert!(live["instances"].starts_with("30:"), "{live:?}");

    let is_over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (models, is_over) = (models.clone(), Arc::clone(&is_over));
        let known = Site::new(1);
        async move {
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                assert_eq!(
                    models
                        .seen_by(ReadScope::Everything)
                        .list_instances(&InstanceFilter::default(), 100, None)
                        .await
                        .unwrap()
                        .len(),
                    30
                );
                assert!(
                    models
                        .seen_by(ReadScope::Everything)
                        .read_run(&known.run.to_string())
                        .await
                        .unwrap()
                        .is_some()
                );
                reads += 1;
            }
            reads
        }
    });
    for projector in ALL {
        let build = handle.rebuild(projector.name).await.unwrap();
        assert_eq!((&*build.name, build.generation), (projector.name, 2));
        until_served(&handle, projector.name, 2).await;
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0);
    assert_eq!(hash_rows(&database).await, live);

    let end = record_all(&log, Site::new(31).creation());
    assert!(models.wait_for(end, LONG).await, "the new builds follow the log");
    assert_eq!(
        models
            .seen_by(ReadScope::Everything)
            .list_instances(&InstanceFilter::default(), 100, None)
            .await
            .unwrap()
            .len(),
        31
    );
    handle.stop().await;
}

/// How many statements the idle connections of a pool keep prepared.
fn count_statements(pool: &Pool) -> usize {
    let mut count = 0;
    pool.retain(|client, _| {
        count += client.statement_cache.size();
        true
    });
    count
}

#[tokio::test]
async fn rebuilds_leave_no_statements_behind() {
    let database = Database::migrated().await;
    let (pool, log) = (database.pool(), FakeLog::new());
    let end = record_all(&log, mixed_history(5));
    let handle = ProjectorRuntime::start(log.clone(), pool.clone(), ALL);
    assert!(handle.freshness().wait_for(end, LONG).await);
    handle.rebuild("runs").await.unwrap();
    until_served(&handle, "runs", 2).await;
    let once = count_statements(&pool);
    for generation in 3..=12 {
        handle.rebuild("runs").await.unwrap();
        until_served(&handle, "runs", generation).await;
    }
    until("the statements of former builds are gone", async || {
        (count_statements(&pool) <= once.max(20)).then_some(())
    })
    .await;
    handle.stop().await;
}

#[tokio::test]
async fn an_interrupted_rebuild_goes_on_where_it_was() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let steps = mixed_history(12);
    let (first, second) = steps.split_at(80);
    let middle = record_all(&log, first.to_vec());
    let end = record_all(&log, second.to_vec());
    let handle = start(&log, &database, ALL);
    assert!(handle.freshness().wait_for(end, LONG).await);
    let live = hash_rows(&database).await;

    log.hold_back(Some(middle));
    handle.rebuild("runs").await.unwrap();
    until("the rebuild is half done", async || {
        let status = handle.status().await.unwrap();
        status.iter().any(|it| !it.serving && it.position == middle).then_some(())
    })
    .await;
    handle.stop().await;
    assert_eq!(hash_rows(&database).await, live, "readers see the old build");

    log.hold_back(None);
    let handle = start(&log, &database, ALL);
    until_served(&handle, "runs", 2).await;
    assert_eq!(hash_rows(&database).await, live);
    handle.stop().await;
}

#[tokio::test]
async fn a_rebuild_is_asked_for_and_given_up_by_any_process() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let end = record_all(&log, mixed_history(2));
    let handle = start(&log, &database, ALL);
    assert!(handle.freshness().wait_for(end, LONG).await);
    handle.stop().await;

    let unknown = request_rebuild(&database.pool(), ALL, "nothing").await.unwrap_err();
    assert!(matches!(unknown, ProjectorError::UnknownProjection { .. }));
    assert!(!cancel_rebuild(&database.pool(), ALL, "runs").await.unwrap());
    let given_up = request_rebuild(&database.pool(), ALL, "runs").await.unwrap();
    assert!(cancel_rebuild(&database.pool(), ALL, "runs").await.unwrap());
    let replaced = request_rebuild(&database.pool(), ALL, "runs").await.unwrap();
    let wanted = request_rebuild(&database.pool(), ALL, "runs").await.unwrap();
    assert_eq!([given_up.generation, replaced.generation, wanted.generation], [2, 3, 4]);

    let handle = start(&log, &database, ALL);
    until_served(&handle, "runs", 4).await;
    let status = handle.status().await.unwrap();
    let retired = status.iter().filter(|it| it.state == BuildState::Retired);
    assert_eq!(retired.map(|it| it.build.generation).collect::<Vec<_>>(), [1, 2, 3]);
    handle.stop().await;
}
