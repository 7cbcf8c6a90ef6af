//! The original's states and transitions beside ours, and why some differ on purpose.

use crate::given::Given;
use crate::sample::at;
use crate::{appserver, server, vectors};
use ocim_domain::appserver as ours_appserver;
use ocim_domain::decider::Decider;
use ocim_domain::server as ours_server;
use serde_json::Value;
use std::collections::BTreeSet;

/// What we do otherwise: where, in which case, what the original does, what we do, and why.
const DIFFERENCES: &[(&str, &str, &str, &str, &str)] = &[
    (
        "appserver",
        "to_waiting_for_server from waiting",
        "error",
        "waiting",
        "a step that is repeated after a crash finds its work done",
    ),
    (
        "appserver",
        "to_running from running",
        "error",
        "running",
        "a step that is repeated after a crash finds its work done",
    ),
    (
        "server",
        "to_building from building",
        "error",
        "building",
        "a step that is repeated after a crash finds its work done",
    ),
    (
        "server",
        "to_ready from ready",
        "error",
        "ready",
        "a step that is repeated after a crash finds its work done",
    ),
    (
        "server",
        "to_ready from unknown",
        "ready",
        "error",
        "a machine that was out of sight is seen booting first, so that its boot is recorded",
    ),
    (
        "server",
        "start from building",
        "error",
        "building",
        "a step that is repeated after a crash finds its work done",
    ),
    (
        "server",
        "terminate from unknown on connection_error_on_get",
        "terminated",
        "unknown",
        "a machine that nobody has looked at may be alive: only its observed absence ends it",
    ),
];

/// Compares outcomes with the original's, and every difference with its entry in the table.
struct Comparison {
    machine: &'static str,
    used: BTreeSet<String>,
}

impl Comparison {
    fn new(machine: &'static str) -> Self {
        Self { machine, used: BTreeSet::new() }
    }

    fn check(&mut self, case: &str, original: &str, ours: &str) {
        let known =
            DIFFERENCES.iter().find(|(machine, at, ..)| (*machine, *at) == (self.machine, case));
        match known {
            None => assert_eq!(ours, original, "{} {case}", self.machine),
            Some((_, _, theirs, expected, why)) => {
                assert_eq!((original, ours), (*theirs, *expected), "{case}: {why}");
                self.used.insert(case.to_owned());
            }
        }
    }

    /// Every entry of the table was met.
    fn finish(self) {
        let entries = DIFFERENCES.iter().filter(|(machine, ..)| *machine == self.machine);
        let all: BTreeSet<_> = entries.map(|(_, case, ..)| (*case).to_owned()).collect();
        assert_eq!(self.used, all);
    }
}

fn rows(value: &Value) -> &Vec<Value> {
    let rows = value.as_array().unwrap();
    assert!(!rows.is_empty());
    rows
}

fn text<'a>(row: &'a Value, field: &str) -> &'a str {
    row[field].as_str().unwrap_or_else(|| panic!("{field} of {row}"))
}

/// Where the original ends up: a status, or `error`.
fn outcome(row: &Value) -> &str {
    row["to"].as_str().unwrap_or("error")
}

fn name_of(status: impl serde::Serialize) -> String {
    serde_json::to_value(status).unwrap().as_str().unwrap().to_owned()
}

fn appserver_status(name: &str) -> ours_appserver::Status {
    serde_json::from_value(name.into()).unwrap()
}

fn server_status(name: &str) -> ours_server::Status {
    serde_json::from_value(name.into()).unwrap()
}

/// Where our Appserver ends up: a status, or `error`.
fn appserver_outcome(from: &str, command: ours_appserver::Command) -> String {
    let state = appserver::given_status(appserver_status(from)).state().clone();
    match ours_appserver::Appserver::decide(&state, command, at(9)) {
        Err(_) => "error".to_owned(),
        Ok(events) => {
            let state = events.iter().fold(state, ours_appserver::Appserver::evolve);
            name_of(state.present().unwrap().status)
        }
    }
}

/// Where our server ends up: a status, or `error`.
fn server_outcome(from: &str, command: ours_server::Command) -> String {
    let state = server::given_status(server_status(from)).state().clone();
    match ours_server::Server::decide(&state, command, at(9)) {
        Err(_) => "error".to_owned(),
        Ok(events) => {
            let state = events.iter().fold(state, ours_server::Server::evolve);
            name_of(state.present().unwrap().status)
        }
    }
}

/// What the server does with an observation: what does not fit its status is ignored.
fn observe(
    server: Given<ours_server::Server>,
    command: ours_server::Command,
) -> Given<ours_server::Server> {
    match ours_server::Server::decide(server.state(), command.clone(), at(9)) {
        Ok(_) => server.after(command),
        Err(_) => server,
    }
}

#[test]
fn states_mean_what_they_meant() {
    let machines = vectors::read("state_machines.json");
    for row in rows(&machines["appserver"]["states"]) {
        let status = appserver_status(text(row, "status"));
        assert_eq!(status.is_steady(), row["is_steady_state"], "{status:?}");
        assert_eq!(status.is_healthy(), row["is_healthy_state"], "{status:?}");
    }
    for row in rows(&machines["server"]["states"]) {
        let status = server_status(text(row, "status"));
        assert_eq!(status.is_steady(), row["is_steady_state"], "{status:?}");
        assert_eq!(status.accepts_ssh(), row["accepts_ssh_commands"], "{status:?}");
        assert_eq!(status.is_vm_available(), row["vm_available"], "{status:?}");
    }
}

#[test]
fn an_appserver_moves_as_the_originals_does() {
    use ours_appserver::Command;
    let mut comparison = Comparison::new("appserver");
    for row in rows(&vectors::read("state_machines.json")["appserver"]["transitions"]) {
        let (event, from) = (text(row, "event"), text(row, "from"));
        let command = match event {
            "to_waiting_for_server" => Command::StartWaiting,
            "to_running" => Command::StartRunning,
            "terminate_vm" => Command::Terminate,
            other => panic!("unknown event {other}"),
        };
        let ours = appserver_outcome(from, command.clone());
        comparison.check(&format!("{event} from {from}"), outcome(row), &ours);
        if let Some(is_set) = row["terminated_timestamp_set"].as_bool()
            && from != "terminated"
        {
            let after = appserver::given_status(appserver_status(from)).after(command);
            assert_eq!(after.state().present().unwrap().terminated.is_some(), is_set, "{from}");
        }
    }
    comparison.finish();
}

#[test]
fn a_server_moves_as_the_originals_does() {
    use ours_server::Command;
    let machines = vectors::read("state_machines.json");
    let mut comparison = Comparison::new("server");
    for row in rows(&machines["server"]["transitions"]) {
        let (event, from) = (text(row, "event"), text(row, "from"));
        let command = match (event, from) {
            // The original's one transition is two of ours: asking for it, and seeing it again.
            ("to_building", "unknown") => Command::FindBuilding,
            ("to_building", _) => Command::StartBuilding,
            ("to_ready", _) => server::become_ready(),
            other => panic!("unknown event {other:?}"),
        };
        let ours = server_outcome(from, command);
        comparison.check(&format!("{event} from {from}"), outcome(row), &ours);
    }
    for row in rows(&machines["server"]["start_and_reboot"]) {
        let (operation, from) = (text(row, "operation"), text(row, "from"));
        let ours = match (operation, row["create_raises"].as_str()) {
            ("reboot", _) => server_outcome(from, server::start_booting()),
            ("start", None | Some("connection_error")) => {
                server_outcome(from, Command::StartBuilding)
            }
            ("start", Some("not_found")) => {
                let building =
                    server::given_status(server_status(from)).after(Command::StartBuilding);
                name_of(building.after(server::fail_build()).state().present().unwrap().status)
            }
            other => panic!("unknown operation {other:?}"),
        };
        comparison.check(&format!("{operation} from {from}"), outcome(row), &ours);
    }
    for row in rows(&machines["server"]["terminate"]) {
        let (situation, from) = (text(row, "situation"), text(row, "from"));
        let has_machine = !matches!(from, "pending" | "failed" | "terminated");
        let command = match situation {
            "connection_error_on_get" if has_machine => server::lose_sight(),
            _ => Command::Terminate,
        };
        let ours = server_outcome(from, command);
        comparison.check(&format!("terminate from {from} on {situation}"), outcome(row), &ours);
    }
    comparison.finish();
}

#[test]
fn a_server_follows_what_its_cloud_says_as_the_originals_does() {
    use ours_server::{Command, Status};
    for row in rows(&vectors::read("state_machines.json")["server"]["update_status"]) {
        let mut ours = server::given_status(server_status(text(row, "from")));
        let status = |server: &Given<ours_server::Server>| server.state().present().unwrap().status;
        match text(row, "nova_answer") {
            "client_error_500" => ours = observe(ours, server::lose_sight()),
            "INITIALIZED" => ours = observe(ours, Command::FindBuilding),
            "ACTIVE" if matches!(status(&ours), Status::Building | Status::Unknown) => {
                ours = observe(ours, server::start_booting());
            }
            "ACTIVE" | "REBOOT" => {}
            other => panic!("unknown answer {other}"),
        }
        let answers_ssh = row["has_ipv4"] == true && row["port_22_open"] == true;
        if answers_ssh && text(row, "nova_answer") != "client_error_500" {
            ours = observe(ours, server::become_ready());
        }
        assert_eq!(name_of(status(&ours)), outcome(row), "{row}");
    }
}
