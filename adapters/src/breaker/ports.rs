//! Ports behind breakers: each call to a provider goes through the provider's own.

use super::{Breaker, Breakers};
use crate::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use crate::cloud::{Cloud, Machine, MachineSpec};
use crate::playbooks::{OutputLine, Playable, PlaybookRun, Playbooks, RunState, Source};
use async_trait::async_trait;
use ocim_domain::port_error::PortError;
use ocim_domain::text::make_storable;
use std::sync::Arc;
use uuid::Uuid;

/// A region behind its breaker; what it says comes through fit to be stored.
#[derive(Debug)]
pub struct GuardedCloud {
    inner: Arc<dyn Cloud>,
    breaker: Arc<Breaker>,
}

impl GuardedCloud {
    /// The cloud of this region.
    #[must_use]
    pub fn new(inner: Arc<dyn Cloud>, breakers: &Breakers, region: &str) -> Self {
        Self { inner, breaker: breakers.of(&format!("region {region}")) }
    }
}

#[async_trait]
impl Cloud for GuardedCloud {
    fn lacks_security_groups(&self) -> Option<&'static str> {
        self.inner.lacks_security_groups()
    }

    async fn ensure_security_groups(&self, names: &[String]) -> Result<(), PortError> {
        self.breaker.call(self.inner.ensure_security_groups(names)).await
    }

    async fn find_security_groups(&self, names: &[String]) -> Result<bool, PortError> {
        self.breaker.call(self.inner.find_security_groups(names)).await
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError> {
        let made = self.breaker.call(self.inner.create_machine(spec)).await?;
        Ok(made.made_storable())
    }

    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError> {
        let found = self.breaker.call(self.inner.find_machine(key)).await?;
        Ok(found.map(Machine::made_storable))
    }

    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError> {
        let found = self.breaker.call(self.inner.read_machine(id)).await?;
        Ok(found.map(Machine::made_storable))
    }

    async fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        self.breaker.call(self.inner.reboot_machine(id)).await
    }

    async fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        self.breaker.call(self.inner.delete_machine(id)).await
    }

    async fn read_console(&self, id: &str) -> Result<String, PortError> {
        let console = self.breaker.call(self.inner.read_console(id)).await?;
        Ok(make_storable(&console).into_owned())
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        let listed = self.breaker.call(self.inner.list_machines()).await?;
        Ok(listed.into_iter().map(Machine::made_storable).collect())
    }
}

/// Playbooks whose sources stand behind breakers; what goes on after the start is on this machine.
#[derive(Debug)]
pub struct GuardedPlaybooks {
    inner: Arc<dyn Playbooks>,
    breakers: Breakers,
}

impl GuardedPlaybooks {
    /// With a breaker for each source.
    #[must_use]
    pub fn new(inner: Arc<dyn Playbooks>, breakers: Breakers) -> Self {
        Self { inner, breakers }
    }

    fn breaker(&self, source: &Source) -> Arc<Breaker> {
        self.breakers.of(&match source {
            Source::Bundled(name) => format!("playbooks bundled:{name}"),
            Source::Git { repository, .. } => format!("playbooks {}", without_login(repository)),
        })
    }
}

#[async_trait]
impl Playbooks for GuardedPlaybooks {
    async fn resolve_playbook(&self, wanted: Playable<'_>) -> Result<Option<String>, PortError> {
        self.breaker(wanted.source).call(self.inner.resolve_playbook(wanted)).await
    }

    async fn start_playbook(&self, run: &PlaybookRun) -> Result<(), PortError> {
        self.breaker(&run.source).call(self.inner.start_playbook(run)).await
    }

    async fn read_playbook(&self, key: Uuid) -> Result<RunState, PortError> {
        self.inner.read_playbook(key).await
    }

    async fn read_output(
        &self,
        key: Uuid,
        offset: u64,
    ) -> Result<(Vec<OutputLine>, u64), PortError> {
        self.inner.read_output(key, offset).await
    }

    async fn cancel_playbook(&self, key: Uuid) -> Result<(), PortError> {
        self.inner.cancel_playbook(key).await
    }

    async fn forget_playbook(&self, key: Uuid) -> Result<(), PortError> {
        self.inner.forget_playbook(key).await
    }
}

/// A repository's URL without user and password: it goes into messages.
fn without_login(repository: &str) -> String {
    match (repository.split_once("://"), repository.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://{place}"),
        _ => repository.to_owned(),
    }
}

/// Balancers, each behind its own breaker.
#[derive(Debug)]
pub struct GuardedLoadBalancer {
    inner: Arc<dyn LoadBalancer>,
    breakers: Breakers,
}

impl GuardedLoadBalancer {
    /// With a breaker for each host.
    #[must_use]
    pub fn new(inner: Arc<dyn LoadBalancer>, breakers: Breakers) -> Self {
        Self { inner, breakers }
    }

    fn breaker(&self, host: &BalancerHost) -> Arc<Breaker> {
        self.breakers.of(&format!("balancer {}", host.domain))
    }
}

#[async_trait]
impl LoadBalancer for GuardedLoadBalancer {
    async fn read_balancer(&self, host: &BalancerHost) -> Result<BalancerState, PortError> {
        self.breaker(host).call(self.inner.read_balancer(host)).await
    }

    async fn prepare_balancer(&self, host: &BalancerHost) -> Result<(), PortError> {
        self.breaker(host).call(self.inner.prepare_balancer(host)).await
    }

    async fn apply_fragment(
        &self,
        host: &BalancerHost,
        fragment: &Fragment,
    ) -> Result<Vec<String>, PortError> {
        self.breaker(host).call(self.inner.apply_fragment(host, fragment)).await
    }

    async fn read_fragment(
        &self,
        host: &BalancerHost,
        name: &str,
    ) -> Result<Option<Fragment>, PortError> {
        self.breaker(host).call(self.inner.read_fragment(host, name)).await
    }

    async fn switch_servers(
        &self,
        host: &BalancerHost,
        backend: &str,
        to: &[String],
        from: &[String],
    ) -> Result<(), PortError> {
        self.breaker(host).call(self.inner.switch_servers(host, backend, to, from)).await
    }

    async fn count_connections(
        &self,
        host: &BalancerHost,
        backend: &str,
        server: &str,
    ) -> Result<u64, PortError> {
        self.breaker(host).call(self.inner.count_connections(host, backend, server)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_providers_name_holds_no_password() {
        let cases = [
            ("https://user:secret@git.example.com/a.git", "https://git.example.com/a.git"),
            ("https://git.example.com/a.git", "https://git.example.com/a.git"),
            ("git@git.example.com:a.git", "git@git.example.com:a.git"),
        ];
        for (repository, shown) in cases {
            assert_eq!(without_login(repository), shown);
        }
    }
}
