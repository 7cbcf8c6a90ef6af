//! What is observed at machines, regions and what instances have outside.

use super::App;
use super::error::AppError;
use ocim_domain::appserver::{self, Appserver};
use ocim_domain::event::Metadata;
use ocim_domain::ids::{AppserverId, InstanceId, ServerId};
use ocim_domain::inventory::{self, Inventory, inventory_id};
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
