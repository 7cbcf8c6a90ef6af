//! The rules by which somebody keeps an instance to himself.

use crate::given::given;
use crate::sample::{appserver_id, at, hold, other_settings, run_id, settings};
use ocim_domain::decider::Decider;
use ocim_domain::instance::hold::{Command as Ask, DAYS_MAX, Refused};
use ocim_domain::instance::lifecycle::Command as Life;
use ocim_domain::instance::{Attempts, Command, Event, Hold, Instance, OnSuccess, Rejected};

fn created() -> Event {
    Event::Created { settings: Box::new(settings()) }
}

fn held() -> [Event; 2] {
    [created(), Event::Held(hold())]
}

fn place(hold: Hold) -> Command {
    Command::Hold(Ask::Place(hold))
}

fn release(by: &str, force: bool) -> Command {
    let reason = force.then(|| "the exam can't wait for her".to_owned());
    Command::Hold(Ask::Release { by: by.to_owned(), force, reason })
}

fn asked_by(actor: &str, command: Command) -> Command {
    Command::AskedBy { actor: actor.to_owned(), command: Box::new(command) }
}

/// What people may ask of an instance.
fn asks() -> Vec<Command> {
    let (run, reason) = (run_id(9), "a reason".to_owned());
    vec![
        Command::ChangeSettings { settings: Box::new(other_settings()) },
        Command::RequestLaunch {
            appserver: appserver_id(9),
            run,
            may_queue: true,
            then: OnSuccess::default(),
            attempts: Attempts::ONE,
        },
        Command::Lifecycle(Life::RequestArchive { run, reason: reason.clone() }),
        Command::Lifecycle(Life::RequestDeletion {
            run,
            reason,
            confirmation: "lms.example.com".to_owned(),
            ignore: vec![],
        }),
    ]
}

#[test]
fn nobody_but_the_holder_changes_a_held_instance() {
    for ask in asks() {
        given::<Instance>(held())
            .when_refused(asked_by("token:bob", ask.clone()), Refused::Held(hold()).into());
        // The holder goes on, and so does what was asked for before.
        let free = Instance::decide(given::<Instance>([created()]).state(), ask.clone(), at(9));
        assert!(free.as_ref().is_ok_and(|events| !events.is_empty()), "{free:?}");
        for command in [asked_by("token:ada", ask.clone()), ask] {
            given::<Instance>(held()).when_then(command, free.clone().unwrap());
        }
    }
}

#[test]
fn a_refusal_says_who_holds_it_why_and_until_when() {
    let said = Refused::Held(hold()).to_string();
    for part in ["token:ada", "moving the database", "2023-11-14 23:13:20Z"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn a_hold_ends_by_itself_at_its_time() {
    let state = Instance::fold(&held());
    let ask = || asked_by("token:bob", asks().remove(0));
    let (last, end) = (at(3_599), at(3_600));
    assert!(matches!(Instance::decide(&state, ask(), last), Err(Rejected::Hold(_))));
    assert!(Instance::decide(&state, ask(), end).is_ok());
    let theirs = Hold { holder: "token:bob".to_owned(), until: at(7_200), ..hold() };
    let placed = Instance::decide(&state, place(theirs.clone()), end).unwrap();
    assert_eq!(placed, [Event::Held(theirs)]);
    let released = Instance::decide(&state, release("token:ada", false), end);
    assert_eq!(released, Err(Refused::NotHeld.into()));
}

#[test]
fn one_at_a_time_holds_it_and_may_hold_it_for_longer() {
    let bobs = Hold { holder: "token:bob".to_owned(), ..hold() };
    given::<Instance>([created()]).when_then(place(hold()), [Event::Held(hold())]);
    given::<Instance>(held()).when_refused(place(bobs), Refused::Held(hold()).into());
    given::<Instance>(held()).when_silent(place(hold()));
    let longer = Hold { until: at(7_200), ..hold() };
    given::<Instance>(held()).when_then(place(longer.clone()), [Event::Held(longer)]);
}

#[test]
fn a_hold_lies_ahead_and_has_an_end_that_people_see_coming() {
    let until = |until| place(Hold { until, ..hold() });
    let longest = at(9) + chrono::TimeDelta::days(DAYS_MAX);
    given::<Instance>([created()]).when_refused(until(at(9)), Refused::Past.into());
    let over = longest + chrono::TimeDelta::seconds(1);
    given::<Instance>([created()]).when_refused(until(over), Refused::TooLong.into());
    let held = Event::Held(Hold { until: longest, ..hold() });
    given::<Instance>([created()]).when_then(until(longest), [held]);
}

#[test]
fn the_holder_releases_it_and_others_by_force() {
    let released = |reason: Option<&str>| Event::HoldReleased {
        holder: "token:ada".to_owned(),
        reason: reason.map(str::to_owned),
    };
    given::<Instance>(held()).when_then(release("token:ada", false), [released(None)]);
    given::<Instance>(held())
        .when_refused(release("token:bob", false), Refused::Held(hold()).into());
    given::<Instance>(held())
        .when_then(release("token:bob", true), [released(Some("the exam can't wait for her"))]);
    given::<Instance>([created()])
        .when_refused(release("token:ada", false), Refused::NotHeld.into());
    let free = given::<Instance>(held()).after(release("token:ada", false));
    free.when_refused(release("token:ada", true), Refused::NotHeld.into());
    let [ask, ..] = &asks()[..] else { panic!() };
    assert!(Instance::decide(free.state(), asked_by("token:bob", ask.clone()), at(9)).is_ok());
}
