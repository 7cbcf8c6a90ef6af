//! A name of an instance that leads to its balancer, or to one of its machines.

use super::super::balancers::Site;
use super::super::step::{StepContext, StepError};
use super::super::world::World;
use super::dns_names::{lock_names, set_names};
use super::{Resource, Wanted};
use crate::app::Holding;
use async_trait::async_trait;
use ocim_adapters::dns::{Dns, Lead, NameToSet, OwnName, TTL_SECONDS, TakenName, Target};
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Kind, ResourceKey};
use ocim_domain::load_balancer::Registration;
use ocim_domain::names;
use ocim_domain::run_record::{InstanceInput, PointedNames};
use ocim_domain::saga::ErrorCode;
use std::net::IpAddr;
use std::sync::Arc;

/// Where a name of a ledger leads: to the balancer of a domain, or to a machine.
#[must_use]
pub fn target_of(known: &ledger::Resource) -> Target {
    read_target(&known.place)
}

fn read_target(text: &str) -> Target {
    match text.parse() {
        Ok(target) => target,
        Err(never) => match never {},
    }
}

/// A name and where it leads.
#[derive(Debug, Clone)]
pub struct DnsName {
    pub(super) service: Arc<dyn Dns>,
    pub(super) instance: InstanceId,
    pub(super) name: String,
    pub(super) target: Target,
    /// Where it may lead before it leads there: what we wrote of it, most likely first.
    pub(super) formerly: Vec<Target>,
}

impl DnsName {
    /// A name that the ledger of an instance has.
    ///
    /// # Errors
    /// Permanent when no DNS service is configured any more.
    pub fn known(
        context: &StepContext,
        instance: InstanceId,
        entry: &ledger::Entry,
    ) -> Result<Self, StepError> {
        let known = &entry.resource;
        let service = find_writer(&context.world, &known.name)?;
        Ok(Self::of_entry(service, instance, entry))
    }

    /// A name as the ledger has it.
    pub(super) fn of_entry(
        service: Arc<dyn Dns>,
        instance: InstanceId,
        entry: &ledger::Entry,
    ) -> Self {
        let known = &entry.resource;
        let formerly = entry.provider_id.as_deref().map(read_target).into_iter().collect();
        Self { service, instance, name: known.id.key.clone(), target: target_of(known), formerly }
    }

    /// A name that an instance once had.
    ///
    /// # Errors
    /// As [`DnsName::known`].
    pub fn of_former(world: &World, holding: &Holding) -> Result<Self, StepError> {
        let service = find_writer(world, &holding.resource.name)?;
        Ok(Self::of_entry(service, holding.instance, &holding.entry()))
    }

    /// The service that has it.
    #[must_use]
    pub fn service(&self) -> Arc<dyn Dns> {
        Arc::clone(&self.service)
    }

    /// A name of an instance that is to lead to a machine.
    #[must_use]
    pub fn of_machine(
        service: &Arc<dyn Dns>,
        instance: InstanceId,
        name: String,
        ip: IpAddr,
    ) -> Self {
        let (service, target) = (Arc::clone(service), Target::Address(ip));
        Self { service, instance, name, target, formerly: vec![] }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it may lead by our doing, most likely first.
    pub(super) fn written(&self) -> Vec<Target> {
        let wanted = Some(&self.target).filter(|target| !self.formerly.contains(target));
        self.formerly.iter().chain(wanted).cloned().collect()
    }

    pub(super) fn to_set(&self) -> NameToSet {
        NameToSet {
            name: self.name.clone(),
            target: self.target.clone(),
            formerly: self.formerly.clone(),
            ttl_seconds: TTL_SECONDS,
        }
    }

    /// The name, and where it may lead by our doing.
    #[must_use]
    pub fn own_name(&self) -> OwnName {
        OwnName { name: self.name.clone(), targets: self.written() }
    }
}

/// The service that writes names.
fn find_writer(world: &World, name: &str) -> Result<Arc<dyn Dns>, StepError> {
    world.ports.dns.clone().ok_or_else(|| {
        let message = format!("no DNS service is configured that {name} is in");
        StepError::permanent(ErrorCode::DnsNotConfigured, message)
    })
}

/// What a step says of names that are somebody else's.
fn refuse_taken(taken: &[TakenName]) -> Option<StepError> {
    if taken.is_empty() {
        return None;
    }
    let tell = |TakenName { name, is }: &TakenName| format!("{name} ({is})");
    let told: Vec<_> = taken.iter().map(tell).collect();
    let message = format!(
        "in the DNS somebody else has {}: they stay as they are; remove them there, or give the site \
         other names",
        told.join(", ")
    );
    Some(StepError::permanent(ErrorCode::DnsNameTaken, message))
}

/// The DNS service that points names at the balancer of a site, or why there is none.
fn find_service<T>(
    world: &World,
    site: Option<T>,
    balancer: impl FnOnce(&T) -> &Registration,
) -> Result<(&Arc<dyn Dns>, T), String> {
    let dns = world.ports.dns.as_ref();
    let dns = dns.ok_or_else(|| "no DNS service is configured".to_owned())?;
    let site = site.ok_or_else(|| "the instance has no load balancer".to_owned())?;
    let Registration { domain, address, .. } = balancer(&site);
    if dns.may_point_at(address.ip) {
        return Ok((dns, site));
    }
    Err(format!("no DNS service points names at {domain}"))
}

/// Why no name of an instance at this balancer is written, if that is so.
#[must_use]
pub fn why_none(world: &World, balancer: Option<&Registration>) -> Option<String> {
    find_service(world, balancer, |balancer| *balancer).err()
}

#[async_trait]
impl Resource for DnsName {
    type Output = PointedNames;

    async fn wanted(context: &StepContext) -> Result<Wanted<Self>, StepError> {
        let input: InstanceInput = context.input()?;
        let site = Site::load(context, input.instance).await?;
        let (dns, site) = match find_service(&context.world, site, |site| &site.registration) {
            Ok(found) => found,
            Err(why) => return Ok(Wanted::Nothing(why)),
        };
        let target = site.registration.domain;
        let names = names::managed_domains(&site.instance.settings).into_iter();
        let name = |name| Self {
            service: Arc::clone(dns),
            instance: input.instance,
            name,
            target: Target::Name(target.clone()),
            formerly: vec![],
        };
        Ok(Wanted::These(names.map(name).collect()))
    }

    fn instance(&self) -> InstanceId {
        self.instance
    }

    fn describe(&self) -> ledger::Resource {
        ledger::Resource {
            id: ResourceKey::new(Kind::DnsName, &self.name),
            name: self.name.clone(),
            place: self.target.to_string(),
            owner: self.instance.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        Self::ensure_all(context, std::slice::from_ref(self)).await?;
        Ok(self.target.to_string())
    }

    async fn ensure_all(context: &StepContext, wanted: &[Self]) -> Result<Vec<String>, StepError> {
        let Some(Self { instance, .. }) = wanted.first() else { return Ok(vec![]) };
        let _one_at_a_time = lock_names(context, *instance).await;
        let taken = set_names(context, wanted).await?;
        refuse_taken(&taken).map_or(Ok(()), Err)?;
        Ok(wanted.iter().map(|name| name.target.to_string()).collect())
    }

    async fn find(&self, context: &StepContext) -> Result<Option<String>, StepError> {
        Ok(match self.service.find_name(&self.own_name()).await? {
            Lead::Ours(target) => Some(target.to_string()),
            Lead::Nowhere => None,
            // A probe does not know what was written before, and whose it is.
            Lead::Foreign(_) if self.formerly.is_empty() => None,
            Lead::Foreign(is) => {
                let name = &self.name;
                context.say(format!("{name} is somebody else's in the DNS by now: {is}")).await;
                None
            }
        })
    }

    async fn remove(&self, _: &StepContext, _: &str) -> Result<(), StepError> {
        Ok(self.service.remove_names(&[self.own_name()]).await?)
    }

    fn output(made: &[(Self, String)]) -> Result<PointedNames, StepError> {
        Ok(PointedNames(made.iter().map(|(alias, _)| alias.name.clone()).collect()))
    }
}
