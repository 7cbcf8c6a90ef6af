//! Networks at Neutron: the one that machines are put on, and floating addresses, one for each machine.

use super::OpenStackCloud;
use super::answers::refused;
use super::api::{Call, Service};
use super::machine::Server;
use super::pages::list_all;
use crate::cloud::{FloatingAddress, Power};
use ocim_domain::port_error::{Class, PortError};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest wait for a server to get its port, which it does once it has a host; and the pauses of it.
const PORT_WAIT: Duration = Duration::from_secs(60);
const PORT_PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize)]
struct Made {
    floatingip: Floating,
}

#[derive(Deserialize)]
struct Floating {
    id: String,
    #[serde(default)]
    port_id: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    floating_ip_address: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
}

impl OpenStackCloud {
    /// The id of the network that machines are put on, where one is configured; else Nova chooses.
    pub(super) async fn find_network(&self) -> Result<Option<String>, PortError> {
        match &self.config.network {
            Some(network) => self.find_network_named(network, "network").await.map(Some),
            None => Ok(None),
        }
    }

    /// The id of the network that floating addresses come from, where one is configured.
    pub(super) async fn find_floating_pool(&self) -> Result<Option<String>, PortError> {
        match &self.config.floating_pool {
            Some(pool) => self.find_network_named(pool, "floating_pool").await.map(Some),
            None => Ok(None),
        }
    }

    /// The id of the network with that name, or id.
    async fn find_network_named(&self, wanted: &str, setting: &str) -> Result<String, PortError> {
        let call = Call::get(Service::Network, &["networks"]);
        let all = list_all(&self.api, call, "networks").await?;
        let text = |network: &Value, member: &str| {
            network.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let has =
            |network: &&Value| text(network, "id") == wanted || text(network, "name") == wanted;
        let fitting: Vec<String> = all.iter().filter(has).map(|it| text(it, "id")).collect();
        match &fitting[..] {
            [id] => Ok(id.clone()),
            [] => {
                let names: Vec<String> = all.iter().map(|it| text(it, "name")).collect();
                let names = names.join(", ");
                Err(refused(format!(
                    "the region's `{setting}` in OCIM_CLOUDS names no network `{wanted}`: there are {names}"
                )))
            }
            several => Err(refused(format!(
                "the region's `{setting}` in OCIM_CLOUDS names several networks `{wanted}`: name one by its \
                 id, {}",
                several.join(", ")
            ))),
        }
    }

    /// Gives a server a floating address, where those are configured: one of its own, found again by what it is
    /// called.
    pub(super) async fn ensure_floating_address(&self, server: &str) -> Result<(), PortError> {
        let Some(pool) = self.find_floating_pool().await? else { return Ok(()) };
        let Some(port) = self.await_port(server).await? else { return Ok(()) };
        let floating = match self.list_floating(server).await?.into_iter().next() {
            Some(floating) => floating,
            None => {
                let body = json!({"floatingip": {
                    "floating_network_id": pool,
                    "port_id": port,
                    "description": self.describe_floating(server),
                }});
                let call = Call::post(Service::Network, &["floatingips"], body);
                self.api.fetch(call).await?.read::<Made>()?.floatingip
            }
        };
        if floating.port_id.as_ref() == Some(&port) {
            return Ok(());
        }
        let body = json!({"floatingip": { "port_id": port }});
        let call = Call::put(Service::Network, &["floatingips", &floating.id], body);
        self.api.fetch(call).await.map(|_| ())
    }

    /// Gives a server's floating addresses back, also those of a region that gives none any more.
    ///
    /// # Errors
    /// Transient where Neutron still has one afterwards.
    pub(super) async fn release_floating_address(&self, server: &str) -> Result<(), PortError> {
        let held = self.list_floating(server).await?;
        if held.is_empty() {
            return Ok(());
        }
        for floating in held {
            let call = Call::delete(Service::Network, &["floatingips", &floating.id]);
            self.api.find(call).await?;
        }
        match self.list_floating(server).await?.is_empty() {
            true => Ok(()),
            false => {
                let message = format!("Neutron still has a floating address of machine {server}");
                Err(PortError::transient(message))
            }
        }
    }

    /// The floating addresses that are called as those of machines of ours are.
    pub(super) async fn list_own_floating(&self) -> Result<Vec<FloatingAddress>, PortError> {
        let all = self.list_all_floating(None).await?;
        let mark = self.describe_floating("");
        let own = |floating: Floating| {
            let machine = floating.description.strip_prefix(&mark)?;
            let is_id = !machine.is_empty() && !machine.contains(' ');
            is_id.then(|| FloatingAddress {
                machine: machine.to_owned(),
                id: floating.id.clone(),
                address: floating.floating_ip_address.clone().unwrap_or_default(),
                made_at: floating.created_at.as_ref().and_then(|at| at.parse().ok()),
            })
        };
        Ok(all.into_iter().filter_map(own).collect())
    }

    /// Gives a floating address back that is called as those of machines of ours are.
    pub(super) async fn release_own_floating(&self, id: &str) -> Result<(), PortError> {
        if !self.list_own_floating().await?.iter().any(|floating| floating.id == id) {
            return Ok(());
        }
        let call = Call::delete(Service::Network, &["floatingips", id]);
        self.api.find(call).await.map(|_| ())
    }

    /// What the floating address of a server is called.
    fn describe_floating(&self, server: &str) -> String {
        format!("{} {} {server}", self.config.owner, self.config.region)
    }

    /// The floating addresses that are called the server's.
    async fn list_floating(&self, server: &str) -> Result<Vec<Floating>, PortError> {
        let description = self.describe_floating(server);
        let mut all = self.list_all_floating(Some(&description)).await?;
        // An old Neutron may not filter by it.
        all.retain(|floating| floating.description == description);
        Ok(all)
    }

    async fn list_all_floating(
        &self,
        description: Option<&str>,
    ) -> Result<Vec<Floating>, PortError> {
        let mut call = Call::get(Service::Network, &["floatingips"]);
        if let Some(description) = description {
            call = call.with_query("description", description);
        }
        let read = |floating: Value| {
            serde_json::from_value::<Floating>(floating).map_err(|error| {
                PortError::transient(format!("Neutron lists what is no floating address: {error}"))
            })
        };
        match list_all(&self.api, call, "floatingips").await {
            Ok(all) => all.into_iter().map(read).collect(),
            // Not every OpenStack has floating addresses, or lets us ask for them.
            Err(error)
                if error.class == Class::Permanent && self.config.floating_pool.is_none() =>
            {
                tracing::debug!(%error, "no floating addresses can be listed");
                Ok(vec![])
            }
            Err(error) => Err(error),
        }
    }

    /// The id of the server's first port; none where the server has failed, or is gone.
    async fn await_port(&self, server: &str) -> Result<Option<String>, PortError> {
        let begun = Instant::now();
        loop {
            let call = Call::get(Service::Network, &["ports"]).with_query("device_id", server);
            let ports = list_all(&self.api, call, "ports").await?;
            let id = ports.first().and_then(|port| port.get("id")?.as_str());
            if let Some(id) = id {
                return Ok(Some(id.to_owned()));
            }
            let has_failed = |server: &Server| server.power() == Power::Error;
            if self.read_server(server).await?.as_ref().is_none_or(has_failed) {
                return Ok(None);
            }
            if begun.elapsed() > PORT_WAIT {
                let message = "the machine has no port yet that a floating address could lead to";
                return Err(PortError::transient(message));
            }
            sleep(PORT_PAUSE).await;
        }
    }
}
