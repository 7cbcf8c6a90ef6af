//! Pauses: commands are taken and wait, what is under way ends, and nobody loses time or attempts by it.

use super::scenarios::ACTIVE;
use super::stage::{Stage, because, somebody};
use ocim::app::{AppError, Caller, LaunchAsk};
use ocim_adapters::breaker::circuits::Circuits;
use ocim_adapters::breaker::{BreakerLimits, Breakers, Guarded};
use ocim_adapters::dns::Dns;
use ocim_adapters::faults::Fault;
use ocim_domain::ids::RunId;
use ocim_domain::incident::{Kind, Subject};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Command, Event, Phase, Run, Saga};
use std::sync::Arc;
use std::time::Duration;

const DAYS: Duration = Duration::from_secs(3 * 24 * 3600);

fn region() -> Subject {
    Subject::Region(super::stage::REGION.to_owned())
}

impl Stage {
    async fn pause(&self, subject: Subject) {
        self.app().pause_work(&because(), subject, None).await.unwrap();
    }

    async fn resume_work(&self, subject: &Subject, rate: Option<u32>) {
        self.app().resume_work(&somebody(), subject, rate).await.unwrap();
    }

    async fn drive_until_held(&self, run: RunId) -> Run {
        self.drive_until(run, |run| run.held.is_some()).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_launch_waits_through_a_pause_of_all_work_and_loses_no_time() {
    let stage = Stage::new().await;
    stage.pause(Subject::All).await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let run = stage.drive_until_held(launched.run).await;
    assert!(run.steps.is_empty() && stage.cloud.machines().is_empty(), "{run:?}");
    let told = stage.app().explain_run(&somebody(), launched.run).await.unwrap();
    assert!(told.sentence.contains("all work is paused: a test"), "{}", told.sentence);
    // Far beyond any deadline of a launch.
    tokio::time::sleep(DAYS).await;
    stage.resume_work(&Subject::All, None).await;
    let run = stage.drive(launched.run).await;
    assert_eq!(run.phase, Phase::Completed);
    assert!(run.efforts.values().all(|effort| effort.attempt <= 1), "{:?}", run.efforts);
    let history = stage.history(launched.run).await;
    for (kind, times) in [("saga.held_up", 1), ("saga.let_go", 1)] {
        assert_eq!(history.iter().filter(|(it, _)| it == kind).count(), times, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_under_way_ends_and_nothing_more_begins_in_a_region_that_is_paused() {
    let stage = Stage::new().await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until(launched.run, |run| run.steps.contains_key("create_server")).await;
    stage.pause(region()).await;
    let run = stage.drive_until_held(launched.run).await;
    assert!(run.steps["create_server"].is_finished(), "{:?}", run.steps);
    assert!(!run.steps.contains_key("await_ssh"), "{:?}", run.steps);
    // A cancel is taken, and carried out once work goes on.
    stage.record_cancel(launched.run).await;
    assert_eq!(stage.drive_until_held(launched.run).await.phase, Phase::Forward);
    assert_eq!(stage.cloud.machines().len(), 1);
    stage.resume_work(&region(), None).await;
    let run = stage.drive(launched.run).await;
    assert!(matches!(run.phase, Phase::Unwound(_)), "{:?}", run.phase);
    assert!(stage.cloud.machines().is_empty());
}

#[tokio::test(start_paused = true)]
async fn another_regions_pause_holds_nobody_up() {
    let stage = Stage::new().await;
    for elsewhere in [
        Subject::Region("elsewhere".to_owned()),
        Subject::Provider("region elsewhere".to_owned()),
        Subject::Provider("balancer nobody.example.com".to_owned()),
    ] {
        let refused = stage.app().pause_work(&because(), elsewhere, None).await;
        assert!(matches!(refused, Err(AppError::Invalid(_))), "{refused:?}");
    }
    let subject = Subject::Provider("playbooks https://nobody.example.com".to_owned());
    stage.pause(subject).await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
}

#[tokio::test(start_paused = true)]
async fn a_pause_outlives_a_restart_and_ends_by_itself_when_its_time_has_come() {
    let stage = Stage::new().await;
    let until = stage.app().journal().now() + Duration::from_secs(7200);
    stage.app().pause_work(&because(), Subject::All, Some(until)).await.unwrap();
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    stage.drive_until_held(launched.run).await;
    let again = Stage::resume(stage.outside.clone(), stage.instance);
    again.app().refresh_incidents().await.unwrap();
    let run = again.drive_until_held(launched.run).await;
    assert_eq!((run.phase, again.app().incidents().open().len()), (Phase::Forward, 1));
    again.app().keep_incidents(&again.world.deployment.own_masker).await.unwrap();
    assert_eq!(again.app().incidents().open().len(), 1, "its time has not come");
    tokio::time::sleep(Duration::from_secs(7200)).await;
    again.app().keep_incidents(&again.world.deployment.own_masker).await.unwrap();
    assert!(again.app().incidents().open().is_empty());
    assert_eq!(again.drive(launched.run).await.phase, Phase::Completed);
    let ended = again.events(&["incident.ended"]).await;
    assert_eq!(ended[0].meta.actor, "system");
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_go_on_one_by_one_the_oldest_first() {
    let stage = Stage::new().await;
    stage.pause(Subject::All).await;
    let runner = stage.start_runner();
    let asked = stage.ask_many(4).await;
    let count = async |kind: &str| stage.events(&[kind]).await.len();
    while count("saga.held_up").await < 4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stage.resume_work(&Subject::All, Some(6)).await;
    while count("saga.let_go").await < 4 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let gone = stage.events(&["saga.let_go"]).await;
    let order: Vec<_> = gone.iter().map(|event| event.stream.clone()).collect();
    let mut runs: Vec<_> = asked.iter().map(|launched| launched.run).collect();
    runs.sort();
    assert_eq!(order, runs.iter().map(|run| run.stream()).collect::<Vec<_>>());
    for pair in gone.windows(2) {
        let pause = pair[1].recorded_at - pair[0].recorded_at;
        assert!(pause >= chrono::TimeDelta::seconds(9), "{pause}");
        assert!(pause <= chrono::TimeDelta::seconds(25), "{pause}");
    }
    runner.stop().await;
    stage.app().keep_incidents(&stage.world.deployment.own_masker).await.unwrap();
    while !stage.app().incidents().open().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        stage.app().keep_incidents(&stage.world.deployment.own_masker).await.unwrap();
    }
}

/// A stage whose DNS stands behind a circuit.
async fn guarded_stage() -> (Stage, Breakers) {
    let clock: Arc<dyn ocim_domain::system::Clock> =
        Arc::new(ocim::simulation::stage::VirtualClock::start());
    let limits = BreakerLimits { failures_max: 2, ..BreakerLimits::default() };
    let breakers = Breakers::new(clock, limits);
    let circuits: Arc<dyn Circuits> = Arc::new(breakers.clone());
    let guarded = breakers.clone();
    let stage = Stage::build(move |world| {
        let dns = world.ports.dns.take().unwrap();
        world.ports.dns = Some(Arc::new(Guarded::<dyn Dns>::new(dns, &guarded, "DNS")));
        world.app = world.app.clone().with_circuits(circuits);
    })
    .await;
    (stage, breakers)
}

#[tokio::test(start_paused = true)]
async fn a_paused_provider_gets_no_work_and_answers_questions() {
    let (stage, _) = guarded_stage().await;
    let dns = Subject::Provider("DNS".to_owned());
    stage.pause(dns.clone()).await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let run = stage.drive_until_held(launched.run).await;
    assert!(run.held.as_ref().is_some_and(|held| held.why.contains("DNS is paused: a test")));
    assert!(stage.dns.aliases().is_empty());
    tokio::time::sleep(DAYS).await;
    stage.resume_work(&dns, None).await;
    let run = stage.drive(launched.run).await;
    assert_eq!((run.phase, run.efforts["write_dns_records"].attempt), (Phase::Completed, 1));
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_line_behind_one_that_stands_still_stands_still_too_and_is_free_with_it() {
    let (stage, _) = guarded_stage().await;
    let dns = Subject::Provider("DNS".to_owned());
    stage.pause(dns.clone()).await;
    let ask = || LaunchAsk { queue: true, ..ACTIVE };
    let first = stage.begin_launch(ask()).await;
    stage.drive_until_held(first.run).await;
    let second = stage.begin_launch(ask()).await;
    let third = stage.begin_launch(ask()).await;
    let run = stage.drive_until_held(second.run).await;
    let held = run.held.unwrap();
    assert!(held.why.contains("before it in line stand still: DNS is paused"), "{}", held.why);
    stage.drive_until_held(third.run).await;
    // Far beyond the longest that anybody waits for his turn.
    tokio::time::sleep(DAYS).await;
    // A cancel frees the one from the line, and leaves the other in it.
    stage.cancel(second.run).await;
    let run = stage.drive(second.run).await;
    assert!(matches!(run.phase, Phase::Unwound(_)), "{:?}", run.phase);
    assert!(stage.drive_until_held(third.run).await.held.is_some());
    stage.resume_work(&dns, Some(1)).await;
    for run in [first.run, third.run] {
        assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    }
}

/// Has a run stand still by a paused provider, as the one that meets it does.
async fn hold(stage: &Stage, run: RunId, subject: &Subject) {
    let (incident, _) = stage.app().incidents().open().into_iter().next().unwrap();
    let (why, at) = (format!("{subject} is paused"), stage.app().journal().now());
    let held = Command::Report(Event::HeldUp { incident, why, at });
    let executed =
        stage.app().journal().execute::<Saga>(&run.stream(), &somebody().metadata(), held).await;
    executed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_loses_time_by_a_slot_whose_holders_all_stand_still_and_all_do_while_one_gets_on() {
    let stage = Stage::build(|world| world.limits.launches_max_default = 2).await;
    let asked = stage.ask_many(3).await;
    for launched in &asked {
        stage.start(launched.run).await;
    }
    for launched in &asked[..2] {
        stage.drive_until(launched.run, |run| run.steps.contains_key("create_server")).await;
    }
    let waiting = asked[2].run;
    stage.drive_until(waiting, |run| run.steps.contains_key("await_slot")).await;
    let mail = Subject::Provider("mail server".to_owned());
    stage.pause(mail.clone()).await;
    hold(&stage, asked[0].run, &mail).await;
    let is_held = async || {
        let run = stage.run(waiting).await;
        stage.app().hold_up(waiting, &run).await.is_some()
    };
    assert!(!is_held().await, "one of them gets on");
    hold(&stage, asked[1].run, &mail).await;
    assert!(is_held().await);
    assert!(stage.drive_until_held(waiting).await.held.is_some());
    stage.resume_work(&mail, None).await;
    assert!(!is_held().await);
    for launched in &asked {
        assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_traffic_stands_still_with_whoever_moves_it() {
    let stage = Stage::new().await;
    let (one, other) = (stage.launch().await, stage.launch().await);
    let first = stage.begin_activation(one.appserver, false).await;
    let has_claimed =
        |run: &Run| run.steps.get("claim_traffic").is_some_and(|step| step.is_finished());
    stage.drive_until(first, has_claimed).await;
    let second = stage.begin_activation(other.appserver, false).await;
    stage.drive_until(second, |run| run.steps.contains_key("claim_traffic")).await;
    let mail = Subject::Provider("mail server".to_owned());
    stage.pause(mail.clone()).await;
    let run = stage.run(second).await;
    assert_eq!(stage.app().hold_up(second, &run).await.map(|hold| hold.why), None);
    hold(&stage, first, &mail).await;
    stage.drive_until_held(second).await;
    tokio::time::sleep(DAYS).await;
    stage.resume_work(&mail, None).await;
    for run in [first, second] {
        assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_may_go_stands_still_for_no_pause_of_those_that_have_left_the_line() {
    let (stage, _) = guarded_stage().await;
    let dns = Subject::Provider("DNS".to_owned());
    stage.pause(dns.clone()).await;
    let ask = || LaunchAsk { queue: true, ..LaunchAsk::default() };
    let first = stage.begin_launch(ask()).await;
    stage.drive_until_held(first.run).await;
    let second = stage.begin_launch(ask()).await;
    stage.drive_until_held(second.run).await;
    let (id, why) = (first.run, "given up".to_owned());
    let abandon = ocim_domain::saga::Verb::Abandon;
    stage.app().operate_run(&somebody(), id, abandon, why, false).await.unwrap();
    // It gives its turn back, and the other goes as far as the pause lets it by itself.
    let runner = stage.start_runner();
    let is_let_go = |run: &Run| run.held.is_some() && run.steps.contains_key("write_dns_records");
    while !is_let_go(&stage.run(second.run).await) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    runner.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_circuit_is_an_incident_from_its_opening_to_its_closing() {
    let (stage, _) = guarded_stage().await;
    stage.dns.faults.fail_always("set_names", Fault::Before(Class::Transient));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    let is_open = || !stage.app().open_circuits().is_empty();
    stage.drive_until(launched.run, |_| is_open()).await;
    stage.app().keep_incidents(&stage.world.deployment.own_masker).await.unwrap();
    stage.app().keep_incidents(&stage.world.deployment.own_masker).await.unwrap();
    let open = stage.app().incidents().open();
    assert_eq!(open.len(), 1);
    let (id, outage) = &open[0];
    assert_eq!(
        (outage.kind, &outage.subject),
        (Kind::Outage, &Subject::Provider("DNS".to_owned()))
    );
    let told = stage.app().explain_run(&somebody(), launched.run).await.unwrap();
    assert!(told.sentence.contains(&id.to_string()), "{}", told.sentence);
    let by = Caller { reason: Some("in vain".to_owned()), ..somebody() };
    let subject = Subject::Provider("DNS".to_owned());
    let refused = stage.app().resume_work(&by, &subject, None).await;
    assert!(matches!(refused, Err(AppError::Rejected { .. })), "{refused:?}");

    stage.dns.faults.clear();
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    stage.app().keep_incidents(&stage.world.deployment.own_masker).await.unwrap();
    assert!(stage.app().incidents().open().is_empty());
    let told = stage.events(&["incident.began", "incident.ended"]).await;
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["incident.began", "incident.ended"]);
}
