//! What is open, folded from the log and kept with a checkpoint: a start reads the items that there
//! are and the events since, not all that ever was.

use crate::derived::{Derived, TrackedChanges, TrackerId};
use crate::journal::Journal;
use crate::store::{EventStore, Filter, ReadError};
use ocim_domain::event::{Position, Recorded};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Events read at a time.
const PAGE: usize = 1_000;
/// Events that are taken in between two checkpoints, at most.
const CHECKPOINT_EVERY: usize = 500;
/// The longest that a checkpoint waits while the log goes on without events for it: the next start
/// need not look through those.
const CHECKPOINT_PAUSE: Duration = Duration::from_secs(60);

/// Which items there are, and what events mean for them. A pure fold: same events, same items.
pub trait Tracked: Send {
    /// Raised with every change of the items' form, and of what events mean for them: then all of them
    /// are made anew.
    const SCHEMA: u16;
    /// One thing that is open.
    type Item: Serialize + DeserializeOwned + Send;
    /// What an event tells beside what it changes.
    type Told;

    /// Its name; each set of items has one of its own.
    fn name(&self) -> String;

    /// The events that it needs.
    fn filter(&self) -> Filter;

    /// Takes in the next event.
    fn apply(&self, items: &mut Items<Self::Item>, event: &Recorded) -> Self::Told;
}

/// Items by their keys, and which of them have changed since the checkpoint.
#[derive(Debug)]
pub struct Items<T> {
    all: BTreeMap<String, T>,
    changed: BTreeSet<String>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { all: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<T> Items<T> {
    /// The item of that key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&T> {
        self.all.get(key)
    }

    /// The item of that key, to be changed.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut T> {
        let item = self.all.get_mut(key)?;
        self.changed.insert(key.to_owned());
        Some(item)
    }

    /// Makes an item, in place of the one of that key.
    pub fn put(&mut self, key: impl Into<String>, item: T) {
        let key = key.into();
        self.changed.insert(key.clone());
        self.all.insert(key, item);
    }

    /// Takes an item away, if there is one.
    pub fn remove(&mut self, key: &str) -> Option<T> {
        let item = self.all.remove(key)?;
        self.changed.insert(key.to_owned());
        Some(item)
    }

    /// All items, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.all.iter().map(|(key, item)| (key.as_str(), item))
    }
}

/// Follows the log for one set of items. Several may do so for the same set, on one node or on
/// several: whose checkpoint moves first, keeps it.
#[derive(Debug)]
pub struct Tracker<T: Tracked> {
    store: Arc<dyn EventStore>,
    derived: Arc<dyn Derived>,
    tracked: T,
    id: TrackerId,
    items: Items<T::Item>,
    /// All events up to here are in the items.
    seen: Position,
    /// Where the checkpoint is; none where it is left alone.
    saved: Option<Position>,
    /// Events taken in since.
    unsaved: usize,
    /// When it was moved last by this tracker.
    saved_at: Option<Instant>,
    is_loaded: bool,
}

impl<T: Tracked> Tracker<T> {
    /// Knows nothing before it is loaded, or has caught up.
    #[must_use]
    pub fn new(journal: &Journal, tracked: T) -> Self {
        Self::on(Arc::clone(journal.store()), Arc::clone(journal.derived()), tracked)
    }

    /// As [`Tracker::new`], on a store that nobody writes to through it.
    #[must_use]
    pub fn on(store: Arc<dyn EventStore>, derived: Arc<dyn Derived>, tracked: T) -> Self {
        let id = TrackerId { name: tracked.name(), schema: T::SCHEMA };
        Self {
            store,
            derived,
            tracked,
            id,
            items: Items::default(),
            seen: Position::START,
            saved: Some(Position::START),
            unsaved: 0,
            saved_at: None,
            is_loaded: false,
        }
    }

    /// The same, which leaves the checkpoint to others: it needs not all of the events.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { saved: None, ..self }
    }

    /// The items.
    #[must_use]
    pub fn items(&self) -> &Items<T::Item> {
        &self.items
    }

    /// All events up to here are in the items.
    #[must_use]
    pub fn position(&self) -> Position {
        self.seen
    }

    /// The events that it needs.
    #[must_use]
    pub fn filter(&self) -> Filter {
        self.tracked.filter()
    }

    /// Begins with the items of the last checkpoint; at the log's beginning where there is none that
    /// can be used.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn load(&mut self) -> Result<(), ReadError> {
        if self.is_loaded {
            return Ok(());
        }
        let head = self.store.head().await?;
        self.is_loaded = true;
        let name = &self.id.name;
        let loaded = match self.derived.load_items(&self.id).await {
            Ok(loaded) => loaded,
            Err(error) => {
                tracing::warn!(tracker = name, %error, "the log is read from its beginning");
                return Ok(());
            }
        };
        // A checkpoint that the log does not reach is one of another log.
        if loaded.position > head {
            tracing::warn!(tracker = name, "the checkpoint is ahead of the log, and not used");
            self.saved = None;
            return Ok(());
        }
        for (key, item) in loaded.items {
            match serde_json::from_value(item) {
                Ok(item) => drop(self.items.all.insert(key, item)),
                Err(error) => {
                    tracing::error!(tracker = name, key, %error, "an item can't be read");
                    self.items = Items::default();
                    return Ok(());
                }
            }
        }
        self.seen = loaded.position;
        self.saved = self.saved.and(Some(loaded.position));
        Ok(())
    }

    /// Takes in every event that is new, in order, and hands on what each tells.
    ///
    /// # Errors
    /// When the store does not answer; the next call goes on from there.
    pub async fn catch_up(&mut self, mut told: impl FnMut(T::Told)) -> Result<(), ReadError> {
        self.load().await?;
        let filter = self.filter();
        loop {
            let (events, position) = self.store.read_all(self.seen, &filter, PAGE).await?;
            for event in &events {
                told(self.take(event));
            }
            self.pass(position);
            self.save_when_due().await;
            if events.len() < PAGE {
                return Ok(());
            }
        }
    }

    /// Takes in the next event, of whoever follows the log by a subscription.
    pub fn take(&mut self, event: &Recorded) -> T::Told {
        self.unsaved += 1;
        self.pass(event.position);
        self.tracked.apply(&mut self.items, event)
    }

    /// Nothing up to here was for this tracker, beside what it has taken in.
    pub fn pass(&mut self, position: Position) {
        self.seen = self.seen.max(position);
    }

    /// Takes an item away that the log alone does not tell to be settled.
    pub fn settle(&mut self, key: &str) {
        self.items.remove(key);
    }

    /// Moves the checkpoint, where enough has happened since, or where it was not moved yet.
    pub async fn save_when_due(&mut self) {
        let is_old = self.saved_at.is_none_or(|at| at.elapsed() >= CHECKPOINT_PAUSE);
        if is_old || self.unsaved >= CHECKPOINT_EVERY {
            self.save().await;
        }
    }

    /// Moves the checkpoint to where the tracker is. A failure costs the next start time, nothing else.
    pub async fn save(&mut self) {
        let Some(from) = self.saved else { return };
        self.saved_at = Some(Instant::now());
        self.unsaved = 0;
        if self.seen <= from {
            return;
        }
        let changed = self.items.changed.iter();
        let items = changed
            .map(|key| {
                let item = self.items.get(key).map(serde_json::to_value).transpose()?;
                Ok((key.clone(), item))
            })
            .collect::<Result<_, serde_json::Error>>();
        let name = &self.id.name;
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                return tracing::error!(tracker = name, %error, "an item has no JSON form");
            }
        };
        let changes = TrackedChanges { from, to: self.seen, items };
        match self.derived.save_items(&self.id, changes).await {
            Ok(Ok(())) => {
                self.saved = Some(self.seen);
                self.items.changed.clear();
            }
            // Another one has moved it: what has changed here since covers what has changed from there on.
            Ok(Err(Some(position))) if position > from => self.saved = Some(position),
            Ok(Err(_)) => self.saved = None,
            Err(error) => tracing::warn!(tracker = name, %error, "a checkpoint could not be moved"),
        }
    }
}
