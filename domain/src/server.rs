//! One virtual machine as its cloud reports it (core §2.1).

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{AppserverId, ServerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::IpAddr;

/// What kind of machine is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// Whose machine it is.
    pub appserver: AppserverId,
    /// The region, which names a configured cloud.
    pub region: String,
    /// Its name in the cloud.
    pub name: String,
    /// Flavor selector.
    pub flavor: Value,
    /// Image selector.
    pub image: Value,
    /// Key pair; blank for none.
    pub keyname: String,
    /// Security groups, the main one first.
    pub security_groups: Vec<String>,
}

/// Where a machine is reached. The ports are the cloud's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAddress {
    /// Public address.
    pub ip: IpAddr,
    /// Where sshd listens.
    pub ssh_port: u16,
    /// Where the web server listens.
    pub http_port: u16,
    /// Whom to log in as.
    pub ssh_user: String,
    /// Whether that user may become root there.
    pub may_become_root: bool,
}

/// The states of core §2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not asked for yet.
    Pending,
    /// Being built.
    Building,
    /// Active in the cloud, (re)booting.
    Booting,
    /// Answers SSH.
    Ready,
    /// Observed to be gone, for good.
    Terminated,
    /// The cloud does not answer: nobody knows.
    Unknown,
    /// The cloud refused or failed to build it.
    Failed,
    /// The cloud says that it does not exist, and nobody here took it away.
    Vanished,
}

impl Status {
    /// Every status, in the order of a life.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Building,
        Self::Booting,
        Self::Ready,
        Self::Terminated,
        Self::Unknown,
        Self::Failed,
        Self::Vanished,
    ];

    /// True where nothing is under way.
    #[must_use]
    pub fn is_steady(self) -> bool {
        matches!(self, Self::Ready | Self::Terminated | Self::Failed | Self::Vanished)
    }

    /// True where SSH answers.
    #[must_use]
    pub fn accepts_ssh(self) -> bool {
        self == Self::Ready
    }

    /// True where the machine is up in its cloud.
    #[must_use]
    pub fn is_vm_available(self) -> bool {
        matches!(self, Self::Booting | Self::Ready)
    }
}

/// What a cloud says a machine is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Being built.
    Building,
    /// Up, or booting.
    Active,
    /// Stopped.
    Shutoff,
    /// The cloud gave up on it.
    Error,
}

/// What one may ask of, or observe at, a Server.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make the record; the machine is not asked for yet.
    Request(Box<Requested>),
    /// The cloud is about to be asked.
    StartBuilding,
    /// The cloud made a `machine`: its id there.
    RecordMachine { machine: String },
    /// The cloud refused it, or reports an error.
    FailBuild { reason: String },
    /// The cloud says it is active, or a reboot was asked for. The `address` may come later: then
    /// once more, with it.
    StartBooting { address: Option<ServerAddress>, cause: BootCause },
    /// It answers SSH with these host keys; `boot_id` tells one boot from the next.
    BecomeReady { host_keys: Vec<String>, boot_id: String },
    /// The cloud does not answer.
    LoseSight { reason: String },
    /// The cloud answers again, and is still building it.
    FindBuilding,
    /// The cloud says that it does not exist, as was wanted.
    Terminate,
    /// The cloud says that it does not exist, though nobody here took it away.
    Vanish,
    /// One that had vanished is there again, doing this.
    ComeBack { power: Power },
    /// The cloud says that it is doing this, with a `fault` where it gave up on it.
    ObservePower { power: Power, fault: Option<String> },
}

/// Why a machine boots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootCause {
    /// It was just built.
    Built,
    /// We asked for a reboot.
    Rebooted,
    /// It came back into sight.
    FoundAgain,
}

/// What happened to a Server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// A machine is wanted.
    #[serde(rename = "server.requested")]
    Requested(Box<Requested>),
    /// The cloud is being asked for it.
    #[serde(rename = "server.building_started")]
    BuildingStarted {},
    /// The cloud made a `machine`: its id there.
    #[serde(rename = "server.machine_recorded")]
    MachineRecorded { machine: String },
    /// It could not be built.
    #[serde(rename = "server.build_failed")]
    BuildFailed { reason: String },
    /// It is active in its cloud; without an `address`, the one known before stands.
    #[serde(rename = "server.booting_started")]
    BootingStarted { address: Option<ServerAddress>, cause: BootCause },
    /// It answers SSH with these host keys; `boot_id` tells one boot from the next.
    #[serde(rename = "server.became_ready")]
    BecameReady { host_keys: Vec<String>, boot_id: String },
    /// Its cloud does not answer.
    #[serde(rename = "server.sight_lost")]
    SightLost { reason: String },
    /// Its cloud answers again: it is still being built.
    #[serde(rename = "server.found_building")]
    FoundBuilding {},
    /// Its cloud says that it does not exist.
    #[serde(rename = "server.terminated")]
    Terminated {},
    /// Its cloud says that it does not exist, though nobody here took it away. It was believed to
    /// be `before`.
    #[serde(rename = "server.vanished")]
    Vanished { before: Status },
    /// It is there again, and does this.
    #[serde(rename = "server.came_back")]
    CameBack { after: Power },
    /// It is doing something else in its cloud than it did when last looked at.
    #[serde(rename = "server.power_changed")]
    PowerChanged { before: Option<Power>, after: Power },
    /// Its cloud gave up on it.
    #[serde(rename = "server.error_seen")]
    ErrorSeen { before: Option<Power>, fault: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("server.requested", 1),
        ("server.building_started", 1),
        ("server.machine_recorded", 1),
        ("server.build_failed", 1),
        ("server.booting_started", 1),
        ("server.became_ready", 1),
        ("server.sight_lost", 1),
        ("server.found_building", 1),
        ("server.terminated", 1),
        ("server.vanished", 1),
        ("server.came_back", 1),
        ("server.power_changed", 1),
        ("server.error_seen", 1),
    ];
}

/// A Server as its events tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum State {
    /// No event yet.
    #[default]
    Absent,
    /// It exists.
    Present(Box<Present>),
}

/// An existing Server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Present {
    /// What was wanted.
    pub requested: Requested,
    /// What it is doing.
    pub status: Status,
    /// The cloud's id, once it gave one.
    pub machine: Option<String>,
    /// Where it is reached, once known.
    pub address: Option<ServerAddress>,
    /// Its host keys, once it was ready.
    pub host_keys: Vec<String>,
    /// The boot it was last seen ready in.
    pub boot_id: Option<String>,
    /// Why it failed or is out of sight.
    pub reason: Option<String>,
    /// What its cloud last said that it does; none before it was asked for.
    pub power: Option<Power>,
}

impl Present {
    /// What is wrong with its machine, as people are told; none where nothing is known to be.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        let region = &self.requested.region;
        match (self.status, self.power) {
            (Status::Vanished, _) => Some(format!("region {region} has no such machine any more")),
            (_, Some(Power::Error)) => {
                let fault = self.reason.as_deref().unwrap_or("no fault was given");
                Some(format!("region {region} gave up on its machine: {fault}"))
            }
            (_, Some(Power::Shutoff)) => Some(format!("region {region} has stopped its machine")),
            _ => None,
        }
    }
}

impl State {
    /// The Server, if it exists.
    #[must_use]
    pub fn present(&self) -> Option<&Present> {
        match self {
            Self::Present(present) => Some(present),
            Self::Absent => None,
        }
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such Server.
    #[error("the server does not exist")]
    Absent,
    /// It exists already.
    #[error("the server exists already")]
    Exists,
    /// No transition leads there.
    #[error("a server that is {from:?} can't become {to:?}")]
    WrongStatus {
        /// What it is.
        from: Status,
        /// What was asked for.
        to: Status,
    },
    /// A machine has one id for life.
    #[error("the server already has the machine `{machine}`")]
    OtherMachine {
        /// The machine it has.
        machine: String,
    },
}

/// The rules of a Server.
#[derive(Debug, Clone, Copy)]
pub struct Server;

impl Decider for Server {
    const CATEGORY: &'static str = ServerId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        use Status::{Booting, Building, Failed, Pending, Ready, Terminated, Unknown, Vanished};
        if let Command::Request(requested) = command {
            return match state {
                State::Absent => Ok(vec![Event::Requested(requested)]),
                State::Present(present) if present.requested == *requested => Ok(vec![]),
                State::Present(_) => Err(Rejected::Exists),
            };
        }
        let present = state.present().ok_or(Rejected::Absent)?;
        match command {
            Command::Request(_) => Err(Rejected::Exists),
            Command::StartBuilding => {
                step(present, &[Pending], Building, Event::BuildingStarted {})
            }
            Command::RecordMachine { machine } => decide_record_machine(present, machine),
            Command::FailBuild { reason } => {
                step(present, &[Building, Unknown], Failed, Event::BuildFailed { reason })
            }
            Command::StartBooting { address, cause } => {
                let tells_address = address.is_some() && address != present.address;
                let event = Event::BootingStarted { address, cause };
                if present.status == Booting && tells_address {
                    return Ok(vec![event]); // The address often comes after the machine is active.
                }
                step(present, &[Building, Ready, Unknown], Booting, event)
            }
            Command::BecomeReady { host_keys, boot_id } => {
                step(present, &[Booting], Ready, Event::BecameReady { host_keys, boot_id })
            }
            Command::LoseSight { reason } => {
                step(present, &[Building, Booting, Ready], Unknown, Event::SightLost { reason })
            }
            Command::FindBuilding => step(present, &[Unknown], Building, Event::FoundBuilding {}),
            Command::Terminate => step(
                present,
                &[Pending, Building, Booting, Ready, Unknown, Failed, Vanished],
                Terminated,
                Event::Terminated {},
            ),
            Command::Vanish => step(
                present,
                &[Building, Booting, Ready, Unknown, Failed],
                Vanished,
                Event::Vanished { before: present.status },
            ),
            // One that is there already did not come back: somebody else has recorded it.
            Command::ComeBack { power } if present.status == Vanished => {
                Ok(vec![Event::CameBack { after: power }])
            }
            Command::ComeBack { .. } => Ok(vec![]),
            Command::ObservePower { power, fault } => Ok(decide_power(present, power, fault)),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::Absent, Event::Requested(requested)) => State::Present(Box::new(Present {
                requested: (**requested).clone(),
                status: Status::Pending,
                machine: None,
                address: None,
                host_keys: vec![],
                boot_id: None,
                reason: None,
                power: None,
            })),
            (State::Absent, _) => State::Absent,
            (State::Present(present), event) => {
                State::Present(Box::new(evolve_present(*present, event)))
            }
        }
    }
}

/// One arrow of core §2.1: silent when it is already there, refused from anywhere else.
fn step(
    present: &Present,
    from: &[Status],
    to: Status,
    event: Event,
) -> Result<Vec<Event>, Rejected> {
    if present.status == to {
        Ok(vec![])
    } else if from.contains(&present.status) {
        Ok(vec![event])
    } else {
        Err(Rejected::WrongStatus { from: present.status, to })
    }
}

fn decide_record_machine(present: &Present, machine: String) -> Result<Vec<Event>, Rejected> {
    match &present.machine {
        Some(known) if *known == machine => Ok(vec![]),
        Some(known) => Err(Rejected::OtherMachine { machine: known.clone() }),
        None => Ok(vec![Event::MachineRecorded { machine }]),
    }
}

/// Silent while nothing changes, however often one looks. Nothing is seen of what is not there.
fn decide_power(present: &Present, after: Power, fault: Option<String>) -> Vec<Event> {
    let before = present.power;
    if matches!(present.status, Status::Pending | Status::Terminated | Status::Vanished) {
        return vec![];
    }
    match after {
        _ if before == Some(after) => vec![],
        Power::Error => {
            let fault = fault.unwrap_or_else(|| "no fault was given".to_owned());
            vec![Event::ErrorSeen { before, fault }]
        }
        Power::Building | Power::Active | Power::Shutoff => {
            vec![Event::PowerChanged { before, after }]
        }
    }
}

fn evolve_present(mut present: Present, event: &Event) -> Present {
    match event {
        Event::Requested(_) => {}
        Event::BuildingStarted {} | Event::FoundBuilding {} => {
            present.status = Status::Building;
            present.power = Some(Power::Building);
        }
        Event::MachineRecorded { machine } => present.machine = Some(machine.clone()),
        Event::BuildFailed { reason } => {
            present.status = Status::Failed;
            present.reason = Some(reason.clone());
        }
        Event::BootingStarted { address, .. } => {
            present.status = Status::Booting;
            present.power = Some(Power::Active);
            present.reason = None;
            if address.is_some() {
                present.address.clone_from(address);
            }
        }
        Event::BecameReady { host_keys, boot_id } => {
            present.status = Status::Ready;
            present.host_keys.clone_from(host_keys);
            present.boot_id = Some(boot_id.clone());
        }
        Event::SightLost { reason } => {
            present.status = Status::Unknown;
            present.reason = Some(reason.clone());
        }
        Event::Terminated {} => {
            present.status = Status::Terminated;
            present.power = None;
        }
        Event::Vanished { .. } => {
            present.status = Status::Vanished;
            present.power = None;
            present.reason = Some("its cloud says that it does not exist".to_owned());
        }
        // Whether it answers is to be seen: until then it boots.
        Event::CameBack { after } => {
            present.status = Status::Booting;
            present.power = Some(*after);
            present.reason = None;
        }
        Event::PowerChanged { after, .. } => {
            if present.power == Some(Power::Error) {
                present.reason = None;
            }
            present.power = Some(*after);
        }
        Event::ErrorSeen { fault, .. } => {
            present.power = Some(Power::Error);
            present.reason = Some(fault.clone());
        }
    }
    present
}
