//! Databases, accounts, queues and containers that ledgers have, or once had. Nothing on a shared server
//! bears a mark of ours: a name there is ours where a ledger once had it on that server.

use super::{Looked, Provider, Scan, Unanswered, left, missing};
use crate::app::{AppError, Holdings};
use crate::processes::resource::provisioned::find_service;
use crate::processes::world::World;
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Kind, Leaves};
use ocim_domain::provisioning::{ItemId, Service};
use std::collections::{BTreeMap, BTreeSet};

/// The servers that ledgers name, or named: no other has anything of ours. Those that nobody knows how to
/// reach are told of.
///
/// # Errors
/// What the store says.
pub(super) async fn find_services(
    world: &World,
    kind: Option<Kind>,
    holdings: &Holdings,
) -> Result<(Vec<Provider>, Vec<Unanswered>), AppError> {
    let mut places = BTreeMap::new();
    for (id, holding) in holdings.held().chain(holdings.formers()) {
        let is_asked = kind.is_none_or(|kind| kind == id.key.kind);
        if id.key.kind.leaves() == Leaves::WithDeletion && is_asked {
            places.entry(id.place.clone()).or_insert_with(Vec::new).push(holding);
        }
    }
    let (mut services, mut unanswered) = (vec![], vec![]);
    for (place, holdings) in places {
        let mut why = None;
        let mut found = None;
        for holding in holdings {
            let kind = holding.resource.id.kind;
            match find_service(world, holding.instance, kind, &place).await {
                Ok(service) => {
                    found = Some(service);
                    break;
                }
                Err(error) => why = Some(error.message),
            }
            // Of a registered server all say the same; an account of Swift is in settings of sites.
            if kind != Kind::SwiftContainer {
                break;
            }
        }
        match (found, why) {
            (Some(service), _) => {
                services.push(Provider::Service { place, service: Box::new(service) });
            }
            (None, error) => {
                let error = error.unwrap_or_default();
                unanswered.push(Unanswered { provider: place, error });
            }
        }
    }
    Ok((services, unanswered))
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
