//! Maintenance: visitors of an Instance get a page instead of the site, until somebody ends it.

use super::{Event, Present};
use crate::Timestamp;
use crate::ids::RunId;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// Longest message to visitors, in characters: as HTML it has to fit into one buffer of HAProxy's.
pub const MESSAGE_CHARS_MAX: usize = 500;
/// How far ahead its end may be announced.
pub const DAYS_MAX: i64 = 92;

/// What visitors of a site under maintenance are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Why the site is away, in people's words.
    pub message: String,
    /// When it is expected back. It stays away until somebody ends the maintenance.
    pub until: Timestamp,
}

/// What was asked for last, while its run has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The run that does it.
    pub run: RunId,
    /// What visitors are to get: that page, or without one the site.
    pub page: Option<Maintenance>,
}

/// What one may ask, or record, about the maintenance of an Instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Give visitors this page, or without one the site again, by `run`.
    Request {
        /// The run.
        run: RunId,
        /// The page.
        page: Option<Maintenance>,
    },
    /// The balancer answers as that run was asked for.
    Record {
        /// The run.
        run: RunId,
    },
    /// That run leaves all as it was.
    Stop {
        /// The run.
        run: RunId,
    },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another run is at work on it.
    #[error("run {run} changes the maintenance already: wait for it, or cancel it")]
    InFlight {
        /// The run at work.
        run: RunId,
    },
    /// Nobody gets anything under its names.
    #[error("no load balancer answers for the instance yet: launch it first")]
    NoBalancer,
    /// There is nothing to end.
    #[error("the instance is not under maintenance: there is nothing to end")]
    NotUnder,
    /// Visitors get that page already.
    #[error("visitors get that page already: there is nothing to do")]
    IsSo,
    /// The message can't be shown.
    #[error("must be of 1 to {MESSAGE_CHARS_MAX} characters, without control characters")]
    Message,
    /// The end was announced for a time that is over.
    #[error("must lie ahead")]
    Past,
    /// The end was announced for a time that nobody waits for.
    #[error("must be at most {DAYS_MAX} days ahead")]
    TooLong,
    /// The run was asked for something that does not stand any more.
    #[error("run {run} is not asked to change the maintenance any more")]
    Overtaken {
        /// The run.
        run: RunId,
    },
}

impl Maintenance {
    fn check(&self, now: Timestamp) -> Result<(), Refused> {
        let is_shown = |c: char| !c.is_control() || c == '\n';
        let length = self.message.chars().count();
        if self.message.trim().is_empty()
            || length > MESSAGE_CHARS_MAX
            || !self.message.chars().all(is_shown)
        {
            return Err(Refused::Message);
        }
        if self.until <= now {
            return Err(Refused::Past);
        }
        if self.until - now > TimeDelta::days(DAYS_MAX) {
            return Err(Refused::TooLong);
        }
        Ok(())
    }
}

/// The rules.
pub(super) fn decide(
    present: &Present,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Event>, super::Rejected> {
    let asked = present.maintenance_change.as_ref();
    match command {
        Command::Request { run, .. } if asked.is_some_and(|asked| asked.run == run) => Ok(vec![]),
        Command::Request { run, page } => {
            present.check_live()?;
            if let Some(asked) = asked {
                return Err(Refused::InFlight { run: asked.run }.into());
            }
            if let Some(page) = &page {
                page.check(now)?;
            }
            if present.load_balancer.is_none() {
                return Err(Refused::NoBalancer.into());
            }
            if page == present.maintenance {
                let is_off = page.is_none();
                return Err(if is_off { Refused::NotUnder } else { Refused::IsSo }.into());
            }
            Ok(vec![Event::MaintenanceRequested { run, page }])
        }
        Command::Record { run } => match asked.filter(|asked| asked.run == run) {
            Some(asked) => Ok(vec![Event::MaintenanceChanged { run, page: asked.page.clone() }]),
            // It was recorded before, and the answer was lost.
            None if present.maintenance_run == Some(run) => Ok(vec![]),
            None => Err(Refused::Overtaken { run }.into()),
        },
        Command::Stop { run } => Ok(match asked.filter(|asked| asked.run == run) {
            Some(_) => vec![Event::MaintenanceChangeStopped { run }],
            None => vec![],
        }),
    }
}

/// What its events mean; others are none of theirs. An instance that is out of service has none.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    match event {
        Event::MaintenanceRequested { run, page } => {
            present.maintenance_change = Some(Change { run: *run, page: page.clone() });
        }
        Event::MaintenanceChanged { run, page } => {
            present.maintenance.clone_from(page);
            present.maintenance_change = None;
            present.maintenance_run = Some(*run);
        }
        Event::MaintenanceChangeStopped { .. } => present.maintenance_change = None,
        Event::Archived { .. } | Event::Deleted { .. } => {
            present.maintenance = None;
            present.maintenance_change = None;
        }
        _ => {}
    }
}
