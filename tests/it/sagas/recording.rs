//! A scenario that nothing disturbs, with the world as it was beside each append: tests go on from there.

use super::crash_store::{Moment, Sight};
use super::outside::Outside;
use super::scenarios::{Outcome, Scenario, assert_sound, look};
use super::stage::Stage;
use ocim::processes::step::{Definition, Registry};
use ocim_domain::Timestamp;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::saga::Run;
use std::sync::{Arc, Mutex};

/// A world at rest, from which any number of others go on.
#[derive(Debug)]
pub(crate) struct Snapshot {
    outside: Outside,
    now: Timestamp,
    instance: InstanceId,
}

impl Snapshot {
    pub(crate) fn take(outside: &Outside, instance: InstanceId) -> Self {
        let now = outside.clock.now();
        Self { outside: outside.fork(now), now, instance }
    }

    /// A process that starts there, and knows only what the log tells.
    pub(crate) fn resume(&self) -> Stage {
        Stage::resume(self.outside.fork(self.now), self.instance)
    }

    /// As [`Snapshot::resume`], where runs are driven by these definitions.
    pub(crate) fn resume_with(&self, registry: Registry) -> Stage {
        Stage { registry, ..self.resume() }
    }
}

/// The world beside one append.
#[derive(Debug)]
pub(crate) struct Cut {
    /// On which side.
    pub(crate) moment: Moment,
    /// Which append since the scenario began, from 0.
    pub(crate) nth: usize,
    /// The kind of its first event, and the step that it is about, if it is of a run.
    pub(crate) kind: String,
    pub(crate) step: String,
    pub(crate) snapshot: Snapshot,
}

/// A scenario's undisturbed run.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) scenario: Scenario,
    pub(crate) definition: &'static Definition,
    pub(crate) id: RunId,
    /// What there was before the run had begun, or was cancelled.
    pub(crate) before: Outcome,
    /// What there was at its end.
    pub(crate) outcome: Outcome,
    pub(crate) run: Run,
    pub(crate) cuts: Vec<Cut>,
}

impl Recording {
    /// Drives the scenario to its end, and keeps the cuts that are wanted.
    pub(crate) async fn make(scenario: Scenario, wants: fn(&Sight<'_>) -> bool) -> Self {
        Self::make_on(Stage::new().await, scenario, wants).await
    }

    /// As [`Recording::make`], on a stage of one's own.
    pub(crate) async fn make_on(
        stage: Stage,
        scenario: Scenario,
        wants: fn(&Sight<'_>) -> bool,
    ) -> Self {
        let (stage, id) = scenario.prepare_on(stage).await;
        let before = look(&stage, id, &stage.run(id).await).await;
        let cuts = Arc::new(Mutex::new(vec![]));
        let (outside, instance, kept) = (stage.outside.clone(), stage.instance, cuts.clone());
        stage.store.watch(move |sight| {
            if wants(sight) {
                let snapshot = Snapshot::take(&outside, instance);
                let (kind, step) = (sight.kind().to_owned(), sight.step().to_owned());
                let (moment, nth) = (sight.moment, sight.nth);
                kept.lock().unwrap().push(Cut { moment, nth, kind, step, snapshot });
            }
        });
        let run = stage.drive(id).await;
        let outcome = look(&stage, id, &run).await;
        assert_sound(&outcome, &format!("{scenario:?}"));
        let cuts = std::mem::take(&mut *cuts.lock().unwrap());
        let definition = scenario.definition();
        Self { scenario, definition, id, before, outcome, run, cuts }
    }

    /// The first cut on that side of an event of one of these kinds about that step.
    pub(crate) fn find(&self, kinds: &[&str], step: &str, moment: Moment) -> Option<&Cut> {
        self.cuts.iter().find(|cut| {
            cut.moment == moment && cut.step == step && kinds.contains(&cut.kind.as_str())
        })
    }

    /// The world right before a step began.
    pub(crate) fn before_step(&self, step: &str) -> &Snapshot {
        let cut = self.find(&["saga.step_intended"], step, Moment::Before);
        &cut.unwrap_or_else(|| panic!("{:?} does not come to {step}", self.scenario)).snapshot
    }
}

/// Wants the beginning alone.
pub(crate) fn beginning(sight: &Sight<'_>) -> bool {
    sight.moment == Moment::Before && sight.nth == 0
}

/// Wants the moments right before a step begins.
pub(crate) fn beginnings(sight: &Sight<'_>) -> bool {
    sight.moment == Moment::Before && sight.kind() == "saga.step_intended"
}

/// Wants the moments right before an undo begins.
pub(crate) fn undo_beginnings(sight: &Sight<'_>) -> bool {
    sight.moment == Moment::Before && sight.kind() == "saga.undo_intended"
}
