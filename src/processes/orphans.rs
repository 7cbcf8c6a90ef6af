//! Something that nothing accounts for, as its provider is asked for it: looked for, and taken away.

use super::balancers::balancer_host;
use super::resource::dns_name::DnsName;
use super::resource::provisioned::find_service;
use super::step::StepError;
use super::world::World;
use crate::app::{Holding, Holdings};
use ocim_adapters::balancer::{BalancerHost, Fragment};
use ocim_adapters::cloud::Cloud;
use ocim_adapters::dns::{Dns, Lead, OwnName};
use ocim_domain::inventory::OrphanId;
use ocim_domain::ledger::{Kind, Leaves};
use ocim_domain::provisioning::{ItemId, Service};
use ocim_domain::saga::ErrorCode;
use std::sync::Arc;

/// Whom one asks for it, and by what.
#[derive(Debug)]
pub enum Stray {
    /// A machine of this cloud, by the cloud's id.
    Machine(Arc<dyn Cloud>, String),
    /// A floating address of this cloud, by the cloud's id.
    Address(Arc<dyn Cloud>, String),
    /// A fragment of this balancer, by its name.
    Fragment(BalancerHost, String),
    /// A name in the DNS that a ledger once had, with what we had it lead to.
    Name(Arc<dyn Dns>, OwnName),
    /// Something on this server that a ledger once had.
    Item(Service, ItemId),
}

impl Stray {
    /// Whom one asks for that; nobody is asked yet.
    ///
    /// # Errors
    /// Permanent with [`ErrorCode::NotAnOrphan`] where a ledger has it, or nothing says that it is ours;
    /// permanent where nobody knows any more how to reach its provider; what the store says.
    pub async fn of(world: &World, holdings: &Holdings, id: &OrphanId) -> Result<Self, StepError> {
        if let Some(holder) = holdings.holder_of(id) {
            return Err(not_an_orphan(format!("{} has it", holder.instance)));
        }
        let (place, kind, key) = (&id.place, id.key.kind, id.key.key.clone());
        match kind {
            Kind::Machine => Ok(Self::Machine(world.cloud(place)?, key)),
            Kind::FloatingAddress => Ok(Self::Address(world.cloud(place)?, key)),
            Kind::Fragment => fragment_at(world, place, key).await,
            Kind::DnsName => {
                let name = DnsName::of_former(world, former(holdings, id)?)?;
                Ok(Self::Name(name.service(), name.own_name()))
            }
            kind if kind.leaves() == Leaves::WithDeletion => {
                let Holding { instance, resource, .. } = former(holdings, id)?;
                let service = find_service(world, *instance, kind, &resource.place).await?;
                Ok(Self::Item(service, ItemId { kind, name: resource.name.clone() }))
            }
            kind => Err(not_an_orphan(format!("nobody looks for a {kind} that has no owner"))),
        }
    }

    /// What it is there, as people read it; `None` where its provider says that it is not there, or is not
    /// as we left it.
    ///
    /// # Errors
    /// What the provider says; permanent with [`ErrorCode::NotAnOrphan`] where it is in use.
    pub async fn find(&self, world: &World) -> Result<Option<String>, StepError> {
        let ports = &world.ports;
        Ok(match self {
            Self::Machine(cloud, id) => cloud.read_machine(id).await?.map(|found| found.name),
            Self::Address(cloud, id) => {
                let all = cloud.list_floating_addresses().await?;
                let Some(lent) = all.into_iter().find(|lent| lent.id == *id) else {
                    return Ok(None);
                };
                if cloud.read_machine(&lent.machine).await?.is_some() {
                    let text = format!("the machine {} is there, whose it is", lent.machine);
                    return Err(not_an_orphan(text));
                }
                Some(lent.address)
            }
            Self::Fragment(host, name) => {
                let found = ports.load_balancer.read_fragment(host, name).await?;
                found.map(|found| found.name)
            }
            Self::Name(dns, own) => match dns.find_name(own).await? {
                Lead::Ours(target) => Some(target.to_string()),
                Lead::Nowhere | Lead::Foreign(_) => None,
            },
            Self::Item(service, id) => {
                ports.provisioning.find(service, id).await?.then(|| id.name.clone())
            }
        })
    }

    /// Asks its provider to take it away. It is gone when [`Stray::find`] finds none.
    ///
    /// # Errors
    /// What the provider says.
    pub async fn remove(&self, world: &World) -> Result<(), StepError> {
        let ports = &world.ports;
        match self {
            Self::Machine(cloud, id) => cloud.delete_machine(id).await?,
            Self::Address(cloud, id) => cloud.release_floating_address(id).await?,
            Self::Fragment(host, name) => {
                let lock = world.lock(&host.domain);
                let _one_at_a_time = lock.lock().await;
                let empty = Fragment { name: name.clone(), ..Fragment::default() };
                ports.load_balancer.apply_fragment(host, &empty).await?;
            }
            Self::Name(dns, own) => dns.remove_names(std::slice::from_ref(own)).await?,
            Self::Item(service, id) => ports.provisioning.remove(service, id).await?,
        }
        Ok(())
    }
}

/// What is no orphan, and why.
#[must_use]
pub fn not_an_orphan(why: String) -> StepError {
    StepError::permanent(ErrorCode::NotAnOrphan, why)
}

/// Who had it last: only that says that it is ours.
fn former<'a>(holdings: &'a Holdings, id: &OrphanId) -> Result<&'a Holding, StepError> {
    let unheard = || not_an_orphan("no instance ever had it: it is not Ocim's".to_owned());
    holdings.former(id).ok_or_else(unheard)
}

/// A fragment that bears our mark and that the balancer is not known to have.
async fn fragment_at(world: &World, domain: &str, name: String) -> Result<Stray, StepError> {
    let mut all = world.app.list_balancers().await?.into_iter().map(|(_, known)| known);
    let balancer = all.find(|known| !known.is_retired && known.registration.domain == domain);
    let balancer = balancer.ok_or_else(|| {
        let message = format!("the load balancer {domain} is not known any more");
        StepError::permanent(ErrorCode::NoLoadBalancer, message)
    })?;
    if !balancer.bears_mark(&name) {
        return Err(not_an_orphan("it does not bear our mark".to_owned()));
    }
    if balancer.fragments.contains_key(&name) {
        return Err(not_an_orphan("the log says that it was sent there".to_owned()));
    }
    Ok(Stray::Fragment(balancer_host(&balancer.registration), name))
}
