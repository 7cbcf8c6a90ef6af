//! What every event store must do: named checks that panic where an engine falls short.
//!
//! A check takes a store that may hold other events already, since it uses streams and kinds of its
//! own. Tests run each of them against each engine.
#![expect(clippy::expect_used, reason = "a check that fails panics")]

use super::{AppendError, Appended, EventStore, Expected, Filter, SubscriptionEvent};
use futures_util::future::join_all;
use futures_util::stream::{BoxStream, StreamExt};
use ocim_domain::event::{Metadata, NewEvent, Position, Recorded, StreamId};
use ocim_domain::protected::Protected;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A store under test.
pub type Store = Arc<dyn EventStore>;

/// How long a check waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stream that no other check uses.
#[must_use]
pub fn new_stream(category: &str) -> StreamId {
    StreamId::new(category, new_id())
}

/// An event with a new id.
#[must_use]
pub fn new_event(kind: &str, data: Value) -> NewEvent {
    let meta = Metadata { reason: Some("conformance".to_owned()), ..Metadata::by("test") };
    NewEvent { id: new_id(), kind: kind.to_owned(), schema: 1, data, meta }
}

fn new_id() -> Uuid {
    Uuid::from_u128(rand::random())
}

fn numbered(count: usize) -> Vec<NewEvent> {
    (0..count).map(|number| new_event("test.counted", json!({ "number": number }))).collect()
}

async fn append(
    store: &Store,
    stream: &StreamId,
    expected: Expected,
    events: &[NewEvent],
) -> Appended {
    store.append(stream, expected, events.to_vec()).await.expect("the events are appended")
}

/// A conflict's `current`; panics on any other outcome.
async fn conflict(store: &Store, stream: &StreamId, expected: Expected) -> Option<u64> {
    match store.append(stream, expected, numbered(1)).await {
        Err(AppendError::Conflict { current }) => current,
        other => panic!("expected a conflict, got {other:?}"),
    }
}

async fn read_stream(store: &Store, stream: &StreamId) -> Vec<Recorded> {
    store.read_stream(stream, 0).await.expect("the stream can be read")
}

/// All events after a position, by pages.
async fn read_after(store: &Store, after: Position, filter: &Filter, page: usize) -> Vec<Recorded> {
    let mut all = Vec::new();
    let mut seen = after;
    loop {
        let (events, looked_at) =
            store.read_all(seen, filter, page).await.expect("the log can be read");
        let last_page = events.len() < page;
        all.extend(events);
        seen = looked_at;
        if last_page {
            return all;
        }
    }
}

async fn head(store: &Store) -> Position {
    store.head().await.expect("the head can be read")
}

async fn next_event(subscription: &mut BoxStream<'static, SubscriptionEvent>) -> SubscriptionEvent {
    let next = tokio::time::timeout(PATIENCE, subscription.next()).await;
    next.expect("the subscription tells something in time").expect("the subscription goes on")
}

/// The next `count` events of a subscription, whatever else it tells.
async fn take_events(
    subscription: &mut BoxStream<'static, SubscriptionEvent>,
    count: usize,
) -> Vec<Recorded> {
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        if let SubscriptionEvent::Event(event) = next_event(subscription).await {
            events.push(*event);
        }
    }
    events
}

fn assert_in_order(store: &Store, events: &[Recorded]) {
    for pair in events.windows(2) {
        assert!(pair[0].position < pair[1].position, "positions strictly increase");
        if store.capabilities().ordered_times {
            assert!(pair[0].recorded_at <= pair[1].recorded_at, "time never runs backwards");
        }
    }
    let mut next_versions: BTreeMap<&StreamId, u64> = BTreeMap::new();
    for event in events {
        let next = next_versions.entry(&event.stream).or_insert(event.version);
        assert_eq!(event.version, *next, "versions of {} are contiguous", event.stream);
        *next += 1;
    }
}

/// An append goes in exactly where the stream is as expected.
pub async fn appends_only_at_the_expected_version(store: Store) {
    let stream = new_stream("test");
    assert_eq!(conflict(&store, &stream, Expected::Exact(0)).await, None);
    assert_eq!(conflict(&store, &stream, Expected::Exact(u64::MAX)).await, None);
    let first = append(&store, &stream, Expected::NoStream, &numbered(2)).await;
    assert_eq!((first.version, first.duplicate), (1, false));
    assert_eq!(conflict(&store, &stream, Expected::NoStream).await, Some(1));
    assert_eq!(conflict(&store, &stream, Expected::Exact(0)).await, Some(1));
    assert_eq!(conflict(&store, &stream, Expected::Exact(2)).await, Some(1));
    assert_eq!(conflict(&store, &stream, Expected::Exact(u64::MAX)).await, Some(1));
    let second = append(&store, &stream, Expected::Exact(1), &numbered(1)).await;
    assert_eq!((second.version, second.duplicate), (2, false));
    assert!(second.position > first.position);
    assert_eq!(head(&store).await, second.position);
    let events = read_stream(&store, &stream).await;
    assert_eq!(events.iter().map(|e| e.version).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(events[1].position, first.position);
}

/// What was appended is what is read, from any version on.
pub async fn gives_back_what_was_appended(store: Store) {
    let stream = new_stream("test");
    let new = numbered(3);
    append(&store, &stream, Expected::NoStream, &new).await;
    let events = read_stream(&store, &stream).await;
    assert_eq!(events.len(), 3);
    for (event, new) in events.iter().zip(&new) {
        assert_eq!(event.stream, stream);
        assert_eq!((event.id, &event.kind, event.schema), (new.id, &new.kind, new.schema));
        assert_eq!((&event.data, &event.meta), (&new.data, &new.meta));
    }
    assert_eq!(store.read_stream(&stream, 2).await.expect("readable"), events[2..]);
    assert!(store.read_stream(&stream, 3).await.expect("readable").is_empty());
    assert!(store.read_stream(&stream, u64::MAX).await.expect("readable").is_empty());
    assert!(read_stream(&store, &new_stream("test")).await.is_empty());
}

/// A repeated append answers as the first did, also when the stream has gone on.
pub async fn a_repeated_append_answers_as_the_first(store: Store) {
    let stream = new_stream("test");
    let mut answers: Vec<(Expected, Vec<NewEvent>, Appended)> = Vec::new();
    for (expected, count) in [(Expected::NoStream, 3), (Expected::Exact(2), 1)] {
        let events = numbered(count);
        let first = append(&store, &stream, expected, &events).await;
        assert!(!first.duplicate);
        answers.push((expected, events, first));
        for (expected, events, first) in &answers {
            for _ in 0..3 {
                let again = append(&store, &stream, *expected, events).await;
                assert_eq!(again, Appended { duplicate: true, ..*first });
            }
        }
    }
    assert_eq!(read_stream(&store, &stream).await.len(), 4);
}

/// A writer that gave up at any moment finds out by repeating itself; the events are in once.
pub async fn a_lost_answer_is_found_out_by_repeating(store: Store) {
    for round in 0..20 {
        let (stream, events) = (new_stream("test"), numbered(2));
        let writer = {
            let (store, stream, events) = (Arc::clone(&store), stream.clone(), events.clone());
            tokio::spawn(async move { store.append(&stream, Expected::NoStream, events).await })
        };
        for _ in 0..round {
            tokio::task::yield_now().await;
        }
        writer.abort();
        let answer = append(&store, &stream, Expected::NoStream, &events).await;
        assert_eq!(answer.version, 1);
        let again = append(&store, &stream, Expected::NoStream, &events).await;
        assert_eq!(again, Appended { duplicate: true, ..answer });
        assert_eq!(read_stream(&store, &stream).await.len(), 2);
    }
}

/// An event id is used once: in the whole log where the engine can tell, else within an append at
/// least. A wrong reuse changes nothing.
pub async fn an_id_belongs_to_one_event(store: Store) {
    let (stream, other) = (new_stream("test"), new_stream("test"));
    let events = numbered(2);
    append(&store, &stream, Expected::NoStream, &events).await;
    let refused = |outcome: Result<Appended, AppendError>| match outcome {
        Err(AppendError::Refused(_)) => {}
        other => panic!("expected a refusal, got {other:?}"),
    };
    // The same ids: in another stream, at a later version, in part, in another order, twice.
    if store.capabilities().unique_ids {
        refused(store.append(&other, Expected::NoStream, events.clone()).await);
        refused(store.append(&stream, Expected::Exact(1), events.clone()).await);
        let [one, two] = [events[0].clone(), events[1].clone()];
        refused(store.append(&stream, Expected::Exact(1), vec![one]).await);
        let mixed = vec![new_event("test.counted", json!(0)), two];
        refused(store.append(&other, Expected::NoStream, mixed).await);
    }
    let [one, two] = [events[0].clone(), events[1].clone()];
    let turned = store.append(&stream, Expected::NoStream, vec![two, one.clone()]).await;
    assert!(matches!(turned, Err(AppendError::Conflict { current: Some(1) })), "{turned:?}");
    let mixed = store.append(&stream, Expected::NoStream, vec![one, numbered(1).remove(0)]).await;
    assert!(matches!(mixed, Err(AppendError::Conflict { current: Some(1) })), "{mixed:?}");
    let fresh = new_event("test.counted", json!(0));
    refused(store.append(&other, Expected::NoStream, vec![fresh.clone(), fresh]).await);
    assert_eq!(read_stream(&store, &stream).await.len(), 2);
    assert!(read_stream(&store, &other).await.is_empty());
}

/// Empty and too large appends are refused and write nothing; the largest one goes in.
pub async fn takes_from_one_byte_to_one_mebibyte(store: Store) {
    let stream = new_stream("test");
    let refused = store.append(&stream, Expected::NoStream, vec![]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)), "empty");
    let text = |bytes: usize| vec![new_event("test.text", json!("x".repeat(bytes)))];
    let refused = store.append(&stream, Expected::NoStream, text(1_048_576)).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)), "1 MiB of text and its metadata");
    assert!(read_stream(&store, &stream).await.is_empty());
    let large = text(1_048_000);
    append(&store, &stream, Expected::NoStream, &large).await;
    assert_eq!(read_stream(&store, &stream).await[0].data, large[0].data);
}

/// Any JSON text survives, and so does the order of its members.
pub async fn keeps_any_json(store: Store) {
    let stream = new_stream("test");
    let data = json!({
        "z": "first", "a": "Ωμέγα 🐙 \u{202e}rtl \u{0} nul \" \\ \n",
        "numbers": [0, -1, u64::MAX, i64::MIN, 1.5, 1e300],
        "empty": [{}, [], "", null, false], "ключ 鍵": { "": { "/~": 1 } },
    });
    let meta = Metadata { reason: Some("weil 🤷 \u{0}".to_owned()), ..Metadata::by("test") };
    let event = NewEvent { meta, ..new_event("test.unicode_é", data) };
    append(&store, &stream, Expected::NoStream, std::slice::from_ref(&event)).await;
    let read = read_stream(&store, &stream).await.remove(0);
    assert_eq!((&read.data, &read.meta, &read.kind), (&event.data, &event.meta, &event.kind));
    assert_eq!(read.data.to_string(), event.data.to_string(), "the members' order");
}

/// The log is one sequence: pages of any size give the same, and positions survive as text.
pub async fn reads_all_in_one_order(store: Store) {
    let start = head(&store).await;
    let streams = [new_stream("test"), new_stream("other"), new_stream("test")];
    for (round, expected) in [Expected::NoStream, Expected::Exact(1)].into_iter().enumerate() {
        for stream in &streams {
            append(&store, stream, expected, &numbered(2 - round)).await;
        }
    }
    let all = read_after(&store, start, &Filter::default(), 100).await;
    assert_eq!(all.len(), 9);
    assert_in_order(&store, &all);
    for page in [1, 2, 3, 9] {
        assert_eq!(read_after(&store, start, &Filter::default(), page).await, all, "page {page}");
    }
    for event in &all {
        let text = event.position.to_string();
        assert_eq!(text.parse::<Position>().expect("a position's text reads"), event.position);
    }
    assert_eq!(all[8].position, head(&store).await);
    let (none, looked_at) =
        store.read_all(all[8].position, &Filter::default(), 5).await.expect("readable");
    assert_eq!((none, looked_at), (vec![], all[8].position));
    for stream in &streams {
        let of_stream: Vec<_> = all.iter().filter(|e| e.stream == *stream).cloned().collect();
        assert_eq!(of_stream, read_stream(&store, stream).await);
    }
}

/// Filters choose by category and kind, and tell how far they have looked.
pub async fn filters_by_category_and_kind(store: Store) {
    let start = head(&store).await;
    let (apples, pears) = (new_stream("apple"), new_stream("pear"));
    let kinds = |kinds: [&str; 2]| kinds.map(|kind| new_event(kind, json!({}))).to_vec();
    append(&store, &apples, Expected::NoStream, &kinds(["fruit.grown", "fruit.eaten"])).await;
    append(&store, &pears, Expected::NoStream, &kinds(["fruit.grown", "fruit.sold"])).await;
    let last = append(&store, &apples, Expected::Exact(1), &kinds(["fruit.grown", "x.y"])).await;
    let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let cases: [(&[&str], &[&str], usize); 6] = [
        (&["apple"], &[], 4),
        (&["apple", "pear"], &[], 6),
        (&[], &["fruit.grown"], 3),
        (&["apple"], &["fruit.grown", "fruit.sold"], 2),
        (&["pear"], &["fruit.eaten"], 0),
        (&["appl", "apple-"], &[], 0),
    ];
    for (categories, kinds, count) in cases {
        let filter = Filter { categories: texts(categories), kinds: texts(kinds) };
        let (events, looked_at) = store.read_all(start, &filter, 100).await.expect("readable");
        assert_eq!(events.len(), count, "{filter:?}");
        assert!(events.iter().all(|event| filter.admits(event)));
        assert_eq!(looked_at, last.position, "{filter:?}");
    }
    let grown = Filter { categories: vec![], kinds: texts(&["fruit.grown"]) };
    let (events, looked_at) = store.read_all(start, &grown, 2).await.expect("readable");
    assert_eq!(looked_at, events[1].position, "a full page ends at its last event");
}

/// A filtered subscription tells progress where nothing passed.
pub async fn a_subscription_tells_how_far_it_has_looked(store: Store) {
    let category = "checkpointed";
    let start = head(&store).await;
    let filter = Filter { categories: vec![category.to_owned()], kinds: vec![] };
    let mut subscription = store.subscribe_all(start, filter);
    assert_eq!(next_event(&mut subscription).await, SubscriptionEvent::CaughtUp(start));
    let other = append(&store, &new_stream("test"), Expected::NoStream, &numbered(1)).await;
    let checkpoint = next_event(&mut subscription).await;
    assert_eq!(checkpoint, SubscriptionEvent::Checkpoint(other.position));
    let ours = append(&store, &new_stream(category), Expected::NoStream, &numbered(1)).await;
    assert_eq!(take_events(&mut subscription, 1).await[0].position, ours.position);
}

/// Of many writers at the same version exactly one wins, each time.
pub async fn one_of_many_writers_wins_each_version(store: Store) {
    const WRITERS: usize = 64;
    const ROUNDS: u64 = 4;
    let stream = new_stream("hot");
    for round in 0..ROUNDS {
        let expected = round.checked_sub(1).map_or(Expected::NoStream, Expected::Exact);
        let writers = (0..WRITERS).map(|_| {
            let (store, stream) = (Arc::clone(&store), stream.clone());
            tokio::spawn(async move { store.append(&stream, expected, numbered(1)).await })
        });
        let outcomes = join_all(writers).await;
        let outcomes: Vec<_> =
            outcomes.into_iter().map(|outcome| outcome.expect("no writer panics")).collect();
        assert_eq!(outcomes.iter().flatten().filter(|a| a.version == round).count(), 1);
        for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            let current = Some(round);
            assert!(
                matches!(lost, AppendError::Conflict { current: c } if *c == current),
                "{lost:?}"
            );
        }
    }
    let events = read_stream(&store, &stream).await;
    assert_eq!(events.len() as u64, ROUNDS);
    assert_in_order(&store, &events);
}

/// A subscriber among many writers gets every event once, in order.
pub async fn a_subscriber_among_writers_misses_nothing(store: Store) {
    const WRITERS: usize = 32;
    const STREAMS: usize = 200;
    let start = head(&store).await;
    let mut live = store.subscribe_all(start, Filter::default());
    let writers = (0..WRITERS).map(|writer| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in (writer..STREAMS).step_by(WRITERS) {
                let stream = new_stream("busy");
                for expected in [Expected::NoStream, Expected::Exact(1), Expected::Exact(3)] {
                    let events = numbered(2);
                    append(&store, &stream, expected, &events).await;
                    ids.extend(events.iter().map(|event| event.id));
                }
            }
            ids
        })
    });
    let (written, seen) = tokio::join!(join_all(writers), take_events(&mut live, STREAMS * 3 * 2));
    let written: BTreeSet<Uuid> =
        written.into_iter().flat_map(|ids| ids.expect("no writer panics")).collect();
    assert_eq!(seen.iter().map(|e| e.id).collect::<BTreeSet<_>>(), written);
    assert_in_order(&store, &seen);
    assert_eq!(read_after(&store, start, &Filter::default(), 500).await, seen);
    // One that comes late catches up with the same.
    let mut late = store.subscribe_all(start, Filter::default());
    assert_eq!(take_events(&mut late, seen.len()).await, seen);
    assert_eq!(next_event(&mut late).await, SubscriptionEvent::CaughtUp(head(&store).await));
}

/// Nothing is lost between what was there and what comes, wherever a subscription begins.
pub async fn catching_up_hands_over_to_live(store: Store) {
    let start = head(&store).await;
    let stream = new_stream("handover");
    append(&store, &stream, Expected::NoStream, &numbered(1)).await;
    let mut subscriptions = Vec::new();
    for version in 0..40 {
        if version % 4 == 0 {
            let after = read_stream(&store, &stream).await[0].position;
            subscriptions.push(store.subscribe_all(after, Filter::default()));
        }
        append(&store, &stream, Expected::Exact(version), &numbered(1)).await;
    }
    let all = read_after(&store, start, &Filter::default(), 100).await;
    for mut subscription in subscriptions {
        assert_eq!(take_events(&mut subscription, 40).await, all[1..]);
    }
}

/// A long stream is read whole, and from its middle.
pub async fn reads_a_stream_of_ten_thousand_events(store: Store) {
    let stream = new_stream("long");
    let mut expected = Expected::NoStream;
    for _ in 0..5 {
        let appended = append(&store, &stream, expected, &numbered(2_000)).await;
        expected = Expected::Exact(appended.version);
    }
    let events = read_stream(&store, &stream).await;
    assert_eq!(events.len(), 10_000);
    assert_in_order(&store, &events);
    assert_eq!(store.read_stream(&stream, 9_990).await.expect("readable"), events[9_990..]);
}

/// Protected values come back as they went in.
pub async fn gives_back_protected_values(store: Store) {
    let stream = new_stream("test");
    let secret = |text: &str| Protected::new("user-1", text);
    let data = json!({ "email": secret("a@b.example"), "list": [{ "x~/y": secret("geheim") }] });
    let event = new_event("test.secret", data);
    append(&store, &stream, Expected::NoStream, std::slice::from_ref(&event)).await;
    append(&store, &stream, Expected::NoStream, std::slice::from_ref(&event)).await;
    let start = read_stream(&store, &stream).await.remove(0);
    assert_eq!(start.data, event.data);
    let all = read_after(&store, Position::START, &Filter::default(), 1_000).await;
    assert!(all.contains(&start));
    let mut subscription = store.subscribe_all(Position::START, Filter::default());
    assert!(take_events(&mut subscription, all.len()).await.contains(&start));
}
