//! Balancers that change behind Ocim's back: told once, and put right by a run.

use super::stage::{BALANCER, SITE, Stage, somebody};
use ocim::app::Caller;
use ocim::app::load_balancers::load_balancer_id;
use ocim::processes::started_by;
use ocim::reconciler::Reconciler;
use ocim::reconciler::balancers::BalancerWatch;
use ocim_adapters::balancer::Fragment;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::RunId;
use ocim_domain::port_error::Class;
use ocim_domain::saga::Phase;
use serde_json::{Value, json};
use std::time::Duration;

const TOLD: [&str; 3] =
    ["load_balancer.troubled", "load_balancer.recovered", "load_balancer.preparation_requested"];

fn watch(stage: &Stage) -> BalancerWatch {
    BalancerWatch::new(stage.world.clone())
}

async fn look(watch: &mut BalancerWatch, times: u32) {
    for _ in 0..times {
        watch.look().await.unwrap();
    }
}

async fn told(stage: &Stage) -> Vec<String> {
    stage.events(&TOLD).await.into_iter().map(|event| event.kind).collect()
}

/// The troubles of the last event that told some.
async fn troubles(stage: &Stage) -> Value {
    stage.events(&TOLD[..1]).await.last().map_or(json!([]), |event| event.data["troubles"].clone())
}

/// Drives the run that was last asked for to its end.
async fn prepare(stage: &Stage) -> Phase {
    let asked = stage.events(&TOLD[2..]).await;
    let run = started_by(asked.last().expect("a run is asked for")).unwrap().run;
    stage.start(run).await;
    stage.drive(run).await.phase
}

/// A stage with a site that serves, and the fragment that its balancer has.
async fn serving() -> (Stage, Fragment) {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let fragment = stage.balancer.fragments(BALANCER).into_values().next().unwrap();
    (stage, fragment)
}

#[tokio::test(start_paused = true)]
async fn what_is_as_recorded_is_not_told() {
    let (stage, _) = serving().await;
    look(&mut watch(&stage), 3).await;
    assert_eq!(told(&stage).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_haproxy_that_was_killed_is_seen_at_once_told_once_and_started_again() {
    let (stage, _) = serving().await;
    let mut watch = watch(&stage);
    stage.balancer.stop_haproxy(BALANCER);
    look(&mut watch, 3).await;
    assert_eq!(told(&stage).await, [TOLD[0], TOLD[2]], "told once, one run");
    assert_eq!(troubles(&stage).await, json!([{"what": "stopped"}]));
    assert!(stage.balancer.serving(BALANCER, SITE).is_empty());
    assert_eq!(prepare(&stage).await, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
    look(&mut watch, 2).await;
    assert_eq!(told(&stage).await, [TOLD[0], TOLD[2], TOLD[1]]);
}

#[tokio::test(start_paused = true)]
async fn a_fragment_that_is_missing_or_differs_or_is_nobodys_is_put_right() {
    let (stage, fragment) = serving().await;
    let gone = Fragment { name: fragment.name.clone(), ..Fragment::default() };
    let changed = Fragment {
        configuration: fragment.configuration.replace("server appserver-1", "server other"),
        ..fragment.clone()
    };
    let mark = fragment.name.strip_suffix(&stage.instance.to_string()).unwrap();
    let stray = Fragment {
        name: format!("{mark}nobody"),
        configuration: "backend be-nobody\n".to_owned(),
        map: "nobody.example.com be-nobody\n".to_owned(),
    };
    for (what, sent) in [("missing", &gone), ("differs", &changed), ("stray", &stray)] {
        let before = told(&stage).await.len();
        let mut watch = watch(&stage);
        stage.balancer.tamper(BALANCER, sent);
        look(&mut watch, 1).await;
        assert_eq!(told(&stage).await.len(), before, "{what}: one look is none");
        look(&mut watch, 3).await;
        assert_eq!(told(&stage).await[before..], [TOLD[0], TOLD[2]], "{what}");
        assert_eq!(troubles(&stage).await, json!([{"what": what, "fragment": sent.name}]));
        assert_eq!(prepare(&stage).await, Phase::Completed, "{what}");
        let fragments = stage.balancer.fragments(BALANCER);
        let known: Vec<_> = fragments.into_values().collect();
        assert_eq!(known, std::slice::from_ref(&fragment), "{what}");
        assert_eq!(told(&stage).await[before..], [TOLD[0], TOLD[2], TOLD[1]], "{what}");
    }
    // What bears another's mark is another's business.
    stage.balancer.tamper(BALANCER, &Fragment { name: "foreign".to_owned(), ..stray });
    let before = told(&stage).await.len();
    look(&mut watch(&stage), 3).await;
    assert_eq!(told(&stage).await.len(), before);
}

#[tokio::test(start_paused = true)]
async fn a_site_whose_traffic_a_run_moves_is_left_alone() {
    let (stage, _) = serving().await;
    let second = stage.launch().await;
    let run = stage.begin_activation(second.appserver, true).await;
    let mut watch = watch(&stage);
    for step in ["publish_probe", "switch_traffic", "record_traffic"] {
        stage.drive_until(run, |run| run.steps.contains_key(step)).await;
        look(&mut watch, 2).await;
    }
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    look(&mut watch, 2).await;
    assert_eq!(told(&stage).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_balancer_that_does_not_answer_is_told_after_two_looks_and_says_nothing_else() {
    let (stage, _) = serving().await;
    let mut watch = watch(&stage);
    stage.balancer.stop_haproxy(BALANCER);
    stage.balancer.faults.fail_always("read_balancer", Fault::Before(Class::Transient));
    look(&mut watch, 1).await;
    assert_eq!(told(&stage).await, [""; 0]);
    look(&mut watch, 3).await;
    assert_eq!(told(&stage).await, [TOLD[0]], "nobody there to be sent to");
    assert_eq!(troubles(&stage).await, json!([{"what": "unreachable"}]));
    stage.balancer.faults.clear();
    look(&mut watch, 1).await;
    assert_eq!(told(&stage).await, [TOLD[0], TOLD[0], TOLD[2]]);
    assert_eq!(troubles(&stage).await, json!([{"what": "stopped"}]));
}

#[tokio::test(start_paused = true)]
async fn a_preparation_that_fails_is_followed_by_another_after_a_pause() {
    let (stage, _) = serving().await;
    let mut watch = watch(&stage);
    stage.balancer.stop_haproxy(BALANCER);
    stage.balancer.faults.fail_always("prepare_balancer", Fault::Before(Class::Transient));
    look(&mut watch, 1).await;
    assert!(matches!(prepare(&stage).await, Phase::Unwound(_)));
    tokio::time::sleep(Duration::from_secs(120)).await;
    look(&mut watch, 3).await;
    assert_eq!(told(&stage).await, [TOLD[0], TOLD[2], TOLD[2]], "one more");
    assert!(matches!(prepare(&stage).await, Phase::Unwound(_)));
    stage.balancer.faults.clear();
    tokio::time::sleep(Duration::from_secs(240)).await;
    look(&mut watch, 1).await;
    assert_eq!(prepare(&stage).await, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_prepared_is_by_a_run_by_order_and_at_its_first_use() {
    let (stage, fragment) = serving().await;
    let mut watch = watch(&stage);
    stage.balancer.unprepare(BALANCER);
    look(&mut watch, 1).await;
    assert_eq!(troubles(&stage).await, json!([{"what": "unprepared"}]));
    assert_eq!(prepare(&stage).await, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"], "with what it had");
    assert_eq!(stage.balancer.fragments(BALANCER)[&fragment.name], fragment);

    stage.balancer.unprepare(BALANCER);
    let id = load_balancer_id(BALANCER);
    let app = stage.app();
    assert!(app.prepare_load_balancer(&somebody(), id).await.is_err(), "no reason");
    let by = Caller { reason: Some("a new host".to_owned()), ..somebody() };
    assert_eq!(app.plan_preparation(&by, id).await.unwrap().domain, BALANCER);
    let run: RunId = app.prepare_load_balancer(&by, id).await.unwrap().value;
    assert!(app.prepare_load_balancer(&by, id).await.is_err(), "one at a time");
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);

    stage.balancer.unprepare(BALANCER);
    stage.launch_active().await;
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1", "appserver-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_timer_looks_at_balancers_about_once_a_minute() {
    let (stage, _) = serving().await;
    let reconciler = Reconciler::start(&stage.world, Duration::from_secs(60));
    stage.balancer.stop_haproxy(BALANCER);
    tokio::time::sleep(Duration::from_secs(67)).await;
    reconciler.stop().await;
    assert_eq!(troubles(&stage).await, json!([{"what": "stopped"}]));
}
