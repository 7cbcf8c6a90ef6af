//! Test links: what stands on the balancer for them, until when, and what takes them away.

use super::stage::{BALANCER, SITE, Stage, somebody};
use ocim::app::AppError;
use ocim_domain::saga::Phase;
use serde_json::json;

/// All that the balancer has: configuration and map.
fn on_balancer(stage: &Stage) -> String {
    let fragments = stage.balancer.fragments(BALANCER).into_values();
    fragments.map(|it| format!("{}{}", it.configuration, it.map)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_link_stands_beside_the_traffic_until_it_ends_or_its_appserver_leaves() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let second = stage.launch().await.appserver;
    let made = stage.begin_link(second).await;
    assert_eq!(stage.drive(made.run).await.phase, Phase::Completed);
    assert_eq!(made.hosts, [SITE, "studio.alpha.example.com"].map(str::to_owned));
    let there = on_balancer(&stage);
    for host in &made.hosts {
        assert!(there.contains(&format!("{host}/{} be-test-", made.secret)), "{there}");
    }
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"], "who serves, serves");
    // No event holds the secret.
    let log = stage.events(&[]).await;
    assert!(log.iter().all(|event| !event.data.to_string().contains(&made.secret)));
    // It stays through a switch, under maintenance too, and is gone from what is sent after its end.
    let run = stage.begin_maintenance(true).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(on_balancer(&stage).contains(&made.secret));
    stage.sleep_until(made.link.until).await;
    let run = stage.begin_maintenance(false).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(!on_balancer(&stage).contains(&made.secret));
    let again = stage.begin_link(second).await;
    assert_eq!(stage.drive(again.run).await.phase, Phase::Completed);
    assert!(on_balancer(&stage).contains(&again.secret) && again.secret != made.secret);
    let run = stage.begin_termination(second).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(!on_balancer(&stage).contains(&again.secret), "its address may be another one's soon");
    let late = stage.app().make_test_link(&somebody(), second, 1).await;
    assert!(matches!(late, Err(AppError::Rejected { .. })), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn links_are_few_and_short() {
    let stage = Stage::new().await;
    let id = stage.launch_active().await.appserver;
    for minutes in [0, 7 * 24 * 60 + 1, u32::MAX] {
        let refused = stage.app().make_test_link(&somebody(), id, minutes).await;
        assert!(matches!(refused, Err(AppError::Invalid(_))), "{refused:?}");
    }
    for _ in 0..10 {
        stage.app().make_test_link(&somebody(), id, 1).await.unwrap();
    }
    let refused = stage.app().make_test_link(&somebody(), id, 1).await;
    let Err(AppError::Rejected { detail, .. }) = refused else { panic!("{refused:?}") };
    assert!(detail.contains("10 test links"), "{detail}");
    stage.sleep_until(stage.app().journal().now() + chrono::TimeDelta::minutes(1)).await;
    stage.app().make_test_link(&somebody(), id, 1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_link_leads_under_no_name_that_is_not_the_instances_any_more() {
    let stage = Stage::new().await;
    let rename = async |domain: &str| {
        stage.answer(domain, None);
        let change = [("external_lms_domain".to_owned(), json!(domain))].into_iter().collect();
        stage.app().change_settings(&somebody(), stage.instance, change, None).await.unwrap();
    };
    rename("former.example.org").await;
    let first = stage.launch_active().await.appserver;
    rename("now.example.org").await;
    let second = stage.launch().await.appserver;
    let run = stage.begin_activation(second, true).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let made = stage.begin_link(first).await;
    assert_eq!(stage.drive(made.run).await.phase, Phase::Completed);
    assert_eq!(made.hosts[0], "now.example.org");
    let there = on_balancer(&stage);
    assert!(there.contains(&format!("now.example.org/{} be-test-", made.secret)), "{there}");
    assert!(!there.contains(&format!("former.example.org/{}", made.secret)), "{there}");
}
