//! What nothing accounts for: the orders to take it away, or to have an instance look after it.

use super::error::AppError;
use super::{App, Caller, Done};
use ocim_domain::decider::Decider;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::inventory::{self, Command, Inventory, Orphan, OrphanId, Reported, inventory_id};
use ocim_domain::ledger::{self, Kind, Ledger, Resource, ResourceKey, ledger_id};

impl App {
    /// Records a second machine with the key of one in use, and asks to take it away; false when
    /// that was done before.
    ///
    /// # Errors
    /// What the store says.
    pub async fn remove_duplicate(&self, region: &str, orphan: Orphan) -> Result<bool, AppError> {
        let run = RunId(self.journal.new_id());
        let reason = "another machine with its key is in use".to_owned();
        let place = region.to_owned();
        let seen = Command::ReportDuplicate { place, orphan, run, reason };
        Ok(!self.observe_inventory(region, seen).await?.events.is_empty())
    }

    /// The region's machines that nobody accounts for, in the order of their ids.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list_orphans(&self, region: &str) -> Result<Vec<Orphan>, AppError> {
        let inventory = self.load_inventory(region).await?;
        let all = inventory.orphans().map(|known| known.orphan.clone());
        Ok(all.filter(|orphan| orphan.id.kind == Kind::Machine).collect())
    }

    /// What was reported of something without an owner.
    ///
    /// # Errors
    /// What the store says.
    pub async fn reported_orphan(&self, id: &OrphanId) -> Result<Option<Reported>, AppError> {
        Ok(self.load_inventory(&id.place).await?.orphan(&id.key).cloned())
    }

    /// Asks to take a machine away that was reported as an orphan, for the caller's reason.
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
        let run = RunId(self.new_id(by, "run"));
        let id = ResourceKey::new(Kind::Machine, machine);
        let command = Command::RequestOrphanDeletion { id, run, reason };
        self.order_deletion(by, region, run, command).await
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
        let inventory = self.load_inventory(region).await?;
        let (run, id) = (RunId(self.journal.new_id()), ResourceKey::new(Kind::Machine, machine));
        let (asked, reason) = (id.clone(), String::new());
        let command = Command::RequestOrphanDeletion { id: asked, run, reason };
        Inventory::decide(&inventory, command, self.journal.now()).map_err(AppError::rejected)?;
        let known = inventory.orphan(&id).map(|known| known.orphan.clone());
        known.ok_or_else(|| AppError::rejected(inventory::Rejected::NotAnOrphan { id }))
    }

    /// Asks to take away what was seen just now and nothing accounts for, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason, [`AppError::Rejected`] while a run takes it away.
    pub async fn delete_seen_orphan(
        &self,
        by: &Caller,
        place: &str,
        orphan: Orphan,
    ) -> Result<Done<RunId>, AppError> {
        let reason = by.need_reason()?;
        let run = RunId(self.new_id(by, "run"));
        let command = Command::DeleteOrphan { place: place.to_owned(), orphan, run, reason };
        self.order_deletion(by, place, run, command).await
    }

    /// Has an instance look after what was seen just now and nothing accounts for, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason; [`AppError::Rejected`] while a run takes it away, and where
    /// the instance has it; [`AppError::Held`] while somebody else holds the instance.
    pub async fn adopt_orphan(
        &self,
        by: &Caller,
        instance: InstanceId,
        resource: Resource,
        provider_id: String,
    ) -> Result<Done<()>, AppError> {
        let reason = by.need_reason()?;
        self.check_not_held(by, instance).await?;
        let OrphanId { place, key } = OrphanId::of(&resource);
        let known = self.load_inventory(&place).await?.orphan(&key).cloned();
        if let Some(run) = known.as_ref().and_then(|known| known.deletion) {
            let rejected = inventory::Rejected::BeingDeleted { id: key, run };
            return Err(AppError::Rejected { detail: rejected.to_string(), run: Some(run) });
        }
        let command = ledger::Command::Adopt { resource, provider_id, reason };
        let (stream, meta) = (ledger_id(instance).stream(), by.metadata());
        let executed = self.journal.execute::<Ledger>(&stream, &meta, command).await?;
        if known.is_some() {
            self.observe_inventory(&place, Command::SettleOrphan { id: key }).await?;
        }
        Ok(Done { value: (), position: executed.position })
    }

    async fn load_inventory(&self, place: &str) -> Result<inventory::State, AppError> {
        Ok(self.journal.load::<Inventory>(&inventory_id(place).stream()).await?.state)
    }

    async fn order_deletion(
        &self,
        by: &Caller,
        place: &str,
        run: RunId,
        command: Command,
    ) -> Result<Done<RunId>, AppError> {
        let stream = inventory_id(place).stream();
        let executed = self.journal.execute::<Inventory>(&stream, &by.metadata(), command).await?;
        Ok(Done { value: run, position: executed.position })
    }
}
