//! Machines of a region that bear our mark, and floating addresses that were lent for them.

use super::{FoundOrphan, Looked, MissingResource, Scan};
use crate::app::AppError;
use crate::processes::beliefs::Beliefs;
use crate::processes::orphans::not_an_orphan;
use crate::processes::step::StepError;
use crate::processes::world::World;
use crate::reconciler::compare::{Finding, find_stray};
use crate::reconciler::provisioned_keys;
use ocim_adapters::cloud::{FloatingAddress, Machine};
use ocim_domain::ids::{InstanceId, ServerId};
use ocim_domain::inventory::{Orphan, OrphanId};
use ocim_domain::ledger::{Kind, ResourceKey};
use ocim_domain::server::{Present, Server, Status};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// As circuits know it.
pub(super) fn provider(region: &str) -> String {
    format!("region {region}")
}

/// Compares a region's list with the machines that the log believes in.
pub(super) async fn look(world: &World, region: &str) -> Looked {
    let cloud = world.cloud(region)?;
    let machines = cloud.list_machines().await?;
    let addresses = cloud.list_floating_addresses().await?;
    let mut beliefs = Beliefs::for_a_look(world.app.journal(), region);
    beliefs.refresh().await?;
    let provisioned = provisioned_keys(&world.app, &beliefs).await?;
    let mut scan = Scan::default();
    for machine in &machines {
        if let Some(orphan) = judge(world, machine, &beliefs, &provisioned).await? {
            scan.orphans.push(tell_machine(region, orphan, machine));
        }
    }
    let there: BTreeSet<_> = machines.iter().map(|machine| machine.id.as_str()).collect();
    for lent in addresses.into_iter().filter(|lent| !there.contains(lent.machine.as_str())) {
        // Machines without our mark are not listed.
        if cloud.read_machine(&lent.machine).await?.is_none() {
            scan.orphans.push(tell_address(region, lent));
        }
    }
    scan.missing = find_missing(world, region, &beliefs, &there).await?;
    Ok(scan)
}

/// The machine of that id, as nothing accounts for it now.
///
/// # Errors
/// Permanent where the cloud lists no such machine of ours, or something accounts for it.
pub(super) async fn find_orphan(world: &World, id: &OrphanId) -> Result<Orphan, StepError> {
    let (region, id) = (&id.place, &id.key.key);
    let machines = world.cloud(region)?.list_machines().await?;
    let mut beliefs = Beliefs::for_a_look(world.app.journal(), region);
    beliefs.refresh().await?;
    let Some(machine) = machines.iter().find(|machine| machine.id == *id) else {
        return Err(not_an_orphan(format!("region {region} lists no machine {id} of ours")));
    };
    let provisioned = provisioned_keys(&world.app, &beliefs).await?;
    let orphan = judge(world, machine, &beliefs, &provisioned).await?;
    orphan.ok_or_else(|| not_an_orphan(format!("something accounts for the machine {id}")))
}

/// What a machine is, where nothing accounts for it.
async fn judge(
    world: &World,
    machine: &Machine,
    beliefs: &Beliefs,
    provisioned: &BTreeMap<Uuid, Option<String>>,
) -> Result<Option<Orphan>, AppError> {
    let Some(Finding::Orphan(orphan) | Finding::Duplicate(orphan)) =
        find_stray(machine, beliefs, provisioned)
    else {
        return Ok(None);
    };
    let owner = find_former_owner(world, orphan.made_with).await?;
    Ok(Some(Orphan { owner, ..orphan }))
}

fn tell_machine(region: &str, orphan: Orphan, machine: &Machine) -> FoundOrphan {
    FoundOrphan {
        id: OrphanId { place: region.to_owned(), key: orphan.id },
        provider: provider(region),
        name: orphan.name,
        owner: orphan.owner,
        made_at: machine.made_at,
        left_at: None,
        sign: "it bears our mark".to_owned(),
        deletion: None,
    }
}

fn tell_address(region: &str, lent: FloatingAddress) -> FoundOrphan {
    let key = ResourceKey::new(Kind::FloatingAddress, &lent.id);
    FoundOrphan {
        id: OrphanId { place: region.to_owned(), key },
        provider: provider(region),
        name: lent.address,
        owner: None,
        made_at: lent.made_at,
        left_at: None,
        sign: format!("it was lent for the machine {}, which is gone", lent.machine),
        deletion: None,
    }
}

/// The instance whose machine it once was. A Server's id is the key that its machine is made with.
async fn find_former_owner(
    world: &World,
    made_with: Option<Uuid>,
) -> Result<Option<InstanceId>, AppError> {
    let Some(id) = made_with.map(ServerId) else { return Ok(None) };
    let server = world.app.journal().load::<Server>(&id.stream()).await?.state;
    let Some(server) = server.present() else { return Ok(None) };
    match world.app.load_appserver(server.requested.appserver).await {
        Ok(appserver) => Ok(Some(appserver.launched.instance)),
        Err(AppError::NotFound { .. } | AppError::Rejected { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Those whose ledger still says that they are there: a run may have taken them away meanwhile.
async fn find_missing(
    world: &World,
    region: &str,
    beliefs: &Beliefs,
    there: &BTreeSet<&str>,
) -> Result<Vec<MissingResource>, StepError> {
    let holdings = world.app.read_holdings().await?;
    let is_gone = |(_, server): &(ServerId, &Present)| {
        let machine = server.machine.as_deref();
        server.status != Status::Vanished && machine.is_some_and(|id| !there.contains(id))
    };
    let gone = beliefs.servers().filter(is_gone);
    let known = gone.filter_map(|(id, _)| holdings.machine(id).filter(|it| it.is_present()));
    Ok(known.map(|holding| super::missing(holding, &provider(region), None)).collect())
}
