//! Mails that Ocim sends.

use crate::examples::{Example, second};
use crate::texts::{AppserverId, InstanceId, MailId, Prose, RunId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a mail is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailAbout {
    /// A launch that failed.
    LaunchFailed,
}

impl MailAbout {
    /// As on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LaunchFailed => "launch_failed",
        }
    }
}

/// How far a mail is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// The mail server has not taken it yet.
    Waiting,
    /// The mail server has it.
    Delivered,
    /// It is not sent.
    GivenUp,
}

impl MailState {
    /// As on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// One mail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mail {
    /// `mail_…`.
    #[schema(value_type = MailId)]
    pub id: String,
    /// What it is about.
    pub about: MailAbout,
    /// `inst_…` of the site.
    #[schema(value_type = InstanceId)]
    pub instance: String,
    /// `apps_…` of the Appserver, where it is about one.
    #[schema(value_type = Option<AppserverId>)]
    pub appserver: Option<String>,
    /// `run_…` that it is about, where it is about one.
    #[schema(value_type = Option<RunId>)]
    pub about_run: Option<String>,
    /// `run_…` that sends it.
    #[schema(value_type = RunId)]
    pub run: String,
    /// To how many people.
    #[schema(minimum = 0)]
    pub recipients: i64,
    /// How far it is.
    pub state: MailState,
    /// For how many of the recipients the mail server has not taken it; the run's log names them.
    #[schema(minimum = 0)]
    pub refused: Option<i64>,
    /// Why it was given up.
    #[schema(value_type = Option<Prose>)]
    pub reason: Option<String>,
    /// When it was asked for.
    pub created: DateTime<Utc>,
    /// When its state changed last.
    pub modified: DateTime<Utc>,
}

impl Example for Mail {
    fn example() -> Self {
        Self {
            id: MailId::EXAMPLE.to_owned(),
            about: MailAbout::LaunchFailed,
            instance: InstanceId::EXAMPLE.to_owned(),
            appserver: Some(AppserverId::EXAMPLE.to_owned()),
            about_run: Some(RunId::EXAMPLE.to_owned()),
            run: "run_5f0c1b7e-8a2d-5c46-9e3f-7d1b4a6c2e80".to_owned(),
            recipients: 2,
            state: MailState::Delivered,
            refused: Some(0),
            reason: None,
            created: second(900),
            modified: second(902),
        }
    }
}
