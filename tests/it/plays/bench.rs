//! A machine to play on, and a git repository to play from.

use crate::private_sshd::{PrivateSshd, run};
use ocim_adapters::playbooks::ansible::AnsiblePlaybooks;
use ocim_adapters::playbooks::{OutputLine, PlaybookRun, Playbooks, RunState, Source, Target};
use ocim_adapters::system::SystemIds;
use ocim_domain::system::Ids;
use serde_json::json;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Writes a mark, then waits for as long as the test holds it.
const PLAY: &str = r#"
- hosts: app
  gather_facts: false
  tasks:
    - name: Say something
      ansible.builtin.debug:
        msg: "VERSION grüße {{ secret }} {{ inventory_hostname in groups['openedx-app'] }}"
    - name: Leave a mark
      ansible.builtin.shell: echo "{{ ocim_run_key }}" >> ~/marker
    - name: Hold
      ansible.builtin.shell: while [ -e ~/hold ]; do sleep 0.1; done
    - name: End
      ansible.builtin.debug:
        msg: the end
"#;

pub(crate) struct Bench {
    pub(crate) machine: PrivateSshd,
    pub(crate) repository: PathBuf,
    /// Tests that run at the same time must not end each other's runs.
    first_key: Uuid,
}

impl Bench {
    /// A machine, and a repository with one commit on the branch `main`.
    pub(crate) fn start() -> Self {
        let machine = PrivateSshd::start();
        let repository = machine.folder().join("repository");
        std::fs::create_dir_all(repository.join("playbooks")).unwrap();
        let bench = Self { machine, repository, first_key: SystemIds.new_id() };
        bench.git(&["init", "--quiet", "--initial-branch=main"]);
        let pin = include_str!("../../../playbooks/demo_site/requirements.txt");
        std::fs::write(bench.repository.join("requirements.txt"), pin).unwrap();
        bench.commit("first");
        bench
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let folder = self.repository.to_str().unwrap();
        let who = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-C", folder];
        run("git", &[&who[..], arguments].concat())
    }

    pub(crate) fn commit(&self, version: &str) -> String {
        let play = PLAY.replace("VERSION", version);
        std::fs::write(self.repository.join("playbooks/site.yml"), play).unwrap();
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "-m", version]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub(crate) fn key(&self, number: u128) -> Uuid {
        Uuid::from_u128(self.first_key.as_u128() + number)
    }

    pub(crate) fn run_of(&self, key: u128, version: &str) -> PlaybookRun {
        PlaybookRun {
            key: self.key(key),
            source: Source::Git {
                repository: self.repository.to_str().unwrap().into(),
                version: version.into(),
            },
            playbook: "playbooks/site.yml".into(),
            requirements: "requirements.txt".into(),
            target: Target {
                groups: vec!["openedx-app".into(), "app".into()],
                address: self.machine.address(0),
                host_keys: self.machine.host_keys(),
            },
            variables: json!({ "secret": "s3cret" }),
            line_timeout: Duration::from_secs(120),
            total_timeout: Duration::from_secs(300),
            traceparent: None,
        }
    }

    pub(crate) fn run_folder(&self, run: &PlaybookRun) -> PathBuf {
        self.machine.ansible_config().folder.join("runs").join(run.key.to_string())
    }

    pub(crate) fn hold(&self) {
        std::fs::write(self.machine.home().join("hold"), "").unwrap();
    }

    pub(crate) fn release(&self) {
        std::fs::remove_file(self.machine.home().join("hold")).unwrap();
    }

    pub(crate) fn marks(&self) -> usize {
        let marker = std::fs::read_to_string(self.machine.home().join("marker"));
        marker.unwrap_or_default().lines().count()
    }
}

pub(crate) async fn wait_end(playbooks: &AnsiblePlaybooks, key: Uuid) -> RunState {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        match playbooks.read_playbook(key).await.unwrap() {
            RunState::Running => assert!(Instant::now() < deadline, "the run does not end"),
            ended => return ended,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) async fn read_all(playbooks: &AnsiblePlaybooks, key: Uuid) -> Vec<OutputLine> {
    let (mut lines, mut offset) = (Vec::new(), 0);
    loop {
        let (more, next) = playbooks.read_output(key, offset).await.unwrap();
        if next == offset {
            return lines;
        }
        lines.extend(more);
        offset = next;
    }
}

pub(crate) fn has(lines: &[OutputLine], text: &str) -> bool {
    lines.iter().any(|line| line.text.contains(text))
}
