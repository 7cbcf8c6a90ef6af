//! Runs that are stuck, at each undo and at each step past the pivot, and every verb that gets them out.

use super::crash_store::Moment;
use super::ends::{is_before_pivot, place, with_undo};
use super::former::definitions;
use super::matrix::{Matrix, place_of};
use super::recording::{Recording, Snapshot, beginnings, undo_beginnings};
use super::scenarios::{Outcome, Scenario, assert_sound, look};
use super::stage::{REGION, Stage, somebody};
use super::tamper::{self, Harm, ORDERED, Order, Side};
use ocim::processes::step::Definition;
use ocim::reconciler::RegionWatch;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorClass, LeftBehind, Phase, Run, StuckCode, Verb, step_key};
use std::collections::BTreeSet;
use std::time::Duration;

/// Fewer attempts in the day that an undo is tried.
const PAUSE: Duration = Duration::from_secs(5 * 3600);

/// A run that is stuck at a step, to be resolved in several ways.
struct Stuck<'a> {
    recording: &'a Recording,
    step: &'static str,
    snapshot: Snapshot,
}

impl<'a> Stuck<'a> {
    /// Drives the run into trouble at that step.
    async fn drive(recording: &'a Recording, step: &'static str, side: Side, harm: Harm) -> Self {
        let kind = if side == Side::Run { "saga.step_intended" } else { "saga.undo_intended" };
        let cut = recording.find(&[kind], step, Moment::Before).expect("the run comes there");
        let stage = cut.snapshot.resume_with(tamper::registry());
        let order = Order { step, side, harm, always: true, pause: Some(PAUSE) };
        tamper::order(recording.definition, order);
        let run = stage.drive(recording.id).await;
        assert_told(&stage, recording.id, &run, step, side).await;
        tamper::mend();
        Self { recording, step, snapshot: Snapshot::take(&stage.outside, stage.instance) }
    }

    /// Does what a person orders, after a dry run has told what comes of it; then the run goes on,
    /// as was told, and comes to rest.
    async fn resolve(&self, verb: Verb) -> (Stage, Run) {
        let (stage, id) = (self.snapshot.resume_with(tamper::registry()), self.recording.id);
        let operate = |dry_run| {
            let (verb, why) = (verb.clone(), "it is mended".to_owned());
            let app = stage.app().clone();
            async move { app.operate_run(&somebody(), id, verb, why, dry_run).await.unwrap().value }
        };
        let before = stage.history(id).await.len();
        let told = operate(true).await;
        assert_eq!(stage.history(id).await.len(), before, "a dry run writes nothing");
        assert_eq!(operate(false).await, told, "{verb:?}");
        let run = stage.drive(id).await;
        let history = stage.history(id).await.split_off(before);
        let done: Vec<_> = history.iter().filter_map(|(kind, step)| tell(kind, step)).collect();
        let described: Vec<_> =
            told.iter().filter_map(|sentence| describe_outcome(sentence)).collect();
        // It says what it would do if all goes well; forward again, something may not.
        let may_differ = verb == Verb::ResumeForward && run.phase != Phase::Completed;
        let went_well = done.iter().zip(&described).take_while(|(did, was)| did == was).count();
        assert!(
            done == described || (may_differ && went_well > 0),
            "{verb:?} at {}: told {told:#?}, did {history:#?}",
            self.step
        );
        (stage, run)
    }

    /// The run ends as if it had never been stuck.
    async fn assert_recovers(&self, verb: Verb) {
        let cell = format!("{verb:?}");
        let (stage, run) = self.resolve(verb).await;
        let outcome = look(&stage, self.recording.id, &run).await;
        assert_eq!(outcome, self.recording.outcome, "{cell}");
    }

    /// What it was to do is settled: no dry run promises more than the act does.
    async fn assert_stays(&self) {
        let (stage, id) = (self.snapshot.resume_with(tamper::registry()), self.recording.id);
        for dry_run in [true, false] {
            let (verb, why) = (Verb::ResumeForward, "go on".to_owned());
            let refused = stage.app().operate_run(&somebody(), id, verb, why, dry_run).await;
            let refused = ocim_domain::error_chain::chain(&refused.unwrap_err());
            assert!(refused.contains("start it anew"), "{refused}");
        }
    }

    /// It goes forward again, with the steps that are undone once more; where what it had settled
    /// for good does not allow that any more, it can be turned back.
    async fn assert_goes_forward(&self) {
        if self.recording.definition.settles_on_undo {
            return self.assert_stays().await;
        }
        let (stage, mut run) = self.resolve(Verb::ResumeForward).await;
        let id = self.recording.id;
        if run.phase.is_stuck() {
            let (verb, why) = (Verb::ForceUnwind, "it is settled".to_owned());
            stage.app().operate_run(&somebody(), id, verb, why, false).await.unwrap();
            run = stage.drive(id).await;
        }
        let outcome = look(&stage, id, &run).await;
        assert_sound(&Outcome { starts: vec![], ..outcome }, "forward again");
    }

    /// It ends at once, and tells exactly what was begun and is not undone.
    async fn assert_abandoned(&self) {
        let expected = self.left_behind().await;
        let (_, run) = self.resolve(Verb::Abandon).await;
        let Phase::Abandoned { left_behind, .. } = run.phase else { panic!("{run:?}") };
        let left: BTreeSet<_> =
            left_behind.iter().map(|left| (left.step.clone(), left.key)).collect();
        assert_eq!(left.len(), left_behind.len());
        assert_eq!(left, expected);
        for LeftBehind { step, output, .. } in left_behind {
            let given = run.outputs.get(&step).filter(|output| !output.is_null());
            assert_eq!(output.is_some(), given.is_some(), "{step}");
        }
    }

    /// The steps of the history that began, and were neither skipped nor undone.
    async fn left_behind(&self) -> BTreeSet<(String, Option<uuid::Uuid>)> {
        let stage = self.snapshot.resume();
        let mut left = BTreeSet::new();
        for (kind, step) in stage.history(self.recording.id).await {
            let key = step_key(self.recording.id, &step);
            match kind.as_str() {
                "saga.step_intended" => drop(left.insert((step, Some(key)))),
                "saga.step_skipped" | "saga.undo_done" => drop(left.remove(&(step, Some(key)))),
                _ => {}
            }
        }
        left
    }
}

/// It says that it is stuck, where, and why.
async fn assert_told(stage: &Stage, id: RunId, run: &Run, step: &str, side: Side) {
    let Phase::Stuck { step: named, why, code, cause } = &run.phase else { panic!("{run:#?}") };
    let expected = match side {
        Side::Run => StuckCode::StepFailed,
        Side::Undo => StuckCode::UndoFailed,
    };
    assert_eq!((named.as_str(), why.as_str(), *code), (step, ORDERED, expected));
    assert_eq!(cause.is_some(), side == Side::Undo);
    let told = stage.app().explain_run(&somebody(), id).await.unwrap();
    assert_eq!((told.code, told.steps), (Some(expected), vec![step.to_owned()]));
    assert!(told.sentence.contains(&format!("stuck at `{step}`: {ORDERED}")), "{}", told.sentence);
}

/// What a record of a run's log says that was done, and to which step.
fn tell(kind: &str, step: &str) -> Option<(&'static str, String)> {
    let what = match kind {
        "saga.step_intended" => "run",
        "saga.undo_intended" => "undo",
        "saga.undo_skipped" => "keep",
        "saga.completed" => "complete",
        "saga.unwound" => "end",
        _ => return None,
    };
    Some((what, step.to_owned()))
}

/// What a sentence of a dry run says that is done, and to which step.
fn describe_outcome(sentence: &str) -> Option<(&'static str, String)> {
    let beginnings = [
        ("run `", "run"),
        ("look whether `", "run"),
        ("undo `", "undo"),
        ("keep `", "keep"),
        ("complete", "complete"),
        ("end, with", "end"),
    ];
    let (beginning, what) = beginnings.into_iter().find(|(text, _)| sentence.starts_with(text))?;
    let step = if beginning.ends_with('`') { sentence.split('`').nth(1)? } else { "" };
    Some((what, step.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_fails_for_a_day_is_resolved_by_every_verb_that_fits() {
    let mut matrix = Matrix::default();
    for scenario in Scenario::BACK {
        let recording = Recording::make(scenario, undo_beginnings).await;
        for step in with_undo(recording.definition) {
            let name = || format!("{scenario:?}, {step}");
            let place = place_of(recording.definition, step);
            matrix.cell(place, name, resolve_undo(&recording, step)).await;
        }
    }
    let undos = definitions().into_iter().map(|definition| with_undo(definition).count());
    assert_eq!(matrix.finish("stuck undos, resolved in four ways"), undos.sum::<usize>());
}

async fn resolve_undo(recording: &Recording, step: &'static str) {
    let transient = ErrorClass::Transient;
    let stuck = Stuck::drive(recording, step, Side::Undo, Harm::Fail(transient)).await;
    stuck.assert_recovers(Verb::RetryStep { step: step.to_owned() }).await;
    stuck.assert_abandoned().await;
    stuck.assert_goes_forward().await;
    // Somebody has taken its effect away by hand.
    let stuck = Stuck::drive(recording, step, Side::Undo, Harm::Lose(transient)).await;
    stuck.assert_recovers(Verb::MarkUndone { step: step.to_owned() }).await;
}

#[tokio::test(start_paused = true)]
async fn a_step_past_the_pivot_that_fails_is_resolved_by_every_verb_that_fits() {
    let mut matrix = Matrix::default();
    for scenario in Scenario::FORWARD {
        let recording = Recording::make(scenario, beginnings).await;
        for step in recording.definition.steps.iter().map(|step| step.path) {
            if !is_before_pivot(recording.definition, step) {
                let name = || format!("{scenario:?}, {step}");
                let place = place_of(recording.definition, step);
                matrix.cell(place, name, resolve_step(&recording, step)).await;
            }
        }
    }
    let late = |it: &Definition| it.steps.len() - place(it, it.pivot().unwrap().path);
    let steps = definitions().into_iter().map(late);
    assert_eq!(matrix.finish("stuck steps, resolved in four ways"), steps.sum::<usize>());
}

/// The machine is gone by then, and who forces the run back keeps it from saying so.
fn is_gone_unrecorded(step: &str) -> bool {
    ["record_terminated", "settle_orphan"].contains(&step)
}

/// Another run says so, or the reconciler at its next looks.
async fn assert_recorded_anew(stage: &Stage, recording: &Recording) {
    let id = if recording.scenario == Scenario::DeleteOrphan {
        let mut watch = RegionWatch::new(stage.world.clone(), REGION);
        watch.look().await.unwrap();
        watch.look().await.unwrap();
        recording.id
    } else {
        stage.begin_termination(recording.run.subject.parse().unwrap()).await
    };
    let plain = Stage::resume(stage.outside.clone(), stage.instance);
    let run = plain.drive(id).await;
    let outcome = look(&plain, recording.id, &run).await;
    assert_sound(&outcome, "recorded anew");
}

async fn resolve_step(recording: &Recording, step: &'static str) {
    let permanent = ErrorClass::Permanent;
    let stuck = Stuck::drive(recording, step, Side::Run, Harm::Fail(permanent)).await;
    stuck.assert_recovers(Verb::RetryStep { step: step.to_owned() }).await;
    stuck.assert_abandoned().await;
    let (stage, run) = stuck.resolve(Verb::ForceUnwind).await;
    assert!(matches!(run.phase, Phase::Unwound(Cause::Cancelled { .. })), "{run:?}");
    let outcome = look(&stage, recording.id, &run).await;
    if is_gone_unrecorded(step) {
        assert_recorded_anew(&stage, recording).await;
    } else {
        assert_sound(&outcome, "forced back");
    }
    // Somebody has done its work by hand.
    let stuck = Stuck::drive(recording, step, Side::Run, Harm::Lose(permanent)).await;
    let output = recording.run.outputs.get(step).cloned().unwrap_or_default();
    stuck.assert_recovers(Verb::SkipStep { step: step.to_owned(), output }).await;
}
