//! Every call to the outside fails once, in whatever way a provider can, and so does the store: runs end as they should.

use super::crash_store::{Harm, Mark, Moment};
use super::matrix::{Matrix, place_of};
use super::recording::{Recording, beginning};
use super::scenarios::{Outcome, Scenario, assert_sound, look};
use super::stage::{Stage, somebody};
use super::tamper;
use super::truth::assert_ledger_is_true;
use crate::support::counts::report_counts;
use ocim_adapters::faults::{Fault, Faults};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Cause, Phase, Run, Verb};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// All that a provider can do to a call, once. What hangs is what its adapter has not bounded: the step's own
/// time ends it.
const FAULTS: [Fault; 7] = [
    Fault::Before(Class::Transient),
    Fault::Before(Class::RateLimited(Duration::from_secs(90))),
    Fault::Before(Class::Conflict),
    Fault::Before(Class::Permanent),
    Fault::Before(Class::Ambiguous),
    Fault::After(Class::Ambiguous),
    Fault::Hang,
];

/// A call of a provider: which one of an operation, and the step that makes it.
#[derive(Clone, Copy)]
struct Call<'a> {
    recording: &'a Recording,
    provider: &'static str,
    operation: &'a str,
    nth: u32,
    step: &'static str,
}

fn faults<'a>(stage: &'a Stage, provider: &str) -> &'a Faults {
    let all = stage.outside.faults();
    all.into_iter().find(|(name, _)| *name == provider).expect("a provider of that name").1
}

/// For which step each call of each operation of each provider was made so far.
fn list_calls(stage: &Stage) -> BTreeMap<(&'static str, String), Vec<&'static str>> {
    let all = stage.outside.faults().into_iter();
    let calls = all.flat_map(|(provider, faults)| {
        let made = faults.made_for().into_iter();
        made.map(move |(operation, steps)| ((provider, operation), steps))
    });
    calls.collect()
}

/// Which of a step's calls of one operation are tried, each with its number among all: the first and the last
/// tell of those between.
fn sample(steps: &[&'static str], first: usize) -> Vec<(&'static str, u32)> {
    let mut sampled = vec![];
    let of_run = || steps.iter().enumerate().skip(first);
    for step in of_run().map(|(_, step)| *step).collect::<BTreeSet<_>>() {
        let numbers: Vec<_> = of_run().filter(|(_, it)| **it == step).map(|(n, _)| n).collect();
        let outer = numbers.first().into_iter().chain(numbers.last()).collect::<BTreeSet<_>>();
        sampled.extend(outer.into_iter().map(|n| (step, u32::try_from(n + 1).unwrap())));
    }
    sampled
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

/// A stage whose site has something at every provider that there is.
async fn stage_with_all() -> Stage {
    let stage = Stage::new().await;
    let swift = json!({
        "storage_type": "swift",
        "swift_openstack_auth_url": "https://swift.example.com:5000/v3",
        "swift_openstack_tenant": "sites",
        "swift_openstack_user": "university",
        "swift_openstack_password": "a password",
        "swift_openstack_region": "RegionOne",
    });
    let Value::Object(swift) = swift else { panic!() };
    stage.app().change_settings(&somebody(), stage.instance, swift, None).await.unwrap();
    stage
}

#[tokio::test(start_paused = true)]
async fn any_call_of_a_launch_may_fail_in_any_way() {
    check_all("calls of launches that fail once", |name| name == "launch_appserver").await;
}

#[tokio::test(start_paused = true)]
async fn any_call_of_what_ends_a_site_may_fail_in_any_way() {
    check_all("calls of ends that fail once", ends_a_site).await;
}

#[tokio::test(start_paused = true)]
async fn any_call_of_any_other_process_may_fail_in_any_way() {
    let others = |name: &str| name != "launch_appserver" && !ends_a_site(name);
    check_all("calls of others that fail once", others).await;
}

fn ends_a_site(process: &str) -> bool {
    ["archive_instance", "unarchive_instance", "delete_instance", "terminate_appserver"]
        .contains(&process)
}

/// Each way in which a call can fail × each provider × each step that calls it × each process.
async fn check_all(name: &str, wanted: fn(&str) -> bool) {
    let mut matrix = Matrix::default();
    // The former launch makes the same calls in the same steps.
    let former = [Scenario::FormerLaunch, Scenario::FormerLaunchCancelled];
    let scenarios = Scenario::ALL.into_iter().filter(|scenario| !former.contains(scenario));
    for scenario in scenarios.filter(|scenario| wanted(scenario.definition().name)) {
        let recording = Recording::make_on(stage_with_all().await, scenario, beginning).await;
        let stage = recording.cuts[0].snapshot.resume_with(tamper::registry());
        tamper::watch(recording.definition);
        let before = list_calls(&stage);
        stage.drive(recording.id).await;
        for ((provider, operation), steps) in list_calls(&stage) {
            let first = before.get(&(provider, operation.clone())).map_or(0, Vec::len);
            for (step, nth) in sample(&steps, first) {
                let (recording, operation) = (&recording, operation.as_str());
                let call = Call { recording, provider, operation, nth, step };
                for fault in FAULTS {
                    let place = format!("{}, {provider}", place_of(recording.definition, step));
                    let name = || format!("{fault:?} {}", call.name());
                    matrix.cell(place, name, call.check(fault.clone())).await;
                }
            }
        }
    }
    matrix.finish(name);
}

impl Call<'_> {
    fn name(&self) -> String {
        let Self { recording, provider, operation, nth, step } = self;
        format!("{:?}, {step}: call {nth} of {operation} of {provider}", recording.scenario)
    }

    async fn check(&self, fault: Fault) {
        let (cell, id) = (format!("{fault:?} {}", self.name()), self.recording.id);
        let stage = self.recording.cuts[0].snapshot.resume();
        faults(&stage, self.provider).fail(self.operation, self.nth, fault.clone());
        let run = stage.drive(id).await;
        assert_ledger_is_true(&stage, &cell).await;
        let outcome = without_lost_sight(look(&stage, id, &run).await);
        if outcome == self.recording.outcome {
            return;
        }
        assert!(self.may_end_it(&fault), "{cell}: {outcome:#?}\n{:#?}", self.recording.outcome);
        self.assert_fails(&stage, run, &cell).await;
    }

    /// Whether one such failure may be the end of its step.
    fn may_end_it(&self, fault: &Fault) -> bool {
        let row = self.recording.definition.step(self.step);
        let has_one_attempt = row.is_some_and(|row| row.attempts_max == 1);
        *fault == Fault::Before(Class::Permanent) || (has_one_attempt && *fault == Fault::Hang)
    }

    /// The run says which call it was, and turns back, or goes on once a person has mended it.
    async fn assert_fails(&self, stage: &Stage, run: Run, cell: &str) {
        let id = self.recording.id;
        let (error, step) = match &run.phase {
            Phase::Unwound(Cause::StepFailed { step, error }) => (error, step),
            Phase::Stuck { step, why, .. } => (why, step),
            other => panic!("{cell}: {other:?}"),
        };
        assert!(error.contains(self.operation) || error == "its time was up", "{cell}: {error}");
        if !run.phase.is_stuck() {
            return assert_sound(&look(stage, id, &run).await, cell);
        }
        let verb = Verb::RetryStep { step: step.clone() };
        stage.app().operate_run(&somebody(), id, verb, "mended".to_owned(), false).await.unwrap();
        let run = stage.drive(id).await;
        assert_ledger_is_true(stage, cell).await;
        let outcome = without_lost_sight(look(stage, id, &run).await);
        assert_eq!(outcome, self.recording.outcome, "{cell}");
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
