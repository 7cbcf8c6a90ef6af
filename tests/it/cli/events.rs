//! The log of events on the command line.

use super::ocim;
use crate::support::api_server::ApiServer;
use crate::support::processes::signal_process;
use chrono::TimeDelta;
use nix::sys::signal::Signal;
use ocim_domain::event::Metadata;
use ocim_domain::saga::{Command, Event, Saga};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};

/// The events that a tail prints up to this one.
async fn tail_until(server: &ApiServer, filter: &[&str], last: u64) -> Vec<(String, u64)> {
    let arguments = [&["events", "tail", "--from-start", "--json"], filter].concat();
    let mut command = ocim(server.data_dir(), &arguments);
    command.env("DATABASE_URL", server.database.url());
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    let mut told = vec![];
    while told.last() != Some(&("token:alice".to_owned(), last)) {
        let line = lines.next_line().await.unwrap().expect("it goes on until it is interrupted");
        let event: Value = serde_json::from_str(&line).unwrap();
        let actor = event["meta"]["actor"].as_str().unwrap().to_owned();
        told.push((actor, event["version"].as_u64().unwrap()));
    }
    signal_process(tail.id().unwrap(), Signal::SIGINT);
    assert!(tail.wait().await.unwrap().success());
    told
}

#[tokio::test]
async fn the_tail_of_events_shows_those_that_are_asked_for() {
    let server = ApiServer::start().await;
    let (one, other) = (server.given_run().await, server.given_run().await);
    let mut since = String::new();
    for (run, actor, correlation, step) in [
        (one, "token:bob", "first", "create_server"),
        (other, "token:alice", "second", "create_server"),
        (one, "token:bob", "second", "await_server"),
        (other, "token:alice", "second", "await_server"),
    ] {
        let correlation_id = Some(correlation.to_owned());
        let meta = Metadata { correlation_id, ..Metadata::by(actor) };
        let done = Event::StepDone { step: step.to_owned(), output: json!({}) };
        let (journal, report) = (server.app.journal(), Command::Report(done));
        journal.execute::<Saga>(&run.stream(), &meta, report).await.unwrap();
        if since.is_empty() {
            let recorded = journal.store().read_stream(&run.stream(), 1).await.unwrap();
            // To the microsecond, as it is stored: whatever comes later is later.
            since = (recorded[0].recorded_at + TimeDelta::microseconds(1)).to_rfc3339();
        }
    }
    let (stream, by) = (other.stream().to_string(), |name: &str| format!("token:{name}"));
    let (alice, bob, system) = (by("alice"), by("bob"), || "system".to_owned());
    for (filter, expected) in [
        (["--stream", &stream], vec![(system(), 0), (alice.clone(), 1), (alice.clone(), 2)]),
        (["--actor", "token:alice"], vec![(alice.clone(), 1), (alice.clone(), 2)]),
        (
            ["--kind", "saga.step_done"],
            [&bob, &alice, &bob, &alice].into_iter().cloned().zip([1, 1, 2, 2]).collect(),
        ),
        (
            ["--correlation", "second"],
            [&alice, &bob, &alice].into_iter().cloned().zip([1, 2, 2]).collect(),
        ),
        (["--since", &since], [&alice, &bob, &alice].into_iter().cloned().zip([1, 2, 2]).collect()),
    ] {
        assert_eq!(tail_until(&server, &filter, 2).await, expected, "{filter:?}");
    }
    server.stop().await;
}
