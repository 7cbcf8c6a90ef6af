//! Mails about launches that failed: one for each, whatever the mail server does, and nothing waits for it.

use super::runner::await_ends;
use super::scenarios::begin_mail;
use super::stage::{Stage, VirtualClock, somebody};
use ocim::app::LaunchAsk;
use ocim::processes::started_by;
use ocim_adapters::breaker::{BreakerLimits, BreakerState, Breakers, Guarded};
use ocim_adapters::faults::Fault;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::ids::RunId;
use ocim_domain::instance::Attempts;
use ocim_domain::mail::{Event, Mail, State};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Verb};
use std::sync::Arc;
use std::time::Duration;

/// Has every playbook end with an error.
fn misconfigure(stage: &Stage) {
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
}

/// The run that sends the mail about the launch that failed last.
async fn mail_run(stage: &Stage) -> RunId {
    let settled = stage.events(&["instance.launch_settled"]).await;
    settled.iter().rev().find_map(started_by).expect("a mail is asked for").run
}

async fn kinds(stage: &Stage) -> Vec<String> {
    let events = stage.events(&["mail.requested", "mail.delivered", "mail.given_up"]).await;
    events.into_iter().map(|event| event.kind).collect()
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_failed_is_told_once_with_its_reason_and_the_end_of_its_log() {
    let stage = Stage::new().await;
    misconfigure(&stage);
    let runner = stage.start_runner();
    let ask = LaunchAsk::default();
    let launched = stage.app().launch_appserver(&somebody(), stage.instance, ask).await;
    let launched = launched.unwrap().value;
    await_ends(&stage, 2).await;
    runner.stop().await;
    let [mail] = &stage.mailer.taken()[..] else { panic!("{:?}", stage.mailer.taken()) };
    assert_eq!(mail.subject, "[Ocim] AppServer 1 (alpha) failed to provision");
    assert_eq!(mail.to, ["Ops <ops@example.com>", "second@example.com"]);
    assert!(mail.message_id.ends_with("@example.com"), "{}", mail.message_id);
    for part in [&mail.text, &mail.html] {
        for told in
            ["alpha.example.com", "run_main_playbook", "exit status 2", "kept for debugging"]
        {
            assert!(part.contains(told), "{told}: {part}");
        }
        assert!(part.contains(&launched.run.to_string()) && part.contains("PLAY RECAP"), "{part}");
    }
    let log = &mail.attachment.as_ref().unwrap().text;
    assert!(log.contains("create_server | ") && log.contains("PLAY RECAP"), "{log}");
    assert_eq!(kinds(&stage).await, ["mail.requested", "mail.delivered"]);
    // Nodes that read the same event later start no second run.
    let other = stage.start_runner();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    other.stop().await;
    assert_eq!(stage.mailer.taken().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_launch_of_several_attempts_is_told_once_after_the_last() {
    let stage = Stage::new().await;
    misconfigure(&stage);
    let runner = stage.start_runner();
    let attempts = Attempts { attempts: 3.try_into().unwrap(), ..Attempts::ONE };
    let ask = LaunchAsk { attempts, ..LaunchAsk::default() };
    stage.app().launch_appserver(&somebody(), stage.instance, ask).await.unwrap();
    // Three launches, one mail.
    await_ends(&stage, 4).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    runner.stop().await;
    let [mail] = &stage.mailer.taken()[..] else { panic!("{:?}", stage.mailer.taken()) };
    assert_eq!(mail.subject, "[Ocim] AppServer 3 (alpha) failed to provision");
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_fails_before_there_is_an_appserver_is_told_too() {
    let stage = Stage::new().await;
    stage.playbooks.faults.fail_always("resolve_playbook", Fault::Before(Class::Permanent));
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert!(matches!(stage.drive(launched.run).await.phase, Phase::Unwound(_)));
    let run = mail_run(&stage).await;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let mail = &stage.mailer.taken()[0];
    assert!(mail.text.contains("resolve_playbooks"), "{}", mail.text);
    assert!(mail.text.contains("`resolve_playbook` failed as ordered"), "{}", mail.text);
    assert!(!mail.text.contains("kept for debugging"), "there is no machine: {}", mail.text);
}

#[tokio::test(start_paused = true)]
async fn what_went_well_or_was_cancelled_is_told_to_nobody_and_nobody_has_no_mail() {
    let stage = Stage::new().await;
    stage.launch().await;
    let second = stage.begin_launch(LaunchAsk::default()).await;
    stage.cancel(second.run).await;
    stage.drive(second.run).await;
    let settled = stage.events(&["instance.launch_settled"]).await;
    assert_eq!((settled.len(), settled.iter().filter_map(started_by).count()), (2, 0));
    // Whoever names nobody has no runs that come to nothing.
    let alone = Stage::build(|world| world.deployment.mail.admins.clear()).await;
    misconfigure(&alone);
    let runner = alone.start_runner();
    let ask = LaunchAsk::default();
    alone.app().launch_appserver(&somebody(), alone.instance, ask).await.unwrap();
    await_ends(&alone, 1).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    runner.stop().await;
    let started = alone.events(&["saga.started"]).await;
    assert!(started.iter().all(|event| event.data["definition"] != "send_mail"));
}

#[tokio::test(start_paused = true)]
async fn a_mail_server_that_is_away_costs_no_attempt_and_stops_nothing() {
    let mut made = None;
    let stage = Stage::build(|world| {
        let breakers = Breakers::new(Arc::new(VirtualClock::start()), BreakerLimits::default());
        let mailer = Arc::clone(&world.ports.mailer);
        world.ports.mailer = Arc::new(Guarded::new(mailer, &breakers, "mail server"));
        made = Some(breakers);
    })
    .await;
    stage.mailer.faults.fail_always("send_mail", Fault::Before(Class::Transient));
    misconfigure(&stage);
    let runner = stage.start_runner();
    for _ in 0..3 {
        let ask = LaunchAsk::default();
        stage.app().launch_appserver(&somebody(), stage.instance, ask).await.unwrap();
        // The launch itself comes to its end as ever.
        let settled = stage.events(&["instance.launch_settled"]).await.len();
        while stage.events(&["instance.launch_settled"]).await.len() == settled {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(4 * 3600)).await;
    let shown = made.unwrap().snapshot();
    let server = shown.iter().find(|it| it.provider == "mail server").unwrap();
    assert!(matches!(server.state, BreakerState::Open { .. } | BreakerState::HalfOpen));
    let run = mail_run(&stage).await;
    assert_eq!(stage.run(run).await.phase, Phase::Forward, "it is tried on");
    assert!(stage.run(run).await.effort("deliver_mail").attempt < 20);
    stage.mailer.faults.clear();
    await_ends(&stage, 6).await;
    runner.stop().await;
    assert_eq!((stage.mailer.ids().len(), stage.mailer.taken().len()), (3, 3));
}

/// All wait half an hour for those whom the server asks patience for.
#[tokio::test(start_paused = true)]
async fn a_mail_is_overdue_once_it_was_asked_patience_for_half_an_hour() {
    const PATIENCE: Duration = Duration::from_secs(300);
    for (refusals, is_overdue) in [(5, false), (6, true)] {
        let stage = Stage::new().await;
        misconfigure(&stage);
        for nth in 1..=refusals {
            stage.mailer.faults.fail("send_mail", nth, Fault::Before(Class::RateLimited(PATIENCE)));
        }
        let runner = stage.start_runner();
        let ask = LaunchAsk::default();
        stage.app().launch_appserver(&somebody(), stage.instance, ask).await.unwrap();
        await_ends(&stage, 2).await;
        runner.stop().await;
        let [mail] = &stage.mailer.taken()[..] else { panic!("{:?}", stage.mailer.taken()) };
        assert_eq!(mail.is_overdue, is_overdue, "after {refusals} times");
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_refused_keeps_no_other_from_its_mail() {
    let stage = Stage::new().await;
    stage.mailer.refuse("second@example.com");
    let run = begin_mail(&stage).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let delivered = stage.events(&["mail.delivered"]).await;
    assert_eq!(delivered[0].data["refused"], 1);
    let lines = stage.world.logs.read_lines(run, 1, 100).await.unwrap();
    assert!(lines.iter().any(|line| line.line.text.contains("not for second@example.com: 550")));
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_is_refused_waits_for_somebody_and_is_sent_after_all() {
    let stage = Stage::new().await;
    stage.mailer.faults.fail_always("send_mail", Fault::Before(Class::Permanent));
    let run = begin_mail(&stage).await;
    let stuck = stage.drive(run).await;
    assert!(matches!(&stuck.phase, Phase::Stuck { step, .. } if step == "deliver_mail"));
    stage.mailer.faults.clear();
    let verb = Verb::RetryStep { step: "deliver_mail".to_owned() };
    let reason = "it is mended".to_owned();
    stage.app().operate_run(&somebody(), run, verb, reason, false).await.unwrap();
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert_eq!(stage.mailer.taken().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_mail_that_is_abandoned_is_given_up_with_the_reason() {
    let stage = Stage::new().await;
    stage.mailer.faults.fail_always("send_mail", Fault::Before(Class::Permanent));
    let run = begin_mail(&stage).await;
    stage.drive(run).await;
    let runner = stage.start_runner();
    let reason = "nobody needs it".to_owned();
    let abandoned = stage.app().operate_run(&somebody(), run, Verb::Abandon, reason, false).await;
    abandoned.unwrap();
    while !kinds(&stage).await.contains(&"mail.given_up".to_owned()) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    runner.stop().await;
    let given_up = stage.events(&["mail.given_up"]).await;
    let loaded = stage.app().journal().load::<Mail>(&given_up[0].stream).await.unwrap();
    assert_eq!(loaded.state, State::GivenUp);
    let Event::GivenUp { reason } =
        ocim_domain::event::DomainEvent::decode("mail.given_up", 1, &given_up[0].data).unwrap()
    else {
        panic!("{given_up:?}")
    };
    assert!(!reason.is_empty());
}
