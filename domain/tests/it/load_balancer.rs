//! The rules of a balancer.

use crate::given::given;
use crate::sample::{address, at, registration, run_id};
use ocim_domain::load_balancer::{
    Command, Event, LoadBalancer, Registration, Rejected, Trouble, fragment_owner,
};
use std::collections::BTreeMap;
use std::time::Duration;

fn applied() -> Command {
    Command::RecordApplied { fragment: "f".to_owned(), digest: Some("d".to_owned()) }
}

#[test]
fn an_unknown_balancer_can_only_be_registered() {
    let unknown = given::<LoadBalancer>([]);
    unknown.when_then(Command::Register(registration()), [Event::Registered(registration())]);
    unknown.when_refused(Command::AcceptBackends(true), Rejected::Absent);
    unknown.when_refused(applied(), Rejected::Absent);
}

#[test]
fn a_registration_is_brought_up_to_date_but_what_its_fragments_are_called_by_stays() {
    let known = given::<LoadBalancer>([Event::Registered(registration())]);
    known.when_silent(Command::Register(registration()));
    let moved = Registration { address: address(201), ..registration() };
    let asked = Registration { fragment_name_postfix: "other".to_owned(), ..moved.clone() };
    known.when_then(Command::Register(asked), [Event::RegistrationChanged(moved.clone())]);
    let only_postfix = Registration { fragment_name_postfix: "other".to_owned(), ..registration() };
    known.when_silent(Command::Register(only_postfix));
    let only_prefix = Registration { fragment_name_prefix: "other-".to_owned(), ..registration() };
    known.when_silent(Command::Register(only_prefix));
    let after = known.after(Command::Register(moved.clone()));
    assert_eq!(after.state().as_ref().unwrap().registration, moved);
}

#[test]
fn a_balancer_accepts_new_backends_or_not() {
    let known = given::<LoadBalancer>([Event::Registered(registration())]);
    known.when_silent(Command::AcceptBackends(true));
    let closed = Event::AcceptanceChanged { accepts_new_backends: false };
    known.when_then(Command::AcceptBackends(false), [closed]);
    let closed = known.after(Command::AcceptBackends(false));
    closed.when_silent(Command::AcceptBackends(false));
    assert!(!closed.state().as_ref().unwrap().registration.accepts_new_backends);
}

#[test]
fn a_balancer_is_not_retired_under_its_instances_and_takes_nobody_once_it_is() {
    let client = crate::sample::instance_id();
    let (admit, release) = (|| Command::Admit { client }, || Command::Release { client });
    let known = || given::<LoadBalancer>([Event::Registered(registration())]);
    known().when_then(admit(), [Event::ClientAdmitted { client }]);
    known().when_silent(release());
    let used = || known().after(admit());
    used().when_silent(admit());
    used().when_refused(Command::Retire, Rejected::InUse { clients: vec![client] });
    used().after(Command::AcceptBackends(false)).when_silent(admit());
    let closed = known().after(Command::AcceptBackends(false));
    closed.when_refused(admit(), Rejected::AcceptsNobody);
    used().when_then(release(), [Event::ClientReleased { client }]);
    let retired = || used().after(release()).after(Command::Retire);
    retired().when_silent(Command::Retire);
    retired().when_refused(admit(), Rejected::Retired);
    assert!(!retired().state().as_ref().unwrap().accepts());
    retired().when_then(Command::Register(registration()), [Event::Registered(registration())]);
    let back = retired().after(Command::Register(registration()));
    assert!(back.state().as_ref().unwrap().accepts());
}

#[test]
fn what_is_known_of_a_balancer_follows_the_rules() {
    let fields = |registration: &Registration| -> Vec<String> {
        registration.check().into_iter().map(|violation| violation.field).collect()
    };
    assert_eq!(fields(&registration()), Vec::<String>::new());
    let mut wrong = registration();
    wrong.domain = "x".repeat(101);
    wrong.address.ssh_user = "-oProxyCommand".to_owned();
    wrong.address.ssh_port = 0;
    wrong.address.http_port = 0;
    wrong.host_keys = vec!["ssh-ed25519".to_owned()];
    assert_eq!(fields(&wrong), ["domain", "ssh_username", "ssh_port", "http_port", "host_keys"]);
    for user in ["", "a b", &"x".repeat(33)] {
        let mut odd = registration();
        odd.address.ssh_user = user.to_owned();
        assert_eq!(fields(&odd), ["ssh_username"], "{user}");
    }
    let mut without = registration();
    without.host_keys = vec![];
    assert_eq!(fields(&without), ["host_keys"]);
    let key = registration().host_keys.remove(0);
    let with = |host_keys: Vec<String>| fields(&Registration { host_keys, ..registration() });
    assert_eq!(with(vec![key.clone(); 16]), Vec::<String>::new());
    assert_eq!(with(vec![key.clone(); 17]), ["host_keys"]);
    let longest = format!("ssh-rsa {}", "A".repeat(1992));
    assert_eq!(with(vec![longest.clone()]), Vec::<String>::new());
    for odd in [longest + "A", format!("{key}\u{7}")] {
        assert_eq!(with(vec![key.clone(), odd]), ["host_keys"]);
    }
}

#[test]
fn an_applied_fragment_is_told_once() {
    let known = given::<LoadBalancer>([Event::Registered(registration())]);
    let event = Event::FragmentApplied { fragment: "f".to_owned(), digest: Some("d".to_owned()) };
    known.when_then(applied(), [event.clone()]);
    let known = known.after(applied());
    known.when_silent(applied());
    let other = Event::FragmentApplied { fragment: "f".to_owned(), digest: Some("e".to_owned()) };
    let command = Command::RecordApplied { fragment: "f".to_owned(), digest: Some("e".to_owned()) };
    known.when_then(command, [other]);
    let gone = Event::FragmentApplied { fragment: "f".to_owned(), digest: None };
    let command = Command::RecordApplied { fragment: "f".to_owned(), digest: None };
    known.when_then(command.clone(), [gone.clone()]);
    given::<LoadBalancer>([Event::Registered(registration()), event, gone]).when_silent(command);
}

fn observe(troubles: Vec<Trouble>, preparation_is_open: bool, run: u128) -> Command {
    Command::Observe { troubles, preparation_is_open, run: run_id(run) }
}

#[test]
fn a_trouble_is_told_once_and_asks_for_a_run_with_growing_pauses() {
    let registered = || given::<LoadBalancer>([Event::Registered(registration())]);
    registered().when_silent(observe(vec![], false, 1));
    let stopped = || vec![Trouble::Stopped];
    let now = at(9); // When commands come here.
    let asked = |run, minutes: u64| Event::PreparationRequested {
        run: run_id(run),
        reason: None,
        next: now + Duration::from_secs(60 * minutes),
    };
    let troubled = Event::Troubled { troubles: stopped() };
    registered().when_then(observe(stopped(), false, 1), [troubled.clone(), asked(1, 1)]);
    let told = registered().after(observe(stopped(), false, 1));
    told.when_silent(observe(stopped(), false, 2));
    told.when_silent(observe(stopped(), true, 2));
    told.when_then(observe(vec![], false, 2), [Event::Recovered {}]);
    // Its pause is over, and it did not help.
    let before = Event::PreparationRequested { run: run_id(1), reason: None, next: now };
    let again = given::<LoadBalancer>([Event::Registered(registration()), troubled, before]);
    again.when_silent(observe(stopped(), true, 2));
    again.when_then(observe(stopped(), false, 2), [asked(2, 2)]);
    // Nothing can be done from here about one that does not answer.
    let unreachable = vec![Trouble::Unreachable];
    let only_told = [Event::Troubled { troubles: unreachable.clone() }];
    registered().when_then(observe(unreachable, false, 1), only_told);
}

#[test]
fn people_ask_for_a_preparation_at_any_time_but_for_one_at_a_time() {
    let ask = |run, preparation_is_open| Command::RequestPreparation {
        preparation_is_open,
        run: run_id(run),
        reason: "a new host".to_owned(),
    };
    let known = given::<LoadBalancer>([Event::Registered(registration())]).after(ask(1, false));
    assert_eq!(known.state().as_ref().unwrap().preparation, Some(run_id(1)));
    known.when_refused(ask(2, true), Rejected::BeingPrepared { run: run_id(1) });
    assert_eq!(known.after(ask(2, false)).state().as_ref().unwrap().preparation, Some(run_id(2)));
}

#[test]
fn fragments_are_compared_by_name_and_digest_and_others_marks_are_left_alone() {
    let ours = |owner: &str| {
        let registration = registration();
        let (prefix, postfix) =
            (registration.fragment_name_prefix, registration.fragment_name_postfix);
        format!("{prefix}{postfix}-{owner}")
    };
    let applied = |owner: &str, digest: Option<&str>| Event::FragmentApplied {
        fragment: ours(owner),
        digest: digest.map(str::to_owned),
    };
    let known = given::<LoadBalancer>([
        Event::Registered(registration()),
        applied("same", Some("1")),
        applied("missing", Some("2")),
        applied("differs", Some("3")),
        applied("removed", Some("4")),
        applied("removed", None),
    ]);
    let seen = [
        (ours("same"), "1"),
        (ours("differs"), "0"),
        (ours("removed"), "4"),
        (ours("stray"), "5"),
        ("somebody-elses".to_owned(), "6"),
    ];
    let seen: BTreeMap<_, _> = seen.map(|(name, digest)| (name, digest.to_owned())).into();
    let troubles = known.state().as_ref().unwrap().compare_fragments(&seen);
    let expected = [
        Trouble::Missing { fragment: ours("missing") },
        Trouble::Differs { fragment: ours("differs") },
        Trouble::Stray { fragment: ours("removed") },
        Trouble::Stray { fragment: ours("stray") },
    ];
    assert_eq!(troubles, expected);
}

#[test]
fn a_fragments_name_tells_whose_it_is() {
    let instance = crate::sample::instance_id();
    assert_eq!(fragment_owner(&format!("ocim-inst_a-{instance}")), Some(instance));
    assert_eq!(fragment_owner("ocim-main-somebody"), None);
}

#[test]
fn a_trouble_says_which_fragment_it_is_about() {
    let fragment = || "ocim-1".to_owned();
    for about_one in [
        Trouble::Missing { fragment: fragment() },
        Trouble::Differs { fragment: fragment() },
        Trouble::Stray { fragment: fragment() },
    ] {
        assert_eq!(about_one.fragment(), Some("ocim-1"));
    }
    for about_none in [Trouble::Unreachable, Trouble::Unprepared, Trouble::Stopped] {
        assert_eq!(about_none.fragment(), None);
    }
    // Each is told in words of its own.
    let told = [
        (Trouble::Unreachable, "it does not answer"),
        (Trouble::Stopped, "HAProxy is not running"),
        (Trouble::Missing { fragment: fragment() }, "ocim-1 is missing"),
        (Trouble::Differs { fragment: fragment() }, "ocim-1 is not as it was sent"),
        (Trouble::Stray { fragment: fragment() }, "ocim-1 belongs to nobody"),
    ];
    for (trouble, words) in told {
        assert_eq!(trouble.to_string(), words);
    }
    assert!(Trouble::Unprepared.to_string().contains("not prepared"));
}
