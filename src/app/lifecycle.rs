//! Commands on the life of an instance: archive, un-archive, delete; and what of it is left.

use super::error::AppError;
use super::{App, Caller, Done, ForceAsk};
use ocim_domain::decider::Decider;
use ocim_domain::event::Metadata;
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::instance::lifecycle::{Command, Refused};
use ocim_domain::instance::{self, Instance, Rejected, Stage};
use ocim_domain::ledger::{self, Entry, Kind, Leaves, Ledger, Sight, ledger_id};
use ocim_engine::journal::ExecuteError;

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct DeleteAsk {
    /// The instance's domain, which confirms it.
    pub confirmation: String,
    /// What of these kinds can't be removed is left.
    pub ignore: Vec<Kind>,
}

/// What is asked of the life of an instance.
#[derive(Debug, Clone)]
pub enum LifecycleAsk {
    /// Take it out of service.
    Archive,
    /// Bring it back, with an Appserver that serves if `launch`.
    Unarchive {
        /// Whether to launch.
        launch: bool,
    },
    /// Take all away that it has.
    Delete(DeleteAsk),
}

impl LifecycleAsk {
    fn command(self, run: RunId, reason: String) -> instance::Command {
        instance::Command::Lifecycle(match self {
            Self::Archive => Command::RequestArchive { run, reason },
            Self::Unarchive { launch } => Command::RequestUnarchive { run, reason, launch },
            Self::Delete(DeleteAsk { confirmation, ignore }) => {
                Command::RequestDeletion { run, reason, confirmation, ignore }
            }
        })
    }
}

impl App {
    /// Asks to archive, un-archive or delete an instance, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, or with another confirmation than the instance's domain;
    /// [`AppError::Rejected`] where its stage, a launch or another run forbids it.
    pub async fn change_lifecycle(
        &self,
        by: &Caller,
        id: InstanceId,
        ask: LifecycleAsk,
    ) -> Result<Done<RunId>, AppError> {
        let reason = by.need_reason()?;
        let run = RunId(self.new_id(by, "run"));
        let (stream, meta) = (id.stream(), by.metadata());
        let command = by.ask(ask.command(run, reason));
        let executed = self.journal.execute_once::<Instance>(&stream, &meta, command).await;
        let executed = executed.map_err(|error| lifecycle_error(id, error))?;
        Ok(Done { value: run, position: executed.position })
    }

    /// What [`App::change_lifecycle`] would do, in sentences; nothing is recorded.
    ///
    /// # Errors
    /// As [`App::change_lifecycle`].
    pub async fn plan_lifecycle(
        &self,
        by: &Caller,
        id: InstanceId,
        ask: LifecycleAsk,
    ) -> Result<Vec<String>, AppError> {
        let reason = by.need_reason()?;
        let loaded = self.journal.load::<Instance>(&id.stream()).await?;
        let command = by.ask(ask.clone().command(RunId(self.journal.new_id()), reason));
        let decided = Instance::decide(&loaded.state, command, self.journal.now());
        decided.map_err(|why| lifecycle_error(id, ExecuteError::Rejected(why)))?;
        let (instance, _) = self.load_instance(id).await?;
        let entries = self.ledger_of(id).await?;
        Ok(match ask {
            LifecycleAsk::Archive => tell_archive(&instance, &entries),
            LifecycleAsk::Unarchive { launch } => tell_unarchive(&instance, launch),
            LifecycleAsk::Delete(ask) => tell_deletion(&instance, &entries, &ask),
        })
    }

    /// Asks to take all Appservers of an instance away that have a machine; gives each with its run.
    ///
    /// # Errors
    /// As [`App::terminate_appserver`]; [`AppError::Rejected`] while a launch is under way, or when
    /// none has a machine.
    pub async fn terminate_appservers(
        &self,
        by: &Caller,
        id: InstanceId,
        ask: ForceAsk,
    ) -> Result<Done<Vec<(AppserverId, RunId)>>, AppError> {
        self.check_not_held(by, id).await?;
        let (instance, mut position) = self.load_instance(id).await?;
        if let Some(launch) = instance.launches.first() {
            let detail = Refused::Launching { run: launch.run }.to_string();
            return Err(AppError::Rejected { detail, run: Some(launch.run) });
        }
        if !instance.active.is_empty() && !ask.force {
            return Err(AppError::rejected(Rejected::LastActive));
        }
        let mut runs = vec![];
        for appserver in instance.appservers {
            match self.load_appserver(appserver).await {
                Ok(present) if !present.server_gone => {}
                Ok(_) | Err(AppError::NotFound { .. } | AppError::Rejected { .. }) => continue,
                Err(error) => return Err(error),
            }
            let done = self.terminate_appserver(by, appserver, ask).await?;
            position = done.position;
            runs.push((appserver, done.value));
        }
        if runs.is_empty() {
            return Err(AppError::rejected("no appserver of it has a machine"));
        }
        Ok(Done { value: runs, position })
    }

    /// Takes something out of an instance's ledger, for the caller's reason, whether it is there or not:
    /// what nobody can tell, and what a deletion left.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, [`AppError::Rejected`] for what it does not have, or
    /// what is there and a live instance's.
    pub async fn resolve_resource(
        &self,
        by: &Caller,
        instance: InstanceId,
        id: ledger::ResourceKey,
    ) -> Result<Done<()>, AppError> {
        let reason = by.need_reason()?;
        self.check_not_held(by, instance).await?;
        let (present, _) = self.load_instance(instance).await?;
        let stream = ledger_id(instance).stream();
        let loaded = self.journal.load::<Ledger>(&stream).await?;
        let is_seen = loaded.state.entries.get(&id).is_some_and(|it| it.sight != Sight::Unknown);
        if is_seen && present.lifecycle.stage == Stage::Live {
            return Err(AppError::rejected(
                "the instance is live and uses it: only what is of unknown state can be resolved",
            ));
        }
        let command = ledger::Command::Resolve { id, reason };
        let executed = self.journal.execute::<Ledger>(&stream, &by.metadata(), command).await?;
        Ok(Done { value: (), position: executed.position })
    }

    /// Gives free every name that is reserved for a deleted instance, but those of data that are left.
    ///
    /// # Errors
    /// What the store says.
    pub async fn release_reserved_names(
        &self,
        meta: &Metadata,
        id: InstanceId,
    ) -> Result<(), AppError> {
        let (instance, _) = self.load_instance(id).await?;
        let reserved = instance.reserved_names().into_iter();
        for (kind, name) in reserved.filter(|(kind, name)| !instance.holds(*kind, name)) {
            let reserved = self.read_reservations(id, kind, &[name]).await?;
            self.release_names(meta, id, reserved).await;
        }
        Ok(())
    }

    /// Makes the protected texts of an instance unreadable for good, in every event that has them.
    ///
    /// # Errors
    /// [`AppError::Unavailable`] when the keys can't be reached.
    pub async fn shred_secrets(&self, id: InstanceId) -> Result<(), AppError> {
        let shredded = self.store.shred(&id.to_string()).await;
        shredded.map_err(|error| AppError::unavailable("the keyring", error))
    }

    /// What an instance has outside, by kind and key.
    ///
    /// # Errors
    /// What the store says.
    pub async fn ledger_of(&self, id: InstanceId) -> Result<Vec<Entry>, AppError> {
        let loaded = self.journal.load::<Ledger>(&ledger_id(id).stream()).await?;
        Ok(loaded.state.entries.into_values().collect())
    }
}

fn lifecycle_error(id: InstanceId, error: ExecuteError<Rejected>) -> AppError {
    match error {
        ExecuteError::Rejected(Rejected::Absent) => AppError::not_found("instance", id),
        ExecuteError::Rejected(Rejected::Lifecycle(why @ Refused::NotConfirmed { .. })) => {
            AppError::invalid("confirm", why.to_string())
        }
        ExecuteError::Rejected(why) => super::appservers::instance_rejected(why),
        error => error.into(),
    }
}

/// What goes of the ledger's entries with any of these, a sentence each.
fn tell_removals<'a>(
    entries: &'a [Entry],
    with: &'a [Leaves],
) -> impl Iterator<Item = String> + 'a {
    let leaves = |entry: &&Entry| with.contains(&entry.resource.id.kind.leaves());
    entries.iter().filter(leaves).map(|entry| {
        let ledger::Resource { id, name, place, .. } = &entry.resource;
        let unseen = if entry.sight == Sight::Unknown { ", if it is still there" } else { "" };
        format!("a run would remove the {} {name} at {place}{unseen}", id.kind)
    })
}

fn tell_emptying(instance: &instance::Present) -> Option<String> {
    let count = instance.active.len();
    (count > 0).then(|| format!("the site would go off line: {count} of its appservers serve it"))
}

fn tell_archive(instance: &instance::Present, entries: &[Entry]) -> Vec<String> {
    let kept = "its databases, storage, settings, names and history would be kept";
    let removals = tell_removals(entries, &[Leaves::WithArchive]);
    let told = tell_emptying(instance).into_iter().chain(removals);
    told.chain([kept.to_owned()]).collect()
}

fn tell_unarchive(instance: &instance::Present, launch: bool) -> Vec<String> {
    let domain = instance.confirming_name();
    let launches = "a run would launch an appserver of its settings, and activate it";
    let mut told = vec![format!("a run would give {domain} its DNS names and its balancer again")];
    told.extend(launch.then(|| launches.to_owned()));
    told
}

fn tell_deletion(instance: &instance::Present, entries: &[Entry], ask: &DeleteAsk) -> Vec<String> {
    let removals = tell_removals(entries, &[Leaves::WithArchive, Leaves::WithDeletion]);
    let mut told: Vec<_> = tell_emptying(instance).into_iter().chain(removals).collect();
    let names: Vec<_> = instance.reserved_names().into_iter().map(|(_, name)| name).collect();
    told.push(format!("its names would be free for others: {}", names.join(", ")));
    told.push("its secrets would be unreadable for good".to_owned());
    let kinds: Vec<_> = ask.ignore.iter().map(|kind| format!("{kind}s")).collect();
    if !kinds.is_empty() {
        told.push(format!("{} that can't be removed would be left", kinds.join(" and ")));
    }
    told
}
