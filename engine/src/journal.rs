//! Aggregates on the event store: load a stream, decide, append at the version that was read.

mod folds;

use crate::derived::memory::MemoryDerived;
use crate::derived::{Derived, Snapshot};
use crate::payload::weigh;
use crate::storable::{Unstorable, check_storable};
use crate::store::sealed::SealError;
use crate::store::{AppendError, Appended, EventStore, Expected, ReadError};
use folds::{Fold, Folds};
use ocim_domain::Timestamp;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DecodeError, DomainEvent, Metadata, NewEvent, Position, StreamId};
use ocim_domain::system::{Clock, Ids};
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// What the cause of a command with a key begins with.
pub const COMMAND_CAUSE: &str = "command:";

/// How often a command is decided anew because somebody else wrote first.
const DECISIONS_MAX: usize = 16;
/// Events of a stream read at a time.
const PAGE: usize = 1_000;
/// A stream that is so many events beyond its snapshot gets another one.
const SNAPSHOT_EVERY: u64 = 100;

/// Typed streams over an event store.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
    derived: Arc<dyn Derived>,
    folds: Arc<Folds>,
}

/// An aggregate as its stream tells.
#[derive(Debug, Clone)]
pub struct Loaded<D: Decider> {
    /// The fold of all events.
    pub state: D::State,
    /// The last event's version; `None` when there is no event.
    pub version: Option<u64>,
    /// The last event's position.
    pub position: Position,
}

/// What a command led to.
#[derive(Debug, Clone)]
pub struct Executed<D: Decider> {
    /// The events it led to; none when it was so already.
    pub events: Vec<D::Event>,
    /// The state after them.
    pub state: D::State,
    /// The stream's last version.
    pub version: u64,
    /// The stream's last position.
    pub position: Position,
}

/// Why a command was not carried out: its own rules, or the store.
#[derive(Debug, thiserror::Error)]
pub enum ExecuteError<R: std::error::Error + 'static> {
    /// The aggregate refused it.
    #[error("the command was refused")]
    Rejected(#[source] R),
    /// The store failed.
    #[error("the command could not be recorded")]
    Journal(#[source] JournalError),
}

/// Why a stream could not be read or added to. Nothing was written, unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Somebody else wrote first, again and again where it was decided anew.
    #[error("somebody else is changing the same thing; try again")]
    VersionConflict,
    /// An event holds what can't be stored.
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    /// The events take more than [`ocim_domain::event::APPEND_BYTES_MAX`].
    #[error("takes more than one change may")]
    TooLarge,
    /// Too much is waiting.
    #[error("too much is waiting to be written; try again")]
    Busy {
        /// When to try again.
        retry_after: Duration,
    },
    /// The event store, or its keyring, does not answer.
    #[error("{what} can't be reached")]
    Unavailable {
        /// E.g. `the event store`.
        what: &'static str,
        /// What it said.
        #[source]
        source: Source,
    },
    /// A newer program wrote what this one would have to read.
    #[error("a newer Ocim has written what this one does not know")]
    Newer(#[source] DecodeError),
    /// A defect.
    #[error("an unexpected error")]
    Internal(#[source] Source),
}

type Source = Box<dyn Error + Send + Sync>;

impl JournalError {
    /// A defect.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::Internal(source.into())
    }

    /// The event store does not answer.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        Self::Unavailable { what: "the event store", source: source.into() }
    }
}

impl From<AppendError> for JournalError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { .. } => Self::VersionConflict,
            AppendError::TooLarge => Self::TooLarge,
            AppendError::Refused(_) => Self::internal(error),
            AppendError::Busy { retry_after } => Self::Busy { retry_after },
            AppendError::Unavailable(source) | AppendError::OutcomeUnknown(source) => {
                Self::unavailable(source)
            }
        }
    }
}

impl From<DecodeError> for JournalError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Unknown { .. } => Self::Newer(error),
            DecodeError::Payload { .. } => Self::internal(error),
        }
    }
}

impl From<ReadError> for JournalError {
    fn from(error: ReadError) -> Self {
        match error.0.downcast::<SealError>() {
            Ok(error) => (*error).into(),
            Err(source) => Self::unavailable(source),
        }
    }
}

impl From<SealError> for JournalError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Keys(_) => Self::Unavailable { what: "the keyring", source: error.into() },
            // No later try finds it otherwise.
            SealError::Tampered { .. } => Self::internal(error),
        }
    }
}

impl Journal {
    /// A journal on this store. What it derives from it ends with the process.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        let derived = Arc::new(MemoryDerived::default());
        Self { store, clock, ids, derived, folds: Arc::default() }
    }

    /// The same, which keeps there what it derives.
    #[must_use]
    pub fn with_derived(self, derived: Arc<dyn Derived>) -> Self {
        Self { derived, ..self }
    }

    /// What is derived from the log, and kept beside it.
    #[must_use]
    pub fn derived(&self) -> &Arc<dyn Derived> {
        &self.derived
    }

    /// The store below, which opens what is sealed.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new UUID v7.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.ids.new_id()
    }

    /// Random bytes fit for a secret.
    pub fn fill_random(&self, bytes: &mut [u8]) {
        self.ids.fill_random(bytes);
    }

    /// A new RSA private key, in PEM. It takes up to a second: not for threads that answer requests.
    #[must_use]
    pub fn new_signing_key(&self) -> String {
        self.ids.new_signing_key()
    }

    /// Folds a stream.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store does not answer, [`JournalError::Newer`] when an event
    /// is not one that this version knows.
    pub async fn load<D: Decider>(&self, stream: &StreamId) -> Result<Loaded<D>, JournalError> {
        Ok(loaded(self.fold::<D>(stream, false).await?))
    }

    /// Folds a stream: what is known of it here, or of its snapshot, and all that came after that.
    async fn fold<D: Decider>(
        &self,
        stream: &StreamId,
        with_commands: bool,
    ) -> Result<Fold<D>, JournalError> {
        let known = self.folds.get::<D>(stream);
        let known = known.filter(|fold| !with_commands || fold.commands.is_some());
        let mut fold = match known {
            Some(fold) => fold,
            None if with_commands => Fold::default(),
            None => self.load_snapshot(stream).await.unwrap_or_default(),
        };
        loop {
            let page = self.store.read_stream_page(stream, fold.next_version(), PAGE).await?;
            for recorded in &page {
                fold.take(recorded, command_of(&recorded.meta))?;
            }
            if page.len() < PAGE {
                break;
            }
        }
        if fold.version.is_some() {
            self.keep(stream, fold.clone()).await;
        }
        Ok(fold)
    }

    /// Keeps a fold for the next who asks, and for the next start where its stream grows without end.
    async fn keep<D: Decider>(&self, stream: &StreamId, mut fold: Fold<D>) {
        if let (Some(format), Some(version)) = (&D::SNAPSHOT, fold.version)
            && fold.beyond_snapshot() >= SNAPSHOT_EVERY
        {
            // Whether it was kept or not, the next one is tried after as many events.
            fold.snapshot = fold.version;
            match (format.write)(&fold.state) {
                Ok(state) => {
                    let (schema, position) = (format.schema, fold.position);
                    let snapshot = Snapshot { schema, version, position, state };
                    if let Err(error) = self.derived.save_snapshot(stream, snapshot).await {
                        tracing::warn!(%stream, %error, "a snapshot could not be kept");
                    }
                }
                Err(error) => tracing::error!(%stream, %error, "a state has no JSON form"),
            }
        }
        self.folds.put(stream, fold);
    }

    async fn load_snapshot<D: Decider>(&self, stream: &StreamId) -> Option<Fold<D>> {
        let format = D::SNAPSHOT.as_ref()?;
        let loaded = self.derived.load_snapshot(stream, format.schema).await;
        let snapshot = match loaded {
            Ok(snapshot) => snapshot?,
            Err(error) => {
                tracing::warn!(%stream, %error, "a stream is folded without its snapshot");
                return None;
            }
        };
        match (format.read)(snapshot.state) {
            Ok(state) => Some(Fold::at_snapshot(state, snapshot.version, snapshot.position)),
            Err(error) => {
                tracing::error!(%stream, %error, "a snapshot can't be read");
                None
            }
        }
    }

    /// The events of a stream that a command with a key led to, if it was carried out on it before.
    async fn read_caused<D: Decider>(
        &self,
        stream: &StreamId,
        fold: &Fold<D>,
        command: &str,
    ) -> Result<Vec<D::Event>, JournalError> {
        let commands = fold.commands.as_ref().and_then(|commands| commands.get(command));
        let Some([first, .., last] | [first @ last]) = commands.map(Vec::as_slice) else {
            return Ok(vec![]);
        };
        let wanted = usize::try_from(last - first + 1).unwrap_or(usize::MAX);
        let page = self.store.read_stream_page(stream, *first, wanted).await?;
        let caused = page.iter().filter(|it| command_of(&it.meta) == Some(command));
        let decoded = caused.map(|it| D::Event::decode(&it.kind, it.schema, &it.data));
        Ok(decoded.collect::<Result<_, _>>()?)
    }

    /// What a command with a key led to in this stream when it was carried out before; `None` if
    /// it was not, or has no key.
    ///
    /// # Errors
    /// As [`Journal::load`].
    pub async fn find_executed<D: Decider>(
        &self,
        stream: &StreamId,
        meta: &Metadata,
    ) -> Result<Option<Executed<D>>, JournalError> {
        let Some(command) = command_of(meta) else { return Ok(None) };
        let fold = self.fold::<D>(stream, true).await?;
        let caused = self.read_caused(stream, &fold, command).await?;
        Ok((!caused.is_empty()).then(|| unchanged(loaded(fold), caused)))
    }

    /// Loads, decides and appends; decides anew when somebody else wrote first.
    ///
    /// # Errors
    /// The aggregate's refusal, or what the store says.
    pub async fn execute<D>(
        &self,
        stream: &StreamId,
        meta: &Metadata,
        command: D::Command,
    ) -> Result<Executed<D>, ExecuteError<D::Rejected>>
    where
        D: Decider,
        D::Command: Clone,
    {
        self.decide_and_append(stream, meta, command, None).await
    }

    /// As [`Journal::execute`]; but a command with a key that was carried out on this stream before
    /// leads to what it led to then.
    ///
    /// # Errors
    /// The aggregate's refusal, or what the store says.
    pub async fn execute_once<D>(
        &self,
        stream: &StreamId,
        meta: &Metadata,
        command: D::Command,
    ) -> Result<Executed<D>, ExecuteError<D::Rejected>>
    where
        D: Decider,
        D::Command: Clone,
    {
        self.decide_and_append(stream, meta, command, command_of(meta)).await
    }

    async fn decide_and_append<D>(
        &self,
        stream: &StreamId,
        meta: &Metadata,
        command: D::Command,
        cause: Option<&str>,
    ) -> Result<Executed<D>, ExecuteError<D::Rejected>>
    where
        D: Decider,
        D::Command: Clone,
    {
        for _ in 0..DECISIONS_MAX {
            let fold =
                self.fold::<D>(stream, cause.is_some()).await.map_err(ExecuteError::Journal)?;
            if let Some(command) = cause {
                let caused = self.read_caused(stream, &fold, command).await;
                let caused = caused.map_err(ExecuteError::Journal)?;
                if !caused.is_empty() {
                    return Ok(unchanged(loaded(fold), caused));
                }
            }
            let loaded = loaded(fold);
            let events = D::decide(&loaded.state, command.clone(), self.clock.now())
                .map_err(ExecuteError::Rejected)?;
            match self.append::<D>(stream, meta, loaded, events).await {
                Err(JournalError::VersionConflict) => {}
                Err(error) => return Err(ExecuteError::Journal(error)),
                Ok(executed) => return Ok(executed),
            }
        }
        Err(ExecuteError::Journal(JournalError::VersionConflict))
    }

    /// Appends events that were decided on `loaded`, and on nothing newer.
    ///
    /// # Errors
    /// [`JournalError::VersionConflict`] when somebody else wrote first, [`JournalError::Unstorable`] for a
    /// text that can't be stored: the one door that all events go through.
    pub async fn append<D: Decider>(
        &self,
        stream: &StreamId,
        meta: &Metadata,
        loaded: Loaded<D>,
        events: Vec<D::Event>,
    ) -> Result<Executed<D>, JournalError> {
        if events.is_empty() {
            return Ok(unchanged(loaded, events));
        }
        let expected = loaded.version.map_or(Expected::NoStream, Expected::Exact);
        let new_events = self.encode::<D>(meta, &events)?;
        let payloads: Vec<_> = new_events.iter().map(|event| weigh(&event.data)).collect();
        let appended = self.append_surely(stream, expected, new_events).await?;
        let Appended { version, position, .. } = appended;
        let state = events.iter().fold(loaded.state, |state, event| D::evolve(state, event));
        let known = match loaded.version {
            None => Some(Fold::<D>::default()),
            Some(_) => self.folds.get::<D>(stream).filter(|known| known.version == loaded.version),
        };
        if let Some(mut fold) = known {
            for (version, (bytes, has_protected)) in (fold.next_version()..).zip(payloads) {
                fold.note_command(command_of(meta), version);
                fold.note_payload(bytes, has_protected);
            }
            // Not from what the caller holds, who may have changed it for its own use.
            let own = std::mem::take(&mut fold.state);
            fold.state = events.iter().fold(own, |state, event| D::evolve(state, event));
            (fold.version, fold.position) = (Some(version), position);
            self.keep(stream, fold).await;
        }
        Ok(Executed { events, state, version, position })
    }

    fn encode<D: Decider>(
        &self,
        meta: &Metadata,
        events: &[D::Event],
    ) -> Result<Vec<NewEvent>, JournalError> {
        let encode_one = |event: &D::Event| {
            let (kind, schema, data) = event.encode().map_err(JournalError::internal)?;
            let id = self.ids.new_id();
            let event = NewEvent { id, kind, schema, data, meta: meta.clone() };
            check_storable(&event)?;
            Ok(event)
        };
        events.iter().map(encode_one).collect()
    }

    /// Repeats an append whose reply was lost: the same ids make the repetition exact.
    async fn append_surely(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, JournalError> {
        match self.store.append(stream, expected, events.clone()).await {
            Err(AppendError::OutcomeUnknown(_)) => {
                Ok(self.store.append(stream, expected, events).await?)
            }
            other => Ok(other?),
        }
    }
}

/// The command that the metadata's events belong to, if it came with a key.
fn command_of(meta: &Metadata) -> Option<&str> {
    meta.causation_id.as_deref().filter(|cause| cause.starts_with(COMMAND_CAUSE))
}

fn loaded<D: Decider>(fold: Fold<D>) -> Loaded<D> {
    Loaded { state: fold.state, version: fold.version, position: fold.position }
}

/// The answer of a command that wrote nothing now; `events` are those that it led to before.
fn unchanged<D: Decider>(loaded: Loaded<D>, events: Vec<D::Event>) -> Executed<D> {
    Executed {
        events,
        state: loaded.state,
        version: loaded.version.unwrap_or(0),
        position: loaded.position,
    }
}
