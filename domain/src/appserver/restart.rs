//! How an Appserver's machine is restarted.

use super::{Command, Event, Present, Rejected, Status};
use crate::ids::RunId;

/// The rules of restarts; other commands are none of theirs.
pub(super) fn decide(present: &Present, command: Command) -> Result<Vec<Event>, Rejected> {
    let is_ours = |run: RunId| present.restart_run == Some(run);
    match command {
        Command::RequestRestart { run, .. } if is_ours(run) => Ok(vec![]),
        Command::RequestRestart { run, force, reason } => {
            present.check_restart()?;
            match present.restart_run {
                Some(run) => Err(Rejected::Restarting { run }),
                None => Ok(vec![Event::RestartRequested { run, force, reason }]),
            }
        }
        Command::RecordRestart { run } if is_ours(run) => Ok(vec![Event::Restarted { run }]),
        Command::StopRestart { run } if is_ours(run) => Ok(vec![Event::RestartStopped { run }]),
        _ => Ok(vec![]),
    }
}

/// What their events mean.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    match event {
        Event::RestartRequested { run, .. } => {
            present.run_in_flight = Some(*run);
            present.restart_run = Some(*run);
        }
        Event::Restarted { .. } | Event::RestartStopped { .. } => present.restart_run = None,
        _ => {}
    }
}

impl Present {
    /// Refuses one whose machine can't come back as the site: one that does not run, and one that
    /// leaves.
    ///
    /// # Errors
    /// [`Rejected`] with what it is, or with the run that takes it away.
    pub fn check_restart(&self) -> Result<(), Rejected> {
        self.check_staying()?;
        match self.status {
            Status::Running => Ok(()),
            Status::New | Status::Waiting | Status::Configuring => {
                Err(Rejected::Launching { run: self.launched.run })
            }
            status => Err(Rejected::NotRestartable { status }),
        }
    }
}
