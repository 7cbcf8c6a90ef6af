//! Sends spans to an OpenTelemetry collector (OTLP over HTTP, JSON), and never makes anybody wait.
//!
//! The SDK's own queue and tracer are not used: spans come from the event log, with ids that are derived
//! and times that are past, and what is dropped has to be counted.

mod client;

pub use opentelemetry::trace::SpanKind;

use crate::metrics::Metrics;
use crate::trace_context::TraceContext;
use client::Client;
use ocim_domain::Timestamp;
use opentelemetry::trace::{SpanId, Status};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol, RetryPolicy, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Spans that wait; more are dropped and counted.
const QUEUE_SPANS_MAX: usize = 4_096;
/// Spans of one request to the collector.
const BATCH_SPANS_MAX: usize = 512;
/// How long a batch gathers.
const BATCH_PAUSE: Duration = Duration::from_millis(500);
/// Longest wait for the collector; what it has not taken by then is lost.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for the collector when Ocim stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// A piece of work that has ended. Attributes hold names and numbers, never what people wrote.
#[derive(Debug, Clone)]
pub struct Span {
    /// Trace and span.
    pub context: TraceContext,
    /// The span that it is part of, if any.
    pub parent: Option<[u8; 8]>,
    /// What was done.
    pub name: String,
    /// Whose work it was.
    pub kind: SpanKind,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// Whether it failed.
    pub failed: bool,
    /// More about it.
    pub attributes: Vec<(&'static str, String)>,
}

/// Takes spans; does nothing where no collector is configured.
#[derive(Debug, Clone, Default)]
pub struct Tracer(Option<Sink>);

#[derive(Debug, Clone)]
struct Sink {
    queue: mpsc::Sender<Span>,
    metrics: Arc<Metrics>,
}

/// Why no spans can be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracerError {
    /// The HTTP client can't be made.
    #[error("no HTTP client can be made")]
    Client(#[source] reqwest::Error),
    /// The exporter does not take what it is configured with.
    #[error("the exporter of spans can't be made")]
    Exporter(#[source] ExporterBuildError),
}

/// The task that sends; dropping it stops it.
#[derive(Debug)]
pub struct Exporter {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Tracer {
    /// Sends spans to the collector at `endpoint`, a URL before `/v1/traces`.
    ///
    /// # Errors
    /// See [`TracerError`].
    pub fn start(endpoint: &str, metrics: Arc<Metrics>) -> Result<(Self, Exporter), TracerError> {
        let exporter = make_exporter(endpoint)?;
        let (queue, spans) = mpsc::channel(QUEUE_SPANS_MAX);
        let (stop, stopped) = watch::channel(false);
        let sender = Sender { exporter, spans, metrics: Arc::clone(&metrics) };
        let task = tokio::spawn(sender.run(stopped));
        Ok((Self(Some(Sink { queue, metrics })), Exporter { task, stop }))
    }

    /// Whether spans go anywhere.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Takes a span, unless too many wait already or its trace is not to be kept.
    pub fn record(&self, span: Span) {
        let Some(sink) = self.0.as_ref().filter(|_| span.context.sampled) else { return };
        if sink.queue.try_send(span).is_err() {
            sink.metrics.count_spans("dropped", 1);
        }
    }
}

impl Exporter {
    /// Sends what waits, and gives up after two seconds.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_TIMEOUT, &mut self.task).await.is_err() {
            tracing::warn!("the trace collector did not answer; the last spans are lost");
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn make_exporter(endpoint: &str) -> Result<SpanExporter, TracerError> {
    let client = Client::new(EXPORT_TIMEOUT).map_err(TracerError::Client)?;
    let mut exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpJson)
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIMEOUT)
        // While one batch is tried again, the next ones wait, and then are dropped.
        .with_retry_policy(RetryPolicy::disabled())
        .with_http_client(client)
        .build()
        .map_err(TracerError::Exporter)?;
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder_empty().with_service_name("ocim").with_attribute(version);
    exporter.set_resource(&resource.build());
    Ok(exporter)
}

struct Sender {
    exporter: SpanExporter,
    spans: mpsc::Receiver<Span>,
    metrics: Arc<Metrics>,
}

impl Sender {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH_SPANS_MAX);
        let mut was_well = true;
        loop {
            let is_last = tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => true,
                count = self.spans.recv_many(&mut batch, BATCH_SPANS_MAX) => count == 0,
            };
            if is_last {
                self.spans.close();
            } else if batch.len() < BATCH_SPANS_MAX {
                // Those that belong together mostly come together.
                tokio::select! {
                    _ = stopped.wait_for(|stop| *stop) => {}
                    () = tokio::time::sleep(BATCH_PAUSE) => {}
                }
            }
            while batch.len() < BATCH_SPANS_MAX
                && let Ok(span) = self.spans.try_recv()
            {
                batch.push(span);
            }
            if !batch.is_empty() {
                was_well = self.send(&mut batch, was_well).await;
            } else if is_last {
                return;
            }
        }
    }

    /// Sends one batch; a failure is told once, until it goes well again.
    async fn send(&self, batch: &mut Vec<Span>, was_well: bool) -> bool {
        let count = batch.len();
        match self.exporter.export(batch.drain(..).map(describe_span).collect()).await {
            Ok(()) => {
                self.metrics.count_spans("exported", count);
                true
            }
            Err(error) => {
                self.metrics.count_spans("failed", count);
                if was_well {
                    let error = ocim_domain::error_chain::chain(&error);
                    tracing::warn!(error, "spans can't be sent to the trace collector");
                }
                false
            }
        }
    }
}

fn describe_span(span: Span) -> SpanData {
    let attributes = span.attributes.into_iter().map(|(key, value)| KeyValue::new(key, value));
    SpanData {
        span_context: span.context.into(),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: false,
        span_kind: span.kind,
        name: span.name.into(),
        start_time: span.started.into(),
        end_time: span.ended.into(),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if span.failed { Status::error("") } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("ocim").build(),
    }
}
