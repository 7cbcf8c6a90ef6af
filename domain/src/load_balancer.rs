//! One shared HAProxy host that instances are given (infra §1.1).

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::fragment::fragment_name;
use crate::hosts::check_domain;
use crate::ids::{InstanceId, LoadBalancerId, RunId};
use crate::server::ServerAddress;
use crate::settings::Violation;
use crate::shared_server::tell_clients;
use crate::snapshot::SnapshotFormat;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The pause after the first preparation that did not help; it doubles.
const PREPARATION_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause between two preparations.
const PREPARATION_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Longest name of the account that Ansible uses there (infra §1.1).
const SSH_USER_LENGTH_MAX: usize = 32;
/// Most host keys that a balancer may show.
const HOST_KEYS_MAX: usize = 16;

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

impl Registration {
    /// Every rule that it breaks (infra §1.1).
    #[must_use]
    pub fn check(&self) -> Vec<Violation> {
        let mut broken = vec![];
        let mut refuse = |field: &str, rule: String| {
            broken.push(Violation { field: field.to_owned(), rule });
        };
        if let Err(rule) = check_domain(&self.domain) {
            refuse("domain", rule);
        }
        let user = &self.address.ssh_user;
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_user = (1..=SSH_USER_LENGTH_MAX).contains(&user.len()) && user.chars().all(fits);
        if !is_user || user.starts_with('-') {
            let rule =
                "must be the name of an account, of 1 to 32 letters, digits, '-', '_' and '.'";
            refuse("ssh_username", rule.to_owned());
        }
        if self.address.ssh_port == 0 {
            refuse("ssh_port", "must be a port, 1 to 65535".to_owned());
        }
        if self.address.http_port == 0 {
            refuse("http_port", "must be a port, 1 to 65535".to_owned());
        }
        let keys = &self.host_keys;
        let is_key = |key: &String| {
            key.split_whitespace().count() >= 2
                && key.len() <= 2000
                && !key.contains(char::is_control)
        };
        if keys.is_empty() || keys.len() > HOST_KEYS_MAX || !keys.iter().all(is_key) {
            let rule = format!("takes 1 to {HOST_KEYS_MAX} SSH host keys like `ssh-ed25519 AAAA…`");
            refuse("host_keys", rule);
        }
        broken
    }
}

/// What is not at a balancer as the log says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Trouble {
    /// It does not answer those who look.
    Unreachable,
    /// The program that changes its configuration is not there.
    Unprepared,
    /// HAProxy is not running there.
    Stopped,
    /// It lacks the fragment of this name.
    Missing { fragment: String },
    /// Its fragment of this name is another one than was sent.
    Differs { fragment: String },
    /// It has a fragment that bears our mark, but that belongs to nobody.
    Stray { fragment: String },
}

impl Trouble {
    /// Whether a run can put it right.
    #[must_use]
    pub fn can_be_put_right(&self) -> bool {
        *self != Self::Unreachable
    }

    /// The fragment that it is about, if it is about one.
    #[must_use]
    pub fn fragment(&self) -> Option<&str> {
        match self {
            Self::Unreachable | Self::Unprepared | Self::Stopped => None,
            Self::Missing { fragment } | Self::Differs { fragment } | Self::Stray { fragment } => {
                Some(fragment)
            }
        }
    }
}

/// The instance whose fragment is called so.
#[must_use]
pub fn fragment_owner(fragment: &str) -> Option<InstanceId> {
    let at = fragment.rfind(InstanceId::PREFIX)?;
    fragment[at..].parse().ok()
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("it does not answer"),
            Self::Unprepared => f.write_str("it is not prepared: Ocim's program is not there"),
            Self::Stopped => f.write_str("HAProxy is not running"),
            Self::Missing { fragment } => write!(f, "{fragment} is missing"),
            Self::Differs { fragment } => write!(f, "{fragment} is not as it was sent"),
            Self::Stray { fragment } => write!(f, "{fragment} belongs to nobody"),
        }
    }
}

/// A balancer as its events tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// What is known of it.
    pub registration: Registration,
    /// The digest of each of our fragments that it has, by name.
    pub fragments: BTreeMap<String, String>,
    /// What is not as it should be.
    pub troubles: Vec<Trouble>,
    /// The run that was last asked to prepare it.
    pub preparation: Option<RunId>,
    /// Preparations that were asked for since it was last well.
    pub preparations: u32,
    /// Before that time no other is asked for by itself.
    pub next_preparation: Option<Timestamp>,
    /// The instances that are given to it.
    pub clients: BTreeSet<InstanceId>,
    /// Whether nobody is to use it any more.
    pub is_retired: bool,
}

/// What one may ask of a balancer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Make it known, or bring what is known up to date (what its fragments are called by stays).
    Register(Registration),
    /// Let it take new instances, or not.
    AcceptBackends(bool),
    /// Give an instance to it, if it takes new ones.
    Admit { client: InstanceId },
    /// The instance is nothing to it any more.
    Release { client: InstanceId },
    /// Nobody is to use it any more.
    Retire,
    /// It serves the content with this digest under this name; it has no such fragment without one.
    /// Silent where that is known.
    RecordApplied { fragment: String, digest: Option<String> },
    /// That is what is not as it should be. Where a run can put it right, `run` is
    /// asked to, unless another is at it (`preparation_is_open`) or has just been.
    Observe { troubles: Vec<Trouble>, preparation_is_open: bool, run: RunId },
    /// Have everything there as it should be, in `run`.
    RequestPreparation { preparation_is_open: bool, run: RunId, reason: String },
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
    /// An instance is given to it.
    #[serde(rename = "load_balancer.client_admitted")]
    ClientAdmitted { client: InstanceId },
    /// An instance is nothing to it any more.
    #[serde(rename = "load_balancer.client_released")]
    ClientReleased { client: InstanceId },
    /// Nobody is to use it any more.
    #[serde(rename = "load_balancer.retired")]
    Retired {},
    /// It serves the content with this digest (SHA-256, hexadecimal) under this name; without one it
    /// has no such fragment any more.
    #[serde(rename = "load_balancer.fragment_applied")]
    FragmentApplied { fragment: String, digest: Option<String> },
    /// This is not at it as the log says.
    #[serde(rename = "load_balancer.troubled")]
    Troubled { troubles: Vec<Trouble> },
    /// All is as the log says again.
    #[serde(rename = "load_balancer.recovered")]
    Recovered {},
    /// A run is to have everything there as it should be; before `next` no other is asked for by
    /// itself. A person gives a reason.
    #[serde(rename = "load_balancer.preparation_requested")]
    PreparationRequested {
        run: RunId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        next: Timestamp,
    },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("load_balancer.registered", 1),
        ("load_balancer.registration_changed", 1),
        ("load_balancer.acceptance_changed", 1),
        ("load_balancer.client_admitted", 1),
        ("load_balancer.client_released", 1),
        ("load_balancer.retired", 1),
        ("load_balancer.fragment_applied", 1),
        ("load_balancer.troubled", 1),
        ("load_balancer.recovered", 1),
        ("load_balancer.preparation_requested", 1),
    ];
}

/// A balancer as its events tell; `None` before the first.
pub type State = Option<Present>;

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such balancer.
    #[error("the load balancer does not exist")]
    Absent,
    /// Nobody is to use it any more.
    #[error("the load balancer is retired; add it again to use it")]
    Retired,
    /// It takes nobody new.
    #[error("the load balancer takes no new instances")]
    AcceptsNobody,
    /// Instances are given to it.
    #[error("{}", tell_clients(.clients))]
    InUse {
        /// Who.
        clients: Vec<InstanceId>,
    },
    /// A run is at it.
    #[error("run {run} prepares it already")]
    BeingPrepared {
        /// The run.
        run: RunId,
    },
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
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(1));

    fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let Some(known) = state else {
            return match command {
                Command::Register(registration) => Ok(vec![Event::Registered(registration)]),
                _ => Err(Rejected::Absent),
            };
        };
        match command {
            Command::Register(mut registration) => {
                if known.is_retired {
                    return Ok(vec![Event::Registered(registration)]);
                }
                let former = &known.registration;
                registration.fragment_name_prefix.clone_from(&former.fragment_name_prefix);
                registration.fragment_name_postfix.clone_from(&former.fragment_name_postfix);
                Ok(if *former == registration {
                    vec![]
                } else {
                    vec![Event::RegistrationChanged(registration)]
                })
            }
            Command::AcceptBackends(accepts) => {
                Ok(if known.registration.accepts_new_backends == accepts {
                    vec![]
                } else {
                    vec![Event::AcceptanceChanged { accepts_new_backends: accepts }]
                })
            }
            Command::Admit { client } if known.clients.contains(&client) => Ok(vec![]),
            Command::Admit { .. } if known.is_retired => Err(Rejected::Retired),
            Command::Admit { .. } if !known.registration.accepts_new_backends => {
                Err(Rejected::AcceptsNobody)
            }
            Command::Admit { client } => Ok(vec![Event::ClientAdmitted { client }]),
            Command::Release { client } => Ok(if known.clients.contains(&client) {
                vec![Event::ClientReleased { client }]
            } else {
                vec![]
            }),
            Command::Retire if !known.clients.is_empty() => {
                Err(Rejected::InUse { clients: known.clients.iter().copied().collect() })
            }
            Command::Retire => Ok(if known.is_retired { vec![] } else { vec![Event::Retired {}] }),
            Command::RecordApplied { fragment, digest } => {
                Ok(if known.fragments.get(&fragment) == digest.as_ref() {
                    vec![]
                } else {
                    vec![Event::FragmentApplied { fragment, digest }]
                })
            }
            Command::Observe { troubles, preparation_is_open, run } => {
                let is_wanted = troubles.iter().any(Trouble::can_be_put_right)
                    && !preparation_is_open
                    && known.next_preparation.is_none_or(|next| next <= now);
                let asked = is_wanted.then(|| known.request_preparation(run, None, now));
                let seen = match (troubles == known.troubles, troubles.is_empty()) {
                    (true, _) => None,
                    (false, true) => Some(Event::Recovered {}),
                    (false, false) => Some(Event::Troubled { troubles }),
                };
                Ok(seen.into_iter().chain(asked).collect())
            }
            Command::RequestPreparation { preparation_is_open, run, reason } => {
                match known.preparation {
                    Some(run) if preparation_is_open => Err(Rejected::BeingPrepared { run }),
                    _ => Ok(vec![known.request_preparation(run, Some(reason), now)]),
                }
            }
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        let Some(mut known) = state else {
            return match event {
                Event::Registered(registration) => Some(Present::new(registration.clone())),
                _ => None,
            };
        };
        match event {
            Event::Registered(registration) => known = Present::new(registration.clone()),
            Event::ClientAdmitted { client } => {
                known.clients.insert(*client);
            }
            Event::ClientReleased { client } => {
                known.clients.remove(client);
            }
            Event::Retired {} => known.is_retired = true,
            Event::RegistrationChanged(registration) => known.registration = registration.clone(),
            Event::AcceptanceChanged { accepts_new_backends } => {
                known.registration.accepts_new_backends = *accepts_new_backends;
            }
            Event::FragmentApplied { fragment, digest: Some(digest) } => {
                known.fragments.insert(fragment.clone(), digest.clone());
            }
            Event::FragmentApplied { fragment, digest: None } => {
                known.fragments.remove(fragment);
            }
            Event::Troubled { troubles } => known.troubles.clone_from(troubles),
            Event::Recovered {} => {
                known.troubles.clear();
                known.preparations = 0;
                known.next_preparation = None;
            }
            Event::PreparationRequested { run, next, .. } => {
                known.preparation = Some(*run);
                known.preparations = known.preparations.saturating_add(1);
                known.next_preparation = Some(*next);
            }
        }
        Some(known)
    }
}

impl Present {
    fn new(registration: Registration) -> Self {
        Self {
            registration,
            fragments: BTreeMap::new(),
            troubles: vec![],
            preparation: None,
            preparations: 0,
            next_preparation: None,
            clients: BTreeSet::new(),
            is_retired: false,
        }
    }

    /// Whether an instance that has no balancer may be given to it.
    #[must_use]
    pub fn accepts(&self) -> bool {
        self.registration.accepts_new_backends && !self.is_retired
    }

    fn request_preparation(&self, run: RunId, reason: Option<String>, now: Timestamp) -> Event {
        let pause = PREPARATION_PAUSE
            .saturating_mul(1 << self.preparations.min(16))
            .min(PREPARATION_PAUSE_MAX);
        Event::PreparationRequested { run, reason, next: now + pause }
    }

    /// Whether a fragment of that name is of this Ocim's making.
    #[must_use]
    pub fn bears_mark(&self, fragment: &str) -> bool {
        let Registration { fragment_name_prefix: prefix, fragment_name_postfix: postfix, .. } =
            &self.registration;
        fragment.starts_with(&fragment_name(prefix, postfix, ""))
    }

    /// What differs between the fragments that it has, each with its digest, and those that the log
    /// says it has. What bears another's mark is another's business.
    #[must_use]
    pub fn compare_fragments(&self, seen: &BTreeMap<String, String>) -> Vec<Trouble> {
        let known = self.fragments.iter().filter_map(|(name, digest)| match seen.get(name) {
            None => Some(Trouble::Missing { fragment: name.clone() }),
            Some(other) if other != digest => Some(Trouble::Differs { fragment: name.clone() }),
            Some(_) => None,
        });
        let strays = seen.keys().filter(|name| self.bears_mark(name));
        let strays = strays
            .filter(|name| !self.fragments.contains_key(*name))
            .map(|name| Trouble::Stray { fragment: name.clone() });
        let mut troubles: Vec<_> = known.chain(strays).collect();
        troubles.sort();
        troubles
    }
}
