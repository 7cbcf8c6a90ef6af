//! Numbers about Ocim for Prometheus: `docs/OBSERVING.md` says what each means.
//!
//! Labels are names that this program knows (definitions, steps, routes), never ids, so that there
//! are only so many series.

mod meters;
pub mod runs;

pub use meters::{MeteredLogs, MeteredStore};

use ocim_domain::Timestamp;
use ocim_domain::ids::RunId;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use runs::{Fact, OpenRun, tally};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Bounds of what takes milliseconds, in seconds.
const QUICK: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];
/// Bounds of what takes minutes or hours, in seconds.
const LONG: [f64; 11] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0];
/// Bounds of numbers of events.
const COUNTS: [f64; 6] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0];

/// How far one read model is behind the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// Events that it has not taken in; counted up to a limit.
    pub events: i64,
    /// Age of the first of them in whole seconds, 0 when there is none.
    pub seconds: i64,
    /// Whether it stands at an event that it can't take in.
    pub paused: bool,
}

/// All metrics of this process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    runs: Mutex<BTreeMap<RunId, OpenRun>>,
    runs_open: IntGaugeVec,
    runs_stuck: IntGaugeVec,
    oldest_run: IntGaugeVec,
    caught_up: IntGaugeVec,
    runs_ended: IntCounterVec,
    runs_got_stuck: IntCounterVec,
    steps: HistogramVec,
    undos: HistogramVec,
    step_failures: IntCounterVec,
    lag_events: IntGaugeVec,
    lag_seconds: IntGaugeVec,
    paused: IntGaugeVec,
    appends: IntCounterVec,
    append_events: HistogramVec,
    append_seconds: HistogramVec,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    log_lines: IntCounterVec,
    spans: IntCounterVec,
}

impl Metrics {
    /// Metrics that all begin at nothing.
    ///
    /// # Errors
    /// Only where two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let new = Maker(&registry);
        let metrics = Self {
            runs: Mutex::default(),
            runs_open: new.gauge("ocim_runs_open", "Runs under way.", &["definition"])?,
            runs_stuck: new.gauge(
                "ocim_runs_stuck",
                "Runs waiting for a person.",
                &["definition"],
            )?,
            oldest_run: new.gauge(
                "ocim_runs_oldest_open_age_seconds",
                "Age of the oldest run under way.",
                &["definition"],
            )?,
            caught_up: new.gauge(
                "ocim_runs_known",
                "1 once the event log was read, so that what is said of runs is true.",
                &[],
            )?,
            runs_ended: new.counter(
                "ocim_runs_ended_total",
                "Runs ended.",
                &["definition", "outcome"],
            )?,
            runs_got_stuck: new.counter(
                "ocim_runs_got_stuck_total",
                "Runs got stuck.",
                &["definition"],
            )?,
            steps: new.histogram(
                "ocim_step_duration_seconds",
                "Time from an attempt's intent to its result.",
                &LONG,
                &["definition", "step", "outcome"],
            )?,
            undos: new.histogram(
                "ocim_undo_duration_seconds",
                "Time from an undo's intent to its result.",
                &LONG,
                &["definition", "step", "outcome"],
            )?,
            step_failures: new.counter(
                "ocim_step_failures_total",
                "Attempts of steps that failed.",
                &["definition", "step", "class", "outcome"],
            )?,
            lag_events: new.gauge(
                "ocim_projection_lag_events",
                "Events that a read model has not taken in, counted up to 1000.",
                &["projection"],
            )?,
            lag_seconds: new.gauge(
                "ocim_projection_lag_seconds",
                "Age of the first event that a read model has not taken in.",
                &["projection"],
            )?,
            paused: new.gauge("ocim_projection_paused", "1 at a poison event.", &["projection"])?,
            appends: new.counter(
                "ocim_appends_total",
                "Appends to the event log.",
                &["outcome"],
            )?,
            append_events: new.histogram(
                "ocim_append_events",
                "Events of an append.",
                &COUNTS,
                &[],
            )?,
            append_seconds: new.histogram(
                "ocim_append_duration_seconds",
                "Time of an append, its wait included.",
                &QUICK,
                &[],
            )?,
            requests: new.counter(
                "ocim_http_requests_total",
                "HTTP requests answered.",
                &["method", "route", "status"],
            )?,
            request_seconds: new.histogram(
                "ocim_http_request_duration_seconds",
                "Time to the head of an answer.",
                &QUICK,
                &["method", "route"],
            )?,
            log_lines: new.counter(
                "ocim_log_lines_total",
                "Lines written to logs of runs.",
                &[],
            )?,
            spans: new.counter(
                "ocim_trace_spans_total",
                "Spans by what became of them.",
                &["outcome"],
            )?,
            registry: registry.clone(),
        };
        let build = new.gauge("ocim_build_info", "Always 1.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let process = prometheus::process_collector::ProcessCollector::for_self();
        registry.register(Box::new(process))?;
        metrics.caught_up.with_label_values::<&str>(&[]).set(0);
        metrics.log_lines.with_label_values::<&str>(&[]);
        Ok(metrics)
    }

    /// The text that Prometheus reads, version 0.0.4.
    ///
    /// # Errors
    /// When a metric has no text form.
    pub fn render(&self, now: Timestamp) -> Result<String, prometheus::Error> {
        // Held to the end: another reader must not find the gauges between two states.
        let runs = self.lock_runs();
        self.show_runs(&runs, now);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    fn show_runs(&self, runs: &BTreeMap<RunId, OpenRun>, now: Timestamp) {
        // Definitions without any run are shown no more, rather than with an old number.
        self.runs_open.reset();
        self.runs_stuck.reset();
        self.oldest_run.reset();
        for (definition, tally) in tally(runs.values()) {
            self.runs_open.with_label_values(&[definition]).set(tally.open);
            self.runs_stuck.with_label_values(&[definition]).set(tally.stuck);
            let age = tally.oldest.map_or(0, |oldest| (now - oldest).num_seconds().max(0));
            self.oldest_run.with_label_values(&[definition]).set(age);
        }
    }

    /// The run is like this now; none where it is over.
    pub fn show_run(&self, run: RunId, state: Option<&OpenRun>) {
        match state {
            Some(state) => drop(self.lock_runs().insert(run, state.clone())),
            None => drop(self.lock_runs().remove(&run)),
        }
    }

    /// The log was read to its end.
    pub fn show_caught_up(&self) {
        self.caught_up.with_label_values::<&str>(&[]).set(1);
    }

    /// Counts what an event said.
    pub fn count_fact(&self, fact: &Fact) {
        match fact {
            Fact::Stuck(definition) => self.runs_got_stuck.with_label_values(&[definition]).inc(),
            Fact::Ended(it) => {
                self.runs_ended.with_label_values(&[it.definition.as_str(), it.outcome]).inc();
            }
            Fact::Attempt(it) => {
                let (definition, step) = (it.definition.as_str(), it.step.as_str());
                let histogram = if it.is_undo { &self.undos } else { &self.steps };
                let seconds = (it.ended - it.started).to_std().unwrap_or_default().as_secs_f64();
                histogram.with_label_values(&[definition, step, it.outcome]).observe(seconds);
                if !it.is_undo && matches!(it.outcome, "retry" | "failed") {
                    let labels = [definition, step, it.class.as_str(), it.outcome];
                    self.step_failures.with_label_values(&labels).inc();
                }
            }
        }
    }

    /// Shows how far a read model is behind.
    pub fn show_lag(&self, projection: &str, lag: Lag) {
        self.lag_events.with_label_values(&[projection]).set(lag.events);
        self.lag_seconds.with_label_values(&[projection]).set(lag.seconds);
        self.paused.with_label_values(&[projection]).set(i64::from(lag.paused));
    }

    /// Counts an append.
    pub fn count_append(&self, outcome: &str, events: usize, took: Duration) {
        self.appends.with_label_values(&[outcome]).inc();
        let events = u32::try_from(events).unwrap_or(u32::MAX);
        self.append_events.with_label_values::<&str>(&[]).observe(f64::from(events));
        self.append_seconds.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }

    /// Counts an answered request. `route` is the route's template, not the path.
    pub fn count_request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.requests.with_label_values(&[method, route, status.as_str()]).inc();
        self.request_seconds.with_label_values(&[method, route]).observe(took.as_secs_f64());
    }

    /// Counts lines of runs' logs.
    pub fn count_log_lines(&self, lines: usize) {
        self.log_lines.with_label_values::<&str>(&[]).inc_by(lines as u64);
    }

    /// Counts spans by what became of them: `exported`, `failed` or `dropped`.
    pub fn count_spans(&self, outcome: &str, spans: usize) {
        self.spans.with_label_values(&[outcome]).inc_by(spans as u64);
    }

    fn lock_runs(&self) -> MutexGuard<'_, BTreeMap<RunId, OpenRun>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes metrics and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn counter(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauge(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        let options = HistogramOpts::new(name, help).buckets(bounds.to_vec());
        let metric = HistogramVec::new(options, labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
