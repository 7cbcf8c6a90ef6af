//! How the histories come about: every scenario, and more trouble than scenarios have.

use super::super::former::definitions;
use super::super::nodes::crash_and_restart;
use super::super::outages::guarded_stage;
use super::super::runner::await_ends;
use super::super::scenarios::Scenario;
use super::super::stage::{Stage, somebody};
use ocim::app::LaunchAsk;
use ocim::processes::started_by;
use ocim::processes::step::Definition;
use ocim::processes::world::Limits;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Run, Saga, Step, Verb};
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::runner::Runner;
use serde_json::json;
use std::path::Path;
use std::time::Duration;

/// What a run is played through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Situation {
    Undisturbed(Scenario),
    /// Cancelled past its point of no return.
    CancelledLate,
    /// Forced back past its point of no return.
    ForcedBack,
    /// Turned back by a cancel, and forward again.
    Resumed,
    /// The last step before a failure keeps the machine.
    NotConfigured,
    /// Calls fail, and replies are lost.
    Retried,
    /// The cloud's circuit is open for longer than an attempt may take.
    Postponed,
    /// Node after node dies of it; somebody has it tried once more.
    CrashLoop,
    /// Out of time.
    OutOfTime,
    /// No node knows its process for a while.
    Unknown,
    /// An undo fails for a day; then it is marked as done.
    MarkedUndone,
    Abandoned,
    /// A step past the point of no return fails for good, and is skipped.
    Skipped,
}

/// Those of every definition.
const COMMON: [Situation; 3] =
    [Situation::CancelledLate, Situation::ForcedBack, Situation::Resumed];

/// Those of a launch: the others have nothing that it has not.
const OF_LAUNCHES: [Situation; 8] = [
    Situation::NotConfigured,
    Situation::Retried,
    Situation::Postponed,
    Situation::CrashLoop,
    Situation::OutOfTime,
    Situation::Unknown,
    Situation::MarkedUndone,
    Situation::Abandoned,
];

impl Situation {
    /// Those of a definition. What other trouble there is, is recorded while it is the newest.
    pub(super) fn all_of(definition: &Definition) -> Vec<Self> {
        let scenarios = scenarios_of(definition);
        let newest = newest_of(definition);
        let more: &[Self] = match definition.name {
            "launch_appserver" if newest == Some(definition.version) => &OF_LAUNCHES,
            "launch_appserver" => &[Self::NotConfigured],
            "terminate_appserver" => &[Self::Skipped],
            _ => &[],
        };
        scenarios.map(Self::Undisturbed).chain(COMMON).chain(more.iter().copied()).collect()
    }

    /// In small letters, for a file.
    pub(super) fn name(self) -> String {
        let text = match self {
            Self::Undisturbed(scenario) => format!("{scenario:?}"),
            other => format!("{other:?}"),
        };
        let mut name = String::new();
        for letter in text.chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Plays it with a run of this definition, until that is at rest.
    pub(super) async fn play(self, definition: &'static Definition) -> (Stage, RunId) {
        let held = tempfile::tempdir().unwrap();
        let holds = Holds::new(Some(held.path().to_owned()));
        let mut stage = match self {
            Self::Postponed => guarded_stage().await.0,
            Self::CrashLoop => Stage::build(|world| world.holds = holds).await,
            _ => Stage::new().await,
        };
        stage.registry.retain(|(name, version), _| {
            name.as_str() != definition.name || *version <= definition.version
        });
        match self {
            Self::CrashLoop => return play_crash_loop(stage, held.path()).await,
            Self::Unknown => return play_unknown(stage).await,
            Self::OutOfTime => return play_out_of_time(stage, definition).await,
            _ => {}
        }
        let mut scenarios = scenarios_of(definition);
        let scenario = match self {
            Self::Undisturbed(scenario) => Some(scenario),
            Self::Resumed => scenarios.find(|it| format!("{it:?}").ends_with("Cancelled")),
            _ => scenarios.next(),
        };
        let (stage, run) = scenario.unwrap().prepare_on(stage).await;
        let pivot = definition.pivot().unwrap().path;
        self.disturb(&stage, run, pivot).await;
        stage.drive(run).await;
        (stage, run)
    }

    async fn disturb(self, stage: &Stage, run: RunId, pivot: &str) {
        let begins_pivot = |run: &Run| run.steps.contains_key(pivot);
        let faults = &stage.cloud.faults;
        match self {
            Self::CancelledLate => {
                stage.drive_until(run, begins_pivot).await;
                stage.record_cancel(run).await;
            }
            Self::ForcedBack => {
                stage.drive_until(run, begins_pivot).await;
                operate(stage, run, Verb::ForceUnwind).await;
            }
            Self::Resumed => {
                let settles = definitions()
                    .into_iter()
                    .any(|it| it.settles_on_undo && it.pivot().is_some_and(|it| it.path == pivot));
                // Where its first undo settles it, it is resumed before that.
                let has_gone_back = |run: &Run| {
                    let undone =
                        run.steps.values().any(|step| matches!(step, Step::Undone | Step::Kept));
                    undone || (settles && matches!(run.phase, Phase::Unwinding(_)))
                };
                stage.drive_until(run, has_gone_back).await;
                operate(stage, run, Verb::ResumeForward).await;
            }
            Self::NotConfigured => {
                let step = |run: &Run, path: &str| run.steps.get(path).cloned();
                let is_up = |run: &Run| matches!(step(run, "await_ssh"), Some(Step::Done { .. }));
                stage.drive_until(run, is_up).await;
                stage.store.refuse_facts(true);
                let fails =
                    |run: &Run| run.steps.values().any(|it| matches!(it, Step::Failed { .. }));
                stage.drive_until(run, fails).await;
                stage.store.refuse_facts(false);
            }
            Self::Retried => {
                faults.fail("create_machine", 1, Fault::After(Class::Ambiguous));
                faults.fail("ensure_security_groups", 1, Fault::Before(Class::Transient));
                let wait = Class::RateLimited(Duration::from_secs(90));
                faults.fail("ensure_security_groups", 2, Fault::Before(wait));
            }
            Self::Postponed => {
                faults.fail_always("ensure_security_groups", Fault::Before(Class::Transient));
                let waits =
                    |run: &Run| run.steps.values().any(|it| matches!(it, Step::TimerSet { .. }));
                stage.drive_until(run, waits).await;
                faults.clear();
            }
            Self::MarkedUndone => {
                stage.cloud.set_boot_fault(Some("No valid host was found."));
                let hourly = Class::RateLimited(Duration::from_secs(3600));
                faults.fail_always("delete_machine", Fault::Before(hourly));
                assert!(stage.drive(run).await.phase.is_stuck());
                operate(stage, run, Verb::MarkUndone { step: "create_server".to_owned() }).await;
            }
            Self::Abandoned => {
                stage.drive_until(run, |run| run.steps.contains_key("await_server")).await;
                operate(stage, run, Verb::Abandon).await;
            }
            Self::Skipped => {
                faults.fail_always("read_machine", Fault::Before(Class::Permanent));
                assert!(stage.drive(run).await.phase.is_stuck());
                let (step, output) = ("delete_server".to_owned(), json!(null));
                operate(stage, run, Verb::SkipStep { step, output }).await;
            }
            _ => {}
        }
    }
}

/// A launch at whose machine node after node dies, before the result is recorded.
async fn play_crash_loop(stage: Stage, held: &Path) -> (Stage, RunId) {
    let run = stage.begin_launch(LaunchAsk::default()).await.run;
    let point = held.join("launch_appserver.create_server.after_effect");
    std::fs::write(&point, "").unwrap();
    crash_and_restart(&stage, 7).await;
    std::fs::remove_file(&point).unwrap();
    operate(&stage, run, Verb::RetryStep { step: "create_server".to_owned() }).await;
    finish_with_runner(stage, run).await
}

/// A launch that no node knows, until one does.
async fn play_unknown(stage: Stage) -> (Stage, RunId) {
    let run = stage.begin_launch(LaunchAsk::default()).await.run;
    let mut others = definitions();
    others.retain(|known| known.name != "launch_appserver");
    let runner = Runner::start(stage.world.clone(), &others, stage.node(2));
    await_ends(&stage, 1).await;
    runner.stop().await;
    operate(&stage, run, Verb::ResumeForward).await;
    finish_with_runner(stage, run).await
}

async fn finish_with_runner(stage: Stage, run: RunId) -> (Stage, RunId) {
    let runner = stage.start_runner();
    while !is_over(&stage, run).await {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    runner.stop().await;
    (stage, run)
}

/// The newest version of a definition's process.
fn newest_of(definition: &Definition) -> Option<u16> {
    let versions = definitions().into_iter().filter(|known| known.name == definition.name);
    versions.map(|known| known.version).max()
}

/// What the newest version of a process is played in; former ones are played in the same.
fn scenarios_of(definition: &Definition) -> impl Iterator<Item = Scenario> {
    let (name, newest) = (definition.name, newest_of(definition));
    Scenario::ALL.into_iter().filter(move |scenario| {
        let played = scenario.definition();
        played.name == name && Some(played.version) == newest
    })
}

/// A launch whose machine is never built.
async fn play_out_of_time(stage: Stage, definition: &Definition) -> (Stage, RunId) {
    stage.cloud.set_boot_reads(u32::MAX);
    let app = stage.app();
    let ask = LaunchAsk::default();
    let asked = app.launch_appserver(&somebody(), stage.instance, ask).await.unwrap().value;
    let request = stage.events(&[]).await.iter().find_map(started_by).unwrap();
    let (minutes, none) = (Duration::from_secs(600), Duration::ZERO);
    let limits = Limits { turn_wait: none, launch_time: minutes, ..Limits::default() };
    let command = definition.start(request, app.journal().now(), &limits);
    let (stream, meta) = (asked.run.stream(), somebody().metadata());
    app.journal().execute::<Saga>(&stream, &meta, command).await.unwrap();
    stage.drive(asked.run).await;
    (stage, asked.run)
}

async fn is_over(stage: &Stage, run: RunId) -> bool {
    let phase = stage.run(run).await.phase;
    assert!(!matches!(phase, Phase::Stuck { .. }), "{phase:?}");
    phase.is_over()
}

async fn operate(stage: &Stage, run: RunId, verb: Verb) {
    let reason = "for the record".to_owned();
    stage.app().operate_run(&somebody(), run, verb, reason, false).await.unwrap();
}
