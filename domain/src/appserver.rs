//! One frozen configuration on one server: how far its launch came, and whether it receives traffic.

mod keeping;
mod restart;
mod status;
mod termination;

pub use keeping::{CleanUp, clean_up_run};
pub use status::Status;
pub use termination::status_once_terminated;

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{AppserverId, InstanceId, RunId, ServerId};
use crate::protected::Protected;
use crate::saga::step_key;
use crate::settings::{self, InstanceSettings};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an Appserver was made from; never changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launched {
    /// The site it belongs to.
    pub instance: InstanceId,
    /// "AppServer <number>", from 1.
    pub number: u32,
    /// Its machine.
    pub server: ServerId,
    /// The run that makes it.
    pub run: RunId,
    /// The instance's settings at that moment.
    pub settings: Box<InstanceSettings>,
    /// Which version of the instance's settings those are, from 1.
    pub settings_version: u64,
    /// The merged Ansible variables, a JSON object as text (core §5.1). Holds derived passwords.
    pub variables: Protected,
    /// Where each of them comes from, a [`Provenance`] as JSON text. Holds what was overridden.
    ///
    /// [`Provenance`]: crate::configuration::provenance::Provenance
    pub provenance: Protected,
    /// The variables of the playbook that makes LMS users, a JSON object as text.
    pub users_variables: Protected,
    /// The variables of the playbook that all sites share, a JSON object as text.
    pub common_variables: Protected,
    /// Its own host name (`COMMON_HOSTNAME`).
    pub hostname: String,
    /// The commit that `configuration_version` meant then, and that is played; none where the
    /// playbook ships inside Ocim.
    pub configuration_commit: Option<String>,
}

/// The run that brings an Appserver into traffic once the launch in `run` has succeeded.
#[must_use]
pub fn activation_after(run: RunId) -> RunId {
    RunId(step_key(run, "activation"))
}

/// What one may ask of an Appserver.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Make it.
    Launch(Box<Launched>),
    /// Its machine is being asked for.
    StartWaiting,
    /// The machine answers SSH.
    StartConfiguring,
    /// The site answered its heartbeat.
    StartRunning,
    /// Configuration went wrong, for this `reason`. The machine is kept for people to look at
    /// until `keeps_server_until`; for as long as nobody takes it away where there is no time.
    FailConfiguration { reason: String, keeps_server_until: Option<Timestamp> },
    /// The machine never came up, for this `reason`.
    FailLaunch { reason: String },
    /// Its launch was cancelled; `reason` is what the person said.
    Cancel { reason: String },
    /// Bring it into traffic, in `run`. `deactivate_others` takes all others out once it serves;
    /// `force` does it although it is not running.
    RequestActivation { run: RunId, deactivate_others: bool, force: bool },
    /// It receives traffic.
    Activate,
    /// Take it out of traffic, in `run`. `force`, with a `reason`, does it although it is the last.
    RequestDeactivation { run: RunId, force: bool, reason: Option<String> },
    /// It receives no traffic.
    Deactivate,
    /// Take it and its machine away, in `run`. `force`, with a `reason`, does it although it is the
    /// last that serves the site.
    RequestTermination { run: RunId, force: bool, reason: Option<String> },
    /// That termination begins: it can't be given traffic any more.
    StartTermination { run: RunId },
    /// That termination turns back: its machine stays.
    StopTermination { run: RunId },
    /// Its machine is observed to be gone.
    Terminate,
    /// Restart its machine, in `run`. `force`, with a `reason`, does it although the site is away
    /// meanwhile.
    RequestRestart { run: RunId, force: bool, reason: Option<String> },
    /// That run's restart is over: the site answers again.
    RecordRestart { run: RunId },
    /// That run's restart is called off, or given up.
    StopRestart { run: RunId },
    /// Keep a failed one's machine until then, for this `reason`; earlier or later than before.
    KeepServer { until: Timestamp, reason: String },
    /// Take a failed one's machine away, in `run`: it was kept until `due`, which has come.
    CleanUpWhenDue { run: RunId, due: Timestamp },
    /// Take a failed one's machine away now, in `run`, for this `reason`.
    RequestCleanUp { run: RunId, reason: String },
    /// Take the machine away of one that is obsolete, in `run`, for this `reason`: refused unless it is at
    /// rest and serves nobody.
    CleanUpObsolete { run: RunId, reason: String },
    /// The clean-up for `due`, or the one that was asked for, begins: it can't serve any more.
    StartCleanUp { run: RunId },
    /// That clean-up turns back: its machine stays until somebody decides anew.
    StopCleanUp { run: RunId },
    /// Its machine is in this `trouble`, or in none.
    ObserveMachine { trouble: Option<String> },
}

/// What happened to an Appserver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It exists, frozen.
    #[serde(rename = "appserver.launched")]
    Launched(Box<Launched>),
    /// Its machine was asked for.
    #[serde(rename = "appserver.waiting_started")]
    WaitingStarted {},
    /// Playbooks began.
    #[serde(rename = "appserver.configuring_started")]
    ConfiguringStarted {},
    /// The site answered its heartbeat.
    #[serde(rename = "appserver.running_started")]
    RunningStarted {},
    /// It was not configured successfully; its machine stays until `keeps_server_until`.
    #[serde(rename = "appserver.configuration_failed")]
    ConfigurationFailed { reason: String, keeps_server_until: Option<Timestamp> },
    /// Its machine never came up.
    #[serde(rename = "appserver.launch_failed")]
    LaunchFailed { reason: String },
    /// Its launch was cancelled.
    #[serde(rename = "appserver.cancelled")]
    Cancelled { reason: String },
    /// Somebody asked to bring it into traffic.
    #[serde(rename = "appserver.activation_requested")]
    ActivationRequested { run: RunId, deactivate_others: bool, force: bool },
    /// It receives traffic.
    #[serde(rename = "appserver.activated")]
    Activated { at: Timestamp },
    /// Somebody asked to take it out of traffic.
    #[serde(rename = "appserver.deactivation_requested")]
    DeactivationRequested { run: RunId, force: bool, reason: Option<String> },
    /// It receives no traffic any more.
    #[serde(rename = "appserver.deactivated")]
    Deactivated { at: Timestamp },
    /// Somebody asked to take it away.
    #[serde(rename = "appserver.termination_requested")]
    TerminationRequested { run: RunId, force: bool, reason: Option<String> },
    /// It is being taken away: it can't be given traffic any more.
    #[serde(rename = "appserver.termination_started")]
    TerminationStarted { run: RunId },
    /// Its termination turned back: its machine stays.
    #[serde(rename = "appserver.termination_stopped")]
    TerminationStopped { run: RunId },
    /// Its machine is gone. `status` is what it was left in (core §4.3).
    #[serde(rename = "appserver.terminated")]
    Terminated { status: Status, at: Timestamp },
    /// Somebody asked to restart its machine.
    #[serde(rename = "appserver.restart_requested")]
    RestartRequested { run: RunId, force: bool, reason: Option<String> },
    /// Its machine was restarted, and its site answers.
    #[serde(rename = "appserver.restarted")]
    Restarted { run: RunId },
    /// The run that was to restart its machine did not come to its end.
    #[serde(rename = "appserver.restart_stopped")]
    RestartStopped { run: RunId },
    /// Its machine is kept until then.
    #[serde(rename = "appserver.server_kept")]
    ServerKept { before: Option<Timestamp>, until: Timestamp, reason: String },
    /// Its machine is to be taken away: it was kept until `due`, or somebody gave a `reason`, which is
    /// that of the daily clean-up where it is `obsolete`.
    #[serde(rename = "appserver.clean_up_requested")]
    CleanUpRequested {
        run: RunId,
        due: Option<Timestamp>,
        reason: Option<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        obsolete: bool,
    },
    /// Its machine is being taken away: it can't serve any more.
    #[serde(rename = "appserver.clean_up_started")]
    CleanUpStarted { run: RunId },
    /// Its clean-up turned back: its machine stays until somebody decides anew.
    #[serde(rename = "appserver.clean_up_stopped")]
    CleanUpStopped { run: RunId },
    /// Its machine is in trouble, though nobody here asked for that.
    #[serde(rename = "appserver.machine_troubled")]
    MachineTroubled { trouble: String },
    /// Its machine is well again.
    #[serde(rename = "appserver.machine_recovered")]
    MachineRecovered { trouble: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("appserver.launched", 1),
        ("appserver.waiting_started", 1),
        ("appserver.configuring_started", 1),
        ("appserver.running_started", 1),
        ("appserver.configuration_failed", 1),
        ("appserver.launch_failed", 1),
        ("appserver.cancelled", 1),
        ("appserver.activation_requested", 1),
        ("appserver.activated", 1),
        ("appserver.deactivation_requested", 1),
        ("appserver.deactivated", 1),
        ("appserver.termination_requested", 1),
        ("appserver.termination_started", 1),
        ("appserver.termination_stopped", 1),
        ("appserver.terminated", 1),
        ("appserver.restart_requested", 1),
        ("appserver.restarted", 1),
        ("appserver.restart_stopped", 1),
        ("appserver.server_kept", 1),
        ("appserver.clean_up_requested", 1),
        ("appserver.clean_up_started", 1),
        ("appserver.clean_up_stopped", 1),
        ("appserver.machine_troubled", 1),
        ("appserver.machine_recovered", 1),
    ];

    fn is_known(kind: &str, data: &Value) -> bool {
        kind != "appserver.launched" || settings::are_known(&data["settings"])
    }
}

/// An Appserver as its events tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum State {
    /// No event yet.
    #[default]
    Absent,
    /// It exists.
    Present(Box<Present>),
}

/// An existing Appserver.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// What it was made from.
    pub launched: Launched,
    /// How far it came.
    pub status: Status,
    /// Why it failed or was cancelled.
    pub failure: Option<String>,
    /// Whether it receives traffic.
    pub active: bool,
    /// When it last began to receive traffic.
    pub last_activated: Option<Timestamp>,
    /// The activation, deactivation or termination asked for last; whether it is still under way
    /// is the run's to say.
    pub run_in_flight: Option<RunId>,
    /// The termination that has begun.
    pub termination_run: Option<RunId>,
    /// True once its machine was observed to be gone.
    pub server_gone: bool,
    /// When its machine went, if it had run (billing's end).
    pub terminated: Option<Timestamp>,
    /// Until when a failed one's machine is kept for people to look at.
    pub keeps_server_until: Option<Timestamp>,
    /// The clean-up that was asked for last.
    pub clean_up: Option<CleanUp>,
    /// What is wrong with its machine.
    pub trouble: Option<String>,
    /// The run that restarts its machine.
    pub restart_run: Option<RunId>,
}

impl Present {
    /// True where its machine goes away or is gone, so that it can't be given traffic.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        self.check_staying().is_err()
    }

    /// Refuses one whose machine goes away or is gone: it can't be given traffic.
    ///
    /// # Errors
    /// [`Rejected`] with the run that takes it away.
    pub fn check_staying(&self) -> Result<(), Rejected> {
        match (self.termination_run, self.clean_up) {
            _ if self.server_gone => Err(Rejected::Gone),
            (Some(run), _) => Err(Rejected::Terminating { run }),
            (None, Some(CleanUp { run, is_started: true, .. })) => {
                Err(Rejected::CleaningUp { run })
            }
            (None, _) => Ok(()),
        }
    }
}

impl State {
    /// The Appserver, if it exists.
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
    /// There is no such Appserver.
    #[error("the appserver does not exist")]
    Absent,
    /// It exists already.
    #[error("the appserver exists already")]
    Exists,
    /// No transition leads there.
    #[error("an appserver that is {from:?} can't become {to:?}")]
    WrongStatus {
        /// What it is.
        from: Status,
        /// What was asked for.
        to: Status,
    },
    /// Only a running one may receive traffic.
    #[error(
        "the appserver is {status:?}, not Running; ask with `force` to activate it all the same"
    )]
    NotRunning {
        /// What it is.
        status: Status,
    },
    /// Its launch has not ended.
    #[error("its launch is still under way: cancel run {run} first")]
    Launching {
        /// The run that makes it.
        run: RunId,
    },
    /// It is gone.
    #[error("its server is gone")]
    Gone,
    /// It receives traffic.
    #[error("it still receives traffic")]
    StillActive,
    /// Only a failed one's machine is kept for a time.
    #[error("the appserver is {status:?}: only one whose configuration failed is kept for a time")]
    NotKept {
        /// What it is.
        status: Status,
    },
    /// One can't keep it until a time that is over.
    #[error("`until` lies in the past: to take its machine away now, clean it up")]
    PastDate,
    /// Its clean-up has begun.
    #[error("its machine is being taken away by run {run}")]
    CleaningUp {
        /// The run.
        run: RunId,
    },
    /// Its termination has begun.
    #[error("it is being terminated by run {run}")]
    Terminating {
        /// The run.
        run: RunId,
    },
    /// Its machine is being restarted already.
    #[error("its machine is being restarted by run {run}: wait for it, or cancel it")]
    Restarting {
        /// The run.
        run: RunId,
    },
    /// Only one that runs comes back from a restart.
    #[error("the appserver is {status:?}: only one that is Running can be restarted")]
    NotRestartable {
        /// What it is.
        status: Status,
    },
    /// It is kept for longer than the clean-up thought.
    #[error("its machine is kept for longer by now")]
    KeptLonger,
}

/// The rules of an Appserver.
#[derive(Debug, Clone, Copy)]
pub struct Appserver;

impl Decider for Appserver {
    const CATEGORY: &'static str = AppserverId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
        use Status::{Cancelled, Configuring, Error, Failed, New, Running, Waiting};
        if let Command::Launch(launched) = command {
            return match state {
                State::Absent => Ok(vec![Event::Launched(launched)]),
                State::Present(present) if present.launched == *launched => Ok(vec![]),
                State::Present(_) => Err(Rejected::Exists),
            };
        }
        let present = state.present().ok_or(Rejected::Absent)?;
        match command {
            Command::Launch(_) => Err(Rejected::Exists),
            Command::StartWaiting if present.server_gone => Err(Rejected::Gone),
            Command::StartWaiting => step(present, &[New], Waiting, Event::WaitingStarted {}),
            Command::StartConfiguring => {
                step(present, &[Waiting], Configuring, Event::ConfiguringStarted {})
            }
            Command::StartRunning => {
                step(present, &[Configuring], Running, Event::RunningStarted {})
            }
            Command::FailConfiguration { reason, keeps_server_until } => {
                let event = Event::ConfigurationFailed { reason, keeps_server_until };
                step(present, &[Configuring], Failed, event)
            }
            Command::FailLaunch { reason } => {
                step(present, &[New, Waiting], Error, Event::LaunchFailed { reason })
            }
            Command::Cancel { reason } => {
                step(present, &[New, Waiting, Configuring], Cancelled, Event::Cancelled { reason })
            }
            Command::RequestActivation { run, .. }
            | Command::RequestDeactivation { run, .. }
            | Command::RequestTermination { run, .. }
                if present.run_in_flight == Some(run) =>
            {
                Ok(vec![]) // The same request once more.
            }
            Command::RequestActivation { run, deactivate_others, force } => {
                decide_request_activation(present, run, deactivate_others, force)
            }
            Command::Activate => {
                present.check_staying()?;
                Ok(if present.active { vec![] } else { vec![Event::Activated { at: now }] })
            }
            Command::RequestDeactivation { run, force, reason } => Ok(if present.active {
                vec![Event::DeactivationRequested { run, force, reason }]
            } else {
                vec![]
            }),
            Command::Deactivate if !present.active => Ok(vec![]),
            Command::Deactivate => Ok(vec![Event::Deactivated { at: now }]),
            command @ (Command::RequestTermination { .. }
            | Command::StartTermination { .. }
            | Command::StopTermination { .. }
            | Command::Terminate) => termination::decide(present, command, now),
            command @ (Command::RequestRestart { .. }
            | Command::RecordRestart { .. }
            | Command::StopRestart { .. }) => restart::decide(present, command),
            command @ (Command::KeepServer { .. }
            | Command::CleanUpWhenDue { .. }
            | Command::RequestCleanUp { .. }
            | Command::CleanUpObsolete { .. }
            | Command::StartCleanUp { .. }
            | Command::StopCleanUp { .. }
            | Command::ObserveMachine { .. }) => keeping::decide(present, command, now),
        }
    }

    fn evolve(state: State, event: &Event) -> State {
        match (state, event) {
            (State::Absent, Event::Launched(launched)) => State::Present(Box::new(Present {
                launched: (**launched).clone(),
                status: Status::New,
                failure: None,
                active: false,
                last_activated: None,
                run_in_flight: None,
                termination_run: None,
                server_gone: false,
                terminated: None,
                keeps_server_until: None,
                clean_up: None,
                trouble: None,
                restart_run: None,
            })),
            (State::Absent, _) => State::Absent,
            (State::Present(present), event) => {
                State::Present(Box::new(evolve_present(*present, event)))
            }
        }
    }
}

/// One arrow of core §2.2: silent when it is already there, refused from anywhere else.
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

fn decide_request_activation(
    present: &Present,
    run: RunId,
    deactivate_others: bool,
    force: bool,
) -> Result<Vec<Event>, Rejected> {
    present.check_staying()?;
    if present.status != Status::Running && !force {
        return Err(Rejected::NotRunning { status: present.status });
    }
    Ok(vec![Event::ActivationRequested { run, deactivate_others, force }])
}

fn evolve_present(mut present: Present, event: &Event) -> Present {
    match event {
        Event::Launched(_) => {}
        Event::WaitingStarted {} => present.status = Status::Waiting,
        Event::ConfiguringStarted {} => present.status = Status::Configuring,
        Event::RunningStarted {} => present.status = Status::Running,
        Event::ConfigurationFailed { reason, keeps_server_until } => {
            present.status = Status::Failed;
            present.failure = Some(reason.clone());
            present.keeps_server_until = *keeps_server_until;
        }
        Event::LaunchFailed { reason } => {
            present.status = Status::Error;
            present.failure = Some(reason.clone());
        }
        Event::Cancelled { reason } => {
            present.status = Status::Cancelled;
            present.failure = Some(reason.clone());
        }
        Event::ActivationRequested { run, .. } | Event::DeactivationRequested { run, .. } => {
            present.run_in_flight = Some(*run);
        }
        Event::Activated { at } => {
            present.active = true;
            present.last_activated = Some(*at);
        }
        Event::Deactivated { .. } => present.active = false,
        Event::TerminationRequested { .. }
        | Event::TerminationStarted { .. }
        | Event::TerminationStopped { .. }
        | Event::Terminated { .. } => termination::evolve(&mut present, event),
        Event::RestartRequested { .. } | Event::Restarted { .. } | Event::RestartStopped { .. } => {
            restart::evolve(&mut present, event)
        }
        Event::ServerKept { .. }
        | Event::CleanUpRequested { .. }
        | Event::CleanUpStarted { .. }
        | Event::CleanUpStopped { .. }
        | Event::MachineTroubled { .. }
        | Event::MachineRecovered { .. } => keeping::evolve(&mut present, event),
    }
    present
}
