//! Sentences about Appservers.

use super::{Teller, because};
use ocim_domain::appserver::{Event, Status};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let (who, it) = (teller.who(), teller.own_name());
    let forced = |force: bool| if force { " by force" } else { "" };
    match event {
        Event::Launched(launched) => {
            let commit = launched.configuration_commit.as_ref();
            let commit = commit.map_or_else(String::new, |commit| format!(", commit {commit}"));
            let (number, hostname) = (launched.number, &launched.hostname);
            format!("{who} froze the settings of AppServer {number} (host {hostname}{commit})")
        }
        Event::WaitingStarted {} => format!("{it} waits for its machine"),
        Event::ConfiguringStarted {} => format!("{who} began to configure {it}"),
        Event::RunningStarted {} => format!("{it} runs: the site answered"),
        Event::ConfigurationFailed { reason, keeps_server_until } => {
            let kept = keeps_server_until.map_or_else(String::new, |until| {
                format!("; its machine is kept for debugging until {}", until.format("%F %R UTC"))
            });
            format!("The configuration of {it} failed: {reason}{kept}")
        }
        Event::LaunchFailed { reason } => format!("The machine of {it} never came up: {reason}"),
        Event::Cancelled { reason } => format!("The launch of {it} was cancelled: {reason}"),
        Event::ActivationRequested { deactivate_others, force, .. } => {
            let alone = if *deactivate_others { " in place of all others" } else { "" };
            format!("{who} asked to activate {it}{alone}{}", forced(*force))
        }
        Event::Activated { .. } => format!("{it} receives traffic"),
        Event::DeactivationRequested { force, reason, .. } => {
            format!(
                "{who} asked to deactivate {it}{}{}",
                forced(*force),
                because(reason.as_deref())
            )
        }
        Event::Deactivated { .. } => format!("{it} receives no traffic any more"),
        Event::TerminationRequested { force, reason, .. } => {
            format!("{who} asked to terminate {it}{}{}", forced(*force), because(reason.as_deref()))
        }
        Event::TerminationStarted { .. } => format!("{who} began to take {it} away"),
        Event::RestartRequested { force, reason, .. } => format!(
            "{who} asked to restart the machine of {it}{}{}",
            forced(*force),
            because(reason.as_deref())
        ),
        Event::Restarted { .. } => {
            format!("The machine of {it} was restarted, and its site answers")
        }
        Event::RestartStopped { .. } => {
            format!("The restart of the machine of {it} did not come to its end")
        }
        Event::TerminationStopped { .. } => {
            format!("The termination of {it} turned back: its machine stays")
        }
        Event::Terminated { status: Status::Terminated, .. } => {
            format!("{it} is terminated: its machine is gone")
        }
        Event::Terminated { .. } => format!("The machine of {it} is gone"),
        Event::ServerKept { until, reason, .. } => format!(
            "{who} keeps the machine of {it} until {}{}",
            until.format("%F %R UTC"),
            because(Some(reason))
        ),
        Event::CleanUpRequested { reason: Some(reason), obsolete: true, .. } => {
            format!("{it} {reason}")
        }
        Event::CleanUpRequested { reason: Some(reason), .. } => {
            format!("{who} asked to clean up {it}{}", because(Some(reason)))
        }
        Event::CleanUpRequested { reason: None, .. } => {
            format!("The time is up for which the machine of {it} was kept")
        }
        Event::CleanUpStarted { .. } => format!("{who} began to take the machine of {it} away"),
        Event::CleanUpStopped { .. } => {
            format!("The clean-up of {it} turned back: its machine stays")
        }
        Event::MachineTroubled { trouble } => format!("{it} is in trouble: {trouble}"),
        Event::MachineRecovered { trouble } => format!("{it} is well again; it was: {trouble}"),
    }
}
