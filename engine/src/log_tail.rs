//! The log's new events, asked for whenever one likes: for those who look at intervals.

use crate::store::{EventStore, Filter, ReadError};
use ocim_domain::event::{Position, Recorded};
use std::sync::Arc;

/// Events read at a time.
const PAGE: usize = 1000;

/// Reads on where it left off. What it told is not told again.
#[derive(Debug)]
pub struct LogTail {
    store: Arc<dyn EventStore>,
    filter: Filter,
    after: Position,
}

impl LogTail {
    /// From the beginning of the log.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, filter: Filter) -> Self {
        Self { store, filter, after: Position::START }
    }

    /// Tells every event that is new, in order.
    ///
    /// # Errors
    /// When the store does not answer; the next call goes on from there.
    pub async fn drain(&mut self, mut note: impl FnMut(&Recorded)) -> Result<(), ReadError> {
        loop {
            let (events, position) = self.store.read_all(self.after, &self.filter, PAGE).await?;
            events.iter().for_each(&mut note);
            self.after = position;
            if events.len() < PAGE {
                return Ok(());
            }
        }
    }
}
