//! Sentences about what an instance has outside.

use super::Teller;
use ocim_domain::ledger::{Event, Kind, ResourceKey};

pub(super) fn tell(_: &Teller<'_>, event: &Event) -> String {
    match event {
        Event::Wanted { resource } => {
            let (name, place) = (&resource.name, &resource.place);
            format!("The {} {name} is wanted in {place}", resource.id.kind)
        }
        Event::Present { id, provider_id } => format!("The {} is there", tell_id(id, provider_id)),
        Event::Absent { id } => format!("The {} {} is gone", id.kind, id.key),
        Event::Unknown { id, reason } => {
            format!("Whether the {} {} is there can't be told: {reason}", id.kind, id.key)
        }
    }
}

/// What people and the provider call it; once, where that is the same.
fn tell_id(id: &ResourceKey, provider_id: &str) -> String {
    match id.kind {
        Kind::Machine => format!("{} {provider_id}", id.kind),
        _ if id.key == provider_id => format!("{} {}", id.kind, id.key),
        _ => format!("{} {} ({provider_id})", id.kind, id.key),
    }
}
