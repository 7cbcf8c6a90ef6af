//! What is paused: nothing is begun on it, and the time that a run stands still counts for nothing.

use super::{DriveError, Driver, Pace};
use crate::sagas::host::{HoldUp, Host};
use ocim_domain::saga::Event;

impl<H: Host> Driver<H> {
    /// Keeps a run that stands still where it is, or lets it go. What was under way ends first.
    pub(super) async fn stand_still(&mut self) -> Result<Option<Pace>, DriveError> {
        if self.run.held.is_none() || self.run.phase.is_at_rest() {
            return Ok(None);
        }
        if !self.calls.is_empty() {
            return match self.await_call(None).await {
                Some(ended) => self.settle(ended, None).await.map(Some),
                None => Ok(Some(Pace::Again)),
            };
        }
        if let Some(hold) = self.world.hold_up(self.id, &self.run).await {
            return Ok(Some(Pace::At(self.now() + hold.look_in)));
        }
        self.report(Event::LetGo { at: self.now() }).await?;
        Ok(Some(Pace::Again))
    }

    /// Has the run stand still where what it is about to do is paused: true where nothing may begin.
    /// What is under way beside it ends first.
    pub(super) async fn is_held_up(&mut self) -> Result<bool, DriveError> {
        let Some(hold) = self.world.hold_up(self.id, &self.run).await else { return Ok(false) };
        if self.calls.is_empty() {
            let HoldUp { incident, why, .. } = hold;
            self.report(Event::HeldUp { incident, why, at: self.now() }).await?;
        }
        Ok(true)
    }
}
