//! Looks at the clock, and has done what has fallen due: once for each time, and after an outage.

use crate::app::App;
use ocim_domain::Timestamp;
use ocim_domain::timer::Job;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Pause between two looks at the clock, which may have been set.
const LOOK_PAUSE: Duration = Duration::from_secs(15);

/// What has fallen due, as this node knows it: the log is asked only when another time has come.
#[derive(Debug)]
pub struct Timers {
    app: App,
    seen: BTreeMap<Job, Timestamp>,
}

impl Timers {
    /// Knows nothing before its first look.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self { app, seen: BTreeMap::new() }
    }

    /// Has done what has fallen due. One that can't be asked for now holds up no other.
    pub async fn look(&mut self) {
        for job in self.app.jobs().to_vec() {
            let due = job.latest_due(self.app.journal().now());
            if self.seen.get(&job) == Some(&due) {
                continue;
            }
            match self.app.fall_due(job).await {
                Ok(is_new) => {
                    self.seen.insert(job, due);
                    if is_new {
                        tracing::info!(%job, %due, "a timer has fallen due");
                    }
                }
                Err(error) => {
                    let error = ocim_domain::error_chain::chain(&error);
                    tracing::warn!(%job, error, "a timer waits for the event store");
                }
            }
        }
    }
}

/// Looks until it is stopped.
#[derive(Debug)]
pub struct TimerTask {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl TimerTask {
    /// Starts to look.
    #[must_use]
    pub fn start(app: App) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            let mut timers = Timers::new(app);
            loop {
                timers.look().await;
                tokio::select! {
                    _ = stopped.changed() => return,
                    () = tokio::time::sleep(LOOK_PAUSE) => {}
                }
            }
        });
        Self { stop, task }
    }

    /// Stops after the look that is under way.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the timers ended abnormally");
        }
    }
}
