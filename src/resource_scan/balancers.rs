//! Fragments of a balancer that bear our mark.

use super::{FoundOrphan, Looked, Scan, missing};
use crate::processes::balancers::balancer_host;
use crate::processes::step::StepError;
use crate::processes::world::World;
use ocim_adapters::balancer::BalancerState;
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Kind, ResourceKey};
use ocim_domain::load_balancer::{Present, fragment_owner};
use ocim_domain::saga::ErrorCode;

/// As circuits know it.
pub(super) fn provider(known: &Present) -> String {
    format!("balancer {}", known.registration.domain)
}

/// Compares the fragments that a balancer has with those that it was sent and that ledgers have.
pub(super) async fn look(world: &World, id: LoadBalancerId, known: &Present) -> Looked {
    let domain = &known.registration.domain;
    let host = balancer_host(&known.registration);
    let state = world.ports.load_balancer.read_balancer(&host).await?;
    let BalancerState::Prepared { fragments, .. } = state else {
        let text = format!("{domain} is not prepared as a balancer: see `ocim balancer prepare`");
        return Err(StepError::permanent(ErrorCode::BalancerUnprepared, text));
    };
    let now = world.app.balancer(id).await?;
    let holdings = world.app.read_holdings().await?;
    let mut scan = Scan::default();
    for name in fragments.keys().filter(|name| now.bears_mark(name)) {
        let key = ResourceKey::new(Kind::Fragment, name);
        let id = OrphanId { place: domain.clone(), key };
        if now.fragments.contains_key(name) || holdings.holder_of(&id).is_some() {
            continue;
        }
        scan.orphans.push(FoundOrphan {
            left_at: holdings.former(&id).and_then(|former| former.left().0),
            id,
            provider: provider(known),
            name: name.clone(),
            owner: fragment_owner(name),
            made_at: None,
            sign: "it bears our mark".to_owned(),
            deletion: None,
        });
    }
    let here = holdings.held().filter(|(id, holding)| {
        id.key.kind == Kind::Fragment && id.place == *domain && holding.is_present()
    });
    let gone = here.filter(|(id, _)| !fragments.contains_key(&id.key.key));
    scan.missing = gone.map(|(_, holding)| missing(holding, &provider(known), None)).collect();
    Ok(scan)
}
