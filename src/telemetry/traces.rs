//! Sends spans to an OpenTelemetry collector (OTLP over HTTP, JSON), and never makes anybody wait.

use crate::metrics::Metrics;
use crate::trace_context::{TraceContext, hex};
use ocim_domain::Timestamp;
use serde_json::{Value, json};
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

/// What a span is to its caller, by OTLP's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Work inside Ocim.
    Internal = 1,
    /// A request that Ocim answered.
    Server = 2,
    /// Work of another program that Ocim started.
    Client = 3,
}

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
    /// When no HTTP client can be made.
    pub fn start(
        endpoint: &str,
        metrics: Arc<Metrics>,
    ) -> Result<(Self, Exporter), reqwest::Error> {
        let client = reqwest::Client::builder().timeout(EXPORT_TIMEOUT).build()?;
        let (queue, spans) = mpsc::channel(QUEUE_SPANS_MAX);
        let (stop, stopped) = watch::channel(false);
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let sender = Sender { client, url, spans, metrics: Arc::clone(&metrics) };
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

struct Sender {
    client: reqwest::Client,
    url: String,
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
                was_well = self.send(&batch, was_well).await;
                batch.clear();
            } else if is_last {
                return;
            }
        }
    }

    /// Sends one batch; a failure is told once, until it goes well again.
    async fn send(&self, batch: &[Span], was_well: bool) -> bool {
        let request = self.client.post(&self.url).json(&encode(batch)).send();
        match request.await.and_then(reqwest::Response::error_for_status) {
            Ok(_) => {
                self.metrics.count_spans("exported", batch.len());
                true
            }
            Err(error) => {
                self.metrics.count_spans("failed", batch.len());
                if was_well {
                    let error = ocim_domain::error_chain::chain(&error.without_url());
                    tracing::warn!(error, "spans can't be sent to the trace collector");
                }
                false
            }
        }
    }
}

fn encode(spans: &[Span]) -> Value {
    let resource = attributes(&[
        ("service.name", "ocim".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    let spans: Vec<Value> = spans.iter().map(encode_span).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": resource },
        "scopeSpans": [{ "scope": { "name": "ocim" }, "spans": spans }],
    }] })
}

fn encode_span(span: &Span) -> Value {
    let nanos = |time: Timestamp| time.timestamp_nanos_opt().unwrap_or_default().to_string();
    json!({
        "traceId": hex(&span.context.trace),
        "spanId": hex(&span.context.span),
        "parentSpanId": span.parent.map(|parent| hex(&parent)).unwrap_or_default(),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanos(span.started),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes(&span.attributes),
        "status": { "code": if span.failed { 2 } else { 0 } },
    })
}

fn attributes(pairs: &[(&'static str, String)]) -> Vec<Value> {
    pairs
        .iter()
        .map(|(key, value)| json!({ "key": key, "value": { "stringValue": value } }))
        .collect()
}
