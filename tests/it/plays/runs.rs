//! What runs of playbooks do with what a site says: variables, hosts, literal texts.

use super::bench::{Bench, has, read_all, wait_end};
use ocim_adapters::playbooks::{PlaybookRun, Playbooks, RunState};
use ocim_domain::configuration::yaml::parse_mapping;
use ocim_domain::port_error::{Blame, Class};
use serde_json::Value;

fn play(hosts: &str) -> String {
    format!(
        "- hosts: {hosts}\n  gather_facts: false\n  tasks:\n    - ansible.builtin.debug:\n        \
         msg: \"it says {{{{ secret }}}}\"\n"
    )
}

/// A run of these plays with these variables, as YAML; how it ended and what it printed.
async fn run(bench: &Bench, key: u128, plays: &str, variables: &str) -> (RunState, Vec<String>) {
    std::fs::write(bench.repository.join("playbooks/other.yml"), plays).unwrap();
    bench.commit("other plays");
    let playbooks = bench.machine.playbooks();
    let variables = Value::Object(parse_mapping(variables).unwrap());
    let playbook = "playbooks/other.yml".into();
    let run = PlaybookRun { playbook, variables, ..bench.run_of(key, "main") };
    playbooks.start_playbook(&run).await.unwrap();
    let state = wait_end(&playbooks, run.key).await;
    let lines = read_all(&playbooks, run.key).await;
    (state, lines.into_iter().map(|line| line.text).collect())
}

#[tokio::test]
async fn a_playbook_whose_plays_find_no_host_has_failed() {
    let bench = Bench::start();
    let (state, lines) = run(&bench, 1, &play("nobody"), "secret: x").await;
    assert_eq!(state, RunState::Unmatched, "{lines:?}");
    let some = [play("nobody"), play("app")].concat();
    let (state, lines) = run(&bench, 2, &some, "secret: x").await;
    assert_eq!(state, RunState::Exited(0), "{lines:?}");
}

#[tokio::test]
async fn a_literal_text_reaches_the_play_as_it_was_written() {
    let bench = Bench::start();
    let text = "p{{ 1 + 1 }}{# no comment #}{% raw";
    let (state, lines) = run(&bench, 1, &play("app"), &format!("secret: !unsafe '{text}'")).await;
    assert_eq!(state, RunState::Exited(0), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains(&format!("it says {text}"))), "{lines:?}");
}

#[tokio::test]
async fn no_variable_sends_a_play_elsewhere() {
    let bench = Bench::start();
    let playbooks = bench.machine.playbooks();
    for name in ["ansible_connection", "ansible_host", "ansible_python_interpreter"] {
        let mut run = bench.run_of(1, "main");
        run.variables[name] = "local".into();
        let error = playbooks.start_playbook(&run).await.unwrap_err();
        assert!(error.message.contains(name), "{error}");
        assert_eq!((error.class, error.blame), (Class::Permanent, Blame::Caller));
        assert_eq!(playbooks.read_playbook(run.key).await.unwrap(), RunState::Absent);
    }
    let run = bench.run_of(2, "main");
    playbooks.start_playbook(&run).await.unwrap();
    assert_eq!(wait_end(&playbooks, run.key).await, RunState::Exited(0));
    assert!(has(&read_all(&playbooks, run.key).await, "the end"));
}
