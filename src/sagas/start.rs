//! Which event starts which process: requests are recorded once, and taken up however late.

use super::step::Definition;
use super::world::Limits;
use ocim_domain::Timestamp;
use ocim_domain::appserver;
use ocim_domain::event::{DomainEvent, Recorded};
use ocim_domain::ids::{AppserverId, InstanceId, LoadBalancerId, RunId};
use ocim_domain::instance::{self, OnSuccess};
use ocim_domain::inventory;
use ocim_domain::load_balancer;
use ocim_domain::saga::Command;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kinds of events that start a process.
pub const TRIGGERS: &[&str] = &[
    "instance.launch_requested",
    "appserver.activation_requested",
    "appserver.deactivation_requested",
    "appserver.termination_requested",
    "appserver.clean_up_requested",
    "inventory.orphan_deletion_requested",
    "load_balancer.preparation_requested",
];

/// A run that is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct StartRequest {
    /// Its id, from the request.
    pub run: RunId,
    /// The definition's name.
    pub definition: &'static str,
    /// What it works on.
    pub input: Value,
    /// The text id of the object it is about.
    pub subject: String,
}

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

/// The start of a run that is asked for, with the time that its definition gives it.
#[must_use]
pub fn start_command(
    request: StartRequest,
    definition: &Definition,
    now: Timestamp,
    limits: &Limits,
) -> Command {
    Command::Start {
        definition: definition.name.to_owned(),
        version: definition.version,
        input: request.input,
        subject: request.subject,
        deadline: definition.deadline.map(|longest| now + longest(limits)),
    }
}

/// The run that an event asks for, if it does.
#[must_use]
pub fn started_by(event: &Recorded) -> Option<StartRequest> {
    match event.stream.category() {
        "instance" => started_by_instance(event),
        "appserver" => started_by_appserver(event),
        "inventory" => started_by_inventory(event),
        "load_balancer" => started_by_balancer(event),
        _ => None,
    }
}

fn started_by_instance(event: &Recorded) -> Option<StartRequest> {
    let instance = InstanceId(event.stream.id());
    match instance::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        instance::Event::LaunchRequested { appserver, run, number, then, .. } => {
            let input = LaunchInput { instance, appserver, number, then };
            Some(StartRequest {
                run,
                definition: "launch_appserver",
                input: serde_json::to_value(input).ok()?,
                subject: appserver.to_string(),
            })
        }
        _ => None,
    }
}

fn started_by_appserver(event: &Recorded) -> Option<StartRequest> {
    let appserver = AppserverId(event.stream.id());
    let (run, definition, deactivate_others, force) =
        match appserver::Event::decode(&event.kind, event.schema, &event.data).ok()? {
            appserver::Event::ActivationRequested { run, deactivate_others, force } => {
                (run, "activate_appserver", deactivate_others, force)
            }
            appserver::Event::DeactivationRequested { run, force, .. } => {
                (run, "deactivate_appserver", false, force)
            }
            appserver::Event::TerminationRequested { run, force, .. } => {
                (run, "terminate_appserver", false, force)
            }
            appserver::Event::CleanUpRequested { run, .. } => {
                (run, "clean_up_appserver", false, false)
            }
            _ => return None,
        };
    let input = json!({
        "appserver": appserver, "deactivate_others": deactivate_others, "force": force
    });
    Some(StartRequest { run, definition, input, subject: appserver.to_string() })
}

fn started_by_inventory(event: &Recorded) -> Option<StartRequest> {
    match inventory::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        inventory::Event::OrphanDeletionRequested { region, machine, run, .. } => {
            let subject = format!("{region}/{machine}");
            let input = serde_json::to_value(OrphanInput { region, machine }).ok()?;
            Some(StartRequest { run, definition: "delete_orphan", input, subject })
        }
        _ => None,
    }
}

fn started_by_balancer(event: &Recorded) -> Option<StartRequest> {
    let load_balancer = LoadBalancerId(event.stream.id());
    match load_balancer::Event::decode(&event.kind, event.schema, &event.data).ok()? {
        load_balancer::Event::PreparationRequested { run, .. } => Some(StartRequest {
            run,
            definition: "prepare_load_balancer",
            input: serde_json::to_value(BalancerInput { load_balancer }).ok()?,
            subject: load_balancer.to_string(),
        }),
        _ => None,
    }
}
