//! Ledgers tell what servers that sites share have, and these have nothing of anybody who is gone.

use super::End;
use crate::simulation::SimulationError;
use ocim_domain::ids::InstanceId;
use ocim_domain::ledger::{Kind, Leaves, Sight};
use std::collections::BTreeSet;

const INVARIANT: &str = "ledgers tell what shared servers have";

impl End<'_> {
    /// All that a ledger says is there, is; all that is there may be by some ledger.
    pub(super) async fn check_provisioned(
        &mut self,
        instances: &[InstanceId],
    ) -> Result<(), SimulationError> {
        let held = self.stage.region.provisioned().into_keys();
        let held: BTreeSet<(Kind, String)> = held.map(|(_, id)| (id.kind, id.name)).collect();
        let mut known = BTreeSet::new();
        for id in instances {
            // Whoever resolves it decides about these, too.
            let is_stuck = self.is_subject_of_stuck_run(&id.to_string());
            for entry in self.stage.app.ledger_of(*id).await? {
                let kind = entry.resource.id.kind;
                if kind.leaves() != Leaves::WithDeletion {
                    continue;
                }
                let thing = (kind, entry.resource.name);
                if entry.sight == Sight::Present && !is_stuck && !held.contains(&thing) {
                    let detail = format!("the {kind} {} is said to be there, and is not", thing.1);
                    self.blame(INVARIANT, id, detail);
                }
                known.insert(thing);
            }
        }
        for (kind, name) in held.difference(&known) {
            self.blame(INVARIANT, name, format!("no ledger has this {kind}"));
        }
        Ok(())
    }
}
