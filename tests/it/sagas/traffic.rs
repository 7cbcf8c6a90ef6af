//! Runs that move the traffic of one site at the same time.

use super::scenarios::{assert_sound, look};
use super::stage::{BALANCER, SITE, Stage, registration, somebody};
use crate::support::counts::report_count;
use ocim::app::{ActivateAsk, AppError, LaunchAsk};
use ocim_adapters::sites::SiteAnswer;
use ocim_domain::appserver::activation_after;
use ocim_domain::event::DomainEvent;
use ocim_domain::fragment::backend_name;
use ocim_domain::ids::{AppserverId, RunId};
use ocim_domain::instance::{Event, Instance, NameTrouble, OnSuccess};
use ocim_domain::saga::{Cause, Phase, Run};
use ocim_engine::sagas::runner::Pace;
use std::time::Duration;

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

/// A first one that serves, and a second one that runs.
async fn two_appservers(stage: &Stage) -> AppserverId {
    stage.launch_active().await;
    stage.launch().await.appserver
}

/// What a step that refused said.
fn refusal(run: &Run) -> &str {
    let Phase::Unwound(Cause::StepFailed { error, .. }) = &run.phase else { panic!("{run:?}") };
    error
}

#[tokio::test(start_paused = true)]
async fn what_is_being_terminated_is_refused_traffic_by_name_of_the_run() {
    let stage = Stage::new().await;
    let second = two_appservers(&stage).await;
    // Asked for while nothing speaks against it.
    let early = stage.begin_activation(second, true).await;
    let termination = stage.begin_termination(second).await;
    // The traffic is released again, and the machine still there.
    stage.drive_until(termination, |run| run.steps.contains_key("delete_server")).await;

    for force in [false, true] {
        let ask = ActivateAsk { deactivate_others: true, force };
        let refused = stage.app().activate_appserver(&somebody(), second, ask).await;
        let Err(AppError::Rejected { detail, run }) = &refused else { panic!("{refused:?}") };
        assert_eq!(*run, Some(termination));
        assert!(detail.contains(&termination.to_string()), "{detail}");
    }

    let began = stage.app().journal().now();
    let run = stage.drive(early).await;
    assert!(refusal(&run).contains(&termination.to_string()), "{run:?}");
    let took = stage.app().journal().now() - began;
    assert!(took.num_seconds() < 5, "it turned back after {took}");

    let run = stage.drive(termination).await;
    assert_eq!(run.phase, Phase::Completed);
    assert_sound(&look(&stage, termination, &run).await, "the second is gone");
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_termination_that_turned_back_leaves_one_that_may_serve() {
    let stage = Stage::new().await;
    let second = two_appservers(&stage).await;
    let run = stage.begin_activation(second, false).await;
    stage.drive(run).await;
    let termination = stage.begin_termination(second).await;
    stage.drive_until(termination, |run| run.steps.contains_key("withdraw_traffic")).await;
    stage.cancel(termination).await;
    assert!(matches!(stage.drive(termination).await.phase, Phase::Unwound(_)));
    let again = stage.begin_activation(second, true).await;
    assert_eq!(stage.drive(again).await.phase, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-2"]);
}

/// Drives a run by so many moves; false once it is at rest.
async fn advance(stage: &Stage, run: RunId, moves: usize) -> bool {
    let mut driver = stage.open(run).await.unwrap();
    for _ in 0..moves {
        match driver.advance().await.unwrap() {
            Pace::Again => {}
            Pace::At(time) => stage.sleep_until(time).await,
            Pace::AtRest => return false,
        }
    }
    true
}

/// Activation and termination of the same Appserver, one of them interrupted by the other at every
/// single move: whoever serves afterwards has a machine.
#[tokio::test(start_paused = true)]
async fn activation_and_termination_end_soundly_wherever_they_cross() {
    let mut crossings = 0;
    for activation_first in [true, false] {
        for moves in 0.. {
            let stage = Stage::new().await;
            let second = two_appservers(&stage).await;
            let activation = stage.begin_activation(second, true).await;
            let termination = stage.begin_termination(second).await;
            let (first, last) = if activation_first {
                (activation, termination)
            } else {
                (termination, activation)
            };
            let goes_on = advance(&stage, first, moves).await;
            drive_together(&stage, [last, first]).await;
            let cell = format!("activation first: {activation_first}, crossed at {moves}");
            for id in [activation, termination] {
                let run = stage.drive(id).await;
                assert!(run.phase.is_over(), "{cell}: {run:?}");
                let outcome = look(&stage, id, &run).await;
                assert_sound(&outcome, &cell);
                assert!(!outcome.serving.is_empty(), "{cell}: the site is gone");
                for (number, end) in &outcome.appservers {
                    assert!(!(end.active && end.server_gone), "{cell}: {number} has no machine");
                }
            }
            crossings += 1;
            if !goes_on {
                break;
            }
        }
    }
    assert!(crossings > 20, "{crossings}");
    report_count("traffic crossings", "pairs of orders", crossings);
}

#[tokio::test(start_paused = true)]
async fn a_launch_replaces_others_only_where_it_is_asked_to() {
    for (deactivate_others, expected) in
        [(false, vec!["appserver-1", "appserver-2"]), (true, vec!["appserver-2"])]
    {
        let stage = Stage::new().await;
        stage.launch_active().await;
        let then = OnSuccess { activate: true, deactivate_others };
        let launched = stage.begin_launch(LaunchAsk { then, ..LaunchAsk::default() }).await;
        let run = stage.drive(launched.run).await;
        assert_eq!(run.phase, Phase::Completed);
        let activation = activation_after(launched.run);
        assert_eq!(launched.activation_run, Some(activation));
        stage.start(activation).await;
        assert_eq!(stage.drive(activation).await.phase, Phase::Completed);
        assert_eq!(stage.balancer.serving(BALANCER, SITE), expected);
    }
    let stage = Stage::new().await;
    let then = OnSuccess { activate: false, deactivate_others: true };
    let ask = LaunchAsk { then, ..LaunchAsk::default() };
    let refused = stage.app().launch_appserver(&somebody(), stage.instance, ask).await;
    assert!(matches!(refused, Err(AppError::Invalid(_))), "{refused:?}");
}

async fn name_troubles(stage: &Stage) -> Vec<NameTrouble> {
    let loaded = stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap();
    loaded.state.present().unwrap().name_troubles.clone()
}

#[tokio::test(start_paused = true)]
async fn a_wrong_answer_after_a_switch_is_told_and_the_traffic_stays() {
    let stage = Stage::new().await;
    let second = two_appservers(&stage).await;
    let studio = format!("studio.{SITE}");
    let stranger = "apps_00000000-0000-7000-8000-00000000dead";
    let answer = |status, appserver: Option<&str>| {
        let appserver = appserver.map(str::to_owned);
        Some(SiteAnswer { status, appserver, ..SiteAnswer::default() })
    };
    // What a site without our header answers, and well; the balancer tells whose it is.
    let by = |route: &str| {
        let route = Some(route.to_owned());
        Some(SiteAnswer { status: 200, route, ..SiteAnswer::default() })
    };
    let own = backend_name(&stage.instance.to_string(), &registration().fragment_name_postfix);
    for (answer, says) in [
        (answer(503, None), "status 503"),
        (answer(200, Some(stranger)), "does not serve it"),
        (by("be-inst_of-another-site/appserver-2"), "be-inst_of-another-site/appserver-2 of the"),
        (by(&format!("{own}/appserver-1")), "appserver-1 of the balancer answers"),
        (None, "does not answer"),
    ] {
        stage.site.set_answer(&studio, answer);
        let began = stage.app().journal().now();
        let run = stage.begin_activation(second, true).await;
        assert_eq!(stage.drive(run).await.phase, Phase::Completed);
        assert!(stage.app().journal().now() - began < chrono::TimeDelta::seconds(60));
        assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-2"]);
        let troubles = name_troubles(&stage).await;
        assert_eq!(troubles.len(), 1, "{troubles:?}");
        assert_eq!(troubles[0].name, studio);
        assert!(troubles[0].trouble.contains(says), "{troubles:?}");
    }

    // A right answer ends it; so does one that is only late.
    stage.site.set_answer(&studio, answer(200, Some(second.to_string().as_str())));
    let run = stage.begin_activation(second, true).await;
    stage.drive(run).await;
    assert_eq!(name_troubles(&stage).await, []);
    let kinds = ["instance.names_troubled", "instance.names_recovered"];
    let told = stage.events(&kinds).await;
    assert_eq!(told.last().unwrap().kind, "instance.names_recovered");

    stage.site.set_answer(&studio, None);
    let run = stage.begin_activation(second, true).await;
    stage.drive_until(run, |run| run.steps.contains_key("check_names")).await;
    let late = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        stage.site.set_answer(&studio, answer(200, None));
    };
    tokio::join!(stage.drive(run), late);
    assert_eq!(stage.events(&kinds).await.len(), told.len());
}

#[tokio::test(start_paused = true)]
async fn every_name_of_a_site_is_asked_for_after_a_switch() {
    let stage = Stage::new().await;
    let launched = stage.launch().await;
    let before = stage.site.requests().len();
    let run = stage.begin_activation(launched.appserver, true).await;
    stage.drive(run).await;
    let asked = stage.site.requests().split_off(before);
    let mut asked: Vec<_> = asked.into_iter().map(|request| request.host).collect();
    asked.retain(|host| !host.starts_with("probe-"));
    let parts = ["", "preview.", "studio.", "discovery.", "ecommerce."];
    assert_eq!(asked, parts.map(|part| format!("{part}{SITE}")));
    let events = stage.events(&["instance.traffic_assigned"]).await;
    let assigned = events.last().unwrap();
    let event = Event::decode(&assigned.kind, assigned.schema, &assigned.data).unwrap();
    let Event::TrafficAssigned { names, .. } = event else { panic!("{assigned:?}") };
    assert_eq!(names.domains, asked);
}
