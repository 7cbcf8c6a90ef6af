//! What the KurrentDB engine does when the server misbehaves, dies, moves, or is the wrong one.

use super::engines::kurrentdb;
use crate::support::kurrentdb::{Cluster, Ending, KurrentDb};
use futures_util::StreamExt;
use ocim_domain::event::{Position, StreamId};
use ocim_engine::store::conformance::{new_event, new_stream};
use ocim_engine::store::kurrentdb::{ConnectError, KurrentStore, Timings};
use ocim_engine::store::{
    AppendError, Appended, Engine, EventStore, Expected, Filter, StoreUrlError, SubscriptionEvent,
};
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use serde_json::json;
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::transport::Identity;

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Waits that are short enough to be waited for.
fn soon() -> Timings {
    Timings {
        call: Duration::from_secs(5),
        retry_for: Duration::from_secs(20),
        retry_pause: Duration::from_millis(20),
        watch: Duration::from_millis(200),
    }
}

/// Waits that are over soon, but for a busy machine's sake not at once.
fn impatient() -> Timings {
    Timings { call: Duration::from_secs(2), retry_for: Duration::from_secs(3), ..soon() }
}

async fn open(server: &KurrentDb) -> KurrentStore {
    KurrentStore::connect_within(&server.url(), soon()).await.unwrap()
}

async fn append(store: &KurrentStore, stream: &StreamId, expected: Expected) -> Appended {
    let event = new_event("test.happened", json!({ "n": 1 }));
    store.append(stream, expected, vec![event]).await.unwrap()
}

type Events = futures_util::stream::BoxStream<'static, SubscriptionEvent>;

/// The position of the next event that a subscription tells.
async fn next_event(events: &mut Events) -> Position {
    let next = async {
        loop {
            match events.next().await.expect("it goes on") {
                SubscriptionEvent::Event(event) => return event.position,
                _ => continue,
            }
        }
    };
    timeout(LONG, next).await.expect("an event in time")
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_found_out() {
    let (server, store) = kurrentdb().await;
    let stream = new_stream("test");
    server.lose_answers(2);
    let first = append(&store, &stream, Expected::NoStream).await;
    assert_eq!((first.version, first.position), (0, store.head().await.unwrap()));
    // Somebody else goes on before the answer that was lost is found out.
    let event = new_event("test.happened", json!({}));
    server.lose_answers(1);
    let second = append(&store, &stream, Expected::Exact(0)).await;
    server.lose_answers(1);
    let lost = store.append(&stream, Expected::NoStream, vec![event]).await;
    assert!(matches!(lost, Err(AppendError::Conflict { current: Some(1) })), "{lost:?}");
    let events = store.read_stream(&stream, 0).await.unwrap();
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, [first.position, second.position]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_no_for_a_while_is_asked_again() {
    let server = KurrentDb::start();
    let store = open(&server).await;
    let stream = new_stream("test");
    server.refuse_calls(3);
    append(&store, &stream, Expected::NoStream).await;
    server.refuse_calls(3);
    assert_eq!(store.read_stream(&stream, 0).await.unwrap().len(), 1);
    server.refuse_calls(3);
    let page = store.read_all(Position::START, &Filter::default(), 10).await.unwrap();
    assert_eq!((page.0.len(), page.1), (1, store.head().await.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_told_of_and_comes_back() {
    let mut server = KurrentDb::start();
    let store = KurrentStore::connect_within(&server.url(), impatient()).await.unwrap();
    let stream = new_stream("test");
    let first = append(&store, &stream, Expected::NoStream).await;
    let mut events = store.subscribe_all(Position::START, Filter::default());
    assert_eq!(next_event(&mut events).await, first.position);
    server.kill();
    let event = new_event("test.happened", json!({}));
    // The connection broke in the middle: nobody knows. Then nothing is sent at all.
    let in_doubt = store.append(&stream, Expected::Exact(0), vec![event.clone()]).await;
    assert!(
        matches!(in_doubt, Err(AppendError::OutcomeUnknown(_) | AppendError::Unavailable(_))),
        "{in_doubt:?}"
    );
    let unsent = store.append(&stream, Expected::Exact(0), vec![event.clone()]).await;
    assert!(matches!(unsent, Err(AppendError::Unavailable(_))), "{unsent:?}");
    store.read_stream(&stream, 0).await.unwrap_err();
    server.revive();
    let deadline = Instant::now() + LONG;
    let appended = loop {
        match store.append(&stream, Expected::Exact(0), vec![event.clone()]).await {
            Ok(appended) => break appended,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
    };
    assert_eq!(next_event(&mut events).await, appended.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_nodes_events_are_told() {
    let server = KurrentDb::start();
    let (here, there) = (open(&server).await, open(&server).await);
    let mut events = here.subscribe_all(Position::START, Filter::default());
    let stream = new_stream("test");
    let mut expected = Expected::NoStream;
    for _ in 0..3 {
        let appended = append(&there, &stream, expected).await;
        assert_eq!(next_event(&mut events).await, appended.position);
        expected = Expected::Exact(appended.version);
    }
    assert_eq!(server.count_subscriptions(), 2, "one for each node, and none was lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_ends_is_begun_anew_where_it_was() {
    let server = KurrentDb::start();
    let here = open(&server).await;
    let patient = Timings { watch: LONG, ..soon() };
    let there = KurrentStore::connect_within(&server.url(), patient).await.unwrap();
    let mut events = there.subscribe_all(Position::START, Filter::default());
    let stream = new_stream("test");
    let first = append(&here, &stream, Expected::NoStream).await;
    assert_eq!(next_event(&mut events).await, first.position);
    for (version, ending) in [(0, Ending::Clean), (1, Ending::Broken), (2, Ending::Clean)] {
        let before = server.count_subscriptions();
        server.end_subscriptions(ending);
        let appended = append(&here, &stream, Expected::Exact(version)).await;
        assert_eq!(next_event(&mut events).await, appended.position, "{ending:?}");
        eventually("both nodes listen again", || server.count_subscriptions() >= before + 2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_falls_silent_is_noticed() {
    let server = KurrentDb::start();
    let (here, there) = (open(&server).await, open(&server).await);
    let mut events = here.subscribe_all(Position::START, Filter::default());
    let stream = new_stream("test");
    let first = append(&there, &stream, Expected::NoStream).await;
    assert_eq!(next_event(&mut events).await, first.position);
    let before = server.count_subscriptions();
    server.silence(true);
    let second = append(&there, &stream, Expected::Exact(0)).await;
    assert_eq!(next_event(&mut events).await, second.position, "the look finds it");
    eventually("it is begun anew", || server.count_subscriptions() > before).await;
    server.silence(false);
    let third = append(&there, &stream, Expected::Exact(1)).await;
    assert_eq!(next_event(&mut events).await, third.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_log_is_no_reason_to_begin_anew() {
    let server = KurrentDb::start();
    let timings = Timings { watch: Duration::from_millis(500), ..soon() };
    let store = KurrentStore::connect_within(&server.url(), timings).await.unwrap();
    let mut events = store.subscribe_all(Position::START, Filter::default());
    let appended = append(&store, &new_stream("test"), Expected::NoStream).await;
    assert_eq!(next_event(&mut events).await, appended.position);
    // Events of the server's own are no news either.
    server.write_system_event().await;
    let before = server.count_looks();
    eventually("some looks are over", || server.count_looks() > before + 4).await;
    assert_eq!(server.count_subscriptions(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_dies_the_next_one_is_found() {
    let cluster = Cluster::new();
    let mut leader = KurrentDb::join(&cluster);
    let follower = KurrentDb::join(&cluster);
    let url =
        format!("kurrentdb://127.0.0.1:{},127.0.0.1:{}?tls=false", follower.port(), leader.port());
    let store = KurrentStore::connect_within(&url, soon()).await.unwrap();
    let stream = new_stream("test");
    let mut events = store.subscribe_all(Position::START, Filter::default());
    let first = append(&store, &stream, Expected::NoStream).await;
    assert_eq!(next_event(&mut events).await, first.position);
    leader.kill();
    follower.lead();
    let second = append(&store, &stream, Expected::Exact(0)).await;
    assert_eq!(next_event(&mut events).await, second.position);
    // The other one comes back as a follower, and leads again without a death.
    leader.revive();
    leader.lead();
    let third = append(&store, &stream, Expected::Exact(1)).await;
    assert_eq!(next_event(&mut events).await, third.position);
    assert_eq!(store.read_stream(&stream, 0).await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sends_to_its_leader() {
    let cluster = Cluster::new();
    let _leader = KurrentDb::join(&cluster);
    let follower = KurrentDb::join(&cluster);
    let store = open(&follower).await;
    let first = append(&store, &new_stream("test"), Expected::NoStream).await;
    assert_eq!(store.head().await.unwrap(), first.position);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_takes_no_longer_than_allowed() {
    let server = KurrentDb::start();
    let store = KurrentStore::connect_within(&server.url(), impatient()).await.unwrap();
    let stream = new_stream("test");
    append(&store, &stream, Expected::NoStream).await;
    server.hang(true);
    let began = Instant::now();
    store.read_stream(&stream, 0).await.unwrap_err();
    store.head().await.unwrap_err();
    let event = new_event("test.happened", json!({}));
    let unknown = store.append(&stream, Expected::Exact(0), vec![event]).await;
    assert!(matches!(unknown, Err(AppendError::OutcomeUnknown(_))), "{unknown:?}");
    let refused = KurrentStore::connect_within(&server.url(), impatient()).await;
    assert!(matches!(refused, Err(ConnectError::Unreachable(_))), "{refused:?}");
    // Discovery with gossip as well.
    let seeds = format!("kurrentdb://127.0.0.1:{0},127.0.0.1:{0}?tls=false", server.port());
    let refused = KurrentStore::connect_within(&seeds, impatient()).await;
    assert!(matches!(refused, Err(ConnectError::Unreachable(_))), "{refused:?}");
    assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
    server.hang(false);
    assert_eq!(store.read_stream(&stream, 0).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kurrentdb_writes_for_itself_is_not_seen() {
    let (server, store) = kurrentdb().await;
    let other = new_stream("other");
    server.write_system_event().await;
    assert_eq!(store.head().await.unwrap(), Position::START);
    let appended = append(&store, &other, Expected::NoStream).await;
    server.write_system_event().await;
    assert_eq!(store.head().await.unwrap(), appended.position);
    for filter in [
        Filter::default(),
        Filter { kinds: vec!["test.happened".to_owned()], ..Filter::default() },
        Filter { categories: vec!["other".to_owned()], ..Filter::default() },
    ] {
        let (events, looked_at) = store.read_all(Position::START, &filter, 10).await.unwrap();
        assert_eq!((events.len(), looked_at), (1, appended.position), "{filter:?}");
        let (events, looked_at) = store.read_all(appended.position, &filter, 1).await.unwrap();
        assert_eq!((events.len(), looked_at), (0, appended.position), "{filter:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_event_is_told_of_and_not_skipped() {
    let (server, store) = kurrentdb().await;
    let stream = new_stream("order");
    server.write_raw(&stream, "").await;
    let error = store.read_all(Position::START, &Filter::default(), 10).await.unwrap_err();
    let told = error.0.to_string();
    assert!(told.contains(&stream.to_string()) && told.contains("nobody else writes"), "{told}");
    store.read_stream(&stream, 0).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_server_finds_too_large_are_refused() {
    let (_server, store) = kurrentdb().await;
    // Within our own limit, but the server counts a kind's characters twice.
    let kind = "k".repeat(200);
    let event = new_event(&kind, json!("x".repeat(1_048_576 - 2 - 200 - 60)));
    let refused = store.append(&new_stream("test"), Expected::NoStream, vec![event]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_was_shut_down_says_so() {
    let (_server, store) = kurrentdb().await;
    let mut events = store.subscribe_all(Position::START, Filter::default());
    append(&store, &new_stream("test"), Expected::NoStream).await;
    next_event(&mut events).await;
    store.shutdown().await;
    let event = new_event("test.happened", json!({}));
    let refused = store.append(&new_stream("test"), Expected::NoStream, vec![event]).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    let rest = timeout(LONG, events.collect::<Vec<_>>()).await.expect("the subscription ends");
    assert!(rest.iter().all(|it| !matches!(it, SubscriptionEvent::Event(_))), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hash_tells_an_event_from_others() {
    let (server, store) = kurrentdb().await;
    let nothing = store.head_hash().await.unwrap();
    assert_eq!(nothing.0, Position::START);
    let stream = new_stream("test");
    let first = append(&store, &stream, Expected::NoStream).await;
    let second = append(&store, &stream, Expected::Exact(0)).await;
    server.write_system_event().await;
    let (head, hash) = store.head_hash().await.unwrap();
    assert_eq!(head, second.position);
    assert_eq!(store.hash_at(head).await.unwrap(), Some(hash));
    assert!(store.hash_at(first.position).await.unwrap().is_some_and(|other| other != hash));
    // No event begins there, and none is behind.
    let [commit, prepare] = second.position.0;
    assert_eq!(store.hash_at(Position([commit - 1, prepare - 1])).await.unwrap(), None);
    assert_eq!(store.hash_at(Position([commit * 2, prepare * 2])).await.unwrap(), None);
    let told = store.verify_chain(Position::START, head).await.unwrap_err().to_string();
    assert!(told.contains("keeps no hash chain"), "{told}");
    assert_eq!(store.describe(), "KurrentDB 25.1.0 without TLS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_too_old_or_knows_us_not_is_refused() {
    let server = KurrentDb::start();
    server.pretend_version("21.10.9");
    let refused = KurrentStore::connect_within(&server.url(), soon()).await;
    assert!(matches!(&refused, Err(ConnectError::TooOld(it)) if it == "21.10.9"), "{refused:?}");
    server.pretend_version("22.10.0");
    server.require_login("ocim:secret");
    let refused = KurrentStore::connect_within(&server.url(), soon()).await.unwrap_err();
    assert!(refused.to_string().contains("its user and password"), "{refused}");
    let url = server.url().replace("127.0.0.1", "ocim:secret@127.0.0.1");
    let store = KurrentStore::connect_within(&url, soon()).await.unwrap();
    append(&store, &new_stream("test"), Expected::NoStream).await;
    assert!(!format!("{store:?}").contains("secret"), "{store:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_unless_the_address_says_otherwise() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = |name: &str| {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let (ours, other) = (authority("ours"), authority("other"));
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
    let certificate = params.unwrap().signed_by(&key, &ours).unwrap();
    let identity = Identity::from_pem(certificate.pem(), key.serialize_pem());
    let server = KurrentDb::start_with_tls(identity);

    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let connect = |parameters: String| {
        let url = format!("kurrentdb://127.0.0.1:{}{parameters}", server.port());
        async move { KurrentStore::connect_within(&url, impatient()).await }
    };
    let store = connect(format!("?tlsCaFile={}", file("ours.pem", &ours.pem()))).await.unwrap();
    append(&store, &new_stream("test"), Expected::NoStream).await;
    assert_eq!(store.describe(), "KurrentDB 25.1.0");
    for parameters in [
        String::new(),
        "?tls=false".to_owned(),
        format!("?tlsCaFile={}", file("other.pem", &other.pem())),
    ] {
        let refused = connect(parameters.clone()).await;
        assert!(matches!(refused, Err(ConnectError::Unreachable(_))), "{parameters}: {refused:?}");
    }
    for text in ["", "no certificate"] {
        let path = file("broken.pem", text);
        let refused = connect(format!("?tlsCaFile={path}")).await.unwrap_err();
        assert!(refused.to_string().contains(&path), "{refused}");
    }
    let refused = connect("?nodePreference=random".to_owned()).await.unwrap_err();
    assert!(matches!(refused, ConnectError::Address(StoreUrlError::NotLeader)), "{refused:?}");
    // A server without TLS is none for who wants TLS.
    let plain = KurrentDb::start();
    let url = plain.url().replace("?tls=false", "");
    let refused = KurrentStore::connect_within(&url, impatient()).await;
    assert!(matches!(refused, Err(ConnectError::Unreachable(_))), "{refused:?}");
}
