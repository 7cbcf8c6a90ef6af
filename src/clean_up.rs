//! Asks for the clean-up of failed appservers whose time is over. The dates stand in the log.

use crate::app::{App, AppError};
use ocim_domain::Timestamp;
use ocim_domain::appserver::Event;
use ocim_domain::event::{DecodeError, DomainEvent, Recorded};
use ocim_domain::ids::AppserverId;
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked, Tracker};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The kinds that say until when a machine is kept.
const KINDS: [&str; 4] = [
    "appserver.configuration_failed",
    "appserver.server_kept",
    "appserver.clean_up_requested",
    "appserver.terminated",
];
/// What looking for them is called among all that is done at intervals.
const ROUND: &str = "look at dates of failed machines";
/// The shortest pause between two looks, however many dates come.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The failed appservers that keep their machines, with the dates. Made from the log alone, so a
/// restart forgets none, and several nodes ask for the same run.
#[derive(Debug)]
pub struct KeptServers {
    app: App,
    due: Tracker<Dates>,
}

/// Until when each machine is kept, by the text of its appserver's id.
#[derive(Debug)]
struct Dates;

impl KeptServers {
    /// Knows nothing before its first look.
    #[must_use]
    pub fn new(app: App) -> Self {
        let due = Tracker::new(app.journal(), Dates);
        Self { app, due }
    }

    /// Asks for the clean-ups that are due. Returns the next date, if there is one.
    ///
    /// # Errors
    /// When the store does not answer: look again later.
    pub async fn look(&mut self) -> Result<Option<Timestamp>, AppError> {
        self.due.catch_up(drop).await?;
        let now = self.app.journal().now();
        let dates: Vec<(AppserverId, Timestamp)> = (self.due.items().iter())
            .filter_map(|(id, due)| Some((id.parse().ok()?, *due)))
            .collect();
        let mut failed = None;
        for (id, due) in dates.iter().filter(|(_, due)| *due <= now) {
            match self.app.clean_up_when_due(*id, *due).await {
                Ok(true) => {
                    tracing::info!(appserver = %id, %due, "a failed appserver is cleaned up");
                }
                // A newer program's, which sees to it.
                Ok(false) | Err(AppError::Newer(_)) => {}
                Err(error @ (AppError::Unavailable { .. } | AppError::Busy { .. })) => {
                    return Err(error);
                }
                // One that can't be read keeps no other from its clean-up.
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(dates.into_iter().map(|(_, due)| due).filter(|due| *due > now).min())
    }
}

impl Tracked for Dates {
    const SCHEMA: u16 = 1;
    type Item = Timestamp;
    type Told = ();

    fn name(&self) -> String {
        "kept_servers".to_owned()
    }

    fn filter(&self) -> Filter {
        Filter { categories: vec![], kinds: KINDS.map(str::to_owned).to_vec() }
    }

    fn apply(&self, items: &mut Items<Timestamp>, recorded: &Recorded) {
        let id = AppserverId(recorded.stream.id());
        let until = match Event::decode(&recorded.kind, recorded.schema, &recorded.data) {
            Ok(Event::ConfigurationFailed { keeps_server_until, .. }) => keeps_server_until,
            Ok(Event::ServerKept { until, .. }) => Some(until),
            Ok(Event::CleanUpRequested { .. } | Event::Terminated { .. }) => None,
            // Whoever wrote what is unknown here knows the date, too, and so does whoever deletes: it
            // reads the whole stream.
            Ok(_) | Err(DecodeError::Unknown { .. }) => return,
            Err(error) => {
                tracing::error!(%id, %error, "a date can't be read: its machine is kept");
                return;
            }
        };
        match until {
            Some(until) => items.put(id.to_string(), until),
            None => drop(items.remove(&id.to_string())),
        }
    }
}

/// Looks at intervals, and when a date comes, until it is stopped.
#[derive(Debug)]
pub struct CleanUpTimer {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl CleanUpTimer {
    /// Starts to look.
    #[must_use]
    pub fn start(app: App, interval: Duration) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut kept = KeptServers::new(app.clone());
            app.rounds().begin(ROUND, interval);
            loop {
                let (pause, error) = match kept.look().await {
                    Ok(next) => (until(next, app.journal().now(), interval), None),
                    Err(error) => {
                        let error = ocim_domain::error_chain::chain(&error);
                        tracing::warn!(error, "clean-ups wait for the event store");
                        (interval, Some(error))
                    }
                };
                app.rounds().note(ROUND, app.journal().now(), error);
                tokio::select! {
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// Stops after the look that is under way.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the clean-up timer ended abnormally");
        }
    }
}

/// Until the next date, but no longer than the interval: dates may be set meanwhile.
fn until(next: Option<Timestamp>, now: Timestamp, interval: Duration) -> Duration {
    let left = next.and_then(|next| (next - now).to_std().ok());
    left.unwrap_or(interval).min(interval).max(PAUSE_MIN.min(interval))
}
