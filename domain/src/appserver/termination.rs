//! How an Appserver and its machine are taken away.

use super::{Command, Event, Present, Rejected, Status};
use crate::Timestamp;
use crate::ids::RunId;

/// The rules of terminations; other commands are none of theirs.
pub(super) fn decide(
    present: &Present,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Event>, Rejected> {
    match command {
        Command::RequestTermination { run, force, reason } => {
            decide_request(present, run, force, reason)
        }
        Command::StartTermination { run } => Ok(decide_start(present, run)),
        Command::StopTermination { run } => Ok(decide_stop(present, run)),
        Command::Terminate => decide_terminate(present, now),
        _ => Ok(vec![]),
    }
}

/// What their events mean.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    match event {
        Event::TerminationRequested { run, .. } => present.run_in_flight = Some(*run),
        Event::TerminationStarted { run } => present.termination_run = Some(*run),
        Event::TerminationStopped { .. } => present.termination_run = None,
        Event::Terminated { status, at } => {
            if present.status == Status::Running {
                present.terminated = Some(*at);
            }
            present.status = *status;
            present.server_gone = true;
            present.keeps_server_until = None;
            present.trouble = None;
        }
        _ => {}
    }
}

fn decide_request(
    present: &Present,
    run: RunId,
    force: bool,
    reason: Option<String>,
) -> Result<Vec<Event>, Rejected> {
    match present.status {
        _ if present.server_gone => Ok(vec![]), // Repeating is harmless (core §4.3).
        Status::New | Status::Waiting | Status::Configuring => {
            Err(Rejected::Launching { run: present.launched.run })
        }
        Status::Running
        | Status::Failed
        | Status::Error
        | Status::Terminated
        | Status::Cancelled => Ok(vec![Event::TerminationRequested { run, force, reason }]),
    }
}

/// The latest one answers for it: an earlier one that turns back afterwards stops nothing.
fn decide_start(present: &Present, run: RunId) -> Vec<Event> {
    if present.server_gone || present.termination_run == Some(run) {
        return vec![];
    }
    vec![Event::TerminationStarted { run }]
}

fn decide_stop(present: &Present, run: RunId) -> Vec<Event> {
    if present.server_gone || present.termination_run != Some(run) {
        return vec![];
    }
    vec![Event::TerminationStopped { run }]
}

fn decide_terminate(present: &Present, now: Timestamp) -> Result<Vec<Event>, Rejected> {
    match present {
        Present { server_gone: true, .. } => Ok(vec![]),
        Present { active: true, .. } => Err(Rejected::StillActive),
        _ => {
            let status = status_once_terminated(present.status);
            Ok(vec![Event::Terminated { status, at: now }])
        }
    }
}

/// What core §4.3 step 3 leaves an Appserver in when its machine goes.
#[must_use]
pub fn status_once_terminated(status: Status) -> Status {
    match status {
        Status::Running => Status::Terminated,
        Status::Configuring => Status::Failed,
        Status::Waiting => Status::Error,
        Status::New | Status::Failed | Status::Error | Status::Terminated | Status::Cancelled => {
            status
        }
    }
}
