//! Random commands: memory against a model of a few lines, PostgreSQL against memory.

use super::engines::{memory, postgres};
use ocim_domain::event::{Metadata, NewEvent, Position, StreamId};
use ocim_engine::store::{AppendError, EventStore, Expected, Filter};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use uuid::Uuid;

/// An append of events with small numbers for ids, so that repeats and clashes are frequent.
#[derive(Debug, Clone)]
struct Append {
    stream: u8,
    expected: Option<u64>,
    ids: Vec<u8>,
}

fn appends(count: usize) -> impl Strategy<Value = Vec<Append>> {
    let ids = prop::collection::vec(0..24_u8, 0..4);
    let append = (0..3_u8, prop::option::of(0..6_u64), ids);
    let append = append.prop_map(|(stream, expected, ids)| Append { stream, expected, ids });
    prop::collection::vec(append, 1..count)
}

/// What an append comes to, without the error's sources.
#[derive(Debug, PartialEq)]
enum Outcome {
    Appended { version: u64, position: Position, duplicate: bool },
    Conflict(Option<u64>),
    Refused,
    TooLarge,
}

fn stream(number: u8) -> StreamId {
    StreamId::new("model", Uuid::from_u128(number.into()))
}

async fn perform(store: &dyn EventStore, append: &Append) -> Outcome {
    let events = append.ids.iter().map(|id| NewEvent {
        id: Uuid::from_u128(u128::from(*id) + 1),
        kind: format!("model.kind_{}", id % 3),
        schema: 1,
        data: json!({ "id": id }),
        meta: Metadata::by("test"),
    });
    let expected = append.expected.map_or(Expected::NoStream, Expected::Exact);
    match store.append(&stream(append.stream), expected, events.collect()).await {
        Ok(a) => {
            Outcome::Appended { version: a.version, position: a.position, duplicate: a.duplicate }
        }
        Err(AppendError::Conflict { current }) => Outcome::Conflict(current),
        Err(AppendError::Refused(_)) => Outcome::Refused,
        Err(AppendError::TooLarge) => Outcome::TooLarge,
        Err(other) => panic!("{other:?}"),
    }
}

/// The whole log as (stream, id), looked through from its beginning for every question.
#[derive(Debug, Default)]
struct Model(Vec<(u8, u8)>);

impl Model {
    fn perform(&mut self, append: &Append) -> Outcome {
        let Append { stream, ids, .. } = append;
        let of_stream: Vec<u8> =
            self.0.iter().filter(|(s, _)| s == stream).map(|(_, id)| *id).collect();
        let first = append.expected.map_or(0, |version| version as usize + 1);
        let has_twice = (1..ids.len()).any(|n| ids[..n].contains(&ids[n]));
        let known = |id: &u8| self.0.iter().any(|(_, other)| other == id);
        let answer = |log: &[(u8, u8)], duplicate| {
            let last = ids[ids.len() - 1];
            let pos = log.iter().position(|(_, id)| *id == last).unwrap() as u64 + 1;
            let version = (first + ids.len() - 1) as u64;
            Outcome::Appended { version, position: Position([pos, 0]), duplicate }
        };
        if ids.is_empty() {
            Outcome::TooLarge
        } else if has_twice {
            Outcome::Refused
        } else if of_stream.get(first..first + ids.len()) == Some(ids) {
            answer(&self.0, true)
        } else if of_stream.len() != first {
            Outcome::Conflict(of_stream.len().checked_sub(1).map(|version| version as u64))
        } else if ids.iter().any(known) {
            Outcome::Refused
        } else {
            self.0.extend(ids.iter().map(|id| (*stream, *id)));
            answer(&self.0, false)
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

proptest! {
    #[test]
    fn memory_does_as_the_model(appends in appends(40)) {
        let (store, mut model) = (memory(), Model::default());
        runtime().block_on(async {
            for append in &appends {
                assert_eq!(perform(&store, append).await, model.perform(append), "{append:?}");
            }
            let read = store.read_all(Position::START, &Filter::default(), 1_000).await.unwrap().0;
            let log: Vec<_> = model.0.iter().map(|(s, id)| (stream(*s), json!({ "id": id }))).collect();
            assert_eq!(read.into_iter().map(|e| (e.stream, e.data)).collect::<Vec<_>>(), log);
        });
    }
}

#[test]
fn postgres_does_as_memory() {
    let mut runner =
        TestRunner::new(Config { cases: 12, max_shrink_iters: 60, ..Config::default() });
    let runtime = runtime();
    let outcome = runner.run(&appends(25), |appends| {
        runtime.block_on(async {
            let (model, (_database, store)) = (memory(), postgres().await);
            for append in &appends {
                prop_assert_eq!(perform(&store, append).await, perform(&model, append).await);
            }
            let kinds = Filter { categories: vec![], kinds: vec!["model.kind_1".to_owned()] };
            for (filter, limit) in [(Filter::default(), 1_000), (kinds, 3)] {
                let (ours, seen) = store.read_all(Position::START, &filter, limit).await.unwrap();
                let (theirs, expected) =
                    model.read_all(Position::START, &filter, limit).await.unwrap();
                prop_assert_eq!(seen, expected);
                let bare = |events: Vec<ocim_domain::event::Recorded>| {
                    events
                        .into_iter()
                        .map(|e| (e.position, e.stream, e.version, e.id, e.kind, e.data))
                        .collect::<Vec<_>>()
                };
                prop_assert_eq!(bare(ours), bare(theirs));
            }
            Ok(())
        })
    });
    outcome.unwrap();
}
