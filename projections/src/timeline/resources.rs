//! Sentences about what an instance has outside.

use super::Teller;
use ocim_domain::ledger::{Event, ResourceKey};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    match event {
        Event::Wanted { resource } => {
            let (name, place) = (&resource.name, &resource.place);
            format!("{} wanted in {place}: {name}", subject(&resource.id))
        }
        Event::Present { id, provider_id } if id.key == *provider_id => {
            format!("{} there", subject(id))
        }
        Event::Present { id, provider_id } => format!("{} there: {provider_id}", subject(id)),
        Event::Absent { id } => format!("{} seen to be gone", subject(id)),
        Event::Resolved { id, reason } => {
            let who = teller.who();
            format!("{} Ocim's no more, as {who} decided: {reason}", subject(id))
        }
        Event::Adopted { resource, reason, .. } => {
            let (who, name, place) = (teller.who(), &resource.name, &resource.place);
            format!(
                "{} the instance's from now on, as {who} decided: {name} in {place}: {reason}",
                subject(&resource.id)
            )
        }
        Event::Unknown { id, reason } => format!("{} out of sight: {reason}", subject(id)),
    }
}

/// What it is, by the key that it has in all its events.
fn subject(id: &ResourceKey) -> String {
    let (noun, verb) = id.kind.subject();
    format!("{noun} {} {verb}", id.key)
}
