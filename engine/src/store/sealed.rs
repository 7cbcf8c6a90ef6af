//! A store around a store: protected values are encrypted on the way in and opened on the way out.

mod cipher;
mod keys;
mod postgres_keys;
mod sealer;

pub use cipher::DataKey;
pub use keys::{KeyError, MemoryKeys, SubjectKeys};
pub use postgres_keys::PostgresKeys;
pub use sealer::SealError;

use super::{
    AppendError, Appended, Capabilities, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use async_trait::async_trait;
use futures_util::stream::{BoxStream, StreamExt};
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use ocim_domain::system::Ids;
use sealer::Sealer;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, warn};

/// The wait before keys are asked for again within a subscription.
const RETRY_AFTER: Duration = Duration::from_millis(250);

/// An event store that shows protected values open and keeps them sealed. Clones share everything.
#[derive(Debug, Clone)]
pub struct SealedStore {
    inner: Arc<dyn EventStore>,
    sealer: Arc<Sealer>,
}

impl SealedStore {
    /// Seals what goes into `inner` with the keys of `keys`.
    #[must_use]
    pub fn new(inner: Arc<dyn EventStore>, keys: Arc<dyn SubjectKeys>, ids: Arc<dyn Ids>) -> Self {
        Self { inner, sealer: Arc::new(Sealer::new(keys, ids)) }
    }

    /// The store beneath, whose events stay sealed: what projections read, so that read models
    /// hold no protected value in clear.
    #[must_use]
    pub fn raw(&self) -> &Arc<dyn EventStore> {
        &self.inner
    }

    /// Opens the sealed values within a JSON that came from the raw store, e.g. by way of a read
    /// model. What was shredded becomes neither open nor sealed.
    ///
    /// # Errors
    /// [`SealError`] if keys can't be had or a sealed value was tampered with.
    pub async fn open_value(&self, value: &Value) -> Result<Value, SealError> {
        self.sealer.open(value, None).await
    }

    /// Deletes the subject's key: its values can't be read again (other nodes may have the key in
    /// memory, or what it opened, for a minute more), and no new ones can be written for it.
    ///
    /// # Errors
    /// [`KeyError`] if the keyring can't be reached.
    pub async fn shred(&self, subject: &str) -> Result<(), KeyError> {
        self.sealer.shred(subject).await
    }
}

#[async_trait]
impl EventStore for SealedStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        mut events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        for event in &mut events {
            event.data = self.sealer.seal(&event.data, event.id).await?;
        }
        self.inner.append(stream, expected, events).await
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        self.read_stream_page(stream, from, usize::MAX).await
    }

    async fn read_stream_page(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        let mut events = self.inner.read_stream_page(stream, from, limit).await?;
        for event in &mut events {
            event.data = self.sealer.open(&event.data, Some(event.id)).await?;
        }
        Ok(events)
    }

    /// A value that was tampered with stays sealed here, and the log says so: who follows the whole
    /// log goes on, and only who needs the text itself, from its stream, can't have it.
    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        let (mut events, looked_at) = self.inner.read_all(after, filter, limit).await?;
        for event in &mut events {
            match self.sealer.open(&event.data, Some(event.id)).await {
                Ok(data) => event.data = data,
                Err(error @ SealError::Keys(_)) => return Err(error.into()),
                Err(error) => tell_unopened(event, &error),
            }
        }
        Ok((events, looked_at))
    }

    /// As [`SealedStore::read_all`] does.
    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        let sealer = Arc::clone(&self.sealer);
        let open = move |event| open_event(Arc::clone(&sealer), event);
        self.inner.subscribe_all(after, filter).then(open).boxed()
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
}

async fn open_event(sealer: Arc<Sealer>, event: SubscriptionEvent) -> SubscriptionEvent {
    let SubscriptionEvent::Event(mut event) = event else { return event };
    loop {
        match sealer.open(&event.data, Some(event.id)).await {
            Ok(data) => event.data = data,
            Err(SealError::Keys(error)) => {
                warn!(error = ?error, "a subscription can't get its keys and tries again");
                tokio::time::sleep(RETRY_AFTER).await;
                continue;
            }
            Err(error) => tell_unopened(&event, &error),
        }
        return SubscriptionEvent::Event(event);
    }
}

fn tell_unopened(event: &Recorded, error: &SealError) {
    error!(
        %error, event.id = %event.id, kind = event.kind, stream = %event.stream,
        "an event's sealed value can't be opened"
    );
}
