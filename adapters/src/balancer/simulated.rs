//! The balancers of a simulated region: the fake ones, with delays, faults and connections.

use crate::balancer::{BalancerHost, BalancerState, Fragment, LoadBalancer};
use crate::simulated::SimulatedRegion;
use async_trait::async_trait;
use ocim_domain::port_error::PortError;

/// Most connections that a server has when it is taken out.
const CONNECTIONS_MAX: u32 = 4;

impl SimulatedRegion {
    fn note_balancer(&self, host: &BalancerHost) {
        self.lock().balancers.insert(host.address.ip, host.domain.clone());
    }
}

#[async_trait]
impl LoadBalancer for SimulatedRegion {
    async fn read_balancer(&self, host: &BalancerHost) -> Result<BalancerState, PortError> {
        self.ask(&host.domain, "read_balancer").await?;
        self.balancers.read_balancer(host).await
    }

    async fn prepare_balancer(&self, host: &BalancerHost) -> Result<(), PortError> {
        self.note_balancer(host);
        let call = self.act(&host.domain, "prepare_balancer").await?;
        self.balancers.prepare_balancer(host).await?;
        call.end().await
    }

    async fn apply_fragment(
        &self,
        host: &BalancerHost,
        fragment: &Fragment,
    ) -> Result<Vec<String>, PortError> {
        self.note_balancer(host);
        let call =
            self.act(&format!("{}/{}", host.domain, fragment.name), "apply_fragment").await?;
        let warnings = self.balancers.apply_fragment(host, fragment).await?;
        call.end().await?;
        Ok(warnings)
    }

    async fn read_fragment(
        &self,
        host: &BalancerHost,
        name: &str,
    ) -> Result<Option<Fragment>, PortError> {
        self.ask(&format!("{}/{name}", host.domain), "read_fragment").await?;
        self.balancers.read_fragment(host, name).await
    }

    async fn switch_servers(
        &self,
        host: &BalancerHost,
        backend: &str,
        to: &[String],
        from: &[String],
    ) -> Result<(), PortError> {
        let key = format!("{}/{backend}", host.domain);
        let call = self.act(&key, "switch_servers").await?;
        self.balancers.switch_servers(host, backend, to, from).await?;
        for server in from {
            let key = format!("{key}/{server}");
            let left = self.dice.number(0, CONNECTIONS_MAX, &key, "connections");
            // One that left the configuration has none.
            drop(self.balancers.set_connections(&host.domain, backend, server, left.into()));
        }
        call.end().await
    }

    async fn count_connections(
        &self,
        host: &BalancerHost,
        backend: &str,
        server: &str,
    ) -> Result<u64, PortError> {
        let key = format!("{}/{backend}/{server}", host.domain);
        self.ask(&key, "count_connections").await?;
        self.balancers.count_connections(host, backend, server).await
    }
}
