//! The rules by which an instance is archived, un-archived and deleted.

use crate::given::given;
use crate::sample::{
    appserver_id, instance_id, load_balancer_id, other_settings, resource, run_id, settings,
};
use ocim_domain::decider::Decider;
use ocim_domain::event::DomainEvent;
use ocim_domain::instance::lifecycle::{Command as Life, Refused};
use ocim_domain::instance::{
    Attempts, Command, Event, Instance, LaunchOutcome, OnSuccess, Rejected, Stage,
};
use ocim_domain::ledger;
use ocim_domain::name::Kind;
use ocim_domain::names::RoutedNames;
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::settings::InstanceSettings;
use serde_json::json;

const WHY: &str = "nobody learns here any more";
const DOMAIN: &str = "lms.example.com";

fn created() -> Event {
    Event::Created { settings: Box::new(settings()) }
}

fn launching() -> Event {
    let then = OnSuccess::default();
    let (appserver, run) = (appserver_id(1), run_id(1));
    Event::LaunchRequested {
        appserver,
        run,
        number: 1,
        queued: false,
        then,
        attempts: Attempts::ONE,
    }
}

fn archive(run: u128) -> Command {
    Command::Lifecycle(Life::RequestArchive { run: run_id(run), reason: WHY.to_owned() })
}

fn archiving(run: u128) -> Event {
    Event::ArchiveRequested { run: run_id(run), reason: WHY.to_owned() }
}

fn archived(run: u128) -> Event {
    Event::Archived { run: run_id(run) }
}

fn unarchive(run: u128) -> Command {
    let reason = WHY.to_owned();
    Command::Lifecycle(Life::RequestUnarchive { run: run_id(run), reason, launch: true })
}

fn unarchiving(run: u128) -> Event {
    Event::UnarchiveRequested { run: run_id(run), reason: WHY.to_owned(), launch: true }
}

fn delete_as(run: u128, confirmation: &str) -> Command {
    Command::Lifecycle(Life::RequestDeletion {
        run: run_id(run),
        reason: WHY.to_owned(),
        confirmation: confirmation.to_owned(),
        ignore: vec![],
    })
}

fn delete(run: u128) -> Command {
    delete_as(run, DOMAIN)
}

fn deleting(run: u128) -> Event {
    let (run, reason) = (run_id(run), WHY.to_owned());
    Event::DeletionRequested { run, reason, ignore: vec![], again: false }
}

fn deleting_again(run: u128) -> Event {
    let (run, reason) = (run_id(run), WHY.to_owned());
    Event::DeletionRequested { run, reason, ignore: vec![], again: true }
}

fn deleted(run: u128, residue: &[ledger::ResourceKey]) -> Event {
    Event::Deleted { run: run_id(run), residue: residue.to_vec() }
}

fn stopped(run: u128, stage: Stage) -> Event {
    Event::LifecycleRunStopped { run: run_id(run), stage }
}

fn stop(run: u128, turned_back: bool) -> Command {
    Command::Lifecycle(Life::StopRun { run: run_id(run), turned_back })
}

fn launch() -> Command {
    Command::RequestLaunch {
        appserver: appserver_id(9),
        run: run_id(9),
        may_queue: true,
        then: OnSuccess::default(),
        attempts: Attempts::ONE,
    }
}

fn not_live(stage: Stage, run: Option<u128>) -> Rejected {
    Refused::NotLive { stage, run: run.map(run_id) }.into()
}

/// Every stage but the first, with the run that is at work, and how an instance comes there.
fn stages() -> Vec<(Stage, Option<u128>, Vec<Event>)> {
    vec![
        (Stage::Archiving, Some(2), vec![archiving(2)]),
        (Stage::Archiving, None, vec![archiving(2), stopped(2, Stage::Archiving)]),
        (Stage::Archived, None, vec![archiving(2), archived(2)]),
        (Stage::Unarchiving, Some(3), vec![archiving(2), archived(2), unarchiving(3)]),
        (
            Stage::Unarchiving,
            None,
            vec![archiving(2), archived(2), unarchiving(3), stopped(3, Stage::Unarchiving)],
        ),
        (Stage::Deleting, Some(4), vec![deleting(4)]),
        (Stage::Deleting, None, vec![deleting(4), stopped(4, Stage::Deleting)]),
        (Stage::Deleted, None, vec![deleting(4), deleted(4, &[])]),
    ]
}

#[test]
fn only_a_live_instance_is_launched_served_and_changed() {
    let names = RoutedNames::new(&settings());
    let serve = Command::AssignTraffic {
        add: vec![appserver_id(1)],
        remove: vec![],
        names,
        may_empty: false,
    };
    let edit = Command::ChangeSettings { settings: Box::new(other_settings()) };
    for (stage, run, past) in stages() {
        let instance = given::<Instance>([vec![created()], past].concat());
        for command in [launch(), serve.clone(), edit.clone()] {
            instance.when_refused(command, not_live(stage, run));
        }
    }
}

#[test]
fn a_refusal_says_what_to_do() {
    let told = |stage, run: Option<u128>| not_live(stage, run).to_string();
    let run = run_id(2);
    assert_eq!(
        told(Stage::Archived, None),
        "the instance is archived: un-archive it first (`ocim instance unarchive`)"
    );
    assert_eq!(
        told(Stage::Archiving, Some(2)),
        format!("the instance is being archived by run {run}: wait for it, or cancel it")
    );
    assert_eq!(
        told(Stage::Deleting, None),
        "the instance is being deleted: it got stuck half-way; delete it again"
    );
    assert_eq!(
        Rejected::from(Refused::Launching { run }).to_string(),
        format!("a launch is under way in run {run}: wait for it, or cancel it first")
    );
}

#[test]
fn nothing_of_it_begins_while_a_launch_is_under_way() {
    let busy = given::<Instance>([created(), launching()]);
    let launching_refused = || Rejected::from(Refused::Launching { run: run_id(1) });
    busy.when_refused(archive(2), launching_refused());
    busy.when_refused(delete(2), launching_refused());
    let (appserver, outcome) = (appserver_id(1), LaunchOutcome::Running);
    let settled = Event::LaunchSettled { appserver, outcome, run: run_id(1), next_run: None };
    given::<Instance>([created(), launching(), settled]).when_then(archive(2), [archiving(2)]);
}

#[test]
fn one_run_at_a_time_is_at_work_on_it() {
    for (stage, run, past) in stages() {
        let Some(run) = run else { continue };
        let instance = given::<Instance>([vec![created()], past].concat());
        let in_flight = || Rejected::from(Refused::InFlight { stage, run: run_id(run) });
        instance.when_refused(archive(9), in_flight());
        instance.when_refused(unarchive(9), in_flight());
        instance.when_refused(delete(9), in_flight());
    }
    given::<Instance>([created(), archiving(2)]).when_silent(archive(2));
}

#[test]
fn an_instance_goes_from_each_rest_where_its_stage_allows() {
    let is_so = |stage| Rejected::from(Refused::IsSo { stage });
    let live = given::<Instance>([created()]);
    live.when_refused(unarchive(9), is_so(Stage::Live));
    live.when_then(archive(9), [archiving(9)]);
    live.when_then(delete(9), [deleting(9)]);
    for (stage, run, past) in stages() {
        if run.is_some() {
            continue;
        }
        let instance = given::<Instance>([vec![created()], past].concat());
        match stage {
            Stage::Archiving | Stage::Unarchiving => {
                instance.when_then(archive(9), [archiving(9)]);
                instance.when_then(unarchive(9), [unarchiving(9)]);
                instance.when_then(delete(9), [deleting(9)]);
            }
            Stage::Archived => {
                instance.when_refused(archive(9), is_so(stage));
                instance.when_then(unarchive(9), [unarchiving(9)]);
                instance.when_then(delete(9), [deleting(9)]);
            }
            Stage::Deleting => {
                instance.when_refused(archive(9), not_live(stage, None));
                instance.when_refused(unarchive(9), not_live(stage, None));
                instance.when_then(delete(9), [deleting(9)]);
            }
            Stage::Deleted => {
                instance.when_refused(archive(9), not_live(stage, None));
                instance.when_refused(unarchive(9), not_live(stage, None));
                instance.when_refused(delete(9), is_so(stage));
            }
            Stage::Live => unreachable!(),
        }
    }
}

#[test]
fn a_deletion_asks_for_the_instances_name() {
    let live = given::<Instance>([created()]);
    live.when_then(delete_as(2, " LMS.example.com "), [deleting(2)]);
    for wrong in ["", "example.com", "lms.example.org"] {
        let refused = Refused::NotConfirmed { domain: DOMAIN.to_owned() };
        live.when_refused(delete_as(2, wrong), refused.into());
    }
}

#[test]
fn what_people_rely_on_is_deleted_only_once_it_is_archived() {
    let production = InstanceSettings { purpose: "production".to_owned(), ..settings() };
    let made = Event::Created { settings: Box::new(production) };
    let live = given::<Instance>([made.clone()]);
    live.when_refused(delete(2), Refused::InProduction.into());
    given::<Instance>([made, archiving(1), archived(1)]).when_then(delete(2), [deleting(2)]);
}

#[test]
fn a_run_that_turns_back_leaves_it_as_it_was_and_one_that_is_given_up_does_not() {
    let record = |run| Command::Lifecycle(Life::RecordArchived { run: run_id(run) });
    let live = given::<Instance>([created(), archiving(2)]);
    live.when_then(stop(2, true), [stopped(2, Stage::Live)]);
    live.when_then(stop(2, false), [stopped(2, Stage::Archiving)]);
    live.when_silent(stop(3, true));
    live.when_then(record(2), [archived(2)]);
    live.when_refused(record(3), Refused::Overtaken { run: run_id(3) }.into());
    // Another one went on from where the first was given up: that stands.
    let again =
        given::<Instance>([created(), archiving(2), stopped(2, Stage::Archiving), unarchiving(3)]);
    again.when_then(stop(3, true), [stopped(3, Stage::Archiving)]);
    again.when_silent(stop(2, true));
    again.when_refused(record(2), Refused::Overtaken { run: run_id(2) }.into());
    let done = given::<Instance>([created(), archiving(2), archived(2)]);
    done.when_silent(record(2));
    done.when_silent(stop(2, true));
}

#[test]
fn an_archived_instance_keeps_its_names_and_has_no_balancer() {
    let assigned = Event::LoadBalancerAssigned { load_balancer: load_balancer_id() };
    let fold = |events: &[Event]| Instance::fold(events).present().unwrap().clone();
    let half = fold(&[created(), assigned.clone(), archiving(2)]);
    assert_eq!(half.load_balancer, Some(load_balancer_id()));
    assert!(!half.shows_page());
    let archived = fold(&[created(), assigned.clone(), archiving(2), archived(2)]);
    assert_eq!(archived.load_balancer, None);
    assert!(archived.holds(Kind::Domain, DOMAIN));
    let deleted = fold(&[created(), assigned, deleting(2), deleted(2, &[])]);
    assert!(!deleted.holds(Kind::Domain, DOMAIN));
    assert_eq!(deleted.load_balancer, None);
}

#[test]
fn what_a_deletion_left_is_deleted_again_and_its_names_stay_free() {
    let left = [resource().id];
    let events = [created(), deleting(2), deleted(2, &left)];
    given::<Instance>(events.clone()).when_then(delete(3), [deleting_again(3)]);
    let again = [events.to_vec(), vec![deleting_again(3)]].concat();
    let present = Instance::fold(&again).present().unwrap().clone();
    assert_eq!(present.lifecycle.stage, Stage::Deleted);
    assert!(!present.holds(Kind::Domain, DOMAIN));
    let record = Life::RecordDeleted { run: run_id(3), residue: vec![] };
    given::<Instance>(again).when_then(Command::Lifecycle(record), [deleted(3, &[])]);
}

#[test]
fn what_data_are_called_is_nobody_elses_as_long_as_any_are_left() {
    let names = ResourceNames::propose(DOMAIN, &ResourcePrefixes::default(), instance_id(), 0);
    let database = names.database.clone();
    let named = Event::ResourcesNamed { names };
    let data = ledger::ResourceKey::new(ledger::Kind::MysqlDatabase, "msql_1/lms");
    for (left, holds) in [(vec![data], true), (vec![resource().id], false), (vec![], false)] {
        let events = [created(), named.clone(), deleting(2), deleted(2, &left)];
        let present = Instance::fold(&events).present().unwrap().clone();
        assert_eq!(present.holds(Kind::Database, &database), holds, "{left:?}");
        assert!(!present.holds(Kind::Domain, DOMAIN));
    }
}

#[test]
fn kinds_of_resources_that_only_a_newer_ocim_knows_are_a_newer_event() {
    let known = |kind, data: serde_json::Value| Event::is_known(kind, &data);
    assert!(known("instance.deletion_requested", json!({ "ignore": ["dns_name"] })));
    assert!(!known("instance.deletion_requested", json!({ "ignore": ["bucket"] })));
    assert!(known("instance.deleted", json!({ "residue": [{ "kind": "machine", "key": "a" }] })));
    assert!(!known("instance.deleted", json!({ "residue": [{ "kind": "bucket", "key": "a" }] })));
}

#[test]
fn what_a_run_did_is_recorded_once_and_by_it_alone() {
    let unarchived = |run| Command::Lifecycle(Life::RecordUnarchived { run: run_id(run) });
    let gone = |run| Command::Lifecycle(Life::RecordDeleted { run: run_id(run), residue: vec![] });
    let overtaken = |run| Rejected::from(Refused::Overtaken { run: run_id(run) });
    let back = given::<Instance>([created(), archiving(2), archived(2), unarchiving(3)]);
    back.when_refused(unarchived(2), overtaken(2));
    back.when_then(unarchived(3), [Event::Unarchived { run: run_id(3) }]);
    let live = back.after(unarchived(3));
    live.when_silent(unarchived(3));
    assert_eq!(live.state().present().unwrap().lifecycle.stage, Stage::Live);
    let left = given::<Instance>([created(), archiving(2)]);
    left.when_refused(unarchived(2), overtaken(2));
    let leaving = given::<Instance>([created(), deleting(4)]);
    leaving.when_refused(gone(5), overtaken(5));
    leaving.when_then(gone(4), [deleted(4, &[])]);
    leaving.after(gone(4)).when_silent(gone(4));
    given::<Instance>([created(), archiving(2)]).when_refused(gone(2), overtaken(2));
    // While it is deleted again, the former run has no say.
    let again = [created(), deleting(4), deleted(4, &[resource().id]), deleting_again(5)];
    given::<Instance>(again).when_refused(gone(4), overtaken(4));
}

#[test]
fn each_stage_has_a_word_that_reads_back() {
    let words = Stage::ALL.map(Stage::as_str);
    let expected = ["live", "archiving", "archived", "unarchiving", "deleting", "deleted"];
    assert_eq!(words, expected);
    for stage in Stage::ALL {
        assert_eq!(serde_json::to_value(stage).unwrap(), json!(stage.as_str()));
    }
}
