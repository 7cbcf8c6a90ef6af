//! A failed Appserver's machine: kept, kept longer, and taken away once.

use crate::appserver::given_status;
use crate::given::Given;
use crate::sample::{at, run_id};
use ocim_domain::appserver::{Appserver, Command, Event, Rejected, Status, clean_up_run};

/// Failed, and kept until second 5; commands come in second 9.
fn given_kept(until: i64) -> Given<Appserver> {
    let reason = "the play failed".to_owned();
    let keeps_server_until = Some(at(until));
    let fail = Command::FailConfiguration { reason, keeps_server_until };
    given_status(Status::Configuring).after(fail)
}

fn keep(until: i64) -> Command {
    Command::KeepServer { until: at(until), reason: "I look at it".to_owned() }
}

fn when_due(due: i64) -> Command {
    Command::CleanUpWhenDue { run: run_id(5), due: at(due) }
}

fn clean_up() -> Command {
    Command::RequestCleanUp { run: run_id(6), reason: "seen enough".to_owned() }
}

#[test]
fn its_clean_up_is_asked_for_once_when_its_date_has_come() {
    let requested =
        Event::CleanUpRequested { run: run_id(5), due: Some(at(5)), reason: None, obsolete: false };
    given_kept(5).when_then(when_due(5), [requested]);
    given_kept(5).after(when_due(5)).when_silent(when_due(5));
    given_kept(5).when_silent(when_due(4));
    given_kept(60).when_silent(when_due(60));
    // One that serves, by force, is not taken away by itself.
    given_kept(5).after(Command::Activate).when_silent(when_due(5));
    given_status(Status::Running).when_silent(when_due(5));
}

#[test]
fn its_date_moves_by_hand_and_calls_a_clean_up_off() {
    let kept =
        Event::ServerKept { before: Some(at(5)), until: at(60), reason: "I look at it".to_owned() };
    given_kept(5).when_then(keep(60), [kept]);
    given_kept(60).when_silent(keep(60));
    given_kept(5).when_refused(keep(9), Rejected::PastDate);
    let (status, refused) = (Status::Running, Rejected::NotKept { status: Status::Running });
    given_status(status).when_refused(keep(60), refused);
    let asked = given_kept(5).after(when_due(5)).after(keep(60));
    asked.when_refused(Command::StartCleanUp { run: run_id(5) }, Rejected::KeptLonger);
    asked.when_silent(when_due(5));
    // The date itself is no longer.
    let due = given_kept(9).after(when_due(9));
    let start = Command::StartCleanUp { run: run_id(5) };
    due.when_then(start, [Event::CleanUpStarted { run: run_id(5) }]);
    let gone = given_kept(5).after(Command::Terminate);
    gone.when_refused(keep(60), Rejected::Gone);
}

#[test]
fn it_goes_at_once_when_somebody_says_so() {
    let requested = Event::CleanUpRequested {
        run: run_id(6),
        due: None,
        reason: Some("seen enough".to_owned()),
        obsolete: false,
    };
    given_kept(60).when_then(clean_up(), [requested]);
    let start = || Command::StartCleanUp { run: run_id(6) };
    let asked = given_kept(60).after(clean_up());
    asked.when_then(start(), [Event::CleanUpStarted { run: run_id(6) }]);
    let started = asked.after(start());
    started.when_silent(start());
    started.when_refused(keep(70), Rejected::CleaningUp { run: run_id(6) });
    started.when_refused(Command::Activate, Rejected::CleaningUp { run: run_id(6) });
    started.when_silent(Command::ObserveMachine { trouble: Some("gone".to_owned()) });
    let stop = || Command::StopCleanUp { run: run_id(6) };
    given_kept(60).after(clean_up()).when_silent(stop());
    started.when_then(stop(), [Event::CleanUpStopped { run: run_id(6) }]);
    started.after(stop()).when_silent(stop());
    let serving = given_kept(60).after(Command::Activate);
    serving.when_refused(clean_up(), Rejected::StillActive);
    let late = given_kept(60).after(clean_up()).after(Command::Activate);
    late.when_refused(start(), Rejected::StillActive);
}

#[test]
fn trouble_of_its_machine_is_told_once() {
    let see =
        |trouble: Option<&str>| Command::ObserveMachine { trouble: trouble.map(str::to_owned) };
    let running = given_status(Status::Running);
    running.when_silent(see(None));
    let troubled = Event::MachineTroubled { trouble: "stopped".to_owned() };
    running.when_then(see(Some("stopped")), [troubled]);
    let running = running.after(see(Some("stopped")));
    running.when_silent(see(Some("stopped")));
    let recovered = Event::MachineRecovered { trouble: "stopped".to_owned() };
    running.when_then(see(None), [recovered]);
}

#[test]
fn the_run_of_a_clean_up_follows_from_the_appserver_and_its_date() {
    let id = crate::sample::appserver_id;
    assert_eq!(clean_up_run(id(1), at(5)), clean_up_run(id(1), at(5)));
    assert_ne!(clean_up_run(id(1), at(5)), clean_up_run(id(2), at(5)));
    assert_ne!(clean_up_run(id(1), at(5)), clean_up_run(id(1), at(6)));
}

fn obsolete() -> Command {
    Command::CleanUpObsolete { run: run_id(7), reason: "it is old".to_owned() }
}

#[test]
fn an_obsolete_one_goes_only_while_it_is_at_rest_and_serves_nobody() {
    let requested = Event::CleanUpRequested {
        run: run_id(7),
        due: None,
        reason: Some("it is old".to_owned()),
        obsolete: true,
    };
    let start = || Command::StartCleanUp { run: run_id(7) };
    let started = || Event::CleanUpStarted { run: run_id(7) };
    for status in [Status::Running, Status::Error, Status::Cancelled] {
        let given = given_status(status);
        given.when_then(obsolete(), [requested.clone()]);
        given.after(obsolete()).when_silent(obsolete());
        given.after(obsolete()).when_then(start(), [started()]);
        given.after(Command::Terminate).when_silent(obsolete());
        let serving = given.after(Command::Activate);
        serving.when_refused(obsolete(), Rejected::StillActive);
        // Taken into traffic between the look and the deed.
        let late = given.after(obsolete()).after(Command::Activate);
        late.when_refused(start(), Rejected::StillActive);
        let stopping = Command::StartTermination { run: run_id(3) };
        let leaving = given.after(stopping);
        leaving.when_refused(obsolete(), Rejected::Terminating { run: run_id(3) });
        let both = given.after(obsolete()).after(Command::StartTermination { run: run_id(3) });
        both.when_refused(start(), Rejected::Terminating { run: run_id(3) });
        // Once it has begun, nobody takes it into traffic, and once it has stopped, anybody.
        let begun = given.after(obsolete()).after(start());
        begun.when_silent(start());
        begun.when_refused(Command::Activate, Rejected::CleaningUp { run: run_id(7) });
        let stopped = begun.after(Command::StopCleanUp { run: run_id(7) });
        stopped.when_then(Command::Activate, [Event::Activated { at: at(9) }]);
    }
    for status in [Status::New, Status::Waiting, Status::Configuring] {
        let given = given_status(status);
        let present = given.state().present().unwrap().launched.run;
        given.when_refused(obsolete(), Rejected::Launching { run: present });
    }
    let restart = Command::RequestRestart { run: run_id(4), force: false, reason: None };
    let restarting = given_status(Status::Running).after(restart);
    restarting.when_refused(obsolete(), Rejected::Restarting { run: run_id(4) });
    // A failed one has a date of its own, also after that has passed.
    given_kept(60).when_refused(obsolete(), Rejected::KeptLonger);
    given_kept(5).when_refused(obsolete(), Rejected::KeptLonger);
}
