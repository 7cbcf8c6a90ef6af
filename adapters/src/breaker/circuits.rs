//! Providers that keep failing, and are left alone for a while. Told by [`super::Breakers`].

use ocim_domain::Timestamp;

/// A provider that nobody calls for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCircuit {
    /// Which, e.g. `region local`.
    pub provider: String,
    /// Failures in a row.
    pub failures: u32,
    /// Until then; none while a probe is under way.
    pub until: Option<Timestamp>,
}

/// Tells which providers are left alone.
pub trait Circuits: Send + Sync + std::fmt::Debug {
    /// Those that are now, by provider.
    fn open_circuits(&self) -> Vec<OpenCircuit>;
}
