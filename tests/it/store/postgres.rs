//! What the PostgreSQL engine does beyond the suite: the chain, final events, several nodes, limits.

use super::engines::postgres;
use futures_util::StreamExt;
use futures_util::future::join_all;
use ocim_domain::event::{Position, StreamId};
use ocim_engine::store::conformance::{new_event, new_stream};
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::{
    AppendError, ChainError, Engine, EventStore, Expected, Filter, SubscriptionEvent,
};
use serde_json::json;
use tokio_postgres::error::SqlState;

/// Some streams, written at once so that batches of several requests and events occur.
async fn fill(store: &PostgresStore, streams: usize) -> Vec<StreamId> {
    let streams: Vec<StreamId> = (0..streams).map(|_| new_stream("test")).collect();
    let appends = streams.iter().map(|stream| {
        let text = json!({ "text": "Ωμέγα 🐙 \u{0}", "n": 1.5 });
        let events = vec![new_event("test.é", text.clone()), new_event("test.happened", text)];
        store.append(stream, Expected::NoStream, events)
    });
    join_all(appends).await.into_iter().for_each(|outcome| assert!(outcome.is_ok(), "{outcome:?}"));
    streams
}

fn broken_at(outcome: Result<impl std::fmt::Debug, ChainError>) -> Position {
    match outcome {
        Err(ChainError::Broken { position, .. }) => position,
        other => panic!("expected a broken chain, got {other:?}"),
    }
}

#[tokio::test]
async fn sql_and_rust_compute_the_same_chain() {
    let (_database, store) = postgres().await;
    let empty = store.verify_chain(Position::START, Position::START).await.unwrap();
    assert_eq!((empty.events, empty.head), (0, Position::START));
    assert_eq!(store.head_hash().await.unwrap(), (Position::START, empty.hash));
    fill(&store, 1).await;
    fill(&store, 600).await;
    let (head, hash) = store.head_hash().await.unwrap();
    let verified = store.verify_chain(Position::START, head).await.unwrap();
    assert_eq!((verified.events, verified.head, verified.hash), (1_202, head, hash));
    let middle = Position([700, 0]);
    let tail = store.verify_chain(middle, head).await.unwrap();
    assert_eq!((tail.events, tail.hash), (502, hash));
    let beyond = store.verify_chain(middle, Position([1_203, 0])).await;
    assert_eq!(broken_at(beyond), Position([1_203, 0]));
}

#[tokio::test]
async fn any_change_breaks_the_chain() {
    let (database, store) = postgres().await;
    fill(&store, 3).await;
    let mut client = database.client().await;
    // Only a superuser can get around the trigger at all.
    client.batch_execute("set session_replication_role = replica").await.unwrap();
    let changes = [
        "update es.events set stream_id = 'x-' || stream_id where pos = 4",
        "update es.events set version = version + 7 where pos = 4",
        "update es.events set event_id = gen_random_uuid() where pos = 4",
        "update es.events set kind = 'test.other' where pos = 4",
        "update es.events set schema = 2 where pos = 4",
        "update es.events set data = '{}' where pos = 4",
        "update es.events set data = (data::text || ' ')::json where pos = 4",
        "update es.events set meta = '{\"actor\":\"x\"}' where pos = 4",
        "update es.events set recorded_at = recorded_at + interval '1 us' where pos = 4",
        "update es.events set hash = sha256(hash) where pos = 4",
        "delete from es.events where pos = 4",
    ];
    let head = store.head().await.unwrap();
    for change in changes {
        client
            .batch_execute("drop table if exists kept; create table kept as table es.events")
            .await
            .unwrap();
        assert_eq!(client.execute(change, &[]).await.unwrap(), 1, "{change}");
        let outcome = store.verify_chain(Position::START, head).await;
        let expected = match outcome {
            // A stream's name that is none can't even be read.
            Err(ChainError::Unreadable(_)) if change.contains("'x-'") => Position([4, 0]),
            outcome => broken_at(outcome),
        };
        assert_eq!(expected, Position([4, 0]), "{change}");
        let restore = "delete from es.events; \
             insert into es.events (pos, stream_id, version, event_id, kind, schema, data, meta, \
                                    recorded_at, hash) \
             select pos, stream_id, version, event_id, kind, schema, data, meta, recorded_at, hash \
               from kept";
        let transaction = client.transaction().await.unwrap();
        transaction.batch_execute(restore).await.unwrap();
        transaction.commit().await.unwrap();
        store.verify_chain(Position::START, head).await.unwrap();
    }
}

#[tokio::test]
async fn events_are_final() {
    let (database, store) = postgres().await;
    fill(&store, 1).await;
    let client = database.client().await;
    for change in ["update es.events set kind = 'x'", "delete from es.events", "truncate es.events"]
    {
        let refused = client.batch_execute(change).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::RESTRICT_VIOLATION), "{change}");
    }
}

#[tokio::test]
async fn appending_under_another_isolation_is_refused() {
    let (database, _store) = postgres().await;
    let client = database.client().await;
    for isolation in ["repeatable read", "serializable"] {
        let append = format!(
            "begin isolation level {isolation}; \
             select * from es.append('{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}')"
        );
        let refused = client.batch_execute(&append).await.unwrap_err();
        let message = refused.as_db_error().unwrap().message().to_owned();
        assert!(message.contains("read committed"), "{message}");
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn one_bad_request_leaves_its_neighbours_alone() {
    let (database, store) = postgres().await;
    let client = database.client().await;
    client.batch_execute("alter table es.events add check (kind <> 'test.poison')").await.unwrap();
    let kinds = ["test.good", "test.poison", "test.good", "test.good"];
    let streams = kinds.map(|kind| (new_stream("test"), new_event(kind, json!({}))));
    let appends = streams
        .iter()
        .map(|(stream, event)| store.append(stream, Expected::NoStream, vec![event.clone()]));
    let outcomes = join_all(appends).await;
    assert!(matches!(outcomes[1], Err(AppendError::Refused(_))), "{outcomes:?}");
    let positions: Vec<_> = outcomes.iter().flatten().map(|appended| appended.position).collect();
    assert_eq!(positions, [1, 2, 3].map(|pos| Position([pos, 0])));
}

#[tokio::test]
async fn a_full_queue_says_when_to_come_back() {
    let (database, store) = postgres().await;
    let blocker = database.client().await;
    blocker.batch_execute("begin; select pg_advisory_xact_lock(1868786029)").await.unwrap();
    let mut accepted = Vec::new();
    let retry_after = loop {
        let (stream, event) = (new_stream("test"), new_event("test.happened", json!({})));
        let store = store.clone();
        let mut append =
            Box::pin(async move { store.append(&stream, Expected::NoStream, vec![event]).await });
        // Polled once, it is in the queue or refused.
        match futures_util::poll!(&mut append) {
            std::task::Poll::Ready(Err(AppendError::Busy { retry_after })) => break retry_after,
            std::task::Poll::Ready(other) => panic!("{other:?}"),
            std::task::Poll::Pending => accepted.push(append),
        }
        assert!(accepted.len() < 10_000, "the queue has a bound");
    };
    assert!(!retry_after.is_zero());
    blocker.batch_execute("commit").await.unwrap();
    let count = accepted.len() as u64;
    for outcome in join_all(accepted).await {
        outcome.unwrap();
    }
    assert_eq!(store.head().await.unwrap(), Position([count, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_share_one_log() {
    let (database, here) = postgres().await;
    let there = PostgresStore::connect(database.address(), database.pool()).await.unwrap();
    let mut live = there.subscribe_all(Position::START, Filter::default());
    assert_eq!(live.next().await, Some(SubscriptionEvent::CaughtUp(Position::START)));
    tokio::join!(fill(&here, 50), fill(&there, 50));
    for pos in 1..=200 {
        let event = tokio::time::timeout(std::time::Duration::from_secs(30), live.next()).await;
        let SubscriptionEvent::Event(event) = event.unwrap().unwrap() else { continue };
        assert_eq!(event.position, Position([pos, 0]));
    }
    here.verify_chain(Position::START, Position([200, 0])).await.unwrap();
}

#[tokio::test]
async fn shutting_down_finishes_what_was_accepted() {
    let (database, store) = postgres().await;
    let mut subscription = store.subscribe_all(Position::START, Filter::default());
    let (stream, event) = (new_stream("test"), new_event("test.happened", json!({})));
    let mut accepted = Box::pin(store.append(&stream, Expected::NoStream, vec![event.clone()]));
    assert!(futures_util::poll!(&mut accepted).is_pending());
    let (outcome, ()) = tokio::join!(accepted, store.shutdown());
    outcome.unwrap();
    let refused = store.append(&new_stream("test"), Expected::NoStream, vec![event]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    while subscription.next().await.is_some() {}
    assert_eq!(store.read_stream(&stream, 0).await.unwrap().len(), 1);
    let own = "select count(*) from pg_stat_activity \
               where datname = current_database() and application_name like 'ocim%'";
    let client = database.client().await;
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while client.query_one(own, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(tokio::time::Instant::now() < deadline, "its connections are closed");
    }
}
