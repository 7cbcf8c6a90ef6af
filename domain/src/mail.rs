//! One mail that Ocim sends: asked for once for each cause, then handed over or given up.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{AppserverId, InstanceId, MailId, NAMESPACE, RunId};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What a mail is about. There is one mail for each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum About {
    /// A launch that failed.
    LaunchFailed {
        /// The site.
        instance: InstanceId,
        /// The Appserver that was to be made.
        appserver: AppserverId,
        /// The run that was to make it.
        launch: RunId,
    },
}

impl About {
    /// What it is about, for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::LaunchFailed { .. } => "launch_failed",
        }
    }

    /// What makes this cause another than all others.
    fn cause(&self) -> String {
        match self {
            Self::LaunchFailed { launch, .. } => format!("launch_failed/{launch}"),
        }
    }

    /// The mail about it: the same, whoever asks, however often.
    #[must_use]
    pub fn mail_id(&self) -> MailId {
        MailId(Uuid::new_v5(&NAMESPACE, format!("mail/{}", self.cause()).as_bytes()))
    }

    /// The run that sends it.
    #[must_use]
    pub fn mail_run(&self) -> RunId {
        RunId(Uuid::new_v5(&NAMESPACE, format!("send_mail/{}", self.cause()).as_bytes()))
    }
}

/// What one may ask of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send it, in `run`, to so many people.
    Request { about: About, run: RunId, recipients: u32 },
    /// The mail server has taken it, but for so many of the recipients.
    Deliver { refused: u32 },
    /// It is not sent, for this reason.
    GiveUp { reason: String },
}

/// What happened to a mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// It is to be sent.
    #[serde(rename = "mail.requested")]
    Requested {
        /// What it is about.
        #[serde(flatten)]
        about: About,
        /// The run that sends it.
        run: RunId,
        /// To how many people.
        recipients: u32,
    },
    /// The mail server has taken it.
    #[serde(rename = "mail.delivered")]
    Delivered {
        /// For how many of the recipients it has not.
        refused: u32,
    },
    /// It is not sent.
    #[serde(rename = "mail.given_up")]
    GivenUp {
        /// Why.
        reason: String,
    },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] =
        &[("mail.requested", 1), ("mail.delivered", 1), ("mail.given_up", 1)];
}

/// How far a mail is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum State {
    /// Nobody asked for it.
    #[default]
    Absent,
    /// It waits to be taken by the mail server.
    Waiting,
    /// The mail server has it.
    Delivered,
    /// It is not sent.
    GivenUp,
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Nobody asked for it.
    #[error("nobody asked for this mail")]
    Absent,
}

/// The rules of a mail.
#[derive(Debug, Clone, Copy)]
pub struct Mail;

impl Decider for Mail {
    const CATEGORY: &'static str = MailId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(state: &State, command: Command, _now: Timestamp) -> Result<Vec<Event>, Rejected> {
        Ok(match (state, command) {
            // One that was given up is sent after all when its run is turned forward again.
            (State::Absent | State::GivenUp, Command::Request { about, run, recipients }) => {
                vec![Event::Requested { about, run, recipients }]
            }
            (_, Command::Request { .. }) => vec![],
            (State::Absent, _) => return Err(Rejected::Absent),
            // What the mail server has, it has, whatever was said before.
            (State::Waiting | State::GivenUp, Command::Deliver { refused }) => {
                vec![Event::Delivered { refused }]
            }
            (State::Waiting, Command::GiveUp { reason }) => vec![Event::GivenUp { reason }],
            (State::Delivered, Command::Deliver { .. })
            | (State::Delivered | State::GivenUp, Command::GiveUp { .. }) => vec![],
        })
    }

    fn evolve(_: State, event: &Event) -> State {
        match event {
            Event::Requested { .. } => State::Waiting,
            Event::Delivered { .. } => State::Delivered,
            Event::GivenUp { .. } => State::GivenUp,
        }
    }
}
