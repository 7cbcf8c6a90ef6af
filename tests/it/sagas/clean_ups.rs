//! The daily clean-up: what is obsolete goes, and only that, whatever happens to it or beside it.

use super::crash_store::{Harm, Mark, Moment};
use super::newer::append_newer;
use super::scenarios::{assert_sound, look};
use super::stage::{REGION, Stage, because, somebody};
use ocim::app::LaunchAsk;
use ocim::clean_up::KeptServers;
use ocim::processes::started_by;
use ocim::timers::Timers;
use ocim_adapters::playbooks::RunState;
use ocim_adapters::playbooks::fake::Script;
use ocim_domain::appserver::{Appserver, Present};
use ocim_domain::ids::{AppserverId, InstanceId, RunId};
use ocim_domain::incident::Subject;
use ocim_domain::instance::clean_up::Rule;
use ocim_domain::saga::Phase;
use ocim_domain::timer::{Job, Outcome};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);
const JOB: Job = Job::CleanUpAppservers;

async fn load(stage: &Stage, id: AppserverId) -> Present {
    let loaded = stage.app().journal().load::<Appserver>(&id.stream()).await.unwrap().state;
    loaded.present().unwrap().clone()
}

/// The clean-ups that were asked for, in order: whose, and their runs.
async fn requests(stage: &Stage) -> Vec<(AppserverId, RunId)> {
    let asked = stage.events(&["appserver.clean_up_requested"]).await;
    asked
        .iter()
        .map(|event| (AppserverId(event.stream.id()), started_by(event).unwrap().run))
        .collect()
}

/// The timer's run, driven to its end; what it says came of it.
async fn clean_up(stage: &Stage) -> Outcome {
    let run = stage.app().run_timer(&somebody(), JOB).await.unwrap().value;
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    stage.app().read_timer(JOB).await.unwrap().last.unwrap().outcome.unwrap()
}

fn outcome(instances: u64, requested: u64, refused: &[(&str, u64)], failed: u64) -> Outcome {
    let refused = refused.iter().map(|(why, count)| ((*why).to_owned(), *count)).collect();
    Outcome::AppserversCleanedUp { instances, requested, refused, failed }
}

/// An Appserver of that instance that runs and serves nobody.
async fn launch_of(stage: &Stage, instance: InstanceId) -> AppserverId {
    let asked = stage.app().launch_appserver(&somebody(), instance, LaunchAsk::default()).await;
    let launched = asked.unwrap().value;
    stage.start(launched.run).await;
    assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
    launched.appserver
}

/// One that is obsolete in two days, and one that is newer and runs.
async fn launch_two(stage: &Stage) -> [AppserverId; 2] {
    [launch_of(stage, stage.instance).await, launch_of(stage, stage.instance).await]
}

#[tokio::test(start_paused = true)]
async fn what_is_obsolete_goes_at_one_o_clock_and_fallback_and_release_candidate_stay() {
    let stage = Stage::new().await;
    let fallback = stage.launch().await.appserver;
    let serving = stage.launch_active().await.appserver;
    let candidate = stage.launch().await.appserver;
    let mut timers = Timers::new(stage.app().clone());
    timers.look().await;
    // The first night: what serves has not done so for two days.
    stage.sleep_until(JOB.next_due(stage.app().journal().now())).await;
    timers.look().await;
    let run = JOB.run_at(JOB.latest_due(stage.app().journal().now()));
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let plan = stage.app().plan_clean_up(stage.instance, None).await.unwrap();
    let words: Vec<_> = plan.verdicts.iter().map(|(id, _, it)| (*id, it.word())).collect();
    let expected = [(fallback, "fallback"), (serving, "serves"), (candidate, "release_candidate")];
    assert_eq!(words, expected);
    assert!(requests(&stage).await.is_empty());
    tokio::time::sleep(2 * DAY).await;
    timers.look().await;
    let run = JOB.run_at(JOB.latest_due(stage.app().journal().now()));
    stage.start(run).await;
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    let [(obsolete, clean_up_run)] = requests(&stage).await[..] else { panic!("one goes") };
    assert_eq!(obsolete, fallback);
    let last = stage.app().read_timer(JOB).await.unwrap().last.unwrap();
    assert_eq!((last.run, last.outcome), (run, Some(outcome(1, 1, &[], 0))));
    stage.start(clean_up_run).await;
    let ended = stage.drive(clean_up_run).await;
    assert_eq!(ended.phase, Phase::Completed);
    assert_sound(&look(&stage, clean_up_run, &ended).await, "clean-up");
    assert!(load(&stage, fallback).await.server_gone);
    assert_eq!(stage.cloud.machines().len(), 2, "the others stay");
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[], 0), "there is nothing left to do");
    let lines = stage.world.logs.read_lines(run, 1, usize::MAX).await.unwrap();
    let told: Vec<_> = lines.iter().map(|line| line.line.text.as_str()).collect();
    let goes = "alpha.example.com: AppServer 1";
    assert!(told.iter().any(|line| line.starts_with(goes) && line.contains("serves since")));
    assert!(told.iter().any(|line| line.contains("looked at 1 instances")), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_can_not_be_looked_at_keeps_no_other_from_its_clean_up() {
    let stage = Stage::new().await;
    let mut instances = vec![stage.instance];
    for launched in stage.ask_many(2).await {
        stage.start(launched.run).await;
        assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
        instances.push(load(&stage, launched.appserver).await.launched.instance);
    }
    let mut first = vec![];
    for instance in &instances {
        let plan = stage.app().plan_clean_up(*instance, None).await.unwrap();
        let known = plan.verdicts.first().map(|(id, ..)| *id);
        let newer = launch_of(&stage, *instance).await;
        first.push(known.unwrap_or(newer));
    }
    let second = launch_of(&stage, stage.instance).await;
    assert_ne!(first[0], second);
    tokio::time::sleep(3 * DAY).await;
    // The one in the middle.
    instances.sort_unstable();
    let broken = instances[1];
    append_newer(&stage, &broken.stream(), "instance.moved_to_the_moon", 1).await;
    assert_eq!(clean_up(&stage).await, outcome(3, 2, &[], 1));
    let mut gone: Vec<_> = requests(&stage).await.into_iter().map(|(id, _)| id).collect();
    gone.sort_unstable();
    let mut expected = vec![];
    for id in first {
        if load(&stage, id).await.launched.instance != broken {
            expected.push(id);
        }
    }
    expected.sort_unstable();
    assert_eq!(gone, expected);
}

#[tokio::test(start_paused = true)]
async fn a_crash_half_way_asks_for_nothing_twice_and_leaves_nothing_out() {
    for moment in [Moment::Before, Moment::After] {
        let stage = Stage::new().await;
        launch_two(&stage).await;
        stage.launch().await;
        tokio::time::sleep(3 * DAY).await;
        let asks = Mark::Step(&["appserver.clean_up_requested"], "");
        stage.store.order(asks, moment, Harm::Crash);
        assert_eq!(clean_up(&stage).await, outcome(1, 2, &[], 0));
        assert!(stage.store.struck());
        let asked = requests(&stage).await;
        assert_eq!(asked.len(), 2, "{asked:?}");
        for (_, run) in asked {
            stage.start(run).await;
            assert_eq!(stage.drive(run).await.phase, Phase::Completed);
        }
        assert_eq!(stage.cloud.machines().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_asked_again_and_nobody_is_left_out() {
    let stage = Stage::new().await;
    let [first, _] = launch_two(&stage).await;
    tokio::time::sleep(3 * DAY).await;
    let asks = Mark::Step(&["appserver.clean_up_requested"], "");
    stage.store.order(asks, Moment::Before, Harm::Outage);
    assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0));
    assert!(stage.store.struck());
    let [(asked, _)] = requests(&stage).await[..] else { panic!("one goes") };
    assert_eq!(asked, first);
}

#[tokio::test(start_paused = true)]
async fn whoever_is_taken_into_traffic_between_the_look_and_the_deed_stays() {
    let stage = Stage::new().await;
    let [first, _] = launch_two(&stage).await;
    tokio::time::sleep(3 * DAY).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0));
    let [(asked, run)] = requests(&stage).await[..] else { panic!("one goes") };
    assert_eq!(asked, first);
    let activation = stage.begin_activation(first, true).await;
    assert_eq!(stage.drive(activation).await.phase, Phase::Completed);
    stage.start(run).await;
    let ended = stage.drive(run).await;
    assert!(matches!(ended.phase, Phase::Unwound(_)), "{:?}", ended.phase);
    assert_sound(&look(&stage, run, &ended).await, "it serves");
    let left = load(&stage, first).await;
    assert!(left.active && !left.is_leaving() && stage.cloud.machines().len() == 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_needed_again_by_the_time_its_clean_up_begins_stays() {
    let stage = Stage::new().await;
    let [first, second] = launch_two(&stage).await;
    tokio::time::sleep(3 * DAY).await;
    clean_up(&stage).await;
    let [(_, run)] = requests(&stage).await[..] else { panic!("one goes") };
    // The one that was the newest that runs leaves: now the other one is.
    let termination = stage.begin_termination(second).await;
    assert_eq!(stage.drive(termination).await.phase, Phase::Completed);
    stage.start(run).await;
    let ended = stage.drive(run).await;
    let Phase::Unwound(cause) = &ended.phase else { panic!("{:?}", ended.phase) };
    assert!(format!("{cause:?}").contains("kept as release candidate"), "{cause:?}");
    assert!(!load(&stage, first).await.server_gone && stage.cloud.machines().len() == 1);
}

#[tokio::test(start_paused = true)]
async fn a_hold_keeps_obsolete_machines_and_a_day_later_they_go() {
    let stage = Stage::new().await;
    launch_two(&stage).await;
    tokio::time::sleep(3 * DAY).await;
    let until = stage.app().journal().now() + DAY;
    stage.app().hold_instance(&because(), stage.instance, until).await.unwrap();
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[("held", 1)], 0));
    assert!(requests(&stage).await.is_empty());
    stage.sleep_until(until).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_at_work_keeps_its_machine_until_it_has_ended() {
    let stage = Stage::new().await;
    let [first, _] = launch_two(&stage).await;
    tokio::time::sleep(3 * DAY).await;
    // It has not even begun.
    let ask = ocim::app::ActivateAsk::default();
    let activation = stage.app().activate_appserver(&somebody(), first, ask).await.unwrap().value;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[("at_work", 1)], 0));
    stage.start(activation).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[("at_work", 1)], 0));
    stage.cancel(activation).await;
    assert!(matches!(stage.drive(activation).await.phase, Phase::Unwound(_)));
    assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0));
}

#[tokio::test(start_paused = true)]
async fn in_a_paused_region_clean_ups_wait_and_are_not_piled_up() {
    let stage = Stage::new().await;
    let [first, _] = launch_two(&stage).await;
    tokio::time::sleep(3 * DAY).await;
    let region = Subject::Region(REGION.to_owned());
    stage.app().pause_work(&because(), region.clone(), None).await.unwrap();
    assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0));
    let [(_, run)] = requests(&stage).await[..] else { panic!("one goes") };
    stage.start(run).await;
    stage.drive_until(run, |run| run.held.is_some()).await;
    tokio::time::sleep(DAY).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[("at_work", 1)], 0));
    assert_eq!(requests(&stage).await.len(), 1);
    assert_eq!(stage.cloud.machines().len(), 2);
    stage.app().resume_work(&somebody(), &region, None).await.unwrap();
    assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    assert!(load(&stage, first).await.server_gone);
}

#[tokio::test(start_paused = true)]
async fn an_instance_has_a_rule_of_its_own_or_none_at_all() {
    let stage = Stage::new().await;
    launch_two(&stage).await;
    let rule = async |rule| {
        stage.app().change_clean_up(&because(), stage.instance, rule).await.unwrap();
    };
    rule(Some(Rule::Days(5))).await;
    tokio::time::sleep(3 * DAY).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[], 0));
    rule(Some(Rule::Off)).await;
    tokio::time::sleep(30 * DAY).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[], 0));
    rule(None).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0));
}

#[tokio::test(start_paused = true)]
async fn a_failed_one_goes_at_its_own_date_and_not_before_or_while_clean_up_is_off() {
    let stage = Stage::new().await;
    let end = RunState::Exited(2);
    stage.playbooks.set_default_script(Script { end, ..Script::default() });
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    assert!(matches!(stage.drive(launched.run).await.phase, Phase::Unwound(_)));
    let later = stage.app().journal().now() + 10 * DAY;
    stage.app().keep_server(&because(), launched.appserver, later).await.unwrap();
    tokio::time::sleep(9 * DAY).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[], 0), "somebody keeps it");
    stage.app().change_clean_up(&because(), stage.instance, Some(Rule::Off)).await.unwrap();
    stage.sleep_until(later + DAY).await;
    let mut kept = KeptServers::new(stage.app().clone());
    kept.look().await.unwrap();
    assert!(requests(&stage).await.is_empty(), "nothing goes by itself");
    stage.app().change_clean_up(&because(), stage.instance, None).await.unwrap();
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[], 0), "its date is another's business");
    kept.look().await.unwrap();
    let [(asked, run)] = requests(&stage).await[..] else { panic!("its date has come") };
    assert_eq!(asked, launched.appserver);
    // Called off, it stays until somebody decides anew.
    stage.start(run).await;
    stage.cancel(run).await;
    assert!(matches!(stage.drive(run).await.phase, Phase::Unwound(_)));
    tokio::time::sleep(3 * DAY).await;
    assert_eq!(clean_up(&stage).await, outcome(1, 0, &[], 0));
    kept.look().await.unwrap();
    assert_eq!((requests(&stage).await.len(), stage.cloud.machines().len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_clean_up_of_an_obsolete_machine_comes_with_the_next_one() {
    for step in ["claim_traffic", "start_clean_up", "delete_server"] {
        let stage = Stage::new().await;
        let [first, _] = launch_two(&stage).await;
        tokio::time::sleep(3 * DAY).await;
        clean_up(&stage).await;
        let [(_, run)] = requests(&stage).await[..] else { panic!("one goes") };
        stage.start(run).await;
        stage.drive_until(run, |run| run.steps.contains_key(step)).await;
        let verb = ocim_domain::saga::Verb::Abandon;
        let (by, why) = (somebody(), "a test".to_owned());
        stage.app().operate_run(&by, run, verb, why, false).await.unwrap();
        let runner = stage.start_runner();
        tokio::time::sleep(DAY).await;
        runner.stop().await;
        assert!(!load(&stage, first).await.is_leaving(), "{step}");
        assert_eq!(clean_up(&stage).await, outcome(1, 1, &[], 0), "{step}");
        let (_, again) = requests(&stage).await[1];
        stage.start(again).await;
        assert_eq!(stage.drive(again).await.phase, Phase::Completed, "{step}");
        assert!(load(&stage, first).await.server_gone, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_link_leads_no_browser_to_a_machine_that_was_cleaned_up() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let first = stage.launch().await.appserver;
    stage.launch().await;
    tokio::time::sleep(3 * DAY).await;
    let link = stage.begin_link(first).await;
    assert_eq!(stage.drive(link.run).await.phase, Phase::Completed);
    let leads = |stage: &Stage| {
        let fragments = stage.balancer.fragments(super::stage::BALANCER);
        fragments.values().any(|it| it.configuration.contains("appserver-2"))
    };
    assert!(leads(&stage));
    clean_up(&stage).await;
    let [(_, run)] = requests(&stage).await[..] else { panic!("one goes") };
    stage.start(run).await;
    let ended = stage.drive(run).await;
    assert_eq!(ended.phase, Phase::Completed);
    assert_sound(&look(&stage, run, &ended).await, "a link led there");
    assert!(!leads(&stage));
}
