//! A rehearsed launch tells what the launch then does, and leaves no trace.

use super::stage::{Stage, because, somebody};
use chrono::TimeDelta;
use ocim::app::{Caller, LaunchAsk};
use ocim::launch_plan::{LaunchPlan, LaunchPlanner, PlanAsk, Playbook, VariableDifference};
use ocim_adapters::faults::Fault;
use ocim_domain::appserver::Appserver;
use ocim_domain::configuration::Variables;
use ocim_domain::configuration::shown_variables::hide_secrets;
use ocim_domain::event::DomainEvent;
use ocim_domain::instance::OnSuccess;
use ocim_domain::port_error::Class;
use ocim_domain::saga::{ErrorCode, Event, Phase};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Stage {
    async fn plan(&self, activate: bool) -> LaunchPlan {
        let planner = LaunchPlanner::new(Arc::clone(&self.world));
        planner.plan_launch(&somebody(), self.instance, PlanAsk { activate }).await.unwrap()
    }

    async fn count_events(&self) -> usize {
        self.events(&[]).await.len()
    }
}

fn found<'a>(plan: &'a LaunchPlan, variable: &str) -> Option<&'a VariableDifference> {
    plan.differences.iter().find(|it| it.variable == variable)
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_each_step_and_each_variable_of_the_launch_and_leaves_no_trace() {
    let stage = Stage::new().await;
    for (then, with_users) in [
        (OnSuccess::default(), false),
        (OnSuccess { activate: true, deactivate_others: false }, true),
    ] {
        if with_users {
            stage.add_lms_user().await;
        }
        let before = stage.count_events().await;
        let plan = stage.plan(then.activate).await;
        assert_eq!(stage.count_events().await, before, "a rehearsal is in no log");
        assert!(
            stage.cloud.machines().len() < 2 && plan.problems.is_empty(),
            "{:?}",
            plan.problems
        );

        let launched = stage.begin_launch(LaunchAsk { then, ..LaunchAsk::default() }).await;
        assert_eq!(stage.drive(launched.run).await.phase, Phase::Completed);
        let log =
            stage.app().journal().store().read_stream(&launched.run.stream(), 0).await.unwrap();
        let mut skipped = BTreeMap::new();
        for event in log {
            if let Ok(Event::StepSkipped { step, reason }) =
                Event::decode(&event.kind, event.schema, &event.data)
            {
                skipped.insert(step, reason);
            }
        }
        let foreseen = plan
            .steps
            .iter()
            .filter_map(|step| Some((step.step.to_owned(), step.skipped.clone()?)));
        assert_eq!(foreseen.collect::<BTreeMap<_, _>>(), skipped);

        let loaded = stage.app().journal().load::<Appserver>(&launched.appserver.stream()).await;
        let appserver = loaded.unwrap().state.present().unwrap().launched.clone();
        assert_eq!(
            (appserver.number, appserver.settings_version),
            (plan.number, plan.settings_version)
        );
        let open = |text: &ocim_domain::protected::Protected| -> Variables {
            hide_secrets(&serde_json::from_str(text.open().unwrap()).unwrap())
        };
        let made = open(&appserver.variables);
        let planned = plan.variables.unwrap();
        assert!(made.keys().eq(planned.keys()));
        for (name, value) in &planned {
            let text = value.to_string();
            let Some((before, after)) = text.split_once("<drawn at the launch>") else {
                // Members of a mapping may be drawn, too.
                assert_eq!(*value, made[name], "{name}");
                continue;
            };
            let is_cron = name.starts_with("EDXAPP_CLEARSESSIONS_CRON_");
            assert!(is_cron || !with_users, "{name}: its accounts are known by now");
            let real = made[name].to_string();
            let after = after.rsplit("<drawn at the launch>").next().unwrap_or(after);
            assert!(
                is_cron || (real.starts_with(before) && real.ends_with(after)),
                "{name}: {real}"
            );
        }
        assert_eq!(plan.users_variables.unwrap(), open(&appserver.users_variables));
        assert_eq!(plan.common_variables.unwrap(), open(&appserver.common_variables));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hold_is_told_to_everybody_but_its_holder() {
    let stage = Stage::new().await;
    let until = stage.app().journal().now() + TimeDelta::hours(1);
    stage.app().hold_instance(&because(), stage.instance, until).await.unwrap();
    assert!(stage.plan(false).await.problems.is_empty());
    let planner = LaunchPlanner::new(Arc::clone(&stage.world));
    let other = Caller { actor: "token:other".to_owned(), ..somebody() };
    let ask = PlanAsk { activate: false };
    let plan = planner.plan_launch(&other, stage.instance, ask).await.unwrap();
    let [problem] = &plan.problems[..] else { panic!("{:?}", plan.problems) };
    assert_eq!((problem.step, problem.may_pass), ("request", true));
    assert!(problem.message.contains("token:tests holds the instance"), "{}", problem.message);
}

#[tokio::test(start_paused = true)]
async fn what_differs_from_the_live_appserver_is_told_with_who_changed_what() {
    let stage = Stage::new().await;
    assert!(stage.plan(false).await.compared_with.is_none());
    let live = stage.launch_active().await;
    let change = json!({
        "name": "Another name",
        "lms_users": [{ "username": "ada", "email": "ada@example.com", "password_hash": "s$cret" }],
        "configuration_extra_settings": "EDXAPP_PLATFORM_NAME: Overridden\nMY_PASSWORD: hardly-known",
    });
    let Value::Object(change) = change else { panic!() };
    stage.app().change_settings(&somebody(), stage.instance, change, None).await.unwrap();
    let plan = stage.plan(false).await;
    assert_eq!(plan.compared_with, Some((live.appserver, 1)));
    let settings: Vec<_> = plan.settings.iter().map(|it| it.change.setting).collect();
    assert_eq!(settings, ["name", "configuration_extra_settings", "lms_users"]);
    assert!(plan.settings.iter().all(|it| it.set.as_ref().is_some_and(|edit| edit.version == 2)));

    let name = found(&plan, "EDXAPP_PLATFORM_NAME").unwrap();
    assert_eq!(
        (name.planned.as_ref(), name.playbook),
        (Some(&json!("Overridden")), Playbook::Main)
    );
    assert_eq!(name.live, Some(json!("alpha")));
    let because = name.because.join("; ");
    for word in ["configuration_extra_settings", "`name`", "token:tests", "version 2"] {
        assert!(because.contains(word), "{because}");
    }
    assert_eq!(name.layers.len(), 2, "{:?}", name.layers);
    let secret = found(&plan, "MY_PASSWORD").unwrap();
    assert_eq!((secret.planned.as_ref(), &secret.live), (Some(&json!("<protected>")), &None));
    let number = found(&plan, "COMMON_HOSTNAME").unwrap();
    assert!(number.because.contains(&"the number of the appserver".to_owned()), "{number:?}");
    let users = found(&plan, "django_users").unwrap();
    assert!(
        users.playbook == Playbook::Users && users.because[0].contains("lms_users"),
        "{users:?}"
    );
    assert_eq!(found(&plan, "EDXAPP_LMS_BASE"), None, "it is the same");
    let told = format!("{plan:?}");
    for secret in ["hardly-known", "s$cret"] {
        assert!(!told.contains(secret));
    }
    // Back to what it was: only what each launch has of its own is left.
    let Value::Object(back) =
        json!({ "name": "alpha", "lms_users": [], "configuration_extra_settings": "" })
    else {
        panic!()
    };
    stage.app().change_settings(&somebody(), stage.instance, back, None).await.unwrap();
    let plan = stage.plan(false).await;
    assert!(plan.settings.is_empty(), "{:?}", plan.settings);
    let main = plan.differences.iter().filter(|it| it.playbook == Playbook::Main);
    let own =
        ["COMMON_HOSTNAME", "EDXAPP_CLEARSESSIONS_CRON_HOURS", "EDXAPP_CLEARSESSIONS_CRON_MINUTES"];
    assert!(
        main.clone().all(|it| own.contains(&it.variable.as_str())),
        "{:?}",
        main.collect::<Vec<_>>()
    );
}

#[tokio::test(start_paused = true)]
async fn quotas_are_told_and_one_without_room_is_a_problem_that_may_pass() {
    let stage = Stage::new().await;
    stage.cloud.set_quota(5);
    let plan = stage.plan(false).await;
    let told = "0 of 5 instances are in use, the machine takes 1";
    assert!(plan.notes.iter().any(|note| note == told), "{:?}", plan.notes);
    assert!(plan.problems.is_empty(), "{:?}", plan.problems);
    stage.cloud.set_quota(0);
    let plan = stage.plan(false).await;
    let [problem] = &plan.problems[..] else { panic!("{:?}", plan.problems) };
    assert_eq!((problem.step, problem.code), ("create_server", Some(ErrorCode::QuotaExceeded)));
    assert!(problem.may_pass && problem.message.contains("0 of 0 instances"), "{problem:?}");
}

#[tokio::test(start_paused = true)]
async fn every_problem_of_a_launch_is_told_at_once_and_is_what_the_launch_fails_of() {
    let stage = Stage::new().await;
    stage.cloud.set_offers(vec![json!({ "ram": 1 })], vec![]);
    stage.playbooks.faults.fail_always("resolve_playbook", Fault::Before(Class::Permanent));
    let Value::Object(change) = json!({ "secret_key_b64encoded": "////" }) else { panic!() };
    drop(stage.app().change_settings(&somebody(), stage.instance, change, None).await);
    let asked = stage.begin_launch(LaunchAsk::default()).await;
    let plan = stage.plan(false).await;
    let steps: Vec<_> = plan.problems.iter().map(|it| it.step).collect();
    assert_eq!(steps, ["request", "resolve_playbooks", "resolve_playbooks", "create_server"]);
    assert_eq!(plan.problems[0].run, Some(asked.run));
    let offered = plan.problems.last().unwrap();
    assert_eq!(offered.code, Some(ErrorCode::MachineNotOffered));
    assert!(!offered.may_pass && offered.message.contains("no flavor that fits"), "{offered:?}");

    // The launch itself fails of the same, with nothing left of it.
    stage.playbooks.faults.clear();
    let run = stage.drive(asked.run).await;
    let Phase::Unwound(cause) = &run.phase else { panic!("{:?}", run.phase) };
    assert!(format!("{cause:?}").contains("the region has no flavor that fits"), "{cause:?}");
    assert!(stage.cloud.machines().is_empty());
}
