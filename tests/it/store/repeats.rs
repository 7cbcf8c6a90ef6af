//! Random appends, many of them repeated, and answers that are lost: KurrentDB comes to what memory does.

use super::engines::memory;
use crate::support::kurrentdb::KurrentDb;
use ocim_domain::event::{NewEvent, Position, StreamId};
use ocim_engine::store::conformance::new_event;
use ocim_engine::store::kurrentdb::{KurrentStore, Timings};
use ocim_engine::store::{AppendError, EventStore, Expected, Filter};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// What is asked of a store.
#[derive(Debug, Clone)]
enum Ask {
    /// So many new events behind that version of a stream.
    Append { stream: u8, expected: Option<u64>, count: usize },
    /// The same as an earlier time, whatever came of it.
    Repeat { which: usize },
}

/// Asks, and whether the answer gets lost on its way.
fn asks() -> impl Strategy<Value = Vec<(Ask, bool)>> {
    let append = (0..3_u8, prop::option::of(0..5_u64), 1..4_usize)
        .prop_map(|(stream, expected, count)| Ask::Append { stream, expected, count });
    let repeat = (0..32_usize).prop_map(|which| Ask::Repeat { which });
    prop::collection::vec((prop_oneof![2 => append, 1 => repeat], prop::bool::weighted(0.2)), 1..24)
}

type Append = (StreamId, Expected, Vec<NewEvent>);

/// The last version, whether it was written now or before; else the conflict's.
async fn perform(store: &dyn EventStore, append: &Append) -> Result<u64, Option<u64>> {
    let (stream, expected, events) = append;
    match store.append(stream, *expected, events.clone()).await {
        Ok(appended) => Ok(appended.version),
        Err(AppendError::Conflict { current }) => Err(current),
        Err(other) => panic!("{other:?}"),
    }
}

async fn read_log(store: &dyn EventStore) -> Vec<(StreamId, u64, Uuid)> {
    let read = store.read_all(Position::START, &Filter::default(), 1_000).await.unwrap().0;
    read.into_iter().map(|event| (event.stream, event.version, event.id)).collect()
}

#[test]
fn kurrentdb_does_as_memory_whatever_is_repeated_or_lost() {
    let mut runner =
        TestRunner::new(Config { cases: 8, max_shrink_iters: 60, ..Config::default() });
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let outcome = runner.run(&asks(), |asks| {
        runtime.block_on(async {
            let (model, server) = (memory(), KurrentDb::start());
            let pause = Duration::from_millis(5);
            let timings = Timings { retry_pause: pause, ..Timings::default() };
            let store = KurrentStore::connect_within(&server.url(), timings).await.unwrap();
            let mut asked: Vec<Append> = vec![];
            for (ask, is_lost) in &asks {
                let append = match ask {
                    Ask::Append { stream, expected, count } => {
                        let stream = StreamId::new("model", Uuid::from_u128((*stream).into()));
                        let expected = expected.map_or(Expected::NoStream, Expected::Exact);
                        let events = (0..*count).map(|n| new_event("model.happened", json!(n)));
                        (stream, expected, events.collect())
                    }
                    Ask::Repeat { .. } if asked.is_empty() => continue,
                    Ask::Repeat { which } => asked[which % asked.len()].clone(),
                };
                server.lose_answers(u32::from(*is_lost));
                let (ours, theirs) =
                    (perform(&store, &append).await, perform(&model, &append).await);
                prop_assert_eq!(ours, theirs, "{:?}", ask);
                asked.push(append);
            }
            prop_assert_eq!(read_log(&store).await, read_log(&model).await);
            Ok(())
        })
    });
    outcome.unwrap();
}
