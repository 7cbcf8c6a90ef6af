//! Commands on runs: cancel.

use super::error::AppError;
use super::journal::ExecuteError;
use super::{App, Caller, Done};
use crate::store::Filter;
use ocim_domain::event::Position;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{self, Saga};

/// Events read at a time when runs are looked for.
const PAGE: usize = 1000;

impl App {
    /// Asks a run to stop and turn back. A run that is already doing so is left alone.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it has ended.
    pub async fn cancel_run(
        &self,
        by: &Caller,
        id: RunId,
        reason: String,
    ) -> Result<Done<()>, AppError> {
        let command = saga::Command::Cancel { reason };
        match self.journal.execute_once::<Saga>(&id.stream(), &by.metadata(), command).await {
            Ok(executed) => Ok(Done { value: (), position: executed.position }),
            Err(ExecuteError::Rejected(saga::Rejected::Absent)) => {
                Err(AppError::not_found("run", id))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a run of that process, about that subject if one is given, has not ended.
    ///
    /// # Errors
    /// What the store says.
    pub async fn has_open_run(
        &self,
        definition: &str,
        subject: Option<&str>,
    ) -> Result<bool, AppError> {
        let filter = Filter { kinds: vec!["saga.started".to_owned()], ..Filter::default() };
        let mut after = Position::START;
        loop {
            let (events, position) = self.journal.store().read_all(after, &filter, PAGE).await?;
            for event in &events {
                if event.data["definition"] != definition
                    || subject.is_some_and(|subject| event.data["subject"] != subject)
                {
                    continue;
                }
                let run = self.journal.load::<Saga>(&event.stream).await?.state;
                if run.is_some_and(|run| !run.phase.is_over()) {
                    return Ok(true);
                }
            }
            if events.len() < PAGE {
                return Ok(false);
            }
            after = position;
        }
    }
}
