//! The rules of an Appserver.

use crate::given::{Given, given};
use crate::sample::{appserver_events, at, launched, run_id};
use ocim_domain::appserver::{
    Appserver, Command, Event, Launched, Rejected, Status, status_once_terminated,
};

/// A history that leads to each status.
pub(crate) fn history(status: Status) -> Vec<Event> {
    use Event as E;
    let reason = || "why".to_owned();
    let launched = E::Launched(Box::new(launched()));
    let (waiting, configuring) = (E::WaitingStarted {}, E::ConfiguringStarted {});
    let running = E::RunningStarted {};
    match status {
        Status::New => vec![launched],
        Status::Waiting => vec![launched, waiting],
        Status::Configuring => vec![launched, waiting, configuring],
        Status::Running => vec![launched, waiting, configuring, running],
        Status::Failed => {
            let failed = E::ConfigurationFailed { reason: reason(), keeps_server_until: None };
            vec![launched, waiting, configuring, failed]
        }
        Status::Error => vec![launched, waiting, E::LaunchFailed { reason: reason() }],
        Status::Terminated => {
            let terminated = E::Terminated { status: Status::Terminated, at: at(1) };
            vec![launched, waiting, configuring, running, terminated]
        }
        Status::Cancelled => vec![launched, waiting, E::Cancelled { reason: reason() }],
    }
}

/// An Appserver of that status.
pub(crate) fn given_status(status: Status) -> Given<Appserver> {
    let appserver = given::<Appserver>(history(status));
    assert_eq!(appserver.state().present().unwrap().status, status);
    appserver
}

fn given_active(status: Status) -> Given<Appserver> {
    given(history(status).into_iter().chain([Event::Activated { at: at(2) }]))
}

fn activation(force: bool) -> Command {
    Command::RequestActivation { run: run_id(2), deactivate_others: true, force }
}

fn deactivation() -> Command {
    Command::RequestDeactivation { run: run_id(3), force: false, reason: None }
}

fn termination() -> Command {
    Command::RequestTermination { run: run_id(4), force: false, reason: None }
}

/// The arrows of a launch: command, from where, event, to where.
fn arrows() -> Vec<(Command, Vec<Status>, Event, Status)> {
    use Status::{Cancelled, Configuring, Error, Failed, New, Running, Waiting};
    let reason = || "why".to_owned();
    vec![
        (Command::StartWaiting, vec![New], Event::WaitingStarted {}, Waiting),
        (Command::StartConfiguring, vec![Waiting], Event::ConfiguringStarted {}, Configuring),
        (Command::StartRunning, vec![Configuring], Event::RunningStarted {}, Running),
        (
            Command::FailConfiguration { reason: reason(), keeps_server_until: Some(at(60)) },
            vec![Configuring],
            Event::ConfigurationFailed { reason: reason(), keeps_server_until: Some(at(60)) },
            Failed,
        ),
        (
            Command::FailLaunch { reason: reason() },
            vec![New, Waiting],
            Event::LaunchFailed { reason: reason() },
            Error,
        ),
        (
            Command::Cancel { reason: reason() },
            vec![New, Waiting, Configuring],
            Event::Cancelled { reason: reason() },
            Cancelled,
        ),
    ]
}

#[test]
fn every_arrow_leads_where_it_should_and_no_other_exists() {
    for (command, froms, event, to) in arrows() {
        for from in Status::ALL {
            let appserver = given_status(from);
            if from == to {
                appserver.when_silent(command.clone());
            } else if froms.contains(&from) {
                appserver.when_then(command.clone(), [event.clone()]);
                let after = appserver.after(command.clone());
                assert_eq!(after.state().present().unwrap().status, to);
            } else if from == Status::Terminated && command == Command::StartWaiting {
                appserver.when_refused(command.clone(), Rejected::Gone);
            } else {
                appserver.when_refused(command.clone(), Rejected::WrongStatus { from, to });
            }
        }
    }
}

#[test]
fn nothing_is_asked_of_an_absent_appserver_but_its_launch() {
    let absent = given::<Appserver>([]);
    let launch = Command::Launch(Box::new(launched()));
    absent.when_then(launch, [Event::Launched(Box::new(launched()))]);
    let others = [
        activation(true),
        Command::Activate,
        deactivation(),
        Command::Deactivate,
        termination(),
        Command::StartTermination { run: run_id(4) },
        Command::StopTermination { run: run_id(4) },
        Command::Terminate,
    ];
    let arrows = arrows().into_iter().map(|(command, ..)| command);
    for command in arrows.chain(others) {
        absent.when_refused(command, Rejected::Absent);
    }
}

#[test]
fn a_launch_repeated_is_silent_and_another_is_refused() {
    let appserver = given_status(Status::Waiting);
    appserver.when_silent(Command::Launch(Box::new(launched())));
    let other = Launched { number: 2, ..launched() };
    appserver.when_refused(Command::Launch(Box::new(other)), Rejected::Exists);
}

#[test]
fn a_failure_or_cancellation_is_remembered_with_its_reason() {
    for status in [Status::Failed, Status::Error, Status::Cancelled] {
        let appserver = given_status(status);
        assert_eq!(appserver.state().present().unwrap().failure.as_deref(), Some("why"));
    }
}

#[test]
fn activation_needs_a_running_appserver_or_force() {
    let requested =
        |force| Event::ActivationRequested { run: run_id(2), deactivate_others: true, force };
    for status in Status::ALL {
        let appserver = given_status(status);
        match status {
            Status::Running => appserver.when_then(activation(false), [requested(false)]),
            Status::Terminated => appserver.when_refused(activation(false), Rejected::Gone),
            _ => appserver.when_refused(activation(false), Rejected::NotRunning { status }),
        }
        if status == Status::Terminated {
            appserver.when_refused(activation(true), Rejected::Gone);
        } else {
            appserver.when_then(activation(true), [requested(true)]);
        }
    }
}

#[test]
fn traffic_is_apart_from_status() {
    for status in Status::ALL {
        let appserver = given_status(status);
        appserver.when_silent(Command::Deactivate);
        appserver.when_silent(deactivation());
        if status == Status::Terminated {
            appserver.when_refused(Command::Activate, Rejected::Gone);
            continue;
        }
        appserver.when_then(Command::Activate, [Event::Activated { at: at(9) }]);
        let active = appserver.after(Command::Activate);
        let present = active.state().present().unwrap();
        assert_eq!((present.status, present.active), (status, true));
        assert_eq!(present.last_activated, Some(at(9)));
        active.when_silent(Command::Activate);
        let requested = Event::DeactivationRequested { run: run_id(3), force: false, reason: None };
        active.when_then(deactivation(), [requested]);
        active.when_then(Command::Deactivate, [Event::Deactivated { at: at(9) }]);
        let idle = active.after(Command::Deactivate);
        let present = idle.state().present().unwrap();
        assert_eq!((present.status, present.active), (status, false));
        assert_eq!(present.last_activated, Some(at(9)), "deactivation leaves the time");
    }
}

#[test]
fn the_same_request_once_more_is_silent_and_another_one_is_a_request() {
    let active = given_active(Status::Running);
    for request in [activation(false), deactivation()] {
        let asked = active.after(request.clone());
        asked.when_silent(request);
    }
    let other =
        Command::RequestActivation { run: run_id(9), deactivate_others: true, force: false };
    let requested =
        Event::ActivationRequested { run: run_id(9), deactivate_others: true, force: false };
    active.after(activation(false)).when_then(other, [requested]);
    let failed = given_status(Status::Failed);
    failed.after(termination()).when_silent(termination());
}

#[test]
fn termination_waits_for_the_launch_to_end() {
    for status in Status::ALL {
        let appserver = given_status(status);
        match status {
            Status::New | Status::Waiting | Status::Configuring => {
                appserver.when_refused(termination(), Rejected::Launching { run: run_id(1) });
            }
            Status::Terminated => appserver.when_silent(termination()),
            _ => {
                let requested =
                    Event::TerminationRequested { run: run_id(4), force: false, reason: None };
                appserver.when_then(termination(), [requested]);
                let asked = appserver.after(termination());
                assert_eq!(asked.state().present().unwrap().run_in_flight, Some(run_id(4)));
            }
        }
    }
}

#[test]
fn a_gone_machine_leaves_each_status_what_the_original_leaves_it() {
    use Status::{Cancelled, Configuring, Error, Failed, New, Running, Terminated, Waiting};
    for (from, to) in [
        (New, New),
        (Waiting, Error),
        (Configuring, Failed),
        (Running, Terminated),
        (Failed, Failed),
        (Error, Error),
        (Terminated, Terminated),
        (Cancelled, Cancelled),
    ] {
        assert_eq!(status_once_terminated(from), to);
        let appserver = given_status(from);
        if from == Terminated {
            appserver.when_silent(Command::Terminate);
            continue;
        }
        let event = Event::Terminated { status: to, at: at(9) };
        appserver.when_then(Command::Terminate, [event]);
        let gone = appserver.after(Command::Terminate);
        let present = gone.state().present().unwrap();
        assert_eq!((present.status, present.server_gone), (to, true));
        // Billing ends for what ran; nothing else was ever billed.
        assert_eq!(present.terminated, (from == Running).then(|| at(9)));
        gone.when_silent(Command::Terminate);
        gone.when_refused(activation(true), Rejected::Gone);
        gone.when_refused(Command::Activate, Rejected::Gone);
    }
}

#[test]
fn a_machine_that_receives_traffic_is_not_taken_away() {
    given_active(Status::Running).when_refused(Command::Terminate, Rejected::StillActive);
    given_active(Status::Running).after(Command::Deactivate).when_then(
        Command::Terminate,
        [Event::Terminated { status: Status::Terminated, at: at(9) }],
    );
}

#[test]
fn a_launch_does_not_go_on_without_its_machine() {
    given_status(Status::New)
        .after(Command::Terminate)
        .when_refused(Command::StartWaiting, Rejected::Gone);
}

#[test]
fn a_second_launch_event_changes_nothing() {
    let twice = given::<Appserver>([appserver_events()[0].clone(), appserver_events()[0].clone()]);
    let once = given::<Appserver>([appserver_events()[0].clone()]);
    assert_eq!(twice.state(), once.state());
}

#[test]
fn one_whose_termination_has_begun_gets_no_traffic_until_that_turns_back() {
    let start = |number| Command::StartTermination { run: run_id(number) };
    let stop = |number| Command::StopTermination { run: run_id(number) };
    let running = given_status(Status::Running);
    running.when_silent(stop(4));
    running.when_then(start(4), [Event::TerminationStarted { run: run_id(4) }]);
    let leaving = running.after(start(4));
    leaving.when_silent(start(4));
    for force in [false, true] {
        leaving.when_refused(activation(force), Rejected::Terminating { run: run_id(4) });
    }
    leaving.when_refused(Command::Activate, Rejected::Terminating { run: run_id(4) });
    leaving.when_then(stop(4), [Event::TerminationStopped { run: run_id(4) }]);
    let leaving = || given_status(Status::Running).after(start(4));
    leaving().after(stop(4)).when_then(Command::Activate, [Event::Activated { at: at(9) }]);

    // A second termination answers for it from then on.
    leaving().when_then(start(5), [Event::TerminationStarted { run: run_id(5) }]);
    leaving().after(start(5)).when_silent(stop(4));
    let gone = leaving().after(Command::Terminate);
    gone.when_silent(start(5));
    gone.when_silent(stop(4));
    gone.when_refused(Command::Activate, Rejected::Gone);
}

#[test]
fn one_that_runs_is_restarted_by_one_run_at_a_time() {
    let request = |run| Command::RequestRestart { run: run_id(run), force: false, reason: None };
    let requested = |run| Event::RestartRequested { run: run_id(run), force: false, reason: None };
    let running = [
        Event::Launched(Box::new(launched())),
        Event::WaitingStarted {},
        Event::ConfiguringStarted {},
        Event::RunningStarted {},
    ];
    for (so_far, _) in running.iter().enumerate().skip(1) {
        given::<Appserver>(running[..so_far].to_vec())
            .when_refused(request(6), Rejected::Launching { run: run_id(1) });
    }
    given::<Appserver>(running.clone()).when_then(request(6), [requested(6)]);
    let asked = given::<Appserver>(running.clone()).after(request(6));
    asked.when_silent(request(6));
    asked.when_refused(request(7), Rejected::Restarting { run: run_id(6) });
    asked.when_silent(Command::RecordRestart { run: run_id(7) });
    asked.when_silent(Command::StopRestart { run: run_id(7) });
    asked.when_then(
        Command::RecordRestart { run: run_id(6) },
        [Event::Restarted { run: run_id(6) }],
    );
    let over = asked.after(Command::StopRestart { run: run_id(6) });
    over.when_silent(Command::StopRestart { run: run_id(6) });
    over.when_then(request(7), [requested(7)]);
    let leaving = [&running[..], &[Event::TerminationStarted { run: run_id(4) }]].concat();
    given::<Appserver>(leaving).when_refused(request(6), Rejected::Terminating { run: run_id(4) });
    let failed = [
        &running[..3],
        &[Event::ConfigurationFailed { reason: "no".to_owned(), keeps_server_until: None }],
    ]
    .concat();
    given::<Appserver>(failed)
        .when_refused(request(6), Rejected::NotRestartable { status: Status::Failed });
}
