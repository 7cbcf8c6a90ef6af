//! What happened to incidents.

use super::Teller;
use ocim_domain::incident::{Event, Kind};

/// The sentence of an event.
pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    let who = teller.who();
    let by_itself = |until: &Option<ocim_domain::Timestamp>| match until {
        Some(until) => format!(", until {}", until.format("%F %TZ")),
        None => String::new(),
    };
    match event {
        Event::Began { trouble: Kind::Pause, subject, reason, until, .. } => {
            format!("{who} paused {subject}{}: {reason}", by_itself(until))
        }
        Event::Began { trouble: Kind::Outage, subject, reason, .. } => {
            format!("{subject} keeps failing, and is left alone: {reason}")
        }
        Event::Changed { reason, until, .. } => {
            format!("{who} keeps it paused{}: {reason}", by_itself(until))
        }
        Event::Eased { rate, until, .. } => {
            format!("{who} lets what waits go on, {rate} a minute{}", by_itself(&Some(*until)))
        }
        Event::Ended { .. } => format!("{who} noted its end: work goes on"),
    }
}
