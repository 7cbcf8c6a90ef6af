//! Commands on runs: cancel.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{self, Saga};
use ocim_engine::sagas::open_runs::OpenRuns;
use ocim_engine::storable::check_reason;

impl App {
    /// Asks a run to stop and turn back, unless that is only to be seen, and says in sentences what
    /// comes of it. A run that is asked already is left alone.
    ///
    /// # Errors
    /// [`AppError::Rejected`] when it has ended, is turning back, is stuck, or is past its point of no
    /// return; [`AppError::Invalid`] for a reason that is blank, or longer than reasons are.
    pub async fn cancel_run(
        &self,
        by: &Caller,
        id: RunId,
        reason: String,
        dry_run: bool,
    ) -> Result<Done<Vec<String>>, AppError> {
        check_reason(&reason)?;
        let loaded = self.journal.load::<Saga>(&id.stream()).await?;
        let run = loaded.state.ok_or_else(|| AppError::not_found("run", id))?;
        self.check_run_not_held(by, &run).await?;
        // A run keeps its definition: the plan holds though the run moves meanwhile.
        let plan = self.plan_of(&run);
        if dry_run {
            let told = saga::preview_cancel(&plan, &run, &reason, self.journal.now());
            let value = told.map_err(AppError::rejected)?;
            return Ok(Done { value, position: loaded.position });
        }
        let meta = Caller { reason: Some(reason.clone()), ..by.clone() }.metadata();
        let command = saga::Command::Cancel { reason, plan: plan.clone() };
        let executed = self.journal.execute_once::<Saga>(&id.stream(), &meta, command).await?;
        let after = executed.state.unwrap_or(run);
        let value = saga::describe_outcome(&plan, after, &executed.events, self.journal.now());
        Ok(Done { value, position: executed.position })
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
        let mut open = self.open_runs.lock().await;
        open.catch_up(|_| {}).await?;
        Ok(OpenRuns::has_started(open.items(), definition, subject))
    }
}
