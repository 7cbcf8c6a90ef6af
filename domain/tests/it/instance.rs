//! The rules of an instance.

use crate::given::given;
use crate::sample::{
    appserver_id, instance_id, load_balancer_id, other_settings, run_id, settings,
};
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::instance::{
    Command, Event, Instance, LaunchOutcome, NameTrouble, OnSuccess, Rejected,
};
use ocim_domain::names::RoutedNames;
use ocim_domain::settings::InstanceSettings;
use uuid::Uuid;

fn created() -> Event {
    Event::Created { settings: Box::new(settings()) }
}

fn abandoned() -> Event {
    Event::CreationAbandoned { by: instance_id() }
}

fn requested(number: u32, queued: bool) -> Event {
    Event::LaunchRequested {
        appserver: appserver_id(number.into()),
        run: run_id(number.into()),
        number,
        queued,
        then: OnSuccess::default(),
    }
}

fn settled(number: u32, outcome: LaunchOutcome) -> Event {
    Event::LaunchSettled { appserver: appserver_id(number.into()), outcome }
}

fn request(number: u128, may_queue: bool) -> Command {
    Command::RequestLaunch {
        appserver: appserver_id(number),
        run: run_id(number),
        may_queue,
        then: OnSuccess::default(),
    }
}

fn traffic(active: &[u128], added: &[u128], removed: &[u128]) -> Event {
    let ids = |numbers: &[u128]| numbers.iter().copied().map(appserver_id).collect();
    Event::TrafficAssigned {
        active: ids(active),
        added: ids(added),
        removed: ids(removed),
        names: RoutedNames::new(&settings()),
    }
}

fn assign(add: &[u128], remove: &[u128], may_empty: bool) -> Command {
    let ids = |numbers: &[u128]| numbers.iter().copied().map(appserver_id).collect();
    let names = RoutedNames::new(&settings());
    Command::AssignTraffic { add: ids(add), remove: ids(remove), names, may_empty }
}

#[test]
fn one_run_at_a_time_moves_the_traffic() {
    let claim = |number| Command::ClaimTraffic { run: run_id(number) };
    let release = |number| Command::ReleaseTraffic { run: run_id(number) };
    let claimed = |number| Event::TrafficClaimed { run: run_id(number) };
    let released = |number| Event::TrafficReleased { run: run_id(number) };
    given::<Instance>([created()]).when_then(claim(1), [claimed(1)]);
    given::<Instance>([created()]).when_silent(release(1));
    let busy = given::<Instance>([created(), claimed(1)]);
    busy.when_silent(claim(1));
    busy.when_refused(claim(2), Rejected::TrafficClaimed { run: run_id(1) });
    busy.when_silent(release(2));
    busy.when_then(release(1), [released(1)]);
    given::<Instance>([created(), claimed(1), released(1)]).when_then(claim(2), [claimed(2)]);
}

#[test]
fn an_absent_instance_can_only_be_created_or_abandoned() {
    let absent = given::<Instance>([]);
    absent.when_then(Command::Create { settings: Box::new(settings()) }, [created()]);
    absent.when_then(Command::AbandonCreation { by: instance_id() }, [abandoned()]);
    for command in [
        Command::ChangeSettings { settings: Box::new(settings()) },
        Command::AssignLoadBalancer { load_balancer: load_balancer_id() },
        Command::ClaimTraffic { run: run_id(1) },
        Command::ReleaseTraffic { run: run_id(1) },
        request(1, false),
        Command::SettleLaunch { appserver: appserver_id(1), outcome: LaunchOutcome::Running },
        assign(&[1], &[], false),
        Command::ObserveNames { troubles: vec![] },
    ] {
        absent.when_refused(command.clone(), Rejected::Absent);
        given::<Instance>([abandoned()]).when_refused(command, Rejected::Absent);
    }
}

#[test]
fn an_instance_is_created_or_abandoned_once() {
    let create = || Command::Create { settings: Box::new(settings()) };
    let abandon = || Command::AbandonCreation { by: instance_id() };
    given::<Instance>([created()]).when_refused(create(), Rejected::Exists);
    given::<Instance>([created()]).when_refused(abandon(), Rejected::Exists);
    given::<Instance>([abandoned()]).when_refused(create(), Rejected::Exists);
    given::<Instance>([abandoned()]).when_silent(abandon());
}

#[test]
fn changed_settings_name_the_fields_that_differ() {
    let change = |settings| Command::ChangeSettings { settings: Box::new(settings) };
    let instance = given::<Instance>([created()]);
    instance.when_silent(change(settings()));
    let changed = Event::SettingsChanged {
        settings: Box::new(other_settings()),
        changed: vec!["name".to_owned()],
        version: 2,
    };
    instance.when_then(change(other_settings()), [changed]);
    let after = instance.after(change(other_settings()));
    let state = after.state();
    let present = state.present().unwrap();
    assert_eq!((&present.settings, present.settings_version), (&other_settings(), 2));
}

#[test]
fn the_first_load_balancer_stays() {
    let assign = |load_balancer| Command::AssignLoadBalancer { load_balancer };
    let instance = given::<Instance>([created()]);
    let event = Event::LoadBalancerAssigned { load_balancer: load_balancer_id() };
    instance.when_then(assign(load_balancer_id()), [event.clone()]);
    let assigned = given::<Instance>([created(), event]);
    assigned.when_silent(assign(LoadBalancerId(Uuid::from_u128(99))));
    assert_eq!(assigned.state().present().unwrap().load_balancer, Some(load_balancer_id()));
}

#[test]
fn one_launch_at_a_time_unless_it_may_queue() {
    given::<Instance>([created()]).when_then(request(1, false), [requested(1, false)]);
    let launching = given::<Instance>([created(), requested(1, false)]);
    launching.when_silent(request(1, false));
    launching.when_refused(request(2, false), Rejected::LaunchInFlight { run: run_id(1) });
    launching.when_then(request(2, true), [requested(2, true)]);
}

#[test]
fn a_settled_launch_lets_the_next_one_begin_and_keeps_the_count() {
    let settle = |number| Command::SettleLaunch {
        appserver: appserver_id(number),
        outcome: LaunchOutcome::Failed,
    };
    let queued = given::<Instance>([created(), requested(1, false), requested(2, true)]);
    queued.when_then(settle(1), [settled(1, LaunchOutcome::Failed)]);
    queued.when_silent(settle(3));
    let next = queued.after(settle(1));
    next.when_silent(settle(1));
    let launches = &next.state().present().unwrap().launches;
    assert_eq!(launches.iter().map(|launch| launch.number).collect::<Vec<_>>(), [2]);
    next.after(settle(2)).when_then(request(3, false), [requested(3, false)]);
}

#[test]
fn only_a_running_launch_proves_the_instance() {
    for (outcome, proves) in [
        (LaunchOutcome::Running, true),
        (LaunchOutcome::Failed, false),
        (LaunchOutcome::Error, false),
        (LaunchOutcome::Cancelled, false),
    ] {
        let history = [created(), requested(1, false), settled(1, outcome)];
        let instance = given::<Instance>(history);
        assert_eq!(instance.state().present().unwrap().successfully_provisioned, proves);
    }
}

#[test]
fn traffic_moves_without_a_gap() {
    let idle = given::<Instance>([created()]);
    idle.when_silent(assign(&[], &[1], false));
    idle.when_then(assign(&[1], &[], false), [traffic(&[1], &[1], &[])]);
    let one = given::<Instance>([created(), traffic(&[1], &[1], &[])]);
    one.when_silent(assign(&[1], &[2], false));
    one.when_then(assign(&[2], &[1], false), [traffic(&[2], &[2], &[1])]);
    one.when_then(assign(&[2], &[], false), [traffic(&[1, 2], &[2], &[])]);
    one.when_then(assign(&[2, 2], &[], false), [traffic(&[1, 2], &[2], &[])]);
    // Who is added and removed at once stays.
    one.when_silent(assign(&[1], &[1], false));
}

#[test]
fn the_last_active_appserver_leaves_only_by_force() {
    let one = given::<Instance>([created(), traffic(&[1], &[1], &[])]);
    one.when_refused(assign(&[], &[1], false), Rejected::LastActive);
    one.when_then(assign(&[], &[1], true), [traffic(&[], &[], &[1])]);
    let two = given::<Instance>([created(), traffic(&[1, 2], &[1, 2], &[])]);
    two.when_then(assign(&[], &[1], false), [traffic(&[2], &[], &[1])]);
    two.when_refused(assign(&[], &[1, 2], false), Rejected::LastActive);
}

#[test]
fn the_names_of_a_site_stay_as_traffic_was_assigned_until_it_is_assigned_anew() {
    let renamed =
        || InstanceSettings { external_lms_domain: "tiny.example.org".to_owned(), ..settings() };
    let change = || Event::SettingsChanged {
        settings: Box::new(renamed()),
        changed: vec!["external_lms_domain".to_owned()],
        version: 2,
    };
    let names =
        |history: Vec<Event>| given::<Instance>(history).state().present().unwrap().routed_names();
    let (old, new) = (RoutedNames::new(&settings()), RoutedNames::new(&renamed()));
    assert_ne!(old, new);
    assert_eq!(names(vec![created(), change()]), new, "nobody serves yet");
    assert_eq!(names(vec![created(), traffic(&[1], &[1], &[]), change()]), old);

    let serving = given::<Instance>([created(), traffic(&[1], &[1], &[]), change()]);
    let assign = Command::AssignTraffic {
        add: vec![appserver_id(1)],
        remove: vec![],
        names: new.clone(),
        may_empty: false,
    };
    let assigned = Event::TrafficAssigned {
        active: vec![appserver_id(1)],
        added: vec![],
        removed: vec![],
        names: new.clone(),
    };
    serving.when_then(assign.clone(), [assigned]);
    serving.after(assign.clone()).when_silent(assign);
    let gone = [created(), traffic(&[1], &[1], &[]), change(), traffic(&[], &[], &[1])];
    assert_eq!(names(gone.into()), new, "nobody serves any more");
}

#[test]
fn wrong_answers_are_told_once_and_so_is_their_end() {
    let trouble = |name: &str| NameTrouble { name: name.to_owned(), trouble: "503".to_owned() };
    let observe = |names: &[&str]| Command::ObserveNames {
        troubles: names.iter().map(|name| trouble(name)).collect(),
    };
    let well = given::<Instance>([created(), traffic(&[1], &[1], &[])]);
    well.when_silent(observe(&[]));
    let one = || Event::NamesTroubled { troubles: vec![trouble("a.example.com")] };
    well.when_then(observe(&["a.example.com"]), [one()]);
    let ill = well.after(observe(&["a.example.com"]));
    ill.when_silent(observe(&["a.example.com"]));
    let two = || vec![trouble("a.example.com"), trouble("b.example.com")];
    ill.when_then(
        observe(&["a.example.com", "b.example.com"]),
        [Event::NamesTroubled { troubles: two() }],
    );
    ill.when_then(observe(&[]), [Event::NamesRecovered {}]);
    ill.after(observe(&[])).when_silent(observe(&[]));
}
