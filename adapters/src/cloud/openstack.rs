//! A region of an OpenStack: Keystone, Nova, Glance, Neutron.
//!
//! A machine is a server whose metadata has the key that it was made with, the region by our name, and
//! whose it is: by these it is found again, and machines of others are never touched. Its SSH host keys
//! are those that cloud-init prints on its console; once seen they are kept in its metadata, too.

mod access;
mod answers;
mod api;
mod host_keys;
mod key_pairs;
mod machine;
mod networks;
mod offers;
mod pages;
mod quotas;
mod security_groups;
mod servers;

pub use access::{DEFAULT_DOMAIN, Login, OpenStackAccess, Project};

use crate::cloud::{Cloud, FloatingAddress, Machine, MachineSpec, Quota, is_simulated};
use api::{Api, Call, Service};
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use machine::Reached;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::ErrorCode;
use offers::{find_flavor, find_image};
use serde_json::Value;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Consoles that are read at a time.
const CONCURRENCY: usize = 4;

/// One region.
#[derive(Debug, Clone)]
pub struct OpenStackConfig {
    /// Where it is.
    pub access: OpenStackAccess,
    /// The region by our name.
    pub region: String,
    /// Whose machines are ours, of all in the project: one word.
    pub owner: String,
    /// The manager's public key, `ssh-ed25519 AAAA…`: who may log in.
    pub authorized_key: String,
    /// Whom to log in as.
    pub ssh_user: String,
    /// The network that machines are put on, by name or id; Nova chooses where none is named.
    pub network: Option<String>,
    /// The network that floating addresses come from, by name or id; machines get none where none is named.
    pub floating_pool: Option<String>,
    /// Whether the SSH host keys are believed that a machine shows first, where its console shows none.
    pub trust_first_host_key: bool,
    /// How long a machine may take to stop in an orderly way before it is deleted.
    pub shutdown_timeout: Duration,
    /// Longest wait for one answer.
    pub answer_timeout: Duration,
}

/// A [`Cloud`] at an OpenStack.
#[derive(Debug)]
pub struct OpenStackCloud {
    config: OpenStackConfig,
    reached: Reached,
    api: Api,
    /// Launches at the same time would make the security group twice: Neutron lets names repeat.
    group_lock: Mutex<()>,
}

impl OpenStackCloud {
    /// The region, which is not asked yet.
    ///
    /// # Errors
    /// Permanent when the URL can't be one, or the certificates can't be read.
    pub fn new(config: OpenStackConfig) -> Result<Self, PortError> {
        let api = Api::new(config.access.clone(), config.answer_timeout)?;
        let reached = Reached {
            network: config.network.clone(),
            is_floating: config.floating_pool.is_some(),
            ssh_user: config.ssh_user.clone(),
        };
        Ok(Self { config, reached, api, group_lock: Mutex::new(()) })
    }

    /// Asks each service for something, and tells who has answered.
    ///
    /// # Errors
    /// What the first one says that does not take what we ask.
    pub async fn try_out(&self) -> Result<String, PortError> {
        let nova = self.api.fetch(Call::get(Service::Compute, &["limits"])).await?.place;
        let one = Call::get(Service::Image, &["images"]).with_query("limit", "1");
        let glance = self.api.fetch(one).await?.place;
        let one = Call::get(Service::Network, &["networks"]).with_query("limit", "1");
        let neutron = self.api.fetch(one).await?.place;
        self.find_network().await?;
        self.find_floating_pool().await?;
        let keystone = self.api.keystone();
        Ok(format!(
            "Keystone of {keystone} takes the credentials; Nova of {nova}, Glance of {glance} and Neutron of \
             {neutron} answer"
        ))
    }

    /// The machine that a server is, with its host keys where they can be seen.
    async fn to_machine(&self, server: machine::Server) -> Machine {
        self.pin_host_keys(server).await.describe(&self.reached)
    }
}

#[async_trait]
impl Cloud for OpenStackCloud {
    fn lacks_security_groups(&self) -> Option<&'static str> {
        None
    }

    fn is_reachable_from(&self, balancer: IpAddr) -> bool {
        !is_simulated(balancer)
    }

    async fn ensure_security_groups(&self, names: &[String]) -> Result<(), PortError> {
        self.ensure_groups(names).await
    }

    async fn find_security_groups(&self, names: &[String]) -> Result<bool, PortError> {
        self.are_there(names).await
    }

    async fn check_selectors(&self, flavor: &Value, image: &Value) -> Result<(), PortError> {
        find_flavor(&self.api, flavor).await?;
        find_image(&self.api, image).await?;
        Ok(())
    }

    async fn read_quotas(&self, flavor: &Value) -> Result<Vec<Quota>, PortError> {
        let flavor = find_flavor(&self.api, flavor).await?;
        quotas::read_quotas(&self.api, &flavor).await
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError> {
        let id = match self.find_server(spec.key).await? {
            Some(server) => server.id,
            None => self.order_server(spec).await?,
        };
        self.ensure_floating_address(&id).await?;
        let made = self.read_machine(&id).await?;
        made.ok_or_else(|| {
            let message = format!("machine {id} vanished as soon as it was made");
            PortError::permanent(ErrorCode::MachineVanished, message)
        })
    }

    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError> {
        match self.find_server(key).await? {
            Some(server) => Ok(Some(self.to_machine(server).await)),
            None => Ok(None),
        }
    }

    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError> {
        match self.read_server(id).await? {
            Some(server) => Ok(Some(self.to_machine(server).await)),
            None => Ok(None),
        }
    }

    async fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        self.reboot_server(id).await
    }

    async fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        self.delete_server(id).await
    }

    async fn read_console(&self, id: &str) -> Result<String, PortError> {
        self.read_console_of(id).await
    }

    async fn list_floating_addresses(&self) -> Result<Vec<FloatingAddress>, PortError> {
        self.list_own_floating().await
    }

    async fn release_floating_address(&self, id: &str) -> Result<(), PortError> {
        self.release_own_floating(id).await
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        let servers = self.list_servers().await?;
        let machines = stream::iter(servers.into_iter().map(|server| self.to_machine(server)));
        Ok(machines.buffered(CONCURRENCY).collect().await)
    }
}
