//! Pauses and outages begin, are let go, and end.

use crate::given::given;
use crate::sample::at;
use chrono::TimeDelta;
use ocim_domain::decider::Decider;
use ocim_domain::incident::{
    Command, Event, Incident, Kind, RATE_MAX, Rejected, Subject, incident_id,
};
use std::collections::BTreeSet;

fn region() -> Subject {
    Subject::Region("north".to_owned())
}

fn pause(reason: &str, until: Option<i64>) -> Command {
    let reason = reason.to_owned();
    Command::Begin { kind: Kind::Pause, subject: region(), reason, until: until.map(at) }
}

fn outage(reason: &str) -> Command {
    let (reason, subject) = (reason.to_owned(), Subject::Provider("DNS".to_owned()));
    Command::Begin { kind: Kind::Outage, subject, reason, until: None }
}

fn began(number: u32, until: Option<i64>) -> Event {
    let (reason, until) = ("works on the network".to_owned(), until.map(at));
    Event::Began { number, trouble: Kind::Pause, subject: region(), reason, until }
}

fn eased(rate: u32, seconds: i64) -> Event {
    Event::Eased { number: 1, rate, since: at(9), until: at(9 + seconds) }
}

fn ease(rate: u32, held: u64) -> Command {
    Command::Ease { rate, held }
}

#[test]
fn a_pause_begins_once_and_is_told_anew_where_it_changes() {
    given::<Incident>([]).when_then(pause("works on the network", None), [began(1, None)]);
    given::<Incident>([began(1, None)]).when_silent(pause("works on the network", None));
    let changed = Event::Changed { number: 1, reason: "longer".to_owned(), until: Some(at(60)) };
    given::<Incident>([began(1, None)]).when_then(pause("longer", Some(60)), [changed]);
    given::<Incident>([]).when_refused(pause("too late", Some(9)), Rejected::Past);
    let over = [began(1, None), Event::Ended { number: 1 }];
    given::<Incident>(over).when_then(pause("works on the network", None), [began(2, None)]);
}

#[test]
fn what_is_let_go_one_by_one_stands_still_again_where_it_is_paused_anew() {
    let given = given::<Incident>([began(1, None), eased(6, 30)]);
    let changed =
        Event::Changed { number: 1, reason: "works on the network".to_owned(), until: None };
    given.when_then(pause("works on the network", None), [changed]);
}

#[test]
fn those_that_wait_go_on_at_a_rate_until_all_have() {
    given::<Incident>([began(1, None)]).when_then(ease(6, 3), [eased(6, 30)]);
    given::<Incident>([began(1, None)]).when_then(ease(10_000, 0), [eased(10_000, 0)]);
    given::<Incident>([began(1, None), eased(6, 30)]).when_silent(ease(6, 2));
    given::<Incident>([began(1, None), eased(6, 30)]).when_then(ease(60, 3), [eased(60, 3)]);
    for rate in [0, RATE_MAX + 1] {
        given::<Incident>([began(1, None)]).when_refused(ease(rate, 1), Rejected::NoRate);
    }
    let Some(open) = Incident::fold(&[began(1, None), eased(6, 30)]).open else { panic!() };
    assert_eq!(open.flow.unwrap().interval(), TimeDelta::seconds(10), "six a minute");
    // However many wait, and however slowly they go.
    let events = Incident::decide(&Incident::fold(&[began(1, None)]), ease(1, u64::MAX), at(9));
    let [Event::Eased { until, .. }] = events.unwrap()[..] else { panic!() };
    assert_eq!(until, at(9 + 30 * 24 * 3600));
}

#[test]
fn an_end_is_silent_where_nothing_is_open_and_comes_by_itself_when_it_is_due() {
    let ended = Event::Ended { number: 1 };
    given::<Incident>([]).when_silent(Command::End);
    given::<Incident>([]).when_refused(ease(1, 1), Rejected::NotOpen);
    given::<Incident>([began(1, None)]).when_then(Command::End, [ended.clone()]);
    given::<Incident>([began(1, None)]).when_silent(Command::EndWhenDue);
    given::<Incident>([began(1, Some(10))]).when_silent(Command::EndWhenDue);
    given::<Incident>([began(1, Some(9))]).when_then(Command::EndWhenDue, [ended.clone()]);
    // The flow's end counts once it flows.
    given::<Incident>([began(1, Some(9)), eased(6, 30)]).when_silent(Command::EndWhenDue);
    given::<Incident>([began(1, None), eased(6, 0)]).when_then(Command::EndWhenDue, [ended]);
}

#[test]
fn an_outage_is_told_once_and_nobody_lets_it_go() {
    let began = Event::Began {
        number: 1,
        trouble: Kind::Outage,
        subject: Subject::Provider("DNS".to_owned()),
        reason: "no answer".to_owned(),
        until: None,
    };
    let given = given::<Incident>([began]);
    given.when_silent(outage("another word for it"));
    given.when_refused(ease(1, 1), Rejected::Outage);
    given.when_then(Command::End, [Event::Ended { number: 1 }]);
}

#[test]
fn each_kind_and_subject_has_a_stream_of_its_own() {
    let named = |name: &str| [Subject::Region(name.to_owned()), Subject::Provider(name.to_owned())];
    let subjects = [Subject::All].into_iter().chain(named("all")).chain(named("region/all"));
    let ids =
        subjects.flat_map(|it| [Kind::Pause, Kind::Outage].map(|kind| incident_id(kind, &it)));
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), 10);
}

#[test]
fn people_are_told_what_it_is_about() {
    assert_eq!(Subject::All.to_string(), "all work");
    assert_eq!(region().to_string(), "region north");
    assert_eq!(Subject::Provider("DNS".to_owned()).to_string(), "DNS");
}
