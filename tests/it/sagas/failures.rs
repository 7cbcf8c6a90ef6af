//! Every call to the outside fails once, for a while or for good, and so does the store: runs end as they should.

use super::crash_store::{Harm, Mark, Moment};
use super::matrix::{Matrix, place_of};
use super::recording::{Recording, beginning};
use super::scenarios::{Outcome, Scenario, assert_sound, look};
use super::stage::{Stage, somebody};
use crate::support::counts::report_counts;
use ocim_adapters::faults::{Fault, Faults};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Cause, Phase, Run, Verb};
use std::collections::BTreeMap;

fn faults<'a>(stage: &'a Stage, fake: &str) -> &'a Faults {
    let all = stage.outside.faults();
    all.into_iter().find(|(name, _)| *name == fake).expect("a fake of that name").1
}

/// How often each operation of each fake was called.
fn count_calls(stage: &Stage) -> BTreeMap<(&'static str, String), u32> {
    let all = stage.outside.faults().into_iter();
    let calls = all.flat_map(|(fake, faults)| {
        faults.counts().into_iter().map(move |(name, count)| ((fake, name), count))
    });
    calls.collect()
}

/// Which calls of an operation are tried: those to servers that sites share are alike, and the first two and
/// the last two tell of all.
fn sample(fake: &str, first: u32, last: u32) -> Vec<u32> {
    let is_outer = |nth: &u32| *nth < first + 2 || *nth > last.saturating_sub(2);
    (first..=last).filter(|nth| fake != "servers" || is_outer(nth)).collect()
}

/// The facts may tell of lost sight, and of an undo that could not make again what the run had removed,
/// and wants it once more; the rest is as if nothing had happened.
fn without_lost_sight(outcome: Outcome) -> Outcome {
    let lost = ["server.sight_lost", "ledger.resource_unknown"];
    let mut facts: Vec<String> = vec![];
    for kind in outcome.facts.into_iter().filter(|kind| !lost.contains(&kind.as_str())) {
        let wanted = facts.last().is_some_and(|last| last == "ledger.resource_wanted");
        if wanted && kind == "ledger.resource_absent" {
            facts.pop();
        } else {
            facts.push(kind);
        }
    }
    Outcome { facts, ..outcome }
}

#[tokio::test(start_paused = true)]
async fn any_call_may_fail_or_lose_its_reply() {
    let mut matrix = Matrix::default();
    // The former launch makes the same calls in the same steps.
    let former = [Scenario::FormerLaunch, Scenario::FormerLaunchCancelled];
    for scenario in Scenario::ALL.into_iter().filter(|scenario| !former.contains(scenario)) {
        let recording = Recording::make(scenario, beginning).await;
        let stage = recording.cuts[0].snapshot.resume();
        let before = count_calls(&stage);
        stage.drive(recording.id).await;
        for ((fake, operation), last) in count_calls(&stage) {
            let first = before.get(&(fake, operation.clone())).copied().unwrap_or_default();
            for nth in sample(fake, first + 1, last) {
                for fault in [
                    Fault::Before(Class::Transient),
                    Fault::After(Class::Ambiguous),
                    Fault::Before(Class::Permanent),
                ] {
                    let call = Call { recording: &recording, fake, operation: &operation, nth };
                    let place = place_of(recording.definition, &operation);
                    let name = || format!("{fault:?} {call:?}");
                    matrix.cell(place, name, call.check(fault.clone())).await;
                }
            }
        }
    }
    matrix.finish("calls that fail once");
}

struct Call<'a> {
    recording: &'a Recording,
    fake: &'static str,
    operation: &'a str,
    nth: u32,
}

impl std::fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { recording, operation, nth, .. } = self;
        write!(f, "{:?}: call {nth} of {operation}", recording.scenario)
    }
}

impl Call<'_> {
    async fn check(&self, fault: Fault) {
        let stage = self.recording.cuts[0].snapshot.resume();
        let is_for_good = fault == Fault::Before(Class::Permanent);
        faults(&stage, self.fake).fail(self.operation, self.nth, fault);
        let run = stage.drive(self.recording.id).await;
        let outcome = without_lost_sight(look(&stage, self.recording.id, &run).await);
        if outcome != self.recording.outcome {
            assert!(is_for_good, "{self:?}: {outcome:#?}");
            self.assert_fails(&stage, run).await;
        }
    }

    /// The run says which call it was, and turns back, or goes on once a person has mended it.
    async fn assert_fails(&self, stage: &Stage, run: Run) {
        let id = self.recording.id;
        let (error, step) = match &run.phase {
            Phase::Unwound(Cause::StepFailed { step, error }) => (error, step),
            Phase::Stuck { step, why, .. } => (why, step),
            other => panic!("{self:?}: {other:?}"),
        };
        assert!(error.contains(self.operation), "{self:?}: {error}");
        if !run.phase.is_stuck() {
            return assert_sound(&look(stage, id, &run).await, &format!("{self:?}"));
        }
        let verb = Verb::RetryStep { step: step.clone() };
        stage.app().operate_run(&somebody(), id, verb, "mended".to_owned(), false).await.unwrap();
        let run = stage.drive(id).await;
        let outcome = without_lost_sight(look(stage, id, &run).await);
        assert_eq!(outcome, self.recording.outcome, "{self:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_append_and_any_read_may_meet_an_outage() {
    let scenarios = [
        Scenario::Launch,
        Scenario::LaunchMisconfigured,
        Scenario::ActivateFirst,
        Scenario::ProvisionCancelled,
    ];
    let mut cells = BTreeMap::new();
    for scenario in scenarios {
        let recording = Recording::make(scenario, beginning).await;
        let id = recording.id;
        for moment in [Some(Moment::Before), Some(Moment::After), None] {
            for nth in 0.. {
                let cell = format!("{scenario:?}: {moment:?} {nth}");
                let stage = recording.cuts[0].snapshot.resume();
                match moment {
                    Some(moment) => stage.store.order(Mark::Nth(nth), moment, Harm::Outage),
                    None => stage.store.fail_read(nth),
                }
                let run = stage.drive(id).await;
                if !stage.store.struck() {
                    break;
                }
                assert_eq!(look(&stage, id, &run).await, recording.outcome, "{cell}");
                *cells.entry(recording.definition.name.to_owned()).or_default() += 1;
            }
        }
    }
    report_counts("outages of the store", &cells);
}
