//! Orders about what nothing accounts for: to take it away, or to have an instance look after it. Each looks
//! for it first.

use super::{ResourceScanner, machines};
use crate::app::{AppError, Caller, Done, Holding, Holdings};
use crate::processes::orphans::Stray;
use crate::processes::step::StepError;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::lifecycle::Stage;
use ocim_domain::inventory::{Orphan, OrphanId};
use ocim_domain::ledger::{Kind, Leaves, Resource};
use ocim_domain::load_balancer::fragment_owner;
use ocim_domain::saga::ErrorClass;

/// Held by who gives an order: of two about one orphan, the second finds what the first has recorded.
const ORDERS: &str = "orders about orphans";

impl ResourceScanner {
    /// Asks to take an orphan away, for the caller's reason.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason; [`AppError::Rejected`] for what a ledger knows, what is not
    /// ours and what is not there; [`AppError::Unavailable`] when its provider does not answer.
    pub async fn delete(&self, by: &Caller, id: &OrphanId) -> Result<Done<RunId>, AppError> {
        by.need_reason()?;
        let lock = self.world.lock(ORDERS);
        let _one_at_a_time = lock.lock().await;
        let orphan = self.find_orphan(id).await?;
        self.world.app.delete_seen_orphan(by, &id.place, orphan).await
    }

    /// What [`ResourceScanner::delete`] would take away; nothing is recorded.
    ///
    /// # Errors
    /// As [`ResourceScanner::delete`].
    pub async fn plan_deletion(&self, by: &Caller, id: &OrphanId) -> Result<Orphan, AppError> {
        by.need_reason()?;
        self.find_orphan(id).await
    }

    /// Has an instance look after an orphan, for the caller's reason: it goes with that from then on.
    ///
    /// # Errors
    /// [`AppError::Invalid`] without a reason; [`AppError::NotFound`] without such an instance;
    /// [`AppError::Rejected`] for what another instance has or had, what is not there, and kinds that
    /// nobody looks after by themselves; [`AppError::Unavailable`] when its provider does not answer.
    pub async fn adopt(
        &self,
        by: &Caller,
        id: &OrphanId,
        instance: InstanceId,
    ) -> Result<Done<()>, AppError> {
        by.need_reason()?;
        check_adoptable(id.key.kind)?;
        self.world.app.check_not_held(by, instance).await?;
        let (present, _) = self.world.app.load_instance(instance).await?;
        if matches!(present.lifecycle.stage, Stage::Deleting | Stage::Deleted) {
            let stage = present.lifecycle.stage;
            return Err(AppError::rejected(format!("the instance is {stage}: delete it instead")));
        }
        let lock = self.world.lock(ORDERS);
        let _one_at_a_time = lock.lock().await;
        let holdings = self.world.app.read_holdings().await?;
        let (_, found) = self.look_for(&holdings, id).await?;
        let former = holdings.former(id).ok_or_else(|| gone(id))?;
        self.check_owner(former, instance).await?;
        let resource = adopted(former, instance, &found);
        self.world.app.adopt_orphan(by, instance, resource, found).await
    }

    /// What is there that nothing accounts for.
    async fn find_orphan(&self, id: &OrphanId) -> Result<Orphan, AppError> {
        if id.key.kind == Kind::Machine {
            return machines::find_orphan(&self.world, id).await.map_err(refused);
        }
        let holdings = self.world.app.read_holdings().await?;
        let (_, name) = self.look_for(&holdings, id).await?;
        let owner = match id.key.kind {
            Kind::Fragment => fragment_owner(&id.key.key),
            _ => holdings.former(id).map(|former| former.instance),
        };
        Ok(Orphan { id: id.key.clone(), name, made_with: None, power: None, owner })
    }

    /// Whom one asks for it, and what it is there.
    async fn look_for(
        &self,
        holdings: &Holdings,
        id: &OrphanId,
    ) -> Result<(Stray, String), AppError> {
        let stray = Stray::of(&self.world, holdings, id).await.map_err(refused)?;
        let found = stray.find(&self.world).await.map_err(refused)?;
        found.map(|found| (stray, found)).ok_or_else(|| gone(id))
    }

    /// What was another's goes to nobody else while that one is there, and no name goes to an instance
    /// whose name it is not.
    async fn check_owner(&self, former: &Holding, instance: InstanceId) -> Result<(), AppError> {
        let app = &self.world.app;
        if former.instance != instance {
            let owner = app.load_instance(former.instance).await;
            let is_there = match owner {
                Ok((owner, _)) => owner.lifecycle.stage != Stage::Deleted,
                Err(AppError::NotFound { .. }) => false,
                Err(error) => return Err(error),
            };
            if is_there {
                let detail = format!("it is {}'s: that one alone may have it", former.instance);
                return Err(AppError::rejected(detail));
            }
        }
        let name = &former.resource.name;
        if former.resource.id.kind == Kind::DnsName
            && app.is_anothers_domain(instance, name).await?
        {
            return Err(AppError::rejected(format!("another instance has the domain {name}")));
        }
        Ok(())
    }
}

/// Whether instances look after things of that kind that were not made for them.
fn check_adoptable(kind: Kind) -> Result<(), AppError> {
    let why = match kind {
        Kind::DnsName => return Ok(()),
        kind if kind.leaves() == Leaves::WithDeletion => return Ok(()),
        Kind::Machine => {
            "a machine is an Appserver's from its launch on: delete it, and launch anew"
        }
        Kind::FloatingAddress => "a floating address goes with its machine: delete it",
        Kind::Fragment => {
            "a balancer has the fragments that are sent there: see `ocim balancer prepare`"
        }
        _ => "it belongs to no single instance",
    };
    Err(AppError::rejected(why))
}

/// It as the instance's ledger has it.
fn adopted(former: &Holding, instance: InstanceId, found: &str) -> Resource {
    let mut resource = Resource { owner: instance.to_string(), ..former.resource.clone() };
    if resource.id.kind == Kind::DnsName {
        found.clone_into(&mut resource.place);
    }
    resource
}

fn gone(id: &OrphanId) -> AppError {
    AppError::rejected(format!("its provider has no {} `{}` of ours", id.key.kind, id.key.key))
}

/// What a look says, as a command's answer.
fn refused(error: StepError) -> AppError {
    match error.class {
        ErrorClass::Permanent => AppError::rejected(error.message),
        _ => AppError::unavailable("its provider", error.message),
    }
}
