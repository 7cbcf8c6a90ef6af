//! What the runner needs of the program that it drives processes for.

use super::definition::StartRequest;
use super::holds::Holds;
use super::steady::SteadyTime;
use crate::journal::Journal;
use ocim_domain::Timestamp;
use ocim_domain::event::Recorded;
use ocim_domain::ids::{IncidentId, RunId};
use ocim_domain::log_level::Level;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::{Planted, PutOff, Run};
use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::watch;

/// The numbers that the runner itself goes by.
#[derive(Debug, Clone, Copy)]
pub struct RunnerLimits {
    /// First pause before a retry, doubled each time.
    pub retry_base: Duration,
    /// Longest pause before a retry.
    pub retry_cap: Duration,
    /// How long a node has a run unless it renews its lease.
    pub lease_ttl: Duration,
    /// Pause between two renewals.
    pub lease_renewal: Duration,
    /// Nothing is begun so shortly before the end of a lease.
    pub lease_margin: Duration,
    /// How long a run whose process is unknown here is left for another node.
    pub unknown_grace: Duration,
    /// The bug that a test has planted.
    pub planted: Planted,
}

/// What holds a run up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldUp {
    /// The incident that it waits for.
    pub incident: IncidentId,
    /// Why, for people.
    pub why: String,
    /// When to ask again, unless there is news before.
    pub look_in: Duration,
}

/// A program that has processes: what their steps may use, and what the runner tells it.
pub trait Host: Debug + Send + Sync + Sized + 'static {
    /// The numbers that its steps go by.
    type Limits: Debug + Default + Send + Sync;

    /// Those in force.
    fn limits(&self) -> &Self::Limits;

    /// Those of the runner among them.
    fn runner_limits(limits: &Self::Limits) -> RunnerLimits;

    /// The log of events.
    fn journal(&self) -> &Journal;

    /// Where tests stop runs.
    fn holds(&self) -> &Holds;

    /// The kinds of events that start a process, and those that wake a run that waits.
    fn kinds_heard(&self) -> Vec<&'static str>;

    /// The run that an event asks for, if it does.
    fn started_by(&self, event: &Recorded) -> Option<StartRequest>;

    /// The run that waits for this event, if one does.
    fn woken_by(&self, event: &Recorded) -> Option<RunId>;

    /// What holds a run up that is about to begin something, if anything does.
    fn hold_up(&self, run: RunId, state: &Run) -> impl Future<Output = Option<HoldUp>> + Send;

    /// Changes whenever another answer to [`Host::hold_up`] may be given.
    fn hold_up_news(&self) -> watch::Receiver<u64>;

    /// The text without the program's own secrets.
    fn mask(&self, text: &str) -> String;

    /// One line in a run's log. A log that can't be written never fails a run.
    fn say(
        &self,
        run: RunId,
        step: &str,
        level: Level,
        text: String,
    ) -> impl Future<Output = ()> + Send;

    /// Whether the run's log should say this of the step now: that changed, or was said long ago.
    fn is_news(&self, run: RunId, step: &str, text: &str) -> bool;

    /// Closes the log of a run that is over.
    fn finish_log(&self, run: RunId) -> impl Future<Output = Result<(), PortError>> + Send;

    /// A call of the step was put off, for whoever explains the run.
    fn note_put_off(&self, run: RunId, step: &str, put_off: PutOff, now: Timestamp);

    /// The time that this node drives a run by, for whoever explains it; none once it stops.
    fn note_drive(&self, run: RunId, time: Option<SteadyTime>);

    /// Has a run that is at rest, or every such run, release what the others wait for in line.
    fn release_places(
        &self,
        run: Option<RunId>,
    ) -> impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>> + Send;
}
