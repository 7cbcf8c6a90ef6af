//! The records that the names of a site need in the DNS, who writes them, and whether they are there.

use crate::app::AppError;
use crate::launch_plan::foresee_balancer;
use crate::processes::resource::dns_name::why_none;
use crate::processes::world::World;
use futures_util::stream::{self, StreamExt};
use ocim_adapters::dns::Target;
use ocim_adapters::hosts::Hosts;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::load_balancer::Registration;
use ocim_domain::names::{self, Service};
use ocim_domain::port_error::PortError;
use ocim_domain::server::Server;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Names of one site that are looked up at a time; [`Hosts`] bounds those of all.
const LOOKS_AT_A_TIME: usize = 8;
/// The longest that all names of a site are looked up; of the rest nothing is known.
const LOOKING_TIMEOUT: Duration = Duration::from_secs(40);

/// A record that a name needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRecord {
    /// The name, in lower-case A-labels.
    pub name: String,
    /// What it is to lead to.
    pub target: Target,
    /// Whether Ocim writes it; else somebody has to.
    pub is_managed: bool,
    /// Where it leads, where that was asked for.
    pub look: Option<Look>,
}

/// Where a name leads by this computer's resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look {
    /// Where it is to.
    Set,
    /// To nothing.
    Missing,
    /// To these addresses, which are others.
    Elsewhere(Vec<IpAddr>),
    /// It can't be told, for this reason.
    Unknown(String),
}

/// The records of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteRecords {
    /// The address of its balancer, for names that can't be aliases: those of whole zones.
    pub balancer_address: Option<IpAddr>,
    /// In the order in which names are listed everywhere.
    pub records: Vec<SiteRecord>,
    /// What is worth knowing: why Ocim writes none, or why there are none.
    pub note: Option<String>,
}

/// Lists records of sites.
#[derive(Debug, Clone)]
pub struct RecordLister {
    world: Arc<World>,
    hosts: Arc<dyn Hosts>,
}

impl RecordLister {
    /// A lister that looks names up there.
    #[must_use]
    pub fn new(world: Arc<World>, hosts: Arc<dyn Hosts>) -> Self {
        Self { world, hosts }
    }

    /// The records that a site needs now; each is looked up if that is wanted. Where its own names are
    /// meant to be gone, those that its customers look after are all.
    ///
    /// # Errors
    /// [`AppError::NotFound`] where there is no such instance; what the store says.
    pub async fn list_records(
        &self,
        id: InstanceId,
        is_looked_up: bool,
    ) -> Result<SiteRecords, AppError> {
        let app = &self.world.app;
        let (instance, _) = app.load_instance(id).await?;
        let balancer = match instance.load_balancer {
            Some(balancer) => Some(app.load_balancer(balancer).await?),
            None => foresee_balancer(&self.world, id, &instance.settings.openstack_region).await?,
        };
        let Some(balancer) = balancer else {
            let note = "the instance has no load balancer, and none would take it".to_owned();
            return Ok(SiteRecords { balancer_address: None, records: vec![], note: Some(note) });
        };
        let mut records = external_records(&instance, &balancer);
        let note = if instance.shows_page() {
            let why = why_none(&self.world, Some(&balancer));
            records.extend(own_records(&instance, &balancer, why.is_none()));
            records.extend(self.machine_records(&instance).await?);
            why.map(|why| format!("{why}: somebody has to set them"))
        } else {
            let stage = instance.lifecycle.stage;
            Some(format!("the instance is {stage}: it needs no names of its own"))
        };
        if is_looked_up {
            self.look_up(&mut records, &balancer).await;
        }
        Ok(SiteRecords { balancer_address: Some(balancer.address.ip), records, note })
    }

    /// The names of the machines in traffic.
    async fn machine_records(
        &self,
        instance: &instance::Present,
    ) -> Result<Vec<SiteRecord>, AppError> {
        let app = &self.world.app;
        let mut records = vec![];
        for (appserver, name) in instance.active.iter().zip(instance.machine_domains()) {
            let server = app.load_appserver(*appserver).await?.launched.server;
            let server = app.journal().load::<Server>(&server.stream()).await?.state;
            let address = server.present().and_then(|server| server.address.as_ref());
            let Some(ip) = address.map(|address| address.ip) else { continue };
            let dns = self.world.ports.dns.as_ref();
            let is_managed = dns.is_some_and(|dns| dns.may_point_at(ip));
            let target = Target::Address(ip);
            records.push(SiteRecord { name, target, is_managed, look: None });
        }
        Ok(records)
    }

    /// Where a name leads, if that is found until then.
    async fn find(&self, name: &str, until: Instant) -> Result<Vec<IpAddr>, PortError> {
        let found = timeout_at(until, self.hosts.find_addresses(name)).await;
        found.unwrap_or_else(|_| Err(PortError::transient("the lookups take too long")))
    }

    /// Looks at each where it leads.
    async fn look_up(&self, records: &mut [SiteRecord], balancer: &Registration) {
        let until = Instant::now() + LOOKING_TIMEOUT;
        let of_balancer = self.find(&balancer.domain, until).await.unwrap_or_default();
        let of_balancer: BTreeSet<_> =
            of_balancer.into_iter().chain([balancer.address.ip]).collect();
        let looks = records.iter().map(|record| async {
            let expected = match &record.target {
                Target::Name(_) => of_balancer.clone(),
                Target::Address(ip) => BTreeSet::from([*ip]),
            };
            judge(self.find(&record.name, until).await, &expected)
        });
        let looks: Vec<_> = stream::iter(looks).buffered(LOOKS_AT_A_TIME).collect().await;
        for (record, look) in records.iter_mut().zip(looks) {
            record.look = Some(look);
        }
    }
}

/// The names that customers look after.
fn external_records(instance: &instance::Present, balancer: &Registration) -> Vec<SiteRecord> {
    let names = Service::ALL.map(|it| names::external_domain(&instance.settings, it)).into_iter();
    let names = names.filter(|name| !name.is_empty());
    names.map(|name| balancer_record(name, balancer, false)).collect()
}

/// The names of ours that lead to the balancer.
fn own_records(
    instance: &instance::Present,
    balancer: &Registration,
    are_managed: bool,
) -> Vec<SiteRecord> {
    let names = names::managed_domains(&instance.settings).into_iter();
    names.map(|name| balancer_record(&name, balancer, are_managed)).collect()
}

fn balancer_record(name: &str, balancer: &Registration, is_managed: bool) -> SiteRecord {
    SiteRecord {
        name: ocim_domain::hosts::host_key(name),
        target: Target::Name(ocim_domain::hosts::host_key(&balancer.domain)),
        is_managed,
        look: None,
    }
}

fn judge(found: Result<Vec<IpAddr>, PortError>, expected: &BTreeSet<IpAddr>) -> Look {
    match found {
        Err(error) => Look::Unknown(error.message),
        Ok(found) if found.is_empty() => Look::Missing,
        Ok(found) if found.iter().all(|ip| expected.contains(ip)) => Look::Set,
        Ok(found) => Look::Elsewhere(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_set_where_it_leads_to_the_balancer_and_nowhere_else() {
        let ip = |last: u8| IpAddr::from([192, 0, 2, last]);
        let expected = BTreeSet::from([ip(1), ip(2)]);
        let look = |found: &[IpAddr]| judge(Ok(found.to_vec()), &expected);
        assert_eq!(look(&[ip(1)]), Look::Set);
        assert_eq!(look(&[ip(2), ip(1)]), Look::Set);
        assert_eq!(look(&[]), Look::Missing);
        assert_eq!(look(&[ip(1), ip(3)]), Look::Elsewhere(vec![ip(1), ip(3)]));
        let away = judge(Err(PortError::transient("away")), &expected);
        assert_eq!(away, Look::Unknown("away".to_owned()));
    }
}
