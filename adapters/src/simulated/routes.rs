//! The way to simulated regions beside real parts: by the address, or by who knows the key.

use super::SimulatedRegion;
use crate::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use crate::cloud::{Address, is_simulated};
use crate::playbooks::{OutputLine, Playable, PlaybookRun, Playbooks, RunState};
use crate::provisioning::Provisioning;
use crate::shell::Shell;
use crate::sites::{SiteAnswer, SiteProbe};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::provisioning::{Item, ItemId, Ran, Script, Service};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A port that sends each call to a simulated region or to the real adapter.
#[derive(Debug)]
pub struct Routed<P: ?Sized> {
    regions: Vec<Arc<SimulatedRegion>>,
    real: Arc<P>,
}

impl<P: ?Sized> Routed<P> {
    /// Calls that concern one of these regions go there, all others to `real`.
    #[must_use]
    pub fn new(regions: Vec<Arc<SimulatedRegion>>, real: Arc<P>) -> Self {
        Self { regions, real }
    }

    /// The region at an address. One of an earlier process is nobody's: any region says so.
    fn at(&self, ip: IpAddr) -> Option<&SimulatedRegion> {
        if !is_simulated(ip) {
            return None;
        }
        let found = self.regions.iter().find(|region| region.knows_address(ip));
        found.or(self.regions.first()).map(|region| &**region)
    }

    fn playing(&self, key: Uuid) -> Option<&SimulatedRegion> {
        self.regions.iter().find(|region| region.knows_play(key)).map(|region| &**region)
    }
}

impl Routed<dyn Shell> {
    fn shell(&self, ip: IpAddr) -> &dyn Shell {
        self.at(ip).map_or(&*self.real, |region| region)
    }
}

#[async_trait]
impl Shell for Routed<dyn Shell> {
    async fn run(
        &self,
        address: &Address,
        host_keys: &[String],
        command: &str,
        input: &[u8],
    ) -> Result<String, PortError> {
        self.shell(address.ip).run(address, host_keys, command, input).await
    }

    async fn read_boot_id(
        &self,
        address: &Address,
        host_keys: &[String],
    ) -> Result<String, PortError> {
        self.shell(address.ip).read_boot_id(address, host_keys).await
    }
}

impl Routed<dyn Playbooks> {
    fn playbooks(&self, key: Uuid) -> &dyn Playbooks {
        self.playing(key).map_or(&*self.real, |region| region)
    }
}

#[async_trait]
impl Playbooks for Routed<dyn Playbooks> {
    async fn resolve_playbook(&self, wanted: Playable<'_>) -> Result<Option<String>, PortError> {
        match self.regions.iter().find(|region| region.name() == wanted.region) {
            Some(region) => region.resolve_playbook(wanted).await,
            None => self.real.resolve_playbook(wanted).await,
        }
    }

    async fn start_playbook(&self, run: &PlaybookRun) -> Result<(), PortError> {
        match self.at(run.target.address.ip) {
            Some(region) => region.start_playbook(run).await,
            None => self.real.start_playbook(run).await,
        }
    }

    async fn read_playbook(&self, key: Uuid) -> Result<RunState, PortError> {
        self.playbooks(key).read_playbook(key).await
    }

    async fn read_output(
        &self,
        key: Uuid,
        offset: u64,
    ) -> Result<(Vec<OutputLine>, u64), PortError> {
        self.playbooks(key).read_output(key, offset).await
    }

    async fn cancel_playbook(&self, key: Uuid) -> Result<(), PortError> {
        self.playbooks(key).cancel_playbook(key).await
    }

    async fn forget_playbook(&self, key: Uuid) -> Result<(), PortError> {
        self.playbooks(key).forget_playbook(key).await
    }
}

impl Routed<dyn LoadBalancer> {
    fn balancer(&self, host: &BalancerHost) -> &dyn LoadBalancer {
        self.at(host.address.ip).map_or(&*self.real, |region| region)
    }
}

#[async_trait]
impl LoadBalancer for Routed<dyn LoadBalancer> {
    async fn read_balancer(&self, host: &BalancerHost) -> Result<BalancerState, PortError> {
        self.balancer(host).read_balancer(host).await
    }

    async fn prepare_balancer(&self, host: &BalancerHost) -> Result<(), PortError> {
        self.balancer(host).prepare_balancer(host).await
    }

    async fn apply_fragment(
        &self,
        host: &BalancerHost,
        fragment: &Fragment,
    ) -> Result<Vec<String>, PortError> {
        self.balancer(host).apply_fragment(host, fragment).await
    }

    async fn read_fragment(
        &self,
        host: &BalancerHost,
        name: &str,
    ) -> Result<Option<Fragment>, PortError> {
        self.balancer(host).read_fragment(host, name).await
    }

    async fn switch_servers(
        &self,
        host: &BalancerHost,
        backend: &str,
        to: &[String],
        from: &[String],
    ) -> Result<(), PortError> {
        self.balancer(host).switch_servers(host, backend, to, from).await
    }

    async fn count_connections(
        &self,
        host: &BalancerHost,
        backend: &str,
        server: &str,
    ) -> Result<u64, PortError> {
        self.balancer(host).count_connections(host, backend, server).await
    }
}

#[async_trait]
impl SiteProbe for Routed<dyn SiteProbe> {
    async fn request_site(
        &self,
        method: &str,
        to: SocketAddr,
        host: &str,
        path: &str,
        timeout: Duration,
    ) -> Result<SiteAnswer, PortError> {
        match self.at(to.ip()) {
            Some(region) => region.request_site(method, to, host, path, timeout).await,
            None => self.real.request_site(method, to, host, path, timeout).await,
        }
    }
}

/// Domains below which there is nobody's host: reserved, and for examples (RFC 2606).
const NOBODYS: [&str; 5] = ["invalid", "example", "example.com", "example.net", "example.org"];

fn is_nobodys(host: &str) -> bool {
    let is_below = |domain: &&str| host == *domain || host.ends_with(&format!(".{domain}"));
    NOBODYS.iter().any(is_below)
}

impl Routed<dyn Provisioning> {
    /// What can have no host is simulated.
    fn provisioning(&self, service: &Service) -> &dyn Provisioning {
        let region = self.regions.first().filter(|_| is_nobodys(&service.host()));
        region.map_or(&*self.real, |region| &**region)
    }
}

#[async_trait]
impl Provisioning for Routed<dyn Provisioning> {
    async fn ensure(&self, service: &Service, items: &[Item]) -> Result<(), PortError> {
        self.provisioning(service).ensure(service, items).await
    }

    async fn find(&self, service: &Service, id: &ItemId) -> Result<bool, PortError> {
        self.provisioning(service).find(service, id).await
    }

    async fn remove(&self, service: &Service, id: &ItemId) -> Result<(), PortError> {
        self.provisioning(service).remove(service, id).await
    }

    async fn find_among(
        &self,
        service: &Service,
        ids: &[ItemId],
    ) -> Result<Vec<ItemId>, PortError> {
        self.provisioning(service).find_among(service, ids).await
    }

    async fn check(&self, service: &Service) -> Result<(), PortError> {
        self.provisioning(service).check(service).await
    }

    async fn run_script(&self, service: &Service, script: &Script) -> Result<Ran, PortError> {
        self.provisioning(service).run_script(service, script).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_have_no_host_is_simulated() {
        for host in ["a.invalid", "invalid", "db.example.com", "example.org", "x.y.example"] {
            assert!(is_nobodys(host), "{host}");
        }
        for host in ["", "localhost", "127.0.0.1", "myexample.com", "example.com.au", "db.test"] {
            assert!(!is_nobodys(host), "{host}");
        }
    }
}
