//! Processes whose steps do as a test orders at their boundary: fail, lose the reply, act twice, freeze.
//!
//! Every row of the registry is wrapped; what is ordered, and what was called, is kept for each
//! test's own thread. Fakes note beside each call which step it was made for.

use super::former::definitions;
use super::stage::index;
use futures_util::future::BoxFuture;
use ocim::processes::step::{
    Definition, Found, Kind, ProbeFn, Progress, Registry, RunFn, Step, StepContext, StepError,
};
use ocim_adapters::faults::MADE_FOR;
use ocim_domain::Timestamp;
use ocim_domain::saga::ErrorClass;
use std::cell::RefCell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::Notify;

/// How long the other side asks to wait when it limits the rate.
pub(crate) const RATE_PAUSE: Duration = Duration::from_secs(90);

/// What every error says that is ordered here: a tool's text that can't be stored.
const SAID: &str = "as\0ordered";
/// What is recorded of it.
pub(crate) const ORDERED: &str = "as\u{fffd}ordered";

/// Which of a step's functions is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Run,
    Undo,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Harm {
    /// It fails before it has any effect; with a timeout, it never comes back.
    Fail(ErrorClass),
    /// It has its effect, and then it fails.
    Lose(ErrorClass),
    /// It has its effect, and is made again, as if it had died before it could tell.
    Repeat,
    /// It stands still before its effect until it is polled again.
    FreezeBefore,
    /// It stands still after its effect until it is polled again.
    FreezeAfter,
}

/// What is to happen, to which step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Order {
    pub(crate) step: &'static str,
    pub(crate) side: Side,
    pub(crate) harm: Harm,
    /// Every time, or only once.
    pub(crate) always: bool,
    /// How long each failure asks to wait.
    pub(crate) pause: Option<Duration>,
}

/// A call that was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) step: &'static str,
    pub(crate) side: Side,
    pub(crate) at: Timestamp,
    /// It had its effect.
    pub(crate) ended: bool,
    /// What was ordered happened to it.
    pub(crate) struck: bool,
}

#[derive(Default)]
struct Script {
    definition: Option<&'static Definition>,
    order: Option<Order>,
    calls: Vec<Call>,
    frozen: Arc<Notify>,
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

fn script<T>(use_it: impl FnOnce(&mut Script) -> T) -> T {
    SCRIPT.with_borrow_mut(use_it)
}

/// Orders a harm for the run of that process which is driven next; what was called is forgotten.
pub(crate) fn order(definition: &'static Definition, order: Order) {
    let (definition, order) = (Some(definition), Some(order));
    script(|script| *script = Script { definition, order, ..Script::default() });
}

/// As [`order`], where nothing is to happen.
pub(crate) fn watch(definition: &'static Definition) {
    script(|script| *script = Script { definition: Some(definition), ..Script::default() });
}

/// Nothing more happens.
pub(crate) fn mend() {
    script(|script| script.order = None);
}

/// The calls since the order.
pub(crate) fn calls() -> Vec<Call> {
    script(|script| script.calls.clone())
}

/// How often calls of that function of a step had their effect.
pub(crate) fn count_ends(step: &str, side: Side) -> usize {
    calls().iter().filter(|call| call.step == step && call.side == side && call.ended).count()
}

/// How often what was ordered has happened.
pub(crate) fn count_strikes() -> usize {
    calls().iter().filter(|call| call.struck).count()
}

/// Returns once a call stands still.
pub(crate) async fn frozen() {
    let frozen = script(|script| script.frozen.clone());
    frozen.notified().await;
}

/// The registry with every row wrapped.
pub(crate) fn registry() -> Registry {
    static ALL: LazyLock<Vec<Definition>> =
        LazyLock::new(|| definitions().into_iter().map(wrap).collect());
    index(ALL.iter())
}

fn wrap(definition: &Definition) -> Definition {
    let steps: Vec<_> = definition.steps.iter().map(wrap_step).collect();
    Definition { steps: steps.leak(), ..*definition }
}

fn wrap_step(step: &Step) -> Step {
    let kind = match step.kind {
        Kind::Compensable(_) => Kind::Compensable(undo),
        Kind::CompensableUnlessFailedAfter(_, from, reason) => {
            Kind::CompensableUnlessFailedAfter(undo, from, reason)
        }
        other => other,
    };
    let probe = step.probe.map(|_| probe as ProbeFn);
    Step { run, probe, kind, ..*step }
}

fn run(context: StepContext) -> BoxFuture<'static, Result<Progress, StepError>> {
    let row = find_row(&context);
    Box::pin(call(Side::Run, row, row.run, context))
}

fn undo(context: StepContext) -> BoxFuture<'static, Result<Progress, StepError>> {
    let row = find_row(&context);
    let undo = row.kind.undo().expect("only a row with an undo is wrapped so");
    Box::pin(call(Side::Undo, row, undo, context))
}

fn probe(context: StepContext) -> BoxFuture<'static, Result<Found, StepError>> {
    let row = find_row(&context);
    let probe = row.probe.expect("only a row with a probe is wrapped so");
    Box::pin(MADE_FOR.scope(row.path, probe(context)))
}

fn find_row(context: &StepContext) -> &'static Step {
    let definition = script(|script| script.definition).expect("an order names the process");
    definition.step(context.step).expect("the run is one of that process")
}

async fn call(
    side: Side,
    row: &'static Step,
    original: RunFn,
    context: StepContext,
) -> Result<Progress, StepError> {
    let is_meant = |order: &Order| order.step == row.path && order.side == side;
    let order = script(|script| script.order).filter(is_meant);
    let at = context.world.app.journal().now();
    let note = |ended, struck| {
        script(|script| {
            script.calls.push(Call { step: row.path, side, at, ended, struck });
            if struck && !script.order.is_some_and(|order| order.always) {
                script.order = None;
            }
        });
    };
    match order.map(|order| order.harm) {
        Some(Harm::Fail(class)) => {
            note(false, true);
            return fail(class, order.and_then(|order| order.pause)).await;
        }
        Some(Harm::FreezeBefore) => {
            note(false, true);
            freeze().await;
        }
        _ => {}
    }
    let progress = MADE_FOR.scope(row.path, original(context.clone())).await?;
    if !matches!(progress, Progress::Done(_) | Progress::Skipped(_)) {
        note(false, false);
        return Ok(progress);
    }
    note(true, !matches!(order.map(|order| order.harm), None | Some(Harm::FreezeBefore)));
    match order.map(|order| order.harm) {
        Some(Harm::Lose(class)) => fail(class, order.and_then(|order| order.pause)).await,
        Some(Harm::Repeat) => repeat(side, row, original, context).await,
        Some(Harm::FreezeAfter) => {
            freeze().await;
            Ok(progress)
        }
        _ => Ok(progress),
    }
}

async fn fail(class: ErrorClass, pause: Option<Duration>) -> Result<Progress, StepError> {
    let retry_after = match class {
        ErrorClass::Timeout => return std::future::pending().await,
        ErrorClass::RateLimited => Some(pause.unwrap_or(RATE_PAUSE)),
        _ => pause,
    };
    Err(StepError { retry_after, ..StepError::new(class, SAID) })
}

async fn freeze() {
    script(|script| script.frozen.notify_one());
    tokio::task::yield_now().await;
}

/// What comes after a death between effect and result: a step with a probe is looked at, and must
/// be found; any other one is performed again.
async fn repeat(
    side: Side,
    row: &'static Step,
    original: RunFn,
    context: StepContext,
) -> Result<Progress, StepError> {
    match row.probe.filter(|_| side == Side::Run) {
        None => original(context).await,
        Some(probe) => match probe(context).await? {
            Found::Done(output) => Ok(Progress::Done(output)),
            Found::Unknown { again_in } => Ok(Progress::NotYet { again_in }),
            Found::Absent => panic!("the probe of `{}` does not find what it made", row.path),
        },
    }
}
