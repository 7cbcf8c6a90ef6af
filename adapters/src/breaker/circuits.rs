//! Providers that keep failing, and are left alone for a while. Told by [`super::Breakers`].

use ocim_domain::Timestamp;
use ocim_domain::ids::IncidentId;

/// A provider that nobody calls for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCircuit {
    /// Which, e.g. `region local`.
    pub provider: String,
    /// Failures in a row.
    pub failures: u32,
    /// What the last of them said.
    pub error: String,
    /// Until then; none while a probe is under way.
    pub until: Option<Timestamp>,
}

/// A provider that is given no work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PausedProvider {
    /// Which, e.g. `DNS`.
    pub provider: String,
    /// The incident that has paused it.
    pub incident: IncidentId,
    /// Why.
    pub reason: String,
}

/// Tells which providers are left alone.
pub trait Circuits: Send + Sync + std::fmt::Debug {
    /// Those that are now, by provider.
    fn open_circuits(&self) -> Vec<OpenCircuit>;

    /// These providers, and no others, are given no work from now on.
    fn set_paused(&self, paused: Vec<PausedProvider>);
}
