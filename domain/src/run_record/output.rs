//! What steps give: recorded with their end, and read by later steps and by undos.

use crate::ids::{
    AppserverId, LoadBalancerId, MongodbServerId, MysqlServerId, RabbitmqServerId, RunId, ServerId,
};
use crate::names::RoutedNames;
use crate::resources::ResourceNames;
use crate::server::ServerAddress;
use crate::settings::InstanceSettings;
use crate::site_metadata::WrittenMetadata;
use crate::timer::Outcome;
use serde::{Deserialize, Serialize};

/// What `create_server` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CreatedServer {
    /// The Server.
    pub server: ServerId,
    /// The cloud's id of its machine.
    pub machine: String,
}

/// What `create_machine` gives: the cloud's id of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MachineId(pub String);

/// What `await_machine` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReachedMachine {
    /// Where it answers SSH.
    pub address: ServerAddress,
    /// The host keys that its console showed.
    pub host_keys: Vec<String>,
}

/// The id of a boot of a machine, as its kernel tells. `await_ssh` gives the first, `reboot_server`
/// the one before the reboot, `await_reboot` the one after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(pub String);

/// What the steps of playbooks give: the exit status, which is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExitStatus(pub i32);

/// What `await_heartbeat` gives: the HTTP status that the site answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeartbeatStatus(pub u16);

/// What `write_dns_records` gives: the hosts that lead to the balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PointedNames(pub Vec<String>);

/// What `plan_traffic` gives: who serves a site before and after a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficPlan {
    /// Who served when the run began.
    pub before: Vec<AppserverId>,
    /// Who is to serve.
    pub after: Vec<AppserverId>,
    /// Under which names: an activation takes those of the settings, and so does the page that is
    /// shown when the last one leaves; all else leaves them.
    pub names: RoutedNames,
}

/// What `assign_servers` gives: the shared servers that the instance uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedServers {
    /// The MySQL server, if it uses one.
    pub mysql: Option<MysqlServerId>,
    /// The MongoDB server, if it uses one.
    pub mongodb: Option<MongodbServerId>,
    /// The RabbitMQ server, if it uses one.
    pub rabbitmq: Option<RabbitmqServerId>,
}

/// What `deliver_mail` gives: for how many of the recipients the mail server has not taken it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveredMail {
    /// How many.
    pub refused: u32,
}

/// What `resolve_playbooks` gives: what was looked at, and the commits that will be played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedPlaybooks {
    /// The site's own repository, or `bundled:NAME`.
    pub repository: String,
    /// The version that was asked for.
    pub version: String,
    /// Its playbook.
    pub playbook: String,
    /// The commit that it meant; none where the playbook ships inside this binary.
    pub commit: Option<String>,
    /// The commit of the common playbook, if there is one and it is in a git repository.
    pub common_commit: Option<String>,
}

impl ResolvedPlaybooks {
    /// Whether that is still what the settings say.
    #[must_use]
    pub fn fits(&self, settings: &InstanceSettings) -> bool {
        self.repository == settings.configuration_source_repo_url
            && self.version == settings.configuration_version
            && self.playbook == settings.configuration_playbook_name
    }
}

records! {
    AssignedServers: "assigned_servers",
    BootId: "boot_id",
    CreatedServer: "created_server",
    DeliveredMail: "delivered_mail",
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
    Outcome: "timer_outcome",
    TrafficPlan: "traffic_plan",
    WrittenMetadata: "written_metadata",
}
