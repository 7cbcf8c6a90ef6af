//! Where the log ends, kept outside of the database: what is cut off is noticed, and can be accepted.

use super::eventually;
use crate::support::postgres::Database;
use ocim::data_folder::HeadFile;
use ocim::log_head::{HeadError, HeadKeeper, check_head, read_head};
use ocim_domain::event::{Metadata, NewEvent, Position, StreamId};
use ocim_domain::event_log::Head;
use ocim_engine::projector::retire_ahead;
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::{Engine, EventStore, Expected};
use serde_json::json;
use std::process::Output;
use std::sync::Arc;
use tokio_postgres::Client;
use uuid::Uuid;

/// Lets people do to the log what the database refuses.
const UNLOCK: &str = "alter table es.events disable trigger events_are_final";
/// Somebody removes the last event.
const CUT: &str = "delete from es.events where pos = (select max(pos) from es.events)";

async fn append(store: &PostgresStore, number: u128) {
    let event = NewEvent {
        id: Uuid::from_u128(rand::random()),
        kind: "test.happened".to_owned(),
        schema: 1,
        data: json!({ "number": number.to_string() }),
        meta: Metadata::by("tests"),
    };
    let stream = StreamId::new("test", Uuid::from_u128(number));
    store.append(&stream, Expected::NoStream, vec![event]).await.expect("an event");
}

async fn open() -> (Database, PostgresStore, Client) {
    let database = Database::migrated().await;
    let store = PostgresStore::connect(database.address(), database.pool()).await.expect("a store");
    for number in 1..=5 {
        append(&store, number).await;
    }
    let client = database.client().await;
    client.batch_execute(UNLOCK).await.expect("unlocked");
    (database, store, client)
}

#[tokio::test]
async fn a_log_that_lacks_what_was_seen_or_has_something_else_is_refused_with_advice() {
    let (database, store, client) = open().await;
    let pool = database.pool();
    let known = read_head(&store).await.expect("the head");
    assert_eq!(check_head(None, &store, &pool).await.expect("nothing is known"), known);
    assert_eq!(check_head(Some(&known), &store, &pool).await.expect("the same"), known);
    append(&store, 6).await;
    let longer = check_head(Some(&known), &store, &pool).await.expect("it may be longer");
    assert!(longer.position > known.position);

    client.batch_execute(CUT).await.expect("cut");
    check_head(Some(&known), &store, &pool).await.expect("what is known is still there");
    client.batch_execute(CUT).await.expect("cut");
    let error = check_head(Some(&known), &store, &pool).await.expect_err("cut off");
    assert!(matches!(error, HeadError::Behind { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("restore") && told.contains("ocim events accept-head"), "{told}");
    // Then life goes on in it: as many events, but others.
    append(&store, 7).await;
    let error = check_head(Some(&known), &store, &pool).await.expect_err("another event");
    assert!(matches!(error, HeadError::Different { .. }), "{error:?}");
    store.shutdown().await;
}

#[tokio::test]
async fn read_models_that_know_more_than_the_log_are_noticed_and_made_anew() {
    let (database, store, client) = open().await;
    let pool = database.pool();
    let ahead = Position([6, 0]).to_string();
    let sql = "insert into es.checkpoints (name, version, generation, pos, state, serving) \
               values ('runs', 1, 1, $1, 'running', true)";
    client.execute(sql, &[&ahead]).await.expect("a read model");
    let error = check_head(None, &store, &pool).await.expect_err("it is ahead");
    assert!(matches!(&error, HeadError::ReadModelsAhead { names, .. } if names == &["runs"]));
    retire_ahead(&pool, read_head(&store).await.expect("the head").position)
        .await
        .expect("retired");
    check_head(None, &store, &pool).await.expect("nothing shows what is not there");
    store.shutdown().await;
}

#[tokio::test]
async fn the_folder_follows_the_log_and_never_a_log_that_lost_something() {
    let (database, store, client) = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let file = HeadFile::of(folder.path());
    assert_eq!(file.read().expect("no file yet"), None);
    let found = read_head(&store).await.expect("the head");
    let keeper = HeadKeeper::start(Arc::new(store.clone()), file.clone(), found.clone());
    let says = |wanted: Option<Head>| {
        let file = file.clone();
        async move { file.read().expect("a whole file") == wanted }
    };
    eventually("the head is written", || says(Some(found.clone()))).await;
    append(&store, 6).await;
    let longer = read_head(&store).await.expect("the head");
    eventually("the new head is written", || says(Some(longer.clone()))).await;
    // Two are cut off, three come instead: the log is longer than ever, but another one.
    for _ in 0..2 {
        client.batch_execute(CUT).await.expect("cut");
    }
    for number in 7..=9 {
        append(&store, number).await;
    }
    keeper.stop().await;
    assert_eq!(file.read().expect("the file"), Some(longer.clone()), "it keeps what it knew");
    let error = check_head(Some(&longer), &store, &database.pool()).await.expect_err("another log");
    assert!(matches!(error, HeadError::Different { .. }), "{error:?}");
    store.shutdown().await;
}

/// The program on a database of its own and a new data folder.
async fn ocim(folder: &tempfile::TempDir, database: &Database, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_ocim"));
    command.args(arguments).current_dir(folder.path()).kill_on_drop(true);
    command.env("OCIM_DATA_DIR", folder.path().join("data")).env("OCIM_HTTP_PORT", "0");
    command.env("DATABASE_URL", database.url()).env("SECRET_KEY", "the key of these tests");
    command.output().await.expect("the program")
}

fn said(output: &Output) -> String {
    let both = [output.stdout.clone(), output.stderr.clone()].concat();
    String::from_utf8_lossy(&both).into_owned()
}

#[tokio::test]
async fn a_log_whose_end_was_cut_off_is_told_by_every_command_until_it_is_accepted() {
    let (database, store, client) = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    drop(ocim::data_folder::DataFolder::open(&folder.path().join("data")).expect("a data folder"));
    let file = HeadFile::of(&folder.path().join("data"));
    file.write(&read_head(&store).await.expect("the head")).expect("as a server leaves it");
    let verified = ocim(&folder, &database, &["events", "verify"]).await;
    assert!(verified.status.success(), "{}", said(&verified));
    let nothing = ocim(&folder, &database, &["events", "accept-head", "--reason", "why not"]).await;
    assert_eq!(nothing.status.code(), Some(4), "{}", said(&nothing));

    client.batch_execute(CUT).await.expect("cut");
    for arguments in [&["events", "verify"][..], &["doctor"], &["serve"]] {
        let told = ocim(&folder, &database, arguments).await;
        assert!(!told.status.success(), "{arguments:?}: {}", said(&told));
        assert!(said(&told).contains("ocim events accept-head --reason"), "{}", said(&told));
    }
    let accepted =
        ocim(&folder, &database, &["events", "accept-head", "--reason", "a restore"]).await;
    assert!(accepted.status.success(), "{}", said(&accepted));
    let verified = ocim(&folder, &database, &["events", "verify"]).await;
    assert!(verified.status.success(), "{}", said(&verified));
    let sql = "select data->>'reason', meta->>'actor' from es.events \
               where kind = 'event_log.head_accepted'";
    let row = client.query_one(sql, &[]).await.expect("it stands in the log");
    assert_eq!(row.get::<_, String>(0), "a restore");
    assert!(row.get::<_, String>(1).starts_with("cli:"));
    store.shutdown().await;
}

#[tokio::test]
async fn no_read_model_outlives_the_log_that_it_was_made_of() {
    let (database, store, client) = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    drop(ocim::data_folder::DataFolder::open(&folder.path().join("data")).expect("a data folder"));
    let known = read_head(&store).await.expect("the head");
    HeadFile::of(&folder.path().join("data")).write(&known).expect("as a server leaves it");
    let sql = "insert into es.checkpoints (name, version, generation, pos, state, serving) \
               values ('runs', 1, 1, $1, 'running', true)";
    let position = known.position.to_string();
    client.execute(sql, &[&position]).await.expect("a read model");
    // Other events, and more of them: the read model is not ahead, and wrong all the same.
    client.batch_execute(CUT).await.expect("cut");
    append(&store, 6).await;
    append(&store, 7).await;
    let accepted =
        ocim(&folder, &database, &["events", "accept-head", "--reason", "another log"]).await;
    assert!(accepted.status.success(), "{}", said(&accepted));
    let sql = "select state, serving from es.checkpoints where name = 'runs'";
    let row = client.query_one(sql, &[]).await.expect("the read model");
    assert_eq!((row.get::<_, &str>(0), row.get::<_, bool>(1)), ("retired", false));
    store.shutdown().await;
}

#[tokio::test]
async fn doctor_tells_a_wrong_secret_key_and_a_log_that_was_changed() {
    let (database, store, client) = open().await;
    let folder = tempfile::tempdir().expect("a folder");
    let finding = async |what: &str| {
        let told = ocim(&folder, &database, &["doctor", "--json"]).await;
        let all: serde_json::Value = serde_json::from_slice(&told.stdout).expect("findings");
        let all = all.as_array().expect("findings").clone();
        let found = all.into_iter().find(|it| it["code"] == what).expect(what);
        (found["is_fine"] == true, found["says"].as_str().expect("a sentence").to_owned())
    };
    let (is_fine, says) = finding("secret_key").await;
    assert!(is_fine, "nobody has bound the database to a key yet: {says}");
    let bind = "insert into es.key_check (value) values ('another key made this')";
    client.execute(bind, &[]).await.expect("bound");
    let (is_fine, says) = finding("secret_key").await;
    assert!(!is_fine && says.contains("another secret key"), "{says}");
    let (is_fine, says) = finding("event_log").await;
    assert!(is_fine && says.contains("5 events"), "{says}");
    let change = "update es.events set data = '{\"number\":\"forged\"}' where pos = 3";
    client.execute(change, &[]).await.expect("forged");
    let (is_fine, says) = finding("event_log").await;
    assert!(!is_fine && says.contains("broken at position") && says.contains('3'), "{says}");
    store.shutdown().await;
}
