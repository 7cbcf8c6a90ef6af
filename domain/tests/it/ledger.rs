//! The rules of what an instance has outside.

use crate::given::given;
use crate::sample::resource;
use ocim_domain::decider::Decider;
use ocim_domain::event::{DecodeError, DomainEvent};
use ocim_domain::ledger::{
    Command, Event, Kind, Ledger, Rejected, Resource, ResourceKey, Sight, ledger_id,
};

fn id() -> ResourceKey {
    resource().id
}

fn present(provider_id: &str) -> Command {
    Command::FindPresent { id: id(), provider_id: provider_id.to_owned() }
}

fn is_present(provider_id: &str) -> Event {
    Event::Present { id: id(), provider_id: provider_id.to_owned() }
}

fn lose_sight() -> Command {
    Command::LoseSight { id: id(), reason: "no answer".to_owned() }
}

fn is_unknown() -> Event {
    Event::Unknown { id: id(), reason: "no answer".to_owned() }
}

fn wanted() -> Event {
    Event::Wanted { resource: resource() }
}

#[test]
fn a_resource_is_wanted_once_and_again_where_it_is_wanted_otherwise() {
    given::<Ledger>([]).when_then(Command::Want(resource()), [wanted()]);
    given::<Ledger>([wanted()]).when_silent(Command::Want(resource()));
    given::<Ledger>([wanted(), is_present("vm-1")]).when_silent(Command::Want(resource()));
    let renamed = Resource { name: "another".to_owned(), ..resource() };
    let event = Event::Wanted { resource: renamed.clone() };
    let history = [wanted(), is_present("vm-1")];
    given::<Ledger>(history.clone()).when_then(Command::Want(renamed.clone()), [event.clone()]);
    let state = Ledger::fold(history.iter().chain([&event]));
    let entry = &state.entries[&id()];
    assert_eq!((&entry.resource, entry.sight), (&renamed, Sight::Wanted));
    assert_eq!(entry.provider_id.as_deref(), Some("vm-1"));
}

#[test]
fn what_was_never_wanted_is_refused_and_what_is_told_twice_is_told_once() {
    given::<Ledger>([]).when_refused(present("vm-1"), Rejected::NeverWanted { id: id() });
    given::<Ledger>([wanted()]).when_then(present("vm-1"), [is_present("vm-1")]);
    given::<Ledger>([wanted(), is_present("vm-1")]).when_silent(present("vm-1"));
    given::<Ledger>([wanted(), is_present("vm-1")])
        .when_then(present("vm-2"), [is_present("vm-2")]);
}

#[test]
fn many_are_wanted_and_found_at_once_and_what_is_known_is_not_told_again() {
    let other = Resource { id: ResourceKey::new(Kind::DnsName, "a.example.com"), ..resource() };
    let both = || vec![resource(), other.clone()];
    let wanted_too = Event::Wanted { resource: other.clone() };
    given::<Ledger>([]).when_then(Command::WantAll(both()), [wanted(), wanted_too.clone()]);
    given::<Ledger>([wanted()]).when_then(Command::WantAll(both()), [wanted_too.clone()]);
    let found = vec![(id(), "vm-1".to_owned()), (other.id.clone(), "a".to_owned())];
    let present_too = Event::Present { id: other.id.clone(), provider_id: "a".to_owned() };
    given::<Ledger>([wanted(), wanted_too, is_present("vm-1")])
        .when_then(Command::FindAllPresent(found.clone()), [present_too]);
    given::<Ledger>([wanted()])
        .when_refused(Command::FindAllPresent(found), Rejected::NeverWanted { id: other.id });
}

#[test]
fn a_lost_sight_is_told_once_and_ends_with_what_is_found() {
    given::<Ledger>([]).when_silent(lose_sight());
    given::<Ledger>([wanted()]).when_then(lose_sight(), [is_unknown()]);
    let lost = [wanted(), is_present("vm-1"), is_unknown()];
    given::<Ledger>(lost.clone()).when_silent(lose_sight());
    given::<Ledger>(lost.clone()).when_then(present("vm-1"), [is_present("vm-1")]);
    given::<Ledger>(lost).when_then(Command::FindAbsent { id: id() }, [Event::Absent { id: id() }]);
}

#[test]
fn a_kind_of_a_newer_ocim_is_unknown() {
    for event in [wanted(), is_present("vm-1"), is_unknown(), Event::Absent { id: id() }] {
        let (kind, schema, data) = event.encode().unwrap();
        assert_eq!(Event::decode(&kind, schema, &data).unwrap(), event);
        let data = data.to_string().replace("\"machine\"", "\"of_tomorrow\"");
        let read = Event::decode(&kind, schema, &serde_json::from_str(&data).unwrap());
        assert!(matches!(read, Err(DecodeError::Unknown { .. })), "{read:?}");
    }
}

#[test]
fn what_is_gone_is_forgotten() {
    let gone = [wanted(), is_present("vm-1"), Event::Absent { id: id() }];
    assert!(Ledger::fold(&gone).entries.is_empty());
    given::<Ledger>(gone.clone()).when_silent(Command::FindAbsent { id: id() });
    given::<Ledger>(gone).when_then(Command::Want(resource()), [wanted()]);
}

#[test]
fn a_ledger_has_its_instances_uuid_and_kinds_have_their_words() {
    let instance = crate::sample::instance_id();
    assert_eq!(ledger_id(instance).0, instance.0);
    for kind in Kind::ALL {
        assert_eq!(serde_json::json!(kind), kind.as_str());
    }
    assert_eq!(Kind::SecurityGroups.to_string(), "security groups");
}

#[test]
fn what_is_resolved_is_nobodys_any_more_and_has_to_be_there_first() {
    let resolve = || Command::Resolve { id: id(), reason: "its cloud is no more".to_owned() };
    let resolved = || Event::Resolved { id: id(), reason: "its cloud is no more".to_owned() };
    for known in [vec![wanted()], vec![wanted(), is_present("vm-1")], vec![wanted(), is_unknown()]]
    {
        given::<Ledger>(known).when_then(resolve(), [resolved()]);
    }
    given::<Ledger>([]).when_refused(resolve(), Rejected::Unheard { id: id() });
    let again = given::<Ledger>([wanted(), resolved()]);
    again.when_refused(resolve(), Rejected::Unheard { id: id() });
    again.when_then(Command::Want(resource()), [wanted()]);
}

#[test]
fn what_was_found_and_has_no_owner_is_adopted_once() {
    let reason = || "its machine is still needed".to_owned();
    let adopt = || Command::Adopt {
        resource: resource(),
        provider_id: "vm-1".to_owned(),
        reason: reason(),
    };
    let adopted =
        Event::Adopted { resource: resource(), provider_id: "vm-1".to_owned(), reason: reason() };
    given::<Ledger>([]).when_then(adopt(), [adopted.clone()]);
    given::<Ledger>([adopted.clone()]).when_refused(adopt(), Rejected::HasIt { id: id() });
    // It is there as if it had been wanted.
    given::<Ledger>([adopted]).when_silent(present("vm-1"));
}
