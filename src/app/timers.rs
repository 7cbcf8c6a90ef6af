//! Timers: what has fallen due, what is done now, and how each is.

use super::{App, AppError, Caller, Done};
use ocim_domain::Timestamp;
use ocim_domain::event::{Metadata, Position};
use ocim_domain::ids::RunId;
use ocim_domain::timer::{Command, Job, State, Timer};
use ocim_engine::store::Filter;

impl App {
    /// Has the job done if its time has come; true if it was asked for now. Whoever looks, the run is the
    /// same.
    ///
    /// # Errors
    /// When the store does not answer: look again later.
    pub async fn fall_due(&self, job: Job) -> Result<bool, AppError> {
        let since = self.log_began().await?;
        let command = Command::FallDue { job, since };
        let (stream, meta) = (job.timer_id().stream(), Metadata::by("timer"));
        let executed = self.journal.execute::<Timer>(&stream, &meta, command).await?;
        Ok(!executed.events.is_empty())
    }

    /// What comes every day here.
    #[must_use]
    pub fn jobs(&self) -> &[Job] {
        &self.setting.jobs
    }

    /// Has the job done now.
    ///
    /// # Errors
    /// [`AppError::Rejected`] for one that there is nothing to do of; when the store does not answer.
    pub async fn run_timer(&self, by: &Caller, job: Job) -> Result<Done<RunId>, AppError> {
        if !self.jobs().contains(&job) {
            let text = format!("{job}: `CONSUL_ENABLED` is off, so that nobody is told of sites");
            return Err(AppError::rejected(text));
        }
        let run = RunId(self.new_id(by, &format!("run of {job}")));
        let command = Command::RunNow { job, run };
        let (stream, meta) = (job.timer_id().stream(), by.metadata());
        let executed = self.journal.execute_once::<Timer>(&stream, &meta, command).await?;
        Ok(Done { value: run, position: executed.position })
    }

    /// How a timer is.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn read_timer(&self, job: Job) -> Result<State, AppError> {
        Ok(self.journal.load::<Timer>(&job.timer_id().stream()).await?.state)
    }

    /// Since when there is anything to do: a time before that was not missed.
    async fn log_began(&self) -> Result<Timestamp, AppError> {
        let (first, _) =
            self.journal.store().read_all(Position::START, &Filter::default(), 1).await?;
        Ok(first.first().map_or_else(|| self.journal.now(), |event| event.recorded_at))
    }
}
