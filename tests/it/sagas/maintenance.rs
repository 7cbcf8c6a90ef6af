//! Sites under maintenance: who gets the page, who is switched meanwhile, and what ends it.

use super::stage::{BALANCER, SITE, Stage, because, somebody};
use ocim::app::lifecycle::LifecycleAsk;
use ocim::app::{AppError, ForceAsk};
use ocim_domain::instance::{self, Instance};
use ocim_domain::saga::Phase;
use std::net::SocketAddr;

async fn instance(stage: &Stage) -> instance::Present {
    let loaded = stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap();
    loaded.state.present().unwrap().clone()
}

/// Whether the balancer answers with the page under that name.
fn has_page(stage: &Stage, name: &str) -> bool {
    let at: SocketAddr = "192.0.2.1:80".parse().unwrap();
    stage.balancer.find_page(at, name).is_some()
}

async fn change(stage: &Stage, on: bool) {
    let run = stage.begin_maintenance(on).await;
    let run = stage.drive(run).await;
    assert_eq!(run.phase, Phase::Completed, "{run:#?}");
}

fn servers_of(stage: &Stage) -> Vec<String> {
    let fragments = stage.balancer.fragments(BALANCER).into_values();
    let lines: Vec<String> = fragments
        .flat_map(|it| it.configuration.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let names = lines.iter().filter_map(|line| line.trim().strip_prefix("server "));
    names.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

#[tokio::test(start_paused = true)]
async fn appservers_are_switched_behind_the_page_and_one_command_brings_the_site_back() {
    let stage = Stage::new().await;
    let first = stage.launch_active().await;
    change(&stage, true).await;
    for name in [SITE, "studio.alpha.example.com", "preview.alpha.example.com"] {
        assert!(has_page(&stage, name), "{name}");
    }
    assert!(stage.balancer.serving(BALANCER, SITE).is_empty());
    assert!(instance(&stage).await.name_troubles.is_empty(), "the page is what is wanted");
    // An activation proves the new one by its probe host, and the page stays.
    let second = stage.launch().await;
    let run = stage.begin_activation(second.appserver, true).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(has_page(&stage, SITE));
    assert_eq!(servers_of(&stage), ["appserver-2"]);
    assert_eq!(instance(&stage).await.active, [second.appserver]);
    let run = stage.begin_termination(first.appserver).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(has_page(&stage, SITE));
    assert!(instance(&stage).await.name_troubles.is_empty());

    change(&stage, false).await;
    assert!(!has_page(&stage, SITE));
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-2"]);
}

#[tokio::test(start_paused = true)]
async fn a_site_that_nobody_serves_has_its_page_too_and_nothing_afterwards() {
    let stage = Stage::new().await;
    let page = |stage: &Stage| {
        let until = stage.app().journal().now() + chrono::TimeDelta::hours(1);
        Some(instance::Maintenance { message: "Back soon.".to_owned(), until })
    };
    let asked = stage.app().change_maintenance(&somebody(), stage.instance, page(&stage)).await;
    let Err(AppError::Rejected { detail, .. }) = asked else { panic!("{asked:?}") };
    assert!(detail.contains("launch it first"), "{detail}");
    let launched = stage.launch_active().await;
    let ask = ForceAsk { force: true };
    let asked = stage.app().deactivate_appserver(&because(), launched.appserver, ask).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let before = stage.balancer.fragments(BALANCER);
    change(&stage, true).await;
    assert!(
        has_page(&stage, SITE) && servers_of(&stage).iter().all(|it| !it.starts_with("appserver"))
    );
    let run = stage.begin_activation(launched.appserver, false).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(has_page(&stage, SITE));
    let asked = stage.app().deactivate_appserver(&because(), launched.appserver, ask).await;
    let run = asked.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(has_page(&stage, SITE), "nobody serves, and the page stays");
    change(&stage, false).await;
    assert_eq!(stage.balancer.fragments(BALANCER), before);
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_has_no_page_and_comes_back_without_one() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    change(&stage, true).await;
    let pending = stage.begin_maintenance(false).await;
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(stage.balancer.fragments(BALANCER).is_empty());
    let left = instance(&stage).await;
    assert_eq!((left.maintenance, left.maintenance_change), (None, None));
    // What was asked for before finds nothing to do it at, and holds nothing up.
    let run = stage.drive(pending).await;
    assert!(matches!(run.phase, Phase::Unwound(_)), "{run:#?}");
    let run = stage.begin_change(LifecycleAsk::Unarchive { launch: false }).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(!has_page(&stage, SITE));
    let left = instance(&stage).await;
    assert_eq!((left.maintenance, left.traffic_run), (None, None));
}
