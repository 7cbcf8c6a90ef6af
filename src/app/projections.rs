//! Commands on projections: step over an event that one can't take in.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::projection::{Command, Projection, projection_id};
use ocim_engine::projector::BuildState;
use uuid::Uuid;

impl App {
    /// Tells a projection that is paused at an event to step over it, for the caller's reason: its
    /// builds, this one and later ones, leave the event out where they can't take it in.
    ///
    /// # Errors
    /// [`AppError::NotFound`] for a name that no projection has, [`AppError::Rejected`] when none of
    /// its builds is paused at that event, [`AppError::Invalid`] without a reason.
    pub async fn skip_event(
        &self,
        by: &Caller,
        name: &str,
        event: Uuid,
    ) -> Result<Done<()>, AppError> {
        let reason = by.need_reason()?;
        let builds = self.read_models.projection_status().await;
        let builds = builds.map_err(|error| AppError::unavailable("the database", error))?;
        let mut own = builds.into_iter().filter(|it| it.build.name == name).peekable();
        if own.peek().is_none() {
            return Err(AppError::not_found("projection", name));
        }
        let mut failures =
            own.filter(|it| it.state == BuildState::Paused).filter_map(|it| it.failure);
        let failure = match failures.next() {
            None => {
                let why = format!("`{name}` is not paused: there is nothing to step over");
                return Err(AppError::rejected(why));
            }
            Some(first) if first.event == event => first,
            Some(first) => failures.find(|it| it.event == event).ok_or_else(|| {
                let at = first.event;
                AppError::rejected(format!("`{name}` is paused at the event {at}, not at this one"))
            })?,
        };
        let (projection, event_kind) = (name.to_owned(), failure.kind);
        let command = Command::SkipEvent { projection, event, event_kind, reason };
        let stream = projection_id(name).stream();
        let executed = self.journal.execute::<Projection>(&stream, &by.metadata(), command).await?;
        // Should Ocim die before this, the next start lets it go on.
        let resumed = self.read_models.resume_projection(name, event).await;
        resumed.map_err(|error| AppError::unavailable("the database", error))?;
        Ok(Done { value: (), position: executed.position })
    }
}
