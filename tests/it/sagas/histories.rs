//! Histories of every version of every definition are decided anew: what was recorded is what today's
//! tables would do, event by event.
//!
//! A run keeps its definition's version, and goes on under whatever program runs next: so the order
//! of a version's steps, their kinds and what is kept must never change. Numbers and reasons may. A
//! new version or a new situation: run this once with `BLESS=1`. An existing file is never rewritten.

mod altered;
mod record;

use super::former::definitions;
use chrono::{DateTime, Utc};
use ocim::processes::step::Definition;
use ocim::processes::world::Limits;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DomainEvent, Recorded};
use ocim_domain::saga::{Directive, Event, Plan, Run, Saga, Step, next};
use record::Situation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

/// One event of a history: a line of its file.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    at: DateTime<Utc>,
    actor: String,
    kind: String,
    schema: u16,
    data: Value,
}

impl Line {
    fn of(recorded: Recorded) -> Self {
        let Recorded { recorded_at: at, kind, schema, data, meta, .. } = recorded;
        Self { at, actor: meta.actor, kind, schema, data }
    }

    /// People and nodes do what they like; a run's own events follow from its plan.
    fn is_decided(&self) -> bool {
        self.actor.starts_with("saga:")
    }

    fn event(&self) -> Event {
        Event::decode(&self.kind, self.schema, &self.data).unwrap()
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/sagas/histories")
}

/// Every history by its name, `definition.v<version>.<situation>`.
fn load_histories() -> BTreeMap<String, Vec<Line>> {
    let paths = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let histories = paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
    let load = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(path).unwrap();
        let line = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        (name.clone(), text.lines().map(line).collect())
    };
    histories.map(load).collect()
}

fn file_name(definition: &Definition, situation: Situation) -> String {
    format!("{}.v{}.{}", definition.name, definition.version, situation.name())
}

#[expect(clippy::disallowed_methods, reason = "a switch for people who run the test by hand")]
fn is_blessing() -> bool {
    std::env::var("BLESS").is_ok_and(|value| value == "1")
}

#[tokio::test(start_paused = true)]
async fn every_version_has_a_history_of_every_situation() {
    let mut missing = vec![];
    for definition in definitions() {
        for situation in Situation::all_of(definition) {
            let name = file_name(definition, situation);
            let path = folder().join(format!("{name}.jsonl"));
            if path.exists() {
                continue;
            }
            if !is_blessing() {
                missing.push(name);
                continue;
            }
            let (stage, run) = situation.play(definition).await;
            let events = stage.app().journal().store().read_stream(&run.stream(), 0).await.unwrap();
            let line = |event| serde_json::to_string(&Line::of(event)).unwrap() + "\n";
            fs::write(path, events.into_iter().map(line).collect::<String>()).unwrap();
        }
    }
    assert!(missing.is_empty(), "not recorded yet, run with BLESS=1: {missing:#?}");
}

#[test]
fn every_recorded_history_is_what_its_definition_does_today() {
    let mut differences = vec![];
    for (name, lines) in load_histories() {
        let outcome = plan_of(&lines).and_then(|plan| decide_anew(&lines, &plan));
        differences.extend(outcome.err().map(|what| format!("{name}: {what}")));
    }
    assert!(differences.is_empty(), "\n{}\n", differences.join("\n"));
}

/// Folds a history, and asks at each boundary what the plan does next.
fn decide_anew(lines: &[Line], plan: &Plan) -> Result<(), String> {
    let mut run = Saga::evolve(None, &lines[0].event()).ok_or("it does not begin with a start")?;
    for (number, line) in (1..).zip(lines).skip(1) {
        let event = line.event();
        let directives = directives(plan, &run, line.at);
        if line.is_decided() && !directives.iter().any(|directive| admits(directive, &event)) {
            let (name, version) = (&run.definition, run.version);
            return Err(format!(
                "line {number} records {event:?}, but version {version} of `{name}` would now do \
                 {directives:?}: bump the version, or leave the steps of this one as they were"
            ));
        }
        run = Saga::evolve(Some(run), &event).ok_or("it ends in nothing")?;
    }
    let left = lines.last().map(|line| next(plan, &run, line.at)).unwrap_or_default();
    if left.is_empty() { Ok(()) } else { Err(format!("it is not at rest: {left:?} is left")) }
}

/// The plan of today for the version that a history was recorded with.
fn plan_of(lines: &[Line]) -> Result<Plan, String> {
    let (name, version) = version_of(lines);
    let mut all = definitions().into_iter();
    let known = all.find(|known| known.name == name && known.version == version);
    known.map(|definition| definition.plan(&Limits::default())).ok_or_else(|| {
        format!(
            "`{name}` version {version} has left the registry, and runs of it may be open: put it \
             back, or delete its histories once there are none"
        )
    })
}

fn version_of(lines: &[Line]) -> (String, u16) {
    let Event::Started { definition, version, .. } = lines[0].event() else {
        panic!("{:?} is no start", lines[0])
    };
    (definition, version)
}

/// What the plan says, and the calls whose ends come first where the whole run turns.
fn directives(plan: &Plan, run: &Run, now: DateTime<Utc>) -> Vec<Directive> {
    let mut all = next(plan, run, now);
    if all.iter().any(Directive::is_alone) {
        all.extend(run.steps.iter().filter_map(|(path, step)| under_way(path, step)));
    }
    all
}

fn under_way(path: &str, step: &Step) -> Option<Directive> {
    let path = path.to_owned();
    match *step {
        Step::Intended { attempt, deadline } => {
            Some(Directive::Resume { step: path, attempt, deadline })
        }
        Step::UndoIntended { attempt, deadline } => {
            Some(Directive::ResumeUndo { step: path, attempt, deadline })
        }
        _ => None,
    }
}

/// Whether a directive leads to this event, as the driver carries it out.
fn admits(directive: &Directive, event: &Event) -> bool {
    match (directive, event) {
        (
            Directive::Run { step, attempt, .. },
            Event::StepIntended { step: path, attempt: nth, .. },
        )
        | (
            Directive::Resume { step, attempt, .. },
            Event::StepFailed { step: path, attempt: nth, .. },
        )
        | (
            Directive::Undo { step, attempt },
            Event::UndoIntended { step: path, attempt: nth, .. },
        )
        | (
            Directive::ResumeUndo { step, attempt, .. },
            Event::UndoFailed { step: path, attempt: nth, .. },
        ) => (step, attempt) == (path, nth),
        (
            Directive::Resume { step, .. },
            Event::StepDone { step: path, .. }
            | Event::StepSkipped { step: path, .. }
            | Event::TimerSet { step: path, .. },
        )
        | (
            Directive::Resume { step, .. } | Directive::ResumeUndo { step, .. },
            Event::StepResumed { step: path } | Event::StepOutlived { step: path },
        )
        | (Directive::FireTimer { step }, Event::TimerFired { step: path })
        | (Directive::ResumeUndo { step, .. }, Event::UndoDone { step: path, .. })
        | (
            Directive::ResumeUndo { step, .. } | Directive::SkipUndo { step, .. },
            Event::UndoSkipped { step: path, .. },
        ) => step == path,
        (Directive::Unwind(cause), Event::UnwindBegan(why)) => cause == why,
        (
            Directive::DeclareStuck { step, code, .. },
            Event::Stuck { step: path, code: kind, .. },
        ) => (step, Some(*code)) == (path, *kind),
        (Directive::Complete, Event::Completed {})
        | (Directive::FinishUnwind, Event::Unwound {}) => true,
        _ => false,
    }
}

/// What the histories show: each step begun, and each that has an undo undone or kept.
#[test]
fn the_histories_show_every_step_and_every_way_back() {
    let mut seen = BTreeSet::new();
    let mut known = BTreeSet::new();
    for lines in load_histories().values() {
        let (definition, version) = version_of(lines);
        for line in lines {
            let step = line.data["step"].as_str().unwrap_or_default().to_owned();
            seen.insert((definition.clone(), version, line.kind.clone(), step));
        }
        known.insert((definition, version));
    }
    let registry = definitions().into_iter().map(|it| (it.name.to_owned(), it.version));
    assert_eq!(
        known,
        registry.collect(),
        "a version without a history (its scenarios stand in scenarios.rs), or one without a table"
    );
    for definition in definitions() {
        let shows = |kind: &str, step: &str| {
            let (name, kind) = (definition.name.to_owned(), format!("saga.{kind}"));
            seen.contains(&(name, definition.version, kind, step.to_owned()))
        };
        for step in definition.steps {
            let (name, version, path) = (definition.name, definition.version, step.path);
            assert!(shows("step_intended", path), "{name} {version}: {path} never begins");
            let goes_back = shows("undo_done", path) || shows("undo_skipped", path);
            assert!(
                goes_back || step.kind.undo().is_none(),
                "{name} {version}: {path} is never undone"
            );
        }
        assert!(shows("completed", "") && shows("unwound", ""), "{}", definition.name);
    }
    for kind in
        ["step_failed", "timer_fired", "lease_taken", "step_resumed", "stuck", "operator_acted"]
    {
        let kind = format!("saga.{kind}");
        assert!(seen.iter().any(|(_, _, shown, _)| *shown == kind), "no history has a {kind}");
    }
}
