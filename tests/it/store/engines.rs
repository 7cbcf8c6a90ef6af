//! The conformance suite on each engine, bare and sealed.

use crate::support::kurrentdb::KurrentDb;
use crate::support::postgres::Database;
use ocim_adapters::system::{SystemClock, SystemIds};
use ocim_engine::store::EventStore;
use ocim_engine::store::conformance::{self, Store};
use ocim_engine::store::kurrentdb::KurrentStore;
use ocim_engine::store::memory::MemoryStore;
use ocim_engine::store::postgres::PostgresStore;
use ocim_engine::store::sealed::{MemoryKeys, PostgresKeys, SealedStore};
use std::any::Any;
use std::sync::Arc;
use tokio::sync::Mutex;

/// An empty store in memory.
pub(crate) fn memory() -> MemoryStore {
    MemoryStore::new(Arc::new(SystemClock))
}

/// An empty store in a new database.
pub(crate) async fn postgres() -> (Database, PostgresStore) {
    let database = Database::migrated().await;
    let store = PostgresStore::connect(database.address(), database.pool()).await.unwrap();
    (database, store)
}

/// A store in a KurrentDB of its own.
pub(crate) async fn kurrentdb() -> (KurrentDb, KurrentStore) {
    let server = KurrentDb::start();
    let store = KurrentStore::connect(&server.url()).await.unwrap();
    (server, store)
}

/// A store, and what has to be there for as long.
type Opened = (Box<dyn Any + Send>, Store);

fn alone(store: impl EventStore + 'static) -> Vec<Opened> {
    vec![(Box::new(()), Arc::new(store))]
}

fn seal(store: impl EventStore + 'static) -> SealedStore {
    let keys = Arc::new(MemoryKeys::new(Arc::new(SystemIds)));
    SealedStore::new(Arc::new(store), keys, Arc::new(SystemIds))
}

async fn open_memory() -> Vec<Opened> {
    alone(memory())
}

async fn open_memory_with_gaps() -> Vec<Opened> {
    alone(MemoryStore::with_gaps(Arc::new(SystemClock)))
}

async fn open_sealed_memory() -> Vec<Opened> {
    alone(seal(memory()))
}

async fn open_postgres() -> Vec<Opened> {
    alone(postgres().await.1)
}

async fn open_sealed_postgres() -> Vec<Opened> {
    let (database, store) = postgres().await;
    let keys = PostgresKeys::open(database.pool(), b"secret", Arc::new(SystemIds)).await.unwrap();
    alone(SealedStore::new(Arc::new(store), Arc::new(keys), Arc::new(SystemIds)))
}

/// Tests of the one KurrentDB that is no double, one after another: some look at the log's end.
static TURN: Mutex<()> = Mutex::const_new(());

#[expect(clippy::disallowed_methods, reason = "who has a server at hand says so")]
fn real_url() -> Option<String> {
    std::env::var("OCIM_TEST_KURRENTDB_URL").ok()
}

/// The double, and the KurrentDB that `OCIM_TEST_KURRENTDB_URL` names.
async fn open_kurrentdb() -> Vec<Opened> {
    let (server, store) = kurrentdb().await;
    let mut opened: Vec<Opened> = vec![(Box::new(server), Arc::new(store))];
    if let Some(url) = real_url() {
        let turn = TURN.lock().await;
        let store = KurrentStore::connect(&url).await.unwrap();
        opened.push((Box::new(turn), Arc::new(store)));
    }
    opened
}

async fn open_sealed_kurrentdb() -> Vec<Opened> {
    let (server, store) = kurrentdb().await;
    vec![(Box::new(server), Arc::new(seal(store)))]
}

macro_rules! conforms {
    ($engine:ident, $open:ident: $($check:ident)+) => {
        mod $engine {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                for (_holds, store) in super::$open().await {
                    super::conformance::$check(store).await;
                }
            })+
        }
    };
    ($($engine:ident: $open:ident),+ $(,)?) => {
        $(conforms! { $engine, $open:
            appends_only_at_the_expected_version
            gives_back_what_was_appended
            a_repeated_append_answers_as_the_first
            a_lost_answer_is_found_out_by_repeating
            an_id_belongs_to_one_event
            takes_from_one_byte_to_one_mebibyte
            keeps_any_json
            reads_all_in_one_order
            filters_by_category_and_kind
            a_subscription_tells_how_far_it_has_looked
            one_of_many_writers_wins_each_version
            a_subscriber_among_writers_misses_nothing
            catching_up_hands_over_to_live
            reads_a_stream_of_ten_thousand_events
            gives_back_protected_values
        })+
    };
}

conforms! {
    memory_conforms: open_memory,
    memory_with_gaps_conforms: open_memory_with_gaps,
    sealed_memory_conforms: open_sealed_memory,
    postgres_conforms: open_postgres,
    sealed_postgres_conforms: open_sealed_postgres,
    kurrentdb_conforms: open_kurrentdb,
    sealed_kurrentdb_conforms: open_sealed_kurrentdb,
}
