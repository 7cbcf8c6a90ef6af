//! Lost connections: nothing is lost, doubled or left out of the log.

use super::engines::postgres;
use crate::support::postgres::Database;
use futures_util::StreamExt;
use futures_util::future::join_all;
use ocim_domain::event::Position;
use ocim_engine::database::DatabaseAddress;
use ocim_engine::store::conformance::{new_event, new_stream};
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::{AppendError, Engine, EventStore, Expected, Filter, SubscriptionEvent};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

const FORWARD: u8 = 0;
const SWALLOW_NEXT_REPLY: u8 = 1;
const REFUSE: u8 = 2;

/// Stands between a store and its server, and loses what it is told to lose.
struct Proxy {
    folder: tempfile::TempDir,
    mode: Arc<AtomicU8>,
}

impl Proxy {
    fn start(database: &Database) -> Self {
        let folder = tempfile::tempdir_in("/tmp").unwrap();
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let mode = Arc::new(AtomicU8::new(FORWARD));
        let (server, shared) = (database.socket(), Arc::clone(&mode));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if shared.load(Ordering::SeqCst) != REFUSE {
                    let server = UnixStream::connect(&server).await.unwrap();
                    tokio::spawn(relay(client, server, Arc::clone(&shared)));
                }
            }
        });
        Self { folder, mode }
    }

    fn address(&self, database: &Database) -> DatabaseAddress {
        let mut config = tokio_postgres::Config::new();
        let name = database.config().get_dbname().unwrap().to_owned();
        config.host_path(self.folder.path()).user("ocim").dbname(name);
        DatabaseAddress::local(config).unwrap()
    }
}

/// Both ways, until one side closes or a reply to an append is to be lost.
async fn relay(client: UnixStream, server: UnixStream, mode: Arc<AtomicU8>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let there = async { tokio::io::copy(&mut from_client, &mut to_server).await };
    let back = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            // Only an append's answer has this word in it.
            let answers_append = buffer[..count].windows(8).any(|bytes| bytes == b"appended");
            let swallow = mode.load(Ordering::SeqCst) == SWALLOW_NEXT_REPLY && answers_append;
            if swallow || mode.load(Ordering::SeqCst) == REFUSE {
                mode.compare_exchange(
                    SWALLOW_NEXT_REPLY,
                    FORWARD,
                    Ordering::SeqCst,
                    Ordering::SeqCst,
                )
                .ok();
                return;
            }
            to_client.write_all(&buffer[..count]).await.unwrap();
        }
    };
    tokio::select! { _ = there => {}, () = back => {} }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_lost_after_the_commit_is_found_out() {
    let database = Database::migrated().await;
    let proxy = Proxy::start(&database);
    let store = PostgresStore::connect(proxy.address(&database), database.pool()).await.unwrap();
    for round in 0..3 {
        proxy.mode.store(SWALLOW_NEXT_REPLY, Ordering::SeqCst);
        let (stream, event) = (new_stream("test"), new_event("test.happened", json!(round)));
        let appended = store.append(&stream, Expected::NoStream, vec![event]).await.unwrap();
        assert_eq!(proxy.mode.load(Ordering::SeqCst), FORWARD, "the reply was swallowed");
        assert_eq!((appended.version, appended.position), (0, Position([round + 1, 0])));
        assert!(appended.duplicate, "the second try met what the first had written");
        assert_eq!(store.read_stream(&stream, 0).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_gone_is_reported_and_found_again() {
    let database = Database::migrated().await;
    let proxy = Proxy::start(&database);
    let store = PostgresStore::connect(proxy.address(&database), database.pool()).await.unwrap();
    let kill = "select pg_terminate_backend(pid) from pg_stat_activity \
                where datname = current_database() and application_name like 'ocim%'";
    proxy.mode.store(REFUSE, Ordering::SeqCst);
    database.client().await.execute(kill, &[]).await.unwrap();
    let (stream, event) = (new_stream("test"), new_event("test.happened", json!({})));
    let append = || store.append(&stream, Expected::NoStream, vec![event.clone()]);
    let failed = append().await;
    let honest =
        matches!(failed, Err(AppendError::Unavailable(_) | AppendError::OutcomeUnknown(_)));
    assert!(honest, "{failed:?}");
    proxy.mode.store(FORWARD, Ordering::SeqCst);
    assert_eq!(append().await.unwrap().position, Position([1, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_backends_leave_no_hole_and_no_double() {
    const WRITERS: usize = 16;
    const APPENDS: u64 = 25;
    let (database, store) = postgres().await;
    let mut live = store.subscribe_all(Position::START, Filter::default());
    let writers = (0..WRITERS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let stream = new_stream("test");
            for round in 0..APPENDS {
                let expected = round.checked_sub(1).map_or(Expected::NoStream, Expected::Exact);
                let events = vec![new_event("test.happened", json!(round))];
                store.append(&stream, expected, events).await.unwrap();
            }
        })
    });
    let writers = tokio::spawn(join_all(writers));
    let killer = database.client().await;
    let kill = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                where datname = current_database() and application_name like 'ocim%'";
    let (mut killed, mut last_seen) = (0, Position::START);
    while !writers.is_finished() {
        // Each time that something went in, in the middle of what follows.
        let head = store.head().await.unwrap();
        if head > last_seen {
            last_seen = head;
            killed += killer.query_one(kill, &[]).await.unwrap().get::<_, i64>(0);
        }
    }
    writers.await.unwrap().into_iter().for_each(|writer| writer.unwrap());
    assert!(killed > 10, "only {killed} connections were killed");
    let last = Position([WRITERS as u64 * APPENDS, 0]);
    assert_eq!(store.head().await.unwrap(), last);
    assert_eq!(store.verify_chain(Position::START, last).await.unwrap().head, last);
    let mut seen = Position::START;
    while seen < last {
        let next = tokio::time::timeout(std::time::Duration::from_secs(30), live.next()).await;
        if let SubscriptionEvent::Event(event) = next.unwrap().unwrap() {
            assert_eq!(event.position, Position([seen.0[0] + 1, 0]));
            seen = event.position;
        }
    }
}
