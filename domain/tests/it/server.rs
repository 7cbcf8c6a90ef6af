//! The rules of a server.

use crate::given::{Given, given};
use crate::sample::{address, requested};
use ocim_domain::server::{BootCause, Command, Event, Power, Rejected, Requested, Server, Status};

fn booting() -> Event {
    Event::BootingStarted { address: Some(address(7)), cause: BootCause::Built }
}

fn became_ready() -> Event {
    Event::BecameReady { host_keys: vec!["ssh-ed25519 A".to_owned()], boot_id: "b1".to_owned() }
}

/// A history that leads to each status.
pub(crate) fn history(status: Status) -> Vec<Event> {
    let wanted = Event::Requested(Box::new(requested()));
    let building = Event::BuildingStarted {};
    let reason = || "why".to_owned();
    match status {
        Status::Pending => vec![wanted],
        Status::Building => vec![wanted, building],
        Status::Booting => vec![wanted, building, booting()],
        Status::Ready => vec![wanted, building, booting(), became_ready()],
        Status::Terminated => vec![wanted, building, Event::Terminated {}],
        Status::Unknown => vec![wanted, building, Event::SightLost { reason: reason() }],
        Status::Failed => vec![wanted, building, Event::BuildFailed { reason: reason() }],
        Status::Vanished => {
            let vanished = Event::Vanished { before: Status::Ready };
            vec![wanted, building, booting(), became_ready(), vanished]
        }
    }
}

/// A server of that status.
pub(crate) fn given_status(status: Status) -> Given<Server> {
    let server = given::<Server>(history(status));
    assert_eq!(server.state().present().unwrap().status, status);
    server
}

pub(crate) fn start_booting() -> Command {
    Command::StartBooting { address: Some(address(7)), cause: BootCause::Built }
}

pub(crate) fn become_ready() -> Command {
    Command::BecomeReady { host_keys: vec!["ssh-ed25519 A".to_owned()], boot_id: "b1".to_owned() }
}

pub(crate) fn lose_sight() -> Command {
    Command::LoseSight { reason: "why".to_owned() }
}

pub(crate) fn fail_build() -> Command {
    Command::FailBuild { reason: "why".to_owned() }
}

/// Every arrow: command, from where, event, to where.
fn arrows() -> Vec<(Command, Vec<Status>, Event, Status)> {
    use Status::{Booting, Building, Failed, Pending, Ready, Terminated, Unknown, Vanished};
    let reason = || "why".to_owned();
    vec![
        (Command::StartBuilding, vec![Pending], Event::BuildingStarted {}, Building),
        (fail_build(), vec![Building, Unknown], Event::BuildFailed { reason: reason() }, Failed),
        (start_booting(), vec![Building, Ready, Unknown], booting(), Booting),
        (become_ready(), vec![Booting], became_ready(), Ready),
        (
            lose_sight(),
            vec![Building, Booting, Ready],
            Event::SightLost { reason: reason() },
            Unknown,
        ),
        (Command::FindBuilding, vec![Unknown], Event::FoundBuilding {}, Building),
        (
            Command::Terminate,
            vec![Pending, Building, Booting, Ready, Unknown, Failed, Vanished],
            Event::Terminated {},
            Terminated,
        ),
    ]
}

#[test]
fn every_arrow_leads_where_it_should_and_no_other_exists() {
    for (command, froms, event, to) in arrows() {
        for from in Status::ALL {
            let server = given_status(from);
            if from == to {
                server.when_silent(command.clone());
            } else if froms.contains(&from) {
                server.when_then(command.clone(), [event.clone()]);
                let after = server.after(command.clone());
                assert_eq!(after.state().present().unwrap().status, to);
            } else {
                server.when_refused(command.clone(), Rejected::WrongStatus { from, to });
            }
        }
    }
}

#[test]
fn nothing_is_asked_of_an_absent_server_but_its_request() {
    let absent = given::<Server>([]);
    let wanted = Event::Requested(Box::new(requested()));
    absent.when_then(Command::Request(Box::new(requested())), [wanted]);
    let record = Command::RecordMachine { machine: "vm-7".to_owned() };
    for command in arrows().into_iter().map(|(command, ..)| command).chain([record]) {
        absent.when_refused(command, Rejected::Absent);
    }
}

#[test]
fn a_request_repeated_is_silent_and_another_is_refused() {
    let server = given_status(Status::Building);
    server.when_silent(Command::Request(Box::new(requested())));
    let other = Requested { region: "elsewhere".to_owned(), ..requested() };
    server.when_refused(Command::Request(Box::new(other)), Rejected::Exists);
}

#[test]
fn a_server_has_one_machine_for_life() {
    let record = |machine: &str| Command::RecordMachine { machine: machine.to_owned() };
    for status in Status::ALL {
        let server = given_status(status);
        let event = Event::MachineRecorded { machine: "vm-7".to_owned() };
        server.when_then(record("vm-7"), [event]);
        let known = server.after(record("vm-7"));
        known.when_silent(record("vm-7"));
        let machine = "vm-7".to_owned();
        known.when_refused(record("vm-8"), Rejected::OtherMachine { machine });
    }
}

#[test]
fn an_address_may_come_after_the_boot_began() {
    let boot = |address| Command::StartBooting { address, cause: BootCause::Built };
    let nowhere = given_status(Status::Building).after(boot(None));
    assert_eq!(nowhere.state().present().unwrap().address, None);
    nowhere.when_silent(boot(None));
    let somewhere = nowhere.after(boot(Some(address(7))));
    assert_eq!(somewhere.state().present().unwrap().address, Some(address(7)));
    somewhere.when_silent(boot(Some(address(7))));
    somewhere.when_silent(boot(None));
}

#[test]
fn a_reboot_keeps_the_address_and_brings_a_new_boot() {
    let reboot = Command::StartBooting { address: None, cause: BootCause::Rebooted };
    let again = Command::BecomeReady { host_keys: vec![], boot_id: "b2".to_owned() };
    let server = given_status(Status::Ready).after(reboot).after(again);
    let present = server.state().present().unwrap();
    assert_eq!(present.address, Some(address(7)));
    assert_eq!(present.boot_id.as_deref(), Some("b2"));
}

#[test]
fn why_a_server_failed_or_vanished_is_remembered_until_it_boots() {
    for status in [Status::Failed, Status::Unknown] {
        assert_eq!(given_status(status).state().present().unwrap().reason.as_deref(), Some("why"));
    }
    let found = given_status(Status::Unknown).after(start_booting());
    assert_eq!(found.state().present().unwrap().reason, None);
}

#[test]
fn a_machine_vanishes_once_and_comes_back_booting() {
    use Status::{Booting, Building, Failed, Ready, Unknown};
    for before in [Building, Booting, Ready, Unknown, Failed] {
        given_status(before).when_then(Command::Vanish, [Event::Vanished { before }]);
    }
    for status in [Status::Pending, Status::Terminated] {
        let (from, to) = (status, Status::Vanished);
        given_status(status).when_refused(Command::Vanish, Rejected::WrongStatus { from, to });
    }
    let vanished = given_status(Status::Vanished);
    vanished.when_silent(Command::Vanish);
    assert!(vanished.state().present().unwrap().trouble().is_some());
    // What is not there does nothing.
    vanished.when_silent(Command::ObservePower { power: Power::Shutoff, fault: None });
    let back = Command::ComeBack { power: Power::Active };
    vanished.when_then(back.clone(), [Event::CameBack { after: Power::Active }]);
    let found = vanished.after(back.clone());
    found.when_silent(back);
    let present = found.state().present().unwrap();
    assert_eq!((present.status, present.power), (Booting, Some(Power::Active)));
    assert_eq!((&present.reason, present.trouble()), (&None, None));
}

#[test]
fn a_change_of_power_is_told_once_with_what_was_before() {
    let seen = |power, fault: Option<&str>| Command::ObservePower {
        power,
        fault: fault.map(str::to_owned),
    };
    let (active, error) = (Some(Power::Active), Some(Power::Error));
    let ready = given_status(Status::Ready);
    ready.when_silent(seen(Power::Active, None));
    let stopped = Event::PowerChanged { before: active, after: Power::Shutoff };
    ready.when_then(seen(Power::Shutoff, None), [stopped]);
    let trouble = |it: &Given<Server>| it.state().present().unwrap().trouble();
    let off = ready.after(seen(Power::Shutoff, None));
    assert!(trouble(&off).unwrap().contains("has stopped its machine"));
    assert_eq!(trouble(&ready), None);
    let fault = "no disk".to_owned();
    let broken = Event::ErrorSeen { before: active, fault };
    ready.when_then(seen(Power::Error, Some("no disk")), [broken]);
    let ready = ready.after(seen(Power::Error, Some("no disk")));
    ready.when_silent(seen(Power::Error, Some("no disk at all")));
    assert!(ready.state().present().unwrap().trouble().unwrap().contains("no disk"));
    let mended = Event::PowerChanged { before: error, after: Power::Active };
    ready.when_then(seen(Power::Active, None), [mended]);
    let ready = ready.after(seen(Power::Active, None));
    assert_eq!(ready.state().present().unwrap().reason, None);
    for status in [Status::Pending, Status::Terminated] {
        given_status(status).when_silent(seen(Power::Error, None));
    }
}
