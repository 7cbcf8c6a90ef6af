//! The rules of a reserved name.

use crate::given::given;
use ocim_domain::name::{Command, Event, Kind, Name, Rejected, State, name_id};

fn reserve(owner: &str) -> Command {
    let (kind, name) = (Kind::Domain, "lms.example.com".to_owned());
    Command::Reserve { kind, name, owner: owner.to_owned() }
}

fn reserved(owner: &str) -> Event {
    let (kind, name) = (Kind::Domain, "lms.example.com".to_owned());
    Event::Reserved { kind, name, owner: owner.to_owned() }
}

fn reclaim(from: &str, owner: &str) -> Command {
    Command::Reclaim { from: from.to_owned(), owner: owner.to_owned() }
}

fn release(owner: &str) -> Command {
    Command::Release { owner: owner.to_owned() }
}

fn released(owner: &str) -> Event {
    Event::Released { owner: owner.to_owned() }
}

#[test]
fn a_free_name_can_only_be_reserved() {
    for history in [vec![], vec![reserved("a"), released("a")]] {
        let free = given::<Name>(history);
        free.when_then(reserve("b"), [reserved("b")]);
        free.when_refused(reclaim("a", "b"), Rejected::Free);
        free.when_silent(release("a"));
    }
}

#[test]
fn people_are_told_what_kind_a_name_is() {
    let kinds = [Kind::Domain, Kind::Database, Kind::Container, Kind::Bucket, Kind::IamUser];
    let nouns = ["domain", "database", "container", "bucket", "AWS account"];
    assert_eq!(kinds.map(Kind::noun), nouns);
}

#[test]
fn a_held_name_has_one_owner() {
    let held = given::<Name>([reserved("a")]);
    // Whoever meant to take it away on what was read before comes too late.
    held.when_then(reserve("a"), [Event::Renewed { owner: "a".to_owned() }]);
    held.when_refused(reserve("b"), Rejected::Taken { owner: "a".to_owned() });
    held.when_silent(release("b"));
    held.when_then(release("a"), [released("a")]);
}

#[test]
fn a_name_is_reclaimed_from_the_owner_that_is_named() {
    let held = given::<Name>([reserved("a")]);
    held.when_refused(reclaim("c", "b"), Rejected::Taken { owner: "a".to_owned() });
    let event = Event::Reclaimed { from: "a".to_owned(), owner: "b".to_owned() };
    held.when_then(reclaim("a", "b"), [event]);
    let taken = held.after(reclaim("a", "b"));
    assert_eq!(*taken.state(), State::Held { owner: "b".to_owned() });
    taken.when_silent(release("a"));
}

#[test]
fn a_name_has_one_stream_however_it_is_spelled() {
    let id = name_id(Kind::Domain, "LMS.example.com");
    assert_eq!(id, name_id(Kind::Domain, "lms.EXAMPLE.com"));
    assert_ne!(id, name_id(Kind::Database, "lms.example.com"));
    assert_ne!(id, name_id(Kind::Domain, "lms2.example.com"));
    let id = name_id(Kind::Domain, "Über.example.com");
    assert_eq!(id, name_id(Kind::Domain, "XN--ber-goa.example.com"));
    assert_eq!(name_id(Kind::Bucket, "Ocim-A"), name_id(Kind::Bucket, "ocim-a"));
}
