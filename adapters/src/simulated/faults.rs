//! What goes wrong in a simulated region: fates of machines and playbooks, and trouble with calls.

use super::dice::Dice;
use ocim_domain::port_error::{Class, PortError};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Every kind of fault that a simulated region knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The quota is used up; room comes later, perhaps too late.
    QuotaExceeded,
    /// No host had room: the machine is in error from the start.
    NoValidHost,
    /// The machine goes into error later.
    MachineError,
    /// The machine disappears behind Ocim's back.
    MachineVanished,
    /// Building takes much longer than usual.
    SlowBoot,
    /// The machine is active, and its sshd never answers.
    SshNeverUp,
    /// A task of a playbook fails.
    PlayFailed,
    /// The cloud refuses to delete a machine a number of times, or for ever.
    UndoFailed,
    /// "Too many requests", with the time to wait.
    RateLimited,
    /// The service has an internal error; nothing was done.
    ServerError,
    /// It was done, and the reply never came.
    LostReply,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::QuotaExceeded,
        Self::NoValidHost,
        Self::MachineError,
        Self::MachineVanished,
        Self::SlowBoot,
        Self::SshNeverUp,
        Self::PlayFailed,
        Self::UndoFailed,
        Self::RateLimited,
        Self::ServerError,
        Self::LostReply,
    ];

    /// What may become of a machine.
    const FATES: [Self; 6] = [
        Self::QuotaExceeded,
        Self::NoValidHost,
        Self::MachineError,
        Self::MachineVanished,
        Self::SlowBoot,
        Self::SshNeverUp,
    ];
}

/// Share of the calls that are refused for a moment, at faults of 1.
const REFUSED: f64 = 0.2;
/// Share of the effects whose reply is lost, at faults of 1.
const LOST: f64 = 0.1;
/// Share of the machines that can never be deleted, at faults of 1.
const RESISTING: f64 = 0.03;
/// Share of the playbooks that fail, at faults of 1.
const PLAYS: f64 = 0.5;

/// Decides what goes wrong, and counts it.
#[derive(Debug)]
pub(crate) struct Trouble {
    dice: Dice,
    faults: f64,
    counters: Mutex<Counters>,
}

#[derive(Debug, Default)]
struct Counters {
    calls: BTreeMap<(String, &'static str), u32>,
    counts: BTreeMap<FaultKind, u64>,
    met: BTreeSet<(FaultKind, Uuid)>,
}

impl Trouble {
    pub(crate) fn new(dice: Dice, faults: f64) -> Self {
        Self { dice, faults, counters: Mutex::default() }
    }

    /// Which call of that name about this key it is, from 1.
    pub(crate) fn count_call(&self, key: &str, call: &'static str) -> u32 {
        let mut book = self.lock();
        let count = book.calls.entry((key.to_owned(), call)).or_default();
        *count += 1;
        *count
    }

    /// A refusal before there is any effect.
    pub(crate) fn refuse(&self, key: &str, call: &str, nth: u32) -> Result<(), PortError> {
        let share = self.dice.share(key, call, nth);
        let probability = self.faults * REFUSED;
        if share >= probability {
            return Ok(());
        }
        if share < probability / 2.0 {
            self.strike(FaultKind::RateLimited);
            let wait = self.dice.span(1, 30, key, "retry_after", nth);
            let wait = Duration::from_secs(wait.as_secs());
            let text = format!("429 Too Many Requests: try again in {} s", wait.as_secs());
            return Err(PortError::new(Class::RateLimited(wait), text));
        }
        self.strike(FaultKind::ServerError);
        Err(PortError::transient("503 Service Unavailable"))
    }

    /// The loss of a reply after the effect.
    pub(crate) fn lose_reply(&self, key: &str, call: &str, nth: u32) -> Result<(), PortError> {
        let is_lost = self.dice.happens(self.faults * LOST, key, &format!("{call}/reply"), nth);
        if !is_lost {
            return Ok(());
        }
        self.strike(FaultKind::LostReply);
        Err(PortError::new(Class::Ambiguous, "the connection was closed before the reply came"))
    }

    /// What becomes of a machine, if it is no good.
    pub(crate) fn fate(&self, key: Uuid) -> Option<FaultKind> {
        let key = key.to_string();
        let is_bad = self.dice.happens(self.faults, &key, "fate", 0);
        let which = self.dice.number(0, 5, &key, "which fate") as usize;
        is_bad.then(|| FaultKind::FATES[which])
    }

    /// How often the deletion of a machine is refused; [`u32::MAX`]: for ever.
    pub(crate) fn refused_deletions(&self, key: Uuid) -> u32 {
        let key = key.to_string();
        let share = self.dice.share(&key, "resists", 0);
        if share < self.faults * RESISTING {
            u32::MAX
        } else if share < self.faults {
            self.dice.number(1, 6, &key, "resists")
        } else {
            0
        }
    }

    /// At which task of so many a playbook fails, if it does.
    pub(crate) fn failing_task(&self, key: Uuid, tasks: u32) -> Option<u32> {
        let key = key.to_string();
        let fails = self.dice.happens(self.faults * PLAYS, &key, "play", 0);
        fails.then(|| self.dice.number(1, tasks, &key, "failing task"))
    }

    /// Counts a fault that somebody met.
    pub(crate) fn strike(&self, kind: FaultKind) {
        *self.lock().counts.entry(kind).or_default() += 1;
    }

    /// Counts a fault that is met again and again, once.
    pub(crate) fn strike_once(&self, kind: FaultKind, key: Uuid) {
        let mut book = self.lock();
        if book.met.insert((kind, key)) {
            *book.counts.entry(kind).or_default() += 1;
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<FaultKind, u64> {
        self.lock().counts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
