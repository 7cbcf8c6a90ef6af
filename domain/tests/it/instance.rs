//! The rules of an instance.

use crate::given::given;
use crate::sample::{
    self, appserver_id, instance_id, load_balancer_id, other_settings, run_id, settings,
};
use ocim_domain::decider::Decider;
use ocim_domain::ids::LoadBalancerId;
use ocim_domain::instance::{
    Attempts, Command, Event, Instance, LaunchOutcome, NameTrouble, OnSuccess, Rejected, State, Tag,
};
use ocim_domain::name::Kind;
use ocim_domain::names::{RoutedNames, monitored_urls};
use ocim_domain::resources::{ResourceNames, ResourcePrefixes};
use ocim_domain::settings::{InstanceSettings, SettingsChanges};
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
        attempts: Attempts::ONE,
    }
}

fn settled(number: u32, outcome: LaunchOutcome) -> Event {
    let run = run_id(number.into());
    Event::LaunchSettled { appserver: appserver_id(number.into()), outcome, run, next_run: None }
}

fn create() -> Command {
    Command::Create { settings: Box::new(settings()), details: Box::default() }
}

/// Another attempt would be the Appserver and the run of the next number.
fn settle(number: u128, outcome: LaunchOutcome) -> Command {
    let next = (appserver_id(number + 1), run_id(number + 1));
    Command::SettleLaunch { appserver: appserver_id(number), outcome, next }
}

fn request(number: u128, may_queue: bool) -> Command {
    Command::RequestLaunch {
        appserver: appserver_id(number),
        run: run_id(number),
        may_queue,
        then: OnSuccess::default(),
        attempts: Attempts::ONE,
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
    absent.when_then(create(), [created()]);
    absent.when_then(disown("lms.example.com"), [abandoned()]);
    for command in [
        Command::ChangeSettings { settings: Box::new(settings()) },
        Command::AssignLoadBalancer { load_balancer: load_balancer_id() },
        Command::ClaimTraffic { run: run_id(1) },
        Command::ReleaseTraffic { run: run_id(1) },
        request(1, false),
        settle(1, LaunchOutcome::Running),
        assign(&[1], &[], false),
        Command::ObserveNames { troubles: vec![] },
    ] {
        absent.when_refused(command.clone(), Rejected::Absent);
        given::<Instance>([abandoned()]).when_refused(command, Rejected::Absent);
    }
}

#[test]
fn an_instance_is_created_or_abandoned_once() {
    let abandon = || disown("lms.example.com");
    given::<Instance>([created()]).when_refused(create(), Rejected::Exists);
    given::<Instance>([created()]).when_refused(abandon(), Rejected::WantsName);
    given::<Instance>([abandoned()]).when_refused(create(), Rejected::Exists);
    given::<Instance>([abandoned()]).when_silent(abandon());
}

#[test]
fn changed_settings_name_the_fields_that_differ() {
    let change = |settings| Command::ChangeSettings { settings: Box::new(settings) };
    let instance = given::<Instance>([created()]);
    instance.when_silent(change(settings()));
    let changed = changed_to(&other_settings());
    let Event::SettingsChanged { changes, .. } = &changed else { panic!("{changed:?}") };
    assert_eq!(changes.fields(), ["name"]);
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
    let settle = |number| settle(number, LaunchOutcome::Failed);
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
    let change = || changed_to(&renamed());
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
fn pages_are_watched_under_the_names_that_visitors_are_served_under() {
    let changed =
        || InstanceSettings { external_lms_domain: "tiny.example.org".to_owned(), ..settings() };
    let urls = |history: Vec<Event>| {
        given::<Instance>(history).state().present().unwrap().monitored_urls()
    };
    let (old, new) = (monitored_urls(&settings()), monitored_urls(&changed()));
    let none: [String; 0] = [];
    assert_eq!(urls(vec![created()]), none, "nobody serves");
    let serving = || vec![created(), traffic(&[1], &[1], &[])];
    assert_eq!(urls(serving()), old);
    let ahead = || [serving(), vec![changed_to(&changed())]].concat();
    assert_eq!(urls(ahead()), old, "the new name leads nowhere yet");
    let names = RoutedNames::new(&changed());
    let active = vec![appserver_id(1)];
    let assigned = Event::TrafficAssigned { active, added: vec![], removed: vec![], names };
    assert_eq!(urls([ahead(), vec![assigned]].concat()), new);
    assert_eq!(urls([serving(), vec![traffic(&[], &[], &[1])]].concat()), none);
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

fn disown(name: &str) -> Command {
    Command::DisownName { kind: Kind::Domain, name: name.to_owned(), by: instance_id() }
}

fn with_external(domain: &str) -> Event {
    let external_lms_domain = Some(domain.to_owned());
    let changes = SettingsChanges { external_lms_domain, ..SettingsChanges::default() };
    Event::SettingsChanged { changes: Box::new(changes), version: 2 }
}

/// The change from the sample's settings to these.
fn changed_to(settings: &InstanceSettings) -> Event {
    let changes = sample::settings().difference(settings);
    Event::SettingsChanged { changes: Box::new(changes), version: 2 }
}

/// Traffic under one name alone.
fn under(active: &[u128], domain: &str) -> Event {
    let names = RoutedNames { domains: vec![domain.to_owned()], ..RoutedNames::default() };
    Event::TrafficAssigned {
        active: active.iter().map(|id| appserver_id(*id)).collect(),
        added: vec![],
        removed: vec![],
        names,
    }
}

fn assigned() -> Event {
    Event::LoadBalancerAssigned { load_balancer: load_balancer_id() }
}

#[test]
fn a_name_is_disowned_only_by_who_does_not_want_it() {
    let disowned = |name: &str| Event::NameDisowned {
        kind: Kind::Domain,
        name: name.to_owned(),
        by: instance_id(),
    };
    let instance = given::<Instance>([created(), with_external("École.example.org")]);
    for wanted in ["LMS.example.com", "studio-lms.example.com", "xn--cole-9oa.example.org"] {
        instance.when_refused(disown(wanted), Rejected::WantsName);
    }
    instance.when_then(disown("other.example.org"), [disowned("other.example.org")]);
    // Nothing serves a domain of a site without a balancer: it is let go at once.
    let without = given::<Instance>([created(), with_external("a.example.org"), with_external("")]);
    without.when_then(disown("a.example.org"), [disowned("a.example.org")]);
}

#[test]
fn a_dropped_domain_stays_until_the_balancer_is_known_not_to_serve_it() {
    let released = Event::DomainsReleased { domains: vec!["a.example.org".to_owned()] };
    let history = [created(), assigned(), with_external("A.example.org"), with_external("")];
    let leaving = given::<Instance>(history.clone());
    leaving.when_refused(disown("a.example.org"), Rejected::WantsName);
    leaving.when_then(Command::ReleaseDomains, [released.clone()]);
    leaving.after(Command::ReleaseDomains).when_silent(Command::ReleaseDomains);
    // A run may have planned with it before the settings dropped it.
    let moving = [history.to_vec(), vec![Event::TrafficClaimed { run: run_id(1) }]].concat();
    given::<Instance>(moving).when_silent(Command::ReleaseDomains);
    // Traffic is still assigned under it.
    let serving = [
        created(),
        assigned(),
        with_external("A.example.org"),
        under(&[1], "a.example.org"),
        with_external(""),
    ];
    given::<Instance>(serving.clone()).when_silent(Command::ReleaseDomains);
    let moved = [serving.to_vec(), vec![under(&[1], "lms.example.com")]].concat();
    given::<Instance>(moved).when_then(Command::ReleaseDomains, [released]);
    // Wanted again, it is no more on its way.
    let again = [history.to_vec(), vec![with_external("a.example.org")]].concat();
    given::<Instance>(again).when_silent(Command::ReleaseDomains);
}

#[test]
fn resources_are_named_once() {
    let propose = |attempt| {
        let prefixes = ResourcePrefixes::default();
        ResourceNames::propose("lms.example.com", &prefixes, instance_id(), attempt)
    };
    let name = |attempt| Command::NameResources { names: propose(attempt) };
    let instance = given::<Instance>([created()]);
    instance.when_then(name(0), [Event::ResourcesNamed { names: propose(0) }]);
    let named = instance.after(name(0));
    named.when_silent(name(1));
    assert_eq!(named.state().present().unwrap().resources, Some(propose(0)));
    for (kind, name) in propose(0).reserved() {
        let (name, by) = (name.to_uppercase(), instance_id());
        named.when_refused(Command::DisownName { kind, name, by }, Rejected::WantsName);
    }
}

#[test]
fn names_that_another_site_has_get_digits_of_their_own() {
    let prefixes = ResourcePrefixes::default();
    let propose =
        |domain: &str, attempt| ResourceNames::propose(domain, &prefixes, instance_id(), attempt);
    // Hyphens vanish: both would use one database.
    assert_eq!(propose("a-b.example.com", 0), propose("ab.example.com", 0));
    let own = propose("ab.example.com", 1);
    let digits = own.database.strip_prefix("ab_example_com").unwrap();
    assert!(digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits}");
    assert_eq!(own.forum_database, format!("{}_forum", own.database));
    assert_eq!(own.bucket, format!("ocim-ab-example-com{digits}"));
    assert_eq!(own.iam_user, format!("ocim-ab_example_com{digits}"));
    let long = propose(&format!("{}.example.com", "x".repeat(60)), 1);
    assert!(long.database.len() == 50 && long.database.ends_with(digits), "{long:?}");
    assert_ne!(propose("ab.example.com", 2).database, own.database);
    // One site's forum can be another's main database.
    let other = propose("ab.example.com.forum", 0).database;
    assert_eq!(other, propose("ab.example.com", 0).forum_database);
    let (kinds, _): (Vec<_>, Vec<_>) = own.reserved().into_iter().unzip();
    assert_eq!(kinds[0], kinds[1]);
}

#[test]
fn only_a_dropped_domain_is_on_its_way_to_others() {
    let history = [created(), assigned(), with_external("A.example.org"), with_external("")];
    let leaving = |events: &[Event], kind, name| match Instance::fold(events) {
        State::Present(present) => present.is_leaving(kind, name),
        other => panic!("{other:?}"),
    };
    assert!(leaving(&history, Kind::Domain, "a.EXAMPLE.org"));
    assert!(!leaving(&history, Kind::Domain, "lms.example.com"), "the settings have it");
    assert!(!leaving(&history, Kind::Bucket, "a.example.org"));
    let kept = [created(), assigned(), with_external("A.example.org")];
    assert!(!leaving(&kept, Kind::Domain, "a.example.org"));
}

#[test]
fn a_tag_is_a_short_word_and_reads_as_it_is_written() {
    let longest = "a".repeat(100);
    for text in ["a", "A-1_b", &longest] {
        let tag: Tag = text.parse().unwrap();
        assert_eq!((tag.as_str(), tag.as_ref(), tag.to_string().as_str()), (text, text, text));
    }
    for wrong in ["", "a b", "é", "a.b", &(longest + "a")] {
        assert!(wrong.parse::<Tag>().is_err(), "{wrong}");
    }
}

#[test]
fn what_is_reserved_for_an_instance_is_what_it_holds() {
    let present = Instance::fold(&[
        created(),
        assigned(),
        with_external("A.example.org"),
        with_external(""),
        Event::ResourcesNamed {
            names: ResourceNames::propose(
                "lms.example.com",
                &ResourcePrefixes::default(),
                instance_id(),
                0,
            ),
        },
        under(&[1], "lms.example.com"),
    ]);
    let State::Present(present) = present else { panic!("{present:?}") };
    let reserved = present.reserved_names();
    for (kind, name) in &reserved {
        assert!(present.holds(*kind, name), "{kind:?} {name}");
    }
    let of =
        |kind| reserved.iter().filter(move |(of, _)| *of == kind).map(|(_, name)| name.as_str());
    let domains: Vec<_> = of(Kind::Domain).collect();
    assert!(domains.contains(&"lms.example.com") && domains.contains(&"a.example.org"));
    assert!(domains.contains(&"vm1.lms.example.com"), "its machine in traffic: {domains:?}");
    for kind in [Kind::Database, Kind::Container, Kind::Bucket, Kind::IamUser] {
        assert!(of(kind).count() > 0, "{kind:?}");
        // A name of one kind is nobody's of another.
        assert!(!present.holds(kind, "lms.example.com"), "{kind:?}");
    }
}
