//! Machines and balancers.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a machine is doing.
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
    pub id: String,
    /// `apps_…` that it carries.
    pub appserver: String,
    /// Its name in the cloud.
    pub name: String,
    /// The cloud's own id for it, once there is one.
    pub openstack_id: Option<String>,
    /// The region, which names a configured cloud.
    pub openstack_region: String,
    /// How it is doing.
    pub status: ServerStatus,
    /// The same for people.
    pub status_name: String,
    /// What that means.
    pub status_description: String,
    /// Why it failed or is out of sight.
    pub reason: Option<String>,
    /// What its cloud said that it does when it was last looked at.
    pub power: Option<ServerPower>,
    /// Public address, once known.
    pub public_ip: Option<String>,
    /// Where sshd listens.
    pub ssh_port: Option<i32>,
    /// Whom to log in as there.
    pub ssh_user: Option<String>,
    /// Its SSH host keys, once it was ready: `ssh-ed25519 AAAA…`.
    pub host_keys: Vec<String>,
    /// Where the web server listens.
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
    pub id: String,
    /// Its DNS name.
    pub domain: String,
    /// Public address.
    pub public_ip: String,
    /// Where it listens for visitors.
    pub http_port: i32,
    /// A second address, with its port, where it listens for visitors of its own machine.
    pub also_listens: Option<String>,
    /// Whether new instances may be given to it.
    pub accepts_new_backends: bool,
    /// What is not as it should be, each in one sentence; empty when all is.
    pub troubles: Vec<String>,
    /// `run_…` that was last asked to have everything there as it should be.
    pub preparation_run: Option<String>,
    /// When it was registered.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub modified: DateTime<Utc>,
}

/// One region of a cloud, as this node last saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionLook {
    /// Its name in the configuration.
    pub name: String,
    /// When it last answered; none before the first look since the server's start.
    pub last_seen_at: Option<DateTime<Utc>>,
    /// Why it did not answer when it was last asked.
    pub error: Option<String>,
    /// Machines of ours that it had when it last answered.
    pub machines: usize,
}

/// A machine that bears our mark, but that nothing accounts for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Orphan {
    /// Its region.
    pub region: String,
    /// The cloud's own id for it.
    pub machine: String,
    /// Its name in the cloud.
    pub name: String,
    /// The key that it was made with, if its mark tells.
    pub key: Option<String>,
    /// What it was doing when it was found.
    pub power: ServerPower,
    /// `run_…` that takes it away, once that was asked for.
    pub deletion_run: Option<String>,
    /// When it was found.
    pub found: DateTime<Utc>,
}

/// Asks to take an orphan away.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeleteOrphan {
    /// Why; required.
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What taking an orphan away would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrphanDeletionPlan {
    /// In one sentence.
    pub would: String,
}

/// To have everything at a balancer as it should be: HAProxy, our program, and what the sites need.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrepareLoadBalancer {
    /// Why; required.
    pub reason: String,
    /// Only tell what would be done.
    pub dry_run: bool,
}

/// What preparing a balancer would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PreparationPlan {
    /// In one sentence.
    pub would: String,
}
