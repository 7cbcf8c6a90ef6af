//! What the event log says about runs: those under way, and every attempt that ended. No I/O.

use crate::trace_context::TraceContext;
use ocim_domain::Timestamp;
use ocim_domain::event::Recorded;
use ocim_domain::ids::RunId;
use ocim_engine::store::Filter;
use ocim_engine::tracker::{Items, Tracked};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An attempt of a step or of its undo that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// Where the run belongs in its trace.
    pub trace: Option<TraceContext>,
    /// The run's definition.
    pub definition: String,
    /// The step's path.
    pub step: String,
    /// Its number, from 1.
    pub number: u32,
    /// Whether it undid the step.
    pub is_undo: bool,
    /// `done`, `skipped`, `retry` (will be tried again) or `failed`.
    pub outcome: &'static str,
    /// The class of its error; blank where the log names none.
    pub class: String,
    /// When it was intended.
    pub started: Timestamp,
    /// When its result was recorded.
    pub ended: Timestamp,
    /// When the step's first attempt was intended.
    pub step_began: Timestamp,
}

/// A run that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The run.
    pub run: RunId,
    /// Where it belongs in its trace.
    pub trace: Option<TraceContext>,
    /// Its definition.
    pub definition: String,
    /// `completed`, `unwound` or `abandoned`.
    pub outcome: &'static str,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

/// What an event adds to what was known.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// An attempt has ended.
    Attempt(Attempt),
    /// A run has ended.
    Ended(Ended),
    /// A run can't go on by itself; the name of its definition.
    Stuck(String),
}

/// How the runs of one definition are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Under way.
    pub open: i64,
    /// Waiting for a person.
    pub stuck: i64,
    /// When the oldest of those under way was started.
    pub oldest: Option<Timestamp>,
}

/// The runs that are not over, by the text of their ids. What ends is forgotten.
#[derive(Debug)]
pub struct Runs;

/// A run that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OpenRun {
    /// The name of its definition.
    pub definition: String,
    /// When it was started.
    pub started: Timestamp,
    /// Whether it waits for a person.
    pub is_stuck: bool,
    /// Where it belongs in its trace, as its request said.
    traceparent: Option<String>,
    /// The attempts that are under way.
    intents: Vec<Intent>,
    /// When the first attempt of each step began.
    began: BTreeMap<String, Timestamp>,
}

/// An attempt that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Intent {
    step: String,
    is_undo: bool,
    number: u32,
    at: Timestamp,
}

impl Tracked for Runs {
    const SCHEMA: u16 = 1;
    type Item = OpenRun;
    type Told = Option<Fact>;

    fn name(&self) -> String {
        "runs_measured".to_owned()
    }

    fn filter(&self) -> Filter {
        Filter { categories: vec![RunId::CATEGORY.to_owned()], kinds: vec![] }
    }

    /// Kinds that say nothing about runs are let by. Payloads are read field by field, so that a schema
    /// that grows is still understood.
    fn apply(&self, items: &mut Items<OpenRun>, event: &Recorded) -> Option<Fact> {
        let kind = event.kind.strip_prefix("saga.")?;
        let id = RunId(event.stream.id());
        let key = id.to_string();
        if kind == "started" {
            let open = OpenRun {
                definition: text(&event.data, "definition"),
                traceparent: event.meta.traceparent.clone(),
                started: event.recorded_at,
                is_stuck: false,
                intents: vec![],
                began: BTreeMap::new(),
            };
            items.put(key, open);
            return None;
        }
        if let "completed" | "unwound" | "abandoned" = kind {
            return items.remove(&key).map(|open| Fact::Ended(open.end(id, kind, event)));
        }
        let open = items.get_mut(&key)?;
        match kind {
            "stuck" if !open.is_stuck => {
                open.is_stuck = true;
                return Some(Fact::Stuck(open.definition.clone()));
            }
            "operator_acted" => open.is_stuck = false,
            "step_intended" | "undo_intended" => open.intend(event, kind == "undo_intended"),
            "step_done" | "undo_done" => return open.finish(id, event, "done"),
            "step_skipped" | "undo_skipped" => return open.finish(id, event, "skipped"),
            "step_failed" | "undo_failed" => {
                let again = event.data["retry_at"].is_string();
                return open.finish(id, event, if again { "retry" } else { "failed" });
            }
            _ => {}
        }
        None
    }
}

/// How these runs are, by definition.
pub fn tally<'a>(runs: impl Iterator<Item = &'a OpenRun>) -> BTreeMap<&'a str, Tally> {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for open in runs {
        let tally = tallies.entry(&open.definition).or_default();
        if open.is_stuck {
            tally.stuck += 1;
        } else {
            tally.open += 1;
            tally.oldest = Some(tally.oldest.map_or(open.started, |it| it.min(open.started)));
        }
    }
    tallies
}

impl OpenRun {
    fn trace(&self) -> Option<TraceContext> {
        self.traceparent.as_deref()?.parse().ok()
    }

    fn intend(&mut self, event: &Recorded, is_undo: bool) {
        let step = text(&event.data, "step");
        let number = event.data["attempt"].as_u64().and_then(|it| u32::try_from(it).ok());
        self.began.entry(step.clone()).or_insert(event.recorded_at);
        self.intents.retain(|intent| intent.step != step || intent.is_undo != is_undo);
        let number = number.unwrap_or(1);
        self.intents.push(Intent { step, is_undo, number, at: event.recorded_at });
    }

    /// A result without an intent, as of what was skipped unseen, is no attempt.
    fn finish(&mut self, run: RunId, event: &Recorded, outcome: &'static str) -> Option<Fact> {
        let is_undo = event.kind.starts_with("saga.undo_");
        let step = text(&event.data, "step");
        let mut intents = self.intents.iter();
        let place = intents.position(|it| it.step == step && it.is_undo == is_undo)?;
        let Intent { number, at: started, .. } = self.intents.remove(place);
        let step_began = self.began.get(&step).copied().unwrap_or(started);
        Some(Fact::Attempt(Attempt {
            run,
            trace: self.trace(),
            definition: self.definition.clone(),
            step,
            number,
            is_undo,
            outcome,
            class: text(&event.data, "class"),
            started,
            ended: event.recorded_at,
            step_began,
        }))
    }

    fn end(self, run: RunId, kind: &str, event: &Recorded) -> Ended {
        let outcome = match kind {
            "completed" => "completed",
            "unwound" => "unwound",
            _ => "abandoned",
        };
        let (started, ended, trace) = (self.started, event.recorded_at, self.trace());
        Ended { run, trace, definition: self.definition, outcome, started, ended }
    }
}

fn text(data: &Value, field: &str) -> String {
    data[field].as_str().unwrap_or_default().to_owned()
}
