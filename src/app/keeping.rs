//! How long a failed appserver's machine is kept, and taking it away.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::Timestamp;
use ocim_domain::appserver::{self, Appserver, clean_up_run};
use ocim_domain::event::Metadata;
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::text::{TIME_RULE, is_storable_time};

impl App {
    /// Keeps a failed appserver's machine until then, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it has not failed, when its machine is going, or for a past date.
    pub async fn keep_server(
        &self,
        by: &Caller,
        id: AppserverId,
        until: Timestamp,
    ) -> Result<Done<()>, AppError> {
        let reason = by.need_reason()?;
        if !is_storable_time(until) {
            return Err(AppError::invalid("until", TIME_RULE));
        }
        self.check_appserver_not_held(by, id).await?;
        let command = appserver::Command::KeepServer { until, reason };
        let executed =
            match self.journal.execute::<Appserver>(&id.stream(), &by.metadata(), command).await {
                Ok(executed) => executed,
                Err(error) => return Err(self.appserver_error(id, error).await),
            };
        Ok(Done { value: (), position: executed.position })
    }

    /// Asks to take a failed appserver's machine away before its date, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it has not failed, serves, or its machine is going already.
    pub async fn clean_up_appserver(
        &self,
        by: &Caller,
        id: AppserverId,
    ) -> Result<Done<RunId>, AppError> {
        let reason = by.need_reason()?;
        self.check_appserver_not_held(by, id).await?;
        let run = RunId(self.journal.new_id());
        let command = appserver::Command::RequestCleanUp { run, reason };
        let executed =
            match self.journal.execute::<Appserver>(&id.stream(), &by.metadata(), command).await {
                Ok(executed) => executed,
                Err(error) => return Err(self.appserver_error(id, error).await),
            };
        Ok(Done { value: run, position: executed.position })
    }

    /// Asks to take the machine away that was kept until `due`; true if it was asked for now.
    /// Silent when it was asked for before, is kept for longer, or serves, and while somebody holds
    /// the instance or its clean-up is off. Whoever asks, the run is the same.
    ///
    /// # Errors
    /// What the store says.
    pub async fn clean_up_when_due(
        &self,
        id: AppserverId,
        due: Timestamp,
    ) -> Result<bool, AppError> {
        if self.is_held(id).await? || self.is_clean_up_off(id).await? {
            return Ok(false); // Asked for again at the next look.
        }
        let command = appserver::Command::CleanUpWhenDue { run: clean_up_run(id, due), due };
        let meta = Metadata::by("clean-up");
        let executed = self.journal.execute::<Appserver>(&id.stream(), &meta, command).await?;
        Ok(!executed.events.is_empty())
    }
}
