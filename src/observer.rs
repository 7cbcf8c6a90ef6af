//! Follows the event log for metrics and spans, so that whoever drives runs need not tell of it.
//!
//! Spans have the times of their events and ids derived from what they are about: a run that
//! outlives a crash of Ocim is still one trace, and a span told twice is still one span.

use crate::metrics::Metrics;
use crate::metrics::runs::{Attempt, Ended, Fact, Runs};
use crate::processes::PLAYBOOK_STEPS;
use crate::telemetry::traces::{Span, SpanKind, Tracer};
use crate::trace_context::{derive_span, playbook_span};
use futures_util::StreamExt;
use ocim_domain::ids::RunId;
use ocim_domain::saga::step_key;
use ocim_engine::derived::Derived;
use ocim_engine::store::{EventStore, SubscriptionEvent};
use ocim_engine::tracker::Tracker;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Pause before a store that does not answer is asked again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Follows until aborted. What was recorded before now makes the gauges true; only what follows is
/// counted and traced.
pub fn follow_runs(
    store: &Arc<dyn EventStore>,
    derived: &Arc<dyn Derived>,
    metrics: Arc<Metrics>,
    tracer: Tracer,
) -> JoinHandle<()> {
    let store = Arc::clone(store);
    let mut runs = Tracker::on(Arc::clone(&store), Arc::clone(derived), Runs);
    tokio::spawn(async move {
        while let Err(error) = runs.load().await {
            tracing::warn!(%error, "what the log says of runs can't be read yet");
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        for (id, run) in runs.items().iter() {
            if let Ok(id) = id.parse() {
                metrics.show_run(id, Some(run));
            }
        }
        let mut events = store.subscribe_all(runs.position(), runs.filter());
        let mut is_live = false;
        while let Some(event) = events.next().await {
            match event {
                SubscriptionEvent::Checkpoint(position) => runs.pass(position),
                SubscriptionEvent::CaughtUp(position) => {
                    runs.pass(position);
                    is_live = true;
                    metrics.show_caught_up();
                }
                SubscriptionEvent::Event(event) => {
                    let fact = runs.take(&event);
                    let run = RunId(event.stream.id());
                    metrics.show_run(run, runs.items().get(&run.to_string()));
                    if let (Some(fact), true) = (fact, is_live) {
                        metrics.count_fact(&fact);
                        trace_fact(&tracer, fact);
                    }
                }
            }
            if is_live {
                runs.save_when_due().await;
            }
        }
    })
}

fn trace_fact(tracer: &Tracer, fact: Fact) {
    if !tracer.is_on() {
        return;
    }
    match fact {
        Fact::Attempt(attempt) => trace_attempt(tracer, &attempt),
        Fact::Ended(ended) => trace_run(tracer, ended),
        Fact::Stuck(_) => {}
    }
}

/// A run's span hangs on the request that asked for it.
fn trace_run(tracer: &Tracer, run: Ended) {
    let Some(request) = run.trace else { return };
    tracer.record(Span {
        context: request.with_span(run_span(run.run)),
        parent: Some(request.span),
        name: format!("run {}", run.definition),
        kind: SpanKind::Internal,
        started: run.started,
        ended: run.ended,
        failed: run.outcome != "completed",
        attributes: vec![
            ("ocim.run", run.run.to_string()),
            ("ocim.definition", run.definition),
            ("ocim.outcome", run.outcome.to_owned()),
        ],
    });
}

fn trace_attempt(tracer: &Tracer, attempt: &Attempt) {
    let Some(request) = attempt.trace else { return };
    let (run, number) = (attempt.run.to_string(), attempt.number.to_string());
    let verb = if attempt.is_undo { "undo" } else { "step" };
    let context = request.with_span(derive_span(&[verb, &run, &attempt.step, &number]));
    let failed = matches!(attempt.outcome, "retry" | "failed");
    tracer.record(Span {
        context,
        parent: Some(run_span(attempt.run)),
        name: format!("{verb} {}", attempt.step),
        kind: SpanKind::Internal,
        started: attempt.started,
        ended: attempt.ended,
        failed,
        attributes: vec![
            ("ocim.run", run.clone()),
            ("ocim.definition", attempt.definition.clone()),
            ("ocim.step", attempt.step.clone()),
            ("ocim.attempt", number),
            ("ocim.outcome", attempt.outcome.to_owned()),
            ("ocim.error_class", attempt.class.clone()),
        ],
    });
    // One play serves all attempts of its step; it is told with the last.
    let has_played = matches!(attempt.outcome, "done" | "failed") && !attempt.is_undo;
    if has_played && PLAYBOOK_STEPS.contains(&attempt.step.as_str()) {
        tracer.record(Span {
            context: request.with_span(playbook_span(step_key(attempt.run, &attempt.step))),
            parent: Some(context.span),
            name: format!("playbook {}", attempt.step),
            kind: SpanKind::Client,
            started: attempt.step_began,
            ended: attempt.ended,
            failed,
            attributes: vec![("ocim.run", run), ("ocim.step", attempt.step.clone())],
        });
    }
}

fn run_span(run: RunId) -> [u8; 8] {
    derive_span(&["run", &run.to_string()])
}
