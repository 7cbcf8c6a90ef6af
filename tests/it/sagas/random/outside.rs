//! The world that random processes change: a set of resources that bear keys, and what was wrong with calls.

use super::case::{Row, Turn};
use futures_util::future::BoxFuture;
use ocim::processes::step::{Costs, Found, Progress, StepContext, StepError};
use ocim_domain::ids::RunId;
use ocim_domain::saga::{ErrorClass, Phase, Plan, Run, Saga, Step};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// How long the other side asks to wait, long enough to be told from any other pause.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(90);
/// How late an effect may come.
pub(super) const LATE: Duration = Duration::from_secs(45);
/// An undo that fails for ever is tried for a day: not too often.
const UNDO_RETRY_AFTER: Duration = Duration::from_secs(2 * 3600);

/// The worlds of all runs under way: steps know no more than their run.
static WORLDS: Mutex<BTreeMap<RunId, Outside>> = Mutex::new(BTreeMap::new());
static RUNS: AtomicU64 = AtomicU64::new(1);

/// Something that exists; its key may be there twice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resource {
    pub(super) key: Uuid,
    /// Whose it is.
    pub(super) path: &'static str,
    is_late: bool,
}

/// The world of one run.
#[derive(Debug, Clone)]
pub(super) struct Outside {
    pub(super) plan: Plan,
    pub(super) rows: BTreeMap<&'static str, Row>,
    pub(super) live: Vec<Resource>,
    calls: BTreeMap<(&'static str, bool), usize>,
    /// Whether everything works from now on.
    pub(super) is_mended: bool,
    /// Which node has the lease, and which one is at work.
    pub(super) holder: u64,
    pub(super) acting: u64,
    /// What calls should not have done.
    pub(super) wrong: Vec<String>,
}

impl Outside {
    pub(super) fn count(&self, key: Uuid) -> usize {
        self.live.iter().filter(|known| known.key == key).count()
    }

    pub(super) fn remove(&mut self, key: Uuid) {
        self.live.retain(|known| known.key != key);
    }

    /// What the next call of a step or of its undo comes to.
    fn turn(&mut self, context: &StepContext, is_undo: bool) -> Turn {
        let path = context.step;
        if self.acting != self.holder {
            self.wrong.push(format!("`{path}` was called without the lease"));
        }
        let calls = self.calls.entry((path, is_undo)).or_default();
        let nth = *calls;
        *calls += 1;
        let row = &self.rows[path];
        if self.is_mended {
            return Turn::Works;
        }
        let (turns, last) = match is_undo {
            false => (&row.turns, row.last),
            true => {
                let fails = Turn::Fails(ErrorClass::Conflict);
                (&row.undo_turns, row.undo_fails_for_ever.then_some(fails))
            }
        };
        turns.get(nth).copied().or(last).unwrap_or(Turn::Works)
    }

    /// What comes of a probe instead of an answer, if the step's next turn is a failure.
    fn probe_turn(&mut self, context: &StepContext) -> Option<Turn> {
        let nth = self.calls.get(&(context.step, false)).copied().unwrap_or_default();
        let next = self.rows[context.step].turns.get(nth);
        let fails = matches!(next, Some(Turn::Fails(_) | Turn::IsFree | Turn::MeetsOutage));
        (fails && !self.is_mended).then(|| self.turn(context, false))
    }

    fn make(&mut self, key: Uuid, path: &'static str, is_late: bool) {
        if self.rows[path].probe || self.count(key) == 0 {
            self.live.push(Resource { key, path, is_late });
        }
    }

    /// Somebody does the work of a step, unless it is done.
    pub(super) fn make_by_hand(&mut self, key: Uuid, path: &str) {
        if self.count(key) == 0 {
            let (path, _) = self.rows.get_key_value(path).expect("a step of the process");
            self.live.push(Resource { key, path, is_late: false });
        }
    }

    /// Takes away what came when its step had been undone, or had made another one: a sweeper
    /// finds it by the key that the run's log knows. True if there was any.
    pub(super) fn sweep(&mut self, run: &Run) -> bool {
        let before = self.live.len();
        for late in self.live.clone().into_iter().filter(|known| known.is_late) {
            let is_gone =
                matches!(run.steps.get(late.path), None | Some(Step::Undone | Step::Skipped));
            let is_known = run.effort(late.path).key == Some(late.key);
            if is_known && self.count(late.key) > usize::from(!is_gone) {
                let is_it = |known: &Resource| known.key == late.key && known.is_late;
                let place = self.live.iter().position(is_it);
                place.map(|place| self.live.remove(place));
            }
        }
        self.live.len() < before
    }

    fn has_begun(&self, context: &StepContext) -> bool {
        self.live.iter().any(|known| known.path == context.step)
    }

    /// A step is called once its intent is recorded, and all before it are done.
    fn check_run(&mut self, path: &str, run: &Run) {
        if !matches!(run.steps.get(path), Some(Step::Intended { .. })) {
            let found = run.steps.get(path);
            self.wrong.push(format!("`{path}` was run while it was {found:?}"));
        }
        let is_finished =
            |other: &str| matches!(run.steps.get(other), Some(Step::Done { .. } | Step::Skipped));
        for earlier in self.before(path) {
            if !is_finished(&earlier) {
                self.wrong.push(format!("`{path}` was run before `{earlier}` was done"));
            }
        }
    }

    /// A step is undone once that is recorded, and all that came after it is dealt with.
    fn check_undo(&mut self, path: &str, run: &Run) {
        let step = run.steps.get(path);
        let is_meant = matches!(step, Some(Step::UndoIntended { .. }))
            && matches!(run.phase, Phase::Unwinding(_))
            && run.effort(path).key.is_some();
        if !is_meant {
            self.wrong.push(format!("`{path}` was undone while it was {step:?}, {:?}", run.phase));
        }
        for (later, step) in &run.steps {
            let is_settled = matches!(step, Step::Undone | Step::Kept | Step::Skipped);
            if !is_settled && self.before(later).iter().any(|earlier| earlier == path) {
                self.wrong
                    .push(format!("`{path}` was undone before `{later}`, which was {step:?}"));
            }
        }
    }

    /// All steps that must be done before this one begins.
    fn before(&self, path: &str) -> Vec<String> {
        let mut before = vec![];
        for block in &self.plan.blocks {
            for branch in block.branches() {
                if let Some(place) = branch.iter().position(|step| step.path == path) {
                    before.extend(branch[..place].iter().map(|step| step.path.clone()));
                    return before;
                }
            }
            before.extend(block.branches().flatten().map(|step| step.path.clone()));
        }
        before
    }
}

/// Opens a world for a new run.
pub(super) fn open(plan: Plan, rows: BTreeMap<&'static str, Row>) -> RunId {
    let run = RunId(Uuid::from_u128(u128::from(RUNS.fetch_add(1, Ordering::Relaxed))));
    let world = Outside {
        plan,
        rows,
        live: vec![],
        calls: BTreeMap::new(),
        is_mended: false,
        holder: 1,
        acting: 1,
        wrong: vec![],
    };
    worlds().insert(run, world);
    run
}

/// Closes the world of a run that is over.
pub(super) fn close(run: RunId) {
    worlds().remove(&run);
}

fn worlds() -> MutexGuard<'static, BTreeMap<RunId, Outside>> {
    WORLDS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn with<T>(run: RunId, act: impl FnOnce(&mut Outside) -> T) -> T {
    act(worlds().get_mut(&run).expect("an open world"))
}

async fn load(context: &StepContext) -> Run {
    let journal = context.world.app.journal();
    journal.load::<Saga>(&context.run.stream()).await.unwrap().state.unwrap()
}

/// Performs any step: what is to happen to the resource happens at once, the answer takes its time.
pub(super) fn run(context: StepContext) -> BoxFuture<'static, Result<Progress, StepError>> {
    Box::pin(async move {
        let state = load(&context).await;
        let (turn, takes) = with(context.run, |outside| {
            outside.check_run(context.step, &state);
            let turn = outside.turn(&context, false);
            let is_first = !outside.has_begun(&context);
            let turn = if matches!(turn, Turn::Skips) && !is_first { Turn::Works } else { turn };
            if matches!(turn, Turn::Works | Turn::LosesReply | Turn::Hangs { has_effect: true }) {
                outside.make(context.key, context.step, false);
            }
            (turn, outside.rows[context.step].takes)
        });
        if matches!(turn, Turn::ComesLate) {
            tokio::spawn(come_late(context.run, context.key, context.step));
        }
        answer(&context, turn, takes, RETRY_AFTER).await
    })
}

async fn come_late(run: RunId, key: Uuid, path: &'static str) {
    tokio::time::sleep(LATE).await;
    with(run, |outside| outside.make(key, path, true));
}

/// Looks whether the resource of the key is there; that may fail like any call.
pub(super) fn probe(context: StepContext) -> BoxFuture<'static, Result<Found, StepError>> {
    Box::pin(async move {
        let (turn, count) =
            with(context.run, |outside| (outside.probe_turn(&context), outside.count(context.key)));
        if let Some(turn) = turn {
            answer(&context, turn, 0, RETRY_AFTER).await?;
        }
        Ok(if count > 0 { Found::Done(json!(context.key)) } else { Found::Absent })
    })
}

/// Takes the resource of the key away, if it is there.
pub(super) fn undo(context: StepContext) -> BoxFuture<'static, Result<Progress, StepError>> {
    Box::pin(async move {
        let state = load(&context).await;
        let (turn, takes) = with(context.run, |outside| {
            outside.check_undo(context.step, &state);
            let turn = outside.turn(&context, true);
            if matches!(turn, Turn::Works | Turn::LosesReply | Turn::Hangs { has_effect: true }) {
                outside.remove(context.key);
            }
            (turn, outside.rows[context.step].takes)
        });
        answer(&context, turn, takes, UNDO_RETRY_AFTER).await
    })
}

async fn answer(
    context: &StepContext,
    turn: Turn,
    takes: u64,
    retry_after: Duration,
) -> Result<Progress, StepError> {
    tokio::time::sleep(Duration::from_secs(takes)).await;
    match turn {
        Turn::Works => Ok(Progress::Done(json!(context.key))),
        Turn::Fails(class @ (ErrorClass::RateLimited | ErrorClass::Conflict)) => {
            let retry_after = Some(retry_after);
            Err(StepError { retry_after, ..StepError::new(class, "as drawn") })
        }
        Turn::Fails(class) => Err(StepError::new(class, "as drawn")),
        Turn::LosesReply | Turn::ComesLate => {
            Err(StepError::new(ErrorClass::Ambiguous, "the reply was lost"))
        }
        Turn::Hangs { .. } => std::future::pending().await,
        Turn::NotYet => Ok(Progress::NotYet { again_in: Duration::from_secs(7) }),
        Turn::Until => {
            let due = context.world.app.journal().now() + Duration::from_secs(200);
            Ok(Progress::Until(due))
        }
        Turn::IsFree => {
            let costs = Costs::Nothing { again_in: Duration::from_secs(70) };
            Err(StepError { costs, ..StepError::transient("its circuit is open") })
        }
        Turn::MeetsOutage => {
            let costs = Costs::Outage;
            Err(StepError { costs, ..StepError::transient("the event store is away") })
        }
        Turn::Skips => Ok(Progress::Skipped("not needed".to_owned())),
    }
}
