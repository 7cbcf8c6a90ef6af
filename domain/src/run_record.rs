//! What runs record beside the saga's own events: inputs, and what steps give. All of it is ours, none of
//! a port or an adapter, and has golden files.

mod input;
mod output;

pub use input::{BalancerInput, LaunchInput, OrphanInput, ProvisionLoadBalancer, TrafficInput};
pub use output::{
    BootId, CreatedServer, ExitStatus, HeartbeatStatus, MachineId, PointedNames, ReachedMachine,
    ResolvedPlaybooks, TrafficPlan,
};

use crate::ids::{LoadBalancerId, RunId, ServerId};
use crate::resources::ResourceNames;
use crate::saga::RunRecord;

macro_rules! records {
    ($($type:ident: $name:literal,)*) => {
        $(impl RunRecord for $type {
            const NAME: &'static str = $name;
        })*

        /// The name of each, as in its golden files.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

records! {
    BalancerInput: "balancer_input",
    LaunchInput: "launch_input",
    OrphanInput: "orphan_input",
    ProvisionLoadBalancer: "provision_load_balancer_input",
    TrafficInput: "traffic_input",
    BootId: "boot_id",
    CreatedServer: "created_server",
    ExitStatus: "exit_status",
    HeartbeatStatus: "heartbeat_status",
    LoadBalancerId: "load_balancer_id",
    MachineId: "machine_id",
    PointedNames: "pointed_names",
    ReachedMachine: "reached_machine",
    ResolvedPlaybooks: "resolved_playbooks",
    ResourceNames: "resource_names",
    RunId: "run_id",
    ServerId: "server_id",
    TrafficPlan: "traffic_plan",
}
