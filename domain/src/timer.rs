//! Work that comes every day at a time: once for each time, however many nodes look, and after an outage.

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{NAMESPACE, RunId, TimerId};
use crate::snapshot::SnapshotFormat;
use chrono::{NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Every timer comes once in so long.
const PERIOD: TimeDelta = TimeDelta::days(1);

/// What is done every day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// Logs of runs that ended long ago are deleted.
    DeleteOldLogs,
    /// Appservers that are obsolete go.
    CleanUpAppservers,
    /// What others read of sites is made what it should be.
    UpdateMetadata,
}

/// It is the name of no job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no timer: see `ocim timers list`")]
pub struct UnknownJob(pub String);

impl Job {
    /// Every job.
    pub const ALL: [Self; 3] = [Self::DeleteOldLogs, Self::CleanUpAppservers, Self::UpdateMetadata];

    /// Its name.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::DeleteOldLogs => "delete_old_logs",
            Self::CleanUpAppservers => "clean_up_appservers",
            Self::UpdateMetadata => "update_metadata",
        }
    }

    /// What it does, for people.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::DeleteOldLogs => "deletes logs of runs that ended `LOG_DELETION_DAYS` ago",
            Self::CleanUpAppservers => {
                "takes appservers away that serve nobody and are neither fallback nor release candidate"
            }
            Self::UpdateMetadata => {
                "writes to Consul what is missing or differs there, and removes sites that are gone"
            }
        }
    }

    /// Whether there is nothing to do where nobody is told of sites.
    #[must_use]
    pub const fn tells_others(self) -> bool {
        matches!(self, Self::UpdateMetadata)
    }

    /// At which hour of the day, UTC: there is no summer time.
    #[must_use]
    pub const fn hour(self) -> u32 {
        match self {
            Self::DeleteOldLogs => 0,
            Self::CleanUpAppservers => 1,
            Self::UpdateMetadata => 2,
        }
    }

    /// The timer of the job: the same, whoever asks.
    #[must_use]
    pub fn timer_id(self) -> TimerId {
        TimerId(Uuid::new_v5(&NAMESPACE, format!("timer/{}", self.word()).as_bytes()))
    }

    /// The run for one time of it.
    #[must_use]
    pub fn run_at(self, due: Timestamp) -> RunId {
        let name = format!("timer/{}/{}", self.word(), due.timestamp());
        RunId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
    }

    /// The last time that has come.
    #[must_use]
    pub fn latest_due(self, now: Timestamp) -> Timestamp {
        let hour = NaiveTime::from_hms_opt(self.hour(), 0, 0).unwrap_or_default();
        let today = now.date_naive().and_time(hour).and_utc();
        if today <= now { today } else { today - PERIOD }
    }

    /// The time that comes next.
    #[must_use]
    pub fn next_due(self, now: Timestamp) -> Timestamp {
        self.latest_due(now) + PERIOD
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Job {
    type Err = UnknownJob;

    fn from_str(text: &str) -> Result<Self, UnknownJob> {
        let unknown = || UnknownJob(text.chars().take(80).collect());
        Self::ALL.into_iter().find(|job| job.word() == text).ok_or_else(unknown)
    }
}

/// What came of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Logs are gone, each but for one line that says so.
    LogsDeleted {
        /// Of runs that had ended before that.
        before: Timestamp,
        /// How many logs.
        runs: u64,
        /// How many lines they had.
        lines: u64,
    },
    /// Obsolete Appservers are on their way out, each in a run of its own.
    AppserversCleanedUp {
        /// Of how many instances that have machines which serve nobody.
        instances: u64,
        /// How many go.
        requested: u64,
        /// How many would go, but stay for now: by a word for the reason.
        refused: BTreeMap<String, u64>,
        /// Of how many instances it could not be told; they stopped no other.
        failed: u64,
    },
    /// Others read of each site what it is.
    MetadataUpdated {
        /// How many sites.
        instances: u64,
        /// Of how many something else was read.
        changed: u64,
        /// How many were read of that are archived or deleted.
        removed: u64,
        /// Of how many it could not be written; they stopped no other.
        failed: u64,
    },
}

/// What one may ask of a timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Do the work if its time has come since it was last done, or since `since` where it never was.
    FallDue { job: Job, since: Timestamp },
    /// Do it now, in `run`.
    RunNow { job: Job, run: RunId },
    /// That run has done it.
    Finish { job: Job, run: RunId, outcome: Outcome },
    /// That run does not do it.
    Stop { job: Job, run: RunId, reason: String },
}

/// What happened to a timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// Its time has come.
    #[serde(rename = "timer.fell_due")]
    FellDue { job: Job, due: Timestamp, run: RunId, at: Timestamp },
    /// Somebody had it done now.
    #[serde(rename = "timer.run_requested")]
    RunRequested { job: Job, run: RunId, at: Timestamp },
    /// It is done.
    #[serde(rename = "timer.run_finished")]
    RunFinished {
        job: Job,
        run: RunId,
        at: Timestamp,
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// It was not done.
    #[serde(rename = "timer.run_stopped")]
    RunStopped { job: Job, run: RunId, at: Timestamp, reason: String },
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        ("timer.fell_due", 1),
        ("timer.run_requested", 1),
        ("timer.run_finished", 1),
        ("timer.run_stopped", 1),
    ];
}

/// How the work went that was begun last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// Its run.
    pub run: RunId,
    /// When it was asked for.
    pub began: Timestamp,
    /// The time that it was for; none where somebody had it done.
    pub due: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What came of it.
    pub outcome: Option<Outcome>,
    /// Why nothing came of it.
    pub failure: Option<String>,
}

/// A timer as its events tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last time that it was done for.
    pub last_due: Option<Timestamp>,
    /// The work that was begun last.
    pub last: Option<LastRun>,
    /// Runs that were asked for and have not ended: an earlier one may outlast the last.
    pub open: BTreeSet<RunId>,
}

/// Nothing is refused: what is not to be done is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {}

/// The rules of a timer.
#[derive(Debug, Clone, Copy)]
pub struct Timer;

impl Decider for Timer {
    const CATEGORY: &'static str = TimerId::CATEGORY;
    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;
    const SNAPSHOT: Option<SnapshotFormat<State>> = Some(SnapshotFormat::of_schema(1));

    fn decide(state: &State, command: Command, now: Timestamp) -> Result<Vec<Event>, Rejected> {
        let is_open = |run| state.open.contains(&run);
        Ok(match command {
            Command::FallDue { job, since } => {
                let due = job.latest_due(now);
                let last = state.last_due.unwrap_or(since);
                // One that was done for a time that lies days ahead was done by a clock that was wrong:
                // nobody waits until it is right after all.
                let is_due = due > last || last > now + PERIOD;
                let run = job.run_at(due);
                is_due.then_some(Event::FellDue { job, due, run, at: now }).into_iter().collect()
            }
            Command::RunNow { run, .. } if is_open(run) => vec![],
            Command::RunNow { job, run } => vec![Event::RunRequested { job, run, at: now }],
            Command::Finish { job, run, outcome } if is_open(run) => {
                vec![Event::RunFinished { job, run, at: now, outcome }]
            }
            Command::Stop { job, run, reason } if is_open(run) => {
                vec![Event::RunStopped { job, run, at: now, reason }]
            }
            Command::Finish { .. } | Command::Stop { .. } => vec![],
        })
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::FellDue { due, run, at, .. } => {
                state.last_due = Some(*due);
                state.open.insert(*run);
                state.last = Some(LastRun::begun(*run, *at, Some(*due)));
            }
            Event::RunRequested { run, at, .. } => {
                state.open.insert(*run);
                state.last = Some(LastRun::begun(*run, *at, None));
            }
            Event::RunFinished { run, at, outcome, .. } => {
                state.open.remove(run);
                if let Some(last) = state.last.as_mut().filter(|last| last.run == *run) {
                    last.ended = Some(*at);
                    last.outcome = Some(outcome.clone());
                }
            }
            Event::RunStopped { run, at, reason, .. } => {
                state.open.remove(run);
                if let Some(last) = state.last.as_mut().filter(|last| last.run == *run) {
                    last.ended = Some(*at);
                    last.failure = Some(reason.clone());
                }
            }
        }
        state
    }
}

impl LastRun {
    fn begun(run: RunId, began: Timestamp, due: Option<Timestamp>) -> Self {
        Self { run, began, due, ended: None, outcome: None, failure: None }
    }
}
