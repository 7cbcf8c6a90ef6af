//! A circuit breaker per provider: one that keeps failing is left alone for a while.
//!
//! Closed, calls go through. After some failures in a row it opens: calls fail at once, unmade.
//! When its time has come one call goes through as a probe, and decides. Nothing that fails while
//! it is open costs anybody an attempt, the failure that opened it included.

pub mod circuits;
mod ports;

pub use ports::Guarded;
pub(crate) use ports::{Answer, Asked, guarded};

use crate::breaker::circuits::{Circuits, OpenCircuit, PausedProvider};
use ocim_domain::Timestamp;
use ocim_domain::port_error::{Blame, PortError};
use ocim_domain::system::Clock;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// When breakers open, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerLimits {
    /// So many failures in a row open it.
    pub failures_max: u32,
    /// How long it stays open at first; twice as long after each probe that fails.
    pub open_base: Duration,
    /// The longest that it stays open without a probe.
    pub open_cap: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            failures_max: 5,
            open_base: Duration::from_secs(10),
            open_cap: Duration::from_secs(120),
        }
    }
}

/// Which way a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// Calls fail at once.
    Open {
        /// Until then.
        until: Timestamp,
    },
    /// One call is under way as a probe; others fail at once.
    HalfOpen,
}

/// One breaker, to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerSnapshot {
    /// The provider, e.g. `region local`.
    pub provider: String,
    /// Which way it stands.
    pub state: BreakerState,
    /// Failures in a row.
    pub failures: u32,
    /// What the last of them said.
    pub error: String,
}

/// The breakers of all providers. Clones are the same breakers.
#[derive(Debug, Clone)]
pub struct Breakers {
    clock: Arc<dyn Clock>,
    limits: BreakerLimits,
    all: Arc<Mutex<BTreeMap<String, Arc<Breaker>>>>,
    paused: Arc<Mutex<BTreeMap<String, PausedProvider>>>,
}

impl Breakers {
    /// No breakers yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, limits: BreakerLimits) -> Self {
        Self { clock, limits, all: Arc::default(), paused: Arc::default() }
    }

    /// The breaker of a provider, made at the first call.
    #[must_use]
    pub fn of(&self, provider: &str) -> Arc<Breaker> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || Arc::new(Breaker::new(provider, Arc::clone(&self.clock), self.limits));
        Arc::clone(all.entry(provider.to_owned()).or_insert_with(make))
    }

    /// Refuses work at a provider that is paused.
    ///
    /// # Errors
    /// [`PortError::paused`].
    pub fn check_paused(&self, provider: &str) -> Result<(), PortError> {
        let paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        match paused.get(provider) {
            None => Ok(()),
            Some(PausedProvider { incident, reason, .. }) => {
                Err(PortError::paused(*incident, format!("{provider} is paused: {reason}")))
            }
        }
    }

    /// How each stands, by provider.
    #[must_use]
    pub fn snapshot(&self) -> Vec<BreakerSnapshot> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().map(|breaker| breaker.snapshot()).collect()
    }
}

impl Circuits for Breakers {
    fn open_circuits(&self) -> Vec<OpenCircuit> {
        let open = |snapshot: BreakerSnapshot| {
            let until = match snapshot.state {
                BreakerState::Closed => return None,
                BreakerState::Open { until } => Some(until),
                BreakerState::HalfOpen => None,
            };
            let BreakerSnapshot { provider, failures, error, .. } = snapshot;
            Some(OpenCircuit { provider, failures, error, until })
        };
        self.snapshot().into_iter().filter_map(open).collect()
    }

    fn set_paused(&self, paused: Vec<PausedProvider>) {
        let by_name = paused.into_iter().map(|it| (it.provider.clone(), it));
        *self.paused.lock().unwrap_or_else(PoisonError::into_inner) = by_name.collect();
    }
}

/// The circuit breaker of one provider.
#[derive(Debug)]
pub struct Breaker {
    provider: String,
    clock: Arc<dyn Clock>,
    limits: BreakerLimits,
    circuit: Mutex<Circuit>,
}

#[derive(Debug)]
struct Circuit {
    state: BreakerState,
    failures: u32,
    /// What the last of them said.
    last_error: String,
    /// How long it was opened for the last time.
    opened_for: Duration,
    /// How long it is open the next time.
    open_next: Duration,
}

impl Circuit {
    fn closed(limits: &BreakerLimits) -> Self {
        let (state, last_error) = (BreakerState::Closed, String::new());
        let (opened_for, open_next) = (Duration::ZERO, limits.open_base);
        Self { state, failures: 0, last_error, opened_for, open_next }
    }

    /// Whether an open one is due for a probe. One that seems open for longer than it was opened for
    /// is, too: the clock was set back meanwhile.
    fn is_due(&self, until: Timestamp, now: Timestamp) -> bool {
        let left = (until - now).to_std().unwrap_or_default();
        left.is_zero() || left > self.opened_for
    }
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(provider: impl Into<String>, clock: Arc<dyn Clock>, limits: BreakerLimits) -> Self {
        let circuit = Mutex::new(Circuit::closed(&limits));
        Self { provider: provider.into(), clock, limits, circuit }
    }

    /// How it stands.
    #[must_use]
    pub fn snapshot(&self) -> BreakerSnapshot {
        let circuit = self.circuit();
        BreakerSnapshot {
            provider: self.provider.clone(),
            state: circuit.state,
            failures: circuit.failures,
            error: circuit.last_error.clone(),
        }
    }

    /// Makes the call unless the circuit is open.
    ///
    /// # Errors
    /// The call's own, or [`PortError::postponed`].
    pub async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let mut attempt = self.admit()?;
        let outcome = call.await;
        let failure = outcome.as_ref().err().filter(|error| tells_of_an_outage(error));
        attempt.ended = Some(failure.map(|error| error.message.clone()));
        drop(attempt);
        outcome.map_err(|error| self.excuse(error))
    }

    /// A failure of a provider that is known to be down is not the caller's.
    fn excuse(&self, error: PortError) -> PortError {
        match self.circuit().state {
            BreakerState::Open { until } if tells_of_an_outage(&error) => {
                let left = (until - self.clock.now()).to_std().unwrap_or_default();
                let (provider, until) = (&self.provider, until.format("%F %T"));
                let told = format!("the circuit of {provider} is open until {until} UTC");
                let message = format!("{}; {told}", error.message);
                PortError { free_for: Some(left), message, ..error }
            }
            _ => error,
        }
    }

    fn admit(&self) -> Result<Attempt<'_>, PortError> {
        let mut circuit = self.circuit();
        match circuit.state {
            BreakerState::Closed => Ok(Attempt { breaker: self, is_probe: false, ended: None }),
            BreakerState::Open { until } if circuit.is_due(until, self.clock.now()) => {
                circuit.state = BreakerState::HalfOpen;
                Ok(Attempt { breaker: self, is_probe: true, ended: None })
            }
            BreakerState::Open { until } => Err(self.postpone(until, &circuit.last_error)),
            BreakerState::HalfOpen => {
                let until = self.clock.now() + self.limits.open_base;
                Err(self.postpone(until, &circuit.last_error))
            }
        }
    }

    fn postpone(&self, until: Timestamp, error: &str) -> PortError {
        let again_in = (until - self.clock.now()).to_std().unwrap_or_default();
        let (provider, until) = (&self.provider, until.format("%F %T"));
        let told = format!("{provider} keeps failing: its circuit is open until {until} UTC");
        let message = format!("{told}; it said last: {error}");
        PortError::postponed(again_in, message)
    }

    fn settle(&self, is_probe: bool, ended: Option<Option<String>>) {
        let mut circuit = self.circuit();
        match ended {
            // Nobody knows how it would have ended: the next call is the probe.
            None if is_probe => circuit.state = BreakerState::Open { until: self.clock.now() },
            None => {}
            Some(None) if is_probe || circuit.state == BreakerState::Closed => {
                *circuit = Circuit::closed(&self.limits);
            }
            // From before it opened: the probe decides.
            Some(None) => {}
            Some(Some(error)) => {
                circuit.last_error = error;
                circuit.failures = circuit.failures.saturating_add(1);
                let opens = circuit.state == BreakerState::Closed
                    && circuit.failures >= self.limits.failures_max;
                if is_probe || opens {
                    self.open(&mut circuit);
                }
            }
        }
    }

    fn open(&self, circuit: &mut Circuit) {
        let until = self.clock.now() + circuit.open_next;
        tracing::warn!(provider = self.provider, %until, "a provider keeps failing: left alone");
        circuit.state = BreakerState::Open { until };
        circuit.opened_for = circuit.open_next;
        circuit.open_next = circuit.open_next.saturating_mul(2).min(self.limits.open_cap);
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way; one that is dropped before it ended tells nothing of the provider.
struct Attempt<'a> {
    breaker: &'a Breaker,
    is_probe: bool,
    /// Whether it ended, and the provider's failure if it was one.
    ended: Option<Option<String>>,
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.breaker.settle(self.is_probe, self.ended.take());
    }
}

fn tells_of_an_outage(error: &PortError) -> bool {
    error.blame == Blame::Provider
}

#[cfg(test)]
mod charges;
#[cfg(test)]
mod tests;
