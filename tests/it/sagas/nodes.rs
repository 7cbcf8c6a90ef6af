//! Several nodes on one store: they share the runs, survive each other, and never do a thing twice.

use super::former::definitions;
use super::runner::{LONG, await_ends};
use super::stage::{Stage, somebody};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use ocim::app::{LaunchAsk, Launched};
use ocim::processes::step::{
    Definition, Driver, Kind, Progress, RunFn, Step, StepContext, StepError, done,
};
use ocim_adapters::cloud::{Cloud, FloatingAddress, Machine, MachineSpec, Quota};
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::event::Position;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::PortError;
use ocim_domain::saga::{self, ErrorCode, Phase, Run, StuckCode, step_key};
use ocim_engine::leases::Leases;
use ocim_engine::sagas::node_leases::Take;
use ocim_engine::sagas::runner::{DriveError, Fence, Pace, Runner};
use ocim_engine::store::{Filter, SubscriptionEvent};
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

/// Waits until so many events of a kind were recorded since the log began.
async fn await_events(stage: &Stage, kind: &str, count: usize) {
    let filter = Filter { kinds: vec![kind.to_owned()], ..Filter::default() };
    let mut events = stage.app().journal().store().subscribe_all(Position::START, filter);
    let mut seen = 0;
    let all = async {
        while seen < count {
            seen += usize::from(matches!(events.next().await, Some(SubscriptionEvent::Event(_))));
        }
    };
    tokio::time::timeout(LONG, all).await.expect("it does not happen");
}

/// Kills the node in the middle of its work and starts it anew, so many times.
pub(crate) async fn crash_and_restart(stage: &Stage, times: usize) {
    for _ in 0..times {
        let runner = stage.start_runner();
        tokio::time::sleep(Duration::from_millis(4_321)).await;
        runner.kill().await;
    }
}

/// Asks for a launch of the stage's own instance.
async fn ask_one(stage: &Stage) -> Launched {
    let ask = LaunchAsk::default();
    stage.app().launch_appserver(&somebody(), stage.instance, ask).await.unwrap().value
}

async fn assert_all_launched(stage: &Stage, asked: &[Launched]) {
    for launched in asked {
        assert_eq!(stage.run(launched.run).await.phase, Phase::Completed);
        assert_eq!(stage.cloud.count_created(step_key(launched.run, "create_server")), 1);
        for step in ["run_main_playbook", "run_common_playbook"] {
            assert_eq!(stage.playbooks.count_starts(step_key(launched.run, step)), 1, "{step}");
        }
    }
    assert_eq!(stage.cloud.machines().len(), asked.len());
}

#[tokio::test(start_paused = true)]
pub(super) async fn when_a_node_dies_the_other_one_takes_its_runs_over_once_the_leases_end() {
    let stage = Stage::new().await;
    // Both nodes have some: the second one comes when the first has taken up half of them.
    let (one, two) = (stage.node(1), stage.node(2));
    stage.cloud.set_boot_reads(1_000);
    let mut asked = stage.ask_many(4).await;
    let first = Runner::start(stage.world.clone(), &definitions(), one.clone());
    await_events(&stage, "server.machine_recorded", 4).await;
    asked.push(ask_one(&stage).await);
    let second = Runner::start(stage.world.clone(), &definitions(), two.clone());
    await_events(&stage, "server.machine_recorded", 5).await;
    assert_eq!(one.count() + two.count(), 5, "each run is somebody's");
    assert!(one.count() >= 4, "the second node took a run away from the first");
    let died = Instant::now();
    first.kill().await;
    let held = asked[0].run;
    let (tenure, left) = stage.leases.holder(held.0).await.unwrap().unwrap();
    assert_eq!((tenure.owner, tenure.epoch), (one.node(), 1));
    assert!(left > Duration::ZERO);
    let taken_over = async {
        while !two.holds(held) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(left * 2, taken_over).await.expect("nobody takes it over");
    assert!(died.elapsed() >= left, "it was taken over too early");
    assert!(died.elapsed() <= left + Duration::from_secs(1), "it was taken over late");
    assert_eq!(stage.leases.holder(held.0).await.unwrap().unwrap().0.epoch, 2);
    await_ends(&stage, asked.len()).await;
    second.stop().await;
    assert_all_launched(&stage, &asked).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_started_anew_takes_its_own_runs_over_at_once() {
    let stage = Stage::new().await;
    stage.cloud.set_boot_reads(1_000);
    let asked = stage.ask_many(1).await;
    let runner = stage.start_runner();
    await_events(&stage, "server.machine_recorded", 1).await;
    runner.kill().await;
    let died = Instant::now();
    let anew = stage.node(1);
    let runner = Runner::start(stage.world.clone(), &definitions(), anew.clone());
    while !anew.holds(asked[0].run) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(died.elapsed() < Duration::from_secs(1));
    await_ends(&stage, 1).await;
    runner.stop().await;
    assert_all_launched(&stage, &asked).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_drains_gives_its_leases_back_and_takes_nothing_up() {
    let stage = Stage::new().await;
    stage.cloud.set_boot_reads(1_000);
    let asked = stage.ask_many(3).await;
    let (one, two) = (stage.node(1), stage.node(2));
    let runner = Runner::start(stage.world.clone(), &definitions(), one.clone());
    await_events(&stage, "server.machine_recorded", 3).await;
    let told = Instant::now();
    runner.stop().await;
    assert!(told.elapsed() < Duration::from_secs(1), "nothing was under way");
    assert_eq!(one.count(), 0);
    for launched in &asked {
        assert_eq!(stage.leases.holder(launched.run.0).await.unwrap(), None);
    }
    let late = ask_one(&stage).await;
    let second = Runner::start(stage.world.clone(), &definitions(), two.clone());
    while two.count() < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(told.elapsed() < stage.world.limits.lease_ttl, "it waited for leases to end");
    await_ends(&stage, 4).await;
    second.stop().await;
    assert_all_launched(&stage, &[&asked[..], &[late]].concat()).await;
}

/// A cloud where whoever makes a machine comes to a gate first.
#[derive(Debug)]
struct GatedCloud {
    inner: Arc<dyn Cloud>,
    came: Semaphore,
    gate: Semaphore,
}

#[async_trait]
impl Cloud for GatedCloud {
    fn lacks_security_groups(&self) -> Option<&'static str> {
        self.inner.lacks_security_groups()
    }

    fn is_reachable_from(&self, balancer: IpAddr) -> bool {
        self.inner.is_reachable_from(balancer)
    }

    async fn ensure_security_groups(&self, names: &[String]) -> Result<(), PortError> {
        self.inner.ensure_security_groups(names).await
    }

    async fn find_security_groups(&self, names: &[String]) -> Result<bool, PortError> {
        self.inner.find_security_groups(names).await
    }

    async fn check_selectors(&self, flavor: &Value, image: &Value) -> Result<(), PortError> {
        self.inner.check_selectors(flavor, image).await
    }

    async fn read_quotas(&self, flavor: &Value) -> Result<Vec<Quota>, PortError> {
        self.inner.read_quotas(flavor).await
    }

    async fn create_machine(&self, spec: &MachineSpec) -> Result<Machine, PortError> {
        self.came.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        self.inner.create_machine(spec).await
    }

    async fn find_machine(&self, key: Uuid) -> Result<Option<Machine>, PortError> {
        self.inner.find_machine(key).await
    }

    async fn read_machine(&self, id: &str) -> Result<Option<Machine>, PortError> {
        self.inner.read_machine(id).await
    }

    async fn reboot_machine(&self, id: &str) -> Result<(), PortError> {
        self.inner.reboot_machine(id).await
    }

    async fn delete_machine(&self, id: &str) -> Result<(), PortError> {
        self.inner.delete_machine(id).await
    }

    async fn read_console(&self, id: &str) -> Result<String, PortError> {
        self.inner.read_console(id).await
    }

    async fn list_floating_addresses(&self) -> Result<Vec<FloatingAddress>, PortError> {
        self.inner.list_floating_addresses().await
    }

    async fn release_floating_address(&self, id: &str) -> Result<(), PortError> {
        self.inner.release_floating_address(id).await
    }

    async fn list_machines(&self) -> Result<Vec<Machine>, PortError> {
        self.inner.list_machines().await
    }
}

/// Drives like a process that is frozen now and then: it never renews its lease.
pub(crate) async fn drive_as_zombie(stage: &Stage, driver: &mut Driver) -> DriveError {
    loop {
        match driver.advance().await {
            Ok(Pace::Again) => {}
            Ok(Pace::At(time)) => stage.sleep_until(time).await,
            Ok(Pace::AtRest) => panic!("the zombie has driven the run to its end"),
            Err(error) => return error,
        }
    }
}

#[tokio::test(start_paused = true)]
pub(super) async fn a_zombie_that_comes_back_writes_nothing_and_makes_nothing_twice() {
    let mut made = None;
    let stage = Stage::build(|world| {
        for cloud in world.ports.clouds.values_mut() {
            let (came, gate) = (Semaphore::new(0), Semaphore::new(0));
            let gated = Arc::new(GatedCloud { inner: Arc::clone(cloud), came, gate });
            made = Some(gated.clone());
            *cloud = gated;
        }
    })
    .await;
    let gated = made.unwrap();
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let zombie = stage.node(1);
    assert!(matches!(zombie.take(launched.run).await.unwrap(), Take::Taken { .. }));
    let mut driver = stage.open(launched.run).await.unwrap().with_fence(zombie.clone());
    let mut drive = Box::pin(drive_as_zombie(&stage, &mut driver));
    // It freezes between the look at its lease and the effect.
    tokio::select! {
        error = &mut drive => panic!("{error:?}"),
        came = gated.came.acquire() => came.unwrap().forget(),
    }
    let heir = Runner::start(stage.world.clone(), &definitions(), stage.node(2));
    gated.came.acquire().await.unwrap().forget();
    // The heir found nothing, and asks as well; both requests reach the cloud, the zombie's last.
    assert!(!zombie.holds(launched.run));
    gated.gate.add_permits(1);
    let first = tokio::time::timeout(Duration::from_secs(1), &mut drive).await;
    let error = match first {
        Ok(error) => error,
        Err(_) => {
            gated.gate.add_permits(1);
            tokio::time::timeout(LONG, &mut drive).await.expect("the zombie goes on")
        }
    };
    assert!(matches!(error, DriveError::Fenced), "{error:?}");
    drop(drive);
    gated.gate.add_permits(1);
    await_ends(&stage, 1).await;
    heir.stop().await;
    let recorded = stage.events(&[]).await.len();
    assert!(driver.advance().await.is_err(), "a zombie stays one");
    assert_eq!(stage.events(&[]).await.len(), recorded, "the zombie has written");
    assert_all_launched(&stage, &[launched]).await;
}

#[tokio::test(start_paused = true)]
pub(super) async fn nothing_is_begun_once_the_lease_has_ended() {
    let stage = Stage::new().await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let slow = stage.node(1);
    slow.take(launched.run).await.unwrap();
    let mut driver = stage.open(launched.run).await.unwrap().with_fence(slow);
    while !driver.run().steps.contains_key("await_slot") {
        assert_eq!(driver.advance().await.unwrap(), Pace::Again);
    }
    tokio::time::sleep(stage.world.limits.lease_ttl).await;
    let error = drive_as_zombie(&stage, &mut driver).await;
    assert!(matches!(error, DriveError::Fenced), "{error:?}");
    assert_eq!(stage.cloud.faults.calls("ensure_security_groups"), 0);
}

const RUN: RunId = RunId(Uuid::from_u128(0x0c01));

async fn begin_unknown(stage: &Stage) {
    let name = "retire_continent";
    stage.start_run(RUN, name, Value::Null, "continent".to_owned()).await;
}

/// A process that only some nodes know.
const fn retire_continent(steps: &'static [Step]) -> Definition {
    Definition {
        name: "retire_continent",
        version: 1,
        deadline: None,
        on_abandoned: None,
        settles_on_undo: false,
        steps,
    }
}

/// Its one step, which has three hours.
const fn sink(run: RunFn) -> Step {
    Step::new("sink", run, Kind::NoUndo("it is gone"), 1, |_| Duration::from_secs(3 * 3600))
}

static RETIRE_CONTINENT: Definition = retire_continent(&[sink(|_| Box::pin(async { done(()) }))]);

#[tokio::test(start_paused = true)]
async fn a_process_that_nobody_knows_is_stuck_after_a_grace_and_not_before() {
    let stage = Stage::new().await;
    begin_unknown(&stage).await;
    let begun = Instant::now();
    let runner = stage.start_runner();
    await_events(&stage, "saga.stuck", 1).await;
    assert!(begun.elapsed() >= stage.world.limits.unknown_grace);
    runner.stop().await;
    let Phase::Stuck { why, .. } = stage.run(RUN).await.phase else { panic!("it is not stuck") };
    assert!(why.contains("`retire_continent` version 1"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_process_unknown_here_is_left_to_a_node_that_knows_it() {
    let stage = Stage::new().await;
    begin_unknown(&stage).await;
    let old = stage.start_runner();
    tokio::time::sleep(stage.world.limits.unknown_grace / 2).await;
    assert_eq!(stage.run(RUN).await.phase, Phase::Forward);
    let new = Runner::start(stage.world.clone(), &[&RETIRE_CONTINENT], stage.node(2));
    await_ends(&stage, 1).await;
    tokio::time::sleep(stage.world.limits.unknown_grace).await;
    old.stop().await;
    new.stop().await;
    assert_eq!(stage.run(RUN).await.phase, Phase::Completed);
}

/// Records nothing for two hours.
static RETIRE_SLOWLY: Definition = retire_continent(&[sink(|_| {
    Box::pin(async {
        tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
        done(())
    })
})]);

#[tokio::test(start_paused = true)]
async fn a_process_unknown_here_is_left_alone_as_long_as_another_node_has_it() {
    let stage = Stage::new().await;
    begin_unknown(&stage).await;
    let new = Runner::start(stage.world.clone(), &[&RETIRE_SLOWLY], stage.node(2));
    await_events(&stage, "saga.step_intended", 1).await;
    let old = stage.start_runner();
    await_ends(&stage, 1).await;
    old.stop().await;
    new.stop().await;
    assert_eq!(stage.run(RUN).await.phase, Phase::Completed);
}

/// Nodes that are killed from outside while a run waits did not die of it, however many they are.
#[tokio::test(start_paused = true)]
async fn a_run_that_waits_in_line_or_watches_its_play_outlives_any_number_of_kills() {
    let stage = Stage::new().await;
    let holder = stage.launch_active().await;
    let second = stage.launch_active().await;
    let held = stage.begin_deactivation(holder.appserver).await;
    let claimed = |run: &Run| run.steps.get("claim_traffic").is_some_and(saga::Step::is_finished);
    stage.drive_until(held, claimed).await;
    let waiting = stage.begin_deactivation(second.appserver).await;
    let end = RunState::Exited(0);
    stage.playbooks.set_default_script(Script { looks: 1_000_000, end, ..Script::default() });
    let playing = ask_one(&stage).await;
    // The run that holds the traffic is in the hands of nobody who is killed.
    let other = stage.node(2);
    assert!(matches!(other.take(held).await.unwrap(), Take::Taken { .. }));
    for _ in 0..12 {
        crash_and_restart(&stage, 1).await;
        other.renew_all().await.unwrap();
    }
    for (run, step) in [(waiting, "claim_traffic"), (playing.run, "run_main_playbook")] {
        let run = stage.run(run).await;
        assert_eq!(run.phase, Phase::Forward, "{step}");
        assert!(matches!(run.steps.get(step), Some(saga::Step::Intended { .. })), "{run:?}");
    }
}

/// Looks, and is not there yet.
fn look(_: StepContext) -> BoxFuture<'static, Result<Progress, StepError>> {
    Box::pin(async { Ok(Progress::NotYet { again_in: Duration::from_secs(1) }) })
}

/// As `delete_server` and the undo of `create_server` do: what they asked for takes its time.
static SINK_SLOWLY: Definition = retire_continent(&[sink(look)]);
static RISE_SLOWLY: Definition = retire_continent(
    const {
        &[Step {
            path: "sink",
            kind: Kind::Compensable(look),
            ..sink(|_| Box::pin(async { Err(StepError::permanent(ErrorCode::Defect, "no")) }))
        }]
    },
);

/// Nodes that are killed while a step polls, or its undo, did not die of it, however many they are.
#[tokio::test(start_paused = true)]
async fn a_step_that_asks_until_it_is_there_outlives_any_number_of_kills() {
    for (process, is_undo) in [(&SINK_SLOWLY, false), (&RISE_SLOWLY, true)] {
        let stage = Stage::new().await;
        begin_unknown(&stage).await;
        for _ in 0..12 {
            let runner = Runner::start(stage.world.clone(), &[process], stage.node(1));
            tokio::time::sleep(Duration::from_millis(4_321)).await;
            runner.kill().await;
        }
        let run = stage.run(RUN).await;
        assert!(!run.phase.is_stuck(), "{:?}", run.phase);
        let is_at_it = match &run.steps["sink"] {
            saga::Step::Intended { .. } => !is_undo,
            saga::Step::UndoIntended { .. } => is_undo,
            _ => false,
        };
        assert!(is_at_it, "{run:?}");
        let told = stage.events(&["saga.step_outlived"]).await.len();
        assert!(
            (1..=12).contains(&told),
            "once a node at most, and for none that had no death: {told}"
        );
    }
}

/// Panics whenever it is called.
static FALL: Definition =
    retire_continent(&[sink(|_| Box::pin(async { panic!("as ordered, always") }))]);

#[tokio::test(start_paused = true)]
async fn a_run_whose_drive_panics_again_and_again_is_stuck() {
    let stage = Stage::new().await;
    begin_unknown(&stage).await;
    let runner = Runner::start(stage.world.clone(), &[&FALL], stage.node(1));
    await_events(&stage, "saga.stuck", 1).await;
    runner.stop().await;
    let Phase::Stuck { code, why, .. } = stage.run(RUN).await.phase else { panic!("not stuck") };
    assert_eq!(code, StuckCode::CrashLoop);
    assert!(why.contains("as ordered, always"), "{why}");
}

static PANICS: AtomicU32 = AtomicU32::new(0);

/// Panics twice, then succeeds.
static STUMBLE: Definition = retire_continent(&[sink(|_| {
    Box::pin(async {
        assert!(PANICS.fetch_add(1, Ordering::Relaxed) >= 2, "as ordered");
        done(())
    })
})]);

#[tokio::test(start_paused = true)]
async fn a_panic_ends_neither_the_runner_nor_the_run() {
    let stage = Stage::new().await;
    begin_unknown(&stage).await;
    let asked = stage.ask_many(2).await;
    let mut all = definitions();
    all.push(&STUMBLE);
    let runner = Runner::start(stage.world.clone(), &all, stage.node(1));
    await_ends(&stage, 3).await;
    runner.stop().await;
    assert_eq!(stage.run(RUN).await.phase, Phase::Completed);
    assert_eq!(PANICS.load(Ordering::Relaxed), 3);
    let lines = stage.world.logs.read_lines(RUN, 1, usize::MAX).await.unwrap();
    let told = lines.iter().filter(|line| line.line.text.contains("as ordered")).count();
    assert_eq!(told, 2, "{lines:?}");
    assert_all_launched(&stage, &asked).await;
}
