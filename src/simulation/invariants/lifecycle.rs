//! Nothing is left of what is archived or deleted, but machines that a deletion was to leave and tells of.

use super::End;
use crate::app::AppError;
use crate::simulation::SimulationError;
use ocim_domain::appserver::Appserver;
use ocim_domain::ids::{AppserverId, InstanceId, ServerId};
use ocim_domain::instance::{self, Stage};
use ocim_domain::ledger::{Kind, Leaves, Ledger, ResourceKey, ledger_id};
use ocim_domain::names::{self, RoutedNames};
use ocim_domain::saga::Run;
use uuid::Uuid;

const INVARIANT: &str = "nothing is left of what is archived or deleted";

impl End<'_> {
    /// No machine, name or part of a balancer is left, and no run is at work unless it is stuck.
    pub(super) async fn check_lifecycle(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        let stage = site.lifecycle.stage;
        if let Some(run) = site.lifecycle.run.filter(|run| !self.is_stuck(*run)) {
            self.blame("no instance is left half-way", id, format!("{run} is at work on it"));
        }
        if !matches!(stage, Stage::Archived | Stage::Deleted) {
            return Ok(());
        }
        for key in self.keys_of(&site.appservers).await? {
            let exists = self.stage.region.existing_keys().contains(&key);
            let known = ResourceKey::new(Kind::Machine, ServerId(key));
            if exists && !site.lifecycle.residue.contains(&known) {
                self.blame(INVARIANT, id, format!("machine {key} is there"));
            }
        }
        for name in names::managed_domains(&site.settings) {
            if let Some(target) = self.stage.region.alias(&name) {
                self.blame(INVARIANT, id, format!("{name} leads to {target}"));
            }
        }
        for (_, balancer) in self.stage.app.list_registered_balancers().await? {
            for name in RoutedNames::new(&site.settings).hosts() {
                let serving = self.stage.region.serving(&balancer.domain, name);
                if !serving.is_empty() {
                    self.blame(INVARIANT, id, format!("{name} is served by {serving:?}"));
                }
            }
        }
        self.check_rest(id, site).await
    }

    /// The ledger has nothing else than what others share, and what the deletion told of: machines.
    async fn check_rest(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        let journal = self.stage.app.journal();
        let ledger = journal.load::<Ledger>(&ledger_id(id).stream()).await?.state;
        for key in ledger.entries.into_keys() {
            let may_stay = match key.kind.leaves() {
                Leaves::Never | Leaves::WithDeletion => site.lifecycle.stage == Stage::Archived,
                Leaves::WithArchive => {
                    key.kind == Kind::Machine && site.lifecycle.residue.contains(&key)
                }
            };
            if !may_stay {
                self.blame(INVARIANT, id, format!("its ledger has the {} {}", key.kind, key.key));
            }
        }
        Ok(())
    }

    /// The machines' keys of all Appservers of the instance that a run is about.
    pub(super) async fn servers_of(&self, run: &Run) -> Result<Vec<Uuid>, SimulationError> {
        let Ok(id) = run.subject.parse::<InstanceId>() else { return Ok(vec![]) };
        let (site, _) = self.stage.app.load_instance(id).await?;
        Ok(self.keys_of(&site.appservers).await?)
    }

    async fn keys_of(&self, appservers: &[AppserverId]) -> Result<Vec<Uuid>, AppError> {
        let mut keys = vec![];
        for id in appservers {
            let loaded = self.stage.app.journal().load::<Appserver>(&id.stream()).await?;
            keys.extend(loaded.state.present().map(|present| present.launched.server.0));
        }
        Ok(keys)
    }
}
