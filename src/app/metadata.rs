//! Which sites others are told of.

use super::App;
use super::error::AppError;
use ocim_domain::event::Recorded;
use ocim_domain::ids::InstanceId;
use ocim_engine::journal::Journal;
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked, Tracker};
use std::sync::Arc;

/// Which instances there are that are not archived, folded from the log. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct PublishedSites(Arc<tokio::sync::Mutex<Tracker<Sites>>>);

impl PublishedSites {
    pub(super) fn new(journal: &Journal) -> Self {
        Self(Arc::new(tokio::sync::Mutex::new(Tracker::new(journal, Sites))))
    }
}

#[derive(Debug)]
struct Sites;

/// The kinds that have a site be told of, and those that end it.
const BEGIN: [&str; 2] = ["instance.created", "instance.unarchived"];
const END: [&str; 3] = ["instance.creation_abandoned", "instance.archived", "instance.deleted"];

impl Tracked for Sites {
    const SCHEMA: u16 = 1;
    type Item = ();
    type Told = ();

    fn name(&self) -> String {
        "published_sites".to_owned()
    }

    fn filter(&self) -> Filter {
        let kinds = BEGIN.into_iter().chain(END).map(str::to_owned).collect();
        Filter { categories: vec![], kinds }
    }

    fn apply(&self, items: &mut Items<()>, recorded: &Recorded) {
        let id = InstanceId(recorded.stream.id()).to_string();
        if END.contains(&recorded.kind.as_str()) {
            items.remove(&id);
        } else {
            items.put(id, ());
        }
    }
}

impl App {
    /// All instances that are not archived.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn list_published_sites(&self) -> Result<Vec<InstanceId>, AppError> {
        let mut tracker = self.published.0.lock().await;
        tracker.catch_up(drop).await?;
        Ok(tracker.items().iter().filter_map(|(id, ())| id.parse().ok()).collect())
    }
}
