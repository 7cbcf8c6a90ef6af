//! Servers that sites share: each that takes sites, or has some, lets Ocim do its work.

use super::database::read_key;
use super::{Finding, fault};
use crate::cli::database::Database;
use crate::config::Config;
use crate::tested_servers::find_problem;
use futures_util::future::join_all;
use ocim_adapters::provisioning::servers::SharedServers;
use ocim_adapters::system::SystemIds;
use ocim_domain::decider::Decider;
use ocim_domain::error_chain::chain;
use ocim_domain::event::{DomainEvent, Position};
use ocim_domain::provisioning::Provisioned;
use ocim_domain::shared_server::{Mongodb, Mysql, Present, Rabbitmq, SharedServer};
use ocim_engine::store::sealed::{PostgresKeys, SealedStore};
use ocim_engine::store::{EventStore, Filter};
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

/// Events read at a time.
const PAGE: usize = 1000;

/// Asks each of them.
pub(super) async fn look(config: &Config, database: &Database) -> Vec<Finding> {
    let unreadable = |error: Box<dyn Error + Send + Sync>| {
        let advice = "look at the database; the log may have events of a newer Ocim";
        vec![Finding::new("shared_servers", Err(fault(chain(&*error), advice)))]
    };
    let store = match database.open_store(config).await {
        Ok(store) => store,
        // That is told of the log already.
        Err(_) => return vec![],
    };
    let servers = SharedServers::new(config.shared_servers_ca_file.clone());
    let findings = async {
        let Ok(key) = read_key(config) else { return Ok(vec![]) };
        let key = key.expose().as_bytes();
        // Told of the key already; one that nothing is bound to yet is not bound by a look.
        if PostgresKeys::is_bound_to(&database.pool, key).await? != Some(true) {
            return Ok(vec![]);
        }
        let ids = Arc::new(SystemIds);
        let keys = PostgresKeys::open(database.pool.clone(), key, ids.clone()).await?;
        let raw = Arc::clone(&store) as Arc<dyn EventStore>;
        let sealed = SealedStore::new(raw, Arc::new(keys), ids);
        let (mysql, mongodb, rabbitmq) = tokio::try_join!(
            look_at_kind::<Mysql>(&sealed, &servers),
            look_at_kind::<Mongodb>(&sealed, &servers),
            look_at_kind::<Rabbitmq>(&sealed, &servers),
        )?;
        Ok([mysql, mongodb, rabbitmq].into_iter().flatten().collect())
    };
    let findings = findings.await.unwrap_or_else(unreadable);
    store.shutdown().await;
    findings
}

async fn look_at_kind<A: Provisioned>(
    store: &SealedStore,
    servers: &SharedServers,
) -> Result<Vec<Finding>, Box<dyn Error + Send + Sync>> {
    let is_of_use =
        |known: &Present<A>| !known.is_retired && (known.accepts() || !known.clients.is_empty());
    let look = |known: Present<A>| async move {
        let name = known.registration.name.clone();
        let outcome = match find_problem(servers, known.registration).await {
            None => Ok(format!("the {} {name} lets Ocim do its work", A::NOUN)),
            Some(problem) => {
                let advice = "`ocim explain shared_server_refused` says what to do";
                Err(fault(problem, advice))
            }
        };
        Finding::new(A::CATEGORY, outcome)
    };
    let known = list::<A>(store).await?;
    Ok(join_all(known.into_iter().filter(is_of_use).map(look)).await)
}

/// Every server of a kind that was ever added, as its events tell.
async fn list<A: Provisioned>(
    store: &SealedStore,
) -> Result<Vec<Present<A>>, Box<dyn Error + Send + Sync>> {
    let kinds = vec![format!("{}registered", A::EVENT_PREFIX)];
    let filter = Filter { kinds, ..Filter::default() };
    let (mut streams, mut after) = (BTreeSet::new(), Position::START);
    loop {
        let (events, position) = store.read_all(after, &filter, PAGE).await?;
        let is_last = events.len() < PAGE;
        streams.extend(events.into_iter().map(|event| event.stream));
        if is_last {
            break;
        }
        after = position;
    }
    let mut servers = vec![];
    for stream in streams {
        let mut state = None;
        for event in store.read_stream(&stream, 0).await? {
            let event = <SharedServer<A> as Decider>::Event::decode(
                &event.kind,
                event.schema,
                &event.data,
            )?;
            state = SharedServer::<A>::evolve(state, &event);
        }
        servers.extend(state);
    }
    Ok(servers)
}
