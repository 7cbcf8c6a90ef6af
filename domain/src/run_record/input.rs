//! What runs are started with: recorded with their start, and read by their steps.

use crate::ids::{AppserverId, InstanceId, LoadBalancerId};
use crate::instance::OnSuccess;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::SocketAddr;

/// Input of `launch_appserver`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LaunchInput {
    /// The site.
    pub instance: InstanceId,
    /// The Appserver to be made.
    pub appserver: AppserverId,
    /// Its number.
    pub number: u32,
    /// What is to happen once it runs.
    #[serde(flatten)]
    pub then: OnSuccess,
}

/// Input of `activate_appserver`, `deactivate_appserver`, `terminate_appserver` and
/// `clean_up_appserver`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrafficInput {
    /// The Appserver.
    pub appserver: AppserverId,
    /// Take the others out of traffic (activation only).
    #[serde(default)]
    pub deactivate_others: bool,
    /// Even if a rule speaks against it.
    pub force: bool,
}

/// Input of `delete_orphan`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrphanInput {
    /// The region, which names a configured cloud.
    pub region: String,
    /// The cloud's id of the machine.
    pub machine: String,
}

/// Input of `prepare_load_balancer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BalancerInput {
    /// The balancer.
    pub load_balancer: LoadBalancerId,
}

/// Input of `provision_load_balancer`: where, and under which domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProvisionLoadBalancer {
    /// The region that the machine is made in.
    pub region: String,
    /// The balancer's domain.
    pub domain: String,
    /// Sets this manager's fragments apart.
    pub fragment_name_postfix: String,
    /// Flavor selector.
    pub flavor: Value,
    /// Image selector.
    pub image: Value,
    /// A second address that it listens on, where the machine shares the host's network.
    pub also_listens: Option<SocketAddr>,
}

records! {
    BalancerInput: "balancer_input",
    LaunchInput: "launch_input",
    OrphanInput: "orphan_input",
    ProvisionLoadBalancer: "provision_load_balancer_input",
    TrafficInput: "traffic_input",
}
