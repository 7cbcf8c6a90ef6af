//! Names of an instance in the DNS, several at once: what one step sets or removes in a zone is one order to
//! its service, and each name is recorded on its own.

use super::super::step::{Progress, StepContext, StepError};
use super::dns_name::DnsName;
use super::removal::{Removal, entries_of};
use super::{
    Resource, forget_unmade, look_for, note_unremoved, record, record_absent, record_present,
};
use ocim_adapters::dns::{Lead, TakenName, Target};
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{self, Command, Kind, Sight};
use std::sync::Arc;
use tokio::sync::OwnedMutexGuard;

const GONE: Progress = Progress::Done(serde_json::Value::Null);

/// Excludes whoever else writes or removes names of this instance, until the guard is dropped. Taken by the
/// steps, before they read what is wanted or known; what they call here takes it no more.
pub async fn lock_names(context: &StepContext, instance: InstanceId) -> OwnedMutexGuard<()> {
    context.world.lock(&format!("names of {instance}")).lock_owned().await
}

/// Has names of one instance, which are locked, lead where they are to. Those that are somebody else's
/// stay, and are given.
///
/// # Errors
/// What the service says, or the store.
pub async fn set_names(
    context: &StepContext,
    wanted: &[DnsName],
) -> Result<Vec<TakenName>, StepError> {
    let Some(DnsName { service, instance, .. }) = wanted.first() else { return Ok(vec![]) };
    let known = entries_of(context, *instance, Kind::DnsName).await?;
    let mut names = Vec::with_capacity(wanted.len());
    for name in wanted {
        let entry = known.iter().find(|entry| entry.resource.id.key == name.name);
        let formerly = read_former(context, name, entry).await?;
        record(context, name, Command::Want(name.describe())).await?;
        names.push(DnsName { formerly, ..name.clone() });
    }
    let to_set: Vec<_> = names.iter().map(DnsName::to_set).collect();
    let taken = match service.set_names(&to_set).await {
        Ok(taken) => taken,
        Err(error) => {
            let error = StepError::from(error);
            for name in &names {
                if !forget_unmade(context, name, &error).await? {
                    break;
                }
            }
            return Err(error);
        }
    };
    for name in wanted {
        if taken.iter().any(|taken| taken.name == name.name) {
            record_absent(context, name).await?;
        } else {
            record_present(context, name, &name.target.to_string()).await?;
            context.say(format!("{} leads to {}", name.name, name.target)).await;
        }
    }
    Ok(taken)
}

/// What may have been written for a name before it is wanted so. The ledger keeps what it led to last and
/// what it was to lead to: where it may be either, it is looked at, before a third takes its place.
async fn read_former(
    context: &StepContext,
    wanted: &DnsName,
    entry: Option<&ledger::Entry>,
) -> Result<Vec<Target>, StepError> {
    let Some(entry) = entry else { return Ok(vec![]) };
    let known = DnsName::of_entry(Arc::clone(&wanted.service), wanted.instance, entry);
    if entry.sight == Sight::Present || entry.resource.place == wanted.target.to_string() {
        return Ok(known.written());
    }
    match known.service.find_name(&known.own_name()).await? {
        Lead::Ours(target) => {
            record_present(context, &known, &target.to_string()).await?;
            Ok(vec![target])
        }
        Lead::Nowhere | Lead::Foreign(_) => Ok(vec![]),
    }
}

/// Removes names of an instance, which are locked, that its ledger has, each until it is seen to be gone, which
/// most are at once.
pub async fn remove_known_names(
    context: &StepContext,
    instance: InstanceId,
    known: Vec<ledger::Entry>,
) -> Removal {
    let mut removal = Removal::default();
    let mut there = vec![];
    for entry in known {
        let name = match DnsName::known(context, instance, &entry) {
            Ok(name) => name,
            Err(error) => {
                removal.note(Err(error));
                continue;
            }
        };
        match look_for(context, &name).await {
            Ok(Some(_)) => there.push(name),
            Ok(None) => {}
            Err(error) => drop(removal.note(Err(error))),
        }
    }
    let Some(DnsName { service, .. }) = there.first() else { return removal };
    let own: Vec<_> = there.iter().map(DnsName::own_name).collect();
    match service.remove_names(&own).await.map_err(StepError::from) {
        Ok(()) => {
            let again_in = context.world.limits.poll_interval;
            for name in &there {
                let gone = look_for(context, name).await;
                let gone = gone.map(|found| found.map_or(GONE, |_| Progress::NotYet { again_in }));
                removal.note(gone);
            }
        }
        Err(error) => {
            for name in &there {
                removal.note(Err(note_unremoved(context, name, error.clone()).await));
            }
        }
    }
    removal
}
