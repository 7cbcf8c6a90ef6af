//! A name of an instance that leads to its balancer.

use super::super::balancers::Site;
use super::super::step::{StepContext, StepError};
use super::super::world::World;
use super::{Resource, Wanted};
use async_trait::async_trait;
use ocim_adapters::dns::{Alias, Dns, TTL_SECONDS};
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Kind, ResourceKey};
use ocim_domain::load_balancer::Registration;
use ocim_domain::names;
use ocim_domain::run_record::{InstanceInput, PointedNames};
use ocim_domain::saga::ErrorCode;
use std::sync::Arc;

/// A name and the balancer that it leads to.
#[derive(Debug)]
pub struct DnsName {
    service: Arc<dyn Dns>,
    instance: InstanceId,
    name: String,
    target: String,
}

impl DnsName {
    /// A name that the ledger of an instance has.
    ///
    /// # Errors
    /// Permanent when no DNS service is configured any more.
    pub fn known(
        context: &StepContext,
        instance: InstanceId,
        known: &ledger::Resource,
    ) -> Result<Self, StepError> {
        let service = context.world.ports.dns.clone().ok_or_else(|| {
            let message = format!("no DNS service is configured that {} is in", known.name);
            StepError::permanent(ErrorCode::DnsNotConfigured, message)
        })?;
        Ok(Self { service, instance, name: known.id.key.clone(), target: known.place.clone() })
    }
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
            target: target.clone(),
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
            place: self.target.clone(),
            owner: self.instance.to_string(),
        }
    }

    async fn ensure(&self, context: &StepContext) -> Result<String, StepError> {
        let (name, target) = (self.name.clone(), self.target.clone());
        self.service.set_alias(&Alias { name, target, ttl_seconds: TTL_SECONDS }).await?;
        context.say(format!("{} leads to {}", self.name, self.target)).await;
        Ok(self.target.clone())
    }

    async fn find(&self, _: &StepContext) -> Result<Option<String>, StepError> {
        Ok(self.service.read_alias(&self.name).await?)
    }

    async fn remove(&self, _: &StepContext, _: &str) -> Result<(), StepError> {
        Ok(self.service.remove_alias(&self.name).await?)
    }

    fn output(made: &[(Self, String)]) -> Result<PointedNames, StepError> {
        Ok(PointedNames(made.iter().map(|(alias, _)| alias.name.clone()).collect()))
    }
}
