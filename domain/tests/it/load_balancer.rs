//! The rules of a balancer.

use crate::given::given;
use crate::sample::{address, registration};
use ocim_domain::load_balancer::{Command, Event, LoadBalancer, Registration, Rejected};

fn applied() -> Command {
    Command::RecordApplied { fragment: "f".to_owned() }
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
    assert_eq!(*after.state(), Some(moved));
}

#[test]
fn a_balancer_accepts_new_backends_or_not() {
    let known = given::<LoadBalancer>([Event::Registered(registration())]);
    known.when_silent(Command::AcceptBackends(true));
    let closed = Event::AcceptanceChanged { accepts_new_backends: false };
    known.when_then(Command::AcceptBackends(false), [closed]);
    let closed = known.after(Command::AcceptBackends(false));
    closed.when_silent(Command::AcceptBackends(false));
    assert!(!closed.state().as_ref().unwrap().accepts_new_backends);
}

#[test]
fn every_applied_fragment_is_told() {
    let known = given::<LoadBalancer>([Event::Registered(registration())]);
    let event = Event::FragmentApplied { fragment: "f".to_owned() };
    known.when_then(applied(), [event.clone()]);
    known.after(applied()).when_then(applied(), [event]);
}
