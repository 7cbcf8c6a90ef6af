//! What is observed at machines and regions, and the order to take an orphan away.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::decider::Decider;
use ocim_domain::event::Metadata;
use ocim_domain::ids::{AppserverId, InstanceId, RunId, ServerId};
use ocim_domain::inventory::{self, Inventory, Orphan, inventory_id};
use ocim_domain::ledger::{self, Ledger, ledger_id};
use ocim_domain::server::{self, Server};
use ocim_engine::journal::{ExecuteError, Executed};

/// Who observes.
const ACTOR: &str = "reconciler";

impl App {
    /// Records what was seen at a machine, and returns what that told. An observation that does
    /// not fit, since somebody else has recorded more meanwhile, is dropped.
    ///
    /// # Errors
    /// What the store says.
    pub async fn observe_server(
        &self,
        id: ServerId,
        seen: server::Command,
    ) -> Result<Vec<server::Event>, AppError> {
        let meta = Metadata::by(ACTOR);
        let observed = self.journal.execute::<Server>(&id.stream(), &meta, seen).await;
        told(observed.map(|executed| executed.events))
    }

    /// Records what was seen of something that an instance has outside.
    ///
    /// # Errors
    /// What the store says.
    pub async fn observe_resource(
        &self,
        instance: InstanceId,
        seen: ledger::Command,
    ) -> Result<Vec<ledger::Event>, AppError> {
        let meta = Metadata::by(ACTOR);
        let stream = ledger_id(instance).stream();
        let observed = self.journal.execute::<Ledger>(&stream, &meta, seen).await;
        told(observed.map(|executed| executed.events))
    }

    /// Records that an Appserver's machine is in trouble, or in none any more.
    ///
    /// # Errors
    /// What the store says.
    pub async fn observe_machine(
        &self,
        id: AppserverId,
        trouble: Option<String>,
    ) -> Result<Vec<appserver::Event>, AppError> {
        let meta = Metadata::by(ACTOR);
        let seen = appserver::Command::ObserveMachine { trouble };
        let observed = self.journal.execute::<Appserver>(&id.stream(), &meta, seen).await;
        told(observed.map(|executed| executed.events))
    }

    /// Records what was seen of a region, and returns it as it is known then.
    ///
    /// # Errors
    /// What the store says.
    pub async fn observe_inventory(
        &self,
        name: &str,
        seen: inventory::Command,
    ) -> Result<Executed<Inventory>, AppError> {
        let stream = inventory_id(name).stream();
        Ok(self.journal.execute::<Inventory>(&stream, &Metadata::by(ACTOR), seen).await?)
    }

    /// Records a second machine with the key of one in use, and asks to take it away; false when
    /// that was done before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove_duplicate(&self, region: &str, orphan: Orphan) -> Result<bool, AppError> {
        let run = RunId(self.journal.new_id());
        let reason = "another machine with its key is in use".to_owned();
        let region_name = region.to_owned();
        let seen = inventory::Command::ReportDuplicate { region: region_name, orphan, run, reason };
        Ok(!self.observe_inventory(region, seen).await?.events.is_empty())
    }

    /// The region's machines that nobody accounts for, in the order of their ids.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_orphans(&self, region: &str) -> Result<Vec<Orphan>, AppError> {
        let loaded = self.journal.load::<Inventory>(&inventory_id(region).stream()).await?;
        Ok(loaded.state.orphans.into_values().map(|known| known.orphan).collect())
    }

    /// Asks to take an orphan away, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, [`AppError::Rejected`] when it is not reported as
    /// an orphan.
    pub async fn delete_orphan(
        &self,
        by: &Caller,
        region: &str,
        machine: &str,
    ) -> Result<Done<RunId>, AppError> {
        let reason = by.need_reason()?;
        let run = RunId(self.journal.new_id());
        let machine = machine.to_owned();
        let command = inventory::Command::RequestOrphanDeletion { machine, run, reason };
        let stream = inventory_id(region).stream();
        let executed = self.journal.execute::<Inventory>(&stream, &by.metadata(), command).await?;
        Ok(Done { value: run, position: executed.position })
    }

    /// The orphan that [`App::delete_orphan`] would take away; nothing is recorded.
    ///
    /// # Errors
    /// As [`App::delete_orphan`].
    pub async fn plan_orphan_deletion(
        &self,
        by: &Caller,
        region: &str,
        machine: &str,
    ) -> Result<Orphan, AppError> {
        by.need_reason()?;
        let loaded = self.journal.load::<Inventory>(&inventory_id(region).stream()).await?;
        let (run, machine) = (RunId(self.journal.new_id()), machine.to_owned());
        let (asked, reason) = (machine.clone(), String::new());
        let command = inventory::Command::RequestOrphanDeletion { machine: asked, run, reason };
        Inventory::decide(&loaded.state, command, self.journal.now())
            .map_err(AppError::rejected)?;
        let known = loaded.state.orphans.get(&machine).map(|known| known.orphan.clone());
        known.ok_or_else(|| AppError::rejected(inventory::Rejected::NotAnOrphan { machine }))
    }
}

fn told<E, R: std::error::Error + Send + Sync + 'static>(
    observed: Result<Vec<E>, ExecuteError<R>>,
) -> Result<Vec<E>, AppError> {
    match observed {
        Ok(events) => Ok(events),
        Err(ExecuteError::Rejected(why)) => {
            tracing::debug!(%why, "an observation came too late");
            Ok(vec![])
        }
        Err(ExecuteError::Journal(error)) => Err(error.into()),
    }
}
