//! The driver with processes of its own: branches, timers, fences, deadlines, undo that never ends.

use super::stage::{Stage, somebody};
use futures_util::future::BoxFuture;
use ocim::processes::step::{
    Costs, Definition, Driver, Kind, Progress, Registry, Step, StepContext, StepError, done, undone,
};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, ErrorCode, Phase, Run, StuckCode, Verb};
use ocim_engine::sagas::holds::Holds;
use ocim_engine::sagas::runner::{DriveError, Fence, Pace};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

type Outcome = BoxFuture<'static, Result<Progress, StepError>>;

/// What the steps of each run did, in order.
static DEEDS: Mutex<BTreeMap<RunId, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Notes a deed; tells how often this run had done the same before.
fn note(context: &StepContext, what: &str) -> usize {
    let deed = format!("{what} {}", context.step);
    let mut all = DEEDS.lock().unwrap();
    let deeds = all.entry(context.run).or_default();
    let before = deeds.iter().filter(|known| **known == deed).count();
    deeds.push(deed);
    before
}

fn deeds(run: RunId) -> Vec<String> {
    DEEDS.lock().unwrap().get(&run).cloned().unwrap_or_default()
}

fn quick(context: StepContext) -> Outcome {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        note(&context, "did");
        done(())
    })
}

fn slow(context: StepContext) -> Outcome {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(100)).await;
        note(&context, "did");
        done(())
    })
}

fn fail(context: StepContext) -> Outcome {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(20)).await;
        note(&context, "failed");
        Err(StepError::permanent(ErrorCode::StateForbids, "no"))
    })
}

fn undo(context: StepContext) -> Outcome {
    Box::pin(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        note(&context, "undid");
        undone("gone")
    })
}

/// The jitter of these tests is none: the other side asks to wait.
fn after(seconds: u64, message: &str) -> StepError {
    let retry_after = Some(Duration::from_secs(seconds));
    StepError { retry_after, ..StepError::transient(message) }
}

fn never_undone(context: StepContext) -> Outcome {
    Box::pin(async move {
        note(&context, "tried to undo");
        Err(after(300, "still in use"))
    })
}

/// Asks to be left alone for a day, once.
fn sleep_for_a_day(context: StepContext) -> Outcome {
    Box::pin(async move {
        if note(&context, "asked") == 0 {
            let day = Duration::from_secs(24 * 3600);
            return Ok(Progress::Until(context.world.app.journal().now() + day));
        }
        done(())
    })
}

/// Its circuit is open the first few times.
fn call_by_circuit(context: StepContext) -> Outcome {
    Box::pin(async move {
        if note(&context, "called") < 9 {
            let costs = Costs::Nothing { again_in: Duration::from_secs(45) };
            return Err(StepError { costs, ..StepError::transient("the circuit is open") });
        }
        done(())
    })
}

fn is_down(context: StepContext) -> Outcome {
    Box::pin(async move {
        note(&context, "called");
        Err(after(60, "it is down"))
    })
}

const fn step(path: &'static str, run: fn(StepContext) -> Outcome) -> Step {
    Step::new(path, run, Kind::Compensable(undo), 1, |_| Duration::from_secs(120))
}

const fn process(name: &'static str, steps: &'static [Step]) -> Definition {
    Definition {
        name,
        version: 1,
        steps,
        deadline: None,
        on_abandoned: None,
        settles_on_undo: false,
    }
}

static BESIDE: Definition = process(
    "beside",
    &[
        step("first", quick),
        step("both/short/one", quick),
        step("both/short/two", quick),
        step("both/long", slow),
        step("last", quick),
    ],
);
static FAILING: Definition = process(
    "failing",
    &[step("both/short/one", quick), step("both/short/two", fail), step("both/long", slow)],
);
static SLEEPING: Definition = process("sleeping", &[step("sleep", sleep_for_a_day)]);
static FREE: Definition = process("free", &[step("call", call_by_circuit)]);
static KEEPING: Definition = process(
    "keeping",
    &[Step { kind: Kind::Compensable(never_undone), ..step("make", quick) }, step("break", fail)],
);
static TURNING: Definition = process(
    "turning",
    &[step("make", quick), Step { kind: Kind::Pivot("no way back"), ..step("turn", quick) }],
);
static TIMED: Definition = process(
    "timed",
    &[Step {
        attempts_max: u32::MAX,
        max_elapsed: Some(|_| Duration::from_secs(3600)),
        ..step("call", is_down)
    }],
);

fn registry() -> Registry {
    let all = [&BESIDE, &FAILING, &SLEEPING, &FREE, &KEEPING, &TURNING, &TIMED];
    all.into_iter().map(|known| ((known.name.to_owned(), known.version), known)).collect()
}

async fn begin(stage: &Stage, name: &str) -> RunId {
    let run = RunId(Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()));
    let definition = name.split(' ').next().unwrap();
    stage.start_run(run, definition, json!({}), "thing".to_owned()).await;
    run
}

async fn open(stage: &Stage, id: RunId) -> Driver {
    Driver::open(Arc::clone(&stage.world), &registry(), id).await.unwrap()
}

/// Drives to rest; with a new driver for each single thing, if that is wanted.
async fn drive(stage: &Stage, id: RunId, by_many: bool) -> Run {
    let mut driver = open(stage, id).await;
    for _ in 0..5_000 {
        match driver.advance().await.unwrap() {
            Pace::Again => {}
            Pace::At(time) => stage.sleep_until(time).await,
            Pace::AtRest => return driver.run().clone(),
        }
        if by_many {
            driver = open(stage, id).await;
        }
    }
    panic!("the run is never at rest: {:?}", driver.run())
}

fn place(deeds: &[String], deed: &str) -> usize {
    deeds.iter().position(|known| known == deed).unwrap_or_else(|| panic!("{deed}: {deeds:?}"))
}

#[tokio::test(start_paused = true)]
async fn branches_run_beside_each_other_and_the_next_step_waits_for_both() {
    let stage = Stage::new().await;
    let id = begin(&stage, "beside").await;
    let before = stage.app().journal().now();
    assert_eq!(drive(&stage, id, false).await.phase, Phase::Completed);
    let took = stage.app().journal().now() - before;
    // One after the other it would be 140 s.
    assert_eq!(took.num_seconds(), 10 + 100 + 10);
    let order = ["first", "both/short/one", "both/short/two", "both/long", "last"];
    assert_eq!(deeds(id), order.map(|path| format!("did {path}")));
}

#[tokio::test(start_paused = true)]
async fn a_failure_lets_the_call_beside_it_end_and_then_all_is_undone() {
    let stage = Stage::new().await;
    let id = begin(&stage, "failing").await;
    let run = drive(&stage, id, false).await;
    let Phase::Unwound(Cause::StepFailed { step, .. }) = &run.phase else { panic!("{run:?}") };
    assert_eq!(step, "both/short/two");
    let deeds = deeds(id);
    let ended = place(&deeds, "did both/long");
    assert!(ended > place(&deeds, "failed both/short/two"));
    for path in ["both/long", "both/short/one", "both/short/two"] {
        assert!(place(&deeds, &format!("undid {path}")) > ended, "{deeds:?}");
    }
    let history = stage.history(id).await;
    let at = |kind: &str, step: &str| {
        history.iter().position(|it| *it == (kind.to_owned(), step.to_owned())).unwrap()
    };
    assert!(at("saga.step_done", "both/long") < at("saga.unwind_began", "both/short/two"));
}

#[tokio::test(start_paused = true)]
async fn branches_whose_driver_dies_all_the_time_still_come_to_their_end() {
    let stage = Stage::new().await;
    let id = begin(&stage, "beside again").await;
    assert_eq!(drive(&stage, id, true).await.phase, Phase::Completed);
    let id = begin(&stage, "failing again").await;
    assert!(matches!(drive(&stage, id, true).await.phase, Phase::Unwound(_)));
    let deeds = deeds(id);
    for path in ["both/long", "both/short/one", "both/short/two"] {
        place(&deeds, &format!("undid {path}"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_timer_outlives_its_driver_and_nothing_is_called_before_it_is_due() {
    for (name, by_many) in [("sleeping", false), ("sleeping again", true)] {
        let stage = Stage::new().await;
        let id = begin(&stage, name).await;
        let before = stage.app().journal().now();
        assert_eq!(drive(&stage, id, by_many).await.phase, Phase::Completed);
        assert!((stage.app().journal().now() - before).num_hours() >= 24);
        assert_eq!(deeds(id), ["asked sleep", "asked sleep"]);
        let kinds: Vec<_> = stage.history(id).await.into_iter().map(|(kind, _)| kind).collect();
        let order = ["step_intended", "timer_set", "timer_fired", "step_intended", "step_done"];
        assert_eq!(kinds[1..6], order.map(|kind| format!("saga.{kind}")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_made_costs_no_attempt() {
    let stage = Stage::new().await;
    let id = begin(&stage, "free").await;
    // Its one attempt has 120 s; the circuit is open for longer.
    assert_eq!(drive(&stage, id, false).await.phase, Phase::Completed);
    assert_eq!(deeds(id).len(), 10);
    assert!(stage.history(id).await.iter().all(|(kind, _)| kind != "saga.step_failed"));
}

#[tokio::test(start_paused = true)]
async fn the_attempts_of_a_step_have_no_more_time_than_it_is_given() {
    let stage = Stage::new().await;
    let id = begin(&stage, "timed").await;
    let before = stage.app().journal().now();
    assert!(matches!(drive(&stage, id, false).await.phase, Phase::Unwound(_)));
    let minutes = (stage.app().journal().now() - before).num_minutes();
    assert!((55..=61).contains(&minutes), "{minutes}");
    assert!(deeds(id).len() > 20);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_never_ends_is_tried_for_a_day_then_stuck_then_marked_as_undone() {
    let stage = Stage::new().await;
    let id = begin(&stage, "keeping").await;
    let before = stage.app().journal().now();
    let run = drive(&stage, id, false).await;
    let Phase::Stuck { step, code, .. } = &run.phase else { panic!("{run:?}") };
    assert_eq!((step.as_str(), *code), ("make", StuckCode::UndoFailed));
    let hours = (stage.app().journal().now() - before).num_hours();
    assert!((23..=24).contains(&hours), "{hours}");
    let reason = "removed by hand".to_owned();
    let verb = Verb::MarkUndone { step: "make".to_owned() };
    stage.app().operate_run(&somebody(), id, verb, reason, false).await.unwrap();
    assert!(matches!(drive(&stage, id, false).await.phase, Phase::Unwound(_)));
}

/// The lease is another's.
#[derive(Debug)]
struct Lost;

impl Fence for Lost {
    fn holds(&self, _: RunId) -> bool {
        false
    }
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_has_lost_its_lease_has_no_effect() {
    let stage = Stage::new().await;
    let id = begin(&stage, "beside fenced").await;
    let mut driver = open(&stage, id).await.with_fence(Arc::new(Lost));
    assert!(matches!(driver.advance().await, Err(DriveError::Fenced)));
    assert_eq!(deeds(id), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_driver_obeys_what_people_do_and_takes_it_for_no_rival() {
    let stage = Stage::new().await;
    let id = begin(&stage, "sleeping forced").await;
    let mut driver = open(&stage, id).await;
    driver.advance().await.unwrap();
    let (app, reason) = (stage.app(), "wrong".to_owned());
    app.operate_run(&somebody(), id, Verb::ForceUnwind, reason, false).await.unwrap();
    while driver.advance().await.unwrap() != Pace::AtRest {}
    assert!(matches!(driver.run().phase, Phase::Unwound(Cause::Cancelled { .. })));
    assert_eq!(deeds(id), ["asked sleep", "undid sleep"]);

    let id = begin(&stage, "sleeping abandoned").await;
    let mut driver = open(&stage, id).await;
    driver.advance().await.unwrap();
    let (app, reason) = (stage.app(), "enough".to_owned());
    app.operate_run(&somebody(), id, Verb::Abandon, reason, false).await.unwrap();
    assert_eq!(driver.advance().await.unwrap(), Pace::AtRest);
    assert!(matches!(driver.run().phase, Phase::Abandoned { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_that_comes_before_the_intent_of_the_pivot_is_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    let holds = Holds::new(Some(folder.path().to_owned()));
    let stage = Stage::build(|world| world.holds = holds).await;
    let id = begin(&stage, "turning").await;
    let point = folder.path().join("turning.turn.before_intent");
    std::fs::write(&point, "").unwrap();
    let reached = folder.path().join("turning.turn.before_intent.reached");
    let cancelled = async {
        while !reached.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stage.cancel(id).await;
        std::fs::remove_file(&point).unwrap();
    };
    let (run, ()) = tokio::join!(drive(&stage, id, false), cancelled);
    assert!(matches!(run.phase, Phase::Unwound(Cause::Cancelled { .. })), "{run:?}");
    assert_eq!(deeds(id), ["did make", "undid make"]);
}
