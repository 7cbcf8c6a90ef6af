//! Databases, accounts, queues and containers that ledgers have, or once had. Nothing on a shared server
//! bears a mark of ours: a name there is ours where a ledger once had it on that server.

use super::{Looked, Provider, Scan, Unanswered, left, missing};
use crate::app::{AppError, Holding, Holdings};
use crate::processes::orphans::not_an_orphan;
use crate::processes::resource::provisioned::find_service;
use crate::processes::step::StepError;
use crate::processes::world::World;
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Kind, Leaves};
use ocim_domain::provisioning::{ItemId, Service};
use ocim_domain::saga::ErrorClass;
use ocim_domain::shared_server::{Address, Mongodb, Mysql, Rabbitmq};
use std::collections::{BTreeMap, BTreeSet};

/// The servers that ledgers name, or named: no other has anything of ours. Those that nobody knows how to
/// reach are told of where a site has something there; where none has, they and retired ones are done with.
///
/// # Errors
/// What the store says.
pub(super) async fn find_services(
    world: &World,
    kind: Option<Kind>,
    holdings: &Holdings,
) -> Result<(Vec<Provider>, Vec<Unanswered>), AppError> {
    let mut places: BTreeMap<_, Vec<&Holding>> = BTreeMap::new();
    for (id, holding) in holdings.held().chain(holdings.formers()) {
        let is_asked = kind.is_none_or(|kind| kind == id.key.kind);
        if id.key.kind.leaves() == Leaves::WithDeletion && is_asked {
            places.entry(&id.place).or_default().push(holding);
        }
    }
    let (mut services, mut unanswered) = (vec![], vec![]);
    for (place, holdings) in places {
        let is_in_use = holdings.iter().any(|holding| holding.is_held());
        if !is_in_use && is_retired(world, &holdings, place).await? {
            continue;
        }
        match find_one(world, &holdings, place).await {
            Ok(service) => {
                let (place, service) = (place.clone(), Box::new(service));
                services.push(Provider::Service { place, service });
            }
            Err(error) if is_in_use || error.class != ErrorClass::Permanent => {
                let (provider, error) = (place.clone(), error.message);
                unanswered.push(Unanswered { provider, error });
            }
            Err(_) => {}
        }
    }
    Ok((services, unanswered))
}

/// The server of what is, or was, at a place. An account of Swift is in the settings of one site or another.
async fn find_one(world: &World, holdings: &[&Holding], place: &str) -> Result<Service, StepError> {
    let mut sites = BTreeSet::new();
    let mut failure = not_an_orphan(format!("nobody has anything at {place}"));
    for Holding { instance, resource, .. } in holdings {
        if sites.insert(instance.0) {
            match find_service(world, *instance, resource.id.kind, place).await {
                Ok(service) => return Ok(service),
                Err(error) => failure = error,
            }
        }
    }
    Err(failure)
}

/// Whether what is at a place was on a server that Ocim uses no more.
async fn is_retired(world: &World, holdings: &[&Holding], place: &str) -> Result<bool, AppError> {
    match holdings.first().map(|holding| holding.resource.id.kind) {
        Some(Kind::MysqlAccount | Kind::MysqlDatabase) => retired::<Mysql>(world, place).await,
        Some(Kind::MongodbAccount | Kind::MongodbDatabase) => {
            retired::<Mongodb>(world, place).await
        }
        Some(Kind::RabbitmqUser | Kind::RabbitmqVhost) => retired::<Rabbitmq>(world, place).await,
        _ => Ok(false),
    }
}

async fn retired<A: Address>(world: &World, place: &str) -> Result<bool, AppError> {
    let Ok(id) = place.parse() else { return Ok(false) };
    Ok(world.app.shared_server::<A>(id).await?.is_retired)
}

/// Compares what a server has with what ledgers have there, or once had.
pub(super) async fn look(
    world: &World,
    before: &Holdings,
    place: &str,
    service: &Service,
) -> Looked {
    let here = before.held().chain(before.formers()).filter(|(id, _)| id.place == place);
    let asked: BTreeSet<ItemId> = here.map(|(id, _)| item(id)).collect();
    let ids: Vec<_> = asked.iter().cloned().collect();
    let provisioning = &world.ports.provisioning;
    let found: BTreeSet<_> = provisioning.find_among(service, &ids).await?.into_iter().collect();
    let holdings = world.app.read_holdings().await?;
    let (provider, mut scan) = (service.to_string(), Scan::default());
    for (id, holding) in holdings.formers().filter(|(id, _)| id.place == place) {
        if found.contains(&item(id)) {
            scan.orphans.push(left(holding, &provider));
        }
    }
    for (id, holding) in holdings.held().filter(|(id, _)| id.place == place) {
        let item = item(id);
        // A database of MongoDB comes with its first document, which the site writes.
        let is_expected = holding.is_present() && id.key.kind != Kind::MongodbDatabase;
        let is_gone = is_expected && asked.contains(&item) && !found.contains(&item);
        // A list leaves out what an account does not see, which a look for it tells.
        if is_gone && !provisioning.find(service, &item).await? {
            scan.missing.push(missing(holding, &provider, None));
        }
    }
    Ok(scan)
}

/// It as its server knows it.
fn item(id: &OrphanId) -> ItemId {
    ItemId { kind: id.key.kind, name: id.key.key.clone() }
}
