//! What becomes of the machine of an Appserver that failed or is obsolete, and of any that is in trouble.

use super::{Command, Event, Present, Rejected, Status};
use crate::Timestamp;
use crate::ids::{AppserverId, NAMESPACE, RunId};
use uuid::Uuid;

/// A clean-up of an Appserver that failed, or is obsolete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanUp {
    /// The run that does it.
    pub run: RunId,
    /// The end of the time that its machine was kept for; none where somebody did not wait for it.
    pub due: Option<Timestamp>,
    /// True once it has begun: from then on the Appserver can't serve.
    pub is_started: bool,
    /// True where the daily clean-up found it obsolete.
    pub is_obsolete: bool,
}

/// The run that takes a failed Appserver's machine away once it was kept until `due`: the same
/// whoever asks for it, so that several who look at once start it once.
#[must_use]
pub fn clean_up_run(appserver: AppserverId, due: Timestamp) -> RunId {
    let name = format!("clean_up_appserver/{appserver}/{}", due.timestamp_micros());
    RunId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}

/// The rules of keeping, cleaning up and watching; other commands are none of theirs.
pub(super) fn decide(
    present: &Present,
    command: Command,
    now: Timestamp,
) -> Result<Vec<Event>, Rejected> {
    match command {
        Command::KeepServer { until, reason } => decide_keep(present, until, reason, now),
        Command::CleanUpWhenDue { run, due } => Ok(decide_when_due(present, run, due, now)),
        Command::RequestCleanUp { run, reason } => decide_request(present, run, reason),
        Command::CleanUpObsolete { run, reason } => decide_obsolete(present, run, reason),
        Command::StartCleanUp { run } => decide_start(present, run, now),
        Command::StopCleanUp { run } => Ok(decide_stop(present, run)),
        Command::ObserveMachine { trouble } => Ok(decide_trouble(present, trouble)),
        _ => Ok(vec![]),
    }
}

/// What their events mean.
pub(super) fn evolve(present: &mut Present, event: &Event) {
    match event {
        Event::ServerKept { until, .. } => {
            present.keeps_server_until = Some(*until);
            present.clean_up = None; // One that was asked for before finds that it was called off.
        }
        Event::CleanUpRequested { run, due, obsolete, .. } => {
            let (run, due, is_obsolete) = (*run, *due, *obsolete);
            present.run_in_flight = Some(run);
            present.clean_up = Some(CleanUp { run, due, is_started: false, is_obsolete });
        }
        Event::CleanUpStarted { run } => {
            let (due, is_obsolete) =
                present.clean_up.map_or((None, false), |known| (known.due, known.is_obsolete));
            present.clean_up = Some(CleanUp { run: *run, due, is_started: true, is_obsolete });
        }
        // Its date stays noted as used: nobody asks for the same clean-up again by itself.
        Event::CleanUpStopped { .. } => {
            if let Some(clean_up) = &mut present.clean_up {
                clean_up.is_started = false;
            }
        }
        Event::MachineTroubled { trouble } => present.trouble = Some(trouble.clone()),
        Event::MachineRecovered { .. } => present.trouble = None,
        _ => {}
    }
}

/// Refuses what is not kept for debugging.
fn check_kept(present: &Present) -> Result<(), Rejected> {
    match present.clean_up {
        _ if present.server_gone => Err(Rejected::Gone),
        _ if present.status != Status::Failed => Err(Rejected::NotKept { status: present.status }),
        Some(CleanUp { run, is_started: true, .. }) => Err(Rejected::CleaningUp { run }),
        _ => Ok(()),
    }
}

fn decide_keep(
    present: &Present,
    until: Timestamp,
    reason: String,
    now: Timestamp,
) -> Result<Vec<Event>, Rejected> {
    check_kept(present)?;
    let before = present.keeps_server_until;
    match until {
        _ if until <= now => Err(Rejected::PastDate),
        _ if before == Some(until) => Ok(vec![]),
        _ => Ok(vec![Event::ServerKept { before, until, reason }]),
    }
}

/// Silent unless that very date has come, for the first time, on one that serves nobody.
fn decide_when_due(present: &Present, run: RunId, due: Timestamp, now: Timestamp) -> Vec<Event> {
    let is_asked = present.clean_up.is_some_and(|known| known.due == Some(due));
    let is_due = present.keeps_server_until == Some(due) && due <= now;
    if check_kept(present).is_err() || present.active || is_asked || !is_due {
        return vec![];
    }
    vec![Event::CleanUpRequested { run, due: Some(due), reason: None, obsolete: false }]
}

fn decide_request(present: &Present, run: RunId, reason: String) -> Result<Vec<Event>, Rejected> {
    check_kept(present)?;
    if present.active {
        return Err(Rejected::StillActive);
    }
    Ok(vec![Event::CleanUpRequested { run, due: None, reason: Some(reason), obsolete: false }])
}

/// Silent about one that is gone, or whose clean-up in that run was asked for before.
fn decide_obsolete(present: &Present, run: RunId, reason: String) -> Result<Vec<Event>, Rejected> {
    let is_asked = present.clean_up.is_some_and(|known| known.run == run);
    if is_asked || present.server_gone {
        return Ok(vec![]);
    }
    check_idle(present)?;
    Ok(vec![Event::CleanUpRequested { run, due: None, reason: Some(reason), obsolete: true }])
}

/// Refuses one that serves, has a date of its own, or is being launched, restarted or taken away.
fn check_idle(present: &Present) -> Result<(), Rejected> {
    present.check_staying()?;
    match present.status {
        _ if present.active => Err(Rejected::StillActive),
        Status::New | Status::Waiting | Status::Configuring => {
            Err(Rejected::Launching { run: present.launched.run })
        }
        _ if present.keeps_server_until.is_some() => Err(Rejected::KeptLonger),
        _ => present.restart_run.map_or(Ok(()), |run| Err(Rejected::Restarting { run })),
    }
}

/// The last look before a machine goes: somebody may have kept it, or given it traffic, meanwhile.
fn decide_start(present: &Present, run: RunId, now: Timestamp) -> Result<Vec<Event>, Rejected> {
    let known = present.clean_up.filter(|known| known.run == run);
    match known {
        Some(known) if known.is_started || present.server_gone => return Ok(vec![]),
        Some(CleanUp { is_obsolete: true, .. }) => {
            check_idle(present)?;
            return Ok(vec![Event::CleanUpStarted { run }]);
        }
        Some(CleanUp { due: Some(_), .. }) | None
            if present.keeps_server_until.is_some_and(|until| until > now) =>
        {
            return Err(Rejected::KeptLonger);
        }
        _ => {}
    }
    check_kept(present)?;
    if present.active {
        return Err(Rejected::StillActive);
    }
    Ok(vec![Event::CleanUpStarted { run }])
}

fn decide_stop(present: &Present, run: RunId) -> Vec<Event> {
    match present.clean_up {
        Some(known) if known.run == run && known.is_started && !present.server_gone => {
            vec![Event::CleanUpStopped { run }]
        }
        _ => vec![],
    }
}

/// Silent while nothing changes, and about a machine that is to go or gone.
fn decide_trouble(present: &Present, trouble: Option<String>) -> Vec<Event> {
    match (&present.trouble, trouble) {
        _ if present.is_leaving() => vec![],
        (known, trouble) if *known == trouble => vec![],
        (_, Some(trouble)) => vec![Event::MachineTroubled { trouble }],
        (Some(trouble), None) => vec![Event::MachineRecovered { trouble: trouble.clone() }],
        (None, None) => vec![],
    }
}
