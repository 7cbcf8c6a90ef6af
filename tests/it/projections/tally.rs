//! A small projector of the tests' own, in two versions: what a crash or a new version must not break.

use super::fake_log::FakeLog;
use super::{LONG, connect, serving, start, until};
use crate::support::postgres::Database;
use ocim_domain::event::{DecodeError, Position, Recorded, StreamId};
use ocim_engine::projector::{
    BuildState, ProjectorError, ProjectorHandle, cancel_rebuild, request_rebuild,
};
use ocim_projections::{ColumnType, Columns, Index, Projector, RowChange, Table};
use serde_json::json;
use uuid::Uuid;

const TALLY: Projector = Projector {
    name: "tally",
    version: 1,
    categories: &["tally"],
    tables: &[Table {
        name: "tallies",
        columns: &[("id", ColumnType::Text), ("latest", ColumnType::Integer)],
        key: &["id"],
        computed: &[],
        indexes: &[],
    }],
    project,
};

const TALLY_2: Projector = Projector {
    version: 2,
    tables: &[Table {
        name: "tallies",
        columns: &[
            ("id", ColumnType::Text),
            ("latest", ColumnType::Integer),
            ("doubled", ColumnType::Integer),
        ],
        key: &["id"],
        computed: &[],
        indexes: &[Index::on("doubled")],
    }],
    project: project_2,
    ..TALLY
};

fn project(event: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let set = Columns::from([("latest", event.data["count"].clone())]);
    let key = Columns::from([("id", json!(event.stream))]);
    Ok(vec![RowChange::Upsert { table: "tallies", key, initial: Columns::new(), set }])
}

fn project_2(event: &Recorded) -> Result<Vec<RowChange>, DecodeError> {
    let mut changes = project(event)?;
    assert_ne!(event.data["count"], json!(13), "a projector's bug, on purpose");
    if let Some(RowChange::Upsert { set, .. }) = changes.first_mut() {
        set.insert("doubled", json!(event.data["count"].as_i64().unwrap() * 2));
    }
    Ok(changes)
}

fn count(log: &FakeLog, number: u32) -> Position {
    let stream = StreamId::new("tally", Uuid::from_u128(1));
    log.record_raw(&stream, "tally.counted", json!({"count": number}))
}

/// Each row written leaves a line in `public.written`, then waits for lock 1, all inside the
/// projection's transaction: there the test kills its connection.
const GATE: &str = "
    create table public.written (latest integer not null);
    create function public.note_row() returns trigger language plpgsql as $$
    begin
        insert into public.written values (new.latest);
        perform pg_advisory_xact_lock_shared(1);
        return null;
    end $$;
    create trigger note_row after insert or update on rm_tally_v1_g1.tallies
        for each row execute function public.note_row();";

#[tokio::test]
async fn each_event_counts_once_though_its_transaction_is_killed() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let handle = start(&log, &database, &[TALLY]);
    let freshness = handle.freshness();
    let first = count(&log, 0);
    assert!(freshness.wait_for(first, LONG).await);
    let client = connect(&database).await;
    client.batch_execute(GATE).await.unwrap();

    for number in 1..=5 {
        client.batch_execute("select pg_advisory_lock(1)").await.unwrap();
        let position = count(&log, number);
        let kill = "select pg_terminate_backend(pid) from pg_locks \
                    where locktype = 'advisory' and objid = 1 and not granted \
                    and database = (select oid from pg_database where datname = current_database())";
        until("its rows are written and not committed", async || {
            (client.execute(kill, &[]).await.unwrap() > 0).then_some(())
        })
        .await;
        assert!(freshness.watch().borrow()["tally"].position < position);
        client.batch_execute("select pg_advisory_unlock(1)").await.unwrap();
        assert!(freshness.wait_for(position, LONG).await);
    }

    let rows = client.query("select latest from public.written order by 1", &[]).await.unwrap();
    let written: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(written, [1, 2, 3, 4, 5]);
    let row = client.query_one("select latest from rm.tallies", &[]).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 5);
    handle.stop().await;
}

#[tokio::test]
async fn two_runtimes_on_one_database_write_each_event_once() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let first = count(&log, 0);
    let handles = [start(&log, &database, &[TALLY]), start(&log, &database, &[TALLY])];
    for handle in &handles {
        assert!(handle.freshness().wait_for(first, LONG).await);
    }
    let client = connect(&database).await;
    client.batch_execute(GATE).await.unwrap();
    // One after the other, so that no two fall into one batch, where only the last is written.
    for number in 1..=30 {
        let position = count(&log, number);
        for handle in &handles {
            assert!(handle.freshness().wait_for(position, LONG).await);
        }
    }
    let rows = client.query("select latest from public.written order by 1", &[]).await.unwrap();
    let written: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(written, (1..=30).collect::<Vec<_>>());
    for handle in handles {
        handle.stop().await;
    }
}

#[tokio::test]
async fn a_new_version_is_built_beside_the_old_one_and_switched_in() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let handle = start(&log, &database, &[TALLY]);
    let old_end = count(&log, 7);
    assert!(handle.freshness().wait_for(old_end, LONG).await);
    handle.stop().await;

    log.hold_back(Some(Position::START)); // The new build can't get on yet.
    let handle = start(&log, &database, &[TALLY_2]);
    until("version 2 is being built", async || {
        let status = handle.status().await.unwrap();
        status.iter().any(|it| it.build.version == 2 && !it.serving).then_some(())
    })
    .await;
    let client = connect(&database).await;
    let seen = client.query_one("select latest from rm.tallies", &[]).await.unwrap();
    assert_eq!(seen.get::<_, i32>(0), 7, "readers see version 1");

    log.hold_back(None);
    let end = count(&log, 8);
    assert!(handle.freshness().wait_for(end, LONG).await);
    let seen = client.query_one("select latest, doubled from rm.tallies", &[]).await.unwrap();
    assert_eq!((seen.get::<_, i32>(0), seen.get::<_, i32>(1)), (8, 16));
    let status = handle.status().await.unwrap();
    assert_eq!(serving(&status, "tally").build.version, 2);
    assert_eq!((status[0].build.version, status[0].state), (1, BuildState::Retired));
    until("the tables of version 1 are gone", async || {
        let sql = "select to_regnamespace('rm_tally_v1_g1') is null";
        client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0).then_some(())
    })
    .await;
    handle.stop().await;
}

/// Another read model, which tells by its build that a runtime has looked at all of its own.
const MARK: Projector = Projector {
    name: "mark",
    tables: &[Table {
        name: "marks",
        columns: &[("id", ColumnType::Text), ("latest", ColumnType::Integer)],
        key: &["id"],
        computed: &[],
        indexes: &[],
    }],
    project: |_| Ok(vec![]),
    ..TALLY
};

/// The builds of the tally: version, whether readers see it, whether it is given up.
async fn builds(handle: &ProjectorHandle) -> Vec<(i32, bool, bool)> {
    let status = handle.status().await.unwrap();
    let tallies = status.iter().filter(|it| it.build.name == "tally");
    tallies.map(|it| (it.build.version, it.serving, it.state == BuildState::Retired)).collect()
}

async fn until_prepared(handle: &ProjectorHandle) {
    until("the runtime has looked at its builds", async || {
        let status = handle.status().await.unwrap();
        status.iter().any(|it| it.build.name == "mark").then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_older_program_leaves_what_a_newer_one_builds_and_reads() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let end = count(&log, 7);
    let old = start(&log, &database, &[TALLY]);
    assert!(old.freshness().wait_for(end, LONG).await);
    // The newer one is still building when an older one starts beside it.
    log.hold_back(Some(Position::START));
    let new = start(&log, &database, &[TALLY_2]);
    until("version 2 is being built", async || (builds(&new).await.len() == 2).then_some(())).await;
    old.stop().await;
    let old = start(&log, &database, &[TALLY, MARK]);
    until_prepared(&old).await;
    assert_eq!(builds(&old).await, [(1, true, false), (2, false, false)]);
    let pool = database.pool();
    let refused = request_rebuild(&pool, &[TALLY], "tally").await.unwrap_err();
    assert!(matches!(refused, ProjectorError::Newer { version: 2, .. }), "{refused}");
    assert!(!cancel_rebuild(&pool, &[TALLY], "tally").await.unwrap());
    assert_eq!(builds(&old).await, [(1, true, false), (2, false, false)]);
    // It serves, and an older one starts: nothing is built over it.
    log.hold_back(None);
    let end = count(&log, 8);
    assert!(new.freshness().wait_for(end, LONG).await);
    old.stop().await;
    connect(&database)
        .await
        .execute("delete from es.checkpoints where name = 'mark'", &[])
        .await
        .unwrap();
    connect(&database)
        .await
        .batch_execute("drop schema if exists rm_mark_v1_g1 cascade")
        .await
        .unwrap();
    let old = start(&log, &database, &[TALLY, MARK]);
    until_prepared(&old).await;
    assert_eq!(builds(&old).await, [(1, false, true), (2, true, false)]);
    let refused = old.rebuild("tally").await.unwrap_err();
    assert!(refused.to_string().contains("a newer Ocim"), "{refused}");
    let end = count(&log, 9);
    assert!(new.freshness().wait_for(end, LONG).await, "the newer one goes on");
    old.stop().await;
    new.stop().await;
}

#[tokio::test]
async fn a_projector_that_breaks_off_is_paused_and_mended_by_a_better_one() {
    let database = Database::migrated().await;
    let log = FakeLog::new();
    let good = count(&log, 12);
    let end = count(&log, 13);
    let handle = start(&log, &database, &[TALLY_2]);
    let paused = until("it is paused", async || {
        let status = handle.status().await.ok()?;
        status.into_iter().find(|it| it.state == BuildState::Paused)
    })
    .await;
    assert_eq!(paused.position, good);
    assert_eq!(paused.failure.unwrap().class, ocim_engine::projector::FailureClass::Panicked);
    handle.stop().await;

    let mended = Projector { project, ..TALLY_2 };
    let handle = start(&log, &database, &[mended]);
    assert!(handle.freshness().wait_for(end, LONG).await, "another start is another try");
    let status = handle.status().await.unwrap();
    assert_eq!((status.len(), status[0].failure.clone()), (1, None));
    handle.stop().await;
}
