//! What the end of a call means for its run: an event to record, or a later look.

use super::call::{Call, Ended, Halt, timed_out};
use super::{DriveError, Driver};
use crate::journal::JournalError;
use crate::sagas::definition::{Costs, Progress, StepError};
use crate::sagas::host::Host;
use crate::sagas::runner::NEWER_PAUSE;
use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use ocim_domain::log_level::Level;
use ocim_domain::saga::{ErrorClass, ErrorCode, Event, PlantedBug, PutOff, may_retry_undo};
use std::time::Duration;

/// The longest pause between two attempts of an undo.
const UNDO_RETRY_CAP: Duration = Duration::from_secs(300);

/// What becomes of a call that has ended.
pub(super) enum Verdict {
    /// This is recorded.
    Record(Event),
    /// Nothing is recorded; the step is asked again then.
    AskAgain(Timestamp),
}

impl<H: Host> Driver<H> {
    /// Judges a call by what it gave. One that is not there yet when its time is up has failed:
    /// it was looked at once more, whenever that was.
    pub(super) async fn judge(&mut self, ended: Ended<H>) -> Result<Verdict, DriveError> {
        let Ended { call, outcome } = ended;
        let error = match outcome {
            Ok(progress) => match self.judge_progress(call, progress) {
                Some(verdict) => return Ok(verdict),
                None => timed_out(),
            },
            Err(Halt::FenceLost) => return Err(DriveError::Fenced),
            Err(Halt::Unknown { again_in }) => {
                self.performing.remove(call.row.path); // The next look is in doubt, too.
                let now = self.now();
                if now < call.deadline {
                    return Ok(Verdict::AskAgain((now + again_in).min(call.deadline)));
                }
                timed_out()
            }
            Err(Halt::Failed(error)) => error,
        };
        match error.costs {
            Costs::Outage => {
                // Unless it comes back, nothing can be recorded either; then it is looked up.
                Err(DriveError::Unavailable(JournalError::unavailable(error)))
            }
            Costs::Newer => {
                let (path, now) = (call.row.path, self.now());
                let why = self.world.mask(&error.message);
                say_put_off(&*self.world, self.id, path, &why).await;
                let put_off = PutOff { until: now + NEWER_PAUSE, why };
                self.world.note_put_off(self.id, path, put_off, now);
                Err(DriveError::Newer(JournalError::internal(error)))
            }
            Costs::Paused { incident } => {
                let (why, at) = (self.world.mask(&error.message), self.now());
                say_put_off(&*self.world, self.id, call.row.path, &why).await;
                Ok(Verdict::Record(Event::HeldUp { incident, why, at }))
            }
            Costs::Nothing { again_in }
                if error.class == ErrorClass::Ambiguous || call.in_doubt =>
            {
                // It may have had its effect all the same.
                self.performing.remove(call.row.path);
                self.put_off(call, error, again_in).await
            }
            Costs::Nothing { again_in } => self.put_off(call, error, again_in).await,
            Costs::Attempt => Ok(Verdict::Record(self.fail(call, error).await)),
        }
    }

    async fn put_off(
        &mut self,
        call: Call<H>,
        error: StepError,
        again_in: Duration,
    ) -> Result<Verdict, DriveError> {
        let (now, until) = (self.now(), self.now() + again_in);
        match self.postpone(call, until) {
            Some(verdict) => {
                let why = self.world.mask(&error.message);
                say_put_off(&*self.world, self.id, call.row.path, &why).await;
                let put_off = PutOff { until, why };
                self.world.note_put_off(self.id, call.row.path, put_off, now);
                Ok(verdict)
            }
            None => Ok(Verdict::Record(self.fail(call, error).await)),
        }
    }

    /// `None` where the time is up.
    fn judge_progress(&self, call: Call<H>, progress: Progress) -> Option<Verdict> {
        let step = call.row.path.to_owned();
        let now = self.now();
        let event = match progress {
            Progress::Done(note) if call.is_undo => {
                Event::UndoDone { step, note: note.as_str().map(str::to_owned) }
            }
            Progress::Done(output) => Event::StepDone { step, output },
            Progress::Skipped(reason) if call.is_undo => Event::UndoSkipped { step, reason },
            Progress::Skipped(reason) => Event::StepSkipped { step, reason },
            Progress::NotYet { again_in } if now < call.deadline => {
                return Some(Verdict::AskAgain((now + again_in).min(call.deadline)));
            }
            Progress::Until(due) if call.is_undo && now < call.deadline => {
                return Some(Verdict::AskAgain(due.min(call.deadline)));
            }
            Progress::Until(due) if !call.is_undo && self.is_in_time(call, due) => {
                Event::TimerSet { step, due, at: Some(now) }
            }
            Progress::NotYet { .. } | Progress::Until(_) => return None,
        };
        Some(Verdict::Record(event))
    }

    /// A call that was not made is made later. Its attempt's own time may be up by then: a timer
    /// gives the attempt a new one.
    fn postpone(&self, call: Call<H>, time: Timestamp) -> Option<Verdict> {
        if time < call.deadline {
            return Some(Verdict::AskAgain(time));
        }
        let may_wait = !call.is_undo && self.is_in_time(call, time);
        let (step, at) = (call.row.path.to_owned(), Some(self.now()));
        may_wait.then_some(Verdict::Record(Event::TimerSet { step, due: time, at }))
    }

    fn is_in_time(&self, call: Call<H>, time: Timestamp) -> bool {
        let effort = self.run.effort(call.row.path);
        let step = self.plan.step(call.row.path);
        step.and_then(|step| step.must_end(&effort)).is_none_or(|end| time < end)
    }

    async fn fail(&mut self, call: Call<H>, mut error: StepError) -> Event {
        error.message = self.world.mask(&error.message);
        let path = call.row.path;
        self.world.say(self.id, path, Level::Error, error.message.clone()).await;
        let (step, attempt, class) = (path.to_owned(), call.attempt, error.class);
        let last_code = Some(error.code.unwrap_or(ErrorCode::of_class(class)));
        let now = self.now();
        if call.is_undo {
            let again = now + self.retry_pause(attempt, &error, UNDO_RETRY_CAP);
            let may_retry = may_retry_undo(&self.run, path, again)
                || self.has_planted(PlantedBug::StuckNeverDeclared);
            let retry_at = may_retry.then_some(again);
            let code = last_code.filter(|_| retry_at.is_none());
            return Event::UndoFailed {
                step,
                attempt,
                class,
                code,
                error: error.message,
                retry_at,
                at: Some(now),
            };
        }
        let again = now + self.retry_pause(attempt, &error, self.runner_limits().retry_cap);
        let effort = self.run.effort(path);
        let plan = self.plan.step(path);
        let may_retry = plan.is_some_and(|step| step.may_retry(&effort, class, again))
            || self.has_planted(PlantedBug::RetryWithoutBound);
        let retry_at = may_retry.then_some(again);
        let code = last_code.filter(|_| retry_at.is_none());
        let (error, at) = (error.message, Some(now));
        Event::StepFailed { step, attempt, class, code, error, retry_at, at }
    }

    fn retry_pause(&self, attempt: u32, error: &StepError, cap: Duration) -> Duration {
        let mut random = [0; 2];
        self.world.journal().fill_random(&mut random);
        let share = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        let pause = retry_pause(attempt, self.runner_limits().retry_base, cap, share);
        pause.max(error.retry_after.unwrap_or_default())
    }
}

/// The base, doubled with each attempt, and up to half as much on top (by `share`, 0 to 1), so that
/// runs do not march in step. Never less: whoever was asked needs that time to come back.
fn retry_pause(attempt: u32, base: Duration, cap: Duration, share: f64) -> Duration {
    let doubled = base.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    doubled.min(cap.mul_f64(1.0 / 1.5)).mul_f64(1.0 + share / 2.0).min(cap)
}

/// Says in the run's log why a step is put off: when that changes, and every few minutes.
async fn say_put_off(world: &impl Host, run: RunId, step: &str, why: &str) {
    if world.is_news(run, step, why) {
        world.say(run, step, Level::Warning, format!("put off: {why}")).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_have_a_floor_of_1_2_4_seconds_and_a_cap() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(60));
        let pause = |attempt, share| retry_pause(attempt, base, cap, share).as_secs_f64();
        for (attempt, floor) in [(1, 1.0), (2, 2.0), (3, 4.0), (4, 8.0), (20, 40.0), (99, 40.0)] {
            assert!((pause(attempt, 0.0) - floor).abs() < 1e-6, "{attempt}");
            assert!((pause(attempt, 1.0) - 1.5 * floor).abs() < 1e-6, "{attempt}");
        }
        assert!(retry_pause(99, base, cap, 1.0) <= cap);
    }
}
