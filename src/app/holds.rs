//! Commands on holds of instances, and the refusal of what others ask meanwhile.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::Timestamp;
use ocim_domain::ids::{AppserverId, InstanceId};
use ocim_domain::instance::hold::{Command, Refused};
use ocim_domain::instance::{self, Hold, Instance, Rejected};
use ocim_domain::saga::Run;
use ocim_domain::text::{TIME_RULE, is_storable_time};
use ocim_engine::journal::ExecuteError;

impl Caller {
    /// The command as this caller's, which somebody else's hold forbids, unless it passes holds.
    pub(super) fn ask(&self, command: instance::Command) -> instance::Command {
        if self.passes_holds {
            return command;
        }
        instance::Command::AskedBy { actor: self.actor.clone(), command: Box::new(command) }
    }
}

impl App {
    /// Keeps everybody but the caller from changing an instance until then, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Held`] while somebody else does; [`AppError::Invalid`] without a reason, or for a
    /// time that is over or too far ahead.
    pub async fn hold_instance(
        &self,
        by: &Caller,
        id: InstanceId,
        until: Timestamp,
    ) -> Result<Done<()>, AppError> {
        let reason = by.need_reason()?;
        if !is_storable_time(until) {
            return Err(AppError::invalid("until", TIME_RULE));
        }
        let hold = Hold { holder: by.actor.clone(), reason, until };
        self.change_hold(by, id, Command::Place(hold)).await
    }

    /// Lets everybody change an instance again. Whoever is not the holder needs `force` and a reason.
    ///
    /// # Errors
    /// [`AppError::Held`] by somebody else, unless it is forced; [`AppError::Rejected`] where nobody
    /// holds it.
    pub async fn release_hold(
        &self,
        by: &Caller,
        id: InstanceId,
        force: bool,
    ) -> Result<Done<()>, AppError> {
        let reason = if force { Some(by.need_reason()?) } else { by.reason.clone() };
        let command = Command::Release { by: by.actor.clone(), force, reason };
        self.change_hold(by, id, command).await
    }

    async fn change_hold(
        &self,
        by: &Caller,
        id: InstanceId,
        command: Command,
    ) -> Result<Done<()>, AppError> {
        let command = instance::Command::Hold(command);
        let (stream, meta) = (id.stream(), by.metadata());
        match self.journal.execute_once::<Instance>(&stream, &meta, command).await {
            Ok(executed) => Ok(Done { value: (), position: executed.position }),
            Err(ExecuteError::Rejected(Rejected::Absent)) => {
                Err(AppError::not_found("instance", id))
            }
            Err(ExecuteError::Rejected(Rejected::Hold(why))) => Err(hold_refused(why)),
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses what the caller asks of an instance that somebody else holds.
    ///
    /// # Errors
    /// [`AppError::Held`].
    pub(crate) async fn check_not_held(&self, by: &Caller, id: InstanceId) -> Result<(), AppError> {
        let (instance, _) = self.load_instance(id).await?;
        instance.check_hold(&by.actor, self.journal.now()).map_err(hold_refused)
    }

    /// As [`App::check_not_held`], of an Appserver's instance. One that is not made yet is not its
    /// business.
    pub(super) async fn check_appserver_not_held(
        &self,
        by: &Caller,
        id: AppserverId,
    ) -> Result<(), AppError> {
        match self.load_appserver(id).await {
            Ok(appserver) => self.check_not_held(by, appserver.launched.instance).await,
            Err(AppError::NotFound { .. } | AppError::Rejected { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// As [`App::check_not_held`], of the instance that a run is at work on, if it is at work on one.
    pub(super) async fn check_run_not_held(&self, by: &Caller, run: &Run) -> Result<(), AppError> {
        // A launch tells whose it is before its Appserver does.
        let subject = run.input["instance"].as_str().unwrap_or(&run.subject);
        let checked = if let Ok(id) = subject.parse::<InstanceId>() {
            self.check_not_held(by, id).await
        } else if let Ok(id) = subject.parse::<AppserverId>() {
            self.check_appserver_not_held(by, id).await
        } else {
            Ok(())
        };
        match checked {
            Err(AppError::NotFound { .. }) => Ok(()),
            checked => checked,
        }
    }

    /// Whether somebody holds an Appserver's instance now.
    pub(super) async fn is_held(&self, id: AppserverId) -> Result<bool, AppError> {
        match self.check_appserver_not_held(&Caller::default(), id).await {
            Ok(()) | Err(AppError::NotFound { .. }) => Ok(false),
            Err(AppError::Held { .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// The refusal, by the field that it is about, if it is about one.
pub(super) fn hold_refused(why: Refused) -> AppError {
    match why {
        Refused::Held(_) => AppError::Held { detail: why.to_string() },
        Refused::NotHeld => AppError::rejected(why),
        Refused::Past | Refused::TooLong => AppError::invalid("until", why.to_string()),
    }
}
