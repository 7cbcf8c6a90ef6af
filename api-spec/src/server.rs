//! Machines and balancers.

use crate::examples::{Example, reason, second};
use crate::texts::{
    AppserverId, HostKey, HostName, InstanceId, IpAddress, LoadBalancerId, Login, Name,
    NeededReason, Prose, Reason, RunId, ServerId, SocketAddress,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a machine is doing. `terminated` and `failed` are final; `vanished` is, unless it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerStatus {
    /// Recorded, not asked for yet.
    Pending,
    /// Being built.
    Building,
    /// Active in the cloud, booting.
    Booting,
    /// Answers SSH.
    Ready,
    /// Gone for good.
    Terminated,
    /// The cloud does not answer: nobody knows.
    Unknown,
    /// The cloud refused or failed to build it.
    Failed,
    /// The cloud says that it does not exist, and nobody here took it away.
    Vanished,
}

impl ServerStatus {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Building => "Building",
            Self::Booting => "Booting",
            Self::Ready => "Ready",
            Self::Terminated => "Terminated",
            Self::Unknown => "Unknown",
            Self::Failed => "Build failed",
            Self::Vanished => "Vanished",
        }
    }

    /// What it means.
    #[must_use]
    pub fn description(self) -> &'static str {
        match self {
            Self::Pending => "Recorded; the cloud has not been asked for it yet",
            Self::Building => "The cloud is building it",
            Self::Booting => "The cloud has started it; it does not answer SSH yet",
            Self::Ready => "It answers SSH",
            Self::Terminated => "It is gone for good",
            Self::Unknown => "The cloud does not answer, so nobody knows",
            Self::Failed => "The cloud refused or failed to build it",
            Self::Vanished => "The cloud has no such machine, and nobody here took it away",
        }
    }
}

/// What a cloud says a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerPower {
    /// Being built.
    Building,
    /// Up, or booting.
    Active,
    /// Stopped.
    Shutoff,
    /// The cloud gave up on it.
    Error,
}

/// One virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Server {
    /// `serv_…`.
    #[schema(value_type = ServerId)]
    pub id: String,
    /// `apps_…` that it carries.
    #[schema(value_type = AppserverId)]
    pub appserver: String,
    /// Its name in the cloud.
    #[schema(value_type = Name)]
    pub name: String,
    /// The cloud's own id for it, once there is one.
    #[schema(value_type = Option<Name>)]
    pub openstack_id: Option<String>,
    /// The region, which names a configured cloud.
    #[schema(value_type = Name)]
    pub openstack_region: String,
    /// How it is doing.
    pub status: ServerStatus,
    /// The same for people.
    #[schema(value_type = Name)]
    pub status_name: String,
    /// What that means.
    #[schema(value_type = Prose)]
    pub status_description: String,
    /// Why it failed or is out of sight.
    #[schema(value_type = Option<Prose>)]
    pub reason: Option<String>,
    /// What its cloud said that it does when it was last looked at.
    pub power: Option<ServerPower>,
    /// Public address, once known.
    #[schema(value_type = Option<IpAddress>)]
    pub public_ip: Option<String>,
    /// Where sshd listens.
    #[schema(minimum = 1, maximum = 65535)]
    pub ssh_port: Option<i32>,
    /// Whom to log in as there.
    #[schema(value_type = Option<Name>)]
    pub ssh_user: Option<String>,
    /// Its SSH host keys, once it was ready: `ssh-ed25519 AAAA…`.
    #[schema(value_type = Vec<HostKey>)]
    pub host_keys: Vec<String>,
    /// Where the web server listens.
    #[schema(minimum = 1, maximum = 65535)]
    pub http_port: Option<i32>,
    /// When it was asked for.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub modified: DateTime<Utc>,
}

/// One shared balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LoadBalancer {
    /// `lbal_…`.
    #[schema(value_type = LoadBalancerId)]
    pub id: String,
    /// Its DNS name.
    #[schema(value_type = HostName)]
    pub domain: String,
    /// Public address.
    #[schema(value_type = IpAddress)]
    pub public_ip: String,
    /// Whom Ansible logs in as.
    #[schema(value_type = Login)]
    pub ssh_username: String,
    /// Where it answers SSH.
    #[schema(minimum = 1, maximum = 65535)]
    pub ssh_port: i32,
    /// The SSH host keys that it may show.
    #[schema(value_type = Vec<HostKey>)]
    pub host_keys: Vec<String>,
    /// Where it listens for visitors.
    #[schema(minimum = 1, maximum = 65535)]
    pub http_port: i32,
    /// A second address, with its port, where it listens for visitors of its own machine.
    #[schema(value_type = Option<SocketAddress>)]
    pub also_listens: Option<String>,
    /// Whether new instances may be given to it.
    pub accepts_new_backends: bool,
    /// What is not as it should be, each in one sentence; empty when all is.
    #[schema(value_type = Vec<Prose>)]
    pub troubles: Vec<String>,
    /// `run_…` that was last asked to have everything there as it should be.
    #[schema(value_type = Option<RunId>)]
    pub preparation_run: Option<String>,
    /// How many instances are given to it.
    #[schema(minimum = 0)]
    pub instance_count: i64,
    /// `inst_…` of those instances, the oldest hundred.
    #[schema(value_type = Vec<InstanceId>)]
    pub instances: Vec<String>,
    /// When it was retired; no instance gets it since.
    pub retired: Option<DateTime<Utc>>,
    /// When it was registered.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub modified: DateTime<Utc>,
}

/// Adds a balancer that people have set up: a host with SSH. HAProxy and our program are put there by
/// the run that finds them missing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AddLoadBalancer {
    /// Its DNS name; no other balancer has it.
    #[schema(value_type = HostName)]
    pub domain: String,
    /// Its public address.
    #[schema(value_type = IpAddress)]
    pub public_ip: String,
    /// Whom Ansible logs in as, who may become root.
    #[schema(value_type = Login)]
    pub ssh_username: String,
    /// Where it answers SSH; 22 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub ssh_port: Option<u16>,
    /// The SSH host keys that it may show; one at least.
    #[schema(value_type = Vec<HostKey>)]
    pub host_keys: Vec<String>,
    /// Where it listens for visitors; 80 when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub http_port: Option<u16>,
    /// Whether new instances may be given to it.
    pub accepts_new_backends: bool,
    /// Why; it stands beside the change in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// Changes what is known of a balancer; what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EditLoadBalancer {
    /// Its public address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<IpAddress>)]
    pub public_ip: Option<String>,
    /// Whom Ansible logs in as.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Login>)]
    pub ssh_username: Option<String>,
    /// Where it answers SSH.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub ssh_port: Option<u16>,
    /// The SSH host keys that it may show.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<HostKey>>)]
    pub host_keys: Option<Vec<String>>,
    /// Where it listens for visitors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 65_535)]
    pub http_port: Option<u16>,
    /// Whether new instances may be given to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepts_new_backends: Option<bool>,
    /// Why; it stands beside the change in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Reason>)]
    pub reason: Option<String>,
}

/// One region of a cloud, as this node last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionLook {
    /// Its name in the configuration.
    #[schema(value_type = Name)]
    pub name: String,
    /// When it last answered; none before the first look since the server's start.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Why it did not answer when it was last asked.
    #[schema(value_type = Option<Prose>)]
    pub error: Option<String>,
    /// Machines of ours that it had when it last answered.
    pub machines: usize,
}

/// A machine that bears our mark, but that nothing accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// Its region.
    #[schema(value_type = Name)]
    pub region: String,
    /// The cloud's own id for it.
    #[schema(value_type = Name)]
    pub machine: String,
    /// Its name in the cloud.
    #[schema(value_type = Prose)]
    pub name: String,
    /// The key that it was made with, if its mark tells.
    #[schema(value_type = Option<Name>)]
    pub key: Option<String>,
    /// What it was doing when it was found.
    pub power: ServerPower,
    /// `run_…` that takes it away, once that was asked for.
    #[schema(value_type = Option<RunId>)]
    pub deletion_run: Option<String>,
    /// When it was found.
    pub found: DateTime<Utc>,
}

/// Asks to take an orphan away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeleteOrphan {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What taking an orphan away would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanDeletionPlan {
    /// In one sentence.
    #[schema(value_type = Prose)]
    pub would: String,
}

/// To have everything at a balancer as it should be: HAProxy, our program, and what the sites need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrepareLoadBalancer {
    /// Why; required.
    #[schema(value_type = NeededReason)]
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What preparing a balancer would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreparationPlan {
    /// In one sentence.
    #[schema(value_type = Prose)]
    pub would: String,
}

impl Example for Server {
    fn example() -> Self {
        let status = ServerStatus::Ready;
        Self {
            id: ServerId::EXAMPLE.to_owned(),
            appserver: AppserverId::EXAMPLE.to_owned(),
            name: "alpha-2".to_owned(),
            openstack_id: Some("6f1c0a52-3b7e-4d19-9a08-5e2d7c4b1f36".to_owned()),
            openstack_region: "local".to_owned(),
            status,
            status_name: status.name().to_owned(),
            status_description: status.description().to_owned(),
            reason: None,
            power: Some(ServerPower::Active),
            public_ip: Some(IpAddress::EXAMPLE.to_owned()),
            ssh_port: Some(22),
            ssh_user: Some("ubuntu".to_owned()),
            host_keys: vec![HostKey::EXAMPLE.to_owned()],
            http_port: Some(80),
            created: second(121),
            modified: second(240),
        }
    }
}

impl Example for LoadBalancer {
    fn example() -> Self {
        Self {
            id: LoadBalancerId::EXAMPLE.to_owned(),
            domain: "balancer.example.com".to_owned(),
            public_ip: "203.0.113.2".to_owned(),
            ssh_username: "ubuntu".to_owned(),
            ssh_port: 22,
            host_keys: vec![HostKey::EXAMPLE.to_owned()],
            http_port: 80,
            also_listens: Some(SocketAddress::EXAMPLE.to_owned()),
            accepts_new_backends: true,
            troubles: vec![],
            preparation_run: Some(RunId::EXAMPLE.to_owned()),
            instance_count: 1,
            instances: vec![InstanceId::EXAMPLE.to_owned()],
            retired: None,
            created: second(-86_400),
            modified: second(3_600),
        }
    }
}

impl Example for AddLoadBalancer {
    fn example() -> Self {
        Self {
            domain: "balancer.example.com".to_owned(),
            public_ip: "203.0.113.2".to_owned(),
            ssh_username: "ubuntu".to_owned(),
            ssh_port: Some(22),
            host_keys: vec![HostKey::EXAMPLE.to_owned()],
            http_port: Some(80),
            accepts_new_backends: true,
            reason: reason(),
        }
    }
}

impl Example for EditLoadBalancer {
    fn example() -> Self {
        Self { accepts_new_backends: Some(false), reason: reason(), ..Self::default() }
    }
}

impl Example for RegionLook {
    fn example() -> Self {
        Self {
            name: "local".to_owned(),
            last_seen_at: Some(second(3_590)),
            error: None,
            machines: 3,
        }
    }
}

impl Example for Orphan {
    fn example() -> Self {
        Self {
            region: "local".to_owned(),
            machine: "6f1c0a52-3b7e-4d19-9a08-5e2d7c4b1f36".to_owned(),
            name: "alpha-1".to_owned(),
            key: Some("e2d7c4b1-5e2d-5f36-9a08-3b7e4d199a08".to_owned()),
            power: ServerPower::Active,
            deletion_run: None,
            found: second(1_800),
        }
    }
}

impl Example for DeleteOrphan {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for OrphanDeletionPlan {
    fn example() -> Self {
        let would = "a run would delete machine 6f1c0a52 (`alpha-1`) of region local with its disk";
        Self { would: would.to_owned() }
    }
}

impl Example for PrepareLoadBalancer {
    fn example() -> Self {
        Self { reason: NeededReason::EXAMPLE.to_owned(), dry_run: true }
    }
}

impl Example for PreparationPlan {
    fn example() -> Self {
        let would = "a run would install what is missing on balancer.example.com, start HAProxy if \
                     it does not run, and put its fragments right";
        Self { would: would.to_owned() }
    }
}
