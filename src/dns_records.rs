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

/// Names that are looked up at a time.
const LOOKS_AT_A_TIME: usize = 8;

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

    /// The records that a site needs now; each is looked up if that is wanted.
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
        let note = why_none(&self.world, Some(&balancer));
        let mut records = site_records(&instance, &balancer, note.is_none());
        records.extend(self.machine_records(&instance).await?);
        if is_looked_up {
            self.look_up(&mut records, &balancer).await;
        }
        let note = note.map(|why| format!("{why}: somebody has to set them"));
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

    /// Looks at each where it leads.
    async fn look_up(&self, records: &mut [SiteRecord], balancer: &Registration) {
        let of_balancer = self.hosts.find_addresses(&balancer.domain).await.unwrap_or_default();
        let of_balancer: BTreeSet<_> =
            of_balancer.into_iter().chain([balancer.address.ip]).collect();
        let looks = records.iter().map(|record| async {
            let expected = match &record.target {
                Target::Name(_) => of_balancer.clone(),
                Target::Address(ip) => BTreeSet::from([*ip]),
            };
            judge(self.hosts.find_addresses(&record.name).await, &expected)
        });
        let looks: Vec<_> = stream::iter(looks).buffered(LOOKS_AT_A_TIME).collect().await;
        for (record, look) in records.iter_mut().zip(looks) {
            record.look = Some(look);
        }
    }
}

/// The names that lead to the balancer: those that customers look after, then ours.
fn site_records(
    instance: &instance::Present,
    balancer: &Registration,
    are_managed: bool,
) -> Vec<SiteRecord> {
    let record = |name: &str, is_managed: bool| SiteRecord {
        name: ocim_domain::hosts::host_key(name),
        target: Target::Name(ocim_domain::hosts::host_key(&balancer.domain)),
        is_managed,
        look: None,
    };
    let external = Service::ALL.map(|it| names::external_domain(&instance.settings, it));
    let external = external.into_iter().filter(|name| !name.is_empty());
    let external = external.map(|name| record(name, false));
    let managed = names::managed_domains(&instance.settings).into_iter();
    let managed = managed.map(|name| record(&name, are_managed));
    external.chain(managed).collect()
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
