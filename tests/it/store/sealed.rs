//! Sealing: what is on disk, what is erased, and what is refused.

use super::engines::{memory, postgres};
use ocim::app::AppError;
use ocim_adapters::system::SystemIds;
use ocim_domain::event::{NewEvent, Position};
use ocim_domain::protected::Protected;
use ocim_engine::store::conformance::{new_event, new_stream};
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::sealed::{KeyError, MemoryKeys, PostgresKeys, SealError, SealedStore};
use ocim_engine::store::{AppendError, EventStore, Expected, Filter};
use serde_json::{Value, json};
use std::sync::Arc;

fn sealed_memory() -> SealedStore {
    let keys = Arc::new(MemoryKeys::new(Arc::new(SystemIds)));
    SealedStore::new(Arc::new(memory()), keys, Arc::new(SystemIds))
}

fn secret_event(subject: &str, text: &str) -> NewEvent {
    new_event("test.secret", json!({ "email": Protected::new(subject, text), "open": "plain" }))
}

fn email(data: &Value) -> Protected {
    serde_json::from_value(data["email"].clone()).unwrap()
}

#[tokio::test]
async fn the_raw_store_never_holds_the_text() {
    let store = sealed_memory();
    let stream = new_stream("test");
    let event = secret_event("user-1", "a@b.example");
    store.append(&stream, Expected::NoStream, vec![event.clone()]).await.unwrap();
    let raw = store.raw().read_stream(&stream, 0).await.unwrap().remove(0);
    assert!(!raw.data.to_string().contains("a@b.example"));
    assert_eq!(raw.data["open"], "plain");
    let sealed = email(&raw.data);
    assert_eq!((sealed.open(), sealed.is_shredded()), (None, false));
    // A part of it, as a read model would keep it.
    let opened = store.open_value(&json!([raw.data["email"]])).await.unwrap();
    assert_eq!(opened, json!([event.data["email"]]));
}

#[tokio::test]
async fn a_shredded_subject_is_gone_and_the_others_stay() {
    let store = sealed_memory();
    let stream = new_stream("test");
    let events = vec![secret_event("user-1", "one"), secret_event("user-2", "two")];
    store.append(&stream, Expected::NoStream, events.clone()).await.unwrap();
    store.shred("user-1").await.unwrap();
    let read = store.read_stream(&stream, 0).await.unwrap();
    assert!(email(&read[0].data).is_shredded());
    assert_eq!(email(&read[1].data).open(), Some("two"));
    let more = vec![secret_event("user-1", "again")];
    let refused = store.append(&stream, Expected::Exact(1), more).await;
    assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
    // What was shredded can still be carried on.
    let copy = vec![new_event("test.copied", read[0].data.clone())];
    store.append(&stream, Expected::Exact(1), copy).await.unwrap();
}

#[tokio::test]
async fn a_sealed_copy_is_sealed_anew_for_its_place() {
    let store = sealed_memory();
    let stream = new_stream("test");
    let event = secret_event("user-1", "text");
    store.append(&stream, Expected::NoStream, vec![event.clone()]).await.unwrap();
    let raw = store.raw().read_stream(&stream, 0).await.unwrap().remove(0).data;
    let copy = new_event("test.copied", json!({ "of": raw }));
    store.append(&stream, Expected::Exact(0), vec![copy]).await.unwrap();
    let read = store.read_stream(&stream, 1).await.unwrap().remove(0);
    assert_eq!(read.data["of"], event.data);
}

#[tokio::test]
async fn a_value_moved_to_another_event_is_not_opened_and_holds_up_nobody_else() {
    let inner: Arc<MemoryStore> = Arc::new(memory());
    let keys = Arc::new(MemoryKeys::new(Arc::new(SystemIds)));
    let store = SealedStore::new(inner.clone(), keys, Arc::new(SystemIds));
    let stream = new_stream("test");
    let event = secret_event("user-1", "text");
    store.append(&stream, Expected::NoStream, vec![event]).await.unwrap();
    let raw = inner.read_stream(&stream, 0).await.unwrap().remove(0).data;
    let other = new_stream("test");
    let forged = vec![new_event("test.secret", raw)];
    let forged_id = forged[0].id;
    inner.append(&other, Expected::NoStream, forged).await.unwrap();
    let after = vec![secret_event("user-1", "after")];
    store.append(&stream, Expected::Exact(0), after).await.unwrap();
    // Who needs it hears which event it is.
    let refused = store.read_stream(&other, 0).await.unwrap_err();
    let cause = refused.0.downcast_ref::<SealError>().unwrap();
    let SealError::Tampered { event, path } = cause else { panic!("{refused:?}") };
    assert_eq!((*event, path.as_str()), (Some(forged_id), "/email"));
    assert!(cause.to_string().contains(&forged_id.to_string()), "{cause}");
    assert!(matches!(AppError::from(refused), AppError::Internal(_)), "no outage");
    // Who follows the log goes on, past it.
    let (all, _) = store.read_all(Position::START, &Filter::default(), 10).await.unwrap();
    let texts: Vec<_> = all.iter().map(|it| email(&it.data).open().map(str::to_owned)).collect();
    assert_eq!(texts, [Some("text".to_owned()), None, Some("after".to_owned())]);
    assert_eq!(store.read_stream(&stream, 0).await.unwrap().len(), 2);
}

#[tokio::test]
async fn keys_in_postgres_outlive_the_process_and_need_the_same_secret() {
    let (database, inner) = postgres().await;
    let inner: Arc<dyn EventStore> = Arc::new(inner);
    let open =
        |secret: &'static [u8]| PostgresKeys::open(database.pool(), secret, Arc::new(SystemIds));
    let store = |keys| SealedStore::new(inner.clone(), Arc::new(keys), Arc::new(SystemIds));
    let stream = new_stream("test");
    let first = store(open(b"right").await.unwrap());
    let events = vec![secret_event("user-1", "one")];
    first.append(&stream, Expected::NoStream, events).await.unwrap();
    let wrong = open(b"wrong").await.unwrap_err();
    assert!(matches!(wrong, KeyError::WrongSecretKey));
    assert!(wrong.to_string().starts_with("SECRET_KEY is not the one"), "{wrong}");
    let second = store(open(b"right").await.unwrap());
    let read = second.read_stream(&stream, 0).await.unwrap();
    assert_eq!(email(&read[0].data).open(), Some("one"));
    // Shredded by one node: the other one seals nothing more, and a new one opens nothing.
    first.shred("user-1").await.unwrap();
    first.shred("user-1").await.unwrap();
    let more = vec![secret_event("user-1", "two")];
    let refused = second.append(&stream, Expected::Exact(0), more).await;
    assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
    let third = store(open(b"right").await.unwrap());
    assert!(email(&third.read_stream(&stream, 0).await.unwrap()[0].data).is_shredded());
}
