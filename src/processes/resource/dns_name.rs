//! A name of an instance that leads to its balancer, or to one of its machines.

use super::super::balancers::Site;
use super::super::step::{StepContext, StepError};
use super::super::world::World;
use super::{Resource, Wanted};
use async_trait::async_trait;
use ocim_adapters::dns::{Alias, Dns, HostAddress, TTL_SECONDS};
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Kind, ResourceKey};
use ocim_domain::load_balancer::Registration;
use ocim_domain::names;
use ocim_domain::run_record::{InstanceInput, PointedNames};
use ocim_domain::saga::ErrorCode;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Where a name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To the balancer of that domain.
    Balancer(String),
    /// To a machine.
    Machine(IpAddr),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balancer(domain) => f.write_str(domain),
            Self::Machine(ip) => ip.fmt(f),
        }
    }
}

/// Where a name of a ledger leads.
#[must_use]
pub fn target_of(known: &ledger::Resource) -> Target {
    match known.place.parse() {
        Ok(ip) => Target::Machine(ip),
        Err(_) => Target::Balancer(known.place.clone()),
    }
}

/// A name and where it leads.
#[derive(Debug)]
pub struct DnsName {
    service: Arc<dyn Dns>,
    instance: InstanceId,
    name: String,
    target: Target,
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
        Ok(Self { service, instance, name: known.id.key.clone(), target: target_of(known) })
    }

    /// A name of an instance that is to lead to a machine.
    #[must_use]
    pub fn of_machine(
        service: &Arc<dyn Dns>,
        instance: InstanceId,
        name: String,
        ip: IpAddr,
    ) -> Self {
        Self { service: Arc::clone(service), instance, name, target: Target::Machine(ip) }
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
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
            target: Target::Balancer(target.clone()),
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
        let (name, ttl_seconds) = (self.name.clone(), TTL_SECONDS);
        match self.target.clone() {
            Target::Balancer(target) => {
                self.service.set_alias(&Alias { name, target, ttl_seconds }).await?;
            }
            Target::Machine(ip) => {
                self.service.set_address(&HostAddress { name, ip, ttl_seconds }).await?;
            }
        }
        context.say(format!("{} leads to {}", self.name, self.target)).await;
        Ok(self.target.to_string())
    }

    async fn find(&self, _: &StepContext) -> Result<Option<String>, StepError> {
        Ok(match self.target {
            Target::Balancer(_) => self.service.read_alias(&self.name).await?,
            Target::Machine(_) => {
                self.service.read_address(&self.name).await?.map(|ip| ip.to_string())
            }
        })
    }

    async fn remove(&self, _: &StepContext, _: &str) -> Result<(), StepError> {
        match self.target {
            Target::Balancer(_) => self.service.remove_alias(&self.name).await?,
            Target::Machine(_) => self.service.remove_address(&self.name).await?,
        }
        Ok(())
    }

    fn output(made: &[(Self, String)]) -> Result<PointedNames, StepError> {
        Ok(PointedNames(made.iter().map(|(alias, _)| alias.name.clone()).collect()))
    }
}
