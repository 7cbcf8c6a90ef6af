//! Instances that are archived, un-archived and deleted: what goes, what stays, and what is left.

use super::abandoned::await_event;
use super::scenarios::{Scenario, confirmed};
use super::stage::{BALANCER, REGION, SITE, Stage, because, somebody};
use ocim::app::lifecycle::{DeleteAsk, LifecycleAsk};
use ocim::app::{ActivateAsk, AppError, DetailsAsk, ForceAsk, LaunchAsk};
use ocim::processes::unarchive_instance::launch_after;
use ocim_adapters::faults::Fault;
use ocim_domain::appserver::{Appserver, Status};
use ocim_domain::ids::{InstanceId, RunId};
use ocim_domain::instance::{self, Instance, Stage as Life};
use ocim_domain::ledger::{Kind, Leaves, ResourceKey};
use ocim_domain::port_error::Class;
use ocim_domain::saga::{Phase, Run, Verb};
use ocim_domain::{name, names};
use ocim_engine::store::sealed::SubjectKeys;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PERMANENT: Fault = Fault::Before(Class::Permanent);
const TRANSIENT: Fault = Fault::Before(Class::Transient);

async fn instance(stage: &Stage) -> instance::Present {
    let loaded = stage.app().journal().load::<Instance>(&stage.instance.stream()).await.unwrap();
    loaded.state.present().unwrap().clone()
}

async fn life(stage: &Stage) -> Life {
    instance(stage).await.lifecycle.stage
}

async fn ledger(stage: &Stage) -> Vec<ResourceKey> {
    let entries = stage.app().ledger_of(stage.instance).await.unwrap();
    entries.into_iter().map(|entry| entry.resource.id).collect()
}

/// Does it, to the end.
async fn change(stage: &Stage, ask: LifecycleAsk) -> (RunId, Run) {
    let id = stage.begin_change(ask).await;
    let run = stage.drive(id).await;
    (id, run)
}

async fn complete(stage: &Stage, ask: LifecycleAsk) -> RunId {
    let (id, run) = change(stage, ask).await;
    assert_eq!(run.phase, Phase::Completed, "{run:#?}");
    id
}

fn deletion(ignore: &[Kind]) -> LifecycleAsk {
    LifecycleAsk::Delete(DeleteAsk { ignore: ignore.to_vec(), ..confirmed() })
}

/// The refusal, with the run that it names.
fn refused<T: std::fmt::Debug>(outcome: Result<T, AppError>) -> (String, Option<RunId>) {
    match outcome {
        Err(AppError::Rejected { detail, run }) => (detail, run),
        other => panic!("{other:?}"),
    }
}

/// Only what is shared is left outside.
async fn assert_nothing_outside(stage: &Stage) {
    assert!(stage.cloud.machines().is_empty());
    assert!(stage.dns.aliases().is_empty() && stage.dns.addresses().is_empty());
    assert!(stage.balancer.fragments(BALANCER).is_empty());
}

async fn create(stage: &Stage, name: &str) -> Result<InstanceId, AppError> {
    let Value::Object(settings) = json!({ "name": name, "sub_domain": name }) else { panic!() };
    stage
        .app()
        .create_instance(&somebody(), settings, DetailsAsk::default())
        .await
        .map(|done| done.value)
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_has_nothing_outside_and_comes_back_with_its_settings() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let second = stage.launch().await;
    let before = instance(&stage).await;
    complete(&stage, LifecycleAsk::Archive).await;
    assert_nothing_outside(&stage).await;
    let left: BTreeSet<_> = ledger(&stage).await.iter().map(|id| id.kind.leaves()).collect();
    assert_eq!(left, BTreeSet::from([Leaves::WithDeletion, Leaves::Never]));
    assert!(ledger(&stage).await.contains(&ResourceKey::new(Kind::SecurityGroups, REGION)));
    let archived = instance(&stage).await;
    assert_eq!(archived.lifecycle.stage, Life::Archived);
    assert_eq!((archived.load_balancer, archived.active.len()), (None, 0));
    let kept = |it: &instance::Present| (it.settings.clone(), it.resources.clone());
    assert_eq!(kept(&archived), kept(&before));
    let gone = stage.app().journal().load::<Appserver>(&second.appserver.stream()).await.unwrap();
    let gone = gone.state.present().unwrap().clone();
    assert_eq!((gone.status, gone.server_gone), (Status::Terminated, true));
    // Its names are still its own.
    assert!(matches!(create(&stage, "alpha").await, Err(AppError::NamesTaken(_))));

    let run = complete(&stage, LifecycleAsk::Unarchive { launch: true }).await;
    let live = instance(&stage).await;
    assert_eq!((live.lifecycle.stage, live.settings), (Life::Live, before.settings));
    let launch = launch_after(run);
    assert_eq!(live.launches[0].run, launch);
    assert_eq!(stage.dns.aliases()[SITE], BALANCER);
    stage.start(launch).await;
    assert_eq!(stage.drive(launch).await.phase, Phase::Completed);
    let activation = ocim_domain::appserver::activation_after(launch);
    stage.start(activation).await;
    assert_eq!(stage.drive(activation).await.phase, Phase::Completed);
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-3"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_never_launched_is_archived_and_comes_back_without_a_balancer() {
    let stage = Stage::new().await;
    complete(&stage, LifecycleAsk::Archive).await;
    complete(&stage, LifecycleAsk::Unarchive { launch: false }).await;
    let back = instance(&stage).await;
    assert_eq!((back.lifecycle.stage, back.load_balancer), (Life::Live, None));
    assert!(stage.dns.aliases().is_empty() && back.launches.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_deleted_sites_names_are_free_and_its_secrets_unreadable() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    complete(&stage, deletion(&[])).await;
    assert_nothing_outside(&stage).await;
    assert_eq!(ledger(&stage).await, []);
    let deleted = instance(&stage).await;
    assert_eq!((deleted.lifecycle.stage, deleted.lifecycle.residue.len()), (Life::Deleted, 0));
    assert!(stage.keys.get(&stage.instance.to_string()).await.unwrap().is_none());
    let free = stage.events(&["name.released"]).await.len();
    assert_eq!(free, deleted.reserved_names().len());
    let next = create(&stage, "alpha").await.unwrap();
    assert_eq!(stage.app().find_instance(SITE).await.unwrap(), Some(next));
}

#[tokio::test(start_paused = true)]
async fn an_archived_site_is_deleted_from_where_it_is() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    complete(&stage, LifecycleAsk::Archive).await;
    complete(&stage, deletion(&[])).await;
    assert_eq!((life(&stage).await, ledger(&stage).await), (Life::Deleted, vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_site_that_is_being_archived_is_not_launched_served_or_changed() {
    let stage = Stage::new().await;
    let launched = stage.launch_active().await;
    let other = stage.launch().await;
    let run = stage.begin_change(LifecycleAsk::Archive).await;
    let (app, by) = (stage.app(), somebody());
    let launch = app.launch_appserver(&by, stage.instance, LaunchAsk::default()).await;
    let expected =
        format!("the instance is being archived by run {run}: wait for it, or cancel it");
    assert_eq!(refused(launch), (expected.clone(), Some(run)));
    let activate = app.activate_appserver(&by, other.appserver, ActivateAsk::default()).await;
    assert_eq!(refused(activate), (expected.clone(), Some(run)));
    let Value::Object(edit) = json!({ "name": "Beta" }) else { panic!() };
    let edit = app.change_settings(&by, stage.instance, edit, None).await;
    assert_eq!(refused(edit), (expected, Some(run)));
    let again = app.change_lifecycle(&because(), stage.instance, deletion(&[])).await;
    assert_eq!(refused(again).1, Some(run));
    assert_eq!(stage.balancer.serving(BALANCER, SITE), ["appserver-1"], "{launched:?}");
    stage.cancel(run).await;
    assert!(matches!(stage.drive(run).await.phase, Phase::Unwound(_)));
    assert_eq!(life(&stage).await, Life::Live);
    stage.begin_activation(other.appserver, true).await;
}

/// The activation was asked for before, and comes to its turn after.
#[tokio::test(start_paused = true)]
async fn an_activation_that_was_asked_for_before_an_archiving_does_not_serve_what_is_archived() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let other = stage.launch().await;
    let activation = stage.begin_activation(other.appserver, true).await;
    let archive = stage.begin_change(LifecycleAsk::Archive).await;
    stage.drive_until(archive, |run| run.steps.contains_key("remove_names")).await;
    let run = stage.drive(activation).await;
    assert!(matches!(run.phase, Phase::Unwound(_)), "{run:#?}");
    assert_eq!(stage.drive(archive).await.phase, Phase::Completed);
    assert_nothing_outside(&stage).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_archived_or_deleted_while_it_is_launched() {
    let stage = Stage::new().await;
    let launched = stage.begin_launch(LaunchAsk::default()).await;
    for ask in [LifecycleAsk::Archive, deletion(&[])] {
        let (told, run) =
            refused(stage.app().change_lifecycle(&because(), stage.instance, ask).await);
        assert_eq!(run, Some(launched.run));
        assert!(told.ends_with("wait for it, or cancel it first"), "{told}");
    }
    let all = ForceAsk { force: true };
    let all = stage.app().terminate_appservers(&because(), stage.instance, all).await;
    assert_eq!(refused(all).1, Some(launched.run));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_needs_a_reason_and_the_sites_name() {
    let stage = Stage::new().await;
    let app = stage.app();
    let field = |outcome: Result<_, AppError>| match outcome {
        Err(AppError::Invalid(broken)) => broken[0].field.clone(),
        other => panic!("{other:?}"),
    };
    let unnamed = LifecycleAsk::Delete(DeleteAsk::default());
    let asked = app.change_lifecycle(&because(), stage.instance, unnamed.clone()).await;
    assert_eq!(field(asked.map(drop)), "confirm");
    let planned = app.plan_lifecycle(&because(), stage.instance, unnamed).await;
    assert_eq!(field(planned.map(drop)), "confirm");
    let asked = app.change_lifecycle(&somebody(), stage.instance, deletion(&[])).await;
    assert_eq!(field(asked.map(drop)), "reason");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_tells_what_would_go_and_changes_nothing() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let events = stage.events(&[]).await.len();
    let by = because();
    let plan = |ask| stage.app().plan_lifecycle(&by, stage.instance, ask);
    let archive = plan(LifecycleAsk::Archive).await.unwrap();
    let deletion = plan(deletion(&[Kind::DnsName])).await.unwrap();
    for told in [&archive, &deletion] {
        assert_eq!(told[0], "the site would go off line: 1 of its appservers serve it");
        let has = |text: &str| told.iter().any(|line| line.contains(text));
        assert!(
            has("remove the machine") && has(&format!("remove the dns name {SITE}")),
            "{told:?}"
        );
        assert!(has("remove the fragment"), "{told:?}");
    }
    assert!(archive.last().unwrap().contains("would be kept"), "{archive:?}");
    assert!(deletion.last().unwrap().contains("would be left"), "{deletion:?}");
    assert_eq!(stage.events(&[]).await.len(), events);
    refused(plan(LifecycleAsk::Unarchive { launch: true }).await);
}

/// A machine that can't be deleted keeps an archiving from its end; a person gives it up.
#[tokio::test(start_paused = true)]
async fn what_is_half_archived_is_archived_on_or_comes_back() {
    for comes_back in [false, true] {
        let stage = Stage::new().await;
        stage.launch_active().await;
        let run = stage.begin_change(LifecycleAsk::Archive).await;
        stage.drive_until(run, |run| run.steps.contains_key("delete_servers")).await;
        let why = "the cloud is away".to_owned();
        stage.app().operate_run(&somebody(), run, Verb::Abandon, why, false).await.unwrap();
        let runner = stage.start_runner();
        await_event(&stage, "instance.lifecycle_run_stopped").await;
        runner.stop().await;
        assert_eq!(life(&stage).await, Life::Archiving);
        let refused = refused(
            stage.app().launch_appserver(&somebody(), stage.instance, LaunchAsk::default()).await,
        );
        assert!(refused.0.contains("half-way"), "{}", refused.0);
        if comes_back {
            complete(&stage, LifecycleAsk::Unarchive { launch: false }).await;
            assert_eq!(life(&stage).await, Life::Live);
            assert_eq!(stage.dns.aliases()[SITE], BALANCER);
            // Its appserver is there, and can serve again.
            let appserver = instance(&stage).await.appservers[0];
            let activation = stage.begin_activation(appserver, false).await;
            assert_eq!(stage.drive(activation).await.phase, Phase::Completed);
        } else {
            complete(&stage, LifecycleAsk::Archive).await;
            assert_eq!(life(&stage).await, Life::Archived);
            assert_nothing_outside(&stage).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_ignored_is_left_told_tried_again_and_resolved_by_hand() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.dns.faults.fail_always("remove_names", PERMANENT);
    complete(&stage, deletion(&[Kind::DnsName])).await;
    let left = instance(&stage).await.lifecycle.residue;
    assert!(!left.is_empty() && left.iter().all(|id| id.kind == Kind::DnsName), "{left:?}");
    assert_eq!(ledger(&stage).await, left);
    assert!(stage.cloud.machines().is_empty());
    let because = because();
    let resolved = stage.app().resolve_resource(&because, stage.instance, left[0].clone()).await;
    resolved.unwrap();
    stage.dns.faults.clear();
    complete(&stage, deletion(&[])).await;
    assert_eq!(ledger(&stage).await, []);
    assert_eq!(stage.dns.aliases().len(), 1, "what is resolved is nobody's");
    let again = stage.app().change_lifecycle(&because, stage.instance, deletion(&[])).await;
    assert_eq!(refused(again).0, "the instance is deleted already: there is nothing to do");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_leaves_the_names_that_another_instance_has_by_now() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let names = stage.dns.aliases();
    stage.dns.faults.fail_always("remove_names", PERMANENT);
    complete(&stage, deletion(&[Kind::DnsName])).await;
    create(&stage, "alpha").await.unwrap();
    stage.dns.faults.clear();
    complete(&stage, deletion(&[])).await;
    assert_eq!(ledger(&stage).await, []);
    assert_eq!(stage.dns.aliases(), names);
}

/// A cloud that does not answer is asked for as long as there is time, before a machine is left.
#[tokio::test(start_paused = true)]
async fn what_is_ignored_is_asked_for_as_long_as_it_may_still_go() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    for nth in 1..=20 {
        stage.cloud.faults.fail("delete_machine", nth, TRANSIENT);
    }
    complete(&stage, deletion(&[Kind::Machine])).await;
    assert_eq!((ledger(&stage).await, stage.cloud.machines().len()), (vec![], 0));
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.cloud.faults.fail_always("delete_machine", TRANSIENT);
    complete(&stage, deletion(&[Kind::Machine])).await;
    let left = ledger(&stage).await;
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(stage.cloud.machines().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ignored_keeps_a_deletion_from_its_end() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.dns.faults.fail_always("remove_names", PERMANENT);
    let (_, run) = change(&stage, deletion(&[Kind::Machine])).await;
    assert!(matches!(run.phase, Phase::Stuck { .. }), "{run:#?}");
    assert_eq!(life(&stage).await, Life::Deleting);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_out_of_sight_is_resolved_while_a_site_is_live() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    let name = ResourceKey::new(Kind::DnsName, SITE);
    let by = because();
    let resolve = |id| stage.app().resolve_resource(&by, stage.instance, id);
    assert!(refused(resolve(name).await).0.starts_with("the instance is live"));
    let unheard = ResourceKey::new(Kind::DnsName, "nowhere.example.com");
    assert!(refused(resolve(unheard).await).0.contains("has no dns name"));
}

#[tokio::test(start_paused = true)]
async fn all_appservers_of_a_site_are_terminated_by_a_run_each() {
    let stage = Stage::new().await;
    stage.launch_active().await;
    stage.launch().await;
    let app = stage.app();
    let unforced = app.terminate_appservers(&because(), stage.instance, ForceAsk::default()).await;
    assert!(refused(unforced).0.contains("force"));
    let force = ForceAsk { force: true };
    let runs = app.terminate_appservers(&because(), stage.instance, force).await.unwrap().value;
    assert_eq!(runs.len(), 2);
    for (_, run) in runs {
        stage.start(run).await;
        assert_eq!(stage.drive(run).await.phase, Phase::Completed);
    }
    assert!(stage.cloud.machines().is_empty());
    assert_eq!(life(&stage).await, Life::Live);
    let again = app.terminate_appservers(&because(), stage.instance, force).await;
    assert_eq!(refused(again).0, "no appserver of it has a machine");
}

#[tokio::test(start_paused = true)]
async fn names_that_settings_drop_leave_the_dns_once_nobody_is_served_under_them() {
    let stage = Stage::new().await;
    let set = async |flag: bool| {
        let Value::Object(input) = json!({ "enable_prefix_domains_redirect": flag }) else {
            panic!()
        };
        stage.app().change_settings(&somebody(), stage.instance, input, None).await.unwrap();
        names::redirect_domains(&instance(&stage).await.settings)
    };
    let dropped = set(true).await;
    let is_there = |name: &String| stage.dns.aliases().contains_key(name);
    stage.launch_active().await;
    assert!(!dropped.is_empty() && dropped.iter().all(is_there));
    set(false).await;
    let next = stage.launch().await;
    let activation = stage.begin_activation(next.appserver, true).await;
    stage.drive_until(activation, |run| run.steps.contains_key("drain_connections")).await;
    assert!(dropped.iter().all(is_there), "they may be served until the traffic has moved");
    assert_eq!(stage.drive(activation).await.phase, Phase::Completed);
    assert!(!dropped.iter().any(is_there));
    let known = ledger(&stage).await;
    assert!(!known.iter().any(|id| dropped.contains(&id.key)), "{known:?}");
    assert!(is_there(&SITE.to_owned()));
    // Wanted again, they come back with the next launch; meanwhile nobody else may have them.
    let present = instance(&stage).await;
    assert!(dropped.iter().all(|name| present.holds(name::Kind::Domain, name)));
    set(true).await;
    stage.launch_active().await;
    assert!(dropped.iter().all(is_there));
}

/// An undo of another run puts no page on the balancer for a site that has gone from it.
#[tokio::test(start_paused = true)]
async fn a_cancelled_run_brings_nothing_of_an_archived_site_back() {
    let (stage, termination) = Scenario::Terminate.prepare().await;
    stage.drive_until(termination, |run| run.steps.contains_key("claim_traffic")).await;
    let archive = stage.begin_change(LifecycleAsk::Archive).await;
    stage.cancel(termination).await;
    stage.drive(termination).await;
    assert_eq!(stage.drive(archive).await.phase, Phase::Completed);
    assert_nothing_outside(&stage).await;
}
