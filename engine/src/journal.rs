//! Aggregates on the event store: load a stream, decide, append at the version that was read.

use crate::storable::{Unstorable, check_storable};
use crate::store::sealed::SealError;
use crate::store::{AppendError, Appended, EventStore, Expected, ReadError};
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

/// Typed streams over an event store.
#[derive(Debug, Clone)]
pub struct Journal {
    store: Arc<dyn EventStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn Ids>,
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
    /// A journal on this store.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, clock: Arc<dyn Clock>, ids: Arc<dyn Ids>) -> Self {
        Self { store, clock, ids }
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

    /// Folds a stream.
    ///
    /// # Errors
    /// [`JournalError::Unavailable`] when the store does not answer, [`JournalError::Newer`] when an event
    /// is not one that this version knows.
    pub async fn load<D: Decider>(&self, stream: &StreamId) -> Result<Loaded<D>, JournalError> {
        Ok(self.load_with_caused(stream, None).await?.0)
    }

    /// Folds a stream, and picks the events that this cause led to.
    async fn load_with_caused<D: Decider>(
        &self,
        stream: &StreamId,
        cause: Option<&str>,
    ) -> Result<(Loaded<D>, Vec<D::Event>), JournalError> {
        let mut loaded =
            Loaded::<D> { state: D::State::default(), version: None, position: Position::START };
        let mut caused = vec![];
        for recorded in self.store.read_stream(stream, 0).await? {
            let event = D::Event::decode(&recorded.kind, recorded.schema, &recorded.data)?;
            loaded.state = D::evolve(loaded.state, &event);
            loaded.version = Some(recorded.version);
            loaded.position = recorded.position;
            if cause.is_some() && recorded.meta.causation_id.as_deref() == cause {
                caused.push(event);
            }
        }
        Ok((loaded, caused))
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
        let Some(cause) = command_of(meta) else { return Ok(None) };
        let (loaded, caused) = self.load_with_caused(stream, Some(cause)).await?;
        Ok((!caused.is_empty()).then(|| unchanged(loaded, caused)))
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
            let (loaded, caused) =
                self.load_with_caused::<D>(stream, cause).await.map_err(ExecuteError::Journal)?;
            if !caused.is_empty() {
                return Ok(unchanged(loaded, caused));
            }
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
        let appended = self.append_surely(stream, expected, new_events).await?;
        let state = events.iter().fold(loaded.state, |state, event| D::evolve(state, event));
        Ok(Executed { events, state, version: appended.version, position: appended.position })
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

/// The answer of a command that wrote nothing now; `events` are those that it led to before.
fn unchanged<D: Decider>(loaded: Loaded<D>, events: Vec<D::Event>) -> Executed<D> {
    Executed {
        events,
        state: loaded.state,
        version: loaded.version.unwrap_or(0),
        position: loaded.position,
    }
}
