//! The one cache of folded streams. A fold that is found here is never trusted to be the newest: what
//! came after its version is read from the store, whoever wrote it.

use crate::payload::weigh;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DecodeError, DomainEvent, Position, Recorded, StreamId};
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Folds kept at most.
const FOLDS_MAX: usize = 4_096;
/// Bytes of payloads that the kept folds were made of, at most.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What a fold counts at most: a state holds the newest of its payloads, not all.
const FOLD_BYTES_MAX: usize = ocim_domain::event::APPEND_BYTES_MAX;
/// How long a fold is kept that holds protected texts: as long as keys are, so that a shredded text
/// is no longer here than it can be read elsewhere.
const SECRETS_KEPT_FOR: Duration = Duration::from_secs(60);

/// A stream as far as it was folded.
#[derive(Debug)]
pub(super) struct Fold<D: Decider> {
    pub(super) state: D::State,
    pub(super) version: Option<u64>,
    pub(super) position: Position,
    /// The version up to which it stands in a snapshot.
    pub(super) snapshot: Option<u64>,
    /// By the command with a key that led to it, each event's version; none where the fold began at a
    /// snapshot, which does not tell.
    pub(super) commands: Option<Arc<BTreeMap<String, Vec<u64>>>>,
    bytes: usize,
    /// When the first protected text was opened.
    opened_at: Option<Instant>,
}

impl<D: Decider> Clone for Fold<D> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), commands: self.commands.clone(), ..*self }
    }
}

impl<D: Decider> Default for Fold<D> {
    fn default() -> Self {
        Self {
            state: D::State::default(),
            version: None,
            position: Position::START,
            snapshot: None,
            commands: Some(Arc::default()),
            bytes: 0,
            opened_at: None,
        }
    }
}

impl<D: Decider> Fold<D> {
    /// The stream up to a snapshot.
    pub(super) fn at_snapshot(state: D::State, version: u64, position: Position) -> Self {
        let (version, snapshot) = (Some(version), Some(version));
        Self { state, version, position, snapshot, commands: None, ..Self::default() }
    }

    /// The version of the next event.
    pub(super) fn next_version(&self) -> u64 {
        self.version.map_or(0, |version| version + 1)
    }

    /// How many events it is beyond its snapshot.
    pub(super) fn beyond_snapshot(&self) -> u64 {
        self.next_version() - self.snapshot.map_or(0, |version| version + 1)
    }

    /// Takes in the stream's next event. `command` is the one with a key that led to it.
    pub(super) fn take(
        &mut self,
        recorded: &Recorded,
        command: Option<&str>,
    ) -> Result<(), DecodeError> {
        let event = D::Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
        self.state = D::evolve(std::mem::take(&mut self.state), &event);
        self.version = Some(recorded.version);
        self.position = recorded.position;
        self.note_command(command, recorded.version);
        let (bytes, has_protected) = weigh(&recorded.data);
        self.note_payload(bytes, has_protected);
        Ok(())
    }

    /// Notes what an event was made of.
    pub(super) fn note_payload(&mut self, bytes: usize, has_protected: bool) {
        self.bytes = (self.bytes + bytes).min(FOLD_BYTES_MAX);
        if has_protected && self.opened_at.is_none() {
            self.opened_at = Some(Instant::now());
        }
    }

    /// Notes that a command with a key led to the event of that version.
    pub(super) fn note_command(&mut self, command: Option<&str>, version: u64) {
        if let (Some(commands), Some(command)) = (&mut self.commands, command) {
            Arc::make_mut(commands).entry(command.to_owned()).or_default().push(version);
        }
    }
}

/// Folds by stream, those that were not asked for lately leave first.
#[derive(Debug, Default)]
pub(super) struct Folds(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    folds: HashMap<(TypeId, StreamId), Entry>,
    /// In the order in which they were last asked for.
    order: BTreeMap<u64, (TypeId, StreamId)>,
    asked: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    fold: Box<dyn Any + Send>,
    version: Option<u64>,
    bytes: usize,
    asked: u64,
    opened_at: Option<Instant>,
}

impl Folds {
    /// The stream as far as it is known here.
    pub(super) fn get<D: Decider>(&self, stream: &StreamId) -> Option<Fold<D>> {
        let mut kept = self.lock();
        let key = (TypeId::of::<D>(), stream.clone());
        let entry = kept.folds.get(&key)?;
        if entry.opened_at.is_some_and(|opened_at| opened_at.elapsed() >= SECRETS_KEPT_FOR) {
            kept.remove(&key);
            return None;
        }
        let fold = entry.fold.downcast_ref::<Fold<D>>()?.clone();
        kept.touch(&key);
        Some(fold)
    }

    /// Keeps the fold, unless a newer one is kept.
    pub(super) fn put<D: Decider>(&self, stream: &StreamId, fold: Fold<D>) {
        let mut kept = self.lock();
        let key = (TypeId::of::<D>(), stream.clone());
        if kept.folds.get(&key).is_some_and(|known| known.version > fold.version) {
            return;
        }
        kept.remove(&key);
        let (version, opened_at) = (fold.version, fold.opened_at);
        let bytes = fold.bytes + size_of::<Fold<D>>();
        kept.bytes += bytes;
        let entry = Entry { fold: Box::new(fold), version, bytes, asked: 0, opened_at };
        kept.folds.insert(key.clone(), entry);
        kept.touch(&key);
        while kept.folds.len() > FOLDS_MAX || kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.order.values().next().cloned() else { break };
            kept.remove(&oldest);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn touch(&mut self, key: &(TypeId, StreamId)) {
        self.asked += 1;
        let Some(entry) = self.folds.get_mut(key) else { return };
        self.order.remove(&entry.asked);
        entry.asked = self.asked;
        self.order.insert(self.asked, key.clone());
    }

    fn remove(&mut self, key: &(TypeId, StreamId)) {
        let Some(entry) = self.folds.remove(key) else { return };
        self.order.remove(&entry.asked);
        self.bytes -= entry.bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocim_domain::projection::Projection;
    use ocim_domain::protected::Protected;
    use serde_json::json;
    use uuid::Uuid;

    fn stream(number: u128) -> StreamId {
        StreamId::new("projection", Uuid::from_u128(number))
    }

    fn fold(version: u64, bytes: usize) -> Fold<Projection> {
        let mut fold = Fold { version: Some(version), ..Fold::default() };
        fold.note_payload(bytes, false);
        fold
    }

    fn version(folds: &Folds, number: u128) -> Option<u64> {
        folds.get::<Projection>(&stream(number)).and_then(|fold| fold.version)
    }

    #[test]
    fn those_that_nobody_asks_for_leave_first() {
        let folds = Folds::default();
        let each = BYTES_MAX / 80;
        for number in 0..70 {
            folds.put(&stream(number), fold(1, each));
            assert_eq!(version(&folds, 0), Some(1), "it is asked for again and again");
        }
        for number in 70..200 {
            folds.put(&stream(number), fold(1, each));
        }
        assert_eq!(version(&folds, 1), None);
        assert_eq!(version(&folds, 199), Some(1));
        let kept = folds.lock();
        assert!(kept.bytes <= BYTES_MAX && kept.folds.len() == kept.order.len());
    }

    #[test]
    fn there_are_no_more_than_so_many_and_no_older_ones_over_newer_ones() {
        let folds = Folds::default();
        for number in 0..FOLDS_MAX as u128 + 10 {
            folds.put(&stream(number), fold(7, 1));
        }
        assert_eq!(folds.lock().folds.len(), FOLDS_MAX);
        folds.put(&stream(99), fold(5, 1));
        assert_eq!(version(&folds, 99), Some(7));
        folds.put(&stream(99), fold(8, 1));
        assert_eq!(version(&folds, 99), Some(8));
    }

    #[tokio::test(start_paused = true)]
    async fn opened_secrets_leave_with_their_keys() {
        let (folds, secret) = (Folds::default(), json!([{ "a": Protected::new("x", "hunter2") }]));
        let (bytes, has_protected) = weigh(&secret);
        assert!(has_protected && bytes > "hunter2".len());
        assert!(!weigh(&json!({ "protected": ["x", 1, null] })).1);
        let mut opened = fold(1, bytes);
        opened.note_payload(0, has_protected);
        folds.put(&stream(1), opened);
        folds.put(&stream(2), fold(1, 1));
        tokio::time::advance(SECRETS_KEPT_FOR - Duration::from_secs(1)).await;
        // Another look does not keep it for longer.
        folds.put(&stream(1), folds.get::<Projection>(&stream(1)).unwrap());
        assert_eq!(version(&folds, 1), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(version(&folds, 1), None);
        assert_eq!(version(&folds, 2), Some(1), "what holds none stays");
    }
}
