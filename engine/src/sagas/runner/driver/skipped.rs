//! Ends what goes on of steps that a person has declared done, before anything else begins.

use super::{DriveError, Driver, Pace};
use crate::sagas::definition::{Step, StepContext};
use crate::sagas::host::Host;
use crate::sagas::runner::driver::call::Call;
use ocim_domain::log_level::Level;
use ocim_domain::saga::{self, ErrorClass};
use std::time::Duration;

/// The time that one attempt is given.
const TIME: Duration = Duration::from_secs(60);
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(5);

impl<H: Host> Driver<H> {
    /// Asks each skipped step that may go on to end; `None` once nothing of them does. Nothing is
    /// recorded: a driver that takes the run up later asks again, which changes nothing more.
    pub(super) async fn end_skipped(&mut self) -> Result<Option<Pace>, DriveError> {
        let rows: &'static [Step<H>] = self.definition.steps;
        for row in rows {
            if !self.is_to_be_ended(row) {
                continue;
            }
            if !self.fence.holds(self.id) {
                return Err(DriveError::Fenced);
            }
            let attempt = self.run.effort(row.path).attempt;
            let deadline = self.now() + TIME;
            let call = Call { row, attempt, deadline, is_undo: false, in_doubt: false };
            if let Err((class, why)) = end(row, self.context(call)).await {
                let why = self.world.mask(&why);
                let text = format!("it was skipped, but what it began can't be ended: {why}");
                self.world.say(self.id, row.path, Level::Error, text).await;
                if class != ErrorClass::Permanent {
                    return Ok(Some(Pace::At(self.now() + PAUSE)));
                }
            }
            self.ended.insert(row.path);
        }
        Ok(None)
    }

    fn is_to_be_ended(&self, row: &Step<H>) -> bool {
        row.on_skipped.is_some()
            && self.run.effort(row.path).declared_done
            && matches!(self.run.steps.get(row.path), Some(saga::Step::Done { .. }))
            && !self.ended.contains(row.path)
            // Its call has the last word of what it begins.
            && !self.called.contains_key(row.path)
    }
}

async fn end<H: Host>(row: &Step<H>, context: StepContext<H>) -> Result<(), (ErrorClass, String)> {
    let Some(on_skipped) = row.on_skipped else { return Ok(()) };
    match tokio::time::timeout(TIME, on_skipped(context)).await {
        Ok(ended) => ended.map(drop).map_err(|error| (error.class, error.message)),
        Err(_) => Err((ErrorClass::Timeout, "its time was up".to_owned())),
    }
}
