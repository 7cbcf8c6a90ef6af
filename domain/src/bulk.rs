//! One piece of work on many instances: a few at a time, in batches, until all are done or it is stopped.

pub mod forecast;
pub mod sql;

use crate::Timestamp;
use crate::decider::Decider;
use crate::event::DomainEvent;
use crate::ids::{BulkId, InstanceId, RunId};
use crate::instance::Tag;
use crate::protected::Protected;
use chrono::Duration;
use serde::{Deserialize, Serialize};
use sql::Sql;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// Most instances of one operation.
pub const INSTANCES_MAX: usize = 10_000;
/// Most instances at a time.
pub const BATCH_SIZE_MAX: u32 = 1_000;
/// Longest pause between two batches: a day.
pub const FREQUENCY_SECONDS_MAX: u32 = 24 * 3600;

/// What is done to each instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Work {
    /// Launch an Appserver of its settings (core §4.7).
    Redeploy(Redeployment),
    /// Take it out of service (core §4.8).
    Archive,
}

/// How instances are redeployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Redeployment {
    /// The tags of those whose launch is under way, has succeeded and has failed are made of it.
    pub tag: Tag,
    /// Settings to be changed before the launch, a JSON object as text; may hold secrets.
    pub update: Option<Protected>,
    /// What runs on each site's main database before that.
    pub sql: Option<Sql>,
    /// How often each launch is attempted.
    pub attempts: NonZeroU32,
    /// Whether the new Appserver takes the place of all others.
    pub activate: bool,
}

/// The tags that tell how far an instance is in a redeployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressTags {
    /// Its launch is under way.
    pub ongoing: Tag,
    /// Its launch has succeeded.
    pub success: Tag,
    /// It has failed.
    pub failure: Tag,
}

impl ProgressTags {
    /// Those that are made of `base`.
    ///
    /// # Errors
    /// [`crate::instance::InvalidTag`] where they would be too long.
    pub fn new(base: &Tag) -> Result<Self, crate::instance::InvalidTag> {
        Ok(Self {
            ongoing: format!("{base}-ongoing").parse()?,
            success: format!("{base}-success").parse()?,
            failure: format!("{base}-failure").parse()?,
        })
    }

    /// All three.
    #[must_use]
    pub fn all(&self) -> [&Tag; 3] {
        [&self.ongoing, &self.success, &self.failure]
    }
}

/// How fast it goes, and what stops it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Most instances at a time.
    pub batch_size: NonZeroU32,
    /// Shortest time between the beginnings of two batches, in seconds.
    pub frequency_seconds: u32,
    /// Whether one instance goes first, and the others once it has succeeded.
    pub canary: bool,
    /// After so many failures nothing more is begun; never where none.
    pub failures_max: Option<NonZeroU32>,
}

/// How it went for one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Outcome {
    /// All that was asked for is done.
    Succeeded,
    /// It was tried in vain.
    Failed { why: String },
    /// Nothing was tried: there was nothing to do, or it was not to be touched.
    Skipped { why: String },
}

/// Why nothing more is begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Stop {
    /// Somebody said so.
    Asked { reason: String },
    /// The instance that went first failed.
    Canary,
    /// As many failed as were allowed to.
    Failures { count: u32 },
}

/// What one may ask of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Do this to these instances, in `run`.
    Request(Box<Request>),
    /// Begin with the next instances, as far as pace and pauses allow.
    BeginBatch,
    /// Record how it went for one that was begun.
    SettleInstance { instance: InstanceId, outcome: Outcome },
    /// Begin no more until it is resumed.
    Pause { reason: String },
    /// Go on.
    Resume,
    /// Begin no more; those that were begun come to their end.
    Stop { stop: Stop },
    /// All that was begun has come to its end, and no more is to be begun.
    End,
    /// Its run looks after it no more: what was begun goes on by itself.
    LeaveOff { reason: String },
    /// Its run, which had left it off, goes forward again.
    TakeUp,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The run that carries it out.
    pub run: RunId,
    /// Why, for people.
    pub reason: String,
    /// What is done to each.
    pub work: Work,
    /// To which, in this order.
    pub instances: Vec<InstanceId>,
    /// How fast.
    pub pace: Pace,
}

/// What happened to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "data")]
pub enum Event {
    /// Somebody asked for it.
    #[serde(rename = "bulk.requested")]
    Requested(Box<Request>),
    /// It begins with these; the next ones are not begun before `next_at`.
    #[serde(rename = "bulk.batch_begun")]
    BatchBegun { instances: Vec<InstanceId>, next_at: Timestamp },
    /// It is done with one.
    #[serde(rename = "bulk.instance_settled")]
    InstanceSettled { instance: InstanceId, outcome: Outcome },
    /// Nothing more is begun until it is resumed.
    #[serde(rename = "bulk.paused")]
    Paused { reason: String },
    /// It goes on.
    #[serde(rename = "bulk.resumed")]
    Resumed {},
    /// Nothing more is begun.
    #[serde(rename = "bulk.stopped")]
    Stopped { stop: Stop },
    /// It is over. What was not begun by then, never is.
    #[serde(rename = "bulk.ended")]
    Ended {},
    /// Nobody looks after it any more: what was begun goes on by itself.
    #[serde(rename = "bulk.left_off")]
    LeftOff { reason: String },
    /// Its run looks after it again.
    #[serde(rename = "bulk.taken_up")]
    TakenUp {},
}

impl DomainEvent for Event {
    const KINDS: &'static [(&'static str, u16)] = &[
        // From 2 on there may be SQL, which an older program must not leave out.
        ("bulk.requested", 2),
        ("bulk.batch_begun", 1),
        ("bulk.instance_settled", 1),
        ("bulk.paused", 1),
        ("bulk.resumed", 1),
        ("bulk.stopped", 1),
        ("bulk.ended", 1),
        ("bulk.left_off", 1),
        ("bulk.taken_up", 1),
    ];
}

/// One that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Present {
    /// What was asked for.
    pub request: Request,
    /// How many of its instances were begun; the next one is that index.
    pub begun: usize,
    /// Those that were begun and are not settled.
    pub ongoing: BTreeSet<InstanceId>,
    /// How it went for the others that were begun.
    pub settled: BTreeMap<InstanceId, Outcome>,
    /// Nothing is begun before.
    pub next_at: Option<Timestamp>,
    /// Why it is paused.
    pub paused: Option<String>,
    /// Why nothing more is begun.
    pub stopped: Option<Stop>,
    /// Whether it is over.
    pub is_over: bool,
    /// Whether that is because its run has left it off.
    pub is_left_off: bool,
}

impl Present {
    /// How many have failed.
    #[must_use]
    pub fn failures(&self) -> u32 {
        let failed = self.settled.values().filter(|it| matches!(it, Outcome::Failed { .. }));
        u32::try_from(failed.count()).unwrap_or(u32::MAX)
    }

    /// How many may be begun now.
    fn room(&self, now: Timestamp) -> usize {
        let waits = self.next_at.is_some_and(|next_at| now < next_at);
        if waits || self.paused.is_some() || self.stopped.is_some() || self.is_over {
            return 0;
        }
        let has_proof = self.settled.values().any(|it| *it == Outcome::Succeeded);
        let size = if self.request.pace.canary && !has_proof {
            1
        } else {
            usize::try_from(self.request.pace.batch_size.get()).unwrap_or(usize::MAX)
        };
        size.saturating_sub(self.ongoing.len())
    }

    /// Whether there is nothing to be waited for and nothing to be begun any more.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let all_begun = self.begun == self.request.instances.len();
        self.ongoing.is_empty() && (all_begun || self.stopped.is_some())
    }

    /// Why nothing more is to be begun after this outcome, if so.
    fn stop_after(&self, outcome: &Outcome) -> Option<Stop> {
        if self.stopped.is_some() || !matches!(outcome, Outcome::Failed { .. }) {
            return None;
        }
        let (pace, count) = (self.request.pace, self.failures() + 1);
        if pace.failures_max.is_some_and(|most| count >= most.get()) {
            return Some(Stop::Failures { count });
        }
        let has_proof = self.settled.values().any(|it| *it == Outcome::Succeeded);
        (pace.canary && !has_proof).then_some(Stop::Canary)
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// There is no such operation.
    #[error("the bulk operation does not exist")]
    Absent,
    /// It was asked for before.
    #[error("the bulk operation exists already")]
    Exists,
    /// It is over.
    #[error("the bulk operation is over: ask for another one")]
    Over,
    /// Nothing is left to be begun.
    #[error(
        "the bulk operation was stopped: what it has begun comes to its end, nothing more begins"
    )]
    Stopped,
    /// There is something to be waited for, or to be begun.
    #[error("the bulk operation is not done")]
    NotDone,
}

/// The rules of bulk operations.
#[derive(Debug, Clone, Copy)]
pub struct Bulk;

impl Decider for Bulk {
    const CATEGORY: &'static str = BulkId::CATEGORY;
    type State = Option<Box<Present>>;
    type Command = Command;
    type Event = Event;
    type Rejected = Rejected;

    fn decide(
        state: &Self::State,
        command: Command,
        now: Timestamp,
    ) -> Result<Vec<Event>, Rejected> {
        if let Command::Request(request) = command {
            return match state {
                None => Ok(vec![Event::Requested(request)]),
                Some(_) => Err(Rejected::Exists),
            };
        }
        let bulk = state.as_deref().ok_or(Rejected::Absent)?;
        match command {
            Command::Request(_) => Ok(vec![]),
            Command::BeginBatch => Ok(begin_batch(bulk, now)),
            Command::SettleInstance { instance, .. } if !bulk.ongoing.contains(&instance) => {
                Ok(vec![])
            }
            Command::SettleInstance { instance, outcome } => {
                let stop = bulk.stop_after(&outcome);
                let settled = Event::InstanceSettled { instance, outcome };
                Ok(std::iter::once(settled)
                    .chain(stop.map(|stop| Event::Stopped { stop }))
                    .collect())
            }
            Command::End | Command::LeaveOff { .. } if bulk.is_over => Ok(vec![]),
            Command::Pause { .. } | Command::Resume | Command::Stop { .. } if bulk.is_over => {
                Err(Rejected::Over)
            }
            Command::Pause { .. } | Command::Resume if bulk.stopped.is_some() => {
                Err(Rejected::Stopped)
            }
            Command::Pause { reason } if bulk.paused.as_ref() == Some(&reason) => Ok(vec![]),
            Command::Pause { reason } => Ok(vec![Event::Paused { reason }]),
            Command::Resume if bulk.paused.is_none() => Ok(vec![]),
            Command::Resume => Ok(vec![Event::Resumed {}]),
            Command::Stop { .. } if bulk.stopped.is_some() => Ok(vec![]),
            Command::Stop { stop } => Ok(vec![Event::Stopped { stop }]),
            Command::End if bulk.is_done() => Ok(vec![Event::Ended {}]),
            Command::End => Err(Rejected::NotDone),
            Command::LeaveOff { reason } => Ok(vec![Event::LeftOff { reason }]),
            Command::TakeUp if bulk.is_left_off => Ok(vec![Event::TakenUp {}]),
            Command::TakeUp => Ok(vec![]),
        }
    }

    fn evolve(state: Self::State, event: &Event) -> Self::State {
        match (state, event) {
            (None, Event::Requested(request)) => Some(Box::new(Present {
                request: (**request).clone(),
                begun: 0,
                ongoing: BTreeSet::new(),
                settled: BTreeMap::new(),
                next_at: None,
                paused: None,
                stopped: None,
                is_over: false,
                is_left_off: false,
            })),
            (state, event) => state.map(|mut bulk| {
                evolve_present(&mut bulk, event);
                bulk
            }),
        }
    }
}

fn begin_batch(bulk: &Present, now: Timestamp) -> Vec<Event> {
    let left = bulk.request.instances.get(bulk.begun..).unwrap_or_default();
    let instances: Vec<_> = left.iter().take(bulk.room(now)).copied().collect();
    if instances.is_empty() {
        return vec![];
    }
    let pause = Duration::seconds(bulk.request.pace.frequency_seconds.into());
    vec![Event::BatchBegun { instances, next_at: now + pause }]
}

fn evolve_present(bulk: &mut Present, event: &Event) {
    match event {
        Event::Requested(_) => {}
        Event::BatchBegun { instances, next_at } => {
            bulk.begun += instances.len();
            bulk.ongoing.extend(instances);
            bulk.next_at = Some(*next_at);
        }
        Event::InstanceSettled { instance, outcome } => {
            bulk.ongoing.remove(instance);
            bulk.settled.insert(*instance, outcome.clone());
        }
        Event::Paused { reason } => bulk.paused = Some(reason.clone()),
        Event::Resumed {} => bulk.paused = None,
        Event::Stopped { stop } => bulk.stopped = Some(stop.clone()),
        Event::Ended {} => bulk.is_over = true,
        Event::LeftOff { .. } => (bulk.is_over, bulk.is_left_off) = (true, true),
        Event::TakenUp {} => (bulk.is_over, bulk.is_left_off) = (false, false),
    }
}
