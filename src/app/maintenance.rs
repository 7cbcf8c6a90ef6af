//! Commands on the maintenance of instances: give visitors a page, or the site again.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::maintenance::{Command, Maintenance, Refused};
use ocim_domain::instance::{self, Instance, Rejected};
use ocim_domain::text::{TIME_RULE, is_storable_time};
use ocim_engine::journal::ExecuteError;

impl App {
    /// Asks to give an instance's visitors this page, or without one the site again.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a message or time that can't be shown; [`AppError::Held`] by somebody
    /// else; [`AppError::Rejected`] where its stage, another run or what visitors get forbids it.
    pub async fn change_maintenance(
        &self,
        by: &Caller,
        id: InstanceId,
        page: Option<Maintenance>,
    ) -> Result<Done<RunId>, AppError> {
        if page.as_ref().is_some_and(|page| !is_storable_time(page.until)) {
            return Err(AppError::invalid("until", TIME_RULE));
        }
        let run = RunId(self.new_id(by, "run"));
        let command = instance::Command::Maintenance(Command::Request { run, page });
        let (stream, meta) = (id.stream(), by.metadata());
        match self.journal.execute_once::<Instance>(&stream, &meta, by.ask(command)).await {
            Ok(executed) => Ok(Done { value: run, position: executed.position }),
            Err(ExecuteError::Rejected(Rejected::Absent)) => {
                Err(AppError::not_found("instance", id))
            }
            Err(ExecuteError::Rejected(why)) => Err(super::appservers::instance_rejected(why)),
            Err(error) => Err(error.into()),
        }
    }
}

/// The refusal, by the field that it is about, or with the run in the way.
pub(super) fn maintenance_refused(why: Refused) -> AppError {
    let detail = why.to_string();
    match why {
        Refused::Message => AppError::invalid("message", detail),
        Refused::Past | Refused::TooLong => AppError::invalid("until", detail),
        Refused::InFlight { run } => AppError::Rejected { detail, run: Some(run) },
        Refused::NoBalancer | Refused::NotUnder | Refused::IsSo | Refused::Overtaken { .. } => {
            AppError::Rejected { detail, run: None }
        }
    }
}
