//! The rules of a mail: one for each cause, and what was taken stays taken.

use crate::given::given;
use crate::sample::{appserver_id, instance_id, run_id};
use ocim_domain::mail::{About, Command, Event, Mail, Rejected};

fn about(launch: u128) -> About {
    About::LaunchFailed {
        instance: instance_id(),
        appserver: appserver_id(1),
        launch: run_id(launch),
    }
}

fn request() -> Command {
    Command::Request { about: about(1), run: about(1).mail_run(), recipients: 2 }
}

fn requested() -> Event {
    Event::Requested { about: about(1), run: about(1).mail_run(), recipients: 2 }
}

fn give_up() -> Command {
    Command::GiveUp { reason: "not wanted".to_owned() }
}

fn given_up() -> Event {
    Event::GivenUp { reason: "not wanted".to_owned() }
}

#[test]
fn there_is_one_mail_and_one_run_for_each_cause() {
    assert_eq!(about(1).word(), "launch_failed");
    assert_eq!(about(1).mail_id(), about(1).mail_id());
    assert_ne!(about(1).mail_id(), about(2).mail_id());
    assert_ne!(about(1).mail_run(), about(2).mail_run());
    assert_ne!(about(1).mail_run().0, about(1).mail_id().0);
}

#[test]
fn a_mail_is_asked_for_once_and_taken_once() {
    let deliver = |refused| Command::Deliver { refused };
    let delivered = Event::Delivered { refused: 1 };
    given::<Mail>([]).when_then(request(), [requested()]);
    given::<Mail>([requested()]).when_silent(request());
    given::<Mail>([requested()]).when_then(deliver(1), [delivered.clone()]);
    given::<Mail>([requested(), delivered.clone()]).when_silent(deliver(0));
    given::<Mail>([requested(), delivered.clone()]).when_silent(request());
    given::<Mail>([requested(), delivered]).when_silent(give_up());
}

#[test]
fn what_is_given_up_may_be_asked_for_again_and_is_told_when_it_was_taken_after_all() {
    given::<Mail>([requested()]).when_then(give_up(), [given_up()]);
    given::<Mail>([requested(), given_up()]).when_silent(give_up());
    given::<Mail>([requested(), given_up()]).when_then(request(), [requested()]);
    given::<Mail>([requested(), given_up()])
        .when_then(Command::Deliver { refused: 0 }, [Event::Delivered { refused: 0 }]);
}

#[test]
fn what_nobody_asked_for_is_neither_taken_nor_given_up() {
    given::<Mail>([]).when_refused(Command::Deliver { refused: 0 }, Rejected::Absent);
    given::<Mail>([]).when_refused(give_up(), Rejected::Absent);
}
