//! The conformance suite on each engine, bare and sealed.

use crate::support::postgres::Database;
use ocim::adapters::system::{SystemClock, SystemIds};
use ocim::store::conformance::{self, Store};
use ocim::store::memory::MemoryStore;
use ocim::store::postgres::PostgresStore;
use ocim::store::sealed::{MemoryKeys, PostgresKeys, SealedStore};
use std::sync::Arc;

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

async fn open_memory() -> Store {
    Arc::new(memory())
}

async fn open_sealed_memory() -> Store {
    let keys = Arc::new(MemoryKeys::new(Arc::new(SystemIds)));
    Arc::new(SealedStore::new(Arc::new(memory()), keys, Arc::new(SystemIds)))
}

async fn open_postgres() -> Store {
    Arc::new(postgres().await.1)
}

async fn open_sealed_postgres() -> Store {
    let (database, store) = postgres().await;
    let keys = PostgresKeys::open(database.pool(), b"secret", Arc::new(SystemIds)).await.unwrap();
    Arc::new(SealedStore::new(Arc::new(store), Arc::new(keys), Arc::new(SystemIds)))
}

macro_rules! conforms {
    ($engine:ident, $open:ident: $($check:ident)+) => {
        mod $engine {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $check() {
                super::conformance::$check(super::$open().await).await;
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
    sealed_memory_conforms: open_sealed_memory,
    postgres_conforms: open_postgres,
    sealed_postgres_conforms: open_sealed_postgres,
}
