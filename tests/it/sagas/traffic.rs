//! Runs that move the traffic of one site at the same time.

use super::scenarios::{assert_sound, look};
use super::stage::{BALANCER, SITE, Stage};
use ocim::sagas::runner::Pace;
use ocim_domain::ids::RunId;
use ocim_domain::saga::{Cause, Phase};

/// Drives both by turns, one thing at a time.
async fn drive_together(stage: &Stage, runs: [RunId; 2]) {
    let mut drivers = vec![];
    for run in runs {
        drivers.push((stage.open(run).await.unwrap(), false));
    }
    while drivers.iter().any(|(_, is_at_rest)| !is_at_rest) {
        for (driver, is_at_rest) in &mut drivers {
            match driver.advance().await.unwrap() {
                Pace::Again => {}
                Pace::At(time) => stage.sleep_until(time).await,
                Pace::AtRest => *is_at_rest = true,
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_activations_at_once_take_turns_and_both_get_traffic() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let (second, third) = (stage.launch().await, stage.launch().await);
    let runs = [
        stage.begin_activation(second.appserver, false).await,
        stage.begin_activation(third.appserver, false).await,
    ];
    drive_together(&stage, runs).await;
    for id in runs {
        let run = stage.drive(id).await;
        assert_eq!(run.phase, Phase::Completed);
        assert_sound(&look(&stage, id, &run).await, "activated at once");
    }
    let served = stage.balancer.serving(BALANCER, SITE);
    assert_eq!(served, ["appserver-1", "appserver-2", "appserver-3"]);
}

#[tokio::test(start_paused = true)]
async fn two_deactivations_at_once_leave_the_last_one_its_traffic() {
    let stage = Stage::new().await;
    let (first, second) = (stage.launch_active().await, stage.launch_active().await);
    let runs = [
        stage.begin_deactivation(first.appserver).await,
        stage.begin_deactivation(second.appserver).await,
    ];
    drive_together(&stage, runs).await;
    assert_eq!(stage.drive(runs[0]).await.phase, Phase::Completed);
    let run = stage.drive(runs[1]).await;
    let Phase::Unwound(Cause::StepFailed { step, error }) = &run.phase else { panic!("{run:?}") };
    assert_eq!(step, "plan_traffic");
    assert!(error.contains("last active"), "{error}");
    let outcome = look(&stage, runs[1], &run).await;
    assert_eq!(outcome.serving, outcome.recorded_serving);
    assert_eq!(outcome.serving, ["appserver-2"]);
}
