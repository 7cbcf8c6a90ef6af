//! Sentences about what an instance has outside.

use super::Teller;
use ocim_domain::ledger::{Event, Kind, ResourceKey};

pub(super) fn tell(teller: &Teller<'_>, event: &Event) -> String {
    match event {
        Event::Wanted { resource } => {
            let (name, place) = (&resource.name, &resource.place);
            format!("{} {} wanted in {place}: {name}", noun(&resource.id), verb(resource.id.kind))
        }
        Event::Present { id, provider_id } if id.key == *provider_id => {
            format!("{} {} there", noun(id), verb(id.kind))
        }
        Event::Present { id, provider_id } => {
            format!("{} {} there: {provider_id}", noun(id), verb(id.kind))
        }
        Event::Absent { id } => format!("{} {} seen to be gone", noun(id), verb(id.kind)),
        Event::Resolved { id, reason } => {
            format!(
                "{} {} Ocim's no more, as {} decided: {reason}",
                noun(id),
                verb(id.kind),
                teller.who()
            )
        }
        Event::Unknown { id, reason } => {
            format!("{} {} out of sight: {reason}", noun(id), verb(id.kind))
        }
    }
}

/// What it is, by the key that it has in all its events.
fn noun(id: &ResourceKey) -> String {
    let key = &id.key;
    match id.kind {
        Kind::Machine => format!("The machine {key}"),
        Kind::SecurityGroups => format!("The security groups of {key}"),
        Kind::Fragment => format!("The load balancer's part {key}"),
        Kind::DnsName => format!("The DNS name {key}"),
        Kind::Monitor => format!("The monitor of {key}"),
    }
}

fn verb(kind: Kind) -> &'static str {
    match kind {
        Kind::SecurityGroups => "are",
        Kind::Machine | Kind::Fragment | Kind::DnsName | Kind::Monitor => "is",
    }
}
