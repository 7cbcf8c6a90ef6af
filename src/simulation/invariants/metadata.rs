//! What others read of a site is what it is, and nothing of one that is gone.

use super::End;
use crate::processes::publish_metadata::{PUBLISH_METADATA, is_published};
use crate::simulation::SimulationError;
use ocim_domain::ids::InstanceId;
use ocim_domain::instance;
use ocim_domain::saga::Run;
use serde_json::{Value, json};

impl End<'_> {
    /// Who serves by the log is who serves by what others read; a site that is archived or deleted is not
    /// read of.
    pub(super) async fn check_metadata(
        &mut self,
        id: InstanceId,
        site: &instance::Present,
    ) -> Result<(), SimulationError> {
        // Whoever resolves a run of the site that is stuck decides about this, too.
        let tells = |run: &Run| run.definition == PUBLISH_METADATA.name && run.phase.is_stuck();
        if self.is_subject_of_stuck_run(&id.to_string()) || self.runs.values().any(tells) {
            return Ok(());
        }
        let part = self.stage.region.metadata_of(&id.0.to_string());
        let told = part.get("active_app_servers").and_then(|it| serde_json::from_slice(it).ok());
        let expected = match is_published(site) {
            false => None,
            true => {
                let mut numbers = vec![];
                for id in &site.active {
                    numbers.push(self.stage.app.load_appserver(*id).await?.launched.number);
                }
                numbers.sort_unstable_by_key(|number| std::cmp::Reverse(*number));
                Some(json!(numbers))
            }
        };
        let told =
            told.map(|servers: Vec<Value>| servers.iter().map(|it| it["id"].clone()).collect());
        if told != expected {
            let detail = format!("{told:?} are told, not {expected:?}");
            self.blame("others read what a site is", id, detail);
        }
        Ok(())
    }
}
