//! Commands on runs: cancel.

use super::error::AppError;
use super::operators::plan_of;
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
    /// [`AppError::Rejected`] when it has ended, or is past its point of no return.
    pub async fn cancel_run(
        &self,
        by: &Caller,
        id: RunId,
        reason: String,
    ) -> Result<Done<()>, AppError> {
        let run = self.journal.load::<Saga>(&id.stream()).await?.state;
        let run = run.ok_or_else(|| AppError::not_found("run", id))?;
        // A run keeps its definition: the plan holds though the run moves meanwhile.
        let command = saga::Command::Cancel { reason, plan: plan_of(&run) };
        let executed =
            self.journal.execute_once::<Saga>(&id.stream(), &by.metadata(), command).await?;
        Ok(Done { value: (), position: executed.position })
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
