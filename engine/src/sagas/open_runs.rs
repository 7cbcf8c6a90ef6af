//! The runs that are open: asked for, under way or stuck, and abandoned with claims to release.

use super::definition::StartRequest;
use super::host::Host;
use crate::store::Filter;
use crate::tracker::{Items, Tracked};
use ocim_domain::event::{Metadata, Recorded, StreamId};
use ocim_domain::ids::RunId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is heard of runs, beside what a host names.
const HEARD: &[&str] = &[
    "saga.started",
    "saga.completed",
    "saga.unwound",
    "saga.abandoned",
    "saga.stuck",
    "saga.cancel_requested",
    "saga.operator_acted",
];

/// How a run is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum OpenRun {
    /// An event asks for it; it has not started.
    Asked {
        /// That event's stream.
        stream: StreamId,
        /// That event's version.
        version: u64,
    },
    /// It has started, and not ended.
    Started {
        /// The name of its definition.
        definition: String,
        /// The object it is about.
        subject: String,
    },
    /// It was abandoned. The log does not tell when its claims were released: whoever has done that
    /// settles the item.
    Abandoned,
}

/// What an event means for whoever drives runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// A run is asked for.
    Asked(Box<StartRequest>, Box<Metadata>),
    /// Somebody must look after this run.
    NeedsTask(RunId),
    /// Whoever looks after this run should look now.
    Wake(RunId),
    /// This run is at rest.
    Rests(RunId),
    /// This run is at rest, and others may wait for what it held.
    Abandoned(RunId),
    /// Nothing.
    Nothing,
}

/// The runs of one log that are open, by the text of their ids.
#[derive(Debug)]
pub struct OpenRuns<H> {
    host: Option<Arc<H>>,
}

impl OpenRuns<()> {
    /// Those that have started: who only looks needs no host.
    #[must_use]
    pub fn started() -> Self {
        Self { host: None }
    }

    /// Whether a run of that process, about that subject if one is given, has started and not ended.
    #[must_use]
    pub fn has_started(items: &Items<OpenRun>, wanted: &str, about: Option<&str>) -> bool {
        items.iter().any(|(_, run)| match run {
            OpenRun::Started { definition, subject } => {
                definition == wanted && about.is_none_or(|about| about == subject)
            }
            OpenRun::Asked { .. } | OpenRun::Abandoned => false,
        })
    }
}

impl<H: Host> OpenRuns<H> {
    /// All of them, as the host's events tell.
    #[must_use]
    pub fn of(host: Arc<H>) -> Self {
        Self { host: Some(host) }
    }
}

/// What a host's own events mean for runs.
pub trait Hears: Send + Sync {
    /// The kinds that mean anything.
    fn kinds(&self) -> Vec<&'static str>;

    /// What this event means.
    fn hear(&self, event: &Recorded) -> Signal;
}

impl Hears for () {
    fn kinds(&self) -> Vec<&'static str> {
        vec![]
    }

    fn hear(&self, _event: &Recorded) -> Signal {
        Signal::Nothing
    }
}

impl<H: Host> Hears for H {
    fn kinds(&self) -> Vec<&'static str> {
        self.kinds_heard()
    }

    fn hear(&self, event: &Recorded) -> Signal {
        let Some(request) = self.started_by(event) else {
            return self.woken_by(event).map_or(Signal::Nothing, Signal::Wake);
        };
        let meta = Metadata {
            correlation_id: Some(request.run.to_string()),
            causation_id: Some(event.id.to_string()),
            ..event.meta.clone()
        };
        Signal::Asked(Box::new(request), Box::new(meta))
    }
}

impl<H: Hears> Tracked for OpenRuns<H> {
    const SCHEMA: u16 = 1;
    type Item = OpenRun;
    type Told = Signal;

    fn name(&self) -> String {
        "open_runs".to_owned()
    }

    fn filter(&self) -> Filter {
        let more = self.host.as_ref().map(|host| host.kinds()).unwrap_or_default();
        let kinds = more.iter().chain(HEARD).map(|kind| (*kind).to_owned()).collect();
        Filter { categories: vec![], kinds }
    }

    fn apply(&self, items: &mut Items<OpenRun>, event: &Recorded) -> Signal {
        let run = RunId(event.stream.id());
        let text = |field: &str| event.data[field].as_str().unwrap_or_default().to_owned();
        match event.kind.as_str() {
            "saga.started" => {
                let (definition, subject) = (text("definition"), text("subject"));
                items.put(run.to_string(), OpenRun::Started { definition, subject });
                Signal::NeedsTask(run)
            }
            "saga.completed" | "saga.unwound" => {
                items.remove(&run.to_string());
                Signal::Rests(run)
            }
            "saga.abandoned" => {
                items.put(run.to_string(), OpenRun::Abandoned);
                Signal::Abandoned(run)
            }
            "saga.stuck" => Signal::Rests(run),
            "saga.cancel_requested" | "saga.operator_acted" => Signal::NeedsTask(run),
            _ => {
                let host = self.host.as_ref();
                let signal = host.map_or(Signal::Nothing, |host| host.hear(event));
                if let Signal::Asked(request, _) = &signal {
                    let (stream, version) = (event.stream.clone(), event.version);
                    items.put(request.run.to_string(), OpenRun::Asked { stream, version });
                }
                signal
            }
        }
    }
}
