//! Stores that count and time what goes through them.

use super::Metrics;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use ocim_adapters::logs::{LogLine, LogStore, NewLine, SourceOffset, SourcePlace};
use ocim_domain::Timestamp;
use ocim_domain::event::{NewEvent, Position, Recorded, StreamId};
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use ocim_engine::store::{
    AppendError, Appended, Capabilities, EventStore, Expected, Filter, ReadError, SubscriptionEvent,
};
use std::sync::Arc;
use std::time::Instant;

/// An event store whose appends are counted.
#[derive(Debug)]
pub struct MeteredStore {
    store: Arc<dyn EventStore>,
    metrics: Arc<Metrics>,
}

impl MeteredStore {
    /// Counts what goes into `store`.
    #[must_use]
    pub fn new(store: Arc<dyn EventStore>, metrics: Arc<Metrics>) -> Self {
        Self { store, metrics }
    }
}

#[async_trait]
impl EventStore for MeteredStore {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        let (count, started) = (events.len(), Instant::now());
        let answer = self.store.append(stream, expected, events).await;
        let outcome = match &answer {
            Ok(appended) if appended.duplicate => "duplicate",
            Ok(_) => "appended",
            Err(AppendError::Conflict { .. }) => "conflict",
            Err(AppendError::Busy { .. }) => "busy",
            Err(AppendError::TooLarge | AppendError::Refused(_)) => "refused",
            Err(AppendError::Unavailable(_)) => "unavailable",
            Err(AppendError::OutcomeUnknown(_)) => "unknown",
        };
        self.metrics.count_append(outcome, count, started.elapsed());
        answer
    }

    async fn read_stream(&self, stream: &StreamId, from: u64) -> Result<Vec<Recorded>, ReadError> {
        self.store.read_stream(stream, from).await
    }

    async fn read_stream_page(
        &self,
        stream: &StreamId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.store.read_stream_page(stream, from, limit).await
    }

    async fn read_all(
        &self,
        after: Position,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Recorded>, Position), ReadError> {
        self.store.read_all(after, filter, limit).await
    }

    fn subscribe_all(
        &self,
        after: Position,
        filter: Filter,
    ) -> BoxStream<'static, SubscriptionEvent> {
        self.store.subscribe_all(after, filter)
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.store.head().await
    }

    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }
}

/// A log store whose lines are counted.
#[derive(Debug)]
pub struct MeteredLogs {
    logs: Arc<dyn LogStore>,
    metrics: Arc<Metrics>,
}

impl MeteredLogs {
    /// Counts what goes into `logs`.
    #[must_use]
    pub fn new(logs: Arc<dyn LogStore>, metrics: Arc<Metrics>) -> Self {
        Self { logs, metrics }
    }
}

#[async_trait]
impl LogStore for MeteredLogs {
    async fn append_lines(
        &self,
        run: RunId,
        lines: Vec<NewLine>,
        offset: Option<SourceOffset>,
    ) -> Result<u64, PortError> {
        let count = lines.len();
        let last = self.logs.append_lines(run, lines, offset).await?;
        self.metrics.count_log_lines(count);
        Ok(last)
    }

    async fn read_source(&self, run: RunId, source: &str) -> Result<SourcePlace, PortError> {
        self.logs.read_source(run, source).await
    }

    async fn read_lines(
        &self,
        run: RunId,
        from: u64,
        limit: usize,
    ) -> Result<Vec<LogLine>, PortError> {
        self.logs.read_lines(run, from, limit).await
    }

    async fn count_lines(&self, run: RunId) -> Result<u64, PortError> {
        self.logs.count_lines(run).await
    }

    async fn finish_log(&self, run: RunId, at: Timestamp) -> Result<(), PortError> {
        self.logs.finish_log(run, at).await
    }

    async fn list_old_logs(
        &self,
        before: Timestamp,
        limit: usize,
    ) -> Result<Vec<(RunId, u64)>, PortError> {
        self.logs.list_old_logs(before, limit).await
    }

    async fn replace_log(&self, run: RunId, line: NewLine, by: RunId) -> Result<(), PortError> {
        self.logs.replace_log(run, line, by).await
    }

    async fn count_replaced(&self, by: RunId) -> Result<(u64, u64), PortError> {
        self.logs.count_replaced(by).await
    }

    async fn is_finished(&self, run: RunId) -> Result<bool, PortError> {
        self.logs.is_finished(run).await
    }
}
