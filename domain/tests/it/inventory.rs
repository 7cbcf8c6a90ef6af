//! The rules of a region: what is told once, and what is taken away by hand.

use crate::given::given;
use crate::sample::{orphan, resource, run_id};
use ocim_domain::event::{DecodeError, DomainEvent};
use ocim_domain::inventory::{
    Command, DNS, Event, Inventory, Orphan, OrphanId, Rejected, inventory_id,
};
use ocim_domain::ledger::{Kind, Resource, ResourceKey};
use serde_json::json;

fn region() -> String {
    "test-region".to_owned()
}

#[test]
fn a_silence_is_told_once_and_so_is_its_end() {
    let lose = |error: &str| Command::LoseSight { region: region(), error: error.to_owned() };
    let regain = || Command::RegainSight { region: region() };
    let fresh = given::<Inventory>([]);
    fresh.when_silent(regain());
    let lost = Event::SightLost { region: region(), error: "timeout".to_owned() };
    fresh.when_then(lose("timeout"), [lost]);
    let silent = fresh.after(lose("timeout"));
    silent.when_silent(lose("another timeout"));
    silent.when_then(regain(), [Event::SightRegained { region: region() }]);
    silent.after(regain()).when_silent(regain());
}

#[test]
fn an_orphan_is_told_once_until_it_is_settled() {
    let report = || Command::ReportOrphan { place: region(), orphan: orphan() };
    let settle = || Command::SettleOrphan { id: orphan().id };
    let fresh = given::<Inventory>([]);
    fresh.when_silent(settle());
    let found = Event::OrphanFound { place: region(), orphan: orphan() };
    fresh.when_then(report(), [found.clone()]);
    let known = fresh.after(report());
    known.when_silent(report());
    known.when_then(settle(), [Event::OrphanSettled { id: orphan().id }]);
    known.after(settle()).when_then(report(), [found]);
}

#[test]
fn only_a_reported_orphan_is_taken_away() {
    let id = || orphan().id;
    let ask = || Command::RequestOrphanDeletion {
        id: id(),
        run: run_id(6),
        reason: "a duplicate".to_owned(),
    };
    let fresh = given::<Inventory>([]);
    fresh.when_refused(ask(), Rejected::NotAnOrphan { id: id() });
    let known = fresh.after(Command::ReportOrphan { place: region(), orphan: orphan() });
    let requested = Event::OrphanDeletionRequested {
        place: region(),
        id: id(),
        run: run_id(6),
        reason: "a duplicate".to_owned(),
    };
    known.when_then(ask(), [requested]);
    let asked = known.after(ask());
    asked.when_refused(ask(), Rejected::BeingDeleted { id: id(), run: run_id(6) });
}

#[test]
fn an_orphan_that_a_run_did_not_take_away_is_offered_again() {
    let id = || orphan().id;
    let ask = |run| Command::RequestOrphanDeletion {
        id: id(),
        run: run_id(run),
        reason: "a duplicate".to_owned(),
    };
    let stop = |run| Command::StopOrphanDeletion { id: id(), run: run_id(run) };
    let known = given::<Inventory>([]);
    known.when_silent(stop(6));
    let known = known.after(Command::ReportOrphan { place: region(), orphan: orphan() });
    known.when_silent(stop(6));
    let asked = known.after(ask(6));
    asked.when_silent(stop(7));
    let stopped = Event::OrphanDeletionStopped { id: id(), run: run_id(6) };
    asked.when_then(stop(6), [stopped]);
    let offered = asked.after(stop(6));
    offered.when_silent(stop(6));
    let requested = Event::OrphanDeletionRequested {
        place: region(),
        id: id(),
        run: run_id(7),
        reason: "a duplicate".to_owned(),
    };
    offered.when_then(ask(7), [requested]);
}

#[test]
fn a_duplicate_is_told_and_taken_away_at_once_and_once() {
    let report = |run: u128| Command::ReportDuplicate {
        place: region(),
        orphan: orphan(),
        run: run_id(run),
        reason: "a duplicate".to_owned(),
    };
    let id = orphan().id;
    let found = Event::OrphanFound { place: region(), orphan: orphan() };
    let (reason, run) = ("a duplicate".to_owned(), run_id(6));
    let requested = Event::OrphanDeletionRequested { place: region(), id, run, reason };
    let fresh = given::<Inventory>([]);
    fresh.when_then(report(6), [found, requested]);
    fresh.after(report(6)).when_silent(report(7));
}

#[test]
fn what_was_seen_just_now_is_taken_away_whether_it_was_reported_or_not() {
    let delete = |run| Command::DeleteOrphan {
        place: region(),
        orphan: orphan(),
        run: run_id(run),
        reason: "left by a test".to_owned(),
    };
    let found = Event::OrphanFound { place: region(), orphan: orphan() };
    let requested = |run| Event::OrphanDeletionRequested {
        place: region(),
        id: orphan().id,
        run: run_id(run),
        reason: "left by a test".to_owned(),
    };
    let fresh = given::<Inventory>([]);
    fresh.when_then(delete(6), [found, requested(6)]);
    let known = fresh.after(Command::ReportOrphan { place: region(), orphan: orphan() });
    known.when_then(delete(6), [requested(6)]);
    let being_deleted = Rejected::BeingDeleted { id: orphan().id, run: run_id(6) };
    known.after(delete(6)).when_refused(delete(7), being_deleted);
}

#[test]
fn what_bears_one_name_in_two_kinds_is_two_orphans() {
    let of_kind = |kind| Orphan { id: ResourceKey::new(kind, "alpha"), ..orphan() };
    let report = |kind| Command::ReportOrphan { place: region(), orphan: of_kind(kind) };
    let known = given::<Inventory>([]).after(report(Kind::MysqlDatabase));
    let found = Event::OrphanFound { place: region(), orphan: of_kind(Kind::MysqlAccount) };
    known.when_then(report(Kind::MysqlAccount), [found]);
    known.when_silent(report(Kind::MysqlDatabase));
    let both = known.after(report(Kind::MysqlAccount));
    let kinds: Vec<_> = both.state().orphans().map(|it| it.orphan.id.kind).collect();
    assert_eq!(kinds.len(), 2);
    assert!(kinds.contains(&Kind::MysqlAccount) && kinds.contains(&Kind::MysqlDatabase));
}

#[test]
fn a_name_in_the_dns_is_found_as_the_dns_has_it() {
    let called = |kind, name: &str| Resource {
        id: ResourceKey::new(kind, name),
        name: name.to_owned(),
        ..resource()
    };
    let name = OrphanId::of(&called(Kind::DnsName, "Über.Example.com"));
    assert_eq!(name.to_string(), format!("dns_name/{DNS}/xn--ber-goa.example.com"));
    assert_eq!(name.to_string().parse(), Ok(name));
    let database = OrphanId::of(&called(Kind::MysqlDatabase, "Alpha"));
    let place = resource().place;
    assert_eq!(database.to_string(), format!("mysql_database/{place}/Alpha"));
}

#[test]
fn a_kind_of_tomorrow_is_a_newer_programs() {
    let found = Event::OrphanFound { place: region(), orphan: orphan() };
    let (kind, schema, mut data) = found.encode().unwrap();
    data["orphan"]["kind"] = json!("sun");
    let read = Event::decode(&kind, schema, &data);
    assert!(matches!(read, Err(DecodeError::Unknown { .. })), "{read:?}");
}

#[test]
fn a_regions_id_follows_from_its_name() {
    assert_eq!(inventory_id("a"), inventory_id("a"));
    assert_ne!(inventory_id("a"), inventory_id("b"));
}
