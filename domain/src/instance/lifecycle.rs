//! How an Instance is archived, un-archived and deleted: who may ask when, and what it then allows.

use super::{Event, Present};
use crate::ids::RunId;
use crate::ledger;
use crate::names::{Service, effective_host};
use crate::settings::{Purpose, purpose};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How far an Instance is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It can be launched, and serve.
    #[default]
    Live,
    /// Its machines, DNS names and its part of the balancer are being taken away.
    Archiving,
    /// None of these is there; its data, settings, names and history are.
    Archived,
    /// Its DNS names and its part of the balancer are being made again.
    Unarchiving,
    /// All that it has is being taken away.
    Deleting,
    /// Only its history is left, and what could not be removed.
    Deleted,
}

impl Stage {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 6] = [
        Self::Live,
        Self::Archiving,
        Self::Archived,
        Self::Unarchiving,
        Self::Deleting,
        Self::Deleted,
    ];

    /// As in events, on the wire and in filters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Archiving => "archiving",
            Self::Archived => "archived",
            Self::Unarchiving => "unarchiving",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
        }
    }
}

/// What people read after "the instance is".
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Live => "live",
            Self::Archiving => "being archived",
            Self::Archived => "archived",
            Self::Unarchiving => "being un-archived",
            Self::Deleting => "being deleted",
            Self::Deleted => "deleted",
        })
    }
}

/// How far an Instance is in its life, and which run is at work on that.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// How far it is.
    pub stage: Stage,
    /// The run that archives, un-archives or deletes it. None where none does, or no longer: then
    /// another one may go on from there.
    pub run: Option<RunId>,
    /// Where it is again if that run turns back.
    before: Stage,
    /// What a deletion could not remove.
    pub residue: Vec<ledger::ResourceKey>,
}

/// What one may ask of, or record on, the life of an Instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Take it out of service in `run`, for this `reason`; what it keeps, un-archiving needs.
    RequestArchive { run: RunId, reason: String },
    /// All is gone that an archived Instance does not have.
    RecordArchived { run: RunId },
    /// Bring it back in `run`, for this `reason`; with `launch`, also an Appserver that serves.
    RequestUnarchive { run: RunId, reason: String, launch: bool },
    /// All is there that a live Instance has.
    RecordUnarchived { run: RunId },
    /// Take all away that it has, for good. `confirmation` is its name; what of the kinds in
    /// `ignore` can't be removed does not keep the rest.
    RequestDeletion { run: RunId, reason: String, confirmation: String, ignore: Vec<ledger::Kind> },
    /// All is gone but the `residue`.
    RecordDeleted { run: RunId, residue: Vec<ledger::ResourceKey> },
    /// That run is at rest without having come to its end. With `turned_back` it has left all as it
    /// was; without, another one may go on from there.
    StopRun { run: RunId, turned_back: bool },
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Only a live Instance allows it.
    #[error("the instance is {stage}{}: {}", by(*run), way_out(*stage, *run))]
    NotLive {
        /// How far it is.
        stage: Stage,
        /// The run at work.
        run: Option<RunId>,
    },
    /// Another run is at work on it.
    #[error("the instance is {stage} by run {run}: wait for it, or cancel it")]
    InFlight {
        /// How far it is.
        stage: Stage,
        /// The run at work.
        run: RunId,
    },
    /// There is nothing to do.
    #[error("the instance is {stage} already: there is nothing to do")]
    IsSo {
        /// How far it is.
        stage: Stage,
    },
    /// It would be made from settings that nobody serves any more.
    #[error("a launch is under way in run {run}: wait for it, or cancel it first")]
    Launching {
        /// The run under way.
        run: RunId,
    },
    /// The name was not written, or not rightly.
    #[error("must be the instance's domain, {domain}: this can't be undone")]
    NotConfirmed {
        /// The name that confirms it.
        domain: String,
    },
    /// People rely on it: it has to be archived before.
    #[error("it is a production instance: archive it first, then delete it")]
    InProduction,
    /// Another run is at work on it by now.
    #[error("run {run} is not at work on the instance any more")]
    Overtaken {
        /// The run that was.
        run: RunId,
    },
}

fn by(run: Option<RunId>) -> String {
    run.map_or_else(String::new, |run| format!(" by run {run}"))
}

fn way_out(stage: Stage, run: Option<RunId>) -> &'static str {
    match (stage, run) {
        (Stage::Live, _) => "there is nothing to do",
        (Stage::Archiving | Stage::Unarchiving, Some(_)) => "wait for it, or cancel it",
        (Stage::Deleting, Some(_)) => "wait for it; make a new instance once its names are free",
        (Stage::Archived, _) => "un-archive it first (`ocim instance unarchive`)",
        (Stage::Archiving, None) => "it got stuck half-way; un-archive it, or archive it again",
        (Stage::Unarchiving, None) => "it got stuck half-way; un-archive it again, or archive it",
        (Stage::Deleting, None) => "it got stuck half-way; delete it again",
        (Stage::Deleted, _) => "make a new instance: its names are free",
    }
}

impl Present {
    /// Refuses what only a live Instance allows: launches, traffic, changes of settings.
    ///
    /// # Errors
    /// [`Refused::NotLive`], with what to do.
    pub fn check_live(&self) -> Result<(), Refused> {
        let Lifecycle { stage, run, .. } = self.lifecycle;
        if stage == Stage::Live { Ok(()) } else { Err(Refused::NotLive { stage, run }) }
    }

    /// Whether its balancer has a part for it even while nobody serves: the preliminary page.
    #[must_use]
    pub fn shows_page(&self) -> bool {
        matches!(self.lifecycle.stage, Stage::Live | Stage::Unarchiving)
    }

    /// The name that confirms its deletion: that of its LMS as visitors see it.
    #[must_use]
    pub fn confirming_name(&self) -> String {
        effective_host(&self.settings, Service::Lms)
    }

    /// Refuses a deletion whose confirmation is not the Instance's name.
    fn check_confirmed(&self, confirmation: &str) -> Result<(), Refused> {
        let domain = self.confirming_name();
        if confirmation.trim().eq_ignore_ascii_case(&domain) {
            return Ok(());
        }
        Err(Refused::NotConfirmed { domain })
    }

    /// Refuses while another run is at work on its life, or a launch is under way.
    fn check_idle(&self) -> Result<(), Refused> {
        let Lifecycle { stage, run, .. } = self.lifecycle;
        match (run, self.launches.first()) {
            (Some(run), _) => Err(Refused::InFlight { stage, run }),
            (None, Some(launch)) => Err(Refused::Launching { run: launch.run }),
            (None, None) => Ok(()),
        }
    }
}

/// The rules.
pub(super) fn decide(present: &Present, command: Command) -> Result<Vec<Event>, Refused> {
    let Lifecycle { stage, run: at_work, .. } = present.lifecycle;
    let is_so = || Err(Refused::IsSo { stage });
    match command {
        Command::RequestArchive { run, .. }
        | Command::RequestUnarchive { run, .. }
        | Command::RequestDeletion { run, .. }
            if at_work == Some(run) =>
        {
            Ok(vec![]) // The same request once more.
        }
        Command::RequestArchive { run, reason } => {
            present.check_idle()?;
            match stage {
                Stage::Live | Stage::Archiving | Stage::Unarchiving => {
                    Ok(vec![Event::ArchiveRequested { run, reason }])
                }
                Stage::Archived => is_so(),
                Stage::Deleting | Stage::Deleted => Err(Refused::NotLive { stage, run: None }),
            }
        }
        Command::RequestUnarchive { run, reason, launch } => {
            present.check_idle()?;
            match stage {
                Stage::Archiving | Stage::Archived | Stage::Unarchiving => {
                    Ok(vec![Event::UnarchiveRequested { run, reason, launch }])
                }
                Stage::Live => is_so(),
                Stage::Deleting | Stage::Deleted => Err(Refused::NotLive { stage, run: None }),
            }
        }
        Command::RequestDeletion { run, reason, confirmation, ignore } => {
            present.check_idle()?;
            if stage == Stage::Deleted && present.lifecycle.residue.is_empty() {
                return is_so();
            }
            present.check_confirmed(&confirmation)?;
            // Whoever deletes what people rely on is asked twice.
            if stage == Stage::Live && purpose(&present.settings) == Purpose::Production {
                return Err(Refused::InProduction);
            }
            let again = stage == Stage::Deleted;
            Ok(vec![Event::DeletionRequested { run, reason, ignore, again }])
        }
        Command::RecordArchived { .. } if stage == Stage::Archived => Ok(vec![]),
        Command::RecordUnarchived { .. } if stage == Stage::Live => Ok(vec![]),
        Command::RecordDeleted { .. } if stage == Stage::Deleted && at_work.is_none() => Ok(vec![]),
        Command::RecordArchived { run } if is_at(present, Stage::Archiving, run) => {
            Ok(vec![Event::Archived { run }])
        }
        Command::RecordUnarchived { run } if is_at(present, Stage::Unarchiving, run) => {
            Ok(vec![Event::Unarchived { run }])
        }
        Command::RecordDeleted { run, residue }
            if is_at(present, Stage::Deleting, run) || is_at(present, Stage::Deleted, run) =>
        {
            Ok(vec![Event::Deleted { run, residue }])
        }
        Command::RecordArchived { run }
        | Command::RecordUnarchived { run }
        | Command::RecordDeleted { run, .. } => Err(Refused::Overtaken { run }),
        Command::StopRun { run, .. } if at_work != Some(run) => Ok(vec![]),
        Command::StopRun { run, turned_back } => {
            let stage = if turned_back { present.lifecycle.before } else { stage };
            Ok(vec![Event::LifecycleRunStopped { run, stage }])
        }
    }
}

fn is_at(present: &Present, stage: Stage, run: RunId) -> bool {
    present.lifecycle.stage == stage && present.lifecycle.run == Some(run)
}

/// What its events mean; others are none of theirs.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    let lifecycle = &mut present.lifecycle;
    match event {
        Event::ArchiveRequested { run, .. } => lifecycle.begin(Stage::Archiving, *run),
        Event::UnarchiveRequested { run, .. } => lifecycle.begin(Stage::Unarchiving, *run),
        // The names of a deleted one stay free, and what is left of it is all that goes.
        Event::DeletionRequested { run, again: true, .. } => lifecycle.begin(Stage::Deleted, *run),
        Event::DeletionRequested { run, .. } => lifecycle.begin(Stage::Deleting, *run),
        Event::Unarchived { .. } => lifecycle.rest(Stage::Live),
        Event::Archived { .. } => lifecycle.rest(Stage::Archived),
        Event::LifecycleRunStopped { stage, .. } => lifecycle.rest(*stage),
        Event::Deleted { residue, .. } => {
            lifecycle.rest(Stage::Deleted);
            lifecycle.residue.clone_from(residue);
        }
        _ => {}
    }
    // A balancer that has nothing of it is not its own: the next one is chosen when it comes back.
    if present.lifecycle.is_out_of_service() {
        present.load_balancer = None;
        present.name_troubles.clear();
    }
}

impl Lifecycle {
    fn begin(&mut self, stage: Stage, run: RunId) {
        (self.before, self.stage, self.run) = (self.stage, stage, Some(run));
    }

    fn rest(&mut self, stage: Stage) {
        (self.stage, self.before, self.run) = (stage, stage, None);
    }

    fn is_out_of_service(&self) -> bool {
        matches!(self.stage, Stage::Archived | Stage::Deleted)
    }
}
