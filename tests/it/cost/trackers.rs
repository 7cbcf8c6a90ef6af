//! What is kept of the log is what the log says: made anew, however often it was stopped in between.

use crate::sagas::stage::{REGION, Stage, somebody};
use ocim::app::LaunchAsk;
use ocim::clean_up::KeptServers;
use ocim::metrics::runs::Runs;
use ocim::processes::beliefs::Beliefs;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Position, StreamId};
use ocim_domain::load_balancer::{Command, Event, LoadBalancer};
use ocim_engine::derived::memory::MemoryDerived;
use ocim_engine::derived::postgres::PostgresDerived;
use ocim_engine::derived::{Derived, Snapshot, TrackedChanges, TrackedItems, TrackerId};
use ocim_engine::journal::Journal;
use ocim_engine::sagas::open_runs::OpenRuns;
use ocim_engine::tracker::Tracker;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Longer than any checkpoint waits.
const CHECKPOINT: Duration = Duration::from_secs(61);

fn id(name: &str) -> TrackerId {
    TrackerId { name: name.to_owned(), schema: 1 }
}

/// Every set of items that Ocim keeps, brought up to the log's end and to a checkpoint there.
async fn keep_all(stage: &Stage, derived: &MemoryDerived) {
    let journal = stage.app().journal().clone().with_derived(Arc::new(derived.clone()));
    let mut open = Tracker::new(&journal, OpenRuns::of(Arc::clone(&stage.world)));
    let mut measured = Tracker::new(&journal, Runs);
    open.catch_up(drop).await.unwrap();
    measured.catch_up(drop).await.unwrap();
    Beliefs::new(&journal, REGION).refresh().await.unwrap();
    let app = stage.app().clone().with_derived(Arc::new(derived.clone()));
    app.list_idle_instances(None, 1).await.unwrap();
    KeptServers::new(app).look().await.unwrap();
    tokio::time::sleep(CHECKPOINT).await;
}

/// Everything kept, by the tracker's name and the item's key.
async fn read_all(derived: &MemoryDerived) -> BTreeMap<(String, String), Value> {
    let mut all = BTreeMap::new();
    let machines = format!("machines of {REGION}");
    for name in ["open_runs", "runs_measured", "kept_servers", "standing_appservers", &machines] {
        let TrackedItems { items, position } = derived.load_items(&id(name)).await.unwrap();
        assert!(position > Position::START, "{name} has no checkpoint");
        all.extend(items.into_iter().map(|(key, item)| ((name.to_owned(), key), item)));
    }
    all
}

#[tokio::test(start_paused = true)]
async fn items_that_were_kept_from_time_to_time_are_those_of_the_whole_log() {
    let stage = Stage::new().await;
    let kept = MemoryDerived::default();
    keep_all(&stage, &kept).await;
    stage.launch_active().await;
    keep_all(&stage, &kept).await;
    let failing = Script { end: RunState::Exited(2), ..Script::default() };
    stage.playbooks.set_default_script(failing);
    let failed = stage.begin_launch(LaunchAsk::default()).await;
    for step in ["await_turn", "create_server", "run_main_playbook"] {
        stage.drive_until(failed.run, |run| run.steps.contains_key(step)).await;
        keep_all(&stage, &kept).await;
    }
    stage.drive(failed.run).await;
    let machine = stage.cloud.machines()[0].id.clone();
    stage.cloud.break_machine(&machine, "the host burnt down");
    let mut watch = ocim::reconciler::RegionWatch::new(stage.world.clone(), REGION);
    watch.look().await.unwrap();
    watch.look().await.unwrap();
    keep_all(&stage, &kept).await;
    let open = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until(open.run, |run| run.steps.contains_key("create_server")).await;
    let queued = LaunchAsk { queue: true, ..LaunchAsk::default() };
    stage.app().launch_appserver(&somebody(), stage.instance, queued).await.unwrap();
    keep_all(&stage, &kept).await;

    let anew = MemoryDerived::default();
    keep_all(&stage, &anew).await;
    let (kept, anew) = (read_all(&kept).await, read_all(&anew).await);
    assert_eq!(kept, anew);
    let names: Vec<_> = anew.keys().map(|(name, _)| name.as_str()).collect();
    for name in ["open_runs", "runs_measured", "kept_servers", "standing_appservers"] {
        assert!(names.contains(&name), "{name} has items: {names:?}");
    }
}

/// What every keeper of derived things must do.
async fn check_derived(derived: &dyn Derived) {
    let (one, at) = (id("one"), |number| Position([number, 0]));
    let change = |from, to, items: &[(&str, Option<Value>)]| TrackedChanges {
        from: at(from),
        to: at(to),
        items: items.iter().map(|(key, item)| ((*key).to_owned(), item.clone())).collect(),
    };
    let put = change(0, 5, &[("a", Some(json!(1))), ("b", Some(json!({ "x": [1] })))]);
    let unknown = derived.save_items(&one, put.clone()).await.unwrap();
    assert_eq!(unknown, Err(None), "nobody has begun it");
    assert_eq!(derived.load_items(&one).await.unwrap(), TrackedItems::default());
    assert_eq!(derived.save_items(&one, put.clone()).await.unwrap(), Ok(()));
    let conflict = derived.save_items(&one, change(0, 9, &[("a", None)])).await.unwrap();
    assert_eq!(conflict, Err(Some(at(5))), "it has moved, and nothing was written");
    let more = change(5, 7, &[("a", None), ("c", Some(json!("z"))), ("b", Some(json!(2)))]);
    assert_eq!(derived.save_items(&one, more).await.unwrap(), Ok(()));
    let mut loaded = derived.load_items(&one).await.unwrap();
    loaded.items.sort_by(|one, other| one.0.cmp(&other.0));
    let items = vec![("b".to_owned(), json!(2)), ("c".to_owned(), json!("z"))];
    assert_eq!(loaded, TrackedItems { position: at(7), items });
    let newer = TrackerId { schema: 2, ..one.clone() };
    assert_eq!(derived.load_items(&newer).await.unwrap(), TrackedItems::default());

    let stream = StreamId::new("load_balancer", Uuid::from_u128(1));
    let snapshot = |version, schema| Snapshot {
        schema,
        version,
        position: at(version + 1),
        state: json!({ "version": version }),
    };
    assert_eq!(derived.load_snapshot(&stream, 1).await.unwrap(), None);
    derived.save_snapshot(&stream, snapshot(9, 1)).await.unwrap();
    derived.save_snapshot(&stream, snapshot(4, 1)).await.unwrap();
    assert_eq!(derived.load_snapshot(&stream, 1).await.unwrap(), Some(snapshot(9, 1)));
    assert_eq!(derived.load_snapshot(&stream, 2).await.unwrap(), None);
    derived.save_snapshot(&stream, snapshot(3, 2)).await.unwrap();
    assert_eq!(derived.load_snapshot(&stream, 2).await.unwrap(), Some(snapshot(3, 2)));

    derived.forget_all().await.unwrap();
    assert_eq!(derived.load_snapshot(&stream, 2).await.unwrap(), None);
    assert_eq!(derived.load_items(&one).await.unwrap(), TrackedItems::default());
}

#[tokio::test]
async fn what_is_derived_is_kept_in_memory() {
    check_derived(&MemoryDerived::default()).await;
}

#[tokio::test]
async fn what_is_derived_is_kept_in_postgresql() {
    let database = crate::support::postgres::Database::migrated().await;
    check_derived(&PostgresDerived::new(database.pool())).await;
}

#[tokio::test(start_paused = true)]
async fn a_long_stream_is_folded_from_its_snapshot_and_whoever_wrote_is_heard() {
    let stage = Stage::new().await;
    let journal = stage.app().journal();
    let id = ocim::app::load_balancers::load_balancer_id(crate::sagas::stage::BALANCER);
    let meta = somebody().metadata();
    let apply = async |journal: &Journal, number: usize| {
        let (fragment, digest) = (format!("f{}", number % 7), Some(number.to_string()));
        let command = Command::RecordApplied { fragment, digest };
        journal.execute::<LoadBalancer>(&id.stream(), &meta, command).await.unwrap()
    };
    for number in 0..950 {
        apply(journal, number).await;
    }
    assert!(apply(journal, 949).await.events.is_empty(), "it has it already");
    // Another node, which begins from what this one has kept, and both write in turn.
    let other = Stage::resume(stage.outside.clone(), stage.instance);
    let before = other.store.reads();
    for number in 950..960 {
        apply(journal, number).await;
        apply(other.app().journal(), 10_000 + number).await;
    }
    let read = other.store.reads().events - before.events;
    assert!(read < 150, "{read} events were read");
    let events = journal.store().read_stream(&id.stream(), 0).await.unwrap();
    let whole: Vec<_> =
        events.iter().map(|it| Event::decode(&it.kind, it.schema, &it.data).unwrap()).collect();
    for stage in [&stage, &other, &Stage::resume(stage.outside.clone(), stage.instance)] {
        let loaded = stage.app().journal().load::<LoadBalancer>(&id.stream()).await.unwrap();
        assert_eq!(loaded.state, LoadBalancer::fold(&whole));
        assert_eq!(loaded.version, Some(events.len() as u64 - 1));
    }
}
