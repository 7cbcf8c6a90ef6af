//! Who serves is watched, and nobody else.

use super::End;
use crate::simulation::SimulationError;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::ledger::Kind;
use ocim_domain::names::monitored_urls;
use std::collections::BTreeSet;

impl End<'_> {
    /// There is one monitor for each page that visitors are served, and none of any other of the site's.
    pub(super) async fn check_monitors(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        let subjects = site.appservers.iter().map(ToString::to_string).chain([id.to_string()]);
        for subject in subjects {
            // Whoever resolves it decides about the monitors, too.
            if self.is_subject_of_stuck_run(&subject) {
                return Ok(());
            }
        }
        let entries = self.stage.app.ledger_of(id).await?.into_iter();
        let entries = entries.map(|entry| entry.resource.id).filter(|id| id.kind == Kind::Monitor);
        let known: Vec<_> = entries.map(|id| id.key).collect();
        let mut wanted = site.monitored_urls();
        wanted.sort();
        let mut own: BTreeSet<_> = monitored_urls(&site.settings).into();
        own.extend(known);
        let mut watched = self.stage.region.monitored_urls();
        watched.retain(|url| own.contains(url));
        if watched != wanted {
            let detail = format!("{watched:?} are watched, not {wanted:?}");
            self.blame("who serves is watched, and nobody else", id, detail);
        }
        Ok(())
    }
}
