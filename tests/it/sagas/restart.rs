//! Machines that are restarted: once, and only where that can be.

use super::stage::{BALANCER, SITE, Stage, because, somebody};
use ocim::app::{AppError, ForceAsk, LaunchAsk};
use ocim_domain::appserver::{Appserver, Present};
use ocim_domain::ids::AppserverId;
use ocim_domain::saga::Phase;
use ocim_domain::server::{self, Server};

async fn load(stage: &Stage, id: AppserverId) -> Present {
    let loaded = stage.app().journal().load::<Appserver>(&id.stream()).await.unwrap().state;
    loaded.present().unwrap().clone()
}

/// The boots of an Appserver's machine, and the one that the log knows.
async fn boots(stage: &Stage, id: AppserverId) -> (String, server::Present) {
    let server = load(stage, id).await.launched.server;
    let loaded = stage.app().journal().load::<Server>(&server.stream()).await.unwrap().state;
    let present = loaded.present().unwrap().clone();
    let machine = present.machine.clone().unwrap();
    use ocim_adapters::cloud::Cloud;
    (stage.cloud.read_console(&machine).await.unwrap(), present)
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, AppError>) -> String {
    match outcome {
        Err(AppError::Rejected { detail, .. }) => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_restarted_once_and_its_site_answers_again() {
    let stage = Stage::new().await;
    let first = stage.launch_active().await.appserver;
    stage.launch_active().await;
    let (console, before) = boots(&stage, first).await;
    let run = stage.begin_restart(first).await;
    let again = stage.app().restart_appserver(&somebody(), first, ForceAsk::default()).await;
    let Err(AppError::Rejected { run: Some(in_the_way), .. }) = again else { panic!("{again:?}") };
    assert_eq!(in_the_way, run);
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let (now, after) = boots(&stage, first).await;
    assert_ne!(now, console, "it has booted once more");
    assert_ne!(after.boot_id, before.boot_id);
    assert_eq!(after.status, server::Status::Ready);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1", "appserver-2"]);
    let run = stage.begin_restart(first).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed, "it may be restarted again");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_come_back_is_not_restarted() {
    let stage = Stage::new().await;
    let launching = stage.begin_launch(LaunchAsk::default()).await;
    let ask = ForceAsk::default();
    stage.drive_until(launching.run, |run| run.steps.contains_key("run_main_playbook")).await;
    let early = stage.app().restart_appserver(&somebody(), launching.appserver, ask).await;
    assert!(refusal(early).contains("launch is still under way"), "it does not run yet");
    assert_eq!(stage.drive(launching.run).await.phase, Phase::Completed);
    let id = launching.appserver;
    let run = stage.begin_activation(id, false).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    // The site would be away meanwhile.
    let last = stage.app().restart_appserver(&somebody(), id, ask).await;
    assert!(refusal(last).contains("last active"));
    let forced = ForceAsk { force: true };
    let blank = stage.app().restart_appserver(&somebody(), id, forced).await;
    assert!(matches!(blank, Err(AppError::Invalid(_))), "{blank:?}");
    let run = stage.app().restart_appserver(&because(), id, forced).await.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let gone = stage.app().terminate_appserver(&because(), id, forced).await.unwrap().value;
    stage.start(gone).await;
    assert_eq!(stage.drive(gone).await.phase, Phase::Completed);
    let late = stage.app().restart_appserver(&because(), id, forced).await;
    assert!(refusal(late).contains("gone"));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_taken_away_meanwhile_ends_its_restart() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let second = stage.launch().await.appserver;
    let restart = stage.begin_restart(second).await;
    let gone = stage.begin_termination(second).await;
    assert_eq!(stage.drive(gone).await.phase, Phase::Completed);
    let run = stage.drive(restart).await;
    assert!(matches!(run.phase, Phase::Unwound(_)), "{run:#?}");
    assert_eq!(load(&stage, second).await.restart_run, None);
}

#[tokio::test(start_paused = true)]
async fn the_last_one_that_serves_is_not_restarted_though_others_served_when_it_was_asked_for() {
    let stage = Stage::new().await;
    let first = stage.launch_active().await.appserver;
    let second = stage.launch().await.appserver;
    let run = stage.begin_activation(second, false).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let restart = stage.begin_restart(first).await;
    // Both at once would leave nobody.
    let other = stage.app().restart_appserver(&somebody(), second, ForceAsk::default()).await;
    assert!(refusal(other).contains("last active"));
    let forced = ForceAsk { force: true };
    let gone = stage.app().deactivate_appserver(&because(), second, forced).await.unwrap().value;
    stage.start(gone).await;
    assert_eq!(stage.drive(gone).await.phase, Phase::Completed);
    let (before, _) = boots(&stage, first).await;
    let run = stage.drive(restart).await;
    assert!(matches!(run.phase, Phase::Unwound(_)), "{run:#?}");
    assert_eq!(boots(&stage, first).await.0, before, "it was not rebooted");
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
}
