//! Clocks that are set while runs go on: a pause is what was asked for, and nothing ends too early.

use super::outside::Outside;
use super::stage::{REGION, Stage, index, somebody};
use chrono::TimeDelta;
use futures_util::future::BoxFuture;
use ocim::processes::step::{
    Definition, Driver, Kind, Progress, Step, StepContext, StepError, done,
};
use ocim::processes::world::Limits;
use ocim::simulation::stage::VirtualClock;
use ocim_adapters::faults::Fault;
use ocim_adapters::system::FixedClock;
use ocim_domain::Timestamp;
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::port_error::Class;
use ocim_domain::run_record::ProvisionLoadBalancer;
use ocim_domain::saga::{ErrorCode, Phase};
use ocim_domain::system::Clock;
use ocim_engine::leases::memory::MemoryLeases;
use ocim_engine::sagas::node_leases::{NodeLeases, Take};
use ocim_engine::sagas::runner::Pace;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
/// How often each step of this file asks for a pause before it is done.
const PAUSES: usize = 5;

/// A clock that goes on, and can be set.
#[derive(Debug)]
struct SettableClock {
    clock: VirtualClock,
    shift: Mutex<TimeDelta>,
}

impl Clock for SettableClock {
    fn now(&self) -> Timestamp {
        self.clock.now() + *self.shift.lock().unwrap()
    }
}

/// How often each run's step was called.
static CALLS: Mutex<BTreeMap<RunId, usize>> = Mutex::new(BTreeMap::new());

/// Counts a call; tells whether the step has had all its pauses.
fn is_last_call(context: &StepContext) -> bool {
    let mut calls = CALLS.lock().unwrap();
    let calls = calls.entry(context.run).or_default();
    *calls += 1;
    *calls > PAUSES
}

type Outcome = BoxFuture<'static, Result<Progress, StepError>>;

/// Asks to be asked again.
fn poll(context: StepContext) -> Outcome {
    Box::pin(async move {
        if is_last_call(&context) {
            return done(());
        }
        Ok(Progress::NotYet { again_in: 10 * SECOND })
    })
}

/// Fails, and the other side asks to wait.
fn fail(context: StepContext) -> Outcome {
    Box::pin(async move {
        if is_last_call(&context) {
            return done(());
        }
        let retry_after = Some(10 * SECOND);
        Err(StepError { retry_after, ..StepError::transient("no answer") })
    })
}

/// Waits for a time that is recorded.
fn set_timer(context: StepContext) -> Outcome {
    Box::pin(async move {
        if is_last_call(&context) {
            return done(());
        }
        Ok(Progress::Until(context.time.now() + 10 * SECOND))
    })
}

/// Works for as long as all pauses of the others take together.
fn work(context: StepContext) -> Outcome {
    Box::pin(async move {
        assert!(!is_last_call(&context));
        tokio::time::sleep(50 * SECOND).await;
        done(())
    })
}

const fn row(run: fn(StepContext) -> Outcome) -> Step {
    let attempts_max = 6;
    Step::new("pause", run, Kind::NoUndo("nothing is made"), attempts_max, |_| {
        Duration::from_secs(120)
    })
}

const fn process(name: &'static str, steps: &'static [Step]) -> Definition {
    Definition {
        name,
        version: 1,
        steps,
        deadline: Some(|_| 3600 * SECOND),
        on_abandoned: None,
        settles_on_undo: false,
    }
}

static PROCESSES: [Definition; 4] = [
    process("poll", const { &[row(poll)] }),
    process("fail", const { &[row(fail)] }),
    process("set_timer", const { &[row(set_timer)] }),
    process("work", const { &[row(work)] }),
];

/// Drives a run to rest while the clock is set by so much, for so long; tells how long it took.
async fn drive(process: &'static Definition, shift: TimeDelta, lasts: Duration) -> Duration {
    let clock = Arc::new(SettableClock { clock: VirtualClock::start(), shift: Mutex::default() });
    let outside = Outside::with_clock(clock.clone());
    let mut stage = Stage::resume(outside, InstanceId(Uuid::nil()));
    stage.registry = index(&PROCESSES);
    let id = RunId(Uuid::from_u128(rand::random()));
    stage.start_run(id, process.name, json!({}), "thing".to_owned()).await;
    let set = tokio::spawn(async move {
        tokio::time::sleep(15 * SECOND).await;
        *clock.shift.lock().unwrap() = shift;
        tokio::time::sleep(lasts).await;
        *clock.shift.lock().unwrap() = TimeDelta::zero();
    });
    let began = Instant::now();
    let mut driver = Driver::open(Arc::clone(&stage.world), &stage.registry, id).await.unwrap();
    loop {
        match driver.advance().await.unwrap() {
            Pace::Again => {}
            Pace::At(time) => tokio::time::sleep(driver.until(time)).await,
            Pace::AtRest => break,
        }
    }
    set.abort();
    assert_eq!(driver.run().phase, Phase::Completed, "{}: {shift} for {lasts:?}", process.name);
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn however_the_clock_is_set_a_pause_is_what_was_asked_for() {
    let (long, moment) = (24 * 3600 * SECOND, 3 * SECOND);
    let jumps = [
        (TimeDelta::zero(), long),
        (TimeDelta::seconds(-100), moment),
        (TimeDelta::minutes(-30), long),
        (TimeDelta::hours(5), moment),
        (TimeDelta::hours(5), long),
    ];
    for process in &PROCESSES {
        for (shift, lasts) in jumps {
            let took = drive(process, shift, lasts).await;
            // The jitter of a retry may come on top of what the other side asks for.
            let allowed = 50 * SECOND..65 * SECOND;
            assert!(allowed.contains(&took), "{}: {took:?} at {shift}", process.name);
        }
    }
}

/// Undone by `fail`: the other side asks to wait.
static UNDO: Definition = process(
    "undo",
    const {
        &[
            Step { kind: Kind::Compensable(fail), ..row(|_| Box::pin(async { done(()) })) },
            Step {
                path: "break",
                attempts_max: 1,
                ..row(|_| Box::pin(async { Err(StepError::permanent(ErrorCode::Defect, "no")) }))
            },
        ]
    },
);

/// Drives a run to rest. In the middle of each pause it dies once, the clock is set by so much, and a
/// new driver waits for the rest, as after a restart; tells how long all of it took.
async fn drive_with_restarts(process: &'static Definition, shift: TimeDelta) -> Duration {
    let clock = Arc::new(SettableClock { clock: VirtualClock::start(), shift: Mutex::default() });
    let mut stage = Stage::resume(Outside::with_clock(clock.clone()), InstanceId(Uuid::nil()));
    stage.registry = [(("undo".to_owned(), 1), &UNDO)].into_iter().collect();
    stage.registry.extend(index(&PROCESSES));
    let id = RunId(Uuid::from_u128(rand::random()));
    stage.start_run(id, process.name, json!({}), "thing".to_owned()).await;
    let began = Instant::now();
    let mut died_after = None;
    loop {
        let mut driver = Driver::open(Arc::clone(&stage.world), &stage.registry, id).await.unwrap();
        loop {
            let pause = match driver.advance().await.unwrap() {
                Pace::Again => continue,
                Pace::At(time) => driver.until(time),
                Pace::AtRest => return began.elapsed(),
            };
            let calls = CALLS.lock().unwrap().get(&id).copied();
            if died_after == calls {
                tokio::time::sleep(pause).await;
                continue;
            }
            died_after = calls;
            tokio::time::sleep(pause / 2).await;
            *clock.shift.lock().unwrap() += shift;
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorded_pause_is_after_a_restart_no_longer_than_what_was_asked_for() {
    let recorded = PROCESSES.iter().filter(|it| ["fail", "set_timer"].contains(&it.name));
    for process in recorded.chain([&UNDO]) {
        for shift in [TimeDelta::zero(), TimeDelta::minutes(-30), TimeDelta::days(-3)] {
            let took = drive_with_restarts(process, shift).await;
            // The half that was waited for may be waited for again.
            assert!(took <= 100 * SECOND, "{}: {took:?} at {shift}", process.name);
        }
    }
}

/// Its one step never ends by itself.
static HANG: Definition = process(
    "hang",
    const { &[Step { attempts_max: 1, ..row(|_| Box::pin(std::future::pending())) }] },
);

#[tokio::test(start_paused = true)]
async fn an_attempt_has_after_a_restart_no_more_time_than_was_asked_for() {
    for shift in [TimeDelta::zero(), TimeDelta::minutes(-30), TimeDelta::days(-3)] {
        let clock =
            Arc::new(SettableClock { clock: VirtualClock::start(), shift: Mutex::default() });
        let mut stage = Stage::resume(Outside::with_clock(clock.clone()), InstanceId(Uuid::nil()));
        stage.registry = [(("hang".to_owned(), 1), &HANG)].into_iter().collect();
        let id = RunId(Uuid::from_u128(rand::random()));
        stage.start_run(id, HANG.name, json!({}), "thing".to_owned()).await;
        let open = || Driver::open(Arc::clone(&stage.world), &stage.registry, id);
        // The step has begun, and the driver dies in the middle of its 120 seconds.
        let mut dies = open().await.unwrap();
        assert!(tokio::time::timeout(60 * SECOND, dies.advance()).await.is_err());
        *clock.shift.lock().unwrap() = shift;
        let (began, mut driver) = (Instant::now(), open().await.unwrap());
        while driver.advance().await.unwrap() != Pace::AtRest {}
        assert!(matches!(driver.run().phase, Phase::Unwound(_)), "{:?}", driver.run().phase);
        // What it has had of its time it may have again.
        assert!(began.elapsed() <= 121 * SECOND, "{:?} at {shift}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_explains_a_run_tells_what_is_really_left_of_a_pause() {
    for (shift, is_driven) in [
        (TimeDelta::zero(), true),
        (TimeDelta::minutes(-30), true),
        (TimeDelta::hours(5), true),
        (TimeDelta::minutes(-30), false),
    ] {
        let clock =
            Arc::new(SettableClock { clock: VirtualClock::start(), shift: Mutex::default() });
        let stage = Stage::resume(Outside::with_clock(clock.clone()), InstanceId(Uuid::nil()));
        // The other side asks to wait for a minute.
        let asked = Fault::Before(Class::RateLimited(60 * SECOND));
        stage.cloud.faults.fail_always("create_machine", asked);
        let id = RunId(Uuid::from_u128(rand::random()));
        let input = json!(ProvisionLoadBalancer {
            region: REGION.to_owned(),
            domain: "balancer.example.com".to_owned(),
            fragment_name_postfix: "7".to_owned(),
            flavor: json!({}),
            image: json!({}),
            also_listens: None,
        });
        stage.start_run(id, "provision_load_balancer", input, "balancer".to_owned()).await;
        let opened = Driver::open(Arc::clone(&stage.world), &stage.registry, id).await;
        let mut driver = opened.unwrap();
        let until = loop {
            match driver.advance().await.unwrap() {
                Pace::Again => {}
                Pace::At(time) => break time,
                Pace::AtRest => panic!("{:?}", driver.run()),
            }
        };
        let whole = driver.until(until);
        stage.app().drives().note(id, is_driven.then(|| driver.time()));
        tokio::time::sleep(20 * SECOND).await;
        *clock.shift.lock().unwrap() = shift;
        let told = stage.app().explain_run(&somebody(), id).await.unwrap();
        let left = (told.until.expect(&told.sentence) - clock.now()).to_std().unwrap();
        // Whoever takes it up anew waits for all of it at the most.
        let expected = if is_driven { driver.until(until) } else { whole };
        assert!(left.abs_diff(expected) < SECOND, "{left:?}, not {expected:?}: {}", told.sentence);
        assert!(expected >= 40 * SECOND, "{expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_never_waits_longer_for_a_lease_than_leases_last() {
    let clock = Arc::new(FixedClock::new(Timestamp::UNIX_EPOCH + 7_200 * SECOND));
    let engine = Arc::new(MemoryLeases::new(clock.clone()));
    let limits = Limits::default();
    let node = |number| NodeLeases::new(engine.clone(), Uuid::from_u128(number), limits.runner());
    let run = RunId(Uuid::from_u128(7));
    assert!(matches!(node(1).take(run).await.unwrap(), Take::Taken { .. }));
    clock.set(Timestamp::UNIX_EPOCH);
    let Take::Held { ends_in } = node(2).take(run).await.unwrap() else { panic!("taken twice") };
    assert_eq!(ends_in, limits.lease_ttl);
    assert_eq!(node(2).held_for(run).await.unwrap(), Some(limits.lease_ttl));
}
