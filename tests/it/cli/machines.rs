//! `ocim machine …`: local machines, which outlive their server.

use crate::support::ocim::Ground;
use crate::support::processes::{find_living, list_machine_processes};

/// Output and exit code of a command that tells, or is refused, in one line.
fn ocim(ground: &Ground, arguments: &[&str]) -> (Option<i32>, String) {
    let output = ground.command(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap().trim().to_owned())
}

/// Id and state of the one machine that there is.
fn machine(ground: &Ground) -> (String, String) {
    let (code, said) = ocim(ground, &["machine", "list", "-o", "wide"]);
    assert_eq!((code, said.lines().count()), (Some(0), 2), "{said}");
    let words: Vec<_> = said.lines().nth(1).unwrap().split_whitespace().collect();
    assert!(words.contains(&"local"), "{said}");
    let state = words.iter().find(|word| ["running", "stopped"].contains(word)).unwrap();
    (words[0].to_owned(), (*state).to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_outlive_their_server_are_listed_stopped_and_started_again() {
    let mut ground = Ground::serve().await;
    ground.await_balancer().await;
    let (id, state) = machine(&ground);
    assert_eq!(state, "running");
    let (code, said) = ocim(&ground, &["machine", "stop"]);
    assert_eq!(code, Some(4), "its server needs it: {said}");

    assert!(ground.terminate().await.0.success());
    assert_eq!(machine(&ground), (id.clone(), "running".to_owned()));
    let processes = list_machine_processes(&ground.cloud());
    assert!(!find_living(&processes).is_empty());
    let (code, said) = ocim(&ground, &["machine", "stop", "another"]);
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = ocim(&ground, &["machine", "stop", &id]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 stopped"), "{said}");
    assert_eq!(machine(&ground), (id.clone(), "stopped".to_owned()));
    assert_eq!(find_living(&processes), []);

    ground.start().await;
    let runs = async || (machine(&ground) == (id.clone(), "running".to_owned())).then_some(());
    ground.wait_for("the machine to be started again", runs).await;
}
