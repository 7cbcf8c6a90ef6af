//! Sentences about regions, their slots and what the reconciler finds there; and about read models.

use super::{Teller, because};
use ocim_domain::ledger::ResourceKey;
use ocim_domain::{inventory, projection, region};

pub(super) fn tell(teller: &Teller<'_>, event: &region::Event) -> String {
    use region::Event as E;
    match event {
        E::LimitSet { region, limit, configured: true } => {
            format!("The configuration lets {limit} launches run at a time in {region}")
        }
        E::LimitSet { region, limit, configured: false } => {
            format!("{} lets {limit} launches run at a time in {region}", teller.who())
        }
        E::RunQueued { run, bulk_max: None } => {
            format!("{} waits in line for a slot", teller.name(run))
        }
        E::RunQueued { run, bulk_max: Some(_) } => {
            format!("{} waits for a slot behind those that people wait for", teller.name(run))
        }
        E::RunAdmitted { run } => format!("{} has a slot", teller.name(run)),
        E::RunLeft { run } => format!("{} gave its slot or its place back", teller.name(run)),
    }
}

pub(super) fn tell_inventory(teller: &Teller<'_>, event: &inventory::Event) -> String {
    use inventory::Event as E;
    match event {
        E::SightLost { region, error } => format!("The region {region} does not answer: {error}"),
        E::SightRegained { region } => format!("The region {region} answers again"),
        E::OrphanFound { place, orphan } => format!(
            "{} {} ({}) in {place} is ours, but nothing accounts for it",
            noun(&orphan.id),
            orphan.name,
            orphan.id.key
        ),
        E::OrphanSettled { id } => {
            format!("{} {} is gone or accounted for", noun(id), id.key)
        }
        E::OrphanDeletionRequested { place, id, reason, .. } => format!(
            "{} asked to take the {} {} of {place} away{}",
            teller.who(),
            id.kind,
            id.key,
            because(Some(reason))
        ),
        E::OrphanDeletionStopped { id, run } => {
            format!("{} did not take the {} {} away", teller.name(run), id.kind, id.key)
        }
    }
}

/// What a sentence about something without an owner begins with.
fn noun(id: &ResourceKey) -> &'static str {
    id.kind.subject().0
}

pub(super) fn tell_projection(teller: &Teller<'_>, event: &projection::Event) -> String {
    let projection::Event::EventSkipped { projection, event, event_kind, reason } = event;
    format!(
        "{} told the read model {projection} to step over the event {event} ({event_kind}){}",
        teller.who(),
        because(Some(reason))
    )
}
