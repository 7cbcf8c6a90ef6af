//! The rules of a region: what is told once, and what is taken away by hand.

use crate::given::given;
use crate::sample::{orphan, run_id};
use ocim_domain::inventory::{Command, Event, Inventory, Rejected, inventory_id};

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
    let report = || Command::ReportOrphan { region: region(), orphan: orphan() };
    let settle = || Command::SettleOrphan { machine: orphan().machine };
    let fresh = given::<Inventory>([]);
    fresh.when_silent(settle());
    let found = Event::OrphanFound { region: region(), orphan: orphan() };
    fresh.when_then(report(), [found.clone()]);
    let known = fresh.after(report());
    known.when_silent(report());
    known.when_then(settle(), [Event::OrphanSettled { machine: orphan().machine }]);
    known.after(settle()).when_then(report(), [found]);
}

#[test]
fn only_a_reported_orphan_is_taken_away() {
    let machine = || orphan().machine;
    let ask = || Command::RequestOrphanDeletion {
        machine: machine(),
        run: run_id(6),
        reason: "a duplicate".to_owned(),
    };
    let fresh = given::<Inventory>([]);
    fresh.when_refused(ask(), Rejected::NotAnOrphan { machine: machine() });
    let known = fresh.after(Command::ReportOrphan { region: region(), orphan: orphan() });
    let requested = Event::OrphanDeletionRequested {
        region: region(),
        machine: machine(),
        run: run_id(6),
        reason: "a duplicate".to_owned(),
    };
    known.when_then(ask(), [requested]);
    let asked = known.after(ask());
    asked.when_refused(ask(), Rejected::BeingDeleted { machine: machine(), run: run_id(6) });
}

#[test]
fn an_orphan_that_a_run_did_not_take_away_is_offered_again() {
    let machine = || orphan().machine;
    let ask = |run| Command::RequestOrphanDeletion {
        machine: machine(),
        run: run_id(run),
        reason: "a duplicate".to_owned(),
    };
    let stop = |run| Command::StopOrphanDeletion { machine: machine(), run: run_id(run) };
    let known = given::<Inventory>([]);
    known.when_silent(stop(6));
    let known = known.after(Command::ReportOrphan { region: region(), orphan: orphan() });
    known.when_silent(stop(6));
    let asked = known.after(ask(6));
    asked.when_silent(stop(7));
    let stopped = Event::OrphanDeletionStopped { machine: machine(), run: run_id(6) };
    asked.when_then(stop(6), [stopped]);
    let offered = asked.after(stop(6));
    offered.when_silent(stop(6));
    let requested = Event::OrphanDeletionRequested {
        region: region(),
        machine: machine(),
        run: run_id(7),
        reason: "a duplicate".to_owned(),
    };
    offered.when_then(ask(7), [requested]);
}

#[test]
fn a_duplicate_is_told_and_taken_away_at_once_and_once() {
    let report = |run: u128| Command::ReportDuplicate {
        region: region(),
        orphan: orphan(),
        run: run_id(run),
        reason: "a duplicate".to_owned(),
    };
    let machine = orphan().machine;
    let found = Event::OrphanFound { region: region(), orphan: orphan() };
    let (reason, run) = ("a duplicate".to_owned(), run_id(6));
    let requested = Event::OrphanDeletionRequested { region: region(), machine, run, reason };
    let fresh = given::<Inventory>([]);
    fresh.when_then(report(6), [found, requested]);
    fresh.after(report(6)).when_silent(report(7));
}

#[test]
fn a_regions_id_follows_from_its_name() {
    assert_eq!(inventory_id("a"), inventory_id("a"));
    assert_ne!(inventory_id("a"), inventory_id("b"));
}
