//! What runs of playbooks do with what a site says: variables, hosts, literal texts.

use super::bench::{Bench, has, read_all, wait_end};
use crate::private_sshd::wait_for;
use ocim_adapters::playbooks::ansible::{AnsibleConfig, AnsiblePlaybooks};
use ocim_adapters::playbooks::{PlaybookRun, Playbooks, RunState};
use ocim_domain::configuration::yaml::parse_mapping;
use ocim_domain::port_error::{Blame, Class};
use serde_json::Value;
use std::time::{Duration, Instant};

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

const FAILING: &str = "- hosts: app
  gather_facts: false
  tasks:
    - name: Fails and is let by
      ansible.builtin.fail:
        msg: not this one
      ignore_errors: true
    - block:
        - name: Fails and is rescued
          ansible.builtin.fail:
            msg: nor this one
      rescue:
        - ansible.builtin.debug:
            msg: rescued
";

#[tokio::test]
async fn a_play_that_fails_tells_at_which_task_and_what_it_said() {
    let bench = Bench::start();
    let cases = [
        (
            "    - name: Install it\n      ansible.builtin.fail:\n        msg: \"no {{ secret }}\\nat all\"\n",
            "Install it",
            "no package\nat all",
        ),
        (
            "    - name: Run it\n      ansible.builtin.raw: \"echo first >&2; echo last >&2; exit 3\"\n",
            "Run it",
            "non-zero return code: last",
        ),
        (
            "    - name: Loop it\n      ansible.builtin.fail:\n        msg: \"bad {{ item }}\"\n      \
             when: item == 'b'\n      loop: [a, b, c]\n",
            "Loop it",
            "bad b",
        ),
        (
            "    - name: Hide it\n      ansible.builtin.fail:\n        msg: hidden words\n      \
             no_log: true\n",
            "Hide it",
            "the output has been hidden",
        ),
    ];
    for (key, (tasks, name, said)) in (1..).zip(cases) {
        let (state, lines) = run(&bench, key, &[FAILING, tasks].concat(), "secret: package").await;
        let RunState::Failed { status, at } = state else { panic!("{state:?}: {lines:?}") };
        assert_eq!((status, at.task.as_str()), (2, name), "{at:?}");
        assert!(at.message.contains(said) && !at.message.contains("hidden words"), "{at:?}");
    }
    let (state, lines) = run(&bench, 9, FAILING, "secret: package").await;
    assert_eq!(state, RunState::Exited(0), "{lines:?}");
    // What is no playbook fails before there is a task to name.
    let (state, lines) = run(&bench, 10, "- hosts: [", "secret: package").await;
    assert!(matches!(state, RunState::Exited(status) if status != 0), "{state:?}: {lines:?}");
}

/// Two nodes that know nothing of each other's plays, as after a takeover of a run whose node lives on.
#[tokio::test]
async fn a_play_does_not_start_where_another_node_still_has_one() {
    let bench = Bench::start();
    bench.hold();
    let first = bench.machine.playbooks();
    let config = bench.machine.ansible_config();
    let folder = config.folder.join("of another node");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(
        config.folder.join("environments").canonicalize().unwrap(),
        folder.join("environments"),
    )
    .unwrap();
    let second = AnsiblePlaybooks::new(AnsibleConfig { folder, ..config });
    // Processes are found by their run's key: on another computer the first one's would not be.
    let (run, same) = (bench.run_of(1, "main"), bench.run_of(2, "main"));
    first.start_playbook(&run).await.unwrap();
    wait_for("the mark", || bench.marks() == 1);
    second.start_playbook(&same).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(180);
    let waits = format!("another play may still run on the machine (run key {})", run.key);
    while !has(&read_all(&second, same.key).await, &waits) {
        assert!(Instant::now() < deadline, "{:?}", read_all(&second, same.key).await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(second.read_playbook(same.key).await.unwrap(), RunState::Running);
    assert_eq!(bench.marks(), 1, "both play at once");
    // The first one's node dies with all its processes, and the play with them.
    first.cancel_playbook(run.key).await.unwrap();
    bench.release();
    assert_eq!(wait_end(&second, same.key).await, RunState::Exited(0));
    assert_eq!(bench.marks(), 2);
}
