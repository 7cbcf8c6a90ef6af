//! What commands, runs, looks and starts read of the log, however long that is.

use super::bygone::record_past;
use super::{FEW, MANY};
use crate::sagas::crash_store::Reads;
use crate::sagas::stage::{BALANCER, REGION, Stage, registration, somebody};
use futures_util::FutureExt;
use ocim::app::load_balancers::load_balancer_id;
use ocim::app::{ActivateAsk, DetailsAsk, LaunchAsk};
use ocim::clean_up::KeptServers;
use ocim::metrics::Metrics;
use ocim::observer::follow_runs;
use ocim::reconciler::RegionWatch;
use ocim::reconciler::balancers::BalancerWatch;
use ocim::telemetry::traces::Tracer;
use ocim_domain::ids::{AppserverId, RunId};
use ocim_engine::derived::Derived;
use ocim_engine::store::EventStore;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What was read for each thing that was done.
type Costs = BTreeMap<&'static str, Reads>;

/// Longer than any checkpoint waits.
const CHECKPOINT: Duration = Duration::from_secs(61);
/// In which whoever has just started has read what it needs.
const SETTLED: Duration = Duration::from_secs(5);

/// What the work reads, under that name.
async fn measure<T>(
    costs: &mut Costs,
    stage: &Stage,
    name: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let before = stage.store.reads();
    let done = work.await;
    let after = stage.store.reads();
    let (calls, events) = (after.calls - before.calls, after.events - before.events);
    costs.insert(name, Reads { calls, events });
    done
}

/// The runner, from its start until it has nothing more to do.
async fn run_until_over(stage: &Stage, runs: &[RunId]) {
    let runner = stage.start_runner();
    tokio::time::sleep(SETTLED).await;
    for run in runs {
        while !stage.run(*run).await.phase.is_over() {
            tokio::time::sleep(SETTLED).await;
        }
    }
    runner.stop().await;
}

async fn launch(stage: &Stage) -> (RunId, AppserverId) {
    let ask = LaunchAsk::default();
    let asked = stage.app().launch_appserver(&somebody(), stage.instance, ask).await;
    let launched = asked.unwrap().value;
    (launched.run, launched.appserver)
}

async fn activate(stage: &Stage, id: AppserverId) -> RunId {
    let ask = ActivateAsk { deactivate_others: true, force: false };
    stage.app().activate_appserver(&somebody(), id, ask).await.unwrap().value
}

/// Whoever counts runs, from its start until it has read all there is.
async fn observe(stage: &Stage) {
    let log: Arc<dyn EventStore> = stage.store.clone();
    let derived: Arc<dyn Derived> = Arc::new(stage.derived.clone());
    let metrics = Arc::new(Metrics::new().unwrap());
    let observer = follow_runs(&log, &derived, metrics, Tracer::default());
    tokio::time::sleep(SETTLED).await;
    observer.abort();
}

async fn look_at_all(stage: &Stage) {
    let mut watch = RegionWatch::new(stage.world.clone(), REGION);
    let mut kept = KeptServers::new(stage.app().clone());
    for _ in 0..2 {
        watch.look().await.unwrap();
        kept.look().await.unwrap();
        stage.app().list_idle_instances(None, 10).await.unwrap();
        tokio::time::sleep(CHECKPOINT).await;
    }
    BalancerWatch::new(stage.world.clone()).look().await.unwrap();
}

/// Everything, in a process that starts after a past of so many events in which another one worked.
async fn measure_all(events: usize) -> Costs {
    // What follows traffic by itself would still be at work when what is measured is over.
    let former = Stage::build(|world| world.ports.monitoring = None).await;
    let (run, first) = launch(&former).await;
    run_until_over(&former, &[run]).await;
    let run = activate(&former, first).await;
    run_until_over(&former, &[run]).await;
    record_past(&former.outside.log, events, load_balancer_id(BALANCER), REGION).await;
    observe(&former).await;
    look_at_all(&former).await;
    run_until_over(&former, &[]).await;

    let mut stage = Stage::resume(former.outside.clone(), former.instance);
    Arc::get_mut(&mut stage.world).unwrap().ports.monitoring = None;
    let stage = stage;
    let (costs, app, by) = (&mut Costs::new(), stage.app(), somebody());
    measure(costs, &stage, "the runner's start", run_until_over(&stage, &[])).await;
    measure(costs, &stage, "the start of what counts runs", observe(&stage)).await;
    let mut watch = RegionWatch::new(stage.world.clone(), REGION);
    measure(costs, &stage, "a region's first look", watch.look()).await.unwrap();
    measure(costs, &stage, "a region's next look", watch.look()).await.unwrap();
    let mut kept = KeptServers::new(app.clone());
    measure(costs, &stage, "the first look for dates", kept.look()).await.unwrap();
    measure(costs, &stage, "the next look for dates", kept.look()).await.unwrap();
    let idle = app.list_idle_instances(None, 10);
    measure(costs, &stage, "the clean-up's first look", idle).await.unwrap();
    let plan = app.plan_clean_up(stage.instance, None);
    measure(costs, &stage, "the clean-up of an instance", plan).await.unwrap();
    let mut balancers = BalancerWatch::new(stage.world.clone());
    measure(costs, &stage, "the balancers' first look", balancers.look()).await.unwrap();
    measure(costs, &stage, "the balancers' next look", balancers.look()).await.unwrap();
    let open = || app.has_open_run("provision_load_balancer", None);
    assert!(!measure(costs, &stage, "the first question for open runs", open()).await.unwrap());
    assert!(!measure(costs, &stage, "the next question for open runs", open()).await.unwrap());
    let known = app.list_registered_balancers();
    measure(costs, &stage, "the list of balancers", known).await.unwrap();
    let again = app.register_load_balancer(&by, registration());
    measure(costs, &stage, "registering a balancer", again).await.unwrap();
    let prepared = app.observe_balancer(load_balancer_id(BALANCER), vec![]);
    measure(costs, &stage, "observing a balancer", prepared).await.unwrap();

    let Value::Object(settings) = json!({ "name": "beta", "sub_domain": "beta" }) else { panic!() };
    let created = app.create_instance(&by, settings, DetailsAsk::default());
    measure(costs, &stage, "creating an instance", created).await.unwrap();
    let Value::Object(change) = json!({ "name": "other" }) else { panic!() };
    let changed = app.change_settings(&by, stage.instance, change, None);
    measure(costs, &stage, "changing settings", changed).await.unwrap();
    let (run, second) = measure(costs, &stage, "asking for a launch", launch(&stage)).await;
    measure(costs, &stage, "a launch", run_until_over(&stage, &[run])).await;
    let asked = activate(&stage, second);
    let run = measure(costs, &stage, "asking for traffic", asked).await;
    measure(costs, &stage, "an activation", run_until_over(&stage, &[run])).await;
    let explained = app.explain_run(&by, run).map(|told| told.unwrap());
    measure(costs, &stage, "explaining a run", explained).await;
    std::mem::take(costs)
}

#[tokio::test(start_paused = true)]
async fn commands_runs_looks_and_starts_read_what_is_open() {
    let (few, many) = (measure_all(FEW).await, measure_all(MANY).await);
    for (name, reads) in &few {
        println!("{name}: {reads:?}");
    }
    let more: Vec<_> = few.iter().filter(|(name, reads)| many[*name] != **reads).collect();
    let told: Vec<_> = more.iter().map(|(name, it)| (name, it, many[**name])).collect();
    assert!(told.is_empty(), "after few events, and after many: {told:#?}");
}
