//! One shared HAProxy host that instances are given (infra §1.1).

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::LoadBalancerId;
use crate::server::ServerAddress;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What is known of a balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// DNS target and display name, ≤ 100 characters, unique.
    pub domain: String,
    /// How Ansible reaches it, and where it listens for visitors.
    pub address: ServerAddress,
    /// A second address that it listens on for visitors of this machine, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub also_listens: Option<SocketAddr>,
    /// The SSH host keys it may show.
    pub host_keys: Vec<String>,
    /// How the names of this manager's fragments begin; fixed for life.
    pub fragment_name_prefix: String,
    /// Sets this manager's fragments apart on a shared balancer; ≤ 8 characters, fixed for life.
    pub fragment_name_postfix: String,
    /// Whether new instances may be given to it.
    pub accepts_new_backends: bool,
}

/// What one may ask of a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it known, or bring what is known up to date (what its fragments are called by stays).
    Register(Registration),
    /// Let it take new instances, or not.
    AcceptBackends(bool),
    /// It serves the newest content of the fragment of this name.
    RecordApplied { fragment: String },
}

/// What happened to a balancer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It is known.
    #[serde(rename = "load_balancer.registered")]
    Registered(Registration),
    /// It is known by other particulars now.
    #[serde(rename = "load_balancer.registration_changed")]
    RegistrationChanged(Registration),
    /// It takes new instances, or not.
    #[serde(rename = "load_balancer.acceptance_changed")]
    AcceptanceChanged { accepts_new_backends: bool },
    /// It serves the newest content of the fragment of this name.
    #[serde(rename = "load_balancer.fragment_applied")]
    FragmentApplied { fragment: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("load_balancer.registered", 1),
        ("load_balancer.registration_changed", 1),
        ("load_balancer.acceptance_changed", 1),
        ("load_balancer.fragment_applied", 1),
    ];
}

/// A balancer as its events tell; `None` before the first.
pub type State = Option<Registration>;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such balancer.
    #[error("the load balancer does not exist")]
    Absent,
}

/// The rules of a balancer.
#[derive(Debug, Clone, Copy)]
pub struct LoadBalancer;

impl Decider for LoadBalancer {
    const CATEGORY: &'static str = LoadBalancerId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        match (state, command) {
            (None, Command::Register(registration)) => Ok(vec![Event::Registered(registration)]),
            (None, Command::AcceptBackends(_) | Command::RecordApplied { .. }) => {
                Err(Rejected::Absent)
            }
            (Some(known), Command::Register(mut registration)) => {
                registration.fragment_name_prefix.clone_from(&known.fragment_name_prefix);
                registration.fragment_name_postfix.clone_from(&known.fragment_name_postfix);
                Ok(if *known == registration {
                    vec![]
                } else {
                    vec![Event::RegistrationChanged(registration)]
                })
            }
            (Some(known), Command::AcceptBackends(accepts)) => {
                Ok(if known.accepts_new_backends == accepts {
                    vec![]
                } else {
                    vec![Event::AcceptanceChanged { accepts_new_backends: accepts }]
                })
            }
            (Some(_), Command::RecordApplied { fragment }) => {
                Ok(vec![Event::FragmentApplied { fragment }])
            }
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (None, Event::Registered(registration)) => Some(registration.clone()),
            (Some(_), Event::RegistrationChanged(registration)) => Some(registration.clone()),
            (Some(known), Event::AcceptanceChanged { accepts_new_backends }) => {
                Some(Registration { accepts_new_backends: *accepts_new_backends, ..known })
            }
            (state @ Some(_), Event::Registered(_) | Event::FragmentApplied { .. })
            | (state @ None, _) => state,
        }
    }
}
