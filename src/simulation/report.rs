//! What a simulation saw: how runs ended, what went wrong, and the digest of its history.

use super::invariants::{Violation, load_runs};
use super::people::People;
use super::stage::Stage;
use super::{Plan, SimulationError, Watch};
use ocim_adapters::simulated::FaultKind;
use ocim_domain::saga::{Cause, Phase};
use serde::Serialize;
use std::collections::BTreeMap;

/// The outcome of one seed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How many runs there were.
    pub runs: usize,
    /// How they ended: `completed`, `unwound`, `cancelled`, `stuck` or `open`.
    pub outcomes: BTreeMap<&'static str, u32>,
    /// Wishes that were refused by the rules.
    pub refused: u32,
    /// Which faults were met, and how often.
    pub faults: BTreeMap<FaultKind, u64>,
    /// How often Ocim died.
    pub crashes: u64,
    /// Machines that exist at the end.
    pub machines: usize,
    /// How many events were recorded.
    pub events: u64,
    /// Seconds of virtual time until the last run was at rest.
    pub virtual_s: i64,
    /// The hash of the last event, over all before it: the same for the same history.
    pub digest: String,
    /// What must not be.
    pub violations: Vec<Violation>,
}

pub(super) async fn compile(
    plan: &Plan,
    stage: &Stage,
    people: &People,
    watch: &Watch,
    violations: Vec<Violation>,
) -> Result<Report, SimulationError> {
    let mut outcomes = BTreeMap::new();
    let runs = load_runs(stage, watch).await?;
    for run in runs.values() {
        let outcome = match &run.phase {
            Phase::Completed => "completed",
            Phase::Unwound(Cause::Cancelled { .. }) => "cancelled",
            Phase::Unwound(_) => "unwound",
            Phase::Stuck { .. } => "stuck",
            _ => "open",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    let (_, hash) = stage.store.head_hash();
    let began_at = ocim_domain::Timestamp::UNIX_EPOCH + chrono::TimeDelta::seconds(1_700_000_000);
    Ok(Report {
        seed: plan.seed,
        runs: watch.all.len(),
        outcomes,
        refused: people.refused,
        faults: stage.region.faults(),
        crashes: stage.crashes.count(),
        machines: stage.region.existing_keys().len(),
        events: stage.store.count_events(),
        virtual_s: watch.rested_at.map_or(0, |at| (at - began_at).num_seconds()),
        digest: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        violations,
    })
}
