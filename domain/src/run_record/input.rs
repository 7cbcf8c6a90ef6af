//! What runs are started with: recorded with their start, and read by their steps.

use crate::ids::{AppserverId, BulkId, InstanceId, LoadBalancerId, ServerId};
use crate::instance::OnSuccess;
use crate::inventory::OrphanId;
use crate::ledger::{self, Kind, ResourceKey};
use crate::mail::About;
use crate::timer::Job;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::SocketAddr;
use uuid::Uuid;

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
    /// Whether it leaves others the last slot of its region.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_bulk: bool,
}

/// Input of `activate_appserver`, `deactivate_appserver`, `terminate_appserver`,
/// `clean_up_appserver` and `restart_appserver`.
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

/// Input of `archive_instance`, `unarchive_instance`, `delete_instance`, `change_maintenance`,
/// `update_monitors` and `publish_metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleInput {
    /// The instance.
    pub instance: InstanceId,
    /// Launch an Appserver that serves it at the end (un-archiving only).
    pub launch: bool,
    /// What of these kinds can't be removed is left (deletion only).
    pub ignore: Vec<ledger::Kind>,
}

/// Input of `publish_test_link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestLinkInput {
    /// The instance.
    pub instance: InstanceId,
    /// The link.
    pub link: Uuid,
}

/// Input of every process that moves traffic: of one Appserver, or all that an instance has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MoveInput {
    /// Of one of them.
    Appserver(TrafficInput),
    /// All of it.
    Instance(LifecycleInput),
    /// None of it: a test link is beside it.
    TestLink(TestLinkInput),
}

/// Input of `publish_metadata` where a machine came back into sight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInput {
    /// The machine.
    pub server: ServerId,
}

/// Every input of `publish_metadata`: the instance, or a machine of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataInput {
    /// All of it.
    Instance(LifecycleInput),
    /// One that it has.
    Server(ServerInput),
}

/// What each input of a process on a whole instance tells: which one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct InstanceInput {
    /// The instance.
    pub instance: InstanceId,
}

/// Input of `send_mail`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct MailInput {
    /// What the mail is about.
    #[serde(flatten)]
    pub about: About,
}

/// Input of `run_timer`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct TimerInput {
    /// What is to be done.
    pub job: Job,
}

/// Input of `delete_orphan`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrphanInput {
    /// Where it is: a region, a balancer, a shared server, the DNS.
    #[serde(alias = "region")]
    pub place: String,
    /// What it is.
    #[serde(default = "machine")]
    pub kind: Kind,
    /// What its provider calls it.
    #[serde(alias = "machine")]
    pub key: String,
}

/// What every orphan was once.
fn machine() -> Kind {
    Kind::Machine
}

impl OrphanInput {
    /// What is to be taken away.
    #[must_use]
    pub fn id(&self) -> OrphanId {
        let key = ResourceKey::new(self.kind, &self.key);
        OrphanId { place: self.place.clone(), key }
    }
}

/// Input of `prepare_load_balancer`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BalancerInput {
    /// The balancer.
    pub load_balancer: LoadBalancerId,
}

/// Input of `run_bulk_operation`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BulkInput {
    /// The operation.
    pub bulk: BulkId,
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
    BulkInput: "bulk_input",
    InstanceInput: "instance_input",
    LaunchInput: "launch_input",
    LifecycleInput: "lifecycle_input",
    MailInput: "mail_input",
    MetadataInput: "metadata_input",
    MoveInput: "move_input",
    OrphanInput: "orphan_input",
    ProvisionLoadBalancer: "provision_load_balancer_input",
    TestLinkInput: "test_link_input",
    TimerInput: "timer_input",
    TrafficInput: "traffic_input",
}
