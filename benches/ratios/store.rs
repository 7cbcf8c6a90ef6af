//! The event store: appends by one and by many, reads of the whole log.

use crate::measure::{Ratio, durable_database, measure_rate};
use crate::postgres::Database;
use futures_util::future::join_all;
use futures_util::{SinkExt as _, TryStreamExt as _};
use ocim_domain::event::{Metadata, NewEvent, Position, StreamId};
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::{Engine as _, EventStore as _, Expected, Filter};
use std::io::{Cursor, Write as _};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use uuid::Uuid;

const IDLE_APPENDS: usize = 300;
const NAIVE_APPENDS: usize = 1_600;
const NAIVE_CONNECTIONS: usize = 16;
const GROUPED_APPENDS: usize = 12_800;
const PAGE: usize = 2_000;

/// Payload of an event, bytes: what a typical one has.
const PAYLOAD: usize = 400;

/// All ratios of this module.
pub(crate) async fn measure_store() -> Vec<Ratio> {
    let database = durable_database().await;
    let store = PostgresStore::connect(database.address(), database.pool())
        .await
        .expect("a migrated database");

    let limit = measure_limit(&database).await;
    let idle = measure_rate(IDLE_APPENDS, append_events(&store, IDLE_APPENDS)).await;
    let naive = measure_naive(&database).await;
    let grouped_64 = measure_writers(&store, 64).await;
    let grouped_256 = measure_writers(&store, 256).await;
    let copied = measure_copy(&database).await;
    let read = measure_reads(&store).await;
    store.shutdown().await;

    let ratio = |what, rate, baseline, baseline_rate, goal| Ratio {
        what,
        rate,
        baseline,
        baseline_rate,
        goal,
    };
    vec![
        ratio("appends by 1 writer", idle, "round trips with fdatasync", limit, 0.33),
        ratio("appends by 64 writers", grouped_64, "rows copied in", copied, 0.35),
        ratio("appends by 256 writers", grouped_256, "rows copied in", copied, 0.45),
        ratio("appends by 64 writers", grouped_64, "appends by 16 connections", naive, 4.0),
        ratio("events read in order", read, "rows copied in", copied, 2.5),
    ]
}

/// An identifier that was not used before.
fn new_uuid() -> Uuid {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    Uuid::from_u64_pair(7, COUNT.fetch_add(1, Ordering::Relaxed))
}

fn new_event() -> NewEvent {
    NewEvent {
        id: new_uuid(),
        kind: "instance.settings_changed".to_owned(),
        schema: 1,
        data: serde_json::json!({ "name": "A site", "settings": "x".repeat(PAYLOAD) }),
        meta: Metadata::by("token:benchmark"),
    }
}

/// One event after the other in a stream of its own.
async fn append_events(store: &PostgresStore, count: usize) {
    let stream = StreamId::new("instance", new_uuid());
    let mut expected = Expected::NoStream;
    for _ in 0..count {
        let appended = store.append(&stream, expected, vec![new_event()]).await.unwrap();
        expected = Expected::Exact(appended.version);
    }
}

async fn measure_writers(store: &PostgresStore, writers: usize) -> f64 {
    let each = GROUPED_APPENDS / writers;
    measure_rate(each * writers, async {
        join_all((0..writers).map(|_| append_events(store, each))).await;
    })
    .await
}

/// What one writer that waits for each answer can't exceed: a round trip and a write to the disk.
async fn measure_limit(database: &Database) -> f64 {
    let client = database.client().await;
    let statement = client.prepare("select 1").await.unwrap();
    let mut file = tempfile::tempfile().unwrap();
    measure_rate(IDLE_APPENDS, async {
        for _ in 0..IDLE_APPENDS {
            client.query_one(&statement, &[]).await.unwrap();
            file.write_all(&[0; 8_192]).unwrap();
            file.sync_data().unwrap();
        }
    })
    .await
}

/// The same appends, each a transaction of its own on one of many connections.
async fn measure_naive(database: &Database) -> f64 {
    let clients = join_all((0..NAIVE_CONNECTIONS).map(|_| database.client())).await;
    let each = NAIVE_APPENDS / NAIVE_CONNECTIONS;
    let append = async |client: &tokio_postgres::Client| {
        let statement =
            client.prepare("select es.append($1, $2, $3, $4, $5, $6, $7, $8)").await.unwrap();
        let streams = [StreamId::new("instance", new_uuid()).to_string()];
        for version in -1..each as i64 - 1 {
            let event = new_event();
            let (data, meta) = (event.data.to_string(), serde_json::json!(event.meta).to_string());
            client
                .query_one(
                    &statement,
                    &[
                        &&streams[..],
                        &&[version][..],
                        &&[1_i32][..],
                        &&[event.id][..],
                        &&[event.kind][..],
                        &&[i32::from(event.schema)][..],
                        &&[data][..],
                        &&[meta][..],
                    ],
                )
                .await
                .unwrap();
        }
    };
    measure_rate(NAIVE_APPENDS, async {
        join_all(clients.iter().map(append)).await;
    })
    .await
}

/// COPY of all events into a table with the same columns and indexes.
async fn measure_copy(database: &Database) -> f64 {
    let client = database.client().await;
    client.batch_execute("create table copied (like es.events including indexes)").await.unwrap();
    let rows = client.copy_out("copy (select * from es.events order by pos) to stdout").await;
    let rows: Vec<_> = rows.unwrap().try_collect().await.unwrap();
    measure_rate(rows.len(), async {
        let mut sink = pin!(client.copy_in("copy copied from stdin").await.unwrap());
        for row in rows {
            sink.send(Cursor::new(row)).await.unwrap();
        }
        sink.close().await.unwrap();
    })
    .await
}

async fn measure_reads(store: &PostgresStore) -> f64 {
    let head = store.head().await.unwrap();
    let start = Instant::now();
    let (mut after, mut count) = (Position::START, 0);
    while after < head {
        let (events, seen) = store.read_all(after, &Filter::default(), PAGE).await.unwrap();
        count += events.len();
        after = seen;
    }
    count as f64 / start.elapsed().as_secs_f64()
}
