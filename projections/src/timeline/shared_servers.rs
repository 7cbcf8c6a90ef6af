//! Sentences about servers that sites share.

use super::{Teller, because, list};
use ocim_domain::shared_server::{Address, Event};

pub(super) fn tell<A: Address>(teller: &Teller<'_>, event: &Event<A>) -> String {
    let (who, it, noun) = (teller.who(), teller.own_name(), A::NOUN);
    let why = because(teller.recorded.meta.reason.as_deref());
    match event {
        Event::Registered(known) => {
            let place = known.address.url("", "");
            format!("{who} added the {noun} {} at {place}{why}", known.name)
        }
        Event::RegistrationChanged { fields, .. } => {
            format!("{who} changed {} of the {noun} {it}{why}", list(fields))
        }
        Event::AcceptanceChanged { accepts_new_clients: true } => {
            format!("{who} lets the {noun} {it} take new sites{why}")
        }
        Event::AcceptanceChanged { accepts_new_clients: false } => {
            format!("{who} lets the {noun} {it} take no new sites{why}")
        }
        Event::ClientAdmitted { client, account } => {
            format!("{who} gave {} to the {noun} {it}, as {account}", teller.name(client))
        }
        Event::ClientReleased { client } => {
            format!("{} uses the {noun} {it} no more", teller.name(client))
        }
        Event::Retired {} => format!("{who} retired the {noun} {it}{why}"),
    }
}
