//! Several attempts at a launch, and the tags at their end.

use crate::given::given;
use crate::sample::{appserver_id, run_id, settings, tag};
use ocim_domain::instance::{
    Attempts, Command, DetailsChange, Event, Instance, LaunchOutcome, OnSuccess,
};
use std::num::NonZeroU32;

fn created() -> Event {
    Event::Created { settings: Box::new(settings()) }
}

/// Three attempts, tagged at their end.
fn attempts(attempt: u32) -> Attempts {
    Attempts {
        attempt: NonZeroU32::new(attempt).unwrap(),
        attempts: NonZeroU32::new(3).unwrap(),
        first_run: (attempt > 1).then(|| run_id(1)),
        success_tag: Some(tag("may-success")),
        failure_tag: Some(tag("may-failure")),
        in_bulk: false,
    }
}

/// Attempts are the Appservers 1, 3 and 4: number 2 has waited since the first.
fn launched(appserver: u128, number: u32, queued: bool, attempts: Attempts) -> Event {
    let then = OnSuccess { activate: true, deactivate_others: true };
    let (appserver, run) = (appserver_id(appserver), run_id(appserver));
    Event::LaunchRequested { appserver, run, number, queued, then, attempts }
}

fn settled(appserver: u128, outcome: LaunchOutcome) -> Event {
    let run = run_id(appserver);
    Event::LaunchSettled { appserver: appserver_id(appserver), outcome, run, next_run: None }
}

/// The next attempt follows at once.
fn followed(appserver: u128, outcome: LaunchOutcome, next: u128) -> Event {
    let (appserver, run) = (appserver_id(appserver), run_id(appserver));
    Event::LaunchSettled { appserver, outcome, run, next_run: Some(run_id(next)) }
}

fn settle(appserver: u128, outcome: LaunchOutcome, next: u128) -> Command {
    let next = (appserver_id(next), run_id(next));
    Command::SettleLaunch { appserver: appserver_id(appserver), outcome, next }
}

fn tags(now: &[&str], added: &[&str], removed: &[&str]) -> Event {
    let of = |names: &[&str]| names.iter().map(|name| tag(name)).collect();
    Event::TagsChanged { tags: of(now), added: of(added), removed: of(removed) }
}

#[test]
fn a_failed_attempt_is_followed_by_the_next_before_those_that_wait() {
    let waiting = launched(2, 2, true, Attempts::ONE);
    let instance = given::<Instance>([created(), launched(1, 1, false, attempts(1)), waiting]);
    for outcome in [LaunchOutcome::Failed, LaunchOutcome::Error] {
        let next = launched(3, 3, false, attempts(2));
        instance.when_then(settle(1, outcome, 3), [followed(1, outcome, 3), next]);
    }
    let second = instance.after(settle(1, LaunchOutcome::Error, 3));
    let state = second.state();
    let launches = &state.present().unwrap().launches;
    assert_eq!(launches.iter().map(|it| it.number).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(launches[0].first_run(), run_id(1));
    // What settles twice, e.g. after a crash, is settled once.
    second.when_silent(settle(1, LaunchOutcome::Error, 3));
}

#[test]
fn the_last_attempt_tags_the_instance_as_it_ends() {
    let before = tags(&["may-success", "pilot"], &["may-success", "pilot"], &[]);
    let last = launched(4, 4, false, attempts(3));
    let instance = given::<Instance>([created(), before, last]);
    let failed = settled(4, LaunchOutcome::Failed);
    let tagged = tags(&["may-failure", "pilot"], &["may-failure"], &["may-success"]);
    instance.when_then(settle(4, LaunchOutcome::Failed, 5), [failed, tagged]);
    // It has the tag of success already.
    let running = settled(4, LaunchOutcome::Running);
    instance.when_then(settle(4, LaunchOutcome::Running, 5), [running]);
}

#[test]
fn success_or_a_cancel_ends_all_attempts() {
    let instance = given::<Instance>([created(), launched(1, 1, false, attempts(1))]);
    for (outcome, name) in
        [(LaunchOutcome::Running, "may-success"), (LaunchOutcome::Cancelled, "may-failure")]
    {
        let tagged = tags(&[name], &[name], &[]);
        instance.when_then(settle(1, outcome, 3), [settled(1, outcome), tagged]);
    }
}

#[test]
fn an_event_of_one_attempt_says_nothing_of_attempts() {
    use ocim_domain::event::DomainEvent;
    let (_, _, data) = launched(1, 1, false, Attempts::ONE).encode().unwrap();
    for field in ["attempt", "attempts", "first_run", "success_tag", "failure_tag", "in_bulk"] {
        assert!(data.get(field).is_none(), "{field}: {data}");
    }
}

#[test]
fn owner_notes_and_tags_are_told_as_what_changes() {
    let change = |change: DetailsChange| Command::ChangeDetails { change: Box::new(change) };
    let instance = given::<Instance>([created()]);
    let owner = DetailsChange { owner: Some("Alpha".to_owned()), ..DetailsChange::default() };
    let noted = Event::DetailsChanged { owner: Some("Alpha".to_owned()), notes: None };
    instance.when_then(change(owner.clone()), [noted.clone()]);
    instance.when_silent(change(DetailsChange::of_tags([], [tag("pilot")])));
    let owned = given::<Instance>([created(), noted]);
    owned.when_silent(change(owner));
    // What is to be there and not to be there, is there.
    let both = DetailsChange::of_tags([tag("pilot")], [tag("pilot")]);
    owned.when_then(change(both.clone()), [tags(&["pilot"], &["pilot"], &[])]);
    owned.after(change(both.clone())).when_silent(change(both));
}

#[test]
fn an_instance_is_made_with_its_details_at_once() {
    let details = Box::new(DetailsChange {
        notes: Some("Courses begin in May.".to_owned()),
        ..DetailsChange::of_tags([tag("pilot")], [])
    });
    let create = Command::Create { settings: Box::new(settings()), details };
    let noted =
        Event::DetailsChanged { owner: None, notes: Some("Courses begin in May.".to_owned()) };
    given::<Instance>([]).when_then(create, [created(), noted, tags(&["pilot"], &["pilot"], &[])]);
}

#[test]
fn too_many_tags_are_refused_and_one_may_always_be_removed() {
    use ocim_domain::instance::{Rejected, TAGS_MAX, Tag};
    let change = |add: Vec<Tag>, remove: Vec<Tag>| Command::ChangeDetails {
        change: Box::new(DetailsChange::of_tags(add, remove)),
    };
    let full: Vec<_> = (0..TAGS_MAX).map(|number| tag(&format!("tag{number}"))).collect();
    let instance = given::<Instance>([created()]).after(change(full, vec![]));
    instance.when_refused(change(vec![tag("one-more")], vec![]), Rejected::TooManyTags);
    let exchanged = instance.after(change(vec![tag("one-more")], vec![tag("tag7")]));
    assert_eq!(exchanged.state().present().unwrap().details.tags.len(), TAGS_MAX);
}

#[test]
fn a_tag_is_a_slug() {
    use ocim_domain::instance::{TAG_CHARS_MAX, Tag};
    for good in ["a", "May-2019_success", &"x".repeat(TAG_CHARS_MAX)] {
        assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
    }
    for bad in ["", "two words", "ümlaut", "a\0b", "a/b", &"x".repeat(TAG_CHARS_MAX + 1)] {
        assert!(bad.parse::<Tag>().is_err(), "{bad}");
    }
}
